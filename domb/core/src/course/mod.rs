// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The course of a launch: which domain is built next, which may start, and
//! what follows when one fails. It is told what happened and when, and asks for
//! the next step; it has no clock, no toolstack and no memory of its own making,
//! so every course can be run on a desk.
//!
//! What holds whatever happens:
//! 1. A domain starts only while every domain in its `after`, or what took that
//!    one's place, is ready. One that falls takes those that were started after
//!    it along; they start again after it.
//! 2. A domain whose `after` leads to one that is left out is left out.
//! 3. The launch does not go on without a domain that serves the others or has the
//!    devices, nor with anything else than planned once that can no longer be
//!    measured.
//! 4. Every domain fails at most [`Course::MAX_ATTEMPTS`] times, so a course
//!    ends if every wait does.

mod decision;
mod gate;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{Config, DomainName, OnFailure, OnTimeout, Role, TpmMode};

pub use decision::Decision;
pub use gate::{Lines, Seen, fits, holds};

/// The domains of an approved configuration on their way from planned to
/// ready. Times are counted by the caller from a moment of its choice, by a
/// clock that does not go back.
#[derive(Clone, Debug)]
pub struct Course {
    /// In start order.
    members: Vec<Member>,
    has_recovery: bool,
    /// Whether a launch without a complete measurement is none.
    must_be_measured: bool,
    /// Nothing that is decided from now on can be measured, and it would have to be.
    is_sealed: bool,
    /// The members that run, in the order they were started.
    started: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Member {
    name: DomainName,
    after: Vec<usize>,
    /// None: it is ready once it was unpaused.
    gate: Option<(Duration, OnTimeout)>,
    on_failure: OnFailure,
    /// Whether the others need it before they run.
    serves: bool,
    /// Whether it serves XenStore.
    is_store: bool,
    /// Whether its end is that of the machine.
    is_hardware: bool,
    stage: Stage,
    /// How often it failed.
    failures: u32,
    /// Who took its place.
    replaced_by: Option<usize>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Stage {
    /// Kept for the case that another fails.
    Standby,
    /// Kept until everything else is built and the services run.
    Last,
    /// To be built.
    Planned,
    /// It stands, paused.
    Built,
    /// Unpaused; ready or failed by then.
    Starting(Duration),
    Ready,
    LeftOut(String),
}

/// What a course came to besides what was planned: part of what is measured.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Came {
    /// The domains that are not there although they were allowed.
    pub left_out: BTreeMap<DomainName, String>,
    /// How often a domain was built anew.
    pub retried: BTreeMap<DomainName, u32>,
    /// Who took whose place.
    pub substituted: BTreeMap<DomainName, DomainName>,
}

impl Course {
    /// How often one domain is tried at most, whoever decides.
    pub const MAX_ATTEMPTS: u32 = 10;

    /// The course of these domains: the configuration holds what was approved
    /// and nothing else.
    #[must_use]
    pub fn new(plan: &Config) -> Course {
        let ordinary = |domain: &&crate::config::DomainConfig| !domain.has_role(Role::Recovery);
        let domains: Vec<_> = plan.start_order().into_iter().filter(ordinary).collect();
        let index: BTreeMap<&DomainName, usize> = domains
            .iter()
            .enumerate()
            .map(|(at, domain)| (&domain.name, at))
            .collect();
        let members = domains.iter().map(|domain| Member {
            name: domain.name.clone(),
            after: domain.after.iter().map(|need| index[need]).collect(),
            gate: domain
                .ready
                .as_ref()
                .map(|ready| (ready.timeout, ready.on_timeout)),
            on_failure: domain.on_failure.clone(),
            // Where the control domain has the devices, it serves as well.
            serves: domain.has_role(Role::Xenstore) || domain.has_role(Role::Control),
            is_store: domain.has_role(Role::Xenstore),
            is_hardware: domain.has_role(Role::Hardware),
            stage: match domain.standby {
                _ if domain.has_role(Role::Hardware) && !domain.has_role(Role::Control) => {
                    Stage::Last
                }
                true => Stage::Standby,
                false => Stage::Planned,
            },
            failures: 0,
            replaced_by: None,
        });
        Course {
            members: members.collect(),
            has_recovery: plan.with_role(Role::Recovery).is_some(),
            must_be_measured: plan.tpm == TpmMode::Required,
            is_sealed: false,
            started: Vec::new(),
        }
    }

    /// Whether any domain is to be started at all.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.members
            .iter()
            .any(|member| member.stage == Stage::Planned)
    }

    /// The domains that serve the others, in start order: they are started
    /// before the hardware domain is built.
    #[must_use]
    pub fn services(&self) -> Vec<DomainName> {
        self.names(|member| member.serves && member.stage == Stage::Built)
    }

    /// Lets the hardware domain be built, if there is one: Xen takes everything from
    /// the boot domain then, and the TPM is not its own any more.
    pub fn build_hardware(&mut self) {
        self.is_sealed =
            self.must_be_measured && self.members.iter().any(|member| member.is_hardware);
        for member in &mut self.members {
            if member.stage == Stage::Last {
                member.stage = Stage::Planned;
            }
        }
    }

