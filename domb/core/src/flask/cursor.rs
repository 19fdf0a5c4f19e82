// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads little-endian words and names one after another, and knows where it
//! is. A count is believed only as far as the bytes that are left can hold it,
//! so a lying file costs no memory.

use super::error::Error;

/// A place in the bytes of a policy.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, at: 0 }
    }

    pub(super) fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], Error> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest
            .get(..length)
            .ok_or(Error::Truncated { what, at: self.at })?;
        self.at += length;
        Ok(taken)
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, Error> {
        let bytes = self.take(2, what)?;
        Ok(u16::from_le_bytes(
            bytes.try_into().expect("take gave two bytes"),
        ))
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, Error> {
        let bytes = self.take(4, what)?;
        Ok(u32::from_le_bytes(
            bytes.try_into().expect("take gave four bytes"),
        ))
    }

    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, Error> {
        let bytes = self.take(8, what)?;
        Ok(u64::from_le_bytes(
            bytes.try_into().expect("take gave eight bytes"),
        ))
    }

    /// A number of things of at least `size` bytes each.
    pub(super) fn count(&mut self, size: usize, what: &'static str) -> Result<usize, Error> {
        let count = self.u32(what)? as usize;
        if count > (self.bytes.len() - self.at) / size {
            return Err(Error::Truncated { what, at: self.at });
        }
        Ok(count)
    }

    /// A number that must be nought: a table Xen has no use for.
    pub(super) fn empty(&mut self, what: &'static str) -> Result<(), Error> {
        match self.u32(what)? {
            0 => Ok(()),
            _ => Err(self.invalid(what)),
        }
    }

    /// A name of `length` bytes: letters, digits, `_`, `.`, `-`.
    pub(super) fn name(&mut self, length: u32) -> Result<String, Error> {
        let bytes = self.take(length as usize, "a name")?;
        let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"_.-".contains(b);
        if bytes.is_empty() || !bytes.iter().all(allowed) {
            return Err(self.invalid("a name has none of its letters or one it may not have"));
        }
        Ok(bytes.iter().map(|b| char::from(*b)).collect())
    }

    /// The error that `what` is wrong with what was read last.
    pub(super) fn invalid(&self, what: &'static str) -> Error {
        Error::Invalid { what, at: self.at }
    }

    /// That nothing is left.
    pub(super) fn end(&self) -> Result<(), Error> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(self.invalid("something follows the policy"))
        }
    }
}
