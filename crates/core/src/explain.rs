//! What error codes mean. Each type of errors explains its codes where it is defined.

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
