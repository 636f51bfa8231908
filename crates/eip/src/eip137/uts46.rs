//! UTS 46 with the data of Unicode 12.1, the version of March 2020: mapping, normalisation, checks.
//!
//! Processing is non-transitional, and does not convert to ASCII. Every check of the document is
//! made; the caller decides which ones count.

use std::{collections::HashMap, fmt, sync::LazyLock};

use unicode_normalization::{UnicodeNormalization as _, is_nfc};

use super::punycode;

/// A version of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unicode {
    /// 12.1, of March 2020.
    V12,
    /// 17.0, the newest.
    V17,
}

/// A rule that a name breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// A character that names may not have (P1, V6).
    Character(char),
    /// A label begins with `xn--`, and is no Punycode (P4).
    Punycode,
    /// A decoded label is not in normalisation form C (V1).
    Form,
    /// Hyphens at the third and fourth place (V2).
    Hyphens,
    /// A hyphen at the beginning or end of a label (V3).
    Hyphen,
    /// A decoded label has a full stop (V4).
    Stop,
    /// A label begins with a combining mark (V5).
    Mark,
    /// A zero width joiner or non-joiner where it changes nothing (V7).
    Joiner,
    /// Letters of both directions are mixed (V8; RFC 5893).
    Bidi,
    /// A character other than letters, digits and hyphens in ASCII (UseSTD3ASCIIRules).
    Std3,
    /// A label is empty, and is not the last one (X4_2).
    Empty,
}

impl Rule {
    /// Returns the name of the rule in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Character(_) => "character",
            Self::Punycode => "punycode",
            Self::Form => "form",
            Self::Hyphens => "hyphens",
            Self::Hyphen => "hyphen",
            Self::Stop => "stop",
            Self::Mark => "mark",
            Self::Joiner => "joiner",
            Self::Bidi => "bidi",
            Self::Std3 => "std3",
            Self::Empty => "empty",
        }
    }

    /// Whether the reference refuses a name because of it.
    pub fn counts_in_reference(self) -> bool {
        !matches!(self, Self::Bidi | Self::Std3 | Self::Empty)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Character(c) => return write!(f, "U+{:04X} can't be in a name", *c as u32),
            Self::Punycode => "a label begins with xn--, but is no Punycode",
            Self::Form => "a label in Punycode is not normalised",
            Self::Hyphens => "a label has hyphens at its third and fourth place",
            Self::Hyphen => "a label begins or ends with a hyphen",
            Self::Stop => "a label in Punycode has a full stop",
            Self::Mark => "a label begins with a combining mark",
            Self::Joiner => "a zero width joiner stands where it joins nothing",
            Self::Bidi => "a label mixes letters of both directions",
            Self::Std3 => "a label has ASCII other than letters, digits and hyphens",
            Self::Empty => "a label is empty",
        })
    }
}

/// A processed name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processed {
    /// The name, mapped and normalised.
    pub text: String,
    /// The rules that it breaks, each once, with the number of the first label (from 0).
    pub faults: Vec<(usize, Rule)>,
}

/// Maps, normalises and checks a name. The length is the caller's to bound.
pub fn process(name: &str, version: Unicode) -> Processed {
    if name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.')
        && !name.starts_with('.')
        && !name.contains("..")
    {
        return Processed { text: name.to_owned(), faults: Vec::new() };
    }
    let mapped: String = Mapped { chars: name.chars(), rest: [].iter(), version }.nfc().collect();
    let mut faults = Faults(Vec::new());
    let mut labels = Vec::new();
    let last = mapped.split('.').count() - 1;
    for (at, label) in mapped.split('.').enumerate() {
        if label.is_empty() && at < last {
            faults.add(at, Rule::Empty);
        }
        let decoded = match label.strip_prefix("xn--") {
            None => label.to_owned(),
            Some(code) => match punycode::decode(code) {
                Some(text) => {
                    if !is_nfc(&text) {
                        faults.add(at, Rule::Form);
                    }
                    text
                }
                None => {
                    faults.add(at, Rule::Punycode);
                    labels.push(label.to_owned());
                    continue;
                }
            },
        };
        check_label(&decoded, at, version, &mut faults);
        labels.push(decoded);
    }
    let is_bidi = |c: char| matches!(class(c, version).bidi, b'R' | b'A' | b'N');
    if labels.iter().flat_map(|label| label.chars()).any(is_bidi) {
        for (at, label) in labels.iter().enumerate() {
            if !bidi_rule(label, version) {
                faults.add(at, Rule::Bidi);
            }
        }
    }
    Processed { text: labels.join("."), faults: faults.0 }
}

/// The faults, each kind once: the rest of a long name adds nothing.
struct Faults(Vec<(usize, Rule)>);

impl Faults {
    fn add(&mut self, label: usize, rule: Rule) {
        if self.0.iter().all(|(_, known)| known.name() != rule.name()) {
            self.0.push((label, rule));
        }
    }
}

