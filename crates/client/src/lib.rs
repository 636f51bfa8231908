//! What programs that talk over the Status network need.

#![deny(unsafe_code)]

pub mod state;
