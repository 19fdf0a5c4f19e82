// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a launch script is told of the machine: Xen, its memory and CPUs, what
//! it can build, and the TPM. The toolstack and the measurer say it at boot; a
//! rehearsal has it from a file. Nothing is guessed: what nobody said is absent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::Role;

/// The machine. A field is absent where this host cannot know it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlatformFacts {
    /// All memory Xen has, MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// Memory not given to any domain, MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_memory_mib: Option<u64>,
    /// Physical CPUs that are online.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Xen's version, `4.17.5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xen_version: Option<String>,
    /// Xen's own command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xen_commandline: Option<String>,
    /// Whether Flask decides anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flask: Option<Flask>,
    /// Whether PV domains can be built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pv: Option<bool>,
    /// Whether HVM and PVH domains can be built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hvm: Option<bool>,
    /// Whether Xen uses an IOMMU: without one no domain can have a PCI device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iommu: Option<bool>,
    /// The roles that a domain can have on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
}

impl PlatformFacts {
    /// The roles that a domain can have on a machine of which this is known;
    /// `store_is_here` where a XenStore serves already.
    ///
    /// - `recovery`: always.
    /// - `xenstore`: the domain is built first, as a PV domain and with
    ///   libxenguest, so there may be no XenStore yet.
    /// - `control`: that and an enforcing Flask; without labels only domain 0
    ///   has power.
    /// - `hardware`: that, and `hardware_dom=` on Xen's command line, which
    ///   makes a later domain the hardware domain. Whether Xen was built with
    ///   `LATE_HWDOM` it does not say; one that was not ignores the word.
    #[must_use]
    pub fn possible_roles(&self, store_is_here: bool) -> Vec<Role> {
        let words = self.xen_commandline.as_deref().unwrap_or_default();
        let named = words.split_whitespace().any(|word| {
            let number = word.strip_prefix("hardware_dom=");
            number.is_some_and(|number| number.parse::<u16>().is_ok_and(|domid| domid > 0))
        });
        let store = !store_is_here && self.pv == Some(true);
        let control = store && self.flask == Some(Flask::Enforcing);
        let possible = [
            (Role::Xenstore, store),
            (Role::Control, control),
            (Role::Hardware, control && named),
            (Role::Recovery, true),
        ];
        let possible = possible.into_iter().filter(|(_, possible)| *possible);
        possible.map(|(role, _)| role).collect()
    }
}

/// Xen's Flask module.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flask {
    /// Not built in, or not the active XSM module.
    Absent,
    /// It logs and lets pass.
    Permissive,
    /// It refuses.
    Enforcing,
}

impl Flask {
    /// The word a script compares with.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Flask::Absent => "absent",
            Flask::Permissive => "permissive",
            Flask::Enforcing => "enforcing",
        }
    }
}

/// The TPM at the moment the script is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TpmFacts {
    /// What became of the measurement.
    pub state: TpmState,
    /// The PCR that domb extends.
    pub pcr: u8,
    /// Active banks by name (`sha256`), with the PCR's value in each as
    /// lower-case hexadecimal once everything read so far is extended.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

/// What became of the measurement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TpmState {
    /// Everything was extended into every active bank.
    Measured,
    /// There is no TPM; the configuration lets the launch go on without.
    Absent,
    /// There is a TPM and it failed; the configuration lets the launch go on.
    Failed,
    /// The configuration says not to touch it.
    Off,
}

impl TpmState {
    /// The word a script compares with.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            TpmState::Measured => "measured",
            TpmState::Absent => "absent",
            TpmState::Failed => "failed",
            TpmState::Off => "off",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_possible_where_the_platform_has_what_it_needs() {
        let machine = |flask, cmdline: &str| PlatformFacts {
            flask: Some(flask),
            xen_commandline: Some(cmdline.to_owned()),
            pv: Some(true),
            ..PlatformFacts::default()
        };
        let roles = |machine: PlatformFacts, store_is_here| {
            let roles = machine.possible_roles(store_is_here);
            roles.iter().map(|role| role.as_str()).collect::<Vec<_>>()
        };
        let stock = machine(Flask::Absent, "dom0_mem=1G");
        assert_eq!(roles(stock.clone(), true), ["recovery"]);
        assert_eq!(roles(stock, false), ["xenstore", "recovery"]);
        let flask = machine(Flask::Enforcing, "hardware_dom=0 flask=enforcing");
        assert_eq!(roles(flask, false), ["xenstore", "control", "recovery"]);
        let whole = machine(Flask::Enforcing, "hardware_dom=3 flask=enforcing");
        let all = ["xenstore", "control", "hardware", "recovery"];
        assert_eq!(roles(whole.clone(), false), all);
        assert_eq!(roles(whole, true), ["recovery"]);
        let permissive = machine(Flask::Permissive, "hardware_dom=3");
        assert_eq!(roles(permissive, false), ["xenstore", "recovery"]);
    }
}
