//! The secrets that both sides share after the handshake.

use std::fmt;

use zeroize::Zeroizing;

use crate::{
    crypto::{PublicKey, SharedSecret, keccak256, running::RunningKeccak},
    devp2p::{
        frame::{FrameReader, FrameWriter},
        handshake::{MAX_PACKET, xor},
    },
};

/// The keys of a session and the initial states of its MACs. Erased on drop.
pub struct Secrets {
    aes: Zeroizing<[u8; 32]>,
    mac: Zeroizing<[u8; 32]>,
    egress: RunningKeccak,
    ingress: RunningKeccak,
    remote: PublicKey,
    handshake: Handshake,
}

/// The public values of a handshake, which are needed to start its MACs again.
#[derive(Clone)]
struct Handshake {
    is_initiator: bool,
    initiator_nonce: [u8; 32],
    responder_nonce: [u8; 32],
    auth: Vec<u8>,
    ack: Vec<u8>,
}

impl Secrets {
    /// Returns the other side's static key.
    pub fn remote(&self) -> PublicKey {
        self.remote
    }

    /// Returns the key that encrypts frames, for vectors and recordings.
    pub fn aes(&self) -> &[u8; 32] {
        &self.aes
    }

    /// Returns the key of the MACs, for vectors and recordings.
    pub fn mac(&self) -> &[u8; 32] {
        &self.mac
    }

    /// Returns the state of the MAC of what we send.
    pub fn egress(&self) -> &RunningKeccak {
        &self.egress
    }

    /// Returns the state of the MAC of what we receive.
    pub fn ingress(&self) -> &RunningKeccak {
        &self.ingress
    }

    /// Returns what reads the frames of a recorded session, for a key log.
    pub fn session_keys(&self) -> SessionKeys {
        SessionKeys {
            aes: self.aes.clone(),
            mac: self.mac.clone(),
            remote: self.remote,
            handshake: self.handshake.clone(),
        }
    }

    /// Makes the two directions of the connection. The reader accepts bodies of `max_body` bytes.
    pub fn into_frames(self, max_body: usize) -> (FrameWriter, FrameReader) {
        (
            FrameWriter::new(&self.aes, &self.mac, self.egress),
            FrameReader::new(&self.aes, &self.mac, self.ingress, max_body),
        )
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("remote", &self.remote).finish_non_exhaustive()
    }
}

/// The public values of a handshake.
pub(crate) struct Exchange<'a> {
    pub initiator_nonce: &'a [u8; 32],
    pub responder_nonce: &'a [u8; 32],
    /// The complete packet, including an EIP-8 size prefix.
    pub auth: &'a [u8],
    /// The complete packet, including an EIP-8 size prefix.
    pub ack: &'a [u8],
}

impl Exchange<'_> {
    pub fn initiator(&self, ephemeral: &SharedSecret, remote: PublicKey) -> Secrets {
        self.secrets(ephemeral, remote, true)
    }

    pub fn responder(&self, ephemeral: &SharedSecret, remote: PublicKey) -> Secrets {
        self.secrets(ephemeral, remote, false)
    }

    fn secrets(&self, ephemeral: &SharedSecret, remote: PublicKey, is_initiator: bool) -> Secrets {
        let (aes, mac) = self.keys(ephemeral);
        let (to_responder, to_initiator) = self.macs(&mac);
        let (egress, ingress) = match is_initiator {
            true => (to_responder, to_initiator),
            false => (to_initiator, to_responder),
        };
        let handshake = Handshake {
            is_initiator,
            initiator_nonce: *self.initiator_nonce,
            responder_nonce: *self.responder_nonce,
            auth: self.auth.to_vec(),
            ack: self.ack.to_vec(),
        };
        Secrets { aes, mac, egress, ingress, remote, handshake }
    }

    fn keys(&self, ephemeral: &SharedSecret) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
        let nonces = hash(self.responder_nonce, self.initiator_nonce);
        let shared = hash(ephemeral.as_bytes(), &nonces);
        let aes = hash(ephemeral.as_bytes(), &shared);
        let mac = hash(ephemeral.as_bytes(), &aes);
        (aes, mac)
    }

    /// Returns the states of the initiator's and the responder's egress MAC.
    fn macs(&self, mac: &[u8; 32]) -> (RunningKeccak, RunningKeccak) {
        let state = |nonce, packet| {
            let mut state = RunningKeccak::new();
            state.absorb(&*Zeroizing::new(xor(mac, nonce)));
            state.absorb(packet);
            state
        };
        (state(self.responder_nonce, self.auth), state(self.initiator_nonce, self.ack))
    }
}

