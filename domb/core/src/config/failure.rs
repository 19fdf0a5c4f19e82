// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the failure of a domain means (`on_failure`), and the domains that are
//! kept for it: those on standby, each for the place of one other, and the
//! recovery domain, for the place of all.

use std::collections::{BTreeMap, BTreeSet};

use super::faults::{Faults, Field, quote};
use super::nearest::nearest;
use super::raw::RawDomain;
use super::{DomainName, OnFailure, Role};
use crate::explain::Code;

/// The words of `on_failure`, for messages.
const WORDS: &str = "\"stop\", \"skip\", \"retry N\", \"substitute NAME\" or \"recover\"";
/// The words that stand alone.
pub(super) const ALONE: [&str; 3] = ["stop", "skip", "recover"];

/// What `on_failure` says.
pub(super) fn on_failure(field: &Field<&str>, faults: &mut Faults<'_>) -> Option<OnFailure> {
    let text = field.value.trim();
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match (word, rest.trim()) {
        ("stop", "") => return Some(OnFailure::Stop),
        ("skip", "") => return Some(OnFailure::Skip),
        ("recover", "") => return Some(OnFailure::Recover),
        ("retry", count) => return retries(field, count, faults),
        // Whether there is such a domain is for the rules.
        ("substitute", name) if !name.is_empty() => {
            return Some(OnFailure::Substitute(DomainName(name.to_owned())));
        }
        _ => {}
    }
    let hint = match nearest(word, &["stop", "skip", "retry", "substitute", "recover"]) {
        Some("retry") => "did you mean \"retry 2\"?".to_owned(),
        Some("substitute") => "write \"substitute\" and the name of a domain on standby".to_owned(),
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "write on_failure = \"stop\"".to_owned(),
    };
    let message = format!("`on_failure` is {WORDS}, not \"{}\"", quote(field.value));
    faults.add(faults.at(field, Code::UnknownWord, message).hint(hint));
    None
}

fn retries(field: &Field<&str>, count: &str, faults: &mut Faults<'_>) -> Option<OnFailure> {
    let most = OnFailure::MAX_RETRIES;
    let found = count
        .parse()
        .ok()
        .filter(|count| (1..=most).contains(count));
    if found.is_none() {
        let message = match count {
            "" => "`on_failure` \"retry\" does not say how often".to_owned(),
            count => format!("\"{}\" is not a number from 1 to {most}", quote(count)),
        };
        let fault = faults
            .at(field, Code::Retries, message)
            .because("a launch has to end, and each attempt takes as long as the first")
            .hint("write on_failure = \"retry 2\" for two more attempts");
        faults.add(fault);
    }
    found.map(OnFailure::Retry)
}

/// What a domain without `on_failure` has.
pub(super) fn unless_said(raw: &RawDomain<'_>, usual: &OnFailure) -> OnFailure {
    let mut roles = raw.roles.iter().map(|field| field.value);
    // Without XenStore there is nothing to recover with, and without the
    // recovery domain nobody to do it.
    match roles.any(|role| matches!(role, Role::Xenstore | Role::Recovery)) {
        true => OnFailure::Stop,
        false => usual.clone(),
    }
}

/// Whether the domain is the recovery domain.
pub(super) fn is_recovery(raw: &RawDomain<'_>) -> bool {
    raw.roles.iter().any(|field| field.value == Role::Recovery)
}

/// Reports every breach between domains.
pub(super) fn check(domains: &[RawDomain<'_>], faults: &mut Faults<'_>) {
    let cast = Cast {
        domains,
        index: index(domains),
    };
    let mut named: BTreeMap<usize, &Field<&str>> = BTreeMap::new();
    for (at, domain) in domains.iter().enumerate() {
        let Some(field) = &domain.on_failure else {
            continue;
        };
        if field.value.trim() == "recover" && !domains.iter().any(is_recovery) {
            faults.add(no_recovery(field, faults));
        }
        if let Some(other) = cast.substitute(at, field, faults)
            && let Some(first) = named.insert(other, field)
        {
            let fault = faults
                .at(
                    field,
                    Code::Substitute,
                    "one domain takes the place of two".to_owned(),
                )
                .also(first.span.clone(), "of this one already")
                .because("when both fail there is only one to take their place")
                .hint("give each a domain on standby of its own");
            faults.add(fault);
        }
    }
    cast.standby(&named, faults);
}

fn no_recovery(field: &Field<&str>, faults: &Faults<'_>) -> crate::diagnostic::Diagnostic {
    faults
        .at(
            field,
            Code::Recovery,
            "`on_failure` is \"recover\", and there is no recovery domain",
        )
        .because("there would be nothing to start when the launch has failed")
        .hint("give a domain roles = [\"recovery\"], or write \"stop\"")
}

fn index<'t>(domains: &[RawDomain<'t>]) -> BTreeMap<&'t str, usize> {
    let names = domains.iter().enumerate();
    // Of two with one name the first counts; that there are two has been said.
    let names = names.rev().filter_map(|(at, domain)| {
        let name = domain.name.as_ref()?;
        Some((name.value, at))
    });
    names.collect()
}

/// For each domain the one whose place it can take in the end, which is itself
/// for a domain that is started; None for the recovery domain, which is alone.
pub(super) fn places(domains: &[RawDomain<'_>]) -> Vec<Option<usize>> {
    let index = index(domains);
    let mut owner: BTreeMap<usize, usize> = BTreeMap::new();
    for (at, domain) in domains.iter().enumerate() {
        let text = domain.on_failure.as_ref().map(|field| field.value.trim());
        let name = text.and_then(|text| text.strip_prefix("substitute "));
        if let Some(other) = name.and_then(|name| index.get(name.trim())) {
            owner.entry(*other).or_insert(at);
        }
    }
    let place = |mut at: usize| {
        let mut seen = BTreeSet::new();
        while is_standby(&domains[at]) && seen.insert(at) {
            at = *owner.get(&at).unwrap_or(&at);
        }
        Some(at)
    };
    let all = domains.iter().enumerate();
    all.map(|(at, domain)| place(at).filter(|_| !is_recovery(domain)))
        .collect()
}

fn is_standby(raw: &RawDomain<'_>) -> bool {
    raw.standby.as_ref().is_some_and(|field| field.value)
}

struct Cast<'r, 't> {
    domains: &'r [RawDomain<'t>],
    index: BTreeMap<&'t str, usize>,
}

