//! EIP-1193, EIP-1102 and EIP-945: the messages between a web page and the provider of a wallet.
//!
//! A page asks with `request({method, params})`. The draft of March 2020 had `send(method, params)`,
//! here a list of the two, and pages of before called `enable()`. Answers are results or errors with
//! codes. Events have a name and data; the draft had other names for some.

use serde_json::{Map, Value as Json, json};

use statuskit_core::explain::Explanation;

use crate::{Address, text::excerpt};

/// The longest message that is read, in bytes.
pub const MAX_MESSAGE: usize = 4 << 20;

/// Why a text is not a message of a provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// More than [`MAX_MESSAGE`] bytes.
    #[error("a message of {got} bytes; the limit is {MAX_MESSAGE}")]
    TooLong { got: usize },
    /// Not JSON.
    #[error("not JSON: {message}")]
    Json { message: String, column: usize },
    /// Neither a request, nor an answer, nor an event.
    #[error("no message of a provider: expected a method, a result, an error, or an event")]
    Unknown,
    /// A member of another type.
    #[error("{member} is {got}; expected {expected}")]
    Member { member: &'static str, expected: &'static str, got: String },
    /// A name of no event.
    #[error("{0:?} is no event of a provider")]
    Event(String),
}

impl ProviderError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "provider.too_long",
            Self::Json { .. } => "provider.json",
            Self::Unknown => "provider.unknown",
            Self::Member { .. } => "provider.member",
            Self::Event(_) => "provider.event",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "provider.too_long",
            rule: "A message has at most 4 MiB.",
            source: "bounds of this program",
            causes: "Something else was pasted.",
        },
        Explanation {
            code: "provider.json",
            rule: "A message is JSON.",
            source: "EIP-1193; JSON-RPC 2.0",
            causes: "Quotes were lost in the shell.",
        },
        Explanation {
            code: "provider.unknown",
            rule: "A message has a method, a result, an error, a code, or an event.",
            source: "EIP-1193",
            causes: "A record of another kind.",
        },
        Explanation {
            code: "provider.member",
            rule: "A method is a name, parameters are a list or an object, codes are whole numbers.",
            source: "EIP-1193; JSON-RPC 2.0",
            causes: "The message names the member.",
        },
        Explanation {
            code: "provider.event",
            rule: "The events are accountsChanged, chainChanged, connect, disconnect and message; in the draft also networkChanged, close and notification.",
            source: "EIP-1193",
            causes: "An event of one wallet only.",
        },
    ];
}

/// An edition of the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edition {
    /// The final text, of June 2020: `request({method, params})`.
    Final,
    /// The draft of March 2020, and older pages: `send(method, params)`, `enable()`.
    Draft,
}

/// A message.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// A page asks.
    Request(Request),
    /// The wallet answers with a result.
    Result { id: Option<Json>, result: Json },
    /// The wallet answers with an error.
    Error { id: Option<Json>, error: RpcError },
    /// The wallet tells that something changed.
    Event(Event),
}

/// A request of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Of JSON-RPC below the provider.
    pub id: Option<Json>,
    pub method: String,
    /// A list or an object.
    pub params: Option<Json>,
    /// In which edition it was written.
    pub edition: Edition,
}

/// An error of a wallet.
#[derive(Debug, Clone, PartialEq)]
pub struct RpcError {
    pub code: i64,
    pub message: String,
    pub data: Option<Json>,
}

/// An event of a wallet.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub name: EventName,
    pub data: Json,
}

/// The events, those of the draft last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventName {
    AccountsChanged,
    ChainChanged,
    Connect,
    Disconnect,
    Message,
    /// Draft: the network id in decimal.
    NetworkChanged,
    /// Draft: the connection is lost.
    Close,
    /// Draft: news of a subscription.
    Notification,
}

