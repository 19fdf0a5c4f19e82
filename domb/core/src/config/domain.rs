// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One domain of the launch configuration. The keys are xl.cfg's words.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ready::Ready;
use super::{Pci, Range, Resource};
use crate::units::{Domid, Mib};

/// A `[[domain]]` table that passed every check of its own.
#[derive(Clone, PartialEq, Debug)]
pub struct DomainConfig {
    /// Unique name, as `xl list` will show it.
    pub name: DomainName,
    /// Unique, fixed domid.
    pub domid: Domid,
    /// PV or PVH.
    pub kind: DomainType,
    /// Kernel image, as written.
    pub kernel: PathBuf,
    /// Ramdisk, as written.
    pub ramdisk: Option<PathBuf>,
    /// Kernel command line.
    pub cmdline: String,
    /// Memory at start.
    pub memory: Mib,
    /// Memory the domain may balloon to; at least `memory`.
    pub maxmem: Mib,
    /// Number of virtual CPUs, 1..=128.
    pub vcpus: u32,
    /// UUID: the one written, or one derived from name and domid so that the
    /// same file always gives the same platform.
    pub uuid: Uuid,
    /// XSM/Flask label, `user:role:type`.
    pub seclabel: Option<String>,
    /// What the platform relies on it for; empty for a guest.
    pub roles: Vec<Role>,
    /// Ranges of the machine that are written in its own table.
    pub ranges: Vec<Range>,
    /// Ranges of the machine that it names.
    pub resources: Vec<Resource>,
    /// Domains that must be ready before this one is started.
    pub after: Vec<DomainName>,
    /// When it counts as ready; None: as soon as it was unpaused. Who starts
    /// after it waits for that.
    pub ready: Option<Ready>,
    /// What the launch script may let it boot instead of its own files.
    pub images: Vec<Image>,
    /// What the failure of this domain means for the launch.
    pub on_failure: OnFailure,
    /// It is started only in the place of a domain that failed.
    pub standby: bool,
    /// Further libxl fields by their libxl JSON names, laid over the
    /// generated `libxl_domain_config` object by object.
    pub libxl: serde_json::Map<String, serde_json::Value>,
}

/// Files that a domain can boot instead of its own (`[[domain.images]]`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Image {
    /// Its name, unique in the domain.
    pub name: String,
    /// Kernel image, as written.
    pub kernel: PathBuf,
    /// Ramdisk, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramdisk: Option<PathBuf>,
}

/// A domain's name: 1..=64 of ASCII letters, digits, `-`, `_`, `.`, `+`; not a
/// number (xl would take that for a domid), not `Domain-0`, `.` or `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct DomainName(pub(crate) String);

