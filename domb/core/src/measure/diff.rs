// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which thing changed: two sequences of events compared by what was measured,
//! not by position.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Bank, Component, Digest, Event, canonical};

/// One difference between two launches.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Change {
    /// What was measured.
    pub component: Component,
    /// Whose it is, for what belongs to a domain.
    pub domain: Option<String>,
    /// The digest in the old launch; None: it has no such event.
    pub old: Option<String>,
    /// The digest in the new launch; None: it has no such event.
    pub new: Option<String>,
    /// The bank of both digests.
    pub bank: Bank,
    /// What differs within a text: `memory_mib 96 → 128`.
    pub details: Vec<String>,
}

/// Every difference from `old` to `new`, in measuring order. Empty: the two
/// extend a PCR alike, in the banks that they have in common.
///
/// None when they have no bank in common.
#[must_use]
pub fn diff(old: &[Event], new: &[Event]) -> Option<Vec<Change>> {
    let bank = common_bank(old, new)?;
    let mut changes: Vec<(usize, Change)> = Vec::new();
    for (place, event) in old.iter().enumerate() {
        let other = counterpart(event, old, new);
        if other.is_none_or(|other| differ(event, other)) {
            changes.push((place, change(bank, Some(event), other)));
        }
    }
    for (place, event) in new.iter().enumerate() {
        if counterpart(event, new, old).is_none() {
            changes.push((place, change(bank, None, Some(event))));
        }
    }
    changes.sort_by_key(|(place, _)| *place);
    Some(changes.into_iter().map(|(_, change)| change).collect())
}

/// SHA-256, or else the strongest bank that every event has.
fn common_bank(old: &[Event], new: &[Event]) -> Option<Bank> {
    let everywhere = |bank: &Bank| {
        old.iter()
            .chain(new)
            .all(|event| event.digests.bank(*bank).is_some())
    };
    [Bank::Sha256, Bank::Sha512, Bank::Sha384, Bank::Sha1]
        .into_iter()
        .find(everywhere)
}

/// The event of `others` that is about the same thing. A launch can have two
/// final events; they are paired in order.
fn counterpart<'a>(event: &Event, own: &[Event], others: &'a [Event]) -> Option<&'a Event> {
    let same = |other: &&Event| {
        other.component() == event.component() && other.entry.domain == event.entry.domain
    };
    let earlier = own
        .iter()
        .take_while(|own| !std::ptr::eq(*own, event))
        .filter(same)
        .count();
    others.iter().filter(same).nth(earlier)
}

/// Whether they differ in a bank that both have.
fn differ(event: &Event, other: &Event) -> bool {
    event.digests.iter().any(|digest| {
        other
            .digests
            .bank(digest.bank())
            .is_some_and(|other| other != digest)
    })
}

fn change(bank: Bank, old: Option<&Event>, new: Option<&Event>) -> Change {
    let either = old.or(new).expect("a change is about an event");
    let digest =
        |event: Option<&Event>| event.and_then(|event| event.digests.bank(bank)).map(shown);
    Change {
        component: either.component(),
        domain: either.entry.domain.clone(),
        old: digest(old),
        new: digest(new),
        bank,
        details: match (
            old.and_then(|event| event.entry.text.as_deref()),
            new.and_then(|event| event.entry.text.as_deref()),
        ) {
            (Some(old), Some(new)) => text_details(old, new),
            _ => Vec::new(),
        },
    }
}

fn shown(digest: &Digest) -> String {
    if digest.is_zero() {
        "absent".to_owned()
    } else {
        digest.to_string()
    }
}

/// What differs between two measured texts: by key where both are JSON
/// objects, else the texts themselves.
fn text_details(old: &str, new: &str) -> Vec<String> {
    let objects = (
        serde_json::from_str::<Value>(old),
        serde_json::from_str::<Value>(new),
    );
    let (Ok(Value::Object(old_members)), Ok(Value::Object(new_members))) = objects else {
        return vec![format!("{old:?} → {new:?}")];
    };
    let (old_members, new_members) = (flattened(old_members), flattened(new_members));
    let keys = old_members.keys().chain(
        new_members
            .keys()
            .filter(|key| !old_members.contains_key(*key)),
    );
    keys.filter(|key| old_members.get(*key) != new_members.get(*key))
        .map(|key| {
            let side = |members: &Map<String, Value>| {
                members
                    .get(key)
                    .map_or("nothing".to_owned(), canonical::to_string)
            };
            format!("{key} {} → {}", side(&old_members), side(&new_members))
        })
        .collect()
}

