//! What is different between two inspections: which field of which layer.
//!
//! Layers are compared by their order and kind, fields by name. What follows from something else is
//! incidental: padding, the nonce, lengths, and the ciphertext of what was opened on both sides. So two
//! envelopes with the same message are the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use statuskit_core::text::escape;

use crate::{
    layer::Field,
    peel::{Inspection, Layer},
};

/// The differences of two inspections.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Diff {
    /// The kinds of the outermost layers.
    pub kinds: [String; 2],
    /// Whether the bytes are the same.
    pub is_identical: bool,
    /// The differences, the outermost first.
    pub differences: Vec<Difference>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Difference {
    /// The kinds of the layers around it, the outermost first, with `/` between.
    pub layer: String,
    /// The field, with `.` between a field and its part. Empty for the layer itself.
    pub field: String,
    /// Why it says nothing about the meaning. `None` if it does.
    pub incidental: Option<&'static str>,
    /// Both sides. `None` where it is missing.
    pub sides: [Option<Side>; 2],
}

/// What is on one side.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Side {
    /// The offset in its buffer.
    pub offset: usize,
    /// The length in bytes.
    pub length: usize,
    /// The value.
    pub value: Value,
}

/// Fields that follow from others, or mean nothing.
const INCIDENTAL: [(&str, &str); 5] = [
    ("padding", "padding means nothing"),
    ("nonce", "the nonce is found by work"),
    ("list header", "a length"),
    ("payload length", "a length"),
    ("flags", "it follows from the payload and the signature"),
];

impl Diff {
    /// Compares two inspections.
    pub fn new(a: &Inspection, b: &Inspection) -> Self {
        let is_identical = a.buffers[0].bytes == b.buffers[0].bytes;
        let mut differences = Vec::new();
        if !is_identical {
            let sides = [Tree::new(a), Tree::new(b)];
            compare(&sides, [0, 0], "", &mut differences);
            if differences.is_empty() {
                differences.push(Difference {
                    layer: a.kind().to_owned(),
                    field: String::new(),
                    incidental: Some("the same values in another encoding or order"),
                    sides: [0, 1].map(|it| Some(Side::of_layer(&sides[it].inspection.layers[0]))),
                });
            }
        }
        Self { kinds: [a.kind().to_owned(), b.kind().to_owned()], is_identical, differences }
    }

    /// Whether both mean the same: all differences are incidental.
    pub fn is_same(&self) -> bool {
        self.differences.iter().all(|it| it.incidental.is_some())
    }

    /// Returns the record of the tools.
    pub fn to_json(&self) -> Value {
        let side = |side: &Option<Side>| {
            let side = side.as_ref();
            side.map(|it| json!({ "offset": it.offset, "length": it.length, "value": it.value }))
        };
        let differences = self.differences.iter().map(|it| {
            json!({
                "layer": it.layer,
                "field": it.field,
                "incidental": it.incidental,
                "a": side(&it.sides[0]),
                "b": side(&it.sides[1]),
            })
        });
        json!({
            "type": "diff",
            "same": self.is_same(),
            "identical": self.is_identical,
            "kinds": self.kinds,
            "differences": differences.collect::<Vec<_>>(),
        })
    }

    /// Returns the differences for people, in lines.
    pub fn to_text(&self) -> String {
        if self.is_identical {
            return format!("the same bytes: {}\n", escape(&self.kinds[0]));
        }
        let mut text = match self.is_same() {
            true => "the same, in other bytes\n".to_owned(),
            false => "different\n".to_owned(),
        };
        for it in &self.differences {
            let dot = if it.field.is_empty() { "" } else { " " };
            let why = it.incidental.map_or(String::new(), |why| format!(" (no matter: {why})"));
            text.push_str(&format!("{}{dot}{}{why}\n", escape(&it.layer), escape(&it.field)));
            for (name, side) in ["a", "b"].into_iter().zip(&it.sides) {
                let shown = match side {
                    None => "nothing".to_owned(),
                    Some(Side { offset, length, value }) => {
                        format!("{offset:>6} +{length:<6} {}", cut(value))
                    }
                };
                text.push_str(&format!("  {name} {shown}\n"));
            }
        }
        text
    }
}

/// Values longer than this are cut.
const MAX_SHOWN: usize = 100;

fn cut(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => escape(text),
        other => escape(&other.to_string()),
    };
    match text.chars().nth(MAX_SHOWN) {
        None => text,
        Some(_) => format!("{}…", text.chars().take(MAX_SHOWN).collect::<String>()),
    }
}

impl Side {
    fn of_layer(layer: &Layer) -> Self {
        let value = layer.kind.clone().into_owned().into();
        Self { offset: layer.offset, length: layer.length, value }
    }
}

