//! Derivation paths (BIP32, BIP43, BIP44, EIP-1581) and the named paths of Status.
//!
//! Paths are written as usual: `m/44'/60'/0'/0/0`, with `'`, `h` or `H` for hardened components.
//!
//! [`DerivationPath::parse_like_reference`] reproduces a bug of the reference's parser: **a
//! hardened last component is lost**, so `m/43'/60'/1581'` gives the key of `m/43'/60'`. Only the
//! address and key file that old apps stored for the EIP-1581 root depend on it.

use std::{fmt, str::FromStr};

use crate::explain::Explanation;

/// The bit that marks a hardened index.
const HARDENED: u32 = 1 << 31;

/// The maximum number of components: an extended key stores its depth in one byte.
const MAX_DEPTH: usize = 255;

/// One component of a path: an index below 2^31, hardened or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildIndex(u32);

impl ChildIndex {
    /// Returns a plain index, which public keys can derive. `None` if `index` is 2^31 or more.
    pub const fn normal(index: u32) -> Option<Self> {
        if index < HARDENED { Some(Self(index)) } else { None }
    }

    /// Returns a hardened index, which needs the private key. `None` if `index` is 2^31 or more.
    pub const fn hardened(index: u32) -> Option<Self> {
        if index < HARDENED { Some(Self(index | HARDENED)) } else { None }
    }

    /// Reads the 32 bits of an extended key; the top bit marks a hardened index.
    pub(super) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Returns the 32 bits that are hashed and stored.
    pub(crate) const fn to_bits(self) -> u32 {
        self.0
    }

    /// Whether this index needs the private key.
    pub const fn is_hardened(self) -> bool {
        self.0 & HARDENED != 0
    }

    /// Returns the index without its hardened mark.
    pub const fn number(self) -> u32 {
        self.0 & !HARDENED
    }
}

impl fmt::Display for ChildIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.number(), if self.is_hardened() { "'" } else { "" })
    }
}

/// What is wrong with a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The text is empty.
    #[error("the path is empty; the master key is written m")]
    Empty,
    /// An invalid component.
    #[error("position {at} of the path: expected {expected}, got {}", shown(.got))]
    Component {
        /// Counted from 1, in characters.
        at: usize,
        expected: &'static str,
        /// The character at that position; `None` at the end of the text.
        got: Option<char>,
    },
    /// An index of 2^31 or more.
    #[error("position {at} of the path: an index must be below 2^31 (2147483648)")]
    IndexRange { at: usize },
    /// More components than a depth byte can count.
    #[error("the path has more than {MAX_DEPTH} components")]
    TooDeep,
}

impl PathError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "path.empty",
            Self::Component { .. } => "path.component",
            Self::IndexRange { .. } => "path.index_range",
            Self::TooDeep => "path.depth",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "path.empty",
            rule: "The path of the key itself is m.",
            source: "BIP32",
            causes: "An empty variable.",
        },
        Explanation {
            code: "path.component",
            rule: "A path is m and numbers between slashes, with ' behind those that are hardened: m/44'/60'/0'/0/0.",
            source: "BIP32; BIP44",
            causes: "The shell removed the ': put the path in double quotes.",
        },
        Explanation {
            code: "path.index_range",
            rule: "An index is below 2^31; the hardened ones are written with '.",
            source: "BIP32",
            causes: "2147483692 in place of 44'.",
        },
        Explanation {
            code: "path.depth",
            rule: "Depth is one byte: 255 levels.",
            source: "BIP32",
            causes: "A path that was built in a loop.",
        },
    ];
}

/// A path from a key to one of its descendants; at most 255 steps.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DerivationPath(Steps);

