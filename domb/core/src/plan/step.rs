// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One step of a launch as it is written down: by a dry run for a person at
//! once, by `domb plan` for a review. A step is a record of what was asked,
//! made where it was asked; nothing is carried out from it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::measure::Event;
use crate::policy::{Decision, Outcome};
use crate::units::Domid;

/// One thing a launch does. The order of the steps is the order of the launch.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "step")]
pub enum Step {
    /// Extend the PCR.
    Measure(Box<Event>),
    /// The launch script decides about a domain.
    Decide(Decided),
    /// Build the domain and leave it paused.
    Create {
        /// The domain.
        name: String,
        /// Its domid.
        domid: Domid,
        /// The `libxl_domain_config` it is built with, in libxl's JSON. Files
        /// are named as in the launch configuration.
        libxl: Value,
    },
    /// Keep the hardware domain from a range of the machine.
    Withhold {
        /// The range, as `iomem fed40,1`.
        range: String,
    },
    /// Give domain 0 another label than the boot domain's, for good.
    Relabel {
        /// The label it has then.
        label: String,
    },
    /// Let the domain run.
    Unpause {
        /// The domain.
        name: String,
        /// Its domid.
        domid: Domid,
    },
    /// Wait until the domain is ready; those that come after it wait for that.
    Await {
        /// The domain.
        name: String,
        /// Its domid.
        domid: Domid,
        /// What it is ready by.
        ready: String,
        /// How long that may take.
        timeout: String,
    },
    /// End the domain, because the launch failed.
    Destroy {
        /// The domain.
        name: String,
        /// Its domid.
        domid: Domid,
    },
}

/// What the launch script decides about one domain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Decided {
    /// The domain.
    pub name: String,
    /// `allow`, `deny`, `leave out` or `skip`.
    pub verdict: String,
    /// Why it is not built; empty if it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Keys of its `[[domain]]` and their new values; null takes one away.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changes: BTreeMap<String, Value>,
}

impl From<&Decision> for Decided {
    fn from(decision: &Decision) -> Decided {
        let (verdict, why) = match &decision.outcome {
            Outcome::Allow => ("allow", String::new()),
            Outcome::Deny { reason } => ("deny", reason.clone()),
            Outcome::LeftOut { reason } => ("leave out", reason.clone()),
            Outcome::Skipped { needs } => ("skip", format!("it needs {needs}")),
        };
        let changes = decision.changes.iter();
        Decided {
            name: decision.name.clone(),
            verdict: verdict.to_owned(),
            why,
            changes: changes
                .map(|(key, change)| ((*key).to_owned(), change.value.clone()))
                .collect(),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Measure(event) => {
                write!(f, "measure  {}", event.component().name())?;
                match &event.entry.domain {
                    Some(domain) => write!(f, " of {domain}"),
                    None => Ok(()),
                }
            }
            Step::Decide(decided) => write!(f, "decide   {}", decided.name),
            Step::Create { name, domid, .. } => write!(f, "create   {domid:>5} {name}"),
            Step::Withhold { range } => write!(f, "withhold {range}"),
            Step::Relabel { label } => write!(f, "relabel  domain 0 {label}"),
            Step::Unpause { name, domid } => write!(f, "unpause  {domid:>5} {name}"),
            Step::Await {
                name, domid, ready, ..
            } => write!(f, "await    {domid:>5} {name}: {ready}"),
            Step::Destroy { name, domid } => write!(f, "destroy  {domid:>5} {name}"),
        }
    }
}