impl Cast<'_, '_> {
    /// The domain that takes the place of `at`, if it can.
    fn substitute(&self, at: usize, field: &Field<&str>, faults: &mut Faults<'_>) -> Option<usize> {
        let name = field.value.trim().strip_prefix("substitute ")?.trim();
        let Some(other) = self.index.get(name).copied() else {
            let names: Vec<&str> = self.index.keys().copied().collect();
            let fault = faults
                .at(
                    field,
                    Code::Substitute,
                    format!("no domain is called {}", quote(name)),
                )
                .because("there would be nothing to take the domain's place");
            faults.add(match nearest(name, &names) {
                Some(near) => fault.hint(format!("did you mean \"substitute {}\"?", quote(near))),
                None => fault.hint("name a domain of this file that has standby = true"),
            });
            return None;
        };
        let (why, hint) = if other == at {
            (
                "it is that domain itself",
                "name another domain, on standby",
            )
        } else if !is_standby(&self.domains[other]) {
            (
                "that one is started anyway",
                "give that domain standby = true: it is then started only in this place",
            )
        } else if self.needs(other, at) {
            (
                "that one starts after it, and would wait for what has failed",
                "take the name out of the other's `after`",
            )
        } else {
            return Some(other);
        };
        let message = format!("{} cannot take this domain's place", quote(name));
        let fault = faults.at(field, Code::Substitute, message);
        faults.add(fault.because(why).hint(hint));
        Some(other).filter(|other| *other != at && is_standby(&self.domains[*other]))
    }

    /// A domain on standby is kept for exactly one, and nobody waits for it.
    fn standby(&self, named: &BTreeMap<usize, &Field<&str>>, faults: &mut Faults<'_>) {
        for (at, domain) in self.domains.iter().enumerate() {
            let standby = domain.standby.as_ref().filter(|field| field.value);
            let Some(field) = standby.filter(|_| !is_recovery(domain)) else {
                continue;
            };
            if !self.is_reached(at, named) {
                let fault = faults
                    .at(
                        field,
                        Code::Standby,
                        "no domain that is started has this one for a substitute",
                    )
                    .because("it would never be started")
                    .hint("write on_failure = \"substitute NAME\" where it shall take the place, or leave `standby` out");
                faults.add(fault);
            }
        }
        for domain in self.domains {
            for need in &domain.after {
                let other = self.index.get(need.value).map(|at| &self.domains[*at]);
                let Some(other) = other.filter(|other| is_standby(other) || is_recovery(other))
                else {
                    continue;
                };
                let (what, hint) = match is_recovery(other) {
                    true => ("is the recovery domain", "take the name out of `after`"),
                    false => (
                        "is on standby",
                        "name the domain whose place it takes: whoever waits for that one waits for its substitute",
                    ),
                };
                let message = format!("`after` names {}, which {what}", quote(need.value));
                let fault = faults
                    .at(need, Code::Standby, message)
                    .because("it may never be started, and this one would wait for it");
                faults.add(fault.hint(hint));
            }
        }
    }

    /// Whether a failure of a domain that is started can lead to `at`.
    fn is_reached(&self, mut at: usize, named: &BTreeMap<usize, &Field<&str>>) -> bool {
        let mut seen = BTreeSet::new();
        while seen.insert(at) {
            let Some(by) = named.get(&at).and_then(|field| self.owner(field)) else {
                return false;
            };
            if !is_standby(&self.domains[by]) {
                return true;
            }
            at = by;
        }
        false
    }

    /// The domain that has this `on_failure`.
    fn owner(&self, field: &Field<&str>) -> Option<usize> {
        self.domains.iter().position(|domain| {
            let own = domain.on_failure.as_ref();
            own.is_some_and(|own| own.key == field.key)
        })
    }

    /// Whether `after` leads from one to the other.
    fn needs(&self, at: usize, other: usize) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![at];
        while let Some(at) = open.pop() {
            if !seen.insert(at) {
                continue;
            }
            let after = self.domains[at].after.iter();
            let next: Vec<usize> = after
                .filter_map(|need| self.index.get(need.value).copied())
                .collect();
            if next.contains(&other) {
                return true;
            }
            open.extend(next);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<OnFailure>, usize) {
        let mut faults = Faults::new("t");
        let field = Field {
            value: text,
            span: 0..1,
            key: "domain[0].on_failure".to_owned(),
        };
        let found = on_failure(&field, &mut faults);
        (found, faults.finish().len())
    }

    #[test]
    fn every_word_is_read_and_written_back() {
        for text in [
            "stop",
            "skip",
            "retry 1",
            "retry 9",
            "substitute web-safe",
            "recover",
        ] {
            let (found, faults) = read(text);
            assert_eq!(found.map(|found| found.to_string()).as_deref(), Some(text));
            assert_eq!(faults, 0);
        }
    }

    #[test]
    fn other_words_are_one_fault_each() {
        for text in [
            "",
            "retry",
            "retry 0",
            "retry 10",
            "retry x",
            "substitute",
            "stop now",
            "Skip",
        ] {
            assert_eq!(read(text), (None, 1), "{text}");
        }
    }
}
