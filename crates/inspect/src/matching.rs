//! Predicates over records, such as `type==chat_message && payload.text contains "x"`.
//!
//! ```text
//! expr    = and ("||" and)*
//! and     = not ("&&" not)*
//! not     = "!" not | "(" expr ")" | test
//! test    = path [op value | "in" "(" value ("," value)* ")" | "exists"]
//! op      = "==" | "!=" | "<" | "<=" | ">" | ">=" | "contains" | "starts_with" | "ends_with"
//! path    = name ("." name | "[" index "]" | "[" string "]" | "[*]")*
//! value   = string | number | true | false | null | word
//! ```
//!
//! A path alone holds if the member is there and neither null nor false. `[*]` is any item of a list:
//! the test holds if it holds for one of them. `!=` is the opposite of `==`, so it also holds where
//! there is no such member. Strings are written as in JSON, or in single quotes; a word needs no quotes.

use std::{cmp::Ordering, fmt};

use serde_json::Value;

/// The longest expression, in bytes.
const MAX_LENGTH: usize = 16 << 10;

/// The deepest nesting of parentheses and negations.
const MAX_DEPTH: usize = 64;

/// A predicate over JSON values.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicate(Expr);

/// Why a text is no predicate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PredicateError {
    /// The offset in bytes of what was not expected.
    pub offset: usize,
    /// What may stand there.
    pub expected: &'static str,
    /// What stands there.
    pub found: String,
}

impl fmt::Display for PredicateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at {}, found {}", self.expected, self.offset, self.found)
    }
}

impl std::error::Error for PredicateError {}

#[derive(Debug, Clone, PartialEq)]
enum Expr {
    Or(Vec<Expr>),
    And(Vec<Expr>),
    Not(Box<Expr>),
    Test(Vec<Step>, Test),
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Name(String),
    Index(usize),
    Any,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Holds,
    Exists,
    Equal(Value),
    Order(&'static str, Value),
    Contains(Value),
    StartsWith(String),
    EndsWith(String),
    In(Vec<Value>),
}

impl Predicate {
    /// Reads an expression.
    ///
    /// # Errors
    /// If the text is none: where, what was expected, and what was found.
    pub fn parse(text: &str) -> Result<Self, PredicateError> {
        if text.len() > MAX_LENGTH {
            return Err(PredicateError {
                offset: MAX_LENGTH,
                expected: "the end",
                found: format!("more than {MAX_LENGTH} bytes"),
            });
        }
        let mut parser = Parser { text, at: 0, depth: 0 };
        let expr = parser.or()?;
        parser.blanks();
        match parser.rest().is_empty() {
            true => Ok(Self(expr)),
            false => Err(parser.error("an operator, \"&&\", \"||\" or the end")),
        }
    }

    /// Returns whether it holds for a value.
    pub fn holds(&self, value: &Value) -> bool {
        self.0.holds(value)
    }
}

impl Expr {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Or(all) => all.iter().any(|it| it.holds(value)),
            Self::And(all) => all.iter().all(|it| it.holds(value)),
            Self::Not(it) => !it.holds(value),
            Self::Test(path, test) => reach(value, path, test),
        }
    }
}

/// Applies a test to what a path leads to: with `[*]`, to any of several values.
fn reach(value: &Value, path: &[Step], test: &Test) -> bool {
    let Some((step, rest)) = path.split_first() else { return test.holds(value) };
    let inner = match step {
        Step::Name(name) => value.get(name.as_str()),
        Step::Index(index) => value.get(index),
        Step::Any => {
            let items = value.as_array().map_or(&[][..], Vec::as_slice);
            return items.iter().any(|it| reach(it, rest, test));
        }
    };
    inner.is_some_and(|inner| reach(inner, rest, test))
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Holds => !matches!(value, Value::Null | Value::Bool(false)),
            Self::Exists => true,
            Self::Equal(wanted) => equal(value, wanted),
            Self::Order(operator, wanted) => {
                compare(value, wanted).is_some_and(|order| match *operator {
                    "<" => order.is_lt(),
                    "<=" => order.is_le(),
                    ">" => order.is_gt(),
                    _ => order.is_ge(),
                })
            }
            Self::Contains(wanted) => match value {
                Value::String(text) => text.contains(&text_of(wanted)),
                Value::Array(items) => items.iter().any(|item| equal(item, wanted)),
                Value::Object(members) => members.contains_key(&text_of(wanted)),
                _ => false,
            },
            Self::StartsWith(start) => value.as_str().is_some_and(|it| it.starts_with(start)),
            Self::EndsWith(end) => value.as_str().is_some_and(|it| it.ends_with(end)),
            Self::In(all) => all.iter().any(|wanted| equal(value, wanted)),
        }
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A number that was written without quotes also equals a text of the same digits.
fn equal(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::String(text), Value::Number(number)) => *text == number.to_string(),
        (Value::Number(_), Value::Number(_)) => compare(value, wanted) == Some(Ordering::Equal),
        _ => value == wanted,
    }
}

