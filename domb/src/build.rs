// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Build: from an approved launch to paused domains.
//!
//! Each domain is built from the sealed bytes that were measured, at the
//! domid that was asked for, and stays paused inside a guard. A guard that is
//! dropped before the hand-off destroys its domain; so whatever goes wrong,
//! nothing half-built is left. What is built next, and what follows when it
//! cannot be built, is decided in `domb_core::course`.

mod before;
mod error;
mod failure;
mod guard;
mod ready;

use std::time::Duration;

use domb_core::config::{DomainConfig, DomainName, Range, Ready, Role};
use domb_core::course::{Came, Course};
use domb_core::plan;
use domb_core::units::Mib;

use crate::denials::explained;
use crate::launch::Approved;
use crate::measure;
use crate::toolstack::{self, State, Toolstack};

use before::{labels_are_enforced, may_be_given, roles_are_filled};
pub use error::{Cause, Error};
pub use failure::{DecidedBy, Failure, Fallen};
pub use guard::{Guard, Guards};
pub use ready::{Failed, Watch, is_ready};

/// Who is told what a launch does as it does it.
pub trait Witness {
    /// A domain stands, paused; with the label it really has.
    fn built(&mut self, domain: &DomainConfig, label: Option<&str>);
    /// A domain was unpaused.
    fn unpaused(&mut self, name: &DomainName);
    /// A domain with a gate is ready.
    fn ready(&mut self, name: &DomainName, ready: &Ready);
    /// A domain was not ready in time, and the launch goes on.
    fn late(&mut self, name: &DomainName, ready: &Ready);
    /// A domain failed, and this is done about it.
    fn failed(&mut self, failure: &Failure);
    /// What the launch script wrote with `log`.
    fn script_said(&mut self, lines: &[String]);
    /// The launch came to something else than was measured last. Nothing is
    /// started before this returns.
    ///
    /// # Errors
    /// It cannot be measured.
    fn came(&mut self, came: &Came) -> Result<(), measure::Error>;
}

/// A launch under way: which domains stand, and which come next.
pub struct Site<'a> {
    approved: &'a Approved,
    /// Who builds and starts them.
    pub toolstack: &'a dyn Toolstack,
    /// Where the launch is.
    pub course: Course,
    guards: Guards<'a>,
    free: Option<Mib>,
}

/// Every approved domain, built and paused.
///
/// Holding one proves that each domain in it exists at its configured domid,
/// has the label it was given, and has not run yet.
pub struct Built<'a>(Site<'a>);

impl<'a> Built<'a> {
    /// How many domains stand.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.guards.len()
    }

    /// What the launch came to so far besides what was planned.
    #[must_use]
    pub fn came(&self) -> Came {
        self.0.course.came()
    }

    /// What domain 0 is kept from before any of them runs.
    #[must_use]
    pub fn withheld(&self) -> Vec<Range> {
        self.0.withheld()
    }

    /// The launch, to go on with.
    pub(crate) fn into_site(self) -> Site<'a> {
        self.0
    }
}

/// Builds what was approved.
///
/// # Errors
/// The first domain whose failure means that of the launch; all that were
/// built are destroyed, last first.
pub fn build<'a>(
    approved: &'a Approved,
    toolstack: &'a dyn Toolstack,
    witness: &mut dyn Witness,
) -> Result<Built<'a>, Error> {
    let platform = toolstack.platform().map_err(Error::Platform)?;
    labels_are_enforced(approved, &platform)?;
    roles_are_filled(approved, &platform)?;
    let course = Course::new(&approved.plan);
    if !course.has_work() {
        let recover = approved.plan.with_role(Role::Recovery).is_some();
        return Err(Error::OnlyReserves { recover });
    }
    let mut site = Site {
        approved,
        toolstack,
        course,
        guards: Guards::default(),
        free: platform.free_memory_mib.map(Mib),
    };
    site.build_all(witness)?;
    Ok(Built(site))
}

/// Builds one domain outside of any course: the recovery domain.
///
/// # Errors
/// It could not be built; nothing of it is left.
pub fn build_alone<'a>(
    approved: &'a Approved,
    toolstack: &'a dyn Toolstack,
    domain: &DomainConfig,
) -> Result<Guard<'a>, Cause> {
    let platform = toolstack.platform()?;
    memory_is_free(domain, platform.free_memory_mib.map(Mib))?;
    Ok(create(domain, approved, toolstack)?.0)
}

impl<'a> Site<'a> {
    /// Builds everything that is to be built.
    ///
    /// # Errors
    /// A domain's failure means that of the launch.
    pub fn build_all(&mut self, witness: &mut dyn Witness) -> Result<(), Fallen> {
        while let Some(name) = self.course.next_to_build().cloned() {
            let domain = self.domain(&name);
            let attempt = memory_is_free(domain, self.free)
                .and_then(|()| create(domain, self.approved, self.toolstack));
            let (guard, label) = match attempt {
                Ok(built) => built,
                Err(cause) => {
                    self.fail(&name, cause, None, witness)?;
                    continue;
                }
            };
            witness.built(domain, label.as_deref());
            let need = plan::need_memory(domain).0;
            self.free = self.free.map(|free| Mib(free.0.saturating_sub(need)));
            self.guards.push(guard);
            self.course.built(&name);
            self.tell_attempt(&name);
        }
        Ok(())
    }

