//! Derives the key from the password: scrypt or PBKDF2, with the parameters of the file.

use zeroize::Zeroizing;

use super::KeystoreError;
use crate::crypto::kdf::{self, pbkdf2_sha256};

/// The maximum cost of opening a key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Maximum bytes of memory for scrypt.
    pub memory: u64,
    /// Maximum of `n * r * p` for scrypt.
    pub work: u64,
    /// Maximum rounds of PBKDF2.
    pub rounds: u64,
}

impl Limits {
    /// No limits.
    pub const UNLIMITED: Self = Self { memory: u64::MAX, work: u64::MAX, rounds: u64::MAX };
}

impl Default for Limits {
    /// Allows 512 MiB and several seconds: twice the memory and eight times the work of the usual
    /// parameters of other wallets (n = 262144, r = 8, p = 1).
    fn default() -> Self {
        Self { memory: 512 << 20, work: 1 << 24, rounds: 1 << 24 }
    }
}

/// The cost of scrypt: about `128 * n * r` bytes of memory, and time proportional to `n * r * p`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScryptCost {
    pub log_n: u8,
    pub r: u32,
    pub p: u32,
}

impl ScryptCost {
    /// The cost in Status clients: n = 4096, r = 8, p = 6.
    pub const STATUS: Self = Self { log_n: 12, r: 8, p: 6 };
    /// The default cost in go-ethereum: n = 262144, r = 8, p = 1; 256 MiB.
    pub const STANDARD: Self = Self { log_n: 18, r: 8, p: 1 };

    /// Checks the three numbers of a file.
    pub(super) fn new(n: u64, r: u64, p: u64) -> Result<Self, KeystoreError> {
        let wrong = |parameter, got, rule| KeystoreError::Parameter { parameter, got, rule };
        if !n.is_power_of_two() || n < 2 {
            return Err(wrong("n", n, "it must be a power of two above 1"));
        }
        let small = |parameter, got: u64| {
            u32::try_from(got).ok().filter(|got| *got > 0).ok_or(wrong(
                parameter,
                got,
                "it must be at least 1 and below 2^32",
            ))
        };
        let (small_r, small_p) = (small("r", r)?, small("p", p)?);
        if r.checked_mul(p).is_none_or(|product| product >= 1 << 30) {
            return Err(wrong("r * p", r.saturating_mul(p), "it must be below 2^30"));
        }
        Ok(Self { log_n: n.trailing_zeros() as u8, r: small_r, p: small_p })
    }

    /// Returns the number of blocks.
    pub fn n(&self) -> u64 {
        1_u64.checked_shl(self.log_n.into()).unwrap_or(u64::MAX)
    }

    /// Returns the bytes of memory.
    pub fn memory(&self) -> u64 {
        let blocks = self.n().saturating_add(self.p.into()).saturating_add(1);
        blocks.saturating_mul(u64::from(self.r) * 128)
    }

    /// Returns `n * r * p`.
    fn work(&self) -> u64 {
        self.n().saturating_mul(u64::from(self.r) * u64::from(self.p))
    }
}

/// The key derivation of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kdf {
    /// `"scrypt"`.
    Scrypt { cost: ScryptCost, salt: Vec<u8> },
    /// `"pbkdf2"` with `"hmac-sha256"`.
    Pbkdf2 { rounds: u32, salt: Vec<u8> },
}

impl Kdf {
    /// Checks the cost, without deriving anything.
    pub(super) fn check(&self, limits: &Limits) -> Result<(), KeystoreError> {
        let (memory, work, fits) = match self {
            Self::Scrypt { cost, .. } => {
                let (memory, work) = (cost.memory(), cost.work());
                (memory, work, memory <= limits.memory && work <= limits.work)
            }
            Self::Pbkdf2 { rounds, .. } => {
                (0, u64::from(*rounds), u64::from(*rounds) <= limits.rounds)
            }
        };
        if fits {
            return Ok(());
        }
        let in_words = |memory, work, rounds| match self {
            Self::Scrypt { .. } => format!("{} of memory and {work} block mixes", bytes(memory)),
            Self::Pbkdf2 { .. } => format!("{rounds} rounds of PBKDF2"),
        };
        Err(KeystoreError::Expensive {
            memory,
            work,
            needs: in_words(memory, work, work),
            allowed: in_words(limits.memory, limits.work, limits.rounds),
        })
    }

    /// Derives the first 32 bytes of the key, within `limits`.
    pub(super) fn derive(
        &self,
        password: &[u8],
        limits: &Limits,
    ) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
        self.check(limits)?;
        match self {
            Self::Scrypt { cost, salt } => {
                let memory = || KeystoreError::Memory { needs: bytes(cost.memory()) };
                // A trial allocation: if the real one failed, it would abort the program.
                let length = usize::try_from(cost.memory()).map_err(|_| memory())?;
                Vec::<u8>::new().try_reserve_exact(length).map_err(|_| memory())?;
                kdf::scrypt(password, salt, cost.log_n, cost.r, cost.p).ok_or_else(memory)
            }
            Self::Pbkdf2 { rounds, salt } => Ok(pbkdf2_sha256(password, salt, *rounds)),
        }
    }
}

/// Formats a number of bytes for people.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = count as f64;
    let mut shown = format!("{count} bytes");
    for unit in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        shown = format!("{value:.0} {unit}");
    }
    shown
}
