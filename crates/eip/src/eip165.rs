//! EIP-165: which interfaces a contract has.
//!
//! The id of an interface is the exclusive or of the selectors of its functions. A contract is
//! asked by `supportsInterface(bytes4)`, with 30,000 gas.

use crate::abi::{Function, Strictness, Value, decode};

/// The id of `supportsInterface(bytes4)`, and its selector.
pub const ID: [u8; 4] = [0x01, 0xff, 0xc9, 0xa7];
/// The id that no contract supports.
pub const INVALID: [u8; 4] = [0xff; 4];
/// The gas that a contract may use for its answer.
pub const GAS: u64 = 30_000;

/// A question of the detection, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The call data.
    pub data: Vec<u8>,
    /// The answer of a contract that has the interface.
    pub expected: bool,
}

/// Returns the id of an interface with these functions.
pub fn interface_id(functions: &[Function]) -> [u8; 4] {
    functions.iter().fold([0; 4], |id, function| {
        let selector = function.selector();
        std::array::from_fn(|at| id[at] ^ selector[at])
    })
}

/// Returns the call that asks for an interface.
pub fn call(id: [u8; 4]) -> Vec<u8> {
    let mut data = ID.to_vec();
    data.extend_from_slice(&id);
    data.resize(36, 0);
    data
}

/// Returns the calls that find out whether a contract has an interface: that it has this standard,
/// that it does not claim everything, and the interface itself.
pub fn detection(id: [u8; 4]) -> [Question; 3] {
    [(ID, true), (INVALID, false), (id, true)]
        .map(|(id, expected)| Question { data: call(id), expected })
}

/// Reads the answer to a call: exactly one word, 0 or 1. Anything else is no answer of a contract
/// with this standard.
pub fn read_answer(answer: &[u8]) -> Option<bool> {
    let function: Function = "supportsInterface(bytes4) returns (bool)".parse().ok()?;
    match decode(&function.outputs, answer, Strictness::Strict).ok()?[..] {
        [Value::Bool(answer)] => Some(answer),
        _ => None,
    }
}

/// Returns the answer as a contract encodes it.
pub fn answer(supported: bool) -> Vec<u8> {
    let mut word = vec![0; 32];
    word[31] = u8::from(supported);
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_questions() {
        let [own, invalid, id] = detection([0x80, 0xac, 0x58, 0xcd]);
        let tail = "00".repeat(28);
        assert_eq!(hex::encode(own.data), format!("01ffc9a701ffc9a7{tail}"));
        assert_eq!(hex::encode(invalid.data), format!("01ffc9a7ffffffff{tail}"));
        assert_eq!(hex::encode(id.data), format!("01ffc9a780ac58cd{tail}"));
        assert_eq!((own.expected, invalid.expected, id.expected), (true, false, true));
        assert_eq!(read_answer(&answer(true)), Some(true));
        assert_eq!(read_answer(&answer(false)), Some(false));
        assert_eq!(read_answer(&[]), None);
        assert_eq!(read_answer(&[1; 32]), None);
    }
}