/// The mapped characters of a name.
struct Mapped<'a> {
    chars: std::str::Chars<'a>,
    rest: std::slice::Iter<'static, char>,
    version: Unicode,
}

impl Iterator for Mapped<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        loop {
            if let Some(c) = self.rest.next() {
                return Some(*c);
            }
            let c = self.chars.next()?;
            match status(c, self.version) {
                Status::Ignored => {}
                Status::Mapped(to) => self.rest = to.iter(),
                Status::Shifted(to) => return Some(to),
                // Disallowed characters stay, and are faults later.
                Status::Valid(_) | Status::Std3(_) | Status::Disallowed => return Some(c),
            }
        }
    }
}

fn check_label(label: &str, at: usize, version: Unicode, faults: &mut Faults) {
    let bytes = label.as_bytes();
    let mut first = label.chars();
    if (first.nth(2), first.next()) == (Some('-'), Some('-')) {
        faults.add(at, Rule::Hyphens);
    }
    if bytes.first() == Some(&b'-') || bytes.last() == Some(&b'-') {
        faults.add(at, Rule::Hyphen);
    }
    if label.contains('.') {
        faults.add(at, Rule::Stop);
    }
    if label.chars().next().is_some_and(|c| class(c, version).mark != b'-') {
        faults.add(at, Rule::Mark);
    }
    let mut has_joiner = false;
    for c in label.chars() {
        has_joiner |= matches!(c, ZWNJ | ZWJ);
        match status(c, version) {
            Status::Valid(_) => {}
            Status::Std3(_) => faults.add(at, Rule::Std3),
            _ => faults.add(at, Rule::Character(c)),
        }
    }
    if has_joiner && !joiners_are_right(label, version) {
        faults.add(at, Rule::Joiner);
    }
}

const ZWNJ: char = '\u{200c}';
const ZWJ: char = '\u{200d}';

/// Whether each joiner is in the context that RFC 5892, appendix A, asks for.
fn joiners_are_right(label: &str, version: Unicode) -> bool {
    let chars: Vec<char> = label.chars().collect();
    let joining = |c: &char| class(*c, version).joining;
    // What the nearest characters that are not transparent join, from both sides, in linear time.
    let mut before = Vec::with_capacity(chars.len());
    let mut nearest = b'-';
    for c in &chars {
        before.push(nearest);
        if joining(c) != b'T' {
            nearest = joining(c);
        }
    }
    nearest = b'-';
    for (at, c) in chars.iter().enumerate().rev() {
        let is_after_virama = at > 0 && class(chars[at - 1], version).mark == b'V';
        let connects = matches!(before[at], b'L' | b'D') && matches!(nearest, b'R' | b'D');
        match *c {
            ZWJ if !is_after_virama => return false,
            ZWNJ if !is_after_virama && !connects => return false,
            _ => {}
        }
        if joining(c) != b'T' {
            nearest = joining(c);
        }
    }
    true
}

/// The rule of RFC 5893, section 2, for a label of a name with letters from right to left.
fn bidi_rule(label: &str, version: Unicode) -> bool {
    let classes = || label.chars().map(|c| class(c, version).bidi);
    let Some(first) = classes().next() else { return true };
    let last = classes().rev().find(|it| *it != b'M');
    match first {
        b'R' | b'A' => {
            let has = |wanted| classes().any(|it| it == wanted);
            classes().all(|it| b"RANESCTOBM".contains(&it))
                && matches!(last, Some(b'R' | b'A' | b'E' | b'N'))
                && !(has(b'E') && has(b'N'))
        }
        b'L' => classes().all(|it| b"LESCTOBM".contains(&it)) && matches!(last, Some(b'L' | b'E')),
        _ => false,
    }
}

/// The properties of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Class {
    bidi: u8,
    joining: u8,
    mark: u8,
}

