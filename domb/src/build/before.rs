// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What must be so before anything is built, or before one domain is: labels
//! that are enforced, roles that are filled, ranges that can be given. Whatever
//! is not so would show later, half-way, and with less of a reason.

use domb_core::config::{DomainConfig, Exit, Range, Role};
use domb_core::policy::{Flask, PlatformFacts};

use super::error::{Cause, Error};
use crate::denials::{Denied, heard};
use crate::launch::Approved;
use crate::toolstack::{self, Toolstack};

/// Without an enforcing Flask a label is only a wish: libxl warns and builds
/// the domain unlabelled (`libxl_create.c`). domb does not.
pub(super) fn labels_are_enforced(
    approved: &Approved,
    platform: &PlatformFacts,
) -> Result<(), Error> {
    let flask = platform.flask.unwrap_or(Flask::Absent);
    if flask == Flask::Enforcing {
        return Ok(());
    }
    let control = approved.plan.control.as_ref();
    if let Some(label) = control.and_then(|control| control.seclabel.clone()) {
        return Err(Error::Control(Cause::LabelNotEnforced { label, flask }));
    }
    match approved
        .plan
        .start_order()
        .iter()
        .find_map(|domain| Some((domain, domain.seclabel.as_ref()?)))
    {
        None => Ok(()),
        Some((domain, label)) => Err(Error::Domain {
            name: domain.name.clone(),
            domid: domain.domid,
            cause: Cause::LabelNotEnforced {
                label: label.clone(),
                flask,
            },
            recover: false,
        }),
    }
}

/// With `exit = "domain"` nothing is built unless every power is held by a
/// domain that may start, at the domid where Xen wants the hardware domain.
pub(super) fn roles_are_filled(approved: &Approved, platform: &PlatformFacts) -> Result<(), Error> {
    let config = &approved.measured.loaded.config;
    if config.exit != Exit::Domain {
        return Ok(());
    }
    // A script may do without a recovery domain.
    let needed = |it: &&DomainConfig| !it.roles.is_empty() && !it.has_role(Role::Recovery);
    for domain in config.domains.iter().filter(needed) {
        let cause = if !approved.approval.verdict().allows(domain.name.as_str()) {
            Err(Cause::RoleDenied)
        } else if domain.has_role(Role::Hardware) {
            hardware_domid(domain, platform)
        } else {
            Ok(())
        };
        cause.map_err(|cause| Error::Domain {
            name: domain.name.clone(),
            domid: domain.domid,
            cause,
            recover: false,
        })?;
    }
    Ok(())
}

/// Xen makes that domain the hardware domain which its command line names, and
/// does so for any domain that lands there.
fn hardware_domid(domain: &DomainConfig, platform: &PlatformFacts) -> Result<(), Cause> {
    let Some(words) = platform.xen_commandline.as_deref() else {
        return Ok(()); // On another machine nobody knows.
    };
    let mut named = words
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("hardware_dom="));
    match named.next_back() {
        Some(number) if number == domain.domid.to_string() => Ok(()),
        found => Err(Cause::HardwareDomid {
            domid: domain.domid,
            found: found.map(str::to_owned),
        }),
    }
}

/// The boot domain has the range, and the policy in force lets it hand it on.
pub(super) fn may_be_given(range: &Range, toolstack: &dyn Toolstack) -> Result<(), Cause> {
    let (held, denials) = heard(toolstack, || toolstack.holds(range));
    if held? {
        return Ok(());
    }
    match Denied::of(denials?) {
        None => Err(Cause::NotHeld(*range)),
        denied => Err(Cause::Toolstack(toolstack::Error {
            denied,
            ..toolstack::Error::new(format!("cannot give {range} away"))
        })),
    }
}
