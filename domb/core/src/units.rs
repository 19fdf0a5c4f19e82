// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Small values that cross module borders: a domid, a number of MiB, a PCR
//! index. Each is a newtype so that one cannot be taken for another.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// A domid that Xen will use as asked.
///
/// Holding one proves that it is 1..=32751. Xen's createdomain takes exactly
/// these as they are; 0 and everything from `DOMID_FIRST_RESERVED` (0x7ff0)
/// up silently becomes another, automatically chosen domid
/// (`xen/common/domctl.c`, `xen/include/public/xen.h`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct Domid(u16);

impl Domid {
    /// The smallest domid a configuration may ask for.
    pub const MIN: u16 = 1;
    /// The largest: one below `DOMID_FIRST_RESERVED`, 0x7ff0.
    pub const MAX: u16 = 0x7ff0 - 1;

    /// The domid `value`, unless Xen would turn it into another one.
    #[must_use]
    pub fn new(value: i64) -> Option<Domid> {
        let value = u16::try_from(value).ok()?;
        (Self::MIN..=Self::MAX)
            .contains(&value)
            .then_some(Domid(value))
    }

    /// The number Xen knows the domain by.
    #[must_use]
    pub fn value(self) -> u16 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Domid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Domid, D::Error> {
        let value = i64::deserialize(deserializer)?;
        Domid::new(value).ok_or_else(|| D::Error::custom(format_args!("{value} is not a domid")))
    }
}

impl fmt::Display for Domid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An amount of memory in MiB.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct Mib(pub u64);

impl Mib {
    /// The same amount in KiB, libxl's unit; saturates.
    #[must_use]
    pub fn kib(self) -> u64 {
        self.0.saturating_mul(1024)
    }
}

impl fmt::Display for Mib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.0)
    }
}

/// The index of the PCR that domb owns.
///
/// Holding one proves that it is 8..=15: below 8 firmware writes, 16 and 23
/// can be reset by software, and 17 to 22 need a locality that Linux does not
/// give (TCG PC Client Platform TPM Profile, section 4.6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct PcrIndex(u8);

impl PcrIndex {
    /// PCR 13, domb's own unless the configuration says otherwise.
    pub const DEFAULT: PcrIndex = PcrIndex(13);

    /// The index `value`, unless that PCR cannot hold a launch measurement.
    #[must_use]
    pub fn new(value: i64) -> Option<PcrIndex> {
        u8::try_from(value)
            .ok()
            .filter(|v| (8..=15).contains(v))
            .map(PcrIndex)
    }

    /// The TPM's number for it.
    #[must_use]
    pub fn value(self) -> u8 {
        self.0
    }
}

impl<'de> Deserialize<'de> for PcrIndex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PcrIndex, D::Error> {
        let value = i64::deserialize(deserializer)?;
        PcrIndex::new(value)
            .ok_or_else(|| D::Error::custom(format_args!("PCR {value} is not one of 8 to 15")))
    }
}

impl fmt::Display for PcrIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domid_that_xen_would_replace_is_refused() {
        for bad in [-1, 0, 0x7ff0, 0x7ff4, 0xffff, 0x1_0001] {
            assert_eq!(Domid::new(bad), None, "{bad}");
        }
        assert_eq!(Domid::new(32751).map(Domid::value), Some(32751));
    }

    #[test]
    fn only_pcrs_8_to_15_can_be_owned() {
        for bad in [-1, 0, 7, 16, 17, 23, 24, 269] {
            assert_eq!(PcrIndex::new(bad), None, "{bad}");
        }
        assert_eq!(PcrIndex::new(13), Some(PcrIndex::DEFAULT));
    }
}
