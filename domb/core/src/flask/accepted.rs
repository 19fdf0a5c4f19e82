// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Findings that somebody has looked at and accepted, each with a reason. A
//! list that accepts what is no longer there is a fault too, so that it never
//! covers more than what was looked at.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::compare::{Comparison, Finding};

/// The list, from a TOML file of `[[accepted]]` tables.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    #[serde(default)]
    accepted: Vec<Entry>,
}

/// Findings, sorted by a list.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Judged {
    /// What the list does not accept.
    pub left: Vec<Finding>,
    /// What it accepts, with the reason it gives.
    pub accepted: Vec<(Finding, String)>,
    /// What it accepts and is not there, as `source target class:permission`.
    pub stale: Vec<String>,
}

/// Why a list of accepted findings could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AcceptedError {
    /// It is not TOML, or has other keys or kinds of value than it may have.
    #[error("read the list of accepted findings: {0}")]
    Syntax(String),
    /// An entry without a reason.
    #[error("read the list of accepted findings: the entry for `{0}` gives no reason")]
    NoReason(String),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The type that has the permissions.
    source: String,
    /// The types it has them on.
    targets: Vec<String>,
    /// `class:permission` each.
    permissions: Vec<String>,
    reason: String,
}

impl Accepted {
    /// Reads a list.
    pub fn read(text: &str) -> Result<Accepted, AcceptedError> {
        let list: Accepted =
            toml::from_str(text).map_err(|error| AcceptedError::Syntax(error.to_string()))?;
        match list
            .accepted
            .iter()
            .find(|entry| entry.reason.trim().is_empty())
        {
            Some(entry) => Err(AcceptedError::NoReason(entry.source.clone())),
            None => Ok(list),
        }
    }

    /// Sorts the findings into accepted and not, target by target.
    #[must_use]
    pub fn judge(&self, comparison: &Comparison) -> Judged {
        let mut judged = Judged::default();
        let mut used = BTreeSet::new();
        for finding in &comparison.findings {
            let permission = format!("{}:{}", finding.class, finding.permission);
            let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
            let mut left = Vec::new();
            for target in &finding.targets {
                let key = format!("{} {target} {permission}", finding.source);
                match self.keys().find(|(known, _)| *known == key) {
                    Some((_, reason)) => {
                        reasons.entry(reason).or_default().push(target.clone());
                        used.insert(key);
                    }
                    None => left.push(target.clone()),
                }
            }
            let with = |targets| Finding {
                targets,
                ..finding.clone()
            };
            if !left.is_empty() {
                judged.left.push(with(left));
            }
            for (reason, targets) in reasons {
                judged.accepted.push((with(targets), reason.to_owned()));
            }
        }
        let stale = self.keys().filter(|(key, _)| !used.contains(key));
        judged.stale = stale.map(|(key, _)| key).collect();
        judged
    }

    /// Each `source target class:permission` with its reason.
    fn keys(&self) -> impl Iterator<Item = (String, &str)> {
        self.accepted.iter().flat_map(|entry| {
            entry.targets.iter().flat_map(move |target| {
                let key = move |permission| format!("{} {target} {permission}", entry.source);
                let permissions = entry.permissions.iter();
                permissions.map(move |permission| (key(permission), entry.reason.as_str()))
            })
        })
    }
}
