//! The secure transport: X3DH agreements, the double ratchet, and what carries them.
//!
//! Source: the secure transport specification of Status, with the behaviour of the reference
//! (status-go v0.50.2): keys are secp256k1 throughout.
