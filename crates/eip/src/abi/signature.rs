//! Signatures of functions and events, from their texts.

use std::{fmt, str::FromStr};

use statuskit_core::crypto::keccak256;

use super::{AbiError, AbiErrorKind, MAX_DEPTH, MAX_SIGNATURE, Type, types::write_list};
use crate::text::excerpt;

/// A parameter of a function or event, or a member of a tuple.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Parameter {
    /// Its name; may be empty.
    pub name: String,
    /// Its type.
    pub kind: Type,
    /// Whether it is a topic of an event.
    pub is_indexed: bool,
}

/// A function of a contract. Written as its canonical signature: `transfer(address,uint256)`.
///
/// Read from the same, or from a declaration in Solidity:
/// `function balanceOf(address owner) view returns (uint256)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The parameters.
    pub inputs: Vec<Parameter>,
    /// What it returns, as far as the text says.
    pub outputs: Vec<Parameter>,
}

/// An event of a contract. Written as its canonical signature: `Transfer(address,address,uint256)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// The parameters.
    pub inputs: Vec<Parameter>,
    /// Whether logs don't have the topic of the signature.
    pub is_anonymous: bool,
}

impl Function {
    /// Returns the first four bytes of the Keccak-256 of the signature.
    pub fn selector(&self) -> [u8; 4] {
        let hash = keccak256(self.to_string().as_bytes());
        [hash[0], hash[1], hash[2], hash[3]]
    }
}

impl Event {
    /// Returns the Keccak-256 of the signature: the first topic of a log.
    pub fn topic(&self) -> [u8; 32] {
        keccak256(self.to_string().as_bytes())
    }
}

impl FromStr for Function {
    type Err = AbiError;

    fn from_str(text: &str) -> Result<Self, AbiError> {
        let mut parser = Parser::new(text)?;
        parser.skip_word(&["function"]);
        let name = parser.name()?;
        let inputs = parser.list(0)?;
        let mut outputs = Vec::new();
        while let Some(word) = parser.word() {
            match word {
                "returns" => outputs = parser.list(0)?,
                "external" | "public" | "internal" | "private" | "view" | "pure" | "payable"
                | "nonpayable" | "constant" | "virtual" | "override" => {}
                _ => return Err(parser.expected("the end, or words such as view and returns")),
            }
        }
        parser.end()?;
        Ok(Self { name, inputs, outputs })
    }
}

impl FromStr for Event {
    type Err = AbiError;

    fn from_str(text: &str) -> Result<Self, AbiError> {
        let mut parser = Parser::new(text)?;
        parser.skip_word(&["event"]);
        let name = parser.name()?;
        let inputs = parser.list(0)?;
        let is_anonymous = parser.skip_word(&["anonymous"]);
        parser.end()?;
        Ok(Self { name, inputs, is_anonymous })
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        write_list(f, &self.inputs)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        write_list(f, &self.inputs)
    }
}

