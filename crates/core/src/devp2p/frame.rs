//! Frames. Each carries one encrypted message, with MACs of header and body.
//!
//! ```text
//! header (16) || header MAC (16) || body, padded to 16 || body MAC (16)
//! ```
//!
//! The body is the message code as an RLP integer, then the payload. Each direction has one key
//! stream and one running MAC for the life of the connection. So frames can only be read in order
//! and without gaps, and nothing can be read after an error.
//!
//! Source: devp2p `rlpx.md`, "Framing".

use std::fmt;

use subtle::ConstantTimeEq;

use crate::{
    crypto::{
        aes::{BlockCipher, FrameCipher},
        running::RunningKeccak,
    },
    explain::Explanation,
    rlp::{self, Reader, RlpError},
};

/// The largest body of a frame (message code and payload) in bytes.
pub const MAX_BODY: usize = 0xff_ffff;

const BLOCK: usize = 16;
/// Length of a header and its MAC.
const HEADER: usize = 2 * BLOCK;
/// The bytes after the size in a header: an empty capability id and context id.
const HEADER_DATA: [u8; 3] = [0xc2, 0x80, 0x80];

/// A message on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The message code.
    pub code: u64,
    /// The payload, still compressed if that was agreed.
    pub payload: Vec<u8>,
}

/// Why a frame could not be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The header was modified, or the two sides are out of step.
    #[error("the MAC of a frame header does not match")]
    HeaderMac,
    /// The body was modified.
    #[error("the MAC of a frame body does not match")]
    BodyMac,
    /// The body is longer than allowed.
    #[error("the frame body has {got} bytes; at most {max} are allowed")]
    TooLarge { got: usize, max: usize },
    /// The body does not begin with a message code.
    #[error("the message code of a frame is malformed, {0}")]
    Code(RlpError),
    /// The reader failed before, and has lost its place in the stream.
    #[error("frames can't be read after an error")]
    Broken,
}

impl FrameError {
    /// Returns the stable code that the tools print.
    pub fn code(&self) -> &'static str {
        match self {
            Self::HeaderMac | Self::BodyMac => "rlpx.mac",
            Self::TooLarge { .. } => "rlpx.frame_size",
            Self::Code(_) => "rlpx.message_code",
            Self::Broken => "rlpx.broken",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "rlpx.mac",
            rule: "Each frame has a MAC over its header and one over its body, which go on through the whole connection.",
            source: "devp2p, RLPx, Framing",
            causes: "Damaged bytes, or secrets that differ.",
        },
        Explanation {
            code: "rlpx.frame_size",
            rule: "A frame is bounded; we read up to twice the largest message.",
            source: "devp2p, RLPx, Framing",
            causes: "A peer with another limit, or a hostile one.",
        },
        Explanation {
            code: "rlpx.message_code",
            rule: "The code in front of a message is a canonical RLP integer.",
            source: "devp2p, RLPx",
            causes: "An encoder with leading zeros.",
        },
        Explanation {
            code: "rlpx.broken",
            rule: "After an error in the frames nothing more can be read from a connection.",
            source: "devp2p, RLPx",
            causes: "See the error before.",
        },
    ];
}

/// The sending half.
pub struct FrameWriter {
    cipher: FrameCipher,
    mac: Mac,
}

impl FrameWriter {
    /// Starts with the session's keys and the state of the egress MAC.
    pub fn new(aes: &[u8; 32], mac: &[u8; 32], egress: RunningKeccak) -> Self {
        Self { cipher: FrameCipher::new(aes), mac: Mac::new(mac, egress) }
    }

    /// Appends the frame of a message to `out`.
    ///
    /// # Errors
    ///
    /// If the message is longer than [`MAX_BODY`]. Nothing changes then.
    pub fn encode(
        &mut self,
        code: u64,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), FrameError> {
        let mut code_bytes = Vec::with_capacity(9);
        rlp::put_u64(&mut code_bytes, code);
        let size = code_bytes.len() + payload.len();
        if size > MAX_BODY {
            return Err(FrameError::TooLarge { got: size, max: MAX_BODY });
        }
        let padded = size.next_multiple_of(BLOCK);
        out.reserve(HEADER + padded + BLOCK);

        let [_, size_bytes @ ..] = (size as u32).to_be_bytes();
        let mut header = [0; BLOCK];
        header[..3].copy_from_slice(&size_bytes);
        header[3..6].copy_from_slice(&HEADER_DATA);
        self.cipher.apply(&mut header);
        out.extend_from_slice(&header);
        out.extend_from_slice(&self.mac.header(&header));

        let start = out.len();
        out.extend_from_slice(&code_bytes);
        out.extend_from_slice(payload);
        out.resize(start + padded, 0);
        let body = &mut out[start..];
        self.cipher.apply(body);
        let tag = self.mac.body(body);
        out.extend_from_slice(&tag);
        Ok(())
    }

    /// Returns the digest of the egress MAC after the last frame, for vectors.
    pub fn mac_digest(&self) -> [u8; 32] {
        self.mac.state.digest()
    }
}

/// The receiving half.
pub struct FrameReader {
    cipher: FrameCipher,
    mac: Mac,
    max_body: usize,
    state: State,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy)]
enum State {
    /// Collects a header and its MAC.
    Header,
    /// Collects a body of this size, its padding and its MAC.
    Body(usize),
    Broken,
}

