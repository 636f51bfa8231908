//! What every error code means.

mod account;
mod config;
mod conversation;
mod discovery;
mod eip;
mod inspect;
mod mailserver;
mod names;
mod network;
mod payload;
mod tools;
mod whisper;

/// What an error code means.
#[derive(Debug)]
pub struct Explanation {
    /// As in `envelope.low_pow`.
    pub code: &'static str,
    /// The rule that was broken.
    pub rule: &'static str,
    /// Where the rule comes from.
    pub source: &'static str,
    /// What the usual causes are, and what to try.
    pub causes: &'static str,
}

/// All error codes of the tools, layer by layer.
pub fn explanations() -> impl Iterator<Item = &'static Explanation> {
    [
        whisper::CODES,
        network::CODES,
        discovery::CODES,
        account::CODES,
        eip::CODES,
        names::CODES,
        payload::CODES,
        conversation::CODES,
        mailserver::CODES,
        config::CODES,
        inspect::CODES,
        tools::CODES,
    ]
    .into_iter()
    .flatten()
}
