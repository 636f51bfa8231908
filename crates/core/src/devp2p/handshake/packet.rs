//! The layouts of auth and ack, in both formats.

use zeroize::Zeroizing;

use crate::{
    crypto::{
        PublicKey, SecretKey, Signature,
        ecies::{self, OVERHEAD},
        keccak256,
    },
    devp2p::handshake::{Format, HandshakeError, MAX_PACKET, Packet, VERSION, signed},
    rlp::{self, Reader, RlpError, RlpErrorKind},
};

/// The content of an auth packet.
#[derive(Debug, Clone)]
pub struct Auth {
    /// The signature of the initiator's ephemeral key, over the static shared secret xor the nonce.
    pub signature: Signature,
    /// The initiator's static key.
    pub key: PublicKey,
    /// The initiator's nonce.
    pub nonce: [u8; 32],
    /// The announced version. 4 for plain packets, which have no such field.
    pub version: u64,
    /// The format of the packet.
    pub format: Format,
}

/// The content of an ack packet.
#[derive(Debug, Clone)]
pub struct Ack {
    /// The responder's ephemeral key.
    pub ephemeral: PublicKey,
    /// The responder's nonce.
    pub nonce: [u8; 32],
    /// The announced version. 4 for plain packets, which have no such field.
    pub version: u64,
    /// The format of the packet.
    pub format: Format,
}

impl Packet {
    /// Returns the size of the plain form, which is also the minimum for EIP-8.
    const fn plain_size(self) -> usize {
        match self {
            Self::Auth => 194 + OVERHEAD,
            Self::Ack => 97 + OVERHEAD,
        }
    }

    fn body_error(self, error: RlpError) -> HandshakeError {
        HandshakeError::Body { packet: self, error }
    }

    fn key(self, what: &'static str, xy: &[u8; 64]) -> Result<PublicKey, HandshakeError> {
        PublicKey::from_slice(xy).map_err(|error| HandshakeError::Key { packet: self, what, error })
    }
}

impl Auth {
    /// Opens a complete packet with the recipient's static key.
    ///
    /// # Errors
    ///
    /// If the packet is not exactly one auth for this key.
    pub fn open(key: &SecretKey, packet: &[u8]) -> Result<Self, HandshakeError> {
        let opened = Incoming::complete(Packet::Auth, key, packet)?;
        Self::parse(opened.format, &opened.body)
    }

    /// Recovers the initiator's ephemeral key from the signature.
    ///
    /// # Errors
    ///
    /// If no key can be recovered.
    pub fn ephemeral(&self, key: &SecretKey) -> Result<PublicKey, HandshakeError> {
        self.signature
            .recover(&signed(&key.ecdh(&self.key), &self.nonce))
            .map_err(HandshakeError::Signature)
    }

    pub(super) fn parse(format: Format, body: &[u8]) -> Result<Self, HandshakeError> {
        let packet = Packet::Auth;
        let (signature, key, nonce, version) = match format {
            Format::Plain => {
                let mut body = body;
                let signature = fixed(packet, &mut body, "signature")?;
                // The hash of the ephemeral key is not needed, since the signature gives the key.
                let _: [u8; 32] = fixed(packet, &mut body, "hash")?;
                let key = fixed(packet, &mut body, "static key")?;
                (signature, key, fixed(packet, &mut body, "nonce")?, VERSION)
            }
            Format::Eip8 => {
                let read = |body| -> rlp::Result<_> {
                    let mut list = Reader::new(body).list("auth")?;
                    let signature = list.bytes("signature")?;
                    let key = list.bytes("static key")?;
                    let fields = (signature, key, list.bytes("nonce")?, list.u64("version")?);
                    skip_rest(list)?;
                    Ok(fields)
                };
                read(body).map_err(|error| packet.body_error(error))?
            }
        };
        let key = packet.key("the static key", &key)?;
        Ok(Self { signature: Signature::from_bytes(signature), key, nonce, version, format })
    }

    pub(super) fn body(&self, ephemeral: &PublicKey, padding: usize) -> Vec<u8> {
        let mut body = Vec::with_capacity(194 + padding);
        match self.format {
            Format::Plain => {
                body.extend_from_slice(self.signature.as_bytes());
                body.extend_from_slice(&keccak256(&ephemeral.to_xy()));
                body.extend_from_slice(&self.key.to_xy());
                body.extend_from_slice(&self.nonce);
                body.push(0);
            }
            Format::Eip8 => {
                rlp::put_list(&mut body, |items| {
                    rlp::put_bytes(items, self.signature.as_bytes());
                    rlp::put_bytes(items, &self.key.to_xy());
                    rlp::put_bytes(items, &self.nonce);
                    rlp::put_u64(items, self.version);
                });
                body.resize(body.len() + padding, 0);
            }
        }
        body
    }
}

impl Ack {
    /// Opens a complete packet with the recipient's static key.
    ///
    /// # Errors
    ///
    /// If the packet is not exactly one ack for this key.
    pub fn open(key: &SecretKey, packet: &[u8]) -> Result<Self, HandshakeError> {
        let opened = Incoming::complete(Packet::Ack, key, packet)?;
        Self::parse(opened.format, &opened.body)
    }

