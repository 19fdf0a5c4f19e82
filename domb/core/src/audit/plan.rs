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
                of.insert(by_name(&kind));
            }
            if has_devices(domain) {
                of.insert(Part::Devices);
            }
        }
        let boot = policy.type_of(policy.boot_domain()).to_owned();
        parts.entry(boot).or_default().insert(Part::Boot);
        parts
    }
}

/// What a type without a role is: the names of domb's own policy.
pub(super) fn by_name(kind: &str) -> Part {
    match kind {
        "isolated_t" => Part::Isolated,
        "recovery_t" => Part::Recovery,
        _ => Part::Guest,
    }
}

/// Whether the configuration gives it ranges of the machine, or PCI devices in
/// libxl's words (`libxl_domain_config`).
fn has_devices(domain: &DomainConfig) -> bool {
    let devices = domain.libxl.get("pcidevs").and_then(Value::as_array);
    domain.delegated().next().is_some() || devices.is_some_and(|list| !list.is_empty())
}
