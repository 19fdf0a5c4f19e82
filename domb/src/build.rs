// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Build: from an approved launch to paused domains.
//!
//! Each domain is built from the sealed bytes that were measured, at the
//! domid that was asked for, and stays paused inside a guard. A guard that is
//! dropped before the hand-off destroys its domain; so whatever goes wrong,
//! nothing half-built is left.

use std::collections::BTreeMap;

use domb_core::config::{DomainConfig, DomainName, OnFailure, Role};
use domb_core::plan;
use domb_core::policy::{Flask, PlatformFacts};
use domb_core::units::{Domid, Mib};

use crate::console;
use crate::launch::Approved;
use crate::toolstack::{self, State, Toolstack};

/// Every approved domain, built and paused.
///
/// Holding one proves that each domain in it exists at its configured domid,
/// has the label it was given, and has not run yet.
pub struct Built<'t> {
    /// In start order.
    pub domains: Guards<'t>,
    /// Domains left out because they, or one they need, could not be built,
    /// and the configuration says `on_failure = "skip"`.
    pub left_out: BTreeMap<DomainName, String>,
}

/// Builds what was approved. `built` is told of each domain as it stands.
///
/// # Errors
/// The first domain that could not be built and may not be skipped; all that
/// were built are destroyed, last first.
pub fn build<'t>(
    approved: &Approved,
    toolstack: &'t dyn Toolstack,
    mut built: impl FnMut(&DomainConfig),
) -> Result<Built<'t>, Error> {
    let allowed = plan::allowed(&approved.plan, approved.approval.verdict());
    let platform = toolstack.platform().map_err(Error::Platform)?;
    labels_are_enforced(&allowed, &platform)?;

    let mut domains = Guards::default();
    let mut left_out = BTreeMap::new();
    let mut free = platform.free_memory_mib.map(Mib);
    for domain in allowed {
        let attempt = match domain
            .after
            .iter()
            .find(|need| left_out.contains_key(*need))
        {
            Some(need) => Err(Cause::Needs(need.clone())),
            None => memory_is_free(domain, free).and_then(|()| create(domain, approved, toolstack)),
        };
        match attempt {
            Ok(guard) => {
                free = free.map(|free| Mib(free.0.saturating_sub(plan::need_memory(domain).0)));
                domains.0.push(guard);
                built(domain);
            }
            Err(cause @ Cause::Needs(_)) => {
                left_out.insert(domain.name.clone(), cause.to_string());
            }
            Err(cause) if domain.on_failure == OnFailure::Skip => {
                console::line(
                    "build",
                    &format!("{} left out: {}", domain.name, chain(&cause)),
                );
                left_out.insert(domain.name.clone(), chain(&cause));
            }
            Err(cause) => {
                return Err(Error::Domain {
                    name: domain.name.clone(),
                    domid: domain.domid,
                    cause,
                });
            }
        }
    }
    Ok(Built { domains, left_out })
}

/// Without an enforcing Flask a label is only a wish: libxl warns and builds
/// the domain unlabelled (`libxl_create.c`). domb does not.
fn labels_are_enforced(allowed: &[&DomainConfig], platform: &PlatformFacts) -> Result<(), Error> {
    let flask = platform.flask.unwrap_or(Flask::Absent);
    if flask == Flask::Enforcing {
        return Ok(());
    }
    match allowed
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
        }),
    }
}

fn memory_is_free(domain: &DomainConfig, free: Option<Mib>) -> Result<(), Cause> {
    let need = plan::need_memory(domain);
    match free {
        Some(free) if free < need => Err(Cause::Memory { need, free }),
        _ => Ok(()),
    }
}

fn create<'t>(
    domain: &DomainConfig,
    approved: &Approved,
    toolstack: &'t dyn Toolstack,
) -> Result<Guard<'t>, Cause> {
    let artefacts = &approved.measured.loaded.domains[&domain.name];
    if let State::Paused { .. } | State::Running | State::Shutdown(_) =
        toolstack.state(domain.domid)?
    {
        return Err(Cause::DomidInUse);
    }
    let ramdisk = artefacts
        .ramdisk
        .as_ref()
        .map(|ramdisk| ramdisk.sealed.path());
    toolstack.create(domain, &artefacts.kernel.sealed.path(), ramdisk.as_deref())?;
    let guard = Guard {
        toolstack,
        name: domain.name.clone(),
        domid: domain.domid,
        armed: true,
    };
    label_is_real(domain, toolstack)?;
    Ok(guard)
}

