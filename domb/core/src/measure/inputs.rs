// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the events of a launch are made from: the files that were hashed, the
//! launch script's decision, and how it ended. Plain data; whether it fits the
//! configuration is checked where events are made.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Bank, Digests, Original};
use crate::config::{Config, DomainName};

/// A file that was read once and hashed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Artefact {
    /// The path as written in the launch configuration.
    pub path: String,
    /// How many bytes boot.
    pub bytes: u64,
    /// The digests of the bytes that boot.
    pub digests: Digests,
    /// The file those bytes were made from, where that is another.
    pub original: Option<Original>,
}

impl Artefact {
    /// SHA-256 of the bytes that boot, in hexadecimal digits; empty when the
    /// bytes were not hashed with it.
    #[must_use]
    pub fn sha256(&self) -> String {
        self.digests
            .bank(Bank::Sha256)
            .map(ToString::to_string)
            .unwrap_or_default()
    }
}

/// Every file of a launch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Artefacts {
    /// `script`.
    pub script: Option<Artefact>,
    /// The compiled Flask policy, where it is known.
    pub flask_policy: Option<Artefact>,
    /// `[control] ramdisk`.
    pub control_ramdisk: Option<Artefact>,
    /// Each domain's files, in any order.
    pub domains: Vec<DomainArtefacts>,
}

/// The files of one domain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DomainArtefacts {
    /// Whose they are.
    pub name: DomainName,
    /// `kernel`.
    pub kernel: Artefact,
    /// `ramdisk`.
    pub ramdisk: Option<Artefact>,
    /// `images`, by name.
    pub images: BTreeMap<String, ImageArtefacts>,
}

/// The files of one of a domain's `images`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageArtefacts {
    /// `kernel`.
    pub kernel: Artefact,
    /// `ramdisk`.
    pub ramdisk: Option<Artefact>,
}

/// What was decided about the domains: those named are allowed, every other
/// domain of the configuration is denied. Reasons are not part of it: they are
/// free text, go to the report, and do not change a PCR.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VerdictRecord {
    /// The allowed domains, in any order.
    pub allowed: Vec<DomainName>,
    /// What the launch script changes in them: per domain, keys of its table
    /// and their new values.
    pub changes: BTreeMap<DomainName, Map<String, Value>>,
    /// Resources that the launch script keeps from the hardware domain.
    pub withheld: Vec<String>,
}

impl VerdictRecord {
    /// Every domain is allowed.
    #[must_use]
    pub fn allow_all(config: &Config) -> VerdictRecord {
        VerdictRecord {
            allowed: config
                .domains
                .iter()
                .map(|domain| domain.name.clone())
                .collect(),
            changes: BTreeMap::new(),
            withheld: Vec::new(),
        }
    }

    /// Every domain is denied.
    #[must_use]
    pub fn deny_all() -> VerdictRecord {
        VerdictRecord::default()
    }
}

/// How a launch ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Every allowed domain that was not left out is built; the hand-off is
    /// next.
    Launched,
    /// The launch script allowed no domain.
    Refused,
    /// The launch stopped for any other reason.
    Failed,
}

impl Outcome {
    /// The word that is measured.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Launched => "launched",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
        }
    }
}