impl FrameReader {
    /// Starts with the session's keys and the state of the ingress MAC.
    ///
    /// Bodies above `max_body` bytes are rejected when their header arrives.
    pub fn new(aes: &[u8; 32], mac: &[u8; 32], ingress: RunningKeccak, max_body: usize) -> Self {
        Self {
            cipher: FrameCipher::new(aes),
            mac: Mac::new(mac, ingress),
            max_body,
            state: State::Header,
            buffer: Vec::new(),
        }
    }

    /// Changes the limit of bodies, from the next header on.
    pub fn set_max_body(&mut self, max_body: usize) {
        self.max_body = max_body;
    }

    /// Reads input up to the end of the next frame.
    ///
    /// `None` if the frame is not complete; then all input is consumed. Memory grows with the bytes
    /// received, not with the size that a header announces.
    ///
    /// # Errors
    ///
    /// If a MAC does not match, the body is too long or has no message code, or an error came
    /// before.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, FrameError> {
        let result = self.step(input);
        if result.is_err() {
            self.state = State::Broken;
            self.buffer = Vec::new();
        }
        result
    }

    /// Returns the memory of the frame that is not complete, in bytes.
    pub fn buffered(&self) -> usize {
        self.buffer.capacity()
    }

    /// Returns the digest of the ingress MAC after the last frame, for vectors.
    pub fn mac_digest(&self) -> [u8; 32] {
        self.mac.state.digest()
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, FrameError> {
        let size = match self.state {
            State::Broken => return Err(FrameError::Broken),
            State::Body(size) => size,
            State::Header => {
                if !self.take(HEADER, input) {
                    return Ok(None);
                }
                let size = self.header()?;
                self.buffer.clear();
                self.state = State::Body(size);
                size
            }
        };
        let padded = size.next_multiple_of(BLOCK);
        if !self.take(padded + BLOCK, input) {
            return Ok(None);
        }
        let frame = self.body(size, padded)?;
        self.state = State::Header;
        Ok(Some(frame))
    }

    /// Reads a complete header. Returns the size of the body.
    fn header(&mut self) -> Result<usize, FrameError> {
        let (header, tag) = self.buffer.split_at_mut_checked(BLOCK).ok_or(FrameError::HeaderMac)?;
        let header: &mut [u8; BLOCK] = header.try_into().map_err(|_| FrameError::HeaderMac)?;
        if !bool::from(self.mac.header(header).ct_eq(tag)) {
            return Err(FrameError::HeaderMac);
        }
        self.cipher.apply(header);
        // The bytes after the size have no meaning.
        let [a, b, c, ..] = *header;
        let size = u32::from_be_bytes([0, a, b, c]) as usize;
        let max = self.max_body.min(MAX_BODY);
        if size > max {
            return Err(FrameError::TooLarge { got: size, max });
        }
        Ok(size)
    }

    fn body(&mut self, size: usize, padded: usize) -> Result<Frame, FrameError> {
        let mut body = std::mem::take(&mut self.buffer);
        let (ciphertext, tag) = body.split_at_mut_checked(padded).ok_or(FrameError::BodyMac)?;
        if !bool::from(self.mac.body(ciphertext).ct_eq(tag)) {
            return Err(FrameError::BodyMac);
        }
        self.cipher.apply(ciphertext);
        body.truncate(size);
        let mut reader = Reader::new(&body);
        let code = reader.u64("message code").map_err(FrameError::Code)?;
        let start = reader.offset();
        body.drain(..start);
        Ok(Frame { code, payload: body })
    }

    /// Buffers input, up to `need` bytes in total. Returns whether they are complete.
    fn take(&mut self, need: usize, input: &mut &[u8]) -> bool {
        let missing = need.saturating_sub(self.buffer.len());
        let (taken, rest) = input.split_at(missing.min(input.len()));
        self.buffer.extend_from_slice(taken);
        *input = rest;
        taken.len() == missing
    }
}

/// The running MAC of one direction.
struct Mac {
    state: RunningKeccak,
    cipher: BlockCipher,
}

impl Mac {
    fn new(key: &[u8; 32], state: RunningKeccak) -> Self {
        Self { state, cipher: BlockCipher::new(key) }
    }

    fn header(&mut self, ciphertext: &[u8; BLOCK]) -> [u8; BLOCK] {
        let digest = self.half_digest();
        self.mix(&digest, ciphertext)
    }

    fn body(&mut self, ciphertext: &[u8]) -> [u8; BLOCK] {
        self.state.absorb(ciphertext);
        let digest = self.half_digest();
        self.mix(&digest, &digest)
    }

    /// Absorbs the encrypted digest xor `with`. The MAC is the first half of the new digest.
    fn mix(&mut self, digest: &[u8; BLOCK], with: &[u8; BLOCK]) -> [u8; BLOCK] {
        let mut seed = self.cipher.encrypt(digest);
        for (byte, other) in seed.iter_mut().zip(with) {
            *byte ^= other;
        }
        self.state.absorb(&seed);
        self.half_digest()
    }

    fn half_digest(&self) -> [u8; BLOCK] {
        let mut half = [0; BLOCK];
        half.copy_from_slice(&self.state.digest()[..BLOCK]);
        half
    }
}

impl fmt::Debug for FrameWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameWriter(…)")
    }
}

impl fmt::Debug for FrameReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReader").field("max_body", &self.max_body).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
