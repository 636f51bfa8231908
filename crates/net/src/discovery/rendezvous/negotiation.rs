//! Agreeing on a protocol with multistream-select.

use statuskit_core::discovery::libp2p::multistream::{
    HEADER, LineError, NOT_AVAILABLE, put_line, read_line,
};

/// The most protocols that a dialler can try.
const MAX_LINES: usize = 16;

/// Why two peers do not agree on a protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NegotiationError {
    /// A line is malformed.
    #[error("multistream: {0}")]
    Line(#[from] LineError),
    /// The other side does not begin as it must.
    #[error("multistream: the peer begins with {0:?}; expected {HEADER}")]
    Header(String),
    /// The other side does not speak the protocol.
    #[error("multistream: the peer answers {answer:?} to {protocol}")]
    NotAvailable { protocol: &'static str, answer: String },
    /// The other side tried too many protocols.
    #[error("multistream: the peer tried {MAX_LINES} protocols that we do not speak")]
    TooMany,
}

/// An agreement that is not reached yet.
#[derive(Debug)]
pub struct Negotiation {
    side: Side,
    header: bool,
}

#[derive(Debug)]
enum Side {
    Dialler(&'static str),
    Listener { spoken: &'static [&'static str], lines: usize },
}

impl Negotiation {
    /// Asks for a protocol.
    pub fn ask(protocol: &'static str, out: &mut Vec<u8>) -> Self {
        put_line(out, HEADER);
        put_line(out, protocol);
        Self { side: Side::Dialler(protocol), header: false }
    }

    /// Waits to be asked for one of these protocols.
    pub fn answer(spoken: &'static [&'static str]) -> Self {
        Self { side: Side::Listener { spoken, lines: 0 }, header: false }
    }

    /// Takes the lines at the start of `bytes`, and appends what is to be sent. Returns how many
    /// bytes it took, and the protocol if that is settled; what follows belongs to it.
    ///
    /// # Errors
    ///
    /// If there is no agreement, or a line is malformed.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(usize, Option<&'static str>), NegotiationError> {
        let mut at = 0;
        while let Some((line, used)) = read_line(&bytes[at..])? {
            at += used;
            if !self.header {
                if line != HEADER {
                    return Err(NegotiationError::Header(shown(line)));
                }
                self.header = true;
                if matches!(self.side, Side::Listener { .. }) {
                    put_line(out, HEADER);
                }
                continue;
            }
            match &mut self.side {
                Side::Dialler(protocol) if line == *protocol => return Ok((at, Some(protocol))),
                Side::Dialler(protocol) => {
                    return Err(NegotiationError::NotAvailable { protocol, answer: shown(line) });
                }
                Side::Listener { spoken, lines } => {
                    if let Some(protocol) = spoken.iter().find(|it| **it == line) {
                        put_line(out, protocol);
                        return Ok((at, Some(protocol)));
                    }
                    *lines += 1;
                    if *lines == MAX_LINES {
                        return Err(NegotiationError::TooMany);
                    }
                    put_line(out, NOT_AVAILABLE);
                }
            }
        }
        Ok((at, None))
    }
}

/// Shortens what an error quotes.
fn shown(line: &str) -> String {
    line.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        lines.iter().for_each(|line| put_line(&mut out, line));
        out
    }

    #[test]
    fn both_sides_agree_even_byte_by_byte() {
        let (mut to_listener, mut to_dialler) = (Vec::new(), Vec::new());
        let mut dialler = Negotiation::ask("/b", &mut to_listener);
        assert_eq!(to_listener, lines(&[HEADER, "/b"]));
        to_listener.extend(b"data");
        let mut listener = Negotiation::answer(&["/a", "/b"]);
        let mut waiting = Vec::new();
        let settled = to_listener.iter().find_map(|byte| {
            waiting.push(*byte);
            let (used, protocol) = listener.receive(&waiting, &mut to_dialler).unwrap();
            waiting.drain(..used);
            protocol
        });
        assert_eq!((settled, waiting.len()), (Some("/b"), 0));
        let answer = lines(&[HEADER, "/b"]);
        assert_eq!(to_dialler, answer);
        assert_eq!(dialler.receive(&answer, &mut Vec::new()), Ok((answer.len(), Some("/b"))));
    }

    #[test]
    fn unknown_protocols_are_not_available() {
        let mut listener = Negotiation::answer(&["/a"]);
        let mut out = Vec::new();
        let asked = lines(&[HEADER, "/ipfs/id/1.0.0", "ls", "/a"]);
        let rest = [&asked[..], b"rest"].concat();
        assert_eq!(listener.receive(&rest, &mut out), Ok((asked.len(), Some("/a"))));
        assert_eq!(out, lines(&[HEADER, NOT_AVAILABLE, NOT_AVAILABLE, "/a"]));

        let mut dialler = Negotiation::ask("/a", &mut out);
        let error = dialler.receive(&lines(&[HEADER, NOT_AVAILABLE]), &mut Vec::new()).unwrap_err();
        let answer = NOT_AVAILABLE.into();
        assert_eq!(error, NegotiationError::NotAvailable { protocol: "/a", answer });
    }

    #[test]
    fn attempts_are_bounded() {
        let mut listener = Negotiation::answer(&["/a"]);
        let mut out = Vec::new();
        let error = listener.receive(&lines(&[HEADER; 1000]), &mut out).unwrap_err();
        assert_eq!(error, NegotiationError::TooMany);
        assert!(out.len() < 100);
        let mut listener = Negotiation::answer(&["/a"]);
        let error = listener.receive(&lines(&["/a"]), &mut out).unwrap_err();
        assert_eq!(error, NegotiationError::Header("/a".into()));
        let endless = listener.receive(&[0xff; 9], &mut out).unwrap_err();
        assert_eq!(endless, NegotiationError::Line(LineError::Length));
    }
}
