// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which domains there are, against the launch record: nothing more, nothing
//! less, but what was created since; and domain 0 as it was to be reclaimed.

use std::collections::BTreeMap;

use super::channels::Channels;
use super::plan::Plan;
use super::{Item, Topic, Verdict};
use crate::config::{DomainConfig, Reclaim, Uuid};

/// What the hypervisor and XenStore say.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Facts {
    /// The domains there are, domain 0 included.
    pub domains: Vec<Found>,
    /// The domids that XenStore has a tree of.
    pub trees: Vec<u16>,
    /// What was asked about event channels, by domid.
    pub channels: BTreeMap<u16, Channels>,
}

/// A domain there is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Its domid.
    pub domid: u16,
    /// Its name in XenStore.
    pub name: Option<String>,
    /// Its UUID, by Xen.
    pub uuid: Uuid,
    /// What it does.
    pub state: State,
    /// Memory it has, in KiB.
    pub memory_kib: u64,
    /// Its label, by Xen.
    pub label: Option<String>,
}

/// What a domain does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It runs.
    Running,
    /// It is there, and executes nothing until somebody unpauses it.
    Paused,
    /// It has ended, and nobody cleared it away.
    Ended,
    /// It is being destroyed, and something still holds its pages.
    Dying,
}

pub(super) fn check(plan: &Plan<'_>, facts: &Facts, items: &mut Vec<Item>) {
    items.push(boot_domain(plan, facts));
    for domain in plan.domains() {
        items.push(planned(plan, domain, facts));
    }
    for found in facts.domains.iter().filter(|found| found.domid != BOOT) {
        let known = |domain: &DomainConfig| domain.domid.value() == found.domid;
        if !plan.domains().any(known) {
            let verdict = match found.state {
                State::Dying => Verdict::Differs,
                State::Running | State::Paused | State::Ended => Verdict::CreatedSince,
            };
            items.push(row(found.domid, name(found), "", &words(found), verdict));
        }
    }
    trees(facts, items);
}

fn planned(plan: &Plan<'_>, domain: &DomainConfig, facts: &Facts) -> Item {
    let domid = domain.domid.value();
    let label = plan.label(domain).unwrap_or("no label");
    let plan = format!("runs, {label}, {}", domain.uuid);
    let Some(found) = facts.domains.iter().find(|found| found.domid == domid) else {
        let verdict = Verdict::Differs;
        return row(domid, domain.name.as_str(), &plan, "is not there", verdict);
    };
    let mut wrong = Vec::new();
    if found.name.as_deref() != Some(domain.name.as_str()) {
        wrong.push(format!("is called {}", name(found)));
    }
    if found.uuid != domain.uuid {
        wrong.push(format!("has the UUID {}", found.uuid));
    }
    if found.label.as_deref().unwrap_or("no label") != label {
        wrong.push(format!(
            "has the label {}",
            found.label.as_deref().unwrap_or("none")
        ));
    }
    match found.state {
        State::Running => {}
        State::Paused => wrong.push("is paused".to_owned()),
        State::Ended => wrong.push("has ended".to_owned()),
        State::Dying => wrong.push("is dying and cannot go".to_owned()),
    }
    let name = domain.name.as_str();
    if wrong.is_empty() {
        return row(domid, name, &plan, &words(found), Verdict::AsPlanned);
    }
    row(domid, name, &plan, &wrong.join(", "), Verdict::Differs)
}

/// Domain 0 executes nothing. Where it stays, it stays with what it had: Xen
/// takes pages, channels and mapped grants back only from a domain that is
/// destroyed.
fn boot_domain(plan: &Plan<'_>, facts: &Facts) -> Item {
    let found = facts.domains.iter().find(|found| found.domid == BOOT);
    let (planned, is, verdict) = match (plan.config.reclaim, found) {
        (Reclaim::Destroy, None) => (
            "is gone",
            "is gone, with all it had".to_owned(),
            Verdict::AsPlanned,
        ),
        (Reclaim::Balloon, None) => (
            "has halted, gave its memory back",
            "is gone".to_owned(),
            Verdict::Differs,
        ),
        (Reclaim::Balloon, Some(found)) if found.state == State::Ended => {
            let kept = format!(
                "has halted and executes nothing; keeps {} MiB until it is destroyed",
                found.memory_kib / 1024
            );
            ("has halted, gave its memory back", kept, Verdict::AsPlanned)
        }
        (Reclaim::Destroy, Some(found)) => ("is gone", stays(found), Verdict::Differs),
        (Reclaim::Balloon, Some(found)) => ("has halted", stays(found), Verdict::Differs),
    };
    row(BOOT, "the boot domain", planned, &is, verdict)
}

fn stays(found: &Found) -> String {
    let does = match found.state {
        State::Running => "is alive",
        State::Paused => "is paused, not halted",
        State::Ended => "has halted and was not destroyed",
        State::Dying => "is dying: somebody still has pages of it",
    };
    format!("{does}, has {} MiB", found.memory_kib / 1024)
}

/// What XenStore still has of domains that are gone. Domain 0 has a tree by
/// name, whoever serves under it.
fn trees(facts: &Facts, items: &mut Vec<Item>) {
    let gone =
        |domid: &&u16| **domid != BOOT && !facts.domains.iter().any(|found| found.domid == **domid);
    let gone: Vec<String> = facts
        .trees
        .iter()
        .filter(gone)
        .map(u16::to_string)
        .collect();
    let (found, verdict) = if gone.is_empty() {
        ("none".to_owned(), Verdict::AsPlanned)
    } else {
        (format!("domids {}", gone.join(", ")), Verdict::Differs)
    };
    items.push(Item {
        topic: Topic::Domains,
        subject: "XenStore's trees of domains that are gone".to_owned(),
        planned: "none".to_owned(),
        found,
        verdict,
    });
}

fn words(found: &Found) -> String {
    let label = found.label.as_deref().unwrap_or("no label");
    let state = match found.state {
        State::Running => "runs",
        State::Paused => "is paused",
        State::Ended => "has ended",
        State::Dying => "is dying and cannot go",
    };
    format!("{state}, {label}, {} MiB", found.memory_kib / 1024)
}

fn name(found: &Found) -> &str {
    found.name.as_deref().unwrap_or("no name")
}

fn row(domid: u16, name: &str, planned: &str, found: &str, verdict: Verdict) -> Item {
    Item {
        topic: Topic::Domains,
        subject: format!("domain {domid} {name}"),
        planned: planned.to_owned(),
        found: found.to_owned(),
        verdict,
    }
}

const BOOT: u16 = 0;