#[derive(Debug, Clone, Copy)]
enum Status {
    Valid(Class),
    Std3(Class),
    Mapped(&'static [char]),
    Shifted(char),
    Ignored,
    Disallowed,
}

fn class(c: char, version: Unicode) -> Class {
    match status(c, version) {
        Status::Valid(class) | Status::Std3(class) => class,
        _ => Class { bidi: b'L', joining: b'-', mark: b'-' },
    }
}

fn status(c: char, version: Unicode) -> Status {
    let newer = match version {
        Unicode::V12 => None,
        Unicode::V17 => find(&V17, c),
    };
    newer.or_else(|| find(&V12, c)).unwrap_or(Status::Disallowed)
}

fn find(table: &[Row], c: char) -> Option<Status> {
    let code = c as u32;
    let at = table.partition_point(|row| row.first <= code).checked_sub(1)?;
    let row = &table[at];
    if code > row.last {
        return None;
    }
    Some(match row.value {
        Value::Valid(class) => Status::Valid(class),
        Value::Std3(class) => Status::Std3(class),
        Value::Mapped(to) => Status::Mapped(to),
        Value::Shifted(to) => {
            char::from_u32(to + (code - row.first)).map_or(Status::Disallowed, Status::Shifted)
        }
        Value::Ignored => Status::Ignored,
        Value::Disallowed => Status::Disallowed,
    })
}

struct Row {
    first: u32,
    last: u32,
    value: Value,
}

enum Value {
    Valid(Class),
    Std3(Class),
    Mapped(&'static [char]),
    Shifted(u32),
    Ignored,
    Disallowed,
}

static V12: LazyLock<Vec<Row>> = LazyLock::new(|| rows(include_str!("data/uts46-12.1.txt")));
static V17: LazyLock<Vec<Row>> = LazyLock::new(|| rows(include_str!("data/uts46-17.0.txt")));

/// Reads a table of this crate. A line that is malformed is left out; a test reads all of them.
fn rows(text: &'static str) -> Vec<Row> {
    let mut targets = HashMap::new();
    text.lines().filter_map(|line| row(line, &mut targets)).collect()
}

/// The table lives as long as the program, and so do the targets, each of them once.
fn row(line: &'static str, targets: &mut HashMap<&'static str, &'static [char]>) -> Option<Row> {
    let mut words = line.splitn(3, ' ');
    let (first, last) = super::range(words.next()?)?;
    let status = words.next()?;
    let value = words.next().unwrap_or_default();
    let value = match status {
        "v" | "s" => {
            let &[bidi, joining, mark] = value.as_bytes() else { return None };
            let class = Class { bidi, joining, mark };
            if status == "v" { Value::Valid(class) } else { Value::Std3(class) }
        }
        "m" | "n" => match value.strip_prefix('+') {
            Some(first) => Value::Shifted(u32::from_str_radix(first, 16).ok()?),
            None => Value::Mapped(match targets.get(value) {
                Some(known) => known,
                None => {
                    let chars: Option<Vec<char>> = value
                        .split(' ')
                        .filter(|it| !it.is_empty())
                        .map(super::code_point)
                        .collect();
                    let leaked: &'static [char] = chars?.leak();
                    targets.insert(value, leaked);
                    leaked
                }
            }),
        },
        "i" => Value::Ignored,
        "x" => Value::Disallowed,
        _ => return None,
    };
    Some(Row { first, last, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(name: &str) -> Vec<Rule> {
        process(name, Unicode::V12).faults.into_iter().map(|(_, rule)| rule).collect()
    }

    #[test]
    fn every_line_of_the_tables_is_read() {
        for (text, table) in [
            (include_str!("data/uts46-12.1.txt"), &*V12),
            (include_str!("data/uts46-17.0.txt"), &*V17),
        ] {
            assert_eq!(text.lines().count(), table.len());
            assert!(table.windows(2).all(|pair| pair[0].last < pair[1].first));
            assert!(table.iter().all(|row| row.first <= row.last));
        }
    }

    #[test]
    fn names_are_mapped() {
        for (name, normal) in [
            ("ÖBB.eth", "öbb.eth"),
            ("faß.eth", "faß.eth"),
            ("xn--fa-hia.eth", "faß.eth"),
            ("ＡＢＣ。eth", "abc.eth"),
            ("a\u{ad}b", "ab"),
            ("㋿", "令和"),
            ("", ""),
        ] {
            assert_eq!(
                process(name, Unicode::V12),
                Processed { text: normal.into(), faults: vec![] }
            );
        }
    }

    #[test]
    fn each_rule_is_checked() {
        assert_eq!(rules("a.-x-"), [Rule::Hyphen]);
        assert_eq!(rules("ab--c"), [Rule::Hyphens]);
        assert_eq!(rules("xn--a!"), [Rule::Punycode]);
        assert_eq!(rules("\u{301}a"), [Rule::Mark]);
        assert_eq!(rules("a\u{200d}b"), [Rule::Joiner]);
        assert_eq!(rules("àא"), [Rule::Bidi]);
        assert_eq!(rules("a_b"), [Rule::Std3]);
        assert_eq!(
            (rules("a..b"), rules(".b"), rules("b.")),
            (vec![Rule::Empty], vec![Rule::Empty], vec![])
        );
        assert_eq!(rules("a\u{e000}b"), [Rule::Character('\u{e000}')]);
        // Joiners in their contexts: after a virama, and between letters that join.
        assert_eq!(rules("क्\u{200d}ष"), []);
        assert_eq!(rules("نامه\u{200c}ای"), []);
    }

    #[test]
    fn newer_characters_are_told_apart() {
        // U+1FAE0 came with Unicode 14.
        assert_eq!(rules("\u{1fae0}"), [Rule::Character('\u{1fae0}')]);
        assert_eq!(process("\u{1fae0}", Unicode::V17).faults, []);
        // The capital ß was mapped to ss until Unicode 15.1.
        assert_eq!(process("STRAẞE", Unicode::V12).text, "strasse");
        assert_eq!(process("STRAẞE", Unicode::V17).text, "straße");
    }

    #[test]
    fn long_names_take_linear_time() {
        let joiners = "\u{200c}".repeat(200_000);
        assert_eq!(rules(&format!("a{joiners}")), [Rule::Joiner]);
    }
}