/// Reads the grammar of signatures.
pub(super) struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Result<Self, AbiError> {
        if text.len() > MAX_SIGNATURE {
            return Err(AbiErrorKind::TooLong.at(MAX_SIGNATURE));
        }
        Ok(Self { text, at: 0 })
    }

    pub(super) fn whole_type(mut self) -> Result<Type, AbiError> {
        let kind = self.kind(0)?;
        self.end()?;
        Ok(kind)
    }

    /// Reads a list of parameters in parentheses.
    pub(super) fn list(&mut self, depth: usize) -> Result<Vec<Parameter>, AbiError> {
        if !self.skip('(') {
            return Err(self.expected("("));
        }
        let mut list = Vec::new();
        if self.skip(')') {
            return Ok(list);
        }
        loop {
            list.push(self.parameter(depth)?);
            if self.skip(')') {
                return Ok(list);
            }
            if !self.skip(',') {
                return Err(self.expected(", or )"));
            }
        }
    }

    fn parameter(&mut self, depth: usize) -> Result<Parameter, AbiError> {
        let kind = self.kind(depth)?;
        let mut is_indexed = false;
        let mut name = "";
        while let Some(word) = self.word() {
            match word {
                "indexed" if !is_indexed => is_indexed = true,
                "memory" | "calldata" | "storage" | "payable" => {}
                _ => {
                    name = word;
                    break;
                }
            }
        }
        Ok(Parameter { name: name.to_owned(), kind, is_indexed })
    }

    fn kind(&mut self, depth: usize) -> Result<Type, AbiError> {
        if depth > MAX_DEPTH {
            return Err(AbiErrorKind::Depth.at(self.at));
        }
        self.space();
        let start = self.at;
        let mut kind = match self.peek() {
            Some('(') => Type::Tuple(self.list(depth + 1)?),
            _ => match self.word() {
                Some("tuple") => Type::Tuple(self.list(depth + 1)?),
                Some(word) => {
                    elementary(word).ok_or_else(|| AbiErrorKind::Type(excerpt(word)).at(start))?
                }
                None => return Err(self.expected("a type")),
            },
        };
        let mut levels = depth;
        while self.peek() == Some('[') {
            self.at += 1;
            levels += 1;
            if levels > MAX_DEPTH {
                return Err(AbiErrorKind::Depth.at(self.at));
            }
            let rest = &self.text[self.at..];
            let Some((digits, _)) = rest.split_once(']') else {
                return Err(self.expected("]"));
            };
            kind = match digits {
                "" => Type::Array(Box::new(kind)),
                _ => {
                    let length = length(digits).ok_or_else(|| self.expected("a length, or ]"))?;
                    Type::FixedArray(Box::new(kind), length)
                }
            };
            self.at += digits.len() + 1;
        }
        Ok(kind)
    }

    fn name(&mut self) -> Result<String, AbiError> {
        match self.word() {
            Some(name) => Ok(name.to_owned()),
            None => Err(self.expected("a name")),
        }
    }

    /// Reads letters, digits, `_` and `$`.
    fn word(&mut self) -> Option<&'a str> {
        self.space();
        let rest = &self.text[self.at..];
        let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$');
        let end = rest.find(|c| !is_letter(c)).unwrap_or(rest.len());
        self.at += end;
        (end > 0).then_some(&rest[..end])
    }

    fn skip_word(&mut self, words: &[&str]) -> bool {
        let before = self.at;
        let found = self.word().is_some_and(|word| words.contains(&word));
        // A function may be called `event`.
        if !found || self.peek() == Some('(') {
            self.at = before;
            return false;
        }
        true
    }

    fn skip(&mut self, expected: char) -> bool {
        self.space();
        let found = self.peek() == Some(expected);
        self.at += usize::from(found);
        found
    }

    fn end(&mut self) -> Result<(), AbiError> {
        let _ = self.skip(';');
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.expected("the end")) }
    }

    fn space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn expected(&self, what: &'static str) -> AbiError {
        AbiErrorKind::Signature(what).at(self.at)
    }
}

fn length(digits: &str) -> Option<u64> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    (plain && (digits == "0" || !digits.starts_with('0'))).then(|| digits.parse().ok())?
}

