// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What each domain of a platform holds, against what was planned for it,
//! once the boot domain has gone.
//!
//! Facts come in, an [`Audit`] comes out: nothing here asks Xen. What was
//! planned is the launch configuration with what the launch record says became
//! of each domain, and the Flask policy that was measured. What is found is
//! what the hypervisor and the policy say. A question that Xen does not answer,
//! or not to the one who asks, is a line of its own and never a good one.

mod channels;
mod domains;
mod enforced;
mod groups;
mod phases;
mod plan;
mod powers;
mod roles;
mod rows;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use channels::{Channel, Channels};
pub use domains::{Facts, Found, State};
pub use enforced::{NoAnswer, enforced};
pub use phases::BootDomain;
pub use plan::Plan;

use crate::flask::Policy;

/// The version of an audit's JSON; a reader refuses any other.
pub const VERSION: u32 = 1;

/// A platform, held against its plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Audit {
    /// [`VERSION`].
    pub version: u32,
    /// What was looked at, in order.
    pub items: Vec<Item>,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Item {
    /// What it belongs to.
    pub topic: Topic,
    /// What it is about.
    pub subject: String,
    /// What was planned; empty where the plan says nothing.
    pub planned: String,
    /// What was found.
    pub found: String,
    /// What it comes to.
    pub verdict: Verdict,
}

/// What an [`Item`] belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// Which domains there are.
    Domains,
    /// Which policy Xen enforces.
    Enforcement,
    /// What labels let domains do.
    Powers,
    /// Interrupts, I/O ports and I/O memory.
    Resources,
    /// Event channels and grants.
    Channels,
}

/// What an [`Item`] comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is as planned.
    AsPlanned,
    /// It is, by the launch record; Xen cannot be asked.
    OnRecord,
    /// It is not.
    Differs,
    /// A domain that was created after the launch.
    CreatedSince,
    /// By the planned policy, the label of the one who asks does not permit the
    /// question.
    NotPermitted,
    /// Xen tells nobody.
    CannotBeAsked,
}

impl Audit {
    /// Holds `facts` against `plan`; `policy` is the compiled policy that was
    /// planned.
    #[must_use]
    pub fn of(plan: &Plan<'_>, policy: &Policy, facts: &Facts) -> Audit {
        let mut items = Vec::new();
        domains::check(plan, facts, &mut items);
        powers::check(plan, policy, facts, &mut items);
        channels::check(plan, policy, facts, &mut items);
        Audit {
            version: VERSION,
            items,
        }
    }

    /// Adds what was found elsewhere.
    pub fn add(&mut self, item: Item) {
        self.items.push(item);
        self.items.sort_by_key(|item| item.topic);
    }

    /// What is not as planned.
    pub fn differences(&self) -> impl Iterator<Item = &Item> {
        let differs = |item: &&Item| item.verdict == Verdict::Differs;
        self.items.iter().filter(differs)
    }
}

/// A refusal that the planned policy has no rule for: Xen enforces another.
fn refused(about: &str, why: &str) -> String {
    format!("Xen refuses what the measured policy allows: ask about {about} ({why})")
}

impl Topic {
    fn title(self) -> &'static str {
        match self {
            Topic::Domains => "domains",
            Topic::Enforcement => "enforcement",
            Topic::Powers => "powers",
            Topic::Resources => "interrupts, ports and memory ranges",
            Topic::Channels => "event channels and grants",
        }
    }
}

impl Verdict {
    fn words(self) -> &'static str {
        match self {
            Verdict::AsPlanned => "as planned",
            Verdict::OnRecord => "as planned, on record",
            Verdict::Differs => "DIFFERS",
            Verdict::CreatedSince => "created since",
            Verdict::NotPermitted => "not permitted to ask",
            Verdict::CannotBeAsked => "cannot be asked",
        }
    }
}
