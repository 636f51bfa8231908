//! The stored form of a ratchet. States on disk outlive releases, so it never changes.

use super::{
    super::{
        key::KeyPair,
        store::{
            StoreError,
            codec::{Reader, Writer},
        },
    },
    ActiveRatchet, Chain, ChainKey, RatchetKey, RootKey,
};

impl ActiveRatchet {
    pub(in crate::secure) fn write(&self, writer: &mut Writer) {
        self.pair.as_pair().write(writer);
        writer.opt(Some(self.remote), |writer, key| writer.array(key.as_bytes()));
        writer.array(self.root.as_bytes());
        for chain in [&self.sending, &self.receiving] {
            writer.array(chain.key.as_bytes());
            writer.u32(chain.n);
        }
        writer.u32(self.previous_length);
        writer.u64(self.keys_count);
    }

    pub(in crate::secure) fn read(reader: &mut Reader<'_>) -> Result<Self, StoreError> {
        let pair = KeyPair::read(reader)?.into();
        // Only an inactive ratchet has no remote key, and those are never stored.
        let remote = reader.opt(Reader::array)?.map(RatchetKey::from);
        let remote = remote.ok_or_else(|| reader.corrupt())?;
        let root = RootKey::from_bytes(reader.array()?);
        let mut chain = || {
            let key = ChainKey::from_bytes(reader.array()?);
            Ok::<_, StoreError>(Chain { key, n: reader.u32()? })
        };
        let (sending, receiving) = (chain()?, chain()?);
        let (previous_length, keys_count) = (reader.u32()?, reader.u64()?);
        Ok(Self { pair, remote, root, sending, receiving, previous_length, keys_count })
    }
}
