//! Reads vectors so that no member goes unasserted: a case tracks which members were read, and
//! complains about the others.

use std::{cell::RefCell, collections::BTreeSet, io::Write as _};

use serde_json::{Map, Value};

/// A file of vectors.
pub struct Set {
    file: String,
    members: Map<String, Value>,
    /// The whole file, for [`again`](Self::again).
    whole: Map<String, Value>,
    counts: Vec<(String, usize)>,
    missing: Vec<String>,
}

impl Set {
    pub fn new(file: &str, value: Value) -> Self {
        let Value::Object(mut members) = value else { panic!("{file}: not an object") };
        members.remove("description");
        let whole = members.clone();
        Self { file: file.to_owned(), members, whole, counts: Vec::new(), missing: Vec::new() }
    }

    /// Runs `assert` over each case of a top-level list.
    pub fn each(&mut self, member: &str, mut assert: impl FnMut(&Case<'_>)) {
        let Some(value) = self.take(member) else { return };
        let Value::Array(cases) = value else { panic!("{}.{member}: not a list", self.file) };
        for (index, value) in cases.iter().enumerate() {
            let case = Case::new(format!("{}.{member}[{index}]", self.file), value);
            assert(&case);
            case.finish();
        }
        self.counts.push((member.to_owned(), cases.len()));
    }

    /// Runs `assert` over a top-level object.
    pub fn one(&mut self, member: &str, assert: impl FnOnce(&Case<'_>)) {
        let Some(value) = self.take(member) else { return };
        let case = Case::new(format!("{}.{member}", self.file), &value);
        assert(&case);
        case.finish();
        self.counts.push((member.to_owned(), 1));
    }

    /// Runs further assertions over the whole file.
    pub fn again(&mut self, assert: impl FnOnce(&Value) -> Vec<(&'static str, usize)>) {
        let counts = assert(&Value::Object(self.whole.clone()));
        self.counts.extend(counts.into_iter().map(|(name, n)| (format!("{name} (node)"), n)));
    }

    /// Takes a member's raw value, if the set has it.
    pub fn take(&mut self, member: &str) -> Option<Value> {
        let value = self.members.remove(member);
        if value.is_none() {
            self.missing.push(member.to_owned());
        }
        value
    }

    /// Counts what was asserted of a member that was taken.
    pub fn count(&mut self, member: &str, cases: usize) {
        self.counts.push((member.to_owned(), cases));
    }

    /// Runs `assert` over an object of several members, as far as the set has them. It returns what
    /// it asserted.
    pub fn group(
        &mut self,
        members: &[&str],
        assert: impl FnOnce(&Value) -> Vec<(&'static str, usize)>,
    ) {
        let there = members.iter().filter_map(|name| Some(((*name).to_owned(), self.take(name)?)));
        let group = Value::Object(there.collect());
        let counts = assert(&group).into_iter().map(|(name, count)| (name.to_owned(), count));
        self.counts.extend(counts);
    }

    /// Summarises the assertions in one line. Fails if there were none, or a member is unknown.
    pub fn finish(self) -> String {
        let unknown: Vec<_> = self.members.keys().collect();
        unread(&self.file, &unknown);
        assert!(!self.counts.is_empty(), "{}: no member that a test reads", self.file);
        let counts: Vec<_> = self.counts.iter().map(|(name, n)| format!("{name} {n}")).collect();
        let mut line = format!("vectors {}: asserted {}", self.file, counts.join(", "));
        if !self.missing.is_empty() {
            line += &format!("; MISSING from the set: {}", self.missing.join(", "));
        }
        line
    }
}

/// One case, or an object inside one.
pub struct Case<'a> {
    path: String,
    members: &'a Map<String, Value>,
    seen: RefCell<BTreeSet<String>>,
}

impl<'a> Case<'a> {
    pub fn new(path: String, value: &'a Value) -> Self {
        let Value::Object(members) = value else { panic!("{path}: not an object") };
        // Text for people.
        let seen = ["name", "note", "description"].map(str::to_owned).into();
        Self { path, members, seen: RefCell::new(seen) }
    }

    /// Returns the path of this case, for messages.
    pub fn path(&self) -> String {
        match self.members.get("name") {
            Some(Value::String(name)) => format!("{} ({name})", self.path),
            _ => self.path.clone(),
        }
    }

    /// Returns a member that may be absent or null.
    pub fn opt(&self, member: &str) -> Option<&'a Value> {
        self.seen.borrow_mut().insert(member.to_owned());
        self.members.get(member).filter(|value| !value.is_null())
    }

    /// Returns a member that may be absent, including null.
    pub fn any(&self, member: &str) -> Option<&'a Value> {
        self.seen.borrow_mut().insert(member.to_owned());
        self.members.get(member)
    }

    /// Returns a required member, including null.
    pub fn value(&self, member: &str) -> &'a Value {
        self.any(member).unwrap_or_else(|| panic!("{}: no {member}", self.path()))
    }

