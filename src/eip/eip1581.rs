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
