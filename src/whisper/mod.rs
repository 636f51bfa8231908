//! Whisper v6.
pub mod pow;
