//! EIP-1581: keys that are not for wallets, at `m/43'/60'/1581'/key_type'/key_index`.
//!
//! Type 0 is the chat key. An index above 31 bits is split over several levels, all but the last
//! of them hardened.

use crate::account::path::{ChildIndex, DerivationPath, MAX_DEPTH};

/// Chat keys.
pub const CHAT: u32 = 0;

/// The path of the key of `key_type` at `index`, which is one number below 2^31, or the parts of
/// a larger one. `None` without an index, when a number is 2^31 or more, or the path too long.
pub fn path(key_type: u32, index: &[u32]) -> Option<DerivationPath> {
    let (last, before) = index.split_last()?;
    if before.len() + 5 > MAX_DEPTH {
        return None;
    }
    let mut steps = DerivationPath::EIP1581_ROOT.steps().to_vec();
    steps.push(ChildIndex::hardened(key_type)?);
    for part in before {
        steps.push(ChildIndex::hardened(*part)?);
    }
    steps.push(ChildIndex::normal(*last)?);
    DerivationPath::from_steps(steps).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Address, ExtendedPrivateKey, Mnemonic};

    /// Path, private key, address; of the phrase of eleven times "abandon" and "about".
    const CASES: [[&str; 3]; 4] = [
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
    fn keys_of_the_reference() {
        let phrase: Mnemonic = format!("{}about", "abandon ".repeat(11)).parse().unwrap();
        let master = ExtendedPrivateKey::from_seed(&phrase.to_seed("")).unwrap();
        for [path, key, address] in CASES {
            let derived = master.derive(&path.parse().unwrap()).unwrap();
            assert_eq!(derived.secret_key(), &key.parse().unwrap(), "{path}");
            assert_eq!(Address::from_key(&derived.public_key()).to_string(), address);
        }
    }

    #[test]
    fn paths_of_types_and_indexes() {
        let text = |key_type, index: &[u32]| path(key_type, index).map(|path| path.to_string());
        assert_eq!(path(CHAT, &[0]), Some(DerivationPath::CHAT));
        assert_eq!(
            text(4, &[1469833213, 1555737549]).as_deref(),
            Some("m/43'/60'/1581'/4'/1469833213'/1555737549")
        );
        assert_eq!(text(CHAT, &[]), None);
        assert_eq!(text(CHAT, &[1 << 31]), None);
        assert_eq!(text(1 << 31, &[0]), None);
        assert_eq!(text(CHAT, &[0; 252]), None);
        assert!(text(CHAT, &[0; 251]).is_some());
    }
}