/// Named paths are constants, the others are on the heap.
#[derive(Clone)]
enum Steps {
    Named(&'static [ChildIndex]),
    Owned(Vec<ChildIndex>),
}

const fn n(index: u32) -> ChildIndex {
    ChildIndex(index)
}

const fn h(index: u32) -> ChildIndex {
    ChildIndex(index | HARDENED)
}

impl DerivationPath {
    /// `m`: the key itself.
    pub const MASTER: Self = Self(Steps::Named(&[]));
    /// `m/44'/60'/0'/0`: parent of the wallet accounts (`wallet-root-address`).
    pub const WALLET_ROOT: Self = Self(Steps::Named(&[h(44), h(60), h(0), n(0)]));
    /// `m/44'/60'/0'/0/0`: the first wallet account. Before multi-account support it was also
    /// the chat key.
    pub const WALLET: Self = Self(Steps::Named(&[h(44), h(60), h(0), n(0), n(0)]));
    /// `m/43'/60'/1581'`: root of the non-wallet keys (`eip1581-address`).
    pub const EIP1581_ROOT: Self = Self(Steps::Named(&[h(43), h(60), h(1581)]));
    /// `m/43'/60'`: what the reference derives for [`Self::EIP1581_ROOT`].
    pub const EIP1581_ROOT_OF_REFERENCE: Self = Self(Steps::Named(&[h(43), h(60)]));
    /// `m/43'/60'/1581'/0'/0`: the chat key, also the Whisper identity (`path-whisper`).
    pub const CHAT: Self = Self(Steps::Named(&[h(43), h(60), h(1581), h(0), n(0)]));
    /// `m/43'/60'/1581'/1'/0`: the encryption key of keycard accounts. Its public key is the
    /// database password (`encryption-public-key`).
    pub const ENCRYPTION: Self = Self(Steps::Named(&[h(43), h(60), h(1581), h(1), n(0)]));

    /// The named paths of the app.
    pub const NAMED: [(&'static str, Self); 6] = [
        ("master", Self::MASTER),
        ("wallet-root", Self::WALLET_ROOT),
        ("wallet", Self::WALLET),
        ("eip1581-root", Self::EIP1581_ROOT),
        ("chat", Self::CHAT),
        ("encryption", Self::ENCRYPTION),
    ];

    /// Returns `m/44'/60'/0'/0/index`, a wallet account. `None` if `index` is 2^31 or more.
    pub fn wallet(index: u32) -> Option<Self> {
        let mut steps = Self::WALLET_ROOT.steps().to_vec();
        steps.push(ChildIndex::normal(index)?);
        Some(Self(Steps::Owned(steps)))
    }

    /// Returns `m/43'/60'/1581'/key_type'/index`, a non-wallet key (EIP-1581). Chat keys have
    /// type 0.
    ///
    /// An index of more than 31 bits is split into several parts, all hardened but the last.
    /// `None` without an index, if a number is 2^31 or more, or if the path is too long.
    pub fn eip1581(key_type: u32, index: &[u32]) -> Option<Self> {
        let (last, before) = index.split_last()?;
        if before.len() + 5 > MAX_DEPTH {
            return None;
        }
        let mut steps = Self::EIP1581_ROOT.steps().to_vec();
        for hardened in std::iter::once(&key_type).chain(before) {
            steps.push(ChildIndex::hardened(*hardened)?);
        }
        steps.push(ChildIndex::normal(*last)?);
        Some(Self(Steps::Owned(steps)))
    }

    /// Builds a path from its components.
    ///
    /// # Errors
    /// If there are more than 255.
    pub fn from_steps(steps: Vec<ChildIndex>) -> Result<Self, PathError> {
        if steps.len() > MAX_DEPTH {
            return Err(PathError::TooDeep);
        }
        Ok(Self(Steps::Owned(steps)))
    }

    /// Returns the components, starting with the child of the starting key.
    pub fn steps(&self) -> &[ChildIndex] {
        match &self.0 {
            Steps::Named(steps) => steps,
            Steps::Owned(steps) => steps,
        }
    }

    /// Whether a step needs a private key.
    pub fn is_hardened(&self) -> bool {
        self.steps().iter().any(|step| step.is_hardened())
    }

    /// Returns the path that the reference derives: without a hardened last component.
    pub fn as_reference(&self) -> Self {
        match self.steps() {
            [before @ .., last] if last.is_hardened() => Self(Steps::Owned(before.to_vec())),
            _ => self.clone(),
        }
    }

    /// Reads a path as the reference does: only `'` marks a hardened component, an empty text is
    /// the key itself, and a hardened last component is lost, even if it is 2^31 or more.
    ///
    /// # Errors
    /// If the reference rejects the text, too.
    pub fn parse_like_reference(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Ok(Self::MASTER);
        }
        let parsed = parse(text, |c| c == '\'');
        if let Err(PathError::IndexRange { .. }) = parsed
            && let Some(text) = text.strip_suffix('\'')
        {
            let (before, last) = text.rsplit_once('/').unwrap_or(("m", text));
            if !last.is_empty() && last.bytes().all(|digit| digit.is_ascii_digit()) {
                return parse(before, |c| c == '\'');
            }
        }
        Ok(parsed?.as_reference())
    }
}

/// Reads a name of [`DerivationPath::NAMED`], or components with or without a leading `m`, `.` or
/// `..`.
impl FromStr for DerivationPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        if let Some((_, path)) = Self::NAMED.into_iter().find(|(name, _)| *name == text) {
            return Ok(path);
        }
        parse(text, |c| matches!(c, '\'' | 'h' | 'H'))
    }
}