/// The codes of EIP-1193, with their names and meanings.
pub const ERROR_CODES: [(i64, &str, &str); 5] = [
    (4001, "User Rejected Request", "The user refused, as when accounts are asked for (EIP-1102)."),
    (4100, "Unauthorized", "The user has not allowed this method or account."),
    (4200, "Unsupported Method", "The provider does not have this method."),
    (4900, "Disconnected", "The provider is connected to no chain."),
    (4901, "Chain Disconnected", "The provider is not connected to the chain of the request."),
];

/// The codes of JSON-RPC and EIP-1474 below the provider.
const RPC_CODES: [(i64, &str, &str); 11] = [
    (-32700, "Parse error", "The request is not JSON."),
    (-32600, "Invalid request", "The JSON is no request."),
    (-32601, "Method not found", "The node does not have this method."),
    (-32602, "Invalid params", "The parameters do not fit the method."),
    (-32603, "Internal error", "The node failed."),
    (-32000, "Invalid input", "A parameter is missing or wrong."),
    (-32001, "Resource not found", "What was asked for does not exist."),
    (-32002, "Resource unavailable", "Try again later: the user may have a request open."),
    (-32003, "Transaction rejected", "The transaction was not sent."),
    (-32004, "Method not supported", "The method is known, but not there."),
    (-32005, "Limit exceeded", "The request exceeds a limit."),
];

/// Returns the name and the meaning of an error code.
pub fn explain_code(code: i64) -> Option<(&'static str, &'static str)> {
    let all = ERROR_CODES.iter().chain(&RPC_CODES);
    all.copied().find(|(known, ..)| *known == code).map(|(_, name, meaning)| (name, meaning))
}

/// Methods with the standard that describes them.
const METHODS: [(&str, &str, &str); 19] = [
    ("eth_requestAccounts", "EIP-1102", "asks the user for the accounts; refused with 4001"),
    (
        "enable",
        "EIP-1102",
        "asks the user for the accounts, as pages did before eth_requestAccounts",
    ),
    ("eth_accounts", "EIP-1474", "lists the accounts that the user has shown; none before"),
    ("eth_chainId", "EIP-695", "asks for the chain id, in hex"),
    ("net_version", "EIP-1474", "asks for the network id, in decimal"),
    ("eth_coinbase", "EIP-1474", "asks for the first account"),
    ("eth_sendTransaction", "EIP-1474", "asks the user to sign and send a transaction"),
    ("eth_signTransaction", "EIP-1474", "asks the user to sign a transaction"),
    ("eth_call", "EIP-1474", "calls a contract without a transaction"),
    ("eth_estimateGas", "EIP-1474", "asks how much gas a transaction takes"),
    ("eth_getBalance", "EIP-1474", "asks for the ether of an address"),
    ("eth_sign", "EIP-1474", "asks the user to sign bytes; wallets warn or refuse"),
    ("personal_sign", "EIP-191", "asks the user to sign a message"),
    ("eth_signTypedData", "EIP-712", "asks the user to sign typed data"),
    ("eth_signTypedData_v3", "EIP-712", "asks the user to sign typed data without arrays"),
    ("eth_signTypedData_v4", "EIP-712", "asks the user to sign typed data"),
    ("eth_subscribe", "EIP-1474", "asks for news, which come as messages"),
    ("eth_unsubscribe", "EIP-1474", "ends a subscription"),
    (
        "wallet_scanQRCode",
        "EIP-945",
        "asks the user to scan a QR code; the text is handed over as it is",
    ),
];

impl EventName {
    const ALL: [(Self, &'static str); 8] = [
        (Self::AccountsChanged, "accountsChanged"),
        (Self::ChainChanged, "chainChanged"),
        (Self::Connect, "connect"),
        (Self::Disconnect, "disconnect"),
        (Self::Message, "message"),
        (Self::NetworkChanged, "networkChanged"),
        (Self::Close, "close"),
        (Self::Notification, "notification"),
    ];

    /// Finds an event by its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(event, _)| *event)
    }

