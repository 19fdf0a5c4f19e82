// SPDX-License-Identifier: Apache-2.0 OR MIT
//! PCR banks, digests and hashing.
//!
//! A bank is a hash algorithm that the TPM keeps PCRs in. Everything domb
//! measures is hashed once per active bank from the same bytes. This file
//! trusts nothing it is given: a digest cannot have another length than its
//! bank's, and a set of digests cannot hold a bank twice.

#[cfg(test)]
mod tests;

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::hex;

/// A PCR bank that domb can compute. The declaration order is the order of
/// digests in events, in the event log and in an extend.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Bank {
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA-384, 48 bytes.
    Sha384,
    /// SHA-512, 64 bytes.
    Sha512,
}

impl Bank {
    /// Every bank, in order.
    pub const ALL: [Bank; 4] = [Bank::Sha1, Bank::Sha256, Bank::Sha384, Bank::Sha512];

    /// The `TPM_ALG_ID` (TPM 2.0 Library Part 2, section 6.3).
    #[must_use]
    pub fn algorithm_id(self) -> u16 {
        match self {
            Bank::Sha1 => 0x0004,
            Bank::Sha256 => 0x000b,
            Bank::Sha384 => 0x000c,
            Bank::Sha512 => 0x000d,
        }
    }

    /// The bank of a `TPM_ALG_ID`, if domb can compute it.
    #[must_use]
    pub fn from_algorithm_id(id: u16) -> Option<Bank> {
        Self::ALL.into_iter().find(|bank| bank.algorithm_id() == id)
    }

    /// The name that tpm2-tools and the Canonical Event Log use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Bank::Sha1 => "sha1",
            Bank::Sha256 => "sha256",
            Bank::Sha384 => "sha384",
            Bank::Sha512 => "sha512",
        }
    }

    /// The bank of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Bank> {
        Self::ALL.into_iter().find(|bank| bank.name() == name)
    }

    /// The length of its digests in bytes.
    #[must_use]
    pub fn digest_size(self) -> usize {
        match self {
            Bank::Sha1 => 20,
            Bank::Sha256 => 32,
            Bank::Sha384 => 48,
            Bank::Sha512 => 64,
        }
    }

    /// Shares the banks between two workers so that neither has much more to
    /// do: SHA-384 and SHA-512 cost about twice what the others do where the
    /// processor has SHA instructions, and go to different workers. The second
    /// share is empty for a single bank.
    #[must_use]
    pub fn shares(banks: &[Bank]) -> [Vec<Bank>; 2] {
        let mut shares = [(0, Vec::new()), (0, Vec::new())];
        for bank in banks.iter().rev() {
            let lighter = usize::from(shares[1].0 < shares[0].0);
            shares[lighter].0 += if *bank >= Bank::Sha384 { 2 } else { 1 };
            shares[lighter].1.push(*bank);
        }
        shares.map(|(_, share)| share)
    }
}

impl fmt::Display for Bank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Bank {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Bank {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bank, D::Error> {
        let name = String::deserialize(deserializer)?;
        Bank::from_name(&name)
            .ok_or_else(|| D::Error::custom(format_args!("unknown bank {name:?}")))
    }
}

/// One digest, or one PCR value. Holding one proves that its length is its
/// bank's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    bank: Bank,
    /// Zero behind the bank's digest size.
    bytes: [u8; 64],
}

impl Digest {
    /// `bytes` as a digest of `bank`; None when the length is another one.
    #[must_use]
    pub fn new(bank: Bank, bytes: &[u8]) -> Option<Digest> {
        let mut digest = Digest::zero(bank);
        (bytes.len() == bank.digest_size())
            .then(|| digest.bytes[..bytes.len()].copy_from_slice(bytes))?;
        Some(digest)
    }

    /// The digest written as hexadecimal digits, in either case.
    #[must_use]
    pub fn from_hex(bank: Bank, digits: &str) -> Option<Digest> {
        Digest::new(bank, &hex::decode(digits)?)
    }

    /// All zero: a PCR nobody has extended, and the digest of a part that is
    /// absent. No content is known to hash to it.
    #[must_use]
    pub fn zero(bank: Bank) -> Digest {
        Digest {
            bank,
            bytes: [0; 64],
        }
    }

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bank: Bank, bytes: &[u8]) -> Digest {
        let mut state = State::new(bank);
        state.update(bytes);
        state.finish()
    }

    /// The bank it belongs to.
    #[must_use]
    pub fn bank(&self) -> Bank {
        self.bank
    }

    /// The digest's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.bank.digest_size()]
    }

    /// Whether every byte is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.bytes == [0; 64]
    }

    /// The value a PCR that holds `self` has after it was extended with
    /// `digest` (TPM 2.0 Library Part 1, PCR extend): H(old value ‖ digest).
    ///
    /// None when the two are of different banks.
    #[must_use]
    pub fn extended(&self, digest: &Digest) -> Option<Digest> {
        let mut state = State::new(self.bank);
        state.update(self.as_bytes());
        state.update(digest.as_bytes());
        (self.bank == digest.bank).then(|| state.finish())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.as_bytes()))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{self}", self.bank)
    }
}