impl fmt::Display for DerivationPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("m")?;
        self.steps().iter().try_for_each(|step| write!(f, "/{step}"))
    }
}

impl fmt::Debug for DerivationPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DerivationPath({self})")
    }
}

impl Default for Steps {
    fn default() -> Self {
        Self::Named(&[])
    }
}

impl AsRef<[ChildIndex]> for Steps {
    fn as_ref(&self) -> &[ChildIndex] {
        match self {
            Self::Named(steps) => steps,
            Self::Owned(steps) => steps,
        }
    }
}

impl PartialEq for Steps {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Steps {}

impl PartialOrd for Steps {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Steps {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_ref().cmp(other.as_ref())
    }
}

impl std::hash::Hash for Steps {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_ref().hash(state);
    }
}

/// Parses an optional start (`m`, `.`, `..`), then numbers with an optional mark, separated by
/// slashes.
fn parse(text: &str, is_mark: impl Fn(char) -> bool) -> Result<DerivationPath, PathError> {
    let mut chars = text.chars().enumerate().peekable();
    let place = |next: Option<&(usize, char)>| match next {
        Some((at, c)) => (at + 1, Some(*c)),
        None => (text.chars().count() + 1, None),
    };
    let wrong = |next: Option<&(usize, char)>, expected| {
        let (at, got) = place(next);
        PathError::Component { at, expected, got }
    };
    if chars.next_if(|(_, c)| *c == 'm').is_some() || chars.next_if(|(_, c)| *c == '.').is_some() {
        if text.starts_with('.') {
            chars.next_if(|(_, c)| *c == '.');
        }
        match chars.next() {
            None => return Ok(DerivationPath::MASTER),
            Some((_, '/')) => {}
            next => return Err(wrong(next.as_ref(), "/")),
        }
    }
    let mut steps = Vec::new();
    loop {
        let at = place(chars.peek()).0;
        let mut index: Option<u32> = None;
        while let Some(digit) = chars.peek().and_then(|(_, c)| c.to_digit(10)) {
            let next = index.unwrap_or(0).checked_mul(10).and_then(|i| i.checked_add(digit));
            index = Some(next.filter(|i| *i < HARDENED).ok_or(PathError::IndexRange { at })?);
            chars.next();
        }
        let Some(index) = index else { return Err(wrong(chars.peek(), "a number")) };
        let marked = chars.next_if(|(_, c)| is_mark(*c)).is_some();
        if steps.len() == MAX_DEPTH {
            return Err(PathError::TooDeep);
        }
        steps.push(if marked { h(index) } else { n(index) });
        match chars.next() {
            None => return Ok(DerivationPath(Steps::Owned(steps))),
            Some((_, '/')) => {}
            next if marked => return Err(wrong(next.as_ref(), "/")),
            next => return Err(wrong(next.as_ref(), "a digit, ' or /")),
        }
    }
}