fn hash(a: &[u8; 32], b: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let mut both = Zeroizing::new([0; 64]);
    both[..32].copy_from_slice(a);
    both[32..].copy_from_slice(b);
    Zeroizing::new(keccak256(&*both))
}

/// What reads the frames of one recorded session: a line of a key log. Erased on drop.
///
/// The line is JSON: `type` is `rlpx_keys`, `initiator` says whether the writer dialled, `remote` is
/// the other side's node id, and the rest is hex: `aes_secret`, `mac_secret`, `initiator_nonce`,
/// `responder_nonce`, `auth`, `ack`.
#[derive(Clone)]
pub struct SessionKeys {
    aes: Zeroizing<[u8; 32]>,
    mac: Zeroizing<[u8; 32]>,
    remote: PublicKey,
    handshake: Handshake,
}

/// The `type` of a line.
const LINE: &str = "rlpx_keys";

impl SessionKeys {
    /// Reads a line of a key log. `None` if it is none.
    pub fn from_line(line: &str) -> Option<Self> {
        let members: serde_json::Value = serde_json::from_str(line).ok()?;
        let bytes = |name: &str| hex::decode(members.get(name)?.as_str()?.strip_prefix("0x")?).ok();
        let word = |name: &str| <[u8; 32]>::try_from(bytes(name)?).ok();
        if members.get("type")?.as_str()? != LINE {
            return None;
        }
        let (auth, ack) = (bytes("auth")?, bytes("ack")?);
        if auth.len() > MAX_PACKET || ack.len() > MAX_PACKET {
            return None;
        }
        Some(Self {
            aes: Zeroizing::new(word("aes_secret")?),
            mac: Zeroizing::new(word("mac_secret")?),
            remote: PublicKey::from_slice(&bytes("remote")?).ok()?,
            handshake: Handshake {
                is_initiator: members.get("initiator")?.as_bool()?,
                initiator_nonce: word("initiator_nonce")?,
                responder_nonce: word("responder_nonce")?,
                auth,
                ack,
            },
        })
    }

    /// Writes the line, without its end. It contains secrets.
    pub fn to_line(&self) -> Zeroizing<String> {
        let hex = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
        let Handshake { is_initiator, initiator_nonce, responder_nonce, auth, ack } =
            &self.handshake;
        Zeroizing::new(format!(
            "{{\"type\":\"{LINE}\",\"initiator\":{is_initiator},\"remote\":\"{}\",\
             \"aes_secret\":\"{}\",\"mac_secret\":\"{}\",\"initiator_nonce\":\"{}\",\
             \"responder_nonce\":\"{}\",\"auth\":\"{}\",\"ack\":\"{}\"}}",
            hex(&self.remote.to_xy()),
            &*Zeroizing::new(hex(&*self.aes)),
            &*Zeroizing::new(hex(&*self.mac)),
            hex(initiator_nonce),
            hex(responder_nonce),
            hex(auth),
            hex(ack),
        ))
    }

    /// Returns the other side's static key.
    pub fn remote(&self) -> PublicKey {
        self.remote
    }

    /// Returns the packet with which the initiator's stream begins.
    pub fn auth(&self) -> &[u8] {
        &self.handshake.auth
    }

    /// Returns the packet with which the responder's stream begins.
    pub fn ack(&self) -> &[u8] {
        &self.handshake.ack
    }

    /// Makes readers of the frames behind the auth, and of those behind the ack. They accept bodies
    /// of `max_body` bytes.
    pub fn readers(&self, max_body: usize) -> (FrameReader, FrameReader) {
        let Handshake { initiator_nonce, responder_nonce, auth, ack, .. } = &self.handshake;
        let exchange = Exchange { initiator_nonce, responder_nonce, auth, ack };
        let (to_responder, to_initiator) = exchange.macs(&self.mac);
        (
            FrameReader::new(&self.aes, &self.mac, to_responder, max_body),
            FrameReader::new(&self.aes, &self.mac, to_initiator, max_body),
        )
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKeys").field("remote", &self.remote).finish_non_exhaustive()
    }
}
