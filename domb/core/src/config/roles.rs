// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The rules of `roles`: one domain for each role, and what a domain must be
//! and must not be to have it.

use std::collections::BTreeMap;

use super::faults::{Faults, Field, quote};
use super::raw::RawDomain;
use super::{DomainType, Role};
use crate::explain::Code;

/// Reports every breach.
pub(super) fn check(domains: &[RawDomain<'_>], faults: &mut Faults<'_>) {
    after_hardware(domains, faults);
    let mut first: BTreeMap<Role, &Field<Role>> = BTreeMap::new();
    for domain in domains {
        together(domain, faults);
        not_skipped(domain, faults);
        for field in &domain.roles {
            match first.get(&field.value) {
                Some(other) => {
                    let role = field.value.as_str();
                    let fault = faults
                        .at(
                            field,
                            Code::Roles,
                            format!("role \"{role}\" is given twice"),
                        )
                        .also(other.span.clone(), "first given here")
                        .because("every other domain relies on exactly one")
                        .hint("take it out of one of the two");
                    faults.add(fault);
                }
                None => {
                    first.insert(field.value, field);
                }
            }
            match field.value {
                Role::Xenstore => xenstore(domain, field, faults),
                Role::Control => pv(domain, field, faults),
                Role::Hardware => {
                    pv(domain, field, faults);
                    no_ranges(domain, field, IT_HAS_THE_REST, faults);
                }
                Role::Recovery => recovery(domain, field, faults),
            }
        }
    }
}

/// The control and the hardware domain are PV: Xen 4.17 has no other late
/// hardware domain, and an unprivileged PVH domain that controls others can
/// stop Xen.
fn pv(domain: &RawDomain<'_>, role: &Field<Role>, faults: &mut Faults<'_>) {
    let word = role.value.as_str();
    let kind = domain.kind.as_ref();
    if let Some(kind) = kind.filter(|kind| kind.value != DomainType::Pv) {
        let fault = faults
            .at(kind, Code::Roles, format!("the {word} domain is not PV"))
            .also(role.span.clone(), "its role")
            .because("Xen 4.17 can have no other")
            .hint("write type = \"pv\"");
        faults.add(fault);
    }
    if let Some(after) = domain.after.first() {
        let fault = faults
            .at(after, Code::Roles, format!("the {word} domain has `after`"))
            .also(role.span.clone(), "its role")
            .because("its place is fixed: xenstore, control, guests, hardware")
            .hint("leave `after` out");
        faults.add(fault);
    }
    let more = [(
        domain.standby.as_ref().map(|field| &field.span),
        "standby",
        "domain 0 cannot go without it",
    )];
    lacks(word, &more, role, faults);
}

/// Only the hardware and the control domain may be one: as domain 0 was.
fn together(domain: &RawDomain<'_>, faults: &mut Faults<'_>) {
    let store = domain
        .roles
        .iter()
        .find(|role| role.value == Role::Xenstore);
    let other = domain
        .roles
        .iter()
        .find(|role| role.value != Role::Xenstore);
    if let (Some(store), Some(other)) = (store, other) {
        let word = other.value.as_str();
        let fault = faults
            .at(
                other,
                Code::Roles,
                format!("the xenstore domain has the role \"{word}\" as well"),
            )
            .also(store.span.clone(), "its other role")
            .because("it is built before there is a XenStore, without libxl, and has no other use")
            .hint("give the role to another domain");
        faults.add(fault);
    }
}

/// The platform relies on it, so the launch cannot go on without it.
fn not_skipped(domain: &RawDomain<'_>, faults: &mut Faults<'_>) {
    let mut roles = domain.roles.iter();
    // The recovery domain has no `on_failure` at all.
    let Some(role) = roles.find(|role| role.value != Role::Recovery) else {
        return;
    };
    let ends_the_launch = |text: &str| match text.trim() {
        "stop" => true,
        // The recovery domain is built with XenStore.
        "recover" => role.value != Role::Xenstore,
        _ => false,
    };
    let skip = domain.on_failure.as_ref();
    let Some(skip) = skip.filter(|field| !ends_the_launch(field.value)) else {
        return;
    };
    let word = role.value.as_str();
    let fault = faults
        .at(
            skip,
            Code::Roles,
            format!(
                "the {word} domain has on_failure = \"{}\"",
                quote(skip.value)
            ),
        )
        .also(role.span.clone(), "its role")
        .because("every other domain relies on it")
        .hint("leave `on_failure` out");
    faults.add(fault);
}

fn after_hardware(domains: &[RawDomain<'_>], faults: &mut Faults<'_>) {
    let hardware = |domain: &&RawDomain<'_>| domain.roles.iter().any(|f| f.value == Role::Hardware);
    let name = domains
        .iter()
        .find(hardware)
        .and_then(|domain| domain.name.as_ref());
    let Some(name) = name else { return };
    for need in domains.iter().flat_map(|domain| &domain.after) {
        if need.value == name.value {
            let fault = faults
                .at(need, Code::Roles, "`after` names the hardware domain")
                .because("it starts last: from then on the boot domain has nothing more to give")
                .hint("leave it out; a guest waits for its devices by itself");
            faults.add(fault);
        }
    }
}
const STORE_NEEDS_NONE: &str =
    "XenStore needs none, and libxl, which would give it, has no part in building it";
const IT_HAS_THE_REST: &str =
    "it has all that no other domain has, and the boot domain has nothing more to give it";

/// A domain that cannot be given ranges of the machine.
fn no_ranges(domain: &RawDomain<'_>, role: &Field<Role>, why: &str, faults: &mut Faults<'_>) {
    let named = domain.resources.first();
    let named = named.map(|field| ("resources", &field.span));
    let Some((key, span)) = domain.ranges.first().or(named) else {
        return;
    };
    let word = role.value.as_str();
    let fault = faults
        .error(Code::Roles, format!("the {word} domain has `{key}`"))
        .at(span.clone())
        .also(role.span.clone(), "its role")
        .because(why)
        .hint(format!("leave `{key}` out"));
    faults.add(fault);
}

fn xenstore(domain: &RawDomain<'_>, role: &Field<Role>, faults: &mut Faults<'_>) {
    if let Some(kind) = domain
        .kind
        .as_ref()
        .filter(|kind| kind.value != DomainType::Pv)
    {
        let fault = faults
            .at(kind, Code::Roles, "the xenstore domain is not PV")
            .also(role.span.clone(), "its role")
            .because("a PVH kernel waits for a XenStore before it starts the one that serves it")
            .hint("write type = \"pv\"");
        faults.add(fault);
    }
    if let Some(ramdisk) = &domain.ramdisk {
        let fault = faults
            .at(ramdisk, Code::Roles, "the xenstore domain has a `ramdisk`")
            .also(role.span.clone(), "its role")
            .because("domb makes it from the boot domain's own files: domb as init, and xenstored")
            .hint("leave `ramdisk` out");
        faults.add(fault);
    }
    no_ranges(domain, role, STORE_NEEDS_NONE, faults);
    let more = [
        (
            domain.after.first().map(|field| &field.span),
            "after",
            "it is built and started before any other",
        ),
        (
            domain.ready.as_ref().map(|ready| &ready.table.span),
            "ready",
            "no other domain can be built before it serves, so nothing is left to wait for",
        ),
        (
            domain.standby.as_ref().map(|field| &field.span),
            "standby",
            "everything else needs it from the beginning",
        ),
        (
            domain.libxl.as_ref().map(|field| &field.span),
            "libxl",
            "libxl has no part in building it: libxl needs a XenStore first",
        ),
    ];
    lacks("xenstore", &more, role, faults);
}

/// The recovery domain is alone when it runs: what is said about others means
/// nothing.
fn recovery(domain: &RawDomain<'_>, role: &Field<Role>, faults: &mut Faults<'_>) {
    let not_waited_for = "it is started alone, when every other domain is gone";
    let more = [
        (
            domain.after.first().map(|field| &field.span),
            "after",
            not_waited_for,
        ),
        (
            domain.ready.as_ref().map(|ready| &ready.table.span),
            "ready",
            not_waited_for,
        ),
        (
            domain.on_failure.as_ref().map(|field| &field.span),
            "on_failure",
            "there is nothing left to do when it fails as well; the report says so",
        ),
        (
            domain.standby.as_ref().map(|field| &field.span),
            "standby",
            "it takes the place of the whole platform, not of one domain",
        ),
    ];
    lacks("recovery", &more, role, faults);
}

/// Keys that a domain of this role does not have: where it has them, the key,
/// and why.
fn lacks(
    which: &str,
    keys: &[(Option<&std::ops::Range<usize>>, &str, &str)],
    role: &Field<Role>,
    faults: &mut Faults<'_>,
) {
    for (span, key, why) in keys {
        let Some(span) = *span else { continue };
        let fault = faults
            .error(Code::Roles, format!("the {which} domain has `{key}`"))
            .at(span.clone())
            .also(role.span.clone(), "its role")
            .because(*why)
            .hint(format!("leave `{key}` out"));
        faults.add(fault);
    }
}