    /// Returns a required member that is not null.
    pub fn get(&self, member: &str) -> &'a Value {
        self.opt(member).unwrap_or_else(|| panic!("{}: no {member}", self.path()))
    }

    /// Marks a member as informative.
    pub fn skip(&self, member: &str) {
        let _ = self.opt(member);
    }

    pub fn str(&self, member: &str) -> &'a str {
        text(self.get(member), &self.at(member))
    }

    pub fn u64(&self, member: &str) -> u64 {
        number(self.get(member), &self.at(member))
    }

    pub fn u32(&self, member: &str) -> u32 {
        u32::try_from(self.u64(member))
            .unwrap_or_else(|_| panic!("{}: not 32 bits", self.at(member)))
    }

    pub fn f64(&self, member: &str) -> f64 {
        match self.get(member) {
            Value::String(text) if text == "Infinity" => f64::INFINITY,
            value => value.as_f64().unwrap_or_else(|| panic!("{}: not a float", self.at(member))),
        }
    }

    pub fn bool(&self, member: &str) -> bool {
        self.get(member).as_bool().unwrap_or_else(|| panic!("{}: not a boolean", self.at(member)))
    }

    pub fn hex(&self, member: &str) -> Vec<u8> {
        bytes(self.get(member), &self.at(member))
    }

    /// Decodes hex without `0x`.
    pub fn plain_hex(&self, member: &str) -> Vec<u8> {
        hex::decode(self.str(member)).unwrap_or_else(|error| panic!("{}: {error}", self.at(member)))
    }

    pub fn opt_hex(&self, member: &str) -> Option<Vec<u8>> {
        self.opt(member).map(|value| bytes(value, &self.at(member)))
    }

    pub fn array<const N: usize>(&self, member: &str) -> [u8; N] {
        let bytes = self.hex(member);
        let length = bytes.len();
        bytes.try_into().unwrap_or_else(|_| panic!("{}: {length} bytes, not {N}", self.at(member)))
    }

    pub fn list(&self, member: &str) -> &'a [Value] {
        self.get(member).as_array().unwrap_or_else(|| panic!("{}: not a list", self.at(member)))
    }

    /// Runs `assert` over an inner object, whose members must all be read, too.
    pub fn inner(&self, member: &str, assert: impl FnOnce(&Case<'a>)) {
        let case = Case::new(self.at(member), self.get(member));
        assert(&case);
        case.finish();
    }

    pub fn has(&self, member: &str) -> bool {
        self.members.contains_key(member)
    }

    /// Fails if a member was never read.
    pub fn finish(self) {
        let seen = self.seen.borrow();
        let members: Vec<_> = self.members.keys().filter(|key| !seen.contains(*key)).collect();
        unread(&self.path(), &members);
    }

    fn at(&self, member: &str) -> String {
        format!("{}.{member}", self.path())
    }
}

impl std::fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path())
    }
}

/// Returns whether the set is not the project's own.
pub fn is_foreign() -> bool {
    std::env::var_os("STATUSKIT_FIXTURES").is_some()
}

/// Fails on unasserted members of the project's own set. A foreign set may have more than we know:
/// then they are only named.
fn unread(path: &str, members: &[&String]) {
    if members.is_empty() {
        return;
    }
    let message = format!("{path}: members that nothing asserts: {members:?}");
    assert!(is_foreign(), "{message}");
    let _ = writeln!(std::io::stderr(), "{message}");
}

/// Decodes a `0x` string, or `{"repeat": "ab", "len": n}`.
pub fn bytes(value: &Value, path: &str) -> Vec<u8> {
    if let Some(byte) = value.get("repeat") {
        let byte = hex::decode(text(byte, path)).expect("one byte in hex")[0];
        return vec![byte; number(&value["len"], path) as usize];
    }
    let text = text(value, path);
    let digits = text.strip_prefix("0x").unwrap_or_else(|| panic!("{path}: no 0x"));
    hex::decode(digits).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.as_str().unwrap_or_else(|| panic!("{path}: not a text"))
}

/// Reads a number, or a decimal string.
fn number(value: &Value, path: &str) -> u64 {
    match value {
        Value::String(text) => text.parse().ok(),
        _ => value.as_u64(),
    }
    .unwrap_or_else(|| panic!("{path}: not a number: {value}"))
}
