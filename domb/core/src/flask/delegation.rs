// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether a policy lets the boot domain give ranges of the machine to a
//! label, and take them from itself, and which rule is missing otherwise.
//!
//! The questions are those of Xen 4.17's hooks `flask_iomem_permission`,
//! `flask_ioport_permission`, `flask_irq_permission` and
//! `flask_map_domain_irq` (`xen/xsm/flask/hooks.c`), asked about each label
//! that a part of the range has.

use super::label::{Context, LabelError};
use super::needs::{MissingRule, lacking};
use super::policydb::{Policy, RangeKind, sid};
use crate::config::Range;

/// The rules that `policy` lacks for a domain labelled `label` to be given
/// these ranges; None stands for the label that Xen gives without being asked.
/// Empty when it can be.
///
/// # Errors
/// The policy does not know the label.
pub fn check_given<'r>(
    policy: &Policy,
    label: Option<&str>,
    ranges: impl IntoIterator<Item = &'r Range>,
) -> Result<Vec<MissingRule>, LabelError> {
    let to = match label {
        Some(label) => policy.label(label)?,
        None => *policy.initial(sid::DOMU),
    };
    let boot = policy.boot_domain();
    let mut missing = Vec::new();
    for range in ranges {
        add(&mut missing, lacking(policy, boot, &to, RESOURCE, &["add"]));
        for (part, permissions) in labels(policy, range) {
            let give = &permissions[..1];
            add(&mut missing, lacking(policy, boot, &part, RESOURCE, give));
            add(&mut missing, lacking(policy, &to, &part, RESOURCE, USE));
        }
        withholding(policy, range, &mut missing)?;
    }
    Ok(missing)
}

/// The rules that `policy` lacks for domain 0 to lose these ranges.
///
/// # Errors
/// The boot domain's own label does not hold together.
pub fn check_withheld<'r>(
    policy: &Policy,
    ranges: impl IntoIterator<Item = &'r Range>,
) -> Result<Vec<MissingRule>, LabelError> {
    let mut missing = Vec::new();
    for range in ranges {
        withholding(policy, range, &mut missing)?;
    }
    Ok(missing)
}

/// Domain 0 gives itself the range, which tells whether it has it, and takes
/// it away.
fn withholding(
    policy: &Policy,
    range: &Range,
    missing: &mut Vec<MissingRule>,
) -> Result<(), LabelError> {
    let boot = policy.boot_domain();
    let itself = policy.own_label(boot)?;
    add(
        missing,
        lacking(policy, boot, &itself, RESOURCE, &["add", "remove"]),
    );
    for (part, permissions) in labels(policy, range) {
        add(missing, lacking(policy, boot, &part, RESOURCE, permissions));
        add(missing, lacking(policy, boot, &part, RESOURCE, USE));
    }
    Ok(())
}

/// Each label that a part of the range has, and what is asked about it to
/// give it and to take it. What no entry covers has the initial SID's.
fn labels(policy: &Policy, range: &Range) -> Vec<(Context, &'static [&'static str])> {
    let (kind, first, last) = range.bounds();
    let (kind, initial, permissions): (_, _, &[&str]) = match kind {
        "iomem" => (
            RangeKind::Memory,
            sid::IOMEM,
            &["add_iomem", "remove_iomem"],
        ),
        "ioports" => (
            RangeKind::Ports,
            sid::IOPORT,
            &["add_ioport", "remove_ioport"],
        ),
        // Taking it is not asked about: `irq_permission` looks at the domain alone.
        _ => (RangeKind::Interrupt, sid::IRQ, &["add_irq"]),
    };
    let entries = policy
        .resources
        .iter()
        .filter(|(entry, _)| entry.kind == kind && entry.first <= last && first <= entry.last);
    let mut contexts: Vec<Context> = Vec::new();
    let mut whole = false;
    for (entry, context) in entries {
        whole |= entry.first <= first && last <= entry.last;
        if !contexts.contains(context) {
            contexts.push(*context);
        }
    }
    if !whole {
        contexts.push(*policy.initial(initial));
    }
    let about = contexts.into_iter();
    about.map(|context| (context, permissions)).collect()
}

fn add(missing: &mut Vec<MissingRule>, rule: Option<MissingRule>) {
    missing.extend(rule.filter(|rule| !missing.contains(rule)));
}

const RESOURCE: &str = "resource";
/// libxl builds a domain without an IOMMU unless it is asked for one.
const USE: &[&str] = &["use_noiommu"];

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str) -> Policy {
        let path = format!(
            "{}/../../tests/fixtures/flask/{name}.policy",
            env!("CARGO_MANIFEST_DIR")
        );
        Policy::read(&std::fs::read(path).unwrap()).unwrap()
    }

    fn texts(missing: &[MissingRule]) -> Vec<String> {
        missing.iter().map(ToString::to_string).collect()
    }

    fn ranges() -> [Range; 3] {
        [
            Range::iomem("fed40,5").unwrap(),
            Range::ioports("2f8-2ff").unwrap(),
            Range::irq(3).unwrap(),
        ]
    }

    #[test]
    fn the_boot_domain_loses_what_it_has_in_both_policies() {
        for name in ["process", "domain"] {
            let missing = check_withheld(&policy(name), &ranges()).unwrap();
            assert_eq!(texts(&missing), [""; 0], "{name}");
        }
    }

    #[test]
    fn a_guest_without_a_device_label_is_given_nothing() {
        for label in [None, Some("system_u:system_r:guest_t")] {
            let missing = check_given(&policy("domain"), label, &ranges()).unwrap();
            assert_eq!(
                texts(&missing),
                [
                    "allow domb_t guest_t:resource { add };",
                    "allow guest_t iomem_t:resource { use_noiommu };",
                    "allow guest_t ioport_t:resource { use_noiommu };",
                    "allow guest_t irq_t:resource { use_noiommu };",
                ]
            );
        }
    }

    #[test]
    fn a_range_with_a_label_of_its_own_is_asked_about_by_it() {
        let policy = policy("odd");
        let labelled = Range::ioports("cc0-cc1").unwrap();
        let partly = Range::ioports("cbf-cc1").unwrap();
        assert_eq!(labels(&policy, &labelled).len(), 1);
        assert_eq!(labels(&policy, &partly).len(), 2);
        assert_eq!(labels(&policy, &Range::irq(33).unwrap()).len(), 1);
        let page = Range::iomem("febff,2").unwrap();
        assert_eq!(labels(&policy, &page).len(), 2);
    }
}