/// Compares numbers with numbers and texts with texts.
fn compare(value: &Value, wanted: &Value) -> Option<Ordering> {
    match (value, wanted) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => {
            let whole = |it: &serde_json::Number| {
                it.as_u64().map(i128::from).or_else(|| it.as_i64().map(i128::from))
            };
            match (whole(a), whole(b)) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
            }
        }
        _ => None,
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

type Parsed<T> = Result<T, PredicateError>;

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error(&self, expected: &'static str) -> PredicateError {
        let found = match self.rest().chars().next() {
            None => "the end".to_owned(),
            Some(_) => {
                let word: String =
                    self.rest().chars().take_while(|c| !c.is_whitespace()).take(20).collect();
                format!("{word:?}")
            }
        };
        PredicateError { offset: self.at, expected, found }
    }

    fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Takes a sign if it is next.
    fn sign(&mut self, sign: &str) -> bool {
        self.blanks();
        let is_next = self.rest().starts_with(sign);
        if is_next {
            self.at += sign.len();
        }
        is_next
    }

    /// Takes a word if it is next and ends there.
    fn keyword(&mut self, word: &str) -> bool {
        self.blanks();
        let behind = self.rest().strip_prefix(word);
        let is_next = behind.is_some_and(|rest| !rest.starts_with(in_word));
        if is_next {
            self.at += word.len();
        }
        is_next
    }

    fn or(&mut self) -> Parsed<Expr> {
        let mut all = vec![self.and()?];
        while self.sign("||") {
            all.push(self.and()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expr::Or(all) })
    }

    fn and(&mut self) -> Parsed<Expr> {
        let mut all = vec![self.not()?];
        while self.sign("&&") {
            all.push(self.not()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expr::And(all) })
    }

    fn not(&mut self) -> Parsed<Expr> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("fewer than 64 nested parentheses and negations"));
        }
        let expr = if self.sign("!") {
            Expr::Not(Box::new(self.not()?))
        } else if self.sign("(") {
            let expr = self.or()?;
            match self.sign(")") {
                true => expr,
                false => return Err(self.error("an operator or \")\"")),
            }
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn test(&mut self) -> Parsed<Expr> {
        let path = self.path()?;
        let test = if self.sign("==") {
            Test::Equal(self.value()?)
        } else if self.sign("!=") {
            let test = Expr::Test(path, Test::Equal(self.value()?));
            return Ok(Expr::Not(Box::new(test)));
        } else if let Some(sign) = ["<=", ">=", "<", ">"].into_iter().find(|it| self.sign(it)) {
            Test::Order(sign, self.value()?)
        } else if self.keyword("contains") {
            Test::Contains(self.value()?)
        } else if self.keyword("starts_with") {
            Test::StartsWith(text_of(&self.value()?))
        } else if self.keyword("ends_with") {
            Test::EndsWith(text_of(&self.value()?))
        } else if self.keyword("exists") {
            Test::Exists
        } else if self.keyword("in") {
            Test::In(self.list()?)
        } else {
            Test::Holds
        };
        Ok(Expr::Test(path, test))
    }

    fn list(&mut self) -> Parsed<Vec<Value>> {
        if !self.sign("(") {
            return Err(self.error("\"(\" and values"));
        }
        let mut all = vec![self.value()?];
        while self.sign(",") {
            all.push(self.value()?);
        }
        match self.sign(")") {
            true => Ok(all),
            false => Err(self.error("\",\" or \")\"")),
        }
    }

    fn path(&mut self) -> Parsed<Vec<Step>> {
        self.blanks();
        let mut path = vec![Step::Name(self.name()?)];
        loop {
            // No blanks: they end a path.
            if self.rest().starts_with('.') {
                self.at += 1;
                path.push(Step::Name(self.name()?));
            } else if self.rest().starts_with('[') {
                self.at += 1;
                self.blanks();
                let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
                let step = if self.sign("*") {
                    Step::Any
                } else if digits > 0 {
                    let index = self.rest()[..digits].parse();
                    let index = index.map_err(|_| self.error("a smaller index"))?;
                    self.at += digits;
                    Step::Index(index)
                } else if self.rest().starts_with(['"', '\'']) {
                    Step::Name(self.string()?)
                } else {
                    return Err(self.error("an index, \"*\" or a name in quotes"));
                };
                if !self.sign("]") {
                    return Err(self.error("\"]\""));
                }
                path.push(step);
            } else {
                return Ok(path);
            }
        }
    }

    fn name(&mut self) -> Parsed<String> {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'));
        let name = &rest[..end.unwrap_or(rest.len())];
        if name.is_empty() {
            return Err(self.error("the name of a member"));
        }
        self.at += name.len();
        Ok(name.to_owned())
    }

    fn value(&mut self) -> Parsed<Value> {
        self.blanks();
        let rest = self.rest();
        if rest.starts_with(['"', '\'']) {
            return Ok(Value::String(self.string()?));
        }
        let word = &rest[..rest.find(|c: char| !in_word(c)).unwrap_or(rest.len())];
        if word.is_empty() {
            return Err(self.error("a value: a text in quotes, a number or a word"));
        }
        self.at += word.len();
        // Numbers, true, false and null are as in JSON; all else is a text.
        Ok(serde_json::from_str(word).unwrap_or_else(|_| Value::String(word.to_owned())))
    }

    fn string(&mut self) -> Parsed<String> {
        let rest = self.rest();
        let quote = if rest.starts_with('\'') { '\'' } else { '"' };
        let mut is_escaped = false;
        let end = rest[1..].find(|c| {
            let ends = c == quote && !is_escaped;
            is_escaped = c == '\\' && !is_escaped && quote == '"';
            ends
        });
        let Some(end) = end.map(|end| end + 1) else {
            let offset = self.at + rest.len();
            let expected = if quote == '"' { "a closing \"" } else { "a closing '" };
            return Err(PredicateError { offset, expected, found: "the end".to_owned() });
        };
        let text = match quote {
            '"' => serde_json::from_str(&rest[..=end])
                .map_err(|_| self.error("a text with the escapes of JSON"))?,
            _ => rest[1..end].to_owned(),
        };
        self.at += end + 1;
        Ok(text)
    }
}

