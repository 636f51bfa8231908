//! Requests taken apart, and answers put together.
//!
//! Source: JSON-RPC 2.0; where that leaves it open, the behaviour of status-go v0.50.2.

use std::borrow::Cow;

use crate::{
    error::{INVALID_PARAMS, RpcError},
    json::{parts, write},
};

/// One message of a client.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Message<'a> {
    /// As it was written.
    id: Option<&'a [u8]>,
    /// Empty if there is none.
    pub method: Cow<'a, str>,
    /// As they were written.
    pub params: Option<&'a [u8]>,
    has_outcome: bool,
}

/// What a message is.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// To be answered.
    Call,
    /// To be done, and not answered.
    Notification,
    /// An answer or a notification of a server: nobody here waits for one.
    Ignored,
    /// None of these.
    Invalid,
}

impl<'a> Message<'a> {
    /// Reads a value. Members of a wrong type are as if absent.
    pub fn read(value: &'a [u8]) -> Self {
        let mut message = Self::default();
        for (name, value) in parts::members(value) {
            let is = |known| parts::is_name(&name, known);
            if is("id") {
                message.id = Some(value);
            } else if is("method") {
                // A null changes nothing, and neither does another type.
                if let Some(method) = parts::string(value) {
                    message.method = method;
                }
            } else if is("params") {
                message.params = Some(value);
            } else if is("result") {
                message.has_outcome = true;
            } else if is("error") {
                message.has_outcome |= value != b"null";
            }
        }
        message
    }

    /// The id, if an answer can have it.
    pub fn id(&self) -> Option<&'a [u8]> {
        self.id.filter(|id| !id.starts_with(b"{") && !id.starts_with(b"["))
    }

    /// Returns what the message is.
    pub fn kind(&self) -> Kind {
        let has_method = !self.method.is_empty();
        match (self.id, self.id()) {
            (None, _) if self.method.ends_with("_subscription") => Kind::Ignored,
            (None, _) if has_method => Kind::Notification,
            (_, Some(_)) if has_method => Kind::Call,
            (_, Some(_)) if self.params.is_none() && self.has_outcome => Kind::Ignored,
            _ => Kind::Invalid,
        }
    }
}

/// Returns the messages of a batch; `None` if the value is no array.
pub fn batch(value: &[u8]) -> Option<impl Iterator<Item = Message<'_>>> {
    value.starts_with(b"[").then(|| parts::elements(value).map(Message::read))
}

/// Appends an answer. `result` is JSON.
pub fn put_answer(out: &mut String, id: Option<&[u8]>, answer: &Result<String, RpcError>) {
    out.push_str("{\"jsonrpc\":\"2.0\",\"id\":");
    match id {
        Some(id) => write::put_raw(out, id),
        None => out.push_str("null"),
    }
    match answer {
        Ok(result) => {
            out.push_str(",\"result\":");
            out.push_str(result);
        }
        Err(RpcError { code, message }) => {
            out.push_str(",\"error\":{\"code\":");
            out.push_str(&code.to_string());
            out.push_str(",\"message\":");
            write::put_string(out, message);
            out.push('}');
        }
    }
    out.push('}');
}

/// Returns an answer with its line break.
pub fn answer(id: Option<&[u8]>, answer: &Result<String, RpcError>) -> String {
    let mut out = String::new();
    put_answer(&mut out, id, answer);
    out.push('\n');
    out
}

/// The parameters of a call, one after the other.
pub struct Params<'a> {
    rest: Box<dyn Iterator<Item = &'a [u8]> + Send + 'a>,
    read: usize,
}

impl<'a> Params<'a> {
    /// Takes the parameters: an array, null or nothing.
    ///
    /// # Errors
    /// If they are something else.
    pub fn new(params: Option<&'a [u8]>) -> Result<Self, RpcError> {
        let array = match params {
            None | Some(b"null") => &b"[]"[..],
            Some(array) if array.starts_with(b"[") => array,
            Some(_) => return Err(RpcError::params("non-array args")),
        };
        Ok(Self { rest: Box::new(parts::elements(array)), read: 0 })
    }