    /// Returns the name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(event, _)| *event == self).map_or("", |(_, name)| name)
    }

    /// Returns the edition that has it.
    pub fn edition(self) -> Edition {
        match self {
            Self::NetworkChanged | Self::Close | Self::Notification => Edition::Draft,
            _ => Edition::Final,
        }
    }
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// If it is not JSON, or no message, or a member has another type.
    pub fn parse(text: &str) -> Result<Self, ProviderError> {
        if text.len() > MAX_MESSAGE {
            return Err(ProviderError::TooLong { got: text.len() });
        }
        let json: Json = serde_json::from_str(text).map_err(|error| ProviderError::Json {
            message: error.to_string(),
            column: error.column(),
        })?;
        Self::from_json(&json)
    }

    /// Reads a message.
    ///
    /// # Errors
    /// If it is no message, or a member has another type.
    pub fn from_json(json: &Json) -> Result<Self, ProviderError> {
        match json {
            Json::Array(parts) => match &parts[..] {
                [Json::String(method)] => Ok(Self::Request(Request::draft(method, None))),
                [
                    Json::String(method),
                    params @ (Json::Array(_) | Json::Object(_) | Json::Null),
                ] => {
                    let params = (!params.is_null()).then(|| params.clone());
                    Ok(Self::Request(Request::draft(method, params)))
                }
                _ => Err(ProviderError::Unknown),
            },
            Json::Object(members) => Self::from_members(members),
            _ => Err(ProviderError::Unknown),
        }
    }

    fn from_members(members: &Map<String, Json>) -> Result<Self, ProviderError> {
        let id = members.get("id").filter(|id| !id.is_null()).cloned();
        if let Some(name) = members.get("event") {
            let name = name.as_str().ok_or_else(|| wrong("event", "a name", name))?;
            let data = members.get("data").cloned().unwrap_or(Json::Null);
            return Event::new(name, data).map(Self::Event);
        }
        if let Some(method) = members.get("method") {
            let method = method.as_str().ok_or_else(|| wrong("method", "a name", method))?;
            let params = match members.get("params") {
                None | Some(Json::Null) => None,
                Some(params @ (Json::Array(_) | Json::Object(_))) => Some(params.clone()),
                Some(other) => return Err(wrong("params", "a list or an object", other)),
            };
            // News of a subscription, as nodes send them.
            if let ("eth_subscription", None, Some(data)) = (method, &id, &params) {
                let data = json!({ "type": method, "data": data });
                return Event::new("message", data).map(Self::Event);
            }
            let edition = if method == "enable" { Edition::Draft } else { Edition::Final };
            let method = method.to_owned();
            return Ok(Self::Request(Request { id, method, params, edition }));
        }
        if let Some(error) = members.get("error").filter(|error| !error.is_null()) {
            let inner = error.as_object().ok_or_else(|| wrong("error", "an object", error))?;
            return Ok(Self::Error { id, error: RpcError::from_members(inner)? });
        }
        if let Some(result) = members.get("result") {
            return Ok(Self::Result { id, result: result.clone() });
        }
        // What a rejected promise holds.
        if members.contains_key("code") {
            return Ok(Self::Error { id, error: RpcError::from_members(members)? });
        }
        Err(ProviderError::Unknown)
    }

    /// Writes the message as an edition has it: requests as the page passes them, answers in
    /// JSON-RPC, events with name and data.
    pub fn to_json(&self, edition: Edition) -> Json {
        match self {
            Self::Request(request) => request.to_json(edition),
            Self::Result { id, result } => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Self::Error { id, error } => {
                json!({ "jsonrpc": "2.0", "id": id, "error": error.to_json() })
            }
            Self::Event(event) => {
                let event = event.to_edition(edition);
                json!({ "event": event.name.name(), "data": event.data })
            }
        }
    }

    /// Returns the standard that describes it.
    pub fn standard(&self) -> &'static str {
        match self {
            Self::Request(request) => request.known().map_or("EIP-1193", |(standard, _)| standard),
            _ => "EIP-1193",
        }
    }

    /// Says in a sentence what it means.
    pub fn explain(&self) -> String {
        match self {
            Self::Request(request) => match request.known() {
                Some((_, meaning)) => format!("The page {meaning}."),
                None => format!("The page asks for {}.", excerpt(&request.method)),
            },
            Self::Result { result, .. } => match result {
                Json::Array(items) if !items.is_empty() && items.iter().all(is_address) => {
                    format!("The user shows {} account(s).", items.len())
                }
                _ => "The wallet answers with a result.".to_owned(),
            },
            Self::Error { error, .. } => match explain_code(error.code) {
                Some((name, meaning)) => format!("{name}. {meaning}"),
                None => format!("The code {} is of no standard.", error.code),
            },
            Self::Event(event) => event.explain(),
        }
    }

    /// Returns what does not follow the standard.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        match self {
            Self::Request(request) if request.edition == Edition::Draft => {
                notes.push("written as in the draft of March 2020, or before".to_owned());
            }
            Self::Error { error, .. } if error.message.is_empty() => {
                notes.push("the error has no message, which the standard demands".to_owned());
            }
            Self::Event(event) => notes.extend(event.notes()),
            _ => {}
        }
        notes
    }
}

