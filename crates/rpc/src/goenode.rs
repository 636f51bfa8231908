//! URLs and records of nodes, with the errors of go-ethereum, which clients see.

use std::net::IpAddr;

use data_encoding::BASE64URL_NOPAD;
use statuskit_core::{
    crypto::PublicKey,
    devp2p::{Enode, enode::Host},
    discovery::{Record, RecordError},
};

use crate::json::typed::plain_hex;

/// A node that a client has named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub id: PublicKey,
    /// Where to dial it, if that was said.
    pub enode: Option<Enode>,
}

/// Reads an enode URL or a node record.
///
/// # Errors
/// In the words of go-ethereum.
pub fn read(text: &str) -> Result<Named, String> {
    if text.starts_with("enode://") {
        return read_url(text);
    }
    let Some(encoded) = text.strip_prefix("enr:") else {
        return Err("missing 'enr:' prefix for base64-encoded record".to_owned());
    };
    let mut spec = BASE64URL_NOPAD.specification();
    spec.check_trailing_bits = false;
    let bytes = spec.encoding().ok().and_then(|it| it.decode(encoded.as_bytes()).ok());
    let Some(bytes) = bytes else {
        let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let bad = encoded.bytes().position(|byte| !is_digit(&byte));
        let bad = bad.unwrap_or(encoded.len() - encoded.len() % 4);
        return Err(format!("illegal base64 data at input byte {bad}"));
    };
    match Record::decode(&bytes) {
        Ok(record) => Ok(Named { id: *record.key(), enode: record.enode() }),
        Err(RecordError::TooLarge(_)) => Err("record bigger than 300 bytes".to_owned()),
        Err(RecordError::Rlp(_)) => {
            Err("rlp: value size exceeds available input length".to_owned())
        }
        Err(RecordError::Signature) => Err("invalid signature on node record".to_owned()),
        Err(RecordError::Order(_)) => {
            Err("record key/value pairs are not sorted by key".to_owned())
        }
        Err(RecordError::Duplicate(_)) => Err("record contains duplicate key".to_owned()),
        Err(RecordError::NoValue(_)) => Err("record contains incomplete k/v pair".to_owned()),
        Err(_) => Err("unknown identity scheme".to_owned()),
    }
}

/// Reads an enode URL, or the hex of a public key alone.
///
/// # Errors
/// In the words of go-ethereum.
pub fn read_url(text: &str) -> Result<Named, String> {
    let rest = match text.split_at_checked(8) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("enode://") => Some(rest),
        _ => None,
    };
    let alone = rest.unwrap_or(text);
    if !alone.is_empty() && alone.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Named { id: public_key(alone)?, enode: None });
    }
    let Some(rest) = rest else {
        return Err("invalid URL scheme, want \"enode\"".to_owned());
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.split('/').next().unwrap_or_default();
    let Some((id, address)) = authority.rsplit_once('@') else {
        return Err("does not contain node ID".to_owned());
    };
    let id = public_key(id)?;
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (address, ""),
    };
    let host = host_of(host)?;
    let tcp = port_of(port).ok_or("invalid port")?;
    let udp = query.split('&').find_map(|pair| pair.strip_prefix("discport="));
    let udp = match udp {
        None | Some("") => tcp,
        Some(text) => port_of(text).ok_or("invalid discport in query")?,
    };
    let enode = Enode { id, host, tcp, udp };
    Ok(Named { id, enode: Some(enode) })
}

fn public_key(text: &str) -> Result<PublicKey, String> {
    let wrong = |why: String| format!("invalid public key ({why})");
    let bytes = plain_hex(text).map_err(wrong)?;
    if bytes.len() != 64 {
        return Err(wrong("wrong length, want 128 hex chars".to_owned()));
    }
    PublicKey::from_slice(&bytes).map_err(|_| wrong("invalid secp256k1 public key".to_owned()))
}

/// Reads a host. A name is looked up when it is dialled.
fn host_of(text: &str) -> Result<Host, String> {
    let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(Host::Ip(ip.to_canonical()));
    }
    text.parse().map_err(|_| format!("lookup {text}: no such host"))
}

fn port_of(text: &str) -> Option<u16> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "f4d08ad3aefb6e223317e241b80a6b4023c7d32b3dd63687229792b8bc61cfbe\
                      2a487b9e048f9994a8e7191104515e546c3dedbfdc744e263710ba9f5e46a1dc";

    #[test]
    fn nodes_are_read_as_the_reference_does() {
        let url = format!("enode://{ID}@127.0.0.1:30303");
        assert_eq!(read(&url).unwrap().enode.unwrap().to_string(), url);
        let with_port = format!("{url}?discport=0");
        assert_eq!(read(&with_port).unwrap().enode.unwrap().to_string(), with_port);
        assert_eq!(read(&format!("enode://{ID}")).unwrap().enode, None);
        for (text, error) in [
            ("", "missing 'enr:' prefix for base64-encoded record".to_owned()),
            (
                "enode://zz@1.2.3.4:5",
                "invalid public key (encoding/hex: invalid byte: U+007A 'z')".to_owned(),
            ),
            (
                "enode://12@1.2.3.4:5",
                "invalid public key (wrong length, want 128 hex chars)".to_owned(),
            ),
            (&format!("enode://{ID}@127.0.0.1"), "invalid port".to_owned()),
            (
                &format!("enode://{}@127.0.0.1:1", "1".repeat(128)),
                "invalid public key (invalid secp256k1 public key)".to_owned(),
            ),
            ("enr:-x", "rlp: value size exceeds available input length".to_owned()),
            ("enr:!", "illegal base64 data at input byte 0".to_owned()),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
        assert_eq!(read_url("x"), Err("invalid URL scheme, want \"enode\"".to_owned()));
    }
}
