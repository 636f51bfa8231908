//! The distance of two nodes: the exclusive or of their ids.

use std::cmp::Ordering;

use crate::devp2p::NodeId;

/// Returns the number of the highest bit in which two ids differ: 1 to 256, or 0 if they are equal.
pub fn log_distance(a: &NodeId, b: &NodeId) -> u16 {
    let mut bits = 256;
    for (a, b) in a.0.iter().zip(&b.0) {
        let zeros = (a ^ b).leading_zeros() as u16;
        bits -= zeros;
        if zeros < 8 {
            break;
        }
    }
    bits
}

/// Compares how far two ids are from a target. `Less` if `a` is nearer.
pub fn compare(target: &NodeId, a: &NodeId, b: &NodeId) -> Ordering {
    let distance = |id: &NodeId| -> [u8; 32] { std::array::from_fn(|i| id.0[i] ^ target.0[i]) };
    distance(a).cmp(&distance(b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nearer_nodes_have_no_greater_logarithm(target: [u8; 32], a: [u8; 32], b: [u8; 32]) {
            let (target, a, b) = (NodeId(target), NodeId(a), NodeId(b));
            prop_assert_eq!(log_distance(&a, &b), log_distance(&b, &a));
            let (to_a, to_b) = (log_distance(&target, &a), log_distance(&target, &b));
            if compare(&target, &a, &b) == Ordering::Less {
                prop_assert!(to_a <= to_b);
            }
            prop_assert_eq!(compare(&target, &a, &b), compare(&target, &b, &a).reverse());
        }
    }
}