/// An inspection with the layers in each layer.
struct Tree<'a> {
    inspection: &'a Inspection,
    inside: Vec<Vec<usize>>,
}

impl<'a> Tree<'a> {
    fn new(inspection: &'a Inspection) -> Self {
        let mut inside = vec![Vec::new(); inspection.layers.len()];
        for (index, layer) in inspection.layers.iter().enumerate() {
            if let Some(parent) = layer.parent {
                inside[parent].push(index);
            }
        }
        Self { inspection, inside }
    }

    fn layer(&self, index: usize) -> &'a Layer {
        &self.inspection.layers[index]
    }

    /// Whether a layer was decrypted or decompressed.
    fn is_opened(&self, index: usize) -> bool {
        self.inside[index].iter().any(|it| self.layer(*it).buffer != self.layer(index).buffer)
    }

    /// Whether a field consists of layers that are compared by themselves.
    fn holds_layer(&self, index: usize, field: &Field) -> bool {
        self.inside[index].iter().any(|it| {
            let inner = self.layer(*it);
            inner.buffer == self.layer(index).buffer
                && inner.offset >= field.offset
                && inner.offset + inner.length <= field.offset + field.length
        })
    }
}

fn compare(trees: &[Tree<'_>; 2], at: [usize; 2], around: &str, out: &mut Vec<Difference>) {
    let layers = [trees[0].layer(at[0]), trees[1].layer(at[1])];
    let path = match around {
        "" => layers[0].kind.clone().into_owned(),
        _ => format!("{around}/{}", layers[0].kind),
    };
    if layers[0].kind != layers[1].kind {
        let sides = layers.map(|it| Some(Side::of_layer(it)));
        out.push(Difference { layer: path, field: String::new(), incidental: None, sides });
        return;
    }
    compare_fields(trees, at, &path, out);
    compare_checks(layers, &path, out);
    let inside = [&trees[0].inside[at[0]], &trees[1].inside[at[1]]];
    for index in 0..inside[0].len().max(inside[1].len()) {
        match (inside[0].get(index), inside[1].get(index)) {
            (Some(a), Some(b)) => compare(trees, [*a, *b], &path, out),
            (a, b) => {
                let sides = [a.map(|it| trees[0].layer(*it)), b.map(|it| trees[1].layer(*it))];
                let kind = sides[0].or(sides[1]).map_or("", |it| &it.kind);
                out.push(Difference {
                    layer: format!("{path}/{kind}"),
                    field: String::new(),
                    incidental: None,
                    sides: sides.map(|it| it.map(Side::of_layer)),
                });
            }
        }
    }
}

fn compare_fields(trees: &[Tree<'_>; 2], at: [usize; 2], path: &str, out: &mut Vec<Difference>) {
    let named = [0, 1].map(|side| {
        let mut found = BTreeMap::new();
        let fields = &trees[side].layer(at[side]).fields;
        collect(fields, "", &|it| trees[side].holds_layer(at[side], it), &mut found);
        found
    });
    let is_opened = trees[0].is_opened(at[0]) && trees[1].is_opened(at[1]);
    let layers = [trees[0].layer(at[0]), trees[1].layer(at[1])];
    let names: BTreeSet<&String> = named[0].keys().chain(named[1].keys()).collect();
    let mut found = Vec::new();
    for name in names {
        let fields = [named[0].get(name), named[1].get(name)];
        let values = fields.map(|it| it.map(|it| &it.value));
        if values[0] == values[1] {
            continue;
        }
        let leaf = name.rsplit('.').next().unwrap_or(name);
        let known = INCIDENTAL.iter().find(|(it, _)| *it == leaf);
        let incidental = known.map(|(_, why)| *why).or_else(|| {
            if is_opened && (leaf == "data" || name.starts_with("direct_message")) {
                return Some("what is inside was opened and compared");
            }
            let signed = layers.map(|it| it.checks.iter().find(|check| check.rule == "signature"));
            match signed {
                [Some(a), Some(b)] if leaf == "signature" && a.pass && a == b => {
                    Some("signed by the same key")
                }
                _ => None,
            }
        });
        let sides = fields.map(|it| {
            it.map(|it| Side { offset: it.offset, length: it.length, value: it.value.clone() })
        });
        let place = sides[0].as_ref().or(sides[1].as_ref()).map_or(0, |it| it.offset);
        let layer = path.to_owned();
        found.push((place, Difference { layer, field: name.clone(), incidental, sides }));
    }
    found.sort_by_key(|(place, _)| *place);
    out.extend(found.into_iter().map(|(_, it)| it));
}

/// Collects the fields without parts by name; those of the same name are numbered.
fn collect<'a>(
    fields: &'a [Field],
    around: &str,
    is_layer: &dyn Fn(&Field) -> bool,
    found: &mut BTreeMap<String, &'a Field>,
) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for field in fields {
        let count = counts.entry(&field.name).or_default();
        let number = if *count == 0 { String::new() } else { format!("[{count}]") };
        *count += 1;
        let name = format!("{around}{}{number}", field.name);
        if is_layer(field) {
            continue;
        }
        if field.fields.is_empty() {
            found.insert(name, field);
        } else {
            collect(&field.fields, &format!("{name}."), is_layer, found);
        }
    }
}