/// Gives the verdict's list one key per domain: its word, and what the script
/// changes in it. What is not about one domain keeps its own key, said so that no
/// domain's name can be it.
fn flattened(mut members: Map<String, Value>) -> Map<String, Value> {
    let Some(Value::Array(verdicts)) = members.remove("domains") else {
        return members;
    };
    let others = members.into_iter();
    let others = others.map(|(key, value)| (format!("resources {key}"), value));
    let by_name = verdicts.into_iter().filter_map(|verdict| {
        let name = verdict.get("name")?.as_str()?.to_owned();
        let word = verdict.get("verdict")?.clone();
        let decided = match verdict.get("changes") {
            Some(changes) => Value::Array(vec![word, changes.clone()]),
            None => word,
        };
        Some((name, decided))
    });
    by_name.chain(others.collect::<Vec<_>>()).collect()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(domain) = &self.domain {
            write!(f, "domain {domain}: ")?;
        }
        let name = self.component.name();
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "{name} changed ({} {old} → {new})", self.bank)?,
            (Some(old), None) => {
                write!(f, "{name} is only in the old launch ({} {old})", self.bank)?;
            }
            (None, new) => {
                let new = new.as_deref().unwrap_or_default();
                write!(f, "{name} is only in the new launch ({} {new})", self.bank)?;
            }
        }
        self.details
            .iter()
            .try_for_each(|detail| write!(f, "\n    {detail}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::super::*;
    use super::*;
    use crate::config::Config;

    const BANKS: [Bank; 2] = [Bank::Sha1, Bank::Sha256];

    fn launched(config: &Config, artefacts: &Artefacts) -> Vec<Event> {
        predict(config, artefacts, None, &BANKS)
            .unwrap()
            .outcomes
            .remove(0)
            .events
    }

    fn lines(old: &[Event], new: &[Event]) -> Vec<String> {
        diff(old, new)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn one_changed_file_is_one_change_and_nothing_else() {
        let (config, artefacts) = full();
        let mut tampered = artefacts.clone();
        tampered.domains[1].ramdisk = Some(artefact("net.cpio", b"tampered"));
        let old = Digest::of(Bank::Sha256, b"net:net.cpio");
        let new = Digest::of(Bank::Sha256, b"tampered");
        assert_eq!(
            lines(
                &launched(&config, &artefacts),
                &launched(&config, &tampered)
            ),
            [format!(
                "domain net: ramdisk changed (sha256 {old} → {new})"
            )]
        );
    }

    #[test]
    fn equal_launches_do_not_differ() {
        let (config, artefacts) = full();
        assert_eq!(
            diff(
                &launched(&config, &artefacts),
                &launched(&config, &artefacts)
            ),
            Some(Vec::new())
        );
    }

    #[test]
    fn a_changed_key_is_named_with_both_values() {
        let (config, artefacts) = full();
        let mut other = config.clone();
        other.domains[0].vcpus = 4;
        other.domains[2].cmdline = "quiet".to_owned();
        let lines = lines(
            &launched(&config, &artefacts),
            &launched(&other, &artefacts),
        );
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].starts_with("domain store: domain configuration changed (sha256 "),
            "{}",
            lines[0]
        );
        assert!(lines[0].ends_with("\n    vcpus 1 → 4"), "{}", lines[0]);
        assert!(
            lines[1].starts_with("domain web: cmdline changed"),
            "{}",
            lines[1]
        );
        assert!(
            lines[1].ends_with("\n    \"console=hvc0\" → \"quiet\""),
            "{}",
            lines[1]
        );
    }

    #[test]
    fn a_part_that_appeared_was_absent() {
        let (config, artefacts) = full();
        let (mut without, mut loaded) = (config.clone(), artefacts.clone());
        without.script = None;
        loaded.script = None;
        let lines = lines(&launched(&without, &loaded), &launched(&config, &artefacts));
        assert_eq!(lines.len(), 1);
        assert!(
            lines[0].starts_with("launch script changed (sha256 absent → "),
            "{}",
            lines[0]
        );
    }

    #[test]
    fn a_domain_that_only_one_launch_has_is_said_to_be_there_only() {
        let (config, artefacts) = full();
        let (mut fewer, mut loaded) = (config.clone(), artefacts.clone());
        fewer.domains.pop();
        loaded.domains.pop();
        let removed = lines(&launched(&config, &artefacts), &launched(&fewer, &loaded));
        assert_eq!(
            removed
                .iter()
                .filter(|line| line.starts_with("domain web: "))
                .count(),
            4
        );
        assert!(
            removed
                .iter()
                .any(|line| line.ends_with("\n    web \"allow\" → nothing")),
            "{removed:?}"
        );
    }

    #[test]
    fn a_denied_domain_is_named_in_the_verdict() {
        let (config, artefacts) = full();
        let outcomes = predict(&config, &artefacts, None, &BANKS).unwrap().outcomes;
        let lines = lines(&outcomes[0].events, &outcomes[1].events);
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].contains("\n    net \"allow\" → \"deny\""),
            "{}",
            lines[0]
        );
        assert!(
            lines[1].ends_with("\n    outcome \"launched\" → \"refused\""),
            "{}",
            lines[1]
        );
    }

    #[test]
    fn what_the_script_changes_in_a_domain_is_named_in_the_verdict() {
        let (config, _) = full();
        let allow = VerdictRecord::allow_all(&config);
        let mut changed = allow.clone();
        let memory = Map::from_iter([("memory".to_owned(), "128M".into())]);
        changed.changes.insert(name("net"), memory);
        let event = |record| [verdict_event(&config, record, &BANKS).unwrap()];
        let lines = lines(&event(&allow), &event(&changed));
        let detail = "\n    net \"allow\" → [\"allow\",{\"memory\":\"128M\"}]";
        assert!(lines[0].ends_with(detail), "{}", lines[0]);
    }

    #[test]
    fn a_resource_that_only_one_launch_withholds_is_named() {
        let (config, _) = full();
        let allow = VerdictRecord::allow_all(&config);
        let withholds = VerdictRecord {
            withheld: vec!["serial".to_owned()],
            ..allow.clone()
        };
        let event = |record| [verdict_event(&config, record, &BANKS).unwrap()];
        let lines = lines(&event(&allow), &event(&withholds));
        let detail = "\n    resources withheld nothing → [\"serial\"]";
        assert!(lines[0].ends_with(detail), "{}", lines[0]);
    }

    #[test]
    fn launches_without_a_common_bank_cannot_be_compared() {
        let (config, artefacts) = full();
        let one = launch_events(&config, &artefacts, &[Bank::Sha1]).unwrap();
        let two = launch_events(&config, &artefacts, &[Bank::Sha384]).unwrap();
        assert_eq!(diff(&one, &two), None);
    }
}