/// Digests of the same bytes, or values of the same PCR: at most one per
/// bank, in the banks' order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Digests(Vec<Digest>);

impl Digests {
    /// The digests of `bytes`.
    #[must_use]
    pub fn of(banks: &[Bank], bytes: &[u8]) -> Digests {
        let mut hasher = Hasher::new(banks);
        hasher.update(bytes);
        hasher.finish()
    }

    /// All zero, in each of `banks`.
    #[must_use]
    pub fn zero(banks: &[Bank]) -> Digests {
        ordered(banks).into_iter().map(Digest::zero).collect()
    }

    /// The digest of one bank.
    #[must_use]
    pub fn bank(&self, bank: Bank) -> Option<&Digest> {
        self.0.iter().find(|digest| digest.bank == bank)
    }

    /// Only those of `banks`; None when one of them is not there.
    #[must_use]
    pub fn select(&self, banks: &[Bank]) -> Option<Digests> {
        ordered(banks)
            .into_iter()
            .map(|bank| self.bank(bank).copied())
            .collect()
    }

    /// The digests, in the banks' order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Digest> {
        self.0.iter()
    }

    /// The banks, in order.
    #[must_use]
    pub fn banks(&self) -> Vec<Bank> {
        self.0.iter().map(Digest::bank).collect()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts `digest` in its place; one of the same bank is replaced.
    pub fn insert(&mut self, digest: Digest) {
        match self.0.binary_search_by_key(&digest.bank, Digest::bank) {
            Ok(at) => self.0[at] = digest,
            Err(at) => self.0.insert(at, digest),
        }
    }

    /// The values of a PCR that held `self` after `event` extended it. None
    /// when the two do not have the same banks.
    #[must_use]
    pub fn extended(&self, event: &Digests) -> Option<Digests> {
        (self.0.len() == event.0.len()).then(|| {
            self.0
                .iter()
                .zip(&event.0)
                .map(|(old, digest)| old.extended(digest))
                .collect()
        })?
    }
}

impl FromIterator<Digest> for Digests {
    fn from_iter<I: IntoIterator<Item = Digest>>(digests: I) -> Digests {
        let mut set = Digests::default();
        digests.into_iter().for_each(|digest| set.insert(digest));
        set
    }
}

impl Extend<Digest> for Digests {
    fn extend<I: IntoIterator<Item = Digest>>(&mut self, digests: I) {
        digests.into_iter().for_each(|digest| self.insert(digest));
    }
}

impl IntoIterator for Digests {
    type Item = Digest;
    type IntoIter = std::vec::IntoIter<Digest>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// `{"sha256": "…", …}` in the banks' order.
impl Serialize for Digests {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0
                .iter()
                .map(|digest| (digest.bank, digest.to_string())),
        )
    }
}

impl<'de> Deserialize<'de> for Digests {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digests, D::Error> {
        let map = std::collections::BTreeMap::<String, String>::deserialize(deserializer)?;
        map.into_iter()
            .map(|(name, digits)| {
                Bank::from_name(&name)
                    .and_then(|bank| Digest::from_hex(bank, &digits))
                    .ok_or_else(|| {
                        D::Error::custom(format_args!(
                            "{digits:?} is not a digest of bank {name:?}"
                        ))
                    })
            })
            .collect()
    }
}

/// Hashes a stream of bytes for several banks at once.
#[derive(Clone)]
pub struct Hasher(Vec<State>);

impl Hasher {
    /// A hasher for each of `banks`.
    #[must_use]
    pub fn new(banks: &[Bank]) -> Hasher {
        Hasher(ordered(banks).into_iter().map(State::new).collect())
    }

    /// Takes the next bytes of the stream.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.iter_mut().for_each(|state| state.update(bytes));
    }

    /// The digests of everything taken.
    #[must_use]
    pub fn finish(self) -> Digests {
        self.0.into_iter().map(State::finish).collect()
    }
}

/// One running hash.
#[derive(Clone)]
enum State {
    Sha1(Sha1),
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl State {
    fn new(bank: Bank) -> State {
        match bank {
            Bank::Sha1 => State::Sha1(Sha1::new()),
            Bank::Sha256 => State::Sha256(Sha256::new()),
            Bank::Sha384 => State::Sha384(Sha384::new()),
            Bank::Sha512 => State::Sha512(Sha512::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            State::Sha1(state) => state.update(bytes),
            State::Sha256(state) => state.update(bytes),
            State::Sha384(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    fn finish(self) -> Digest {
        match self {
            State::Sha1(state) => Digest::new(Bank::Sha1, &state.finalize()),
            State::Sha256(state) => Digest::new(Bank::Sha256, &state.finalize()),
            State::Sha384(state) => Digest::new(Bank::Sha384, &state.finalize()),
            State::Sha512(state) => Digest::new(Bank::Sha512, &state.finalize()),
        }
        .expect("a hash function gives digests of its own length")
    }
}

/// The banks in order, each once.
fn ordered(banks: &[Bank]) -> Vec<Bank> {
    Bank::ALL
        .into_iter()
        .filter(|bank| banks.contains(bank))
        .collect()
}
