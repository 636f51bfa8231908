//! Errors that are answers.

/// Malformed JSON.
pub const PARSE: i32 = -32700;
/// No call.
pub const INVALID_REQUEST: i32 = -32600;
/// A method that is not there.
pub const NO_METHOD: i32 = -32601;
/// Wrong parameters.
pub const INVALID_PARAMS: i32 = -32602;
/// The method itself failed.
pub const SERVER: i32 = -32000;
/// An answer that is too large. The number is that of later nodes of go-ethereum.
pub const TOO_LARGE: i32 = -32003;

/// An error of JSON-RPC: its code and its text, which clients show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// One of JSON-RPC 2.0, section 5.1, or -32000.
    pub code: i32,
    /// The text.
    pub message: String,
}

impl RpcError {
    /// Any error.
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A method that failed.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(SERVER, message)
    }

    /// Parameters that can't be read.
    pub(crate) fn params(message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, message)
    }

    pub(crate) fn no_method(name: &str) -> Self {
        Self::new(NO_METHOD, format!("the method {name} does not exist/is not available"))
    }

    pub(crate) fn invalid_request() -> Self {
        Self::new(INVALID_REQUEST, "invalid request")
    }
}
