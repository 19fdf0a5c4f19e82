// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What labels let domains do, against what the roles of domb's own policy
//! are meant to have. A power that no role explains is a difference, named by
//! the rule it comes from; fewer powers than planned are none.

use std::collections::{BTreeMap, BTreeSet};

use super::domains::{Facts, State};
use super::groups::{GROUPS, Group};
use super::plan::{Part, Plan};
use super::roles::is_planned;
use super::{Item, Topic, Verdict};
use crate::flask::{Context, Object, Policy, Power};

pub(super) fn check(plan: &Plan<'_>, policy: &Policy, facts: &Facts, items: &mut Vec<Item>) {
    let in_use = match in_use(plan, policy, facts) {
        Ok(labels) => labels,
        Err(item) => return items.push(*item),
    };
    let carriers = policy.carriers(&in_use);
    let parts = plan.parts(policy);
    let powers = policy.powers(&carriers);
    for (group, belongs) in GROUPS {
        let held = powers.iter().filter(|power| group.has(power));
        items.push(row(*group, belongs, held, &parts));
    }
    for power in &powers {
        if !is_planned(power, &parts) {
            items.push(unplanned(power));
        }
    }
    for weakness in policy.weaknesses() {
        items.push(Item {
            topic: Topic::Powers,
            subject: "the policy as a whole".to_owned(),
            planned: "every rule is enforced".to_owned(),
            found: weakness.to_string(),
            verdict: Verdict::Differs,
        });
    }
    items.push(boot_label(&carriers, policy));
}

/// The labels of the plan, and those domains have that were created since.
/// Domain 0 has ended, and its label with it.
fn in_use(plan: &Plan<'_>, policy: &Policy, facts: &Facts) -> Result<Vec<Context>, Box<Item>> {
    let unknown = |error: &dyn std::error::Error| {
        Box::new(Item {
            topic: Topic::Powers,
            subject: "the labels in use".to_owned(),
            planned: "labels of the policy".to_owned(),
            found: error.to_string().replace("\nhint: ", "; "),
            verdict: Verdict::Differs,
        })
    };
    let mut labels = plan.labels(policy).map_err(|error| unknown(&error))?;
    let alive = facts
        .domains
        .iter()
        .filter(|found| matches!(found.state, State::Running | State::Paused));
    for text in alive.filter_map(|found| found.label.as_deref()) {
        let label = policy.label(text).map_err(|error| unknown(&error))?;
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    Ok(labels)
}

/// Nobody carries the boot domain's label any more, and nobody can make it
/// anew.
fn boot_label(carriers: &BTreeSet<String>, policy: &Policy) -> Item {
    let boot = policy.type_of(policy.boot_domain());
    let (found, verdict) = if carriers.contains(boot) {
        ("a domain has it, or can create one", Verdict::Differs)
    } else {
        ("nobody", Verdict::AsPlanned)
    };
    Item {
        topic: Topic::Powers,
        subject: format!("carry the boot domain's {boot}"),
        planned: "nobody".to_owned(),
        found: found.to_owned(),
        verdict,
    }
}

fn row<'p>(
    group: Group,
    belongs: &str,
    held: impl Iterator<Item = &'p Power>,
    parts: &BTreeMap<String, BTreeSet<Part>>,
) -> Item {
    let held: Vec<&Power> = held.collect();
    let planned = held.iter().all(|power| is_planned(power, parts));
    let holders = holdings(held.into_iter());
    let holder = |(source, over): (&&str, &BTreeSet<&str>)| {
        let over: Vec<&str> = over.iter().copied().collect();
        if over.is_empty() {
            (*source).to_owned()
        } else {
            format!("{source} ({})", over.join(", "))
        }
    };
    let found: Vec<String> = holders.iter().map(holder).collect();
    Item {
        topic: Topic::Powers,
        subject: group.words().to_owned(),
        planned: belongs.to_owned(),
        found: if found.is_empty() {
            "nobody".to_owned()
        } else {
            found.join("; ")
        },
        verdict: if planned {
            Verdict::AsPlanned
        } else {
            Verdict::Differs
        },
    }
}

/// Who holds these, and over whom; over nobody in particular where it is over
/// Xen or the Flask server.
pub(super) fn holdings<'p>(
    held: impl Iterator<Item = &'p Power>,
) -> BTreeMap<&'p str, BTreeSet<&'p str>> {
    let mut holders: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for power in held {
        let over = holders.entry(&power.source).or_default();
        over.extend(match power.object {
            Object::Own => Some("itself"),
            Object::Domain | Object::Device => Some(power.target.as_str()),
            Object::Xen | Object::Flask => None,
        });
    }
    holders
}

fn unplanned(power: &Power) -> Item {
    Item {
        topic: Topic::Powers,
        subject: format!("{} may {}", power.source, power.words()),
        planned: "not".to_owned(),
        found: format!("by the rule {}", power.rules.join(" ")),
        verdict: Verdict::Differs,
    }
}
