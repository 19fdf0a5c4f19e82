// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Findings that somebody has looked at and accepted, each with a reason. A
//! list that accepts what is no longer there is a fault too, so that it never
//! covers more than what was looked at.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::compare::{Comparison, Finding};

/// The list, from a TOML file of `[[accepted]]` tables.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    #[serde(default)]
    accepted: Vec<Entry>,
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

    /// Takes what is accepted out of the findings, and says which entries
    /// accept something that is not there, as `source target class:permission`.
    #[must_use]
    pub fn apply(&self, comparison: &Comparison) -> (Vec<Finding>, Vec<String>) {
        let mut used = BTreeSet::new();
        let mut left = Vec::new();
        for finding in &comparison.findings {
            let permission = format!("{}:{}", finding.class, finding.permission);
            let mut targets = finding.targets.clone();
            targets.retain(|target| {
                let key = format!("{} {target} {permission}", finding.source);
                let accepted = self.keys().any(|known| known == key);
                if accepted {
                    used.insert(key);
                }
                !accepted
            });
            if !targets.is_empty() {
                left.push(Finding {
                    targets,
                    ..finding.clone()
                });
            }
        }
        let stale = self.keys().filter(|key| !used.contains(key)).collect();
        (left, stale)
    }

    fn keys(&self) -> impl Iterator<Item = String> + '_ {
        self.accepted.iter().flat_map(|entry| {
            entry.targets.iter().flat_map(move |target| {
                let permissions = entry.permissions.iter();
                permissions.map(move |permission| format!("{} {target} {permission}", entry.source))
            })
        })
    }
}
