//! One layer: its fields, checks and what is inside.

use std::borrow::Cow;

use serde_json::Value;

/// How sure a reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Certainty {
    /// The bytes can be read this way, and in other ways.
    Possible,
    /// The structure is exact to the last byte.
    Likely,
    /// A checksum, tag, signature, magic or point of the curve held.
    Certain,
}

impl Certainty {
    /// Returns the name: `certain`, `likely` or `possible`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }
}

/// A part of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its offset in the buffer of the layer, with its header.
    pub offset: usize,
    /// Its length in bytes, with its header.
    pub length: usize,
    /// Its value, if it has one.
    pub value: Value,
    /// Its parts, if it has some.
    pub fields: Vec<Field>,
}

impl Field {
    pub(crate) fn new(
        name: impl Into<String>,
        offset: usize,
        length: usize,
        value: impl Into<Value>,
    ) -> Self {
        Self { name: name.into(), offset, length, value: value.into(), fields: Vec::new() }
    }
}

/// A rule that a receiver applies.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The rule.
    pub rule: String,
    /// The code of the verdict if the rule fails.
    pub code: String,
    /// Whether it holds.
    pub pass: bool,
    /// What was found.
    pub found: String,
}

/// Why nothing more was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The stable code, such as `inspect.no_key`.
    pub code: &'static str,
    /// The reason.
    pub message: String,
    /// What would help. Empty if nothing does.
    pub hint: String,
}

/// A layer as it is read, with those inside.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub kind: Cow<'static, str>,
    pub offset: usize,
    pub length: usize,
    pub certainty: Certainty,
    /// Why it is as certain as it is.
    pub why: Cow<'static, str>,
    pub fields: Vec<Field>,
    pub checks: Vec<Check>,
    pub stopped: Option<Stop>,
    pub opened_with: Option<String>,
    pub children: Vec<Child>,
}

/// What is inside a layer.
#[derive(Debug, Clone)]
pub(crate) enum Child {
    /// A part of the same buffer.
    Here(Node),
    /// Bytes that had to be decrypted or decompressed first.
    Buffer { bytes: Vec<u8>, method: String, node: Node },
}

impl Node {
    /// Makes a layer of these bytes, which begin at `at` in their buffer.
    pub fn new(kind: impl Into<Cow<'static, str>>, bytes: &[u8], at: usize) -> Self {
        Self {
            kind: kind.into(),
            offset: at,
            length: bytes.len(),
            certainty: Certainty::Likely,
            why: Cow::Borrowed("the structure is exact"),
            fields: Vec::new(),
            checks: Vec::new(),
            stopped: None,
            opened_with: None,
            children: Vec::new(),
        }
    }

    pub fn with_fields(mut self, fields: Vec<Field>) -> Self {
        self.fields = fields;
        self
    }

    pub fn certain(self, why: impl Into<Cow<'static, str>>) -> Self {
        self.because(Certainty::Certain, why)
    }

    pub fn possible(self, why: impl Into<Cow<'static, str>>) -> Self {
        self.because(Certainty::Possible, why)
    }

    pub fn because(mut self, certainty: Certainty, why: impl Into<Cow<'static, str>>) -> Self {
        (self.certainty, self.why) = (certainty, why.into());
        self
    }

    pub fn stop(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.stopped = Some(Stop { code, message: message.into(), hint: hint.into() });
    }

    pub fn check(&mut self, rule: &str, code: &str, pass: bool, found: impl Into<String>) {
        let (rule, code) = (rule.to_owned(), code.to_owned());
        self.checks.push(Check { rule, code, pass, found: found.into() });
    }

    /// Adds a layer in the same buffer, if there is one.
    pub fn here(&mut self, node: Option<Node>) {
        self.children.extend(node.map(Child::Here));
    }

    /// Covers what no field covers. So every byte of a layer is in exactly one field.
    pub fn cover(&mut self) {
        let mut covered = Vec::with_capacity(self.fields.len());
        let mut at = self.offset;
        for field in self.fields.drain(..) {
            if field.offset > at {
                covered.push(Field::new("unread", at, field.offset - at, Value::Null));
            }
            at = field.offset + field.length;
            covered.push(field);
        }
        let end = self.offset + self.length;
        if at < end {
            covered.push(Field::new("unread", at, end - at, Value::Null));
        }
        self.fields = covered;
        for child in &mut self.children {
            match child {
                Child::Here(node) | Child::Buffer { node, .. } => node.cover(),
            }
        }
    }
}

/// Shows bytes as `0x` and hex.
pub(crate) fn hex0x(bytes: &[u8]) -> Value {
    Value::String(format!("0x{}", hex::encode(bytes)))
}
