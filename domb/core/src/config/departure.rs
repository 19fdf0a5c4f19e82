// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The rules of `exit`: a boot domain that halts leaves every power of domain
//! 0 to a domain that was made for it, under a label; one that lives on keeps
//! them all.

use super::faults::{Faults, Field};
use super::raw::{RawConfig, RawDomain};
use super::{Exit, Role};
use crate::explain::Code;

/// Reports every breach.
pub(super) fn check(raw: &RawConfig<'_>, exit: Exit, faults: &mut Faults<'_>) {
    match exit {
        Exit::Domain => {
            let place = raw.exit.as_ref().map_or(0..0, |field| field.span.clone());
            every_role(raw, &place, faults);
            nothing_for_domain_0(raw, &place, faults);
            labels(&raw.domains, faults);
        }
        Exit::Process => domain_0_stays(raw, faults),
    }
}

fn every_role(raw: &RawConfig<'_>, place: &std::ops::Range<usize>, faults: &mut Faults<'_>) {
    for role in [Role::Xenstore, Role::Control, Role::Hardware] {
        if holder(raw, role).is_some() {
            continue;
        }
        let role = role.as_str();
        let message = format!("`exit` is \"domain\", and no domain has the role \"{role}\"");
        let fault = faults
            .error(Code::DepartureRole, message)
            .at(place.clone())
            .key("exit")
            .because("domain 0 has it, and domain 0 goes")
            .hint(format!("give a domain roles = [\"{role}\"]"));
        faults.add(fault);
    }
}

fn nothing_for_domain_0(
    raw: &RawConfig<'_>,
    place: &std::ops::Range<usize>,
    faults: &mut Faults<'_>,
) {
    if let Some(control) = &raw.control {
        let fault = faults
            .error(
                Code::OtherExit,
                "`exit` is \"domain\", and there is a [control]",
            )
            .at(control.table.span.clone())
            .also(place.clone(), "the boot domain halts")
            .because("[control] is what domain 0 becomes where it stays")
            .hint("take [control] out; the control domain is a [[domain]]");
        faults.add(fault);
    }
}

/// Without labels nobody but domain 0 has any power, and nobody would have it
/// when domain 0 has gone.
fn labels(domains: &[RawDomain<'_>], faults: &mut Faults<'_>) {
    for domain in domains.iter().filter(|domain| domain.seclabel.is_none()) {
        let Some(role) = domain.roles.first() else {
            continue;
        };
        let message = format!("the {} domain has no `seclabel`", role.value.as_str());
        let fault = faults
            .at(role, Code::DepartureLabel, message)
            .because("its power is that of its label; without one it has none, and domain 0 goes")
            .hint("give it the label that policy/flask makes for the role");
        faults.add(fault);
    }
}

fn domain_0_stays(raw: &RawConfig<'_>, faults: &mut Faults<'_>) {
    for role in [Role::Control, Role::Hardware] {
        let Some(field) = holder(raw, role) else {
            continue;
        };
        let message = format!("role \"{}\" goes with exit = \"domain\"", role.as_str());
        let fault = faults
            .at(field, Code::OtherExit, message)
            .because("with exit = \"process\" domain 0 keeps it")
            .hint("write exit = \"domain\", or take the role out");
        faults.add(fault);
    }
    if let Some(field) = &raw.reclaim {
        let fault = faults
            .at(
                field,
                Code::OtherExit,
                "`reclaim` goes with exit = \"domain\"",
            )
            .because("with exit = \"process\" domain 0 lives on")
            .hint("leave it out");
        faults.add(fault);
    }
}

fn holder<'r>(raw: &'r RawConfig<'_>, role: Role) -> Option<&'r Field<Role>> {
    let mut roles = raw.domains.iter().flat_map(|domain| &domain.roles);
    roles.find(|field| field.value == role)
}