/// What a word may consist of: names, kinds, hex, links without signs of the grammar.
fn in_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '#' | '/' | '@' | '+' | '~')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record() -> Value {
        json!({
            "type": "chat_message", "clock": 18_446_744_073_709_551_615_u64, "pow": 0.5, "id": "7",
            "payload": { "text": "say \"x\" to ż", "empty": "", "odd name": 1, "none": null },
            "layers": [{ "kind": "a", "ok": false }, { "kind": "b", "ok": true, "n": [1, [2]] }],
        })
    }

    #[test]
    fn predicates_hold() {
        let record = record();
        for (expr, holds) in [
            ("type==chat_message && payload.text contains \"x\"", true),
            ("type == 'chat_message' && !(payload.text contains 'q')", true),
            ("type != chat_message || clock > 18446744073709551614", true),
            ("clock < 18446744073709551615", false),
            ("clock >= 1.5 && pow <= .5 || pow == 0.50", true),
            ("id == 7 && id == '7' && id in (6, 7)", true),
            ("id > 6", false),
            ("type in (text, bytes)", false),
            ("payload.text contains \"\\\"x\\\" to \\u017c\"", true),
            ("payload[\"odd name\"] == 1", true),
            ("payload.none", false),
            ("payload.none exists && payload.none == null", true),
            ("payload.nothing exists", false),
            ("payload.nothing != 3", true),
            ("payload.nothing < 3 || !payload.nothing", true),
            ("layers[1].kind == b && layers[1].ok", true),
            ("layers[*].kind == a && layers[*].kind == b", true),
            ("layers[*].kind == c", false),
            ("layers[7] exists", false),
            ("layers[*].n contains 1 && layers[1].n[1][0] == 2", true),
            ("payload contains text", true),
            ("type starts_with chat_ && type ends_with message", true),
            // Negation binds to what is next, "and" before "or".
            ("!type exists || type == chat_message", true),
            ("type == a && type == b || id == 7", true),
            ("type == a && (type == b || id == 7)", false),
        ] {
            let predicate =
                Predicate::parse(expr).unwrap_or_else(|error| panic!("{expr}: {error}"));
            assert_eq!(predicate.holds(&record), holds, "{expr}");
        }
    }

    #[test]
    fn errors_say_where_and_what() {
        for (expr, offset, expected) in [
            ("", 0, "the name of a member"),
            ("type ==", 7, "a value"),
            ("type == \"x", 10, "a closing \""),
            ("type == 'x", 10, "a closing '"),
            ("type = x", 5, "an operator"),
            ("type == x y", 10, "an operator"),
            ("(type == x", 10, "an operator or \")\""),
            ("a[b] == 1", 2, "an index"),
            ("a[99999999999999999999]", 2, "a smaller index"),
            ("a[1", 3, "\"]\""),
            ("a. b", 2, "the name of a member"),
            ("a in b", 5, "\"(\" and values"),
            ("a in (b c)", 8, "\",\" or \")\""),
            ("a == \"\\q\"", 5, "a text with the escapes"),
            ("ż && ", 6, "the name of a member"),
        ] {
            let error = Predicate::parse(expr).unwrap_err();
            assert_eq!(error.offset, offset, "{expr}: {error}");
            assert!(error.expected.starts_with(expected), "{expr}: {error}");
        }
    }

    #[test]
    fn work_is_bounded() {
        let deep = format!("{}a{}", "(".repeat(100_000), ")".repeat(100_000));
        assert_eq!(Predicate::parse(&deep).unwrap_err().offset, MAX_LENGTH);
        let deep = format!("{}a", "!".repeat(1000));
        assert!(Predicate::parse(&deep).unwrap_err().expected.contains("64"));
        let wide = format!("a{}", " || a".repeat(2000));
        assert!(!Predicate::parse(&wide).unwrap().holds(&json!({})));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[a-z!()&|=<>\\[\\]*.\"'\\\\ ż0-9]{0,40}") {
            if let Ok(predicate) = Predicate::parse(&text) {
                predicate.holds(&record());
            }
        }
    }
}