impl Request {
    fn draft(method: &str, params: Option<Json>) -> Self {
        Self { id: None, method: method.to_owned(), params, edition: Edition::Draft }
    }

    fn known(&self) -> Option<(&'static str, &'static str)> {
        let found = METHODS.iter().find(|(name, ..)| *name == self.method);
        found.map(|(_, standard, meaning)| (*standard, *meaning))
    }

    fn to_json(&self, edition: Edition) -> Json {
        let method = match (edition, &*self.method) {
            (Edition::Final, "enable") => "eth_requestAccounts",
            (Edition::Draft, "eth_requestAccounts") => "enable",
            (_, method) => method,
        };
        match (edition, &self.id) {
            (Edition::Draft, _) => match &self.params {
                Some(params) => json!([method, params]),
                None => json!([method]),
            },
            (Edition::Final, id) => {
                let mut members = Map::new();
                if let Some(id) = id {
                    members.insert("jsonrpc".to_owned(), "2.0".into());
                    members.insert("id".to_owned(), id.clone());
                }
                members.insert("method".to_owned(), method.into());
                members.extend(self.params.clone().map(|params| ("params".to_owned(), params)));
                members.into()
            }
        }
    }
}

impl RpcError {
    /// Makes an error with the message of its standard.
    pub fn new(code: i64) -> Self {
        let message = explain_code(code).map_or("", |(name, _)| name).to_owned();
        Self { code, message, data: None }
    }

    fn from_members(members: &Map<String, Json>) -> Result<Self, ProviderError> {
        let code = members.get("code").unwrap_or(&Json::Null);
        let code = code.as_i64().ok_or_else(|| wrong("code", "a whole number", code))?;
        let message = match members.get("message") {
            None | Some(Json::Null) => String::new(),
            Some(Json::String(text)) => text.clone(),
            Some(other) => return Err(wrong("message", "a text", other)),
        };
        Ok(Self { code, message, data: members.get("data").cloned() })
    }

    fn to_json(&self) -> Json {
        let mut members = Map::new();
        members.insert("code".to_owned(), self.code.into());
        members.insert("message".to_owned(), self.message.clone().into());
        members.extend(self.data.clone().map(|data| ("data".to_owned(), data)));
        members.into()
    }
}

impl Event {
    /// Makes an event.
    ///
    /// # Errors
    /// If the standard has no event of the name.
    pub fn new(name: &str, data: Json) -> Result<Self, ProviderError> {
        let known = EventName::from_name(name);
        let name = known.ok_or_else(|| ProviderError::Event(excerpt(name)))?;
        Ok(Self { name, data })
    }

