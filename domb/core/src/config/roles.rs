// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The rules of `roles`: one domain for each role, and what a domain must be
//! and must not be to have it.

use std::collections::BTreeMap;

use super::faults::{Faults, Field};
use super::raw::RawDomain;
use super::{DomainType, Role};
use crate::explain::Code;

/// Reports every breach.
pub(super) fn check(domains: &[RawDomain<'_>], faults: &mut Faults<'_>) {
    let mut first: BTreeMap<Role, &Field<Role>> = BTreeMap::new();
    for domain in domains {
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
            }
        }
    }
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
    let more = [
        (
            domain.after.first().map(|field| &field.span),
            "after",
            "it is built and started before any other",
        ),
        (
            domain.libxl.as_ref().map(|field| &field.span),
            "libxl",
            "libxl has no part in building it: libxl needs a XenStore first",
        ),
    ];
    for (span, key, why) in more {
        let Some(span) = span else { continue };
        let fault = faults
            .error(Code::Roles, format!("the xenstore domain has `{key}`"))
            .at(span.clone())
            .also(role.span.clone(), "its role")
            .because(why)
            .hint(format!("leave `{key}` out"));
        faults.add(fault);
    }
}
