// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What Flask denied, as Xen says it on its own console
//! (`avc_audit()`, `xen/xsm/flask/avc.c`), and the rule that would allow it.
//!
//! Only lines of Xen itself count: what a domain writes stands behind `(dN)`,
//! so none can make up a denial. Domain 0 alone can, and it is the one that
//! reads.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One permission, or some of one class, that one label lacked on another.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Denial {
    /// The label that asked.
    pub source: String,
    /// The label it asked about.
    pub target: String,
    /// The class of the permissions.
    pub class: String,
    /// What it lacked.
    pub permissions: Vec<String>,
    /// What Xen adds, in its own words: domains, devices, addresses.
    #[serde(default)]
    pub about: String,
}

impl Denial {
    /// The denial that one line of Xen's console tells of, if it does.
    #[must_use]
    pub fn parse(line: &str) -> Option<Denial> {
        let line = line.trim().strip_prefix("(XEN)")?;
        let (time, text) = line.split_once("avc:")?;
        let time = time.trim();
        let is_time = time.is_empty() || time.starts_with('[') && time.ends_with(']');
        if !is_time {
            return None;
        }
        let text = text.trim_start().strip_prefix("denied")?.trim_start();
        let (permissions, rest) = text.strip_prefix('{')?.split_once('}')?;
        let rest = rest.trim_start().strip_prefix("for")?;
        let (mut source, mut target, mut class) = (None, None, None);
        let mut about = Vec::new();
        for word in rest.split_whitespace() {
            match word.split_once('=') {
                Some(("scontext", label)) => source = Some(label),
                Some(("tcontext", label)) => target = Some(label),
                Some(("tclass", name)) => class = Some(name),
                _ => about.push(word),
            }
        }
        Some(Denial {
            source: source?.to_owned(),
            target: target?.to_owned(),
            class: class?.to_owned(),
            permissions: permissions.split_whitespace().map(str::to_owned).collect(),
            about: about.join(" "),
        })
    }

    /// Every denial on Xen's console, each once, in order.
    #[must_use]
    pub fn all(console: &str) -> Vec<Denial> {
        let mut found: Vec<Denial> = Vec::new();
        for denial in console.lines().filter_map(Denial::parse) {
            let same = found.iter().any(|known| {
                (
                    &known.source,
                    &known.target,
                    &known.class,
                    &known.permissions,
                ) == (
                    &denial.source,
                    &denial.target,
                    &denial.class,
                    &denial.permissions,
                )
            });
            if !same {
                found.push(denial);
            }
        }
        found
    }

    /// The rule that the policy lacks, in its source's form.
    #[must_use]
    pub fn rule(&self) -> String {
        let (source, target) = (kind(&self.source), kind(&self.target));
        let permissions = match self.permissions.as_slice() {
            [one] => one.clone(),
            several => format!("{{ {} }}", several.join(" ")),
        };
        format!("allow {source} {target}:{} {permissions};", self.class)
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, permissions) = (&self.class, self.permissions.join(", "));
        write!(
            f,
            "Flask denied {} {class}:{permissions} on {}",
            self.source, self.target
        )
    }
}

/// The type of a label, which is what rules are about.
fn kind(label: &str) -> &str {
    label.split(':').nth(2).unwrap_or(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "(XEN) avc:  denied  { create } for source=d0 \
        scontext=system_u:system_r:domb_t tcontext=system_u:system_r:web_t tclass=domain";

    #[test]
    fn a_denial_says_who_lacked_what_on_whom_and_which_rule_is_missing() {
        let denial = Denial::parse(LINE).unwrap();
        assert_eq!(
            denial.to_string(),
            "Flask denied system_u:system_r:domb_t domain:create on system_u:system_r:web_t"
        );
        assert_eq!(denial.rule(), "allow domb_t web_t:domain create;");
        assert_eq!(denial.about, "source=d0");
    }

    #[test]
    fn several_permissions_and_a_time_stamp_are_read() {
        let line = "(XEN) [2026-11-21 10:00:00] avc:  denied  { map_read map_write } for \
            source=d1 target=d2 pte=0x7 mfn=0x1f scontext=u:r:a_t tcontext=u:r:b_t:s0 tclass=mmu\r";
        let denial = Denial::parse(line).unwrap();
        assert_eq!(denial.rule(), "allow a_t b_t:mmu { map_read map_write };");
        assert_eq!(denial.about, "source=d1 target=d2 pte=0x7 mfn=0x1f");
    }

    #[test]
    fn what_a_domain_writes_is_no_denial() {
        for line in [
            LINE.replace("(XEN)", "(XEN) (d7)"),
            LINE.replace("(XEN)", "(d7) (XEN)"),
            LINE.replace("(XEN) ", ""),
            LINE.replace("denied", "granted"),
            LINE.replace("tclass=domain", ""),
            LINE.replace("} for", "for"),
            String::new(),
        ] {
            assert_eq!(Denial::parse(&line), None, "{line}");
        }
    }

    #[test]
    fn the_same_denial_is_told_once() {
        let console = format!(
            "(XEN) other\n{LINE}\n{}\n",
            LINE.replace("source=d0", "current=d0")
        );
        assert_eq!(Denial::all(&console).len(), 1);
        let console = format!("{console}{}", LINE.replace("create", "destroy"));
        assert_eq!(Denial::all(&console).len(), 2);
    }
}