    /// Translates the event to an edition, as far as that has it.
    #[must_use]
    pub fn to_edition(&self, edition: Edition) -> Self {
        let (name, data) = match (edition, self.name) {
            (Edition::Final, EventName::NetworkChanged) => match network_id(&self.data) {
                Some(id) => (EventName::ChainChanged, json!(format!("0x{id:x}"))),
                None => (self.name, self.data.clone()),
            },
            (Edition::Final, EventName::Close) => (EventName::Disconnect, self.data.clone()),
            (Edition::Final, EventName::Notification) => {
                (EventName::Message, json!({ "type": "eth_subscription", "data": self.data }))
            }
            (Edition::Draft, EventName::Disconnect) => (EventName::Close, self.data.clone()),
            (Edition::Draft, EventName::Message) => {
                let inner = self.data.get("data").unwrap_or(&self.data);
                (EventName::Notification, inner.clone())
            }
            (_, name) => (name, self.data.clone()),
        };
        Self { name, data }
    }

    fn explain(&self) -> String {
        match self.name {
            EventName::AccountsChanged => match self.data.as_array().map_or(0, Vec::len) {
                0 => "The wallet shows no account any more.".to_owned(),
                count => format!("The wallet now shows {count} account(s)."),
            },
            EventName::ChainChanged => match chain_id(&self.data) {
                Some(id) => format!("The wallet changed to chain {id}."),
                None => "The wallet changed to another chain.".to_owned(),
            },
            EventName::NetworkChanged => match network_id(&self.data) {
                Some(id) => {
                    format!("The wallet changed to network {id} (old form of chainChanged).")
                }
                None => "The wallet changed to another network.".to_owned(),
            },
            EventName::Connect => "The wallet can answer requests now.".to_owned(),
            EventName::Disconnect => "The wallet can't answer requests any more.".to_owned(),
            EventName::Close => {
                "The wallet can't answer requests any more (old form of disconnect).".to_owned()
            }
            EventName::Message => "News for the page, such as of a subscription.".to_owned(),
            EventName::Notification => "News of a subscription (old form of message).".to_owned(),
        }
    }

    fn notes(&self) -> Option<String> {
        let expected = match self.name {
            EventName::AccountsChanged => {
                let items = self.data.as_array();
                items
                    .is_none_or(|items| !items.iter().all(is_address))
                    .then_some("a list of addresses")
            }
            EventName::ChainChanged => {
                chain_id(&self.data).is_none().then_some("a chain id in hex without leading zeros")
            }
            EventName::NetworkChanged => {
                network_id(&self.data).is_none().then_some("a network id in decimal")
            }
            EventName::Connect => {
                let id = self.data.get("chainId");
                (!self.data.is_null() && id.and_then(chain_id).is_none())
                    .then_some("an object with chainId in hex")
            }
            EventName::Disconnect => {
                let code = self.data.get("code");
                code.and_then(Json::as_i64).is_none().then_some("an error with a code")
            }
            EventName::Message => {
                let kind = self.data.get("type");
                kind.and_then(Json::as_str).is_none().then_some("an object with type and data")
            }
            EventName::Close | EventName::Notification => None,
        };
        expected.map(|expected| format!("the data is not as it should be: expected {expected}"))
    }
}

fn wrong(member: &'static str, expected: &'static str, got: &Json) -> ProviderError {
    ProviderError::Member { member, expected, got: excerpt(&got.to_string()) }
}

fn is_address(json: &Json) -> bool {
    json.as_str().is_some_and(|text| text.starts_with("0x") && text.parse::<Address>().is_ok())
}

fn chain_id(json: &Json) -> Option<u64> {
    let digits = json.as_str()?.strip_prefix("0x")?;
    let is_shortest = digits == "0" || !digits.starts_with(['0', '+']);
    u64::from_str_radix(digits, 16).ok().filter(|_| is_shortest)
}