    /// Reads a parameter.
    ///
    /// # Errors
    /// If it is absent, or `read` fails.
    pub fn next<T>(
        &mut self,
        read: impl FnOnce(&'a [u8]) -> Result<T, String>,
    ) -> Result<T, RpcError> {
        let number = self.read;
        let missing = || RpcError::params(format!("missing value for required argument {number}"));
        let value = self.rest.next().ok_or_else(missing)?;
        self.read += 1;
        let wrong = |text| RpcError::params(format!("invalid argument {number}: {text}"));
        read(value).map_err(wrong)
    }

    /// Reads a parameter that may be null or absent.
    ///
    /// # Errors
    /// If `read` fails.
    pub fn next_if_any<T>(
        &mut self,
        read: impl FnOnce(&'a [u8]) -> Result<T, String>,
    ) -> Result<Option<T>, RpcError> {
        let number = self.read;
        self.read += 1;
        match self.rest.next() {
            None | Some(b"null") => Ok(None),
            Some(value) => read(value).map(Some).map_err(|text| {
                RpcError::new(INVALID_PARAMS, format!("invalid argument {number}: {text}"))
            }),
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// If there are more parameters.
    pub fn end(mut self) -> Result<(), RpcError> {
        match self.rest.next() {
            None => Ok(()),
            Some(_) => {
                let most = self.read;
                Err(RpcError::params(format!("too many arguments, want at most {most}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Kind {
        Message::read(text.as_bytes()).kind()
    }

    #[test]
    fn messages_are_told_apart() {
        assert_eq!(kind(r#"{"id":null,"method":"a_b"}"#), Kind::Call);
        assert_eq!(kind(r#"{"ID":0,"METHOD":"a_b"}"#), Kind::Call);
        assert_eq!(kind(r#"{"method":"a_b"}"#), Kind::Notification);
        assert_eq!(kind(r#"{"method":"a_subscription","params":{}}"#), Kind::Ignored);
        assert_eq!(kind(r#"{"id":1,"method":"a_subscription"}"#), Kind::Call);
        assert_eq!(kind(r#"{"id":1,"result":null}"#), Kind::Ignored);
        for text in [
            r#"{"id":1}"#,
            r#"{"id":[],"method":"a_b"}"#,
            r#"{"id":1,"method":5}"#,
            "5",
            "null",
            "[]",
            r#"{"id":1,"error":null}"#,
            r#"{"id":1,"result":5,"params":null}"#,
            r#"{"result":5}"#,
        ] {
            assert_eq!(kind(text), Kind::Invalid, "{text}");
        }
    }

    #[test]
    fn answers_keep_the_id_as_it_was_written() {
        let message = Message::read(br#"{"id": 1.50 ,"id":"<\u00e9" ,"method":"x"}"#);
        let text = answer(message.id(), &Ok("true".to_owned()));
        assert_eq!(text, "{\"jsonrpc\":\"2.0\",\"id\":\"\\u003c\\u00e9\",\"result\":true}\n");
        let text = answer(None, &Err(RpcError::failed("a>b")));
        let expected =
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"a\u003eb"}}"#;
        assert_eq!(text.trim_end(), expected);
    }

    #[test]
    fn parameters_are_counted() {
        let read = |params: &'static [u8]| -> Result<(), RpcError> {
            let mut params = Params::new(Some(params))?;
            params.next(|value| if value == b"1" { Ok(()) } else { Err("bad".to_owned()) })?;
            params.end()
        };
        let text = |params| read(params).map_err(|error| error.message);
        assert_eq!(text(b"[1]"), Ok(()));
        assert_eq!(text(b"[]"), Err("missing value for required argument 0".to_owned()));
        assert_eq!(text(b"null"), Err("missing value for required argument 0".to_owned()));
        assert_eq!(text(b"[2,3]"), Err("invalid argument 0: bad".to_owned()));
        assert_eq!(text(b"[1,3]"), Err("too many arguments, want at most 1".to_owned()));
        assert_eq!(text(b"{}"), Err("non-array args".to_owned()));
    }
}