    /// The domain of that name.
    ///
    /// # Panics
    /// It is not one of this launch.
    #[must_use]
    pub fn domain(&self, name: &DomainName) -> &'a DomainConfig {
        let domain = self.approved.plan.domain(name.as_str());
        domain.expect("a course is about the domains of its plan")
    }

    /// What domain 0 is kept from while these domains are there.
    #[must_use]
    pub fn withheld(&self) -> Vec<Range> {
        let names = self.course.standing();
        let stand: Vec<_> = names.iter().map(|name| self.domain(name)).collect();
        plan::withheld(&self.approved.plan, &stand)
    }

    /// Lets a domain run.
    ///
    /// # Errors
    /// A failure of it that means that of the launch.
    pub fn start(
        &mut self,
        name: &DomainName,
        now: Duration,
        witness: &mut dyn Witness,
    ) -> Result<(), Fallen> {
        let domid = self.domain(name).domid;
        match explained(self.toolstack, || self.toolstack.unpause(domid)) {
            Ok(()) => {
                self.course.started(name, now);
                witness.unpaused(name);
                Ok(())
            }
            Err(error) => {
                let console = error.log.clone();
                self.fail(name, Cause::Toolstack(error), Some(console), witness)
            }
        }
    }

    /// A domain failed that was unpaused; `console` are its last words.
    ///
    /// # Errors
    /// Its failure means that of the launch.
    pub fn fell(
        &mut self,
        failed: Failed,
        console: Vec<String>,
        witness: &mut dyn Witness,
    ) -> Result<(), Fallen> {
        self.fail(&failed.name, failed.cause, Some(console), witness)
    }

    /// Gives every domain away: from here on nothing destroys them.
    pub fn hand_over(self) {
        self.guards.hand_over();
    }

    /// How many domains stand or run.
    #[must_use]
    pub fn count(&self) -> usize {
        self.guards.len()
    }

    fn take_down(&mut self, name: &DomainName) -> Result<(), toolstack::Error> {
        self.guards.destroy(name)?;
        let need = plan::need_memory(self.domain(name)).0;
        self.free = self.free.map(|free| Mib(free.0.saturating_add(need)));
        Ok(())
    }

    /// A domain that is built anew finds in XenStore that it is: what it does
    /// otherwise then is up to it, and that it cannot be told is no failure.
    fn tell_attempt(&self, name: &DomainName) {
        let attempt = self.course.attempt(name);
        if attempt > 1 {
            let domid = self.domain(name).domid;
            let path = format!("/local/domain/{domid}/domb/attempt");
            if let Err(error) = self.toolstack.store_write(&path, &attempt.to_string()) {
                crate::console::line("build", &format!("{name} is not told its attempt: {error}"));
            }
        }
    }

    fn approved_ready(&self, name: &DomainName, witness: &mut dyn Witness) -> Result<(), Cause> {
        if let Some(ready) = &self.domain(name).ready {
            witness.ready(name, ready);
        }
        let refused = |why: String| Cause::Refused { why };
        let said = self.approved.hooks.on_ready(name);
        let said = said.map_err(|error| refused(crate::report::chain(&error).join(": ")))?;
        witness.script_said(&said.log);
        match said.answer {
            None => Ok(()),
            Some(why) => Err(refused(why)),
        }
    }
}

fn memory_is_free(domain: &DomainConfig, free: Option<Mib>) -> Result<(), Cause> {
    let need = plan::need_memory(domain);
    match free {
        Some(free) if free < need => Err(Cause::Memory { need, free }),
        _ => Ok(()),
    }
}

/// Builds a domain that stands paused, and gives the label it really has.
fn create<'t>(
    domain: &DomainConfig,
    approved: &Approved,
    toolstack: &'t dyn Toolstack,
) -> Result<(Guard<'t>, Option<String>), Cause> {
    if !approved.approval.verdict().allows(domain.name.as_str()) {
        return Err(Cause::NotApproved);
    }
    let (kernel, ramdisk) = approved.measured.loaded.domains[&domain.name]
        .named(&domain.kernel, domain.ramdisk.as_deref())
        .expect("a plan names the files of its configuration");
    if let State::Paused | State::Running | State::Shutdown(_) = toolstack.state(domain.domid)? {
        return Err(Cause::DomidInUse);
    }
    // libxl finds out only when the domain is half built, and names no reason.
    for range in domain.delegated() {
        may_be_given(range, toolstack)?;
    }
    let kernel = kernel.sealed.path();
    let ramdisk = ramdisk.map(|ramdisk| ramdisk.sealed.path());
    explained(toolstack, || {
        toolstack.create(domain, &kernel, ramdisk.as_deref())
    })?;
    let guard = Guard::new(toolstack, domain.name.clone(), domain.domid);
    let label = real_label(domain, toolstack)?;
    match toolstack.state(domain.domid)? {
        State::Paused => Ok((guard, label)),
        // libxl cannot work without it, so it serves by now.
        State::Running if domain.has_role(Role::Xenstore) => Ok((guard, label)),
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
