//! Frames on the socket: a length, and as many bytes.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

/// The bytes of a frame. They may be messages.
pub(crate) type Body = Zeroizing<Vec<u8>>;

/// The longest greeting.
const MAX_LINE: usize = 160;

/// Bytes that are read at a time: a length alone must not take memory.
const STEP: usize = 1 << 16;

/// Reads a line. `None` if it is too long, no text, or cut off.
pub async fn read_line(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    while line.len() < MAX_LINE {
        let byte = match reader.read_u8().await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            byte => byte?,
        };
        if byte == b'\n' {
            return Ok(String::from_utf8(line).ok());
        }
        line.push(byte);
    }
    Ok(None)
}

/// Reads a frame of at most `limit` bytes. `None` at the end.
///
/// # Errors
/// If reading fails, in the middle of a frame too, or if it is larger.
pub async fn read(reader: &mut (impl AsyncRead + Unpin), limit: usize) -> io::Result<Option<Body>> {
    let length = match reader.read_u32().await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        length => length? as usize,
    };
    if length > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame of that size is none"));
    }
    let mut body = Body::default();
    while body.len() < length {
        let (at, more) = (body.len(), STEP.min(length - body.len()));
        body.resize(at + more, 0);
        reader.read_exact(&mut body[at..]).await?;
    }
    Ok(Some(body))
}

/// Writes a frame.
pub async fn write(writer: &mut (impl AsyncWrite + Unpin), body: &[u8]) -> io::Result<()> {
    writer.write_u32(body.len() as u32).await?;
    writer.write_all(body).await?;
    writer.flush().await
}