/// Reads the label back: it is what Xen enforces, whatever was asked.
fn label_is_real(domain: &DomainConfig, toolstack: &dyn Toolstack) -> Result<(), Cause> {
    // The xenstore domain runs by now; its label was read before it did.
    let asked = match &domain.seclabel {
        Some(label) if !domain.has_role(Role::Xenstore) => label,
        _ => return Ok(()),
    };
    match toolstack.state(domain.domid)? {
        State::Paused {
            seclabel: Some(real),
        } if real == *asked => Ok(()),
        State::Paused { seclabel } => Err(Cause::OtherLabel {
            asked: asked.clone(),
            real: seclabel.unwrap_or_default(),
        }),
        state => Err(Cause::NotPaused(state)),
    }
}

/// Paused domains, destroyed last first when dropped.
#[derive(Default)]
pub struct Guards<'t>(Vec<Guard<'t>>);

impl<'t> Guards<'t> {
    /// The domains in start order.
    pub fn iter(&self) -> impl Iterator<Item = &Guard<'t>> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Disarms every guard: from here on nothing destroys these domains.
    pub fn hand_over(mut self) {
        for guard in &mut self.0 {
            guard.armed = false;
        }
    }
}

impl Drop for Guards<'_> {
    fn drop(&mut self) {
        while let Some(guard) = self.0.pop() {
            drop(guard);
        }
    }
}

/// A domain that is destroyed when this is dropped.
pub struct Guard<'t> {
    toolstack: &'t dyn Toolstack,
    /// The domain's name.
    pub name: DomainName,
    /// Its domid.
    pub domid: Domid,
    armed: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let text = match self.toolstack.destroy(self.domid) {
            Ok(()) => format!("destroyed {} (domid {})", self.name, self.domid),
            Err(error) => format!("could not destroy {}: {error}", self.name),
        };
        console::line("undo", &text);
    }
}

fn chain(cause: &Cause) -> String {
    crate::report::chain(cause).join(": ")
}

/// Why nothing was built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The toolstack did not say what the platform is.
    #[error("ask the toolstack for the platform's memory and capabilities")]
    Platform(#[source] toolstack::Error),
    /// One domain could not be built.
    #[error("build domain {name} (domid {domid})")]
    Domain {
        /// The domain.
        name: DomainName,
        /// Its domid.
        domid: Domid,
        /// Why.
        #[source]
        cause: Cause,
    },
}

/// Why a domain could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The toolstack refused.
    #[error(transparent)]
    Toolstack(#[from] toolstack::Error),
    /// Another domain has the domid.
    #[error(
        "the domid is in use\nhint: `xl list` shows by whom; choose another domid or end that domain"
    )]
    DomidInUse,
    /// Xen has not enough free memory.
    #[error(
        "Xen has {free} of memory free, the domain needs {need}\nhint: lower `memory`, or give the boot domain less with dom0_mem= on Xen's command line"
    )]
    Memory {
        /// What the domain takes, with libxl's overhead.
        need: Mib,
        /// What was free when its turn came.
        free: Mib,
    },
    /// A label was asked for and nothing would enforce it.
    #[error("label {label} cannot be enforced: Flask is {}\nhint: boot a Xen with XSM and Flask, `flask=enforcing` on its command line, or leave out `seclabel`", flask.as_str())]
    LabelNotEnforced {
        /// The label.
        label: String,
        /// What Flask is.
        flask: Flask,
    },
    /// Xen gave the domain another label.
    #[error("label {asked} was asked for and {real:?} is what the domain has")]
    OtherLabel {
        /// As configured.
        asked: String,
        /// As read back.
        real: String,
    },
    /// A fresh domain is not paused.
    #[error("the fresh domain should be paused and is {0:?}")]
    NotPaused(State),
    /// A domain it needs was left out.
    #[error("it needs {0}, which was left out")]
    Needs(DomainName),
}
