// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The rule of ranges where the hardware and the control domain are one. It is
//! built before the guests, because their consoles are its own, and Xen takes every
//! range from domain 0 for it as it is made (`late_hwdom_init()`): nothing can be given
//! to another domain after that, nor kept from this one.

use super::Role;
use super::faults::{Faults, Field};
use super::raw::{RawConfig, RawDomain};
use crate::explain::Code;

/// Reports every range that such a platform is to give or to keep.
pub(super) fn check(raw: &RawConfig<'_>, faults: &mut Faults<'_>) {
    let has = |domain: &RawDomain<'_>, role| domain.roles.iter().any(|it| it.value == role);
    let both = |domain: &&RawDomain<'_>| has(domain, Role::Hardware) && has(domain, Role::Control);
    let Some(one) = raw.domains.iter().find(both) else {
        return;
    };
    let Some(role) = one.roles.iter().find(|it| it.value == Role::Hardware) else {
        return;
    };
    for domain in raw.domains.iter().filter(|domain| !both(domain)) {
        let own = domain.ranges.first();
        let named = domain.resources.first();
        let named = named.map(|field| ("resources", &field.span));
        if let Some((key, span)) = own.or(named) {
            let what = format!("`{key}` where hardware and control are one domain");
            refuse(&what, key, span.clone(), role, faults);
        }
    }
    for resource in &raw.resources {
        if let Some(field) = resource.withheld().filter(|field| field.value) {
            let what = "`withheld` where hardware and control are one domain";
            refuse(what, "withheld", field.span.clone(), role, faults);
        }
    }
}

fn refuse(
    what: &str,
    key: &str,
    span: std::ops::Range<usize>,
    role: &Field<Role>,
    faults: &mut Faults<'_>,
) {
    let fault = faults
        .error(Code::RangeOfOneDomain, what)
        .at(span)
        .also(role.span.clone(), "its roles")
        .because(
            "that domain is built before the guests, and Xen gives it every range as it is made",
        )
        .hint(format!(
            "leave `{key}` out, or give hardware and control to two domains"
        ));
    faults.add(fault);
}
