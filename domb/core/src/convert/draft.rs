// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A launch configuration on its way from another format: what was said so
//! far, in `launch.toml`'s terms, not yet checked. Numbers what has no
//! domid, names what has no name, and writes the text.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::toml_text::{self, string};
use super::{Converted, Notes};
use crate::config::{DomainName, DomainType, Role, Uuid};
use crate::diagnostic::escape;
use crate::units::Domid;

/// The file.
#[derive(Default)]
pub(super) struct Draft {
    /// `[control] ramdisk`.
    pub(super) control_ramdisk: Option<String>,
    /// Domain 0 is a domain of the platform, and not only the boot domain.
    pub(super) keeps_domain_0: bool,
    pub(super) domains: Vec<DraftDomain>,
}

/// One `[[domain]]`; keys that were not said are not written.
#[derive(Default)]
pub(super) struct DraftDomain {
    /// Where it was described, for notes.
    pub(super) at: String,
    /// Any text; made into a domain's name by [`Draft::finish`].
    pub(super) name: String,
    /// None: the lowest free one.
    pub(super) domid: Option<u64>,
    pub(super) kind: Option<DomainType>,
    pub(super) kernel: Option<String>,
    pub(super) ramdisk: Option<String>,
    pub(super) cmdline: Option<String>,
    pub(super) memory_mib: Option<u64>,
    pub(super) maxmem_mib: Option<u64>,
    pub(super) vcpus: Option<u64>,
    pub(super) uuid: Option<Uuid>,
    pub(super) seclabel: Option<String>,
    pub(super) roles: Vec<Role>,
    pub(super) libxl: Map<String, Value>,
}

impl Draft {
    /// The text of the file, said to be made from `source`, with all notes.
    pub(super) fn finish(mut self, source: &str, mut notes: Notes) -> Converted {
        self.name(&mut notes);
        self.number(&mut notes);
        let exit_domain = self.exit_domain(&mut notes);
        let mut text = format!("# Made from {} by domb convert.\n", escape(source));
        for note in &notes.0 {
            text.push_str(&format!("# {}\n", escape(&note.to_string())));
        }
        if exit_domain {
            text.push_str("\nexit = \"domain\"\n");
        }
        if let Some(ramdisk) = &self.control_ramdisk {
            text.push_str(&format!("\n[control]\nramdisk = {}\n", string(ramdisk)));
        }
        for domain in &self.domains {
            domain.write(&mut text);
        }
        Converted {
            text,
            notes: notes.0,
        }
    }

    /// Whether the powers of domain 0 are other domains'. Where domain 0 stays
    /// it keeps them.
    fn exit_domain(&mut self, notes: &mut Notes) -> bool {
        let of_domain_0 = |role: &Role| matches!(role, Role::Control | Role::Hardware);
        if !self.keeps_domain_0 {
            let mut all = self.domains.iter().flat_map(|domain| &domain.roles);
            return all.any(of_domain_0);
        }
        for domain in &mut self.domains {
            for role in domain.roles.extract_if(.., |role| of_domain_0(role)) {
                let text = format!("domain 0 keeps the {} role", role.as_str());
                notes.left_out(format!("{}/permissions", domain.at), text);
            }
        }
        false
    }

    /// Gives each domain a name of its own that [`DomainName`] allows.
    fn name(&mut self, notes: &mut Notes) {
        let mut taken = BTreeSet::new();
        for domain in &mut self.domains {
            let fitting = fitting(&domain.name);
            let mut name = fitting.clone();
            let mut number = 1;
            while !taken.insert(name.clone()) {
                number += 1;
                let suffix = format!("-{number}");
                let room = DomainName::MAX_LEN - suffix.len();
                name = fitting.chars().take(room).chain(suffix.chars()).collect();
            }
            if name != domain.name {
                let text = match domain.name.as_str() {
                    "" => format!("called `{name}`"),
                    _ => format!("called `{name}` instead of `{}`", short(&domain.name)),
                };
                notes.assumed(format!("{}: name", domain.at), text);
                domain.name = name;
            }
        }
    }

    /// Gives each domain without a domid the lowest free one.
    fn number(&mut self, notes: &mut Notes) {
        let mut taken: BTreeSet<u64> = self.domains.iter().filter_map(|d| d.domid).collect();
        let mut next = u64::from(Domid::MIN);
        for domain in self.domains.iter_mut().filter(|d| d.domid.is_none()) {
            while !taken.insert(next) {
                next += 1;
            }
            domain.domid = Some(next);
            let text = format!("{next}, the lowest free one");
            notes.assumed(format!("{}: domid", domain.at), text);
        }
    }
}

impl DraftDomain {
    fn write(&self, out: &mut String) {
        let mib = |amount: u64| format!("\"{amount}M\"");
        let roles: Vec<String> = self
            .roles
            .iter()
            .map(|role| string(role.as_str()))
            .collect();
        let roles = Some(roles).filter(|roles| !roles.is_empty());
        let uuid = self.uuid.filter(|uuid| Some(*uuid) != self.derived_uuid());
        let entries = [
            ("name", Some(string(&self.name))),
            ("domid", self.domid.map(|number| number.to_string())),
            ("type", self.kind.map(|kind| string(kind.as_str()))),
            ("kernel", self.kernel.as_deref().map(string)),
            ("ramdisk", self.ramdisk.as_deref().map(string)),
            ("cmdline", self.cmdline.as_deref().map(string)),
            ("memory", self.memory_mib.map(mib)),
            ("maxmem", self.maxmem_mib.map(mib)),
            ("vcpus", self.vcpus.map(|number| number.to_string())),
            ("uuid", uuid.map(|uuid| string(&uuid.to_string()))),
            ("seclabel", self.seclabel.as_deref().map(string)),
            (
                "roles",
                roles.map(|roles| format!("[{}]", roles.join(", "))),
            ),
        ];
        out.push_str("\n[[domain]]\n");
        for (key, value) in entries {
            if let Some(value) = value {
                out.push_str(&format!("{key} = {value}\n"));
            }
        }
        if !self.libxl.is_empty() {
            out.push_str("\n[domain.libxl]\n");
            for (name, value) in &self.libxl {
                if let Some(value) = toml_text::value(value) {
                    out.push_str(&format!("{} = {value}\n", toml_text::key(name)));
                }
            }
        }
    }

    /// The UUID the domain gets if none is written.
    fn derived_uuid(&self) -> Option<Uuid> {
        let domid = Domid::new(i64::try_from(self.domid?).ok()?)?;
        Some(Uuid::derive(&DomainName(self.name.clone()), domid))
    }
}

/// `name` with what a domain's name may not have replaced.
fn fitting(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    let mut fitting: String = name
        .chars()
        .take(DomainName::MAX_LEN)
        .map(|c| if allowed(c) { c } else { '-' })
        .collect();
    if fitting.bytes().all(|byte| byte.is_ascii_digit()) {
        fitting.insert_str(0, "domain");
    }
    if matches!(fitting.as_str(), "." | ".." | "Domain-0") {
        fitting.insert_str(0, "domain-");
    }
    fitting.truncate(DomainName::MAX_LEN);
    fitting
}

/// The beginning of a text, for a note.
pub(super) fn short(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut short: String = text.chars().take(LONGEST).collect();
    if text.chars().count() > LONGEST {
        short.push_str("...");
    }
    escape(&short).into_owned()
}
