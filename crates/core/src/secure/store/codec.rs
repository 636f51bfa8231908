//! The encoding of records: fields in sequence, big-endian numbers, length-prefixed text and bytes.
//! Buffers are erased on drop, since records hold keys.

use std::fmt;

use zeroize::Zeroizing;

use super::StoreError;

/// Writes a record.
pub struct Writer(Zeroizing<Vec<u8>>);

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer(redacted)")
    }
}

impl Default for Writer {
    fn default() -> Self {
        // Large enough for most records, to avoid copies.
        Self(Zeroizing::new(Vec::with_capacity(1536)))
    }
}

impl Writer {
    pub fn array<const N: usize>(&mut self, bytes: &[u8; N]) {
        self.reserve(N);
        self.0.extend_from_slice(bytes);
    }

    pub fn u8(&mut self, value: u8) {
        self.array(&[value]);
    }

    pub fn flag(&mut self, value: bool) {
        self.u8(value.into());
    }

    pub fn u32(&mut self, value: u32) {
        self.array(&value.to_be_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.array(&value.to_be_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.array(&value.to_be_bytes());
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.reserve(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    pub fn opt<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub fn finish(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    /// Grows by copying, and erases the old buffer.
    fn reserve(&mut self, more: usize) {
        if self.0.capacity() - self.0.len() < more {
            let capacity = (self.0.len() + more) * 2;
            let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
    }
}

/// Reads a record.
pub struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader(redacted)")
    }
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of a record. `what` names it in errors.
    pub fn new(what: &'static str, record: &'a [u8]) -> Self {
        Self { what, rest: record }
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(self.corrupt())?;
        self.rest = rest;
        Ok(*array)
    }

    pub fn u8(&mut self) -> Result<u8, StoreError> {
        self.array().map(|[value]| value)
    }

    pub fn flag(&mut self) -> Result<bool, StoreError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.corrupt()),
        }
    }

    pub fn u32(&mut self) -> Result<u32, StoreError> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, StoreError> {
        self.array().map(u64::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, StoreError> {
        self.array().map(i64::from_be_bytes)
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], StoreError> {
        let length = self.u32()? as usize;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(self.corrupt())?;
        self.rest = rest;
        Ok(bytes)
    }

    pub fn text(&mut self) -> Result<&'a str, StoreError> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.corrupt())
    }

    pub fn opt<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    /// Checks that no bytes are left.
    pub fn finish(self) -> Result<(), StoreError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.corrupt()) }
    }

    /// Returns the error for a damaged record.
    pub fn corrupt(&self) -> StoreError {
        StoreError::Corrupt { what: self.what }
    }
}
