//! The secrets that both sides share after the handshake.

use std::fmt;

use zeroize::Zeroizing;

use crate::{
    crypto::{PublicKey, SharedSecret, keccak256, running::RunningKeccak},
    devp2p::{
        frame::{FrameReader, FrameWriter},
        handshake::xor,
    },
};

/// The keys of a session and the initial states of its MACs. Erased on drop.
pub struct Secrets {
    aes: Zeroizing<[u8; 32]>,
    mac: Zeroizing<[u8; 32]>,
    egress: RunningKeccak,
    ingress: RunningKeccak,
    remote: PublicKey,
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
        let (aes, mac) = self.keys(ephemeral);
        let (to_responder, to_initiator) = self.macs(&mac);
        Secrets { aes, mac, egress: to_responder, ingress: to_initiator, remote }
    }

    pub fn responder(&self, ephemeral: &SharedSecret, remote: PublicKey) -> Secrets {
        let (aes, mac) = self.keys(ephemeral);
        let (to_responder, to_initiator) = self.macs(&mac);
        Secrets { aes, mac, egress: to_initiator, ingress: to_responder, remote }
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