    pub(super) fn parse(format: Format, body: &[u8]) -> Result<Self, HandshakeError> {
        let packet = Packet::Ack;
        let (key, nonce, version) = match format {
            Format::Plain => {
                let mut body = body;
                let key = fixed(packet, &mut body, "ephemeral key")?;
                (key, fixed(packet, &mut body, "nonce")?, VERSION)
            }
            Format::Eip8 => {
                let read = |body| -> rlp::Result<_> {
                    let mut list = Reader::new(body).list("ack")?;
                    let key = list.bytes("ephemeral key")?;
                    let fields = (key, list.bytes("nonce")?, list.u64("version")?);
                    skip_rest(list)?;
                    Ok(fields)
                };
                read(body).map_err(|error| packet.body_error(error))?
            }
        };
        let ephemeral = packet.key("the ephemeral key", &key)?;
        Ok(Self { ephemeral, nonce, version, format })
    }

    pub(super) fn body(&self, padding: usize) -> Vec<u8> {
        let mut body = Vec::with_capacity(104 + padding);
        match self.format {
            Format::Plain => {
                body.extend_from_slice(&self.ephemeral.to_xy());
                body.extend_from_slice(&self.nonce);
                body.push(0);
            }
            Format::Eip8 => {
                rlp::put_list(&mut body, |items| {
                    rlp::put_bytes(items, &self.ephemeral.to_xy());
                    rlp::put_bytes(items, &self.nonce);
                    rlp::put_u64(items, self.version);
                });
                body.resize(body.len() + padding, 0);
            }
        }
        body
    }
}

/// Encrypts a body. In the format of EIP-8, it is preceded by its size, which is authenticated.
pub(super) fn seal(
    format: Format,
    recipient: &PublicKey,
    body: &[u8],
    ephemeral: &SecretKey,
    iv: &[u8; 16],
) -> Vec<u8> {
    if format == Format::Plain {
        return ecies::encrypt_with(recipient, body, &[], ephemeral, iv);
    }
    // There are at most 170 bytes of RLP. Only a caller's padding could reach the limit.
    let size = u16::try_from(body.len() + OVERHEAD).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = size.to_vec();
    packet.extend(ecies::encrypt_with(recipient, body, &size, ephemeral, iv));
    packet
}

/// A packet that is being received.
pub(super) struct Incoming {
    packet: Packet,
    bytes: Vec<u8>,
    /// The number of bytes known to be needed: the plain size, until that many bytes turn out not
    /// to be a plain packet.
    need: usize,
}

/// A complete, decrypted packet.
pub(super) struct Opened {
    pub format: Format,
    pub body: Zeroizing<Vec<u8>>,
    /// All bytes of the packet, with which the MACs of the session start.
    pub packet: Vec<u8>,
}

impl Incoming {
    pub fn new(packet: Packet) -> Self {
        Self { packet, bytes: Vec::new(), need: packet.plain_size() }
    }

    pub fn missing(&self) -> usize {
        self.need.saturating_sub(self.bytes.len())
    }

    /// Consumes the packet's bytes from `input`. `None` if more are needed.
    pub fn read(
        &mut self,
        key: &SecretKey,
        input: &mut &[u8],
    ) -> Result<Option<Opened>, HandshakeError> {
        if !self.take(input) {
            return Ok(None);
        }
        let plain = self.packet.plain_size();
        if self.need == plain {
            if let Ok(body) = ecies::decrypt(key, &self.bytes, &[]) {
                return Ok(Some(self.opened(Format::Plain, body)));
            }
            let size = self.bytes.first_chunk().map_or(0, |size| u16::from_be_bytes(*size).into());
            if size < plain {
                return Err(HandshakeError::Size { packet: self.packet, got: size, min: plain });
            }
            debug_assert!(size + 2 <= MAX_PACKET);
            self.need = size + 2;
            if !self.take(input) {
                return Ok(None);
            }
        }
        let (size, message) = self.bytes.split_at_checked(2).unwrap_or_default();
        let body = ecies::decrypt(key, message, size)
            .map_err(|error| HandshakeError::Decrypt { packet: self.packet, error })?;
        Ok(Some(self.opened(Format::Eip8, body)))
    }

    fn complete(packet: Packet, key: &SecretKey, bytes: &[u8]) -> Result<Opened, HandshakeError> {
        let mut input = bytes;
        let mut incoming = Self::new(packet);
        let body_error = |kind| packet.body_error(RlpError { kind, at: bytes.len() });
        match incoming.read(key, &mut input)? {
            None => {
                Err(body_error(RlpErrorKind::Truncated { need: incoming.need, have: bytes.len() }))
            }
            Some(_) if !input.is_empty() => Err(body_error(RlpErrorKind::Trailing(input.len()))),
            Some(opened) => Ok(opened),
        }
    }

    /// Buffers input. Returns whether all needed bytes are there.
    fn take(&mut self, input: &mut &[u8]) -> bool {
        let (taken, rest) = input.split_at(self.missing().min(input.len()));
        self.bytes.extend_from_slice(taken);
        *input = rest;
        self.missing() == 0
    }

    fn opened(&mut self, format: Format, body: Zeroizing<Vec<u8>>) -> Opened {
        Opened { format, body, packet: std::mem::take(&mut self.bytes) }
    }
}

/// Reads the next `N` bytes of a plain body.
fn fixed<const N: usize>(
    packet: Packet,
    body: &mut &[u8],
    what: &'static str,
) -> Result<[u8; N], HandshakeError> {
    let Some((bytes, rest)) = body.split_first_chunk() else {
        return Err(packet.body_error(RlpError { kind: RlpErrorKind::MissingItem(what), at: 0 }));
    };
    *body = rest;
    Ok(*bytes)
}

/// Skips the items of later versions, which must be well-formed.
fn skip_rest(mut list: Reader<'_>) -> rlp::Result<()> {
    while !list.is_empty() {
        list.raw_item("item")?;
    }
    Ok(())
}