fn elementary(word: &str) -> Option<Type> {
    let bits = |digits| length(digits).filter(|bits| (8..=256).contains(bits) && bits % 8 == 0);
    Some(match word {
        "uint" => Type::Uint(256),
        "int" => Type::Int(256),
        "address" => Type::Address,
        "bool" => Type::Bool,
        "bytes" => Type::Bytes,
        "byte" => Type::FixedBytes(1),
        "string" => Type::String,
        "function" => Type::Function,
        _ => {
            if let Some(digits) = word.strip_prefix("uint") {
                Type::Uint(bits(digits)? as u16)
            } else if let Some(digits) = word.strip_prefix("int") {
                Type::Int(bits(digits)? as u16)
            } else {
                let size = length(word.strip_prefix("bytes")?)?;
                Type::FixedBytes((1..=32).contains(&size).then_some(size as u8)?)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_become_canonical() {
        for (text, canonical, selector) in [
            ("transfer(address,uint256)", "transfer(address,uint256)", "a9059cbb"),
            (
                "function transfer(address to, uint amount) external returns (bool);",
                "transfer(address,uint256)",
                "a9059cbb",
            ),
            (" balanceOf ( address payable owner ) view ", "balanceOf(address)", "70a08231"),
            ("supportsInterface(bytes4)", "supportsInterface(bytes4)", "01ffc9a7"),
            ("totalSupply()", "totalSupply()", "18160ddd"),
            // The examples of the specification.
            ("baz(uint32,bool)", "baz(uint32,bool)", "cdcd77c0"),
            ("bar(bytes3[2])", "bar(bytes3[2])", "fce353f6"),
            ("sam(bytes,bool,uint[])", "sam(bytes,bool,uint256[])", "a5643bf2"),
            ("f(uint,uint32[],bytes10,bytes)", "f(uint256,uint32[],bytes10,bytes)", "8be65246"),
            ("g(uint[][],string[])", "g(uint256[][],string[])", "2289b18c"),
        ] {
            let function: Function = text.parse().unwrap();
            assert_eq!(function.to_string(), canonical);
            assert_eq!(hex::encode(function.selector()), selector, "{text}");
        }
        let function: Function =
            "f(tuple(uint a, (bytes x, int8[2] y)[] b)[3] memory t, function cb) returns (bool ok)"
                .parse()
                .unwrap();
        assert_eq!(function.to_string(), "f((uint256,(bytes,int8[2])[])[3],function)");
        assert_eq!(function.outputs[0].name, "ok");
        let Type::FixedArray(item, 3) = &function.inputs[0].kind else { panic!() };
        let Type::Tuple(members) = &**item else { panic!() };
        assert_eq!(members[1].name, "b");
        assert_eq!("function event(uint8)".parse::<Function>().unwrap().name, "event");
        assert_eq!("function(uint8)".parse::<Function>().unwrap().name, "function");
    }

    #[test]
    fn events() {
        let event: Event =
            "event Transfer(address indexed from, address indexed to, uint256 value)"
                .parse()
                .unwrap();
        assert_eq!(
            hex::encode(event.topic()),
            "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
        );
        assert_eq!(event.inputs.iter().filter(|input| input.is_indexed).count(), 2);
        assert!("E(uint8) anonymous".parse::<Event>().unwrap().is_anonymous);
    }

    #[test]
    fn what_is_no_signature() {
        for (text, code, at) in [
            ("", "abi.signature", 0),
            ("f", "abi.signature", 1),
            ("f(", "abi.signature", 2),
            ("f(uint7)", "abi.type", 2),
            ("f(uint264)", "abi.type", 2),
            ("f(uint08)", "abi.type", 2),
            ("f(bytes0)", "abi.type", 2),
            ("f(bytes33)", "abi.type", 2),
            ("f(bool,)", "abi.signature", 7),
            ("f(bool,Foo x)", "abi.type", 7),
            ("f(bool[)", "abi.signature", 7),
            ("f(bool[-1])", "abi.signature", 7),
            ("f(bool[18446744073709551616])", "abi.signature", 7),
            ("f(bool) yes", "abi.signature", 11),
            ("f(bool))", "abi.signature", 7),
            ("f(żółć)", "abi.signature", 2),
        ] {
            let error = text.parse::<Function>().unwrap_err();
            assert_eq!((error.kind.code(), error.at), (code, Some(at)), "{text}");
        }
        let deep = format!("f({}bool{})", "(".repeat(1000), ")".repeat(1000));
        assert_eq!(deep.parse::<Function>().unwrap_err().kind, AbiErrorKind::Depth);
        let deep = format!("bool{}", "[]".repeat(1000));
        assert_eq!(deep.parse::<Type>().unwrap_err().kind, AbiErrorKind::Depth);
        let long = "x".repeat(MAX_SIGNATURE + 1);
        assert_eq!(long.parse::<Type>().unwrap_err().kind, AbiErrorKind::TooLong);
        assert_eq!("bool[9][4294967296]".parse::<Type>().unwrap().head_size(), 288 << 32);
        let huge = format!("bool{}", "[4294967296]".repeat(5)).parse::<Type>().unwrap();
        assert_eq!(huge.head_size(), u64::MAX);
    }
}
