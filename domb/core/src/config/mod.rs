// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The launch configuration: what the rest of domb sees.
//!
//! Bytes become a `RawConfig` (`raw.rs`, what the file says) and then a
//! [`Config`] (`meaning.rs`, what it means). A [`Config`] needs no later check of its own: names and domids
//! are unique and in range, every `after` names a domain and the whole has no
//! cycle. What it cannot know is said elsewhere: whether the files are there
//! and readable (`load`), and whether the platform has the memory (`build`).

mod artefact;
mod departure;
mod devices;
mod domain;
mod failure;
mod faults;
mod free;
mod images;
mod keys;
mod libxl;
mod limits;
mod meaning;
mod nearest;
mod one_domain;
mod owners;
mod pci;
mod range;
mod raw;
mod ready;
mod resources;
mod roles;
mod rules;
mod schema;
mod seclabel;
mod settings;
mod size;
mod table;
#[cfg(test)]
mod tests;
mod values;
mod xen_cmdline;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::path::PathBuf;

use serde::Serialize;

pub use artefact::{Artefact, ArtefactKind, resolve};
pub use domain::{DomainConfig, DomainName, DomainType, Image, OnFailure, Role, Uuid};
pub use nearest::nearest;
pub use range::{Pci, Range, Resource};
pub use ready::{Backend, BackendState, Node, OnTimeout, Ready};
pub use schema::schema;
pub use seclabel::Seclabel;

use faults::Faults;

use crate::diagnostic::{Diagnostic, Severity};
use crate::measure::Digests;
use crate::policy::Limits;
use crate::units::{Mib, PcrIndex};

/// A launch configuration that passed every check that needs no file, no Xen
/// and no TPM.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// The exact bytes of the file. These are what is measured.
    pub bytes: Vec<u8>,
    /// The launch script, as written. None: every domain is allowed.
    pub script: Option<PathBuf>,
    /// The bounds of the launch script's runs (`[limits]`).
    pub limits: Limits,
    /// The compiled Flask policy that Xen is started with, as written.
    pub flask_policy: Option<PathBuf>,
    /// How the boot domain leaves.
    pub exit: Exit,
    /// What becomes of the boot domain, where it halts.
    pub reclaim: Reclaim,
    /// What PID 1 does when the launch did not succeed.
    pub after_failure: AfterFailure,
    /// Whether a launch without a TPM is a launch.
    pub tpm: TpmMode,
    /// The PCR that domb owns.
    pub pcr: PcrIndex,
    /// What the PCR has to hold before the first event.
    pub expect_initial: InitialValue,
    /// What PID 1 becomes after the hand-off.
    pub control: Option<Control>,
    /// The platform's memory where the integrator knows it: lets `domb check`
    /// refuse a sum that cannot fit.
    pub platform_memory: Option<Mib>,
    /// Xen's own command line where the integrator gives it: lets `domb check`
    /// hold it against the domains. A launch does not read it.
    pub xen_cmdline: Option<String>,
    /// How many bits a physical address has, where the integrator knows it:
    /// lets `domb check` refuse pages that cannot be there.
    pub address_bits: Option<u8>,
    /// `[resources]`: ranges of the machine by name, in the file's order.
    pub resources: Vec<Resource>,
    /// The domains in the file's order. Never empty.
    pub domains: Vec<DomainConfig>,
    /// `[data]`: the integrator's own values for the launch script, always an
    /// object. Whole numbers, text, booleans, lists and tables; dates are text.
    pub data: serde_json::Value,
    /// Every file named above with the place it is named at, in the order
    /// script, Flask policy, control ramdisk, then kernel and ramdisk per
    /// domain.
    pub artefacts: Vec<Artefact>,
    /// Every label the configuration names: domain 0's, then one per domain
    /// that has one.
    pub seclabels: Vec<Seclabel>,
}

impl Config {
    /// The largest file that is read as a configuration.
    pub const MAX_BYTES: usize = 1 << 20;
    /// The most domains one launch may have.
    pub const MAX_DOMAINS: usize = 256;