fn network_id(json: &Json) -> Option<u64> {
    match json {
        Json::String(text) if text.bytes().all(|it| it.is_ascii_digit()) => text.parse().ok(),
        Json::Number(number) => number.as_u64(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Message {
        Message::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn both_editions_of_requests() {
        let new = r#"{"method":"eth_requestAccounts"}"#;
        for text in [new, r#"["enable"]"#, r#"{"method":"enable"}"#] {
            let message = parse(text);
            assert_eq!(message.standard(), "EIP-1102");
            assert_eq!(message.to_json(Edition::Final).to_string(), new);
            assert_eq!(message.to_json(Edition::Draft).to_string(), r#"["enable"]"#);
        }
        let rpc = r#"{"jsonrpc":"2.0","id":7,"method":"personal_sign","params":["0x00","0x01"]}"#;
        assert_eq!(parse(rpc).to_json(Edition::Final).to_string(), rpc);
        assert_eq!(
            parse(rpc).to_json(Edition::Draft).to_string(),
            r#"["personal_sign",["0x00","0x01"]]"#
        );
        assert_eq!(parse(rpc).standard(), "EIP-191");
    }

    #[test]
    fn errors_are_explained() {
        for (code, name, _) in ERROR_CODES {
            let text = format!(r#"{{"id":1,"error":{{"code":{code},"message":"no"}}}}"#);
            assert!(parse(&text).explain().starts_with(name));
            assert_eq!(RpcError::new(code).message, name);
        }
        assert_eq!(parse(r#"{"code":4001}"#).notes().len(), 1);
        assert_eq!(parse(r#"{"code":5}"#).explain(), "The code 5 is of no standard.");
    }

    #[test]
    fn both_editions_of_events() {
        for (old, new) in [
            (
                r#"{"event":"networkChanged","data":"100"}"#,
                r#"{"event":"chainChanged","data":"0x64"}"#,
            ),
            (
                r#"{"event":"close","data":{"code":1000}}"#,
                r#"{"event":"disconnect","data":{"code":1000}}"#,
            ),
            (
                r#"{"event":"notification","data":{"subscription":"0x1"}}"#,
                r#"{"event":"message","data":{"type":"eth_subscription","data":{"subscription":"0x1"}}}"#,
            ),
        ] {
            assert_eq!(parse(old).to_json(Edition::Final).to_string(), new);
            assert_eq!(parse(old).to_json(Edition::Draft).to_string(), old);
            assert_eq!(parse(new).notes(), Vec::<String>::new());
        }
        for text in [
            r#"{"event":"chainChanged","data":"0x01"}"#,
            r#"{"event":"chainChanged","data":1}"#,
            r#"{"event":"accountsChanged","data":["0x12"]}"#,
            r#"{"event":"connect","data":{}}"#,
            r#"{"event":"disconnect"}"#,
            r#"{"event":"message","data":1}"#,
        ] {
            assert_eq!(parse(text).notes().len(), 1, "{text}");
        }
        let news =
            r#"{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0x1"}}"#;
        assert!(matches!(parse(news), Message::Event(Event { name: EventName::Message, .. })));
    }

    #[test]
    fn other_texts_are_refused() {
        for (text, code) in [
            ("", "provider.json"),
            ("{}", "provider.unknown"),
            ("[]", "provider.unknown"),
            ("1", "provider.unknown"),
            (r#"["a",1]"#, "provider.unknown"),
            (r#"{"method":1}"#, "provider.member"),
            (r#"{"method":"a","params":1}"#, "provider.member"),
            (r#"{"error":"no"}"#, "provider.member"),
            (r#"{"code":1.5}"#, "provider.member"),
            (r#"{"event":"other"}"#, "provider.event"),
            (&"[".repeat(100_000), "provider.json"),
            (&" ".repeat(MAX_MESSAGE + 1), "provider.too_long"),
        ] {
            assert_eq!(Message::parse(text).unwrap_err().code(), code, "{text:.40}");
        }
    }

    proptest! {
        #[test]
        fn messages_come_back(method in "[a-z_]{1,12}", id: Option<u32>, data in "\\PC{0,12}", code: i32) {
            let request = Request {
                id: id.map(Json::from),
                method: format!("x{method}"),
                params: Some(json!([data])),
                edition: Edition::Final,
            };
            let error = RpcError { code: code.into(), message: data.clone(), data: None };
            for message in [
                Message::Request(request),
                Message::Result { id: id.map(Json::from), result: json!(data) },
                Message::Error { id: id.map(Json::from), error },
            ] {
                prop_assert_eq!(Message::from_json(&message.to_json(Edition::Final)), Ok(message));
            }
        }
    }
}