    /// The domain to build next: all are built before any that waits is
    /// started, but for the hardware domain.
    #[must_use]
    pub fn next_to_build(&self) -> Option<&DomainName> {
        self.find(|_, member| member.stage == Stage::Planned)
    }

    /// A domain that stands, and waits for none.
    #[must_use]
    pub fn next_to_start(&self) -> Option<&DomainName> {
        self.find(|course, member| {
            let is_ready = |need: &usize| course.members[course.place(*need)].stage == Stage::Ready;
            member.stage == Stage::Built && member.after.iter().all(is_ready)
        })
    }

    /// The domains that were unpaused and are not ready yet.
    #[must_use]
    pub fn awaited(&self) -> Vec<DomainName> {
        self.names(|member| matches!(member.stage, Stage::Starting(_)))
    }

    /// The domains that were unpaused and should run.
    #[must_use]
    pub fn unpaused(&self) -> Vec<DomainName> {
        self.names(|member| matches!(member.stage, Stage::Starting(_) | Stage::Ready))
    }

    /// The domains that are there, paused or not.
    #[must_use]
    pub fn standing(&self) -> Vec<DomainName> {
        self.names(|member| {
            matches!(
                member.stage,
                Stage::Built | Stage::Starting(_) | Stage::Ready
            )
        })
    }

    /// The domains that are not ready by `now` and should be, and what that
    /// means.
    #[must_use]
    pub fn late(&self, now: Duration) -> Vec<(DomainName, OnTimeout)> {
        let late = self.members.iter().filter_map(|member| {
            let (_, meaning) = member.gate?;
            match member.stage {
                Stage::Starting(deadline) if deadline <= now => {
                    Some((member.name.clone(), meaning))
                }
                _ => None,
            }
        });
        late.collect()
    }

    /// Whether everything that is to run is ready.
    #[must_use]
    pub fn has_arrived(&self) -> bool {
        self.members.iter().all(|member| {
            matches!(
                member.stage,
                Stage::Ready | Stage::LeftOut(_) | Stage::Standby
            )
        })
    }

    /// The domain stands, paused.
    pub fn built(&mut self, name: &DomainName) {
        self.member(name).stage = Stage::Built;
    }

    /// The domain was unpaused.
    pub fn started(&mut self, name: &DomainName, now: Duration) {
        let member = self.member(name);
        member.stage = match member.gate {
            Some((timeout, _)) => Stage::Starting(now.saturating_add(timeout)),
            None => Stage::Ready,
        };
        let at = self.index(name);
        self.started.push(at);
    }

    /// The domain is ready, or is taken for it.
    pub fn opened(&mut self, name: &DomainName) {
        self.member(name).stage = Stage::Ready;
    }

    /// Which attempt at the domain is under way, counted from 1.
    #[must_use]
    pub fn attempt(&self, name: &DomainName) -> u32 {
        self.members[self.index(name)].failures + 1
    }

    /// The order in which the domains that run are to be shut down: the
    /// reverse of the one they were started in. Where there is a hardware
    /// domain it is the last, and the end of the machine; until then the
    /// domains that serve the others are needed, so they are not in it.
    #[must_use]
    pub fn shutdown_order(&self) -> Vec<DomainName> {
        let running = || self.started.iter().rev().map(|at| &self.members[*at]);
        let hardware = running().find(|member| member.is_hardware);
        let before = running().filter(|member| match hardware {
            Some(_) => !member.serves && !member.is_hardware,
            None => true,
        });
        let order = before.chain(hardware);
        order.map(|member| member.name.clone()).collect()
    }

    /// What it came to so far.
    #[must_use]
    pub fn came(&self) -> Came {
        let mut came = Came::default();
        for member in &self.members {
            let name = || member.name.clone();
            match (&member.stage, member.replaced_by) {
                (_, Some(by)) => {
                    let by = self.members[by].name.clone();
                    came.substituted.insert(name(), by);
                }
                (Stage::LeftOut(why), None) => {
                    came.left_out.insert(name(), why.clone());
                }
                _ => {}
            }
            if member.failures > 0 && !matches!(member.stage, Stage::LeftOut(_)) {
                came.retried.insert(name(), member.failures);
            }
        }
        came
    }

    /// Who stands in the place of the domain: itself, unless it was replaced.
    fn place(&self, mut at: usize) -> usize {
        while let Some(by) = self.members[at].replaced_by {
            at = by;
        }
        at
    }

    fn find(&self, fits: impl Fn(&Course, &Member) -> bool) -> Option<&DomainName> {
        let found = self.members.iter().find(|member| fits(self, member));
        found.map(|member| &member.name)
    }

    fn names(&self, fits: impl Fn(&Member) -> bool) -> Vec<DomainName> {
        let fitting = self.members.iter().filter(|member| fits(member));
        fitting.map(|member| member.name.clone()).collect()
    }

    fn index(&self, name: &DomainName) -> usize {
        let found = self.members.iter().position(|member| member.name == *name);
        found.expect("a course is told of its own domains")
    }

    fn member(&mut self, name: &DomainName) -> &mut Member {
        let at = self.index(name);
        &mut self.members[at]
    }
}
