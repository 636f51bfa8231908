//! EIP-181: names of addresses, under `addr.reverse`.
//!
//! A reverse name is only a claim: it counts if the name's own address is the one that was asked for.

use crate::{
    Address,
    eip137::{Name, NameError},
};

/// Returns the name under which the name of an address is kept: its digits, then `.addr.reverse`.
pub fn reverse_name(address: &Address) -> String {
    format!("{}.addr.reverse", address.to_plain_hex())
}

/// Returns the node of an address.
pub fn reverse_node(address: &Address) -> [u8; 32] {
    let name: Result<Name, NameError> = reverse_name(address).parse();
    // Digits and small letters are always a name.
    name.map(|name| name.node()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_the_reference() {
        let address: Address = "0x25f480D647E580a824A01672294D68bf3fF12c0d".parse().unwrap();
        assert_eq!(reverse_name(&address), "25f480d647e580a824a01672294d68bf3ff12c0d.addr.reverse");
        assert_eq!(
            hex::encode(reverse_node(&address)),
            "8401ca850fd53bdf73aa0a916218574fda5e511e758fe52b85c0f0f0acc17c8a"
        );
    }
}
