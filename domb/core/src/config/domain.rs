// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One domain of the launch configuration. The keys are xl.cfg's words.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

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
    /// Domains that must have been started before this one.
    pub after: Vec<DomainName>,
    /// What the failure of this domain means for the launch.
    pub on_failure: OnFailure,
    /// Further libxl fields by their libxl JSON names, laid over the
    /// generated `libxl_domain_config` object by object.
    pub libxl: serde_json::Map<String, serde_json::Value>,
}

/// A domain's name: 1..=64 of letters, digits, `-`, `_`, `.`, `+`, and not
/// beginning with a digit only number (xl would take that for a domid).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct DomainName(pub(crate) String);

impl DomainName {
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

/// What the failure of one domain means for the launch (`on_failure`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnFailure {
    /// `"stop"`: the launch fails and every domain already built is destroyed.
    #[default]
    Stop,
    /// `"skip"`: this domain and those that need it are left out.
    Skip,
}

/// A domain's UUID, 16 bytes in the order they are written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Uuid(pub [u8; 16]);

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