fn shown(got: &Option<char>) -> String {
    got.map_or_else(|| "the end of the text".to_owned(), |c| format!("{c:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Address, ExtendedPrivateKey, Mnemonic};

    #[test]
    fn components_that_the_reference_drops_may_be_too_large() {
        let read = |text: &str| DerivationPath::parse_like_reference(text).map(|it| it.to_string());
        for (text, path) in [
            ("m/2147483648'", "m"),
            ("2147483648'", "m"),
            ("m/1/99999999999999999999'", "m/1"),
            ("../0'/2147483648'", "m/0'"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(path), "{text}");
            assert!(matches!(text.parse::<DerivationPath>(), Err(PathError::IndexRange { .. })));
        }
        for text in ["m/2147483648", "m/2147483648'/1'", "/2147483648'", "m/2147483648''"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn named_paths_match_their_texts() {
        for (path, text) in [
            (DerivationPath::MASTER, "m"),
            (DerivationPath::WALLET_ROOT, "m/44'/60'/0'/0"),
            (DerivationPath::WALLET, "m/44'/60'/0'/0/0"),
            (DerivationPath::wallet(7).unwrap(), "m/44'/60'/0'/0/7"),
            (DerivationPath::EIP1581_ROOT, "m/43'/60'/1581'"),
            (DerivationPath::EIP1581_ROOT_OF_REFERENCE, "m/43'/60'"),
            (DerivationPath::CHAT, "m/43'/60'/1581'/0'/0"),
            (DerivationPath::ENCRYPTION, "m/43'/60'/1581'/1'/0"),
        ] {
            assert_eq!(path.to_string(), text);
            assert_eq!(text.parse(), Ok(path));
        }
        for (name, path) in DerivationPath::NAMED {
            assert_eq!(name.parse(), Ok(path));
        }
        assert_eq!(
            DerivationPath::EIP1581_ROOT.as_reference(),
            DerivationPath::EIP1581_ROOT_OF_REFERENCE
        );
        assert_eq!(DerivationPath::CHAT.as_reference(), DerivationPath::CHAT);
    }

    #[test]
    fn marks_and_starts() {
        let path: DerivationPath = "m/1'/2".parse().unwrap();
        for text in ["m/1h/2", "m/1H/2", "1'/2", "./1'/2", "../1'/2", "m/001'/2"] {
            assert_eq!(text.parse(), Ok(path.clone()), "{text}");
        }
        assert!(path.is_hardened());
        assert!(!"m/1/2".parse::<DerivationPath>().unwrap().is_hardened());
    }

    #[test]
    fn errors_say_where() {
        let error = |text: &str| text.parse::<DerivationPath>().unwrap_err();
        assert_eq!(error(""), PathError::Empty);
        assert_eq!(error("m/1/"), PathError::Component { at: 5, expected: "a number", got: None });
        assert_eq!(error("m/2147483648"), PathError::IndexRange { at: 3 });
        assert_eq!(error("m/1''").code(), "path.component");
        for bad in ["m/", "M/1", "/1", "m//1", "m/x", "m/-1", "m/1'2", "m1", "...", "m/1 ", "é"] {
            assert_eq!(error(bad).code(), "path.component", "{bad}");
        }
        assert_eq!(error(&format!("m{}", "/1".repeat(256))), PathError::TooDeep);
        assert_eq!(error(&"1/".repeat(50_000_000)), PathError::TooDeep);
        assert!(format!("m{}", "/1".repeat(255)).parse::<DerivationPath>().is_ok());
    }

    /// Path, private key and address for the phrase of eleven "abandon" and "about".
    const EIP1581: [[&str; 3]; 4] = [
        [
            "m/43'/60'/1581'/0'/0",
            "20e61d44eb73cb7d5ff4526bac8c0b96451d8e018b2d6c79022e7ce3b583a754",
            "0x5173cfDdE36D0D6f3b3F3B1E59872bFC50102fA2",
        ],
        [
            "m/43'/60'/1581'/0'/1",
            "938ca637487cb77d8663651059f1e24913c7db8c8ef32fb59733e450505ca656",
            "0x9E4023784AA02b0f015aC3Fd44f63344F4A48c6a",
        ],
        [
            "m/43'/60'/1581'/1'/0",
            "b827e4218e20d197e0de00fe3a55612ceb3bd8f5eed42f2ccb922ff28d5232e5",
            "0x1c3ac71aACfedE112eB2011A5A3083640368e66E",
        ],
        [
            "m/43'/60'/1581'/4'/1469833213'/1555737549",
            "5ca48bc8afdfd6f3ee9c3752fd7ed57c8e459451cfc064bed55feb0cee5bad02",
            "0xC88cE0D4A59FDDbD769F06dcEE34f690A6b658B1",
        ],
    ];

    #[test]
    fn eip1581_keys_match_the_reference() {
        let phrase: Mnemonic = format!("{}about", "abandon ".repeat(11)).parse().unwrap();
        let master = ExtendedPrivateKey::from_seed(&phrase.to_seed("")).unwrap();
        for [path, key, address] in EIP1581 {
            let derived = master.derive(&path.parse().unwrap()).unwrap();
            assert_eq!(derived.secret_key(), &key.parse().unwrap(), "{path}");
            assert_eq!(Address::from_key(&derived.public_key()).to_string(), address);
        }
    }

    #[test]
    fn eip1581_paths_have_a_type_and_an_index() {
        let path = DerivationPath::eip1581;
        let text = |key_type, index: &[u32]| path(key_type, index).map(|path| path.to_string());
        assert_eq!(path(0, &[0]), Some(DerivationPath::CHAT));
        assert_eq!(
            text(4, &[1469833213, 1555737549]).as_deref(),
            Some("m/43'/60'/1581'/4'/1469833213'/1555737549")
        );
        assert_eq!(text(0, &[]), None);
        assert_eq!(text(0, &[1 << 31]), None);
        assert_eq!(text(1 << 31, &[0]), None);
        assert_eq!(text(0, &[0; 252]), None);
        assert!(text(0, &[0; 251]).is_some());
    }
}
