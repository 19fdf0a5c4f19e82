// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the boot domain may do from its first line to its end. Two things
//! change it on the way: Xen makes another domain the hardware domain, or domain
//! 0 gives its label up. Which of them happens is read off the policy, as the
//! boot domain must be let do it; what its label permits is the policy's too.
//!
//! What is Xen's own and no policy's to say stands in rows of its own, by
//! `late_hwdom_init()` (`xen/common/domain.c`) and `hwdom_shutdown()`.

use std::collections::BTreeSet;
use std::fmt;

use super::groups::GROUPS;
use super::powers::holdings;
use crate::flask::{Policy, Power};

/// The boot domain's powers, phase by phase.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BootDomain {
    phases: Vec<Phase>,
    /// What may be done, and in each phase to whom; None where it may not.
    rows: Vec<(String, Vec<Option<String>>)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Phase {
    until: &'static str,
    /// None once it executes nothing.
    label: Option<String>,
    is_hardware: bool,
}

impl BootDomain {
    /// What a platform under this policy lets it do.
    #[must_use]
    pub fn of(policy: &Policy) -> BootDomain {
        let phases = phases(policy);
        let powers: Vec<Vec<Power>> = phases
            .iter()
            .map(|phase| {
                let label = phase.label.iter().cloned().collect();
                policy.powers(&label)
            })
            .collect();
        let mut rows = Vec::new();
        for (group, _) in GROUPS {
            let to_whom = powers.iter().map(|powers| {
                let held = powers.iter().filter(|power| group.has(power));
                holdings(held).into_values().next().map(|over| {
                    let over: Vec<&str> = over.into_iter().collect();
                    over.join(", ")
                })
            });
            rows.push((group.words().to_owned(), to_whom.collect()));
        }
        let by_xen = |words: &str| {
            let holds = phases.iter().map(|phase| {
                let holds = phase.is_hardware && phase.label.is_some();
                holds.then(|| "by Xen, whatever the policy".to_owned())
            });
            (words.to_owned(), holds.collect())
        };
        rows.push(by_xen("has every interrupt, port and range"));
        rows.push(by_xen("takes the machine down with it"));
        BootDomain { phases, rows }
    }
}

/// What the policy lets it pass through.
fn phases(policy: &Policy) -> Vec<Phase> {
    let boot = policy.type_of(policy.boot_domain()).to_owned();
    let powers = policy.powers(&BTreeSet::from([boot.clone()]));
    let may = |permission: &str| {
        let mut powers = powers.iter();
        powers.find(|power| power.class == "domain2" && power.permission == permission)
    };
    let mut phases = vec![Phase {
        until: "until the hand-off",
        label: Some(boot.clone()),
        is_hardware: true,
    }];
    let leaves = may("create_hardware_domain").is_some();
    if leaves {
        phases[0].until = "until the hardware domain is built";
        phases.push(Phase {
            until: "until it halts",
            label: Some(boot),
            is_hardware: false,
        });
    }
    let next = may("relabelself").map(|power| power.target.clone());
    phases.push(match next {
        Some(next) => Phase {
            until: "from the hand-off on",
            label: Some(next),
            is_hardware: !leaves,
        },
        None if leaves => Phase {
            until: "once it has halted",
            label: None,
            is_hardware: false,
        },
        None => Phase {
            until: "from the hand-off on",
            label: phases[0].label.clone(),
            is_hardware: true,
        },
    });
    phases
}

impl fmt::Display for BootDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, phase) in (1..).zip(&self.phases) {
            let is = match &phase.label {
                Some(label) if phase.is_hardware => format!("{label}, the hardware domain"),
                Some(label) => format!("{label}, not the hardware domain"),
                None => "executes nothing".to_owned(),
            };
            writeln!(f, "phase {number}  {:36}{is}", phase.until)?;
        }
        for (words, to_whom) in &self.rows {
            let mut lines: Vec<(String, String)> = Vec::new();
            for (number, over) in (1..).zip(to_whom) {
                let Some(over) = over else { continue };
                let number = format!("{number} ");
                match lines.iter_mut().find(|(_, known)| known == over) {
                    Some((numbers, _)) => numbers.push_str(&number),
                    None => lines.push((number, over.clone())),
                }
            }
            if lines.is_empty() {
                lines.push(("never".to_owned(), String::new()));
            }
            for (place, (numbers, over)) in lines.iter().enumerate() {
                let words = if place == 0 { words.as_str() } else { "" };
                let line = format!("{words:43} {numbers:6} {over}");
                writeln!(f, "{}", line.trim_end())?;
            }
        }
        Ok(())
    }
}
