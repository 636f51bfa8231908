//! Names under `stateofus.eth`, which Status gives to its users.

use statuskit_core::explain::Explanation;

use super::Name;

/// The domain of Status.
pub const DOMAIN: &str = "stateofus.eth";

/// Why a user name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UsernameError {
    #[error("the user name is empty")]
    Empty,
    /// Another character than `a` to `z` and `0` to `9`.
    #[error("a user name has small letters and digits only; {0:?} is neither")]
    Character(char),
    /// Anyone may take its deposit: it could be mistaken for an address.
    #[error("a user name that begins as an address (0x…) has at most 12 characters")]
    Address,
}

impl UsernameError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "ens.username_empty",
            Self::Character(_) => "ens.username_character",
            Self::Address => "ens.username_address",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "ens.username_empty",
            rule: "A user name of Status has at least one character.",
            source: "Status, usernames",
            causes: "Nothing before .stateofus.eth.",
        },
        Explanation {
            code: "ens.username_character",
            rule: "A user name of Status has only small letters and digits.",
            source: "Status, usernames",
            causes: "Capitals, or a hyphen.",
        },
        Explanation {
            code: "ens.username_address",
            rule: "A user name of more than 12 characters does not begin with 0x and five hex digits.",
            source: "Status, usernames",
            causes: "Anyone may take the deposit of such a name: it looks like an address.",
        },
    ];
}

/// Checks a user name: the label in front of `.stateofus.eth`.
///
/// The contract also has a list of reserved names, and a least length: only it knows them.
///
/// # Errors
/// If the name can't be registered.
pub fn check_username(label: &str) -> Result<(), UsernameError> {
    /// From this length on, the contract looks for addresses.
    const LONG: usize = 12;
    /// The digits behind `0x` that make an address.
    const DIGITS: usize = 5;
    if label.is_empty() {
        return Err(UsernameError::Empty);
    }
    let is_allowed = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if let Some(c) = label.chars().find(|c| !is_allowed(c)) {
        return Err(UsernameError::Character(c));
    }
    let digits = label.strip_prefix("0x").and_then(|rest| rest.get(..DIGITS));
    let is_hex = digits.is_some_and(|it| it.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if label.len() > LONG && is_hex { Err(UsernameError::Address) } else { Ok(()) }
}

/// Completes what a user types: `@alice` and `@alice.stateofus.eth` are `alice.stateofus.eth`. Texts
/// without `@` stay as they are.
pub fn full_name(text: &str) -> String {
    match text.strip_prefix('@') {
        Some(name) if name.contains('.') => name.to_owned(),
        Some(name) => format!("{name}.{DOMAIN}"),
        None => text.to_owned(),
    }
}

/// Returns the user name of a name directly under the domain of Status.
pub fn username(name: &Name) -> Option<&str> {
    let label = name.as_str().strip_suffix(DOMAIN)?.strip_suffix('.')?;
    (!label.contains('.')).then_some(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_are_checked() {
        for name in ["andrey", "andrey12", "0x12345abcde", "0xzzzzzzzzzzzzzz", "a"] {
            assert_eq!(check_username(name), Ok(()), "{name}");
        }
        for (name, error) in [
            ("", UsernameError::Empty),
            ("Andrey", UsernameError::Character('A')),
            ("an_drey", UsernameError::Character('_')),
            ("andrey.eth", UsernameError::Character('.')),
            ("é", UsernameError::Character('é')),
            ("0x12345abcdefg", UsernameError::Address),
        ] {
            assert_eq!(check_username(name), Err(error), "{name}");
        }
    }

    #[test]
    fn names_are_completed() {
        for (text, name) in [
            ("@alice", "alice.stateofus.eth"),
            ("@alice.stateofus.eth", "alice.stateofus.eth"),
            ("@bob.eth", "bob.eth"),
            ("eth", "eth"),
        ] {
            assert_eq!(full_name(text), name);
        }
        let of = |text: &str| username(&text.parse().unwrap()).map(str::to_owned);
        assert_eq!(of("alice.stateofus.eth"), Some("alice".into()));
        assert_eq!((of("a.b.stateofus.eth"), of("stateofus.eth"), of("b.eth")), (None, None, None));
    }
}