    /// Reads a configuration from the bytes of the file that `file` names
    /// (the name is used in messages only).
    ///
    /// # Errors
    /// Every fault found, in the file's order, warnings included; at least
    /// one error.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Config, Vec<Diagnostic>> {
        let (config, faults) = Config::check(file, bytes);
        config.ok_or(faults)
    }

    /// The same, for who wants the warnings of a good file as well: a
    /// configuration unless there is an error, and every fault found.
    #[must_use]
    pub fn check(file: &str, bytes: &[u8]) -> (Option<Config>, Vec<Diagnostic>) {
        let mut faults = Faults::new(file);
        let tree = raw::text(bytes, &mut faults).and_then(|text| raw::tree(text, &mut faults));
        let config = tree.and_then(|tree| {
            let raw = raw::read(&tree, &mut faults);
            meaning::config(&raw, bytes, &mut faults)
        });
        let faults = faults.finish();
        let refused = faults.iter().any(|fault| fault.severity == Severity::Error);
        debug_assert!(
            refused || config.is_some(),
            "a configuration is lost without a fault"
        );
        (config.filter(|_| !refused), faults)
    }

    /// The domains in start order: xenstore, control, guests, hardware; each
    /// after all it names in `after`; where that leaves a choice, the file's
    /// order.
    #[must_use]
    pub fn start_order(&self) -> Vec<&DomainConfig> {
        let index: BTreeMap<&DomainName, usize> = self
            .domains
            .iter()
            .enumerate()
            .map(|(at, domain)| (&domain.name, at))
            .collect();
        let mut waiting_for: Vec<usize> = Vec::with_capacity(self.domains.len());
        let mut waited_by: Vec<Vec<usize>> = vec![Vec::new(); self.domains.len()];
        for (at, domain) in self.domains.iter().enumerate() {
            waiting_for.push(domain.after.len());
            for need in &domain.after {
                waited_by[index[need]].push(at);
            }
        }
        let turn = |at: usize| Reverse((self.domains[at].turn(), at));
        let mut ready: BinaryHeap<Reverse<(u8, usize)>> = (0..self.domains.len())
            .filter(|at| waiting_for[*at] == 0)
            .map(turn)
            .collect();
        let mut order = Vec::with_capacity(self.domains.len());
        while let Some(Reverse((_, at))) = ready.pop() {
            order.push(&self.domains[at]);
            for next in &waited_by[at] {
                waiting_for[*next] -= 1;
                if waiting_for[*next] == 0 {
                    ready.push(turn(*next));
                }
            }
        }
        order
    }

    /// The domain that the platform relies on for `role`, if there is one.
    #[must_use]
    pub fn with_role(&self, role: Role) -> Option<&DomainConfig> {
        self.domains.iter().find(|domain| domain.has_role(role))
    }

    /// Whether it names a PCI device that a domain is given, can be given, or
    /// is kept from.
    #[must_use]
    pub fn names_pci(&self) -> bool {
        let resources = self.resources.iter();
        let named = resources.flat_map(|resource| &resource.ranges);
        let mut given = self.domains.iter().flat_map(DomainConfig::pci);
        let passed = |domain: &DomainConfig| domain.libxl.contains_key("pcidevs");
        given.next().is_some()
            || named
                .into_iter()
                .any(|range| matches!(range, Range::Pci(_)))
            || self.domains.iter().any(passed)
    }

    /// The domain of that name.
    #[must_use]
    pub fn domain(&self, name: &str) -> Option<&DomainConfig> {
        self.domains
            .iter()
            .find(|domain| domain.name.as_str() == name)
    }
}

/// Whether `[[domain]]` has that key.
#[cfg(test)]
pub(crate) fn is_domain_key(key: &str) -> bool {
    keys::Section::Domain.keys().contains(&key)
}

/// How the boot domain leaves after the hand-off (`exit`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    /// `"process"`: domb ends and PID 1 becomes the control domain's init;
    /// domain 0 lives on as the control domain.
    #[default]
    Process,
    /// `"domain"`: the boot domain halts. A hardware domain has the devices, a
    /// control domain what is left of power, and clears the boot domain away.
    Domain,
}

impl Exit {
    /// The word of the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Exit::Process => "process",
            Exit::Domain => "domain",
        }
    }
}

/// What becomes of the boot domain after it has halted (`reclaim`,
/// `exit = "domain"`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reclaim {
    /// `"destroy"`: it is destroyed and all its memory is free. libxl creates
    /// nodes that belong to domain 0, so nothing can be built afterwards.
    #[default]
    Destroy,
    /// `"balloon"`: it gives back what Linux can spare and stays, halted and
    /// empty; the control domain can build domains.
    Balloon,
}

/// What PID 1 does when the launch did not succeed (`after_failure`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AfterFailure {
    /// `"halt"`: the machine halts with the report on the console.
    #[default]
    Halt,
    /// `"reboot"`: the machine reboots.
    Reboot,
    /// `"continue"`: go on to the control domain's init; it finds the report.
    Continue,
}

/// What a missing or failing TPM means (`[measure] tpm`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TpmMode {
    /// `"required"`: no launch without a complete measurement.
    #[default]
    Required,
    /// `"optional"`: measure what can be measured, and say loudly what was not.
    Optional,
    /// `"off"`: do not touch the TPM.
    Off,
}

/// What the PCR has to hold before the first event (`[measure]
/// expect_initial`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum InitialValue {
    /// Not given: anything; the report says what it was.
    #[default]
    Any,
    /// `"zero"`: what it holds after a reset, in every active bank.
    Zero,
    /// `"sha256:…"`: these values, in these banks.
    Values(Digests),
}

/// What PID 1 becomes after the hand-off (`[control]`, `exit = "process"`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Control {
    /// A cpio archive that becomes the control domain's root, as written.
    /// None: `init` is run in the boot domain's own root.
    pub ramdisk: Option<PathBuf>,
    /// Absolute path of the init to run in that root.
    pub init: String,
    /// Its arguments, without argument 0.
    pub args: Vec<String>,
    /// The Flask label of domain 0 from the hand-off on. None: that of the
    /// control domain in the shipped policy, where there are labels.
    pub seclabel: Option<String>,
}
