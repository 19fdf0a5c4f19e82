// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Build: from an approved launch to paused domains.
//!
//! Each domain is built from the sealed bytes that were measured, at the
//! domid that was asked for, and stays paused inside a guard. A guard that is
//! dropped before the hand-off destroys its domain; so whatever goes wrong,
//! nothing half-built is left.

mod error;

use std::collections::BTreeMap;
use std::rc::Rc;

use domb_core::config::{Config, Control, DomainConfig, DomainName, Exit, OnFailure, Range, Role};
use domb_core::plan;
use domb_core::policy::{Flask, PlatformFacts};
use domb_core::units::{Domid, Mib};

use crate::console;
use crate::denials::explained;
use crate::handoff;
use crate::launch::Approved;
use crate::load::Artefact;
use crate::toolstack::{State, Toolstack};
pub use error::{Cause, Error};

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
    /// What the hardware domain is kept from before any of them runs.
    pub withheld: Vec<Range>,
    /// The hardware domain, which is built when the measurement is complete:
    /// Xen then takes everything from the boot domain, the TPM included.
    last: Option<Last>,
    toolstack: &'t dyn Toolstack,
}

/// A domain that is still to be built, from sealed bytes.
struct Last {
    domain: DomainConfig,
    kernel: Rc<Artefact>,
    ramdisk: Option<Rc<Artefact>>,
}

impl Built<'_> {
    /// Lets the xenstore and the control domain run, which serve the others.
    /// `unpaused` is told of each.
    ///
    /// # Errors
    /// One of them does not run; everything is destroyed.
    pub fn start_services(
        mut self,
        mut unpaused: impl FnMut(&DomainName),
    ) -> Result<Self, handoff::Error> {
        for guard in self.domains.0.iter_mut().filter(|guard| guard.serves) {
            handoff::unpause(guard, self.toolstack)?;
            guard.runs = true;
            unpaused(&guard.name);
        }
        Ok(self)
    }

    /// Builds the hardware domain, if one is configured. `built` is told of it.
    ///
    /// # Errors
    /// It could not be built; everything is destroyed, and if it is there in
    /// part, the machine restarts.
    pub fn build_last(
        mut self,
        built: impl FnOnce(&DomainConfig, Option<&str>),
    ) -> Result<Self, Error> {
        let Some(last) = self.last.take() else {
            return Ok(self);
        };
        let (kernel, ramdisk) = (&last.kernel, last.ramdisk.as_deref());
        match create(&last.domain, kernel, ramdisk, self.toolstack) {
            Ok(guard) => {
                built(&last.domain, guard.seclabel.as_deref());
                self.domains.0.push(guard);
                Ok(self)
            }
            Err(cause) => Err(Error::Domain {
                name: last.domain.name.clone(),
                domid: last.domain.domid,
                cause,
            }),
        }
    }
}

