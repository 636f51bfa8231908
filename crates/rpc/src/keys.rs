//! The keys of clients: in memory only, erased when they go.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rand::{
    SeedableRng as _, TryRng as _,
    rngs::{ChaCha20Rng, SysRng},
};
use statuskit_core::{
    crypto::SecretKey,
    envelope::{SymKey, key::key_pair_id},
};
use zeroize::Zeroizing;

use crate::error::RpcError;

/// The most keys of each kind.
const MOST: usize = 1 << 16;

/// Length of an id of a key pair. Other texts are taken for a public key.
const ID: usize = 64;

/// The key pairs and symmetric keys of one protocol.
#[derive(Default)]
pub struct Keys {
    pairs: Mutex<Pairs>,
    symmetric: Mutex<HashMap<String, Arc<StoredKey>>>,
}

#[derive(Default)]
struct Pairs {
    by_id: HashMap<String, Arc<SecretKey>>,
    ids: HashMap<String, String>,
}

/// A symmetric key, or 32 zeros, which nobody seals with.
pub enum StoredKey {
    Usable(SymKey),
    Zeros,
}

impl StoredKey {
    pub fn bytes(&self) -> &[u8; 32] {
        match self {
            Self::Usable(key) => key.as_bytes(),
            Self::Zeros => &[0; 32],
        }
    }
}

impl Keys {
    /// Adds a key pair; its id follows from the public key. Takes some milliseconds.
    pub fn add_pair(&self, key: SecretKey) -> Result<String, RpcError> {
        let public = key.public_key();
        let id = key_pair_id(&public);
        let mut pairs = lock(&self.pairs);
        if pairs.by_id.len() >= MOST {
            return Err(too_many());
        }
        pairs.ids.insert(public.to_string(), id.clone());
        pairs.by_id.insert(id.clone(), Arc::new(key));
        Ok(id)
    }

    /// Returns a key pair by its id or public key.
    pub fn pair(&self, name: &str) -> Option<Arc<SecretKey>> {
        let pairs = lock(&self.pairs);
        pairs.by_id.get(pairs.id(name)?).cloned()
    }

    /// Removes a key pair. Returns whether it was there.
    pub fn remove_pair(&self, name: &str) -> bool {
        let mut pairs = lock(&self.pairs);
        let Some(id) = pairs.id(name).map(str::to_owned) else { return false };
        let Some(key) = pairs.by_id.remove(&id) else { return false };
        pairs.ids.remove(&key.public_key().to_string());
        true
    }

    /// Adds a symmetric key under a new id.
    pub fn add_symmetric(&self, key: StoredKey) -> Result<String, RpcError> {
        let id = hex::encode(random::<32>()?);
        let mut keys = lock(&self.symmetric);
        if keys.len() >= MOST {
            return Err(too_many());
        }
        keys.insert(id.clone(), Arc::new(key));
        Ok(id)
    }

    /// Returns a symmetric key.
    pub fn symmetric(&self, id: &str) -> Option<Arc<StoredKey>> {
        lock(&self.symmetric).get(id).cloned()
    }

    /// Removes a symmetric key. Returns whether it was there.
    pub fn remove_symmetric(&self, id: &str) -> bool {
        lock(&self.symmetric).remove(id).is_some()
    }
}

impl Pairs {
    fn id<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        if name.len() == ID { Some(name) } else { self.ids.get(name).map(String::as_str) }
    }
}

fn too_many() -> RpcError {
    RpcError::failed("too many keys")
}

/// Returns random bytes of the system.
pub fn random<const N: usize>() -> Result<[u8; N], RpcError> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| RpcError::failed(error.to_string()))?;
    Ok(bytes)
}

/// Returns a generator for keys and salts.
pub fn generator() -> Result<ChaCha20Rng, RpcError> {
    let seed = Zeroizing::new(random::<32>()?);
    Ok(ChaCha20Rng::from_seed(*seed))
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
