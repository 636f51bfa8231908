//! Signatures and public keys from a libsecp256k1 context of our own.
//!
//! Both multiply a secret scalar by the base point. libsecp256k1 blinds that multiplication with
//! values kept in a context. The safe functions of the `secp256k1` crate share one context per
//! thread, use it unblinded the first time, and then blind it anew after every use of a secret,
//! which costs as much as a signature. Here each thread has a context that is blinded before its
//! first use and again after every [`USES`] uses. Signatures and keys are the same, byte for byte.
//!
//! # Why this blinding is enough
//!
//! libsecp256k1 runs in constant time without it. Its header describes
//! `secp256k1_context_randomize` as a shield against compilers that break this, and against
//! emissions and power draw that vary with the operands. It recommends one call before the first
//! use, and "doing so before every few computations involving secret keys … as a defense-in-depth
//! measure". For programs with threads it suggests to "do it once at creation time". A schedule
//! between the two keeps the traces that share a blinding value too few to be averaged.
//!
//! # Where the seeds come from
//!
//! This crate reads no global randomness, and drawing from a caller's generator would change what
//! a seed produces. A seed must be unknown to an observer who is after the secret key, and so it is
//! made from that key: the Keccak-256 of the key at hand, its input and the context's address. To
//! predict it takes the key itself. libsecp256k1 hashes each seed together with the previous
//! blinding value, so that fresh ephemeral keys add their randomness to all later values.
//!
//! The address matters after a restart. Without it, a program that always begins with the same key
//! and input would begin with the same blinding value. It varies where the system randomises
//! addresses.
//!
//! # Safety
//!
//! The file calls two functions of the C library directly. Both read a context, a secret key and
//! (for signatures) a digest, and write one result.
//!
//! - The context comes from [`Secp256k1::new`], which makes one for all purposes, and lives as long
//!   as the thread's [`Signer`]. It is never the static context, which can't do either operation.
//! - A context must not be used while it is randomised. It belongs to one thread, and a `RefCell`
//!   guards it there. The library calls nothing back that could enter this file again.
//! - Key and digest are references to 32 bytes, as many as the library reads.
//! - The result is a local of the type that the library writes.
//! - Both functions fail only for secret keys out of range, which [`SecretKey`] can't hold. The
//!   assertions stop the thread rather than return an unwritten result.
#![allow(unsafe_code)]

use std::{cell::RefCell, ptr};

use secp256k1::{
    All, PublicKey, Secp256k1, SecretKey,
    ecdsa::RecoverableSignature,
    ffi::{self, CPtr, recovery},
};
use zeroize::Zeroizing;

use super::keccak::{Parts, keccak256_parts};

/// Signs a digest with the nonce of RFC 6979: the same as
/// [`RecoverableSignature::sign_ecdsa_recoverable`].
pub(super) fn sign(key: &SecretKey, digest: &[u8; 32]) -> RecoverableSignature {
    with_context(key, digest, |context| {
        let mut signature = recovery::RecoverableSignature::new();
        // SAFETY: see the module: all pointers are valid, and the context is not being changed.
        let done = unsafe {
            recovery::secp256k1_ecdsa_sign_recoverable(
                context.ctx().as_ptr(),
                &mut signature,
                digest.as_ptr(),
                key.as_c_ptr(),
                ffi::secp256k1_nonce_function_rfc6979,
                ptr::null(),
            )
        };
        assert_eq!(done, 1, "a valid secret key signs every digest");
        signature.into()
    })
}

/// Computes the public key of a secret key: the same as [`PublicKey::from_secret_key`].
pub(super) fn public_key(key: &SecretKey) -> PublicKey {
    with_context(key, &[0; 32], |context| {
        // SAFETY: this value is not a valid key, but it is only used once the library has
        // overwritten it.
        let mut public = unsafe { ffi::PublicKey::new() };
        // SAFETY: see the module: all pointers are valid, and the context is not being changed.
        let done = unsafe {
            ffi::secp256k1_ec_pubkey_create(context.ctx().as_ptr(), &mut public, key.as_c_ptr())
        };
        assert_eq!(done, 1, "a valid secret key has a public key");
        public.into()
    })
}

/// Uses of a secret under one blinding value. Blinding costs about one signature, so this adds
/// 1/32 to each use.
const USES: u32 = 32;

/// A context, and how many more uses its blinding value is good for.
struct Signer {
    context: Secp256k1<All>,
    uses_left: u32,
}

thread_local! {
    static SIGNER: RefCell<Signer> =
        RefCell::new(Signer { context: Secp256k1::new(), uses_left: 0 });
}

/// Calls `f` with the thread's context, blinded anew if it is time.
fn with_context<T>(key: &SecretKey, input: &[u8; 32], f: impl FnOnce(&Secp256k1<All>) -> T) -> T {
    SIGNER.with_borrow_mut(|Signer { context, uses_left }| {
        if *uses_left == 0 {
            let address = context.ctx().addr().get().to_le_bytes();
            let parts = Parts(key.as_secret_bytes(), input, &address);
            context.seeded_randomize(&Zeroizing::new(keccak256_parts(parts)));
            *uses_left = USES;
        }
        *uses_left -= 1;
        f(context)
    })
}

#[cfg(test)]
mod tests {
    use std::thread;

    use proptest::prelude::*;
    use secp256k1::Message;

    use super::*;

    fn secret(bytes: [u8; 32]) -> Option<SecretKey> {
        SecretKey::from_secret_bytes(bytes).ok()
    }

    /// Compares with the safe functions, across several blinding values.
    fn check(key: &SecretKey, digest: [u8; 32]) {
        let message = Message::from_digest(digest);
        let expected = RecoverableSignature::sign_ecdsa_recoverable(message, key);
        let public = PublicKey::from_secret_key(key);
        for _ in 0..USES {
            assert_eq!(sign(key, &digest).serialize_compact(), expected.serialize_compact());
            assert_eq!(public_key(key), public);
        }
    }

    proptest! {
        #[test]
        fn results_equal_the_safe_functions(bytes: [u8; 32], digest: [u8; 32]) {
            if let Some(key) = secret(bytes) {
                let message = Message::from_digest(digest);
                prop_assert_eq!(
                    sign(&key, &digest),
                    RecoverableSignature::sign_ecdsa_recoverable(message, &key)
                );
                prop_assert_eq!(public_key(&key), PublicKey::from_secret_key(&key));
            }
        }
    }

    #[test]
    fn extreme_keys_and_digests() {
        let mut one = [0; 32];
        one[31] = 1;
        let mut last = secp256k1::constants::CURVE_ORDER;
        last[31] -= 1;
        for key in [one, last] {
            let key = secret(key).unwrap();
            for digest in [[0; 32], secp256k1::constants::CURVE_ORDER, [0xff; 32]] {
                check(&key, digest);
            }
        }
    }

    #[test]
    fn every_thread_has_its_own_context() {
        thread::scope(|scope| {
            for byte in 1..=8 {
                scope.spawn(move || check(&secret([byte; 32]).unwrap(), [!byte; 32]));
            }
        });
    }

    #[test]
    fn the_context_is_blinded_on_schedule() {
        let key = secret([1; 32]).unwrap();
        let uses_left = || SIGNER.with_borrow(|signer| signer.uses_left);
        thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(uses_left(), 0, "a new thread blinds before its first use");
                for done in 1..=2 * USES {
                    public_key(&key);
                    assert_eq!(uses_left(), (USES - done % USES) % USES);
                }
            });
        });
    }
}
