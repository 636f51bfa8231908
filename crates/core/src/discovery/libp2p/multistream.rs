//! Lines of multistream-select 1.0.0: how two peers agree on a protocol.
//!
//! A line is its length as a variable-length integer, text, and a line feed, which counts. Both
//! sides begin with [`HEADER`]. The dialler names a protocol; the listener repeats it, or answers
//! [`NOT_AVAILABLE`].
//!
//! Source: multiformats, "multistream-select".

use super::{VarintError, put_varint, read_varint};

/// The first line of both sides.
pub const HEADER: &str = "/multistream/1.0.0";
/// The answer to a protocol that is not spoken.
pub const NOT_AVAILABLE: &str = "na";
/// The most bytes of a line, line feed included. Names of protocols are far shorter.
pub const MAX_LINE: usize = 1024;

/// Why bytes are not a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// The length is malformed.
    #[error("the length of the line is malformed")]
    Length,
    /// The line is too long.
    #[error("a line of {}; expected at most {MAX_LINE}", crate::text::count(.0, "byte"))]
    TooLong(u32),
    /// The line is empty, or does not end with a line feed.
    #[error("the line does not end with a line feed")]
    NoLineFeed,
    /// The line is not text.
    #[error("the line is not UTF-8")]
    Utf8,
}

impl From<VarintError> for LineError {
    fn from(VarintError: VarintError) -> Self {
        Self::Length
    }
}

/// Reads the first line: its text, and how many bytes it takes. `Ok(None)` if more are needed.
///
/// # Errors
///
/// If the bytes can't become a line.
pub fn read_line(bytes: &[u8]) -> Result<Option<(&str, usize)>, LineError> {
    let Some((length, start)) = read_varint(bytes)? else { return Ok(None) };
    if length as usize > MAX_LINE {
        return Err(LineError::TooLong(length));
    }
    let end = start + length as usize;
    let Some(line) = bytes.get(start..end) else { return Ok(None) };
    let line = line.strip_suffix(b"\n").ok_or(LineError::NoLineFeed)?;
    let line = std::str::from_utf8(line).map_err(|_| LineError::Utf8)?;
    Ok(Some((line, end)))
}

/// Appends a line.
pub fn put_line(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u32 + 1);
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_round_trip(text in ".{0,200}", rest: Vec<u8>) {
            let mut bytes = Vec::new();
            put_line(&mut bytes, &text);
            for end in 0..bytes.len() {
                prop_assert_eq!(read_line(&bytes[..end]), Ok(None));
            }
            let length = bytes.len();
            bytes.extend(rest);
            prop_assert_eq!(read_line(&bytes), Ok(Some((&*text, length))));
        }

        #[test]
        fn any_bytes_are_a_line_or_an_error(bytes: Vec<u8>) {
            let _ = read_line(&bytes);
        }
    }

    #[test]
    fn lines_are_bounded_before_they_are_there() {
        assert_eq!(read_line(&[0x81, 0x08]), Err(LineError::TooLong(1025)));
        assert_eq!(read_line(&[0x80, 0x08]), Ok(None));
        assert_eq!(read_line(&[0]), Err(LineError::NoLineFeed));
        assert_eq!(read_line(b"\x03na\r"), Err(LineError::NoLineFeed));
        assert_eq!(read_line(b"\x02\xff\n"), Err(LineError::Utf8));
        assert_eq!(read_line(&[0xff; 6]), Err(LineError::Length));
        let mut header = Vec::new();
        put_line(&mut header, HEADER);
        assert_eq!(header, b"\x13/multistream/1.0.0\n");
    }
}
