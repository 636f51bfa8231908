//! The encrypted connection.

use super::{MAX_FRAME, SecioError, read_frame, suite::Half};

/// The most bytes of plaintext that we put into one frame.
const CHUNK: usize = 16 * 1024;

/// An encrypted connection: bytes in, bytes out.
#[derive(Debug)]
pub struct Channel {
    sending: Half,
    receiving: Half,
}

impl Channel {
    pub(super) fn new(sending: Half, receiving: Half) -> Self {
        Self { sending, receiving }
    }

    /// Encrypts `plain` into frames.
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        for chunk in plain.chunks(CHUNK) {
            let length = chunk.len() + self.sending.mac.size();
            out.extend_from_slice(&(length as u32).to_be_bytes());
            let start = out.len();
            out.extend_from_slice(chunk);
            self.sending.cipher.apply(&mut out[start..]);
            let tag = self.sending.mac.tag(&[&out[start..]]);
            out.extend_from_slice(&tag);
        }
    }

    /// Decrypts the whole frames at the start of `bytes` and appends their content. Returns how many
    /// bytes they take.
    ///
    /// # Errors
    ///
    /// If a frame is too long, or its tag is wrong. Nothing of it is appended, and the connection
    /// must be closed.
    pub fn open(&mut self, bytes: &[u8], plain: &mut Vec<u8>) -> Result<usize, SecioError> {
        let mut at = 0;
        while let Some((frame, used)) = read_frame(&bytes[at..], MAX_FRAME)? {
            let size = self.receiving.mac.size();
            let length = frame.len().checked_sub(size).ok_or(SecioError::Tag)?;
            let (ciphertext, tag) = frame.split_at(length);
            if !self.receiving.mac.verify(ciphertext, tag) {
                return Err(SecioError::Tag);
            }
            let start = plain.len();
            plain.extend_from_slice(ciphertext);
            self.receiving.cipher.apply(&mut plain[start..]);
            at += used;
        }
        Ok(at)
    }
}
