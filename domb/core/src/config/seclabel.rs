// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The labels a launch configuration names, each with its place; and the one
//! rule about them that needs no policy: Flask tells domains apart by their
//! labels and by nothing else.

use std::collections::BTreeMap;
use std::ops::Range;

use super::failure;
use super::faults::{Faults, Field};
use super::raw::{RawConfig, RawDomain};
use super::{DomainConfig, DomainName};
use crate::explain::Code;

/// A label that the configuration names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seclabel {
    /// Whose it is; None: that of domain 0, from the hand-off on.
    pub of: Option<DomainName>,
    /// The label, as written.
    pub label: String,
    /// The key that names it: `domain[0].seclabel`.
    pub key: String,
    /// Its byte range in the configuration.
    pub span: Range<usize>,
}

/// Every label that is one, domain 0's first.
pub(super) fn all(raw: &RawConfig<'_>, domains: &[Option<DomainConfig>]) -> Vec<Seclabel> {
    let place = |field: &Field<&str>, of: Option<DomainName>| Seclabel {
        of,
        label: field.value.to_owned(),
        key: field.key.clone(),
        span: field.span.clone(),
    };
    let control = raw.control.as_ref().and_then(|raw| raw.seclabel.as_ref());
    let of_domains = raw.domains.iter().zip(domains).filter_map(|(raw, domain)| {
        let name = domain.as_ref()?.name.clone();
        Some(place(raw.seclabel.as_ref()?, Some(name)))
    });
    control
        .map(|field| place(field, None))
        .into_iter()
        .chain(of_domains)
        .collect()
}

/// Warns of each label that two domains share which do not need each other.
pub(super) fn shared(domains: &[RawDomain<'_>], faults: &mut Faults<'_>) {
    let mut by_label: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, domain) in domains.iter().enumerate() {
        if let Some(field) = &domain.seclabel {
            by_label.entry(field.value).or_default().push(at);
        }
    }
    // Domains that are never there at the same time cannot be mixed up.
    let places = failure::places(domains);
    let apart = |one: usize, other: usize| {
        places[one].is_none() || places[other].is_none() || places[one] == places[other]
    };
    for group in by_label.values() {
        let strangers: Vec<usize> = group
            .iter()
            .copied()
            .filter(|one| {
                let met = |other: &usize| {
                    apart(*one, *other)
                        || needs(domains, *one, *other)
                        || needs(domains, *other, *one)
                };
                !group.iter().all(met)
            })
            .collect();
        let [first, others @ ..] = strangers.as_slice() else {
            continue;
        };
        let Some(last) = others.last() else { continue };
        let label = |at: usize| domains[at].seclabel.as_ref();
        let (Some(place), Some(field)) = (label(*first), label(*last)) else {
            continue;
        };
        let message = match others.len() {
            1 => format!("label {} is that of another domain too", field.value),
            more => format!("label {} is that of {more} other domains too", field.value),
        };
        let fault = faults
            .warn_at(field, Code::SharedLabel, message)
            .also(place.span.clone(), "first used here")
            .because(
                "Flask cannot tell them apart: one can allocate event channel ports in the \
                 other's name",
            )
            .hint("give each a label of its own (policy/flask: guest_label), or let one be `after` the other if they belong together");
        faults.add(fault);
    }
}

/// Whether domain `one` is after `other`, at once or through others.
fn needs(domains: &[RawDomain<'_>], one: usize, other: usize) -> bool {
    let mut seen = vec![false; domains.len()];
    let mut todo = vec![one];
    while let Some(at) = todo.pop() {
        for name in &domains[at].after {
            let named = |domain: &RawDomain<'_>| {
                domain
                    .name
                    .as_ref()
                    .is_some_and(|field| field.value == name.value)
            };
            match domains.iter().position(named) {
                Some(found) if found == other => return true,
                Some(found) if !seen[found] => {
                    seen[found] = true;
                    todo.push(found);
                }
                _ => {}
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn warnings(labels: &[(&str, &str, &str)]) -> Vec<String> {
        let text: String = (1..)
            .zip(labels)
            .map(|(domid, (name, label, after))| {
                format!(
                    "[[domain]]\nname = \"{name}\"\ndomid = {domid}\ntype = \"pv\"\nkernel = \"k\"\n\
                     memory = \"96M\"\nseclabel = \"u:r:{label}\"\nafter = [{after}]\n"
                )
            })
            .collect();
        let (config, faults) = Config::check("t", text.as_bytes());
        assert!(config.is_some(), "{faults:?}");
        faults.into_iter().map(|fault| fault.message).collect()
    }

    #[test]
    fn strangers_with_one_label_are_told_once() {
        assert_eq!(
            warnings(&[("a", "x_t", ""), ("b", "x_t", ""), ("c", "y_t", "")]),
            ["label u:r:x_t is that of another domain too"]
        );
        assert_eq!(
            warnings(&[("a", "x_t", ""), ("b", "x_t", ""), ("c", "x_t", "")]),
            ["label u:r:x_t is that of 2 other domains too"]
        );
    }

    #[test]
    fn domains_that_need_each_other_may_share_a_label() {
        assert_eq!(
            warnings(&[
                ("a", "x_t", ""),
                ("m", "y_t", "\"a\""),
                ("b", "x_t", "\"m\"")
            ]),
            Vec::<String>::new()
        );
    }
}
