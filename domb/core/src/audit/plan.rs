// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What was planned: the launch configuration, less the domains that the
//! launch record says were denied or left out, with the labels the record says
//! they really had.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::config::{Config, DomainConfig, Role};
use crate::flask::{Context, LabelError, Policy};

/// What a launch meant to leave behind.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// The launch configuration.
    pub config: &'a Config,
    /// The domains that were handed over, by name, with the label each really
    /// had when it was built.
    pub launched: BTreeMap<String, Option<String>>,
    /// The ranges of the machine that the record says each was given, by name.
    pub given: BTreeMap<String, Vec<String>>,
    /// The resources that the launch script gave a domain instead of those it has
    /// by the configuration, by name.
    pub granted: BTreeMap<String, Vec<String>>,
    /// The ranges it says were taken from domain 0, and with it from the hardware
    /// domain.
    pub withheld: Vec<String>,
}

/// What a type of the policy is planned to be; one type can be several.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Part {
    Control,
    Hardware,
    Xenstore,
    Guest,
    /// A guest nobody looks into, by the name domb's own policy gives it.
    Isolated,
    Recovery,
    /// It is given devices by the configuration, whatever else it is.
    Devices,
    /// The boot domain, which has gone.
    Boot,
}

impl<'a> Plan<'a> {
    /// The domains that are to be there, in the file's order.
    pub(super) fn domains(&self) -> impl Iterator<Item = &'a DomainConfig> + '_ {
        let config: &'a Config = self.config;
        let there = |domain: &&DomainConfig| self.launched.contains_key(domain.name.as_str());
        config.domains.iter().filter(there)
    }

    /// The label a domain is to have: what it was built with.
    pub(super) fn label<'b>(&'b self, domain: &'b DomainConfig) -> Option<&'b str> {
        let real = self.launched.get(domain.name.as_str());
        real.and_then(Option::as_deref)
            .or(domain.seclabel.as_deref())
    }

    /// The ranges a domain is to have: by the configuration, and by the launch
    /// script where that said otherwise.
    pub(super) fn ranges(&self, domain: &DomainConfig) -> BTreeSet<String> {
        let Some(names) = self.granted.get(domain.name.as_str()) else {
            return domain.delegated().map(ToString::to_string).collect();
        };
        let resources = self.config.resources.iter();
        let granted = resources.filter(|resource| names.contains(&resource.name));
        let ranges = granted.flat_map(|resource| &resource.ranges);
        let ranges = ranges.chain(&domain.ranges);
        ranges.map(ToString::to_string).collect()
    }

    /// The labels in use, each once.
    ///
    /// # Errors
    /// A domain of the plan has a label that the policy does not know.
    pub fn labels(&self, policy: &Policy) -> Result<Vec<Context>, LabelError> {
        let mut labels = Vec::new();
        for text in self.domains().filter_map(|domain| self.label(domain)) {
            let label = policy.label(text)?;
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        Ok(labels)
    }

    /// What each type that a domain of the plan carries is; the boot domain's
    /// as well. Another type is a guest's.
    pub(super) fn parts(&self, policy: &Policy) -> BTreeMap<String, BTreeSet<Part>> {
        let mut parts: BTreeMap<String, BTreeSet<Part>> = BTreeMap::new();
        for domain in self.domains() {
            let label = self.label(domain).and_then(|text| policy.label(text).ok());
            let Some(label) = label else { continue };
            let kind = policy.type_of(&label).to_owned();
            let of = parts.entry(kind.clone()).or_default();
            of.extend(domain.roles.iter().map(|role| match role {
                Role::Xenstore => Part::Xenstore,
                Role::Control => Part::Control,
                Role::Hardware => Part::Hardware,
                Role::Recovery => Part::Recovery,
            }));
            if domain.roles.is_empty() {
                of.extend(by_name(&kind));
            }
            if !self.ranges(domain).is_empty() || has_pci_devices(domain) {
                of.insert(Part::Devices);
            }
        }
        let boot = policy.type_of(policy.boot_domain()).to_owned();
        parts.entry(boot).or_default().insert(Part::Boot);
        parts
    }
}

/// What a type without a role is: the names of domb's own policy.
pub(super) fn by_name(kind: &str) -> BTreeSet<Part> {
    BTreeSet::from_iter(match kind {
        "isolated_t" => vec![Part::Isolated],
        "recovery_t" => vec![Part::Recovery],
        "driver_t" => vec![Part::Guest, Part::Devices],
        _ => vec![Part::Guest],
    })
}

/// Whether the configuration gives it PCI devices, in libxl's words
/// (`libxl_domain_config`).
fn has_pci_devices(domain: &DomainConfig) -> bool {
    let devices = domain.libxl.get("pcidevs").and_then(Value::as_array);
    devices.is_some_and(|list| !list.is_empty())
}
