// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ranges, event channels and grants: what Xen 4.17 lets anybody ask about
//! another domain, which is little. What cannot be known is said, and why; what
//! can be known instead stands in the other rows.

use std::collections::BTreeSet;

use super::domains::{Facts, State};
use super::plan::Plan;
use super::{Item, Topic, Verdict, refused};
use crate::flask::Policy;

/// What was asked about one domain's event channels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Channels {
    /// Each that is in use between domains.
    Known(Vec<Channel>),
    /// Xen did not answer, and why.
    Refused(String),
    /// Xen said of every port that this may not be asked, and how.
    Denied(String),
}

/// An event channel with another domain, or kept for one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Channel {
    /// The port in the domain that was asked about.
    pub port: u32,
    /// The domid at the other end.
    pub remote: u16,
}

pub(super) fn check(plan: &Plan<'_>, policy: &Policy, facts: &Facts, items: &mut Vec<Item>) {
    ranges(plan, items);
    items.push(Item {
        topic: Topic::Resources,
        subject: "ranges as Xen has them".to_owned(),
        planned: String::new(),
        found: "no hypercall reads another domain's; the debug key q prints them, at the serial \
                console or with xen:debug, which nobody has; who may have or hand on any is in \
                the rows about devices"
            .to_owned(),
        verdict: Verdict::CannotBeAsked,
    });
    for found in &facts.domains {
        if found.state == State::Dying {
            continue;
        }
        let subject = format!("event channels of domain {}", found.domid);
        let label = found.label.as_deref();
        let told = label
            .and_then(|text| policy.label(text).ok())
            .is_some_and(|label| policy.tells_channels(&label));
        let label = label.unwrap_or("no label");
        let (found, verdict) = match facts.channels.get(&found.domid) {
            Some(Channels::Known(channels)) => judged(channels, facts),
            Some(Channels::Denied(why)) if told => {
                let about = format!("the event channels of {label}");
                (refused(&about, why), Verdict::Differs)
            }
            Some(Channels::Refused(why) | Channels::Denied(why)) => {
                (why.clone(), Verdict::NotPermitted)
            }
            None if told => ("Xen was not asked".to_owned(), Verdict::NotPermitted),
            None => (
                format!("{label} has no event:status"),
                Verdict::NotPermitted,
            ),
        };
        items.push(Item {
            topic: Topic::Channels,
            subject,
            planned: "none to a domain that is gone".to_owned(),
            found,
            verdict,
        });
    }
    items.push(pages(facts));
    items.push(Item {
        topic: Topic::Channels,
        subject: "grants that nobody has mapped".to_owned(),
        planned: String::new(),
        found: "Xen lists the grants of a domain to that domain alone".to_owned(),
        verdict: Verdict::CannotBeAsked,
    });
}

/// What each domain was given, by the record, against the configuration; and what
/// the hardware domain has not.
fn ranges(plan: &Plan<'_>, items: &mut Vec<Item>) {
    let mut told = |subject: String, planned: BTreeSet<String>, given: &[String]| {
        let recorded: BTreeSet<String> = given.iter().cloned().collect();
        if planned.is_empty() && recorded.is_empty() {
            return;
        }
        let text = |ranges: &BTreeSet<String>| match ranges.len() {
            0 => "none".to_owned(),
            _ => Vec::from_iter(ranges.iter().map(String::as_str)).join("; "),
        };
        items.push(Item {
            topic: Topic::Resources,
            subject,
            planned: text(&planned),
            found: text(&recorded),
            verdict: if planned == recorded {
                Verdict::OnRecord
            } else {
                Verdict::Differs
            },
        });
    };
    let mut all = BTreeSet::new();
    for domain in plan.domains() {
        let planned = plan.ranges(domain);
        all.extend(planned.iter().cloned());
        let name = domain.name.as_str();
        let given = plan.given.get(name).map_or(&[][..], Vec::as_slice);
        let subject = format!("ranges of domain {} {name}", domain.domid);
        told(subject, planned, given);
    }
    // Whatever else a launch script kept the hardware domain from is in the record alone.
    all.extend(plan.withheld.iter().cloned());
    told(
        "ranges the hardware domain is kept from".to_owned(),
        all,
        &plan.withheld,
    );
}

fn judged(channels: &[Channel], facts: &Facts) -> (String, Verdict) {
    let there = |domid: u16| facts.domains.iter().any(|found| found.domid == domid);
    let gone: Vec<String> = channels
        .iter()
        .filter(|channel| !there(channel.remote))
        .map(|channel| format!("port {} to domain {}", channel.port, channel.remote))
        .collect();
    if gone.is_empty() {
        let count = channels.len();
        (
            format!("{count}, each to a domain that is there"),
            Verdict::AsPlanned,
        )
    } else {
        (gone.join(", "), Verdict::Differs)
    }
}

/// A destroyed domain is listed as dying for as long as somebody has a page of
/// it mapped, by a grant or otherwise.
fn pages(facts: &Facts) -> Item {
    let dying = facts
        .domains
        .iter()
        .filter(|found| found.state == State::Dying);
    let dying: Vec<String> = dying.map(|found| found.domid.to_string()).collect();
    let (found, verdict) = if dying.is_empty() {
        ("nobody".to_owned(), Verdict::AsPlanned)
    } else {
        let domids = dying.join(", ");
        (
            format!("somebody, of domids {domids}, which cannot go"),
            Verdict::Differs,
        )
    };
    Item {
        topic: Topic::Channels,
        subject: "have pages of domains that are gone".to_owned(),
        planned: "nobody".to_owned(),
        found,
        verdict,
    }
}