/// A rule that holds on one side only.
fn compare_checks(layers: [&Layer; 2], path: &str, out: &mut Vec<Difference>) {
    let verdict = |layer: &Layer, rule: &str| {
        layer.checks.iter().find(|it| it.rule == rule).map(|it| (it.pass, it.found.clone()))
    };
    let mut rules: Vec<&String> = Vec::new();
    for check in layers.iter().flat_map(|it| &it.checks) {
        if !rules.contains(&&check.rule) {
            rules.push(&check.rule);
        }
    }
    for rule in rules {
        let sides = layers.map(|it| verdict(it, rule));
        let passes = [&sides[0], &sides[1]].map(|it| it.as_ref().map(|(pass, _)| *pass));
        let signers = rule == "signature" && sides[0] != sides[1];
        if passes[0] == passes[1] && !signers {
            continue;
        }
        let sides = [0, 1].map(|side| {
            let (layer, verdict) = (layers[side], sides[side].clone());
            let value = verdict.map(|(pass, found)| {
                let word = if pass { "holds" } else { "fails" };
                Value::String(format!("{word}: {found}"))
            });
            value.map(|value| Side { offset: layer.offset, length: layer.length, value })
        });
        let field = format!("check {rule}");
        out.push(Difference { layer: path.to_owned(), field, incidental: None, sides });
    }
}

#[cfg(test)]
mod tests {
    use statuskit_core::{
        chat::{ComposeOptions, Composer, Destination, PublicChat},
        crypto::{SecretKey, seeded_rng},
        time::UnixMillis,
    };

    use super::*;
    use crate::{Options, inspect};

    fn sealed(text: &str, author: &str, seed: &str) -> Inspection {
        let key = SecretKey::generate(&mut seeded_rng(author));
        let mut composer = Composer::new(Destination::public("status"), Some(key));
        let options = ComposeOptions::default();
        let mut rng = seeded_rng(seed);
        let composed =
            composer.text(text, &options, UnixMillis(1_585_500_000_000), &mut rng).unwrap();
        let mut options = Options::default();
        options.keys.ring.add_chat(&PublicChat::new("status"));
        inspect(composed.envelope.raw(), &options).unwrap()
    }

    fn fields(diff: &Diff, is_incidental: bool) -> Vec<String> {
        let all = diff.differences.iter();
        let all = all.filter(|it| it.incidental.is_some() == is_incidental);
        all.map(|it| format!("{} {}", it.layer, it.field)).collect()
    }

    #[test]
    fn the_same_message_is_the_same() {
        let (a, b) = (sealed("hi", "author", "1"), sealed("hi", "author", "2"));
        let same = Diff::new(&a, &a);
        assert!(same.is_same() && same.is_identical && same.differences.is_empty());
        let diff = Diff::new(&a, &b);
        assert!(diff.is_same() && !diff.is_identical, "{}", diff.to_text());
        let found = fields(&diff, true);
        assert!(
            found.contains(&"whisper.envelope/whisper.message padding".to_owned()),
            "{found:?}"
        );
    }

    #[test]
    fn other_texts_and_authors_are_told_by_field() {
        let a = sealed("hi", "author", "1");
        let diff = Diff::new(&a, &sealed("ho", "author", "2"));
        let text =
            "whisper.envelope/whisper.message/payload.wrapper/payload.chat_message text".to_owned();
        assert!(!diff.is_same());
        assert_eq!(fields(&diff, false), [text]);
        let diff = Diff::new(&a, &sealed("hi", "another", "2"));
        let found = fields(&diff, false);
        assert!(
            found.iter().any(|it| it.ends_with("payload.wrapper check signature")),
            "{found:?}"
        );
        assert!(found.iter().all(|it| it.contains("signature")), "{found:?}");
    }

    #[test]
    fn what_is_not_opened_is_different() {
        let a = sealed("hi", "author", "1");
        let closed = inspect(&sealed("hi", "author", "2").buffers[0].bytes, &Options::default());
        let diff = Diff::new(&a, &closed.unwrap());
        let found = fields(&diff, false);
        assert!(found.contains(&"whisper.envelope data".to_owned()), "{found:?}");
        assert!(found.contains(&"whisper.envelope/whisper.message ".to_owned()), "{found:?}");
    }
}
