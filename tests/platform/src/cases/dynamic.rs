// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The dynamic role sets that are less than full disaggregation: fewer domains
//! from the start, and the others are the control domain's to create.

use super::departure::{drives, labelled_as, reclaimed};
use super::{example, new_guests, same_domains};
use crate::bench::Bench;
use crate::boot::{Boot, Case, End};
use crate::departed::Platform;
use crate::error::Result;
use crate::outcome::Outcome;

type Domains = &'static [(&'static str, u16, &'static str)];

const BASE: Domains = &[
    ("store", 1, "xenstore_t"),
    ("control", 2, "ctrl_t"),
    ("hardware", 3, "hwdom_t"),
];
const FLEXIBLE: Domains = &[
    ("store", 1, "xenstore_t"),
    ("control", 2, "ctrl_t"),
    ("hardware", 3, "hwdom_t"),
    ("net", 7, "guest_t"),
];

/// No guest from the start.
#[must_use]
pub fn hardware_domain() -> Boot {
    Boot {
        name: "dynamic-hardware-domain",
        prepare: |bench, name, steps| {
            set("roles/dynamic-hardware-domain", "").prepare(bench, name, steps)
        },
        end: End::PowerOff,
        cases: cases(|_, outcome| stands(outcome, BASE), new_guests::pvh()),
    }
}

/// One guest from the start.
#[must_use]
pub fn flexible() -> Boot {
    Boot {
        name: "dynamic-flexible",
        prepare: |bench, name, steps| {
            set("roles/dynamic-flexible", "7").prepare(bench, name, steps)
        },
        end: End::PowerOff,
        cases: cases(|_, outcome| stands(outcome, FLEXIBLE), new_guests::pv()),
    }
}

fn set(set: &'static str, guests: &'static str) -> Platform {
    Platform {
        set,
        guests,
        ..Platform::FULL
    }
}

fn cases(stands: fn(&Bench, &Outcome) -> Result<()>, guest: Case) -> Vec<Case> {
    vec![
        Case::of_boot("its-domains-stand-with-their-labels", stands),
        Case::of_boot("domb-adopt-reclaims-domain-0", reclaimed),
        Case::of_boot("the-hardware-domain-drives-disk-and-network", drives),
        Case::of_boot("the-pcr-is-what-domb-predicted", example::predicted),
        guest,
    ]
}

fn stands(outcome: &Outcome, domains: Domains) -> Result<()> {
    let expected: Vec<_> = domains
        .iter()
        .map(|(name, domid, _)| (*name, *domid))
        .collect();
    same_domains(outcome.domains.iter(), &expected)?;
    same_domains(outcome.finally.iter(), &expected)?;
    labelled_as(outcome, domains)
}