/// Builds what was approved. `built` is told of each domain as it stands, and of
/// the label it really has.
///
/// # Errors
/// The first domain that could not be built and may not be skipped; all that
/// were built are destroyed, last first.
pub fn build<'t>(
    approved: &Approved,
    toolstack: &'t dyn Toolstack,
    mut built: impl FnMut(&DomainConfig, Option<&str>),
) -> Result<Built<'t>, Error> {
    let allowed = plan::allowed(&approved.plan, approved.approval.verdict());
    let platform = toolstack.platform().map_err(Error::Platform)?;
    labels_are_enforced(&allowed, approved.plan.control.as_ref(), &platform)?;
    roles_are_filled(&approved.plan, &allowed, &platform)?;
    let mut last = None;

    let mut domains = Guards::default();
    let mut stand = Vec::new();
    let mut left_out = BTreeMap::new();
    let mut free = platform.free_memory_mib.map(Mib);
    for domain in allowed {
        let artefacts = &approved.measured.loaded.domains[&domain.name];
        if domain.has_role(Role::Hardware) && !domain.has_role(Role::Control) {
            last = Some(Last {
                domain: domain.clone(),
                kernel: Rc::clone(&artefacts.kernel),
                ramdisk: artefacts.ramdisk.clone(),
            });
            continue;
        }
        let attempt = match domain
            .after
            .iter()
            .find(|need| left_out.contains_key(*need))
        {
            Some(need) => Err(Cause::Needs(need.clone())),
            None => memory_is_free(domain, free).and_then(|()| {
                create(
                    domain,
                    &artefacts.kernel,
                    artefacts.ramdisk.as_deref(),
                    toolstack,
                )
            }),
        };
        match attempt {
            Ok(guard) => {
                free = free.map(|free| Mib(free.0.saturating_sub(plan::need_memory(domain).0)));
                built(domain, guard.seclabel.as_deref());
                domains.0.push(guard);
                stand.push(domain);
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
    Ok(Built {
        domains,
        left_out,
        last,
        toolstack,
        withheld: plan::withheld(&approved.plan, &stand),
    })
}

/// Without an enforcing Flask a label is only a wish: libxl warns and builds
/// the domain unlabelled (`libxl_create.c`). domb does not.
fn labels_are_enforced(
    allowed: &[&DomainConfig],
    control: Option<&Control>,
    platform: &PlatformFacts,
) -> Result<(), Error> {
    let flask = platform.flask.unwrap_or(Flask::Absent);
    if flask == Flask::Enforcing {
        return Ok(());
    }
    if let Some(label) = control.and_then(|control| control.seclabel.clone()) {
        return Err(Error::Control(Cause::LabelNotEnforced { label, flask }));
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

/// With `exit = "domain"` nothing is built unless every role is filled by a
/// domain that may start, at the domid where Xen wants the hardware domain.
fn roles_are_filled(
    config: &Config,
    allowed: &[&DomainConfig],
    platform: &PlatformFacts,
) -> Result<(), Error> {
    if config.exit != Exit::Domain {
        return Ok(());
    }
    for domain in config.domains.iter().filter(|it| !it.roles.is_empty()) {
        let cause = if allowed.iter().all(|other| other.name != domain.name) {
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

fn memory_is_free(domain: &DomainConfig, free: Option<Mib>) -> Result<(), Cause> {
    let need = plan::need_memory(domain);
    match free {
        Some(free) if free < need => Err(Cause::Memory { need, free }),
        _ => Ok(()),
    }
}

fn create<'t>(
    domain: &DomainConfig,
    kernel: &Artefact,
    ramdisk: Option<&Artefact>,
    toolstack: &'t dyn Toolstack,
) -> Result<Guard<'t>, Cause> {
    if let State::Paused | State::Running | State::Shutdown(_) = toolstack.state(domain.domid)? {
        return Err(Cause::DomidInUse);
    }
    // libxl finds out only when the domain is half built, and names no reason.
    for range in domain.delegated() {
        if !toolstack.holds(range)? {
            return Err(Cause::NotHeld(*range));
        }
    }
    let ramdisk = ramdisk.map(|ramdisk| ramdisk.sealed.path());
    explained(toolstack, || {
        toolstack.create(domain, &kernel.sealed.path(), ramdisk.as_deref())
    })?;
    let mut guard = Guard {
        toolstack,
        name: domain.name.clone(),
        domid: domain.domid,
        seclabel: None,
        serves: domain.has_role(Role::Xenstore) || domain.has_role(Role::Control),
        runs: false,
        armed: true,
    };
    guard.seclabel = real_label(domain, toolstack)?;
    match toolstack.state(domain.domid)? {
        State::Paused => Ok(guard),
        // libxl cannot work without it, so it serves by now.
        State::Running if domain.has_role(Role::Xenstore) => Ok(guard),
        state => Err(Cause::NotPaused(state)),
    }
}

/// Reads the label back: it is what Xen enforces, whatever was asked.
fn real_label(domain: &DomainConfig, toolstack: &dyn Toolstack) -> Result<Option<String>, Cause> {
    let real = toolstack.seclabel(domain.domid)?;
    match &domain.seclabel {
        Some(asked) if real.as_ref() != Some(asked) => Err(Cause::OtherLabel {
            asked: asked.clone(),
            real: real.unwrap_or_default(),
        }),
        _ => Ok(real),
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
    /// The label it really has; None where Xen has no labels.
    pub seclabel: Option<String>,
    /// Whether the others need it before they run.
    serves: bool,
    /// Whether it was let run before the hand-off of the others.
    pub runs: bool,
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