impl DomainName {
    /// The most characters a name may have.
    pub const MAX_LEN: usize = 64;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The virtualisation a domain runs in (`type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DomainType {
    /// `"pv"`
    Pv,
    /// `"pvh"`
    Pvh,
}

impl DomainType {
    /// xl.cfg's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            DomainType::Pv => "pv",
            DomainType::Pvh => "pvh",
        }
    }
}

/// What the platform relies on a domain for (`roles`), as in Hyperlaunch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// `"xenstore"`: it serves XenStore to every other domain. domb brings
    /// its ramdisk and builds it first, with libxenguest.
    Xenstore,
    /// `"control"`: the toolstack and the consoles once the boot domain has
    /// gone, which it clears away. Built second, and started for its consoles.
    Control,
    /// `"hardware"`: the devices and the machine's own power. Built last:
    /// Xen takes everything from the boot domain for it.
    Hardware,
    /// `"recovery"`: it is started only when the launch has failed, alone, and
    /// finds in XenStore why.
    Recovery,
}

impl Role {
    /// The word of the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Xenstore => "xenstore",
            Role::Control => "control",
            Role::Hardware => "hardware",
            Role::Recovery => "recovery",
        }
    }
}

impl DomainConfig {
    /// Its place in the start order, before `after` is looked at.
    pub(super) fn turn(&self) -> u8 {
        match self.roles.as_slice() {
            [] => 2,
            [Role::Hardware] => 3,
            roles if roles.contains(&Role::Xenstore) => 0,
            _ => 1,
        }
    }

    /// Whether the platform relies on it for `role`.
    #[must_use]
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Every range of the machine that it has for itself.
    pub fn delegated(&self) -> impl Iterator<Item = &Range> {
        let named = self.resources.iter().flat_map(|resource| &resource.ranges);
        self.ranges.iter().chain(named)
    }

    /// The PCI devices among them.
    pub fn pci(&self) -> impl Iterator<Item = Pci> {
        self.delegated().filter_map(|range| match range {
            Range::Pci(pci) => Some(*pci),
            Range::Iomem { .. } | Range::Ioports { .. } | Range::Irq(_) => None,
        })
    }
}

/// What the failure of one domain means for the launch (`on_failure`): it could
/// not be built, ended before its time, or was not ready in time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum OnFailure {
    /// `"stop"`: the launch fails and every domain is destroyed.
    #[default]
    Stop,
    /// `"skip"`: this domain and those that need it are left out.
    Skip,
    /// `"retry N"`: it is built anew, at most so often, 1..=9; then the launch
    /// fails as if nothing was said.
    Retry(u8),
    /// `"substitute NAME"`: that domain, on standby until then, takes its place.
    Substitute(DomainName),
    /// `"recover"`: the launch fails and the recovery domain is started.
    Recover,
}

impl OnFailure {
    /// The most attempts after the first.
    pub const MAX_RETRIES: u8 = 9;
}

impl fmt::Display for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OnFailure::Stop => f.write_str("stop"),
            OnFailure::Skip => f.write_str("skip"),
            OnFailure::Retry(most) => write!(f, "retry {most}"),
            OnFailure::Substitute(name) => write!(f, "substitute {name}"),
            OnFailure::Recover => f.write_str("recover"),
        }
    }
}

/// A domain's UUID, 16 bytes in the order they are written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// The UUID that `text` writes as 8-4-4-4-12 hexadecimal digits
    /// (RFC 9562, section 4).
    #[must_use]
    pub fn parse(text: &str) -> Option<Uuid> {
        const DASHES: [usize; 4] = [8, 13, 18, 23];
        let text = text.as_bytes();
        if text.len() != 36 || DASHES.iter().any(|at| text[*at] != b'-') {
            return None;
        }
        let digit = |at: &usize| !DASHES.contains(at);
        let mut digits = (0..text.len())
            .filter(digit)
            .map(|at| char::from(text[at]).to_digit(16));
        let mut bytes = [0; 16];
        for byte in &mut bytes {
            let (high, low) = (digits.next()??, digits.next()??);
            *byte = u8::try_from(high << 4 | low).ok()?;
        }
        Some(Uuid(bytes))
    }

    /// The UUID of a domain that has none written: the first 128 bits of
    /// SHA-256 over a separator, the name's length, the name and the domid,
    /// marked as version 8, variant 10 (RFC 9562, section 5.8).
    #[must_use]
    pub fn derive(name: &DomainName, domid: Domid) -> Uuid {
        let mut hash = Sha256::new();
        hash.update(b"domb domain uuid v1\0");
        hash.update((name.0.len() as u64).to_be_bytes());
        hash.update(name.0.as_bytes());
        hash.update(domid.value().to_be_bytes());
        let digest = hash.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Uuid(bytes)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl Serialize for Uuid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_read_back_as_it_is_shown() {
        let text = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";
        assert_eq!(Uuid::parse(text).unwrap().to_string(), text);
        assert_eq!(Uuid::parse(&text.to_uppercase()), Uuid::parse(text));
        for bad in [
            "",
            &text[1..],
            &text.replace('-', "0"),
            &text.replace('b', "g"),
            "é",
        ] {
            assert_eq!(Uuid::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_derived_uuid_depends_on_name_and_domid_and_says_version_8() {
        let name = |text: &str| DomainName(text.to_owned());
        let derive = |text: &str, domid| Uuid::derive(&name(text), Domid::new(domid).unwrap());
        let net = derive("net", 7);
        assert_eq!(net.0[6] >> 4, 8);
        assert_eq!(net.0[8] >> 6, 0b10);
        assert_ne!(net, derive("net", 8));
        assert_ne!(net, derive("ne", 7));
        // Platforms out there keep their UUIDs only as long as this holds.
        assert_eq!(net.to_string(), "55d07c1f-f3df-8796-b781-73121f71c650");
    }
}
