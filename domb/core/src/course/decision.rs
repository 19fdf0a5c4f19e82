// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What follows from the failure of a domain: what the configuration says, what
//! a script may say instead, and what is done about those that relied on it.

use std::fmt;

use super::{Course, Stage};
use crate::config::{DomainName, OnFailure};

/// What is done about a domain that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// The launch has failed.
    Stop,
    /// It and those that need it are left out.
    Skip,
    /// It is built and started once more.
    Retry,
    /// Another domain takes its place.
    Substitute(DomainName),
    /// The launch has failed; the recovery domain is started.
    Recover,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::Stop => f.write_str("stop"),
            Decision::Skip => f.write_str("skip"),
            Decision::Retry => f.write_str("retry"),
            Decision::Substitute(name) => write!(f, "substitute {name}"),
            Decision::Recover => f.write_str("recover"),
        }
    }
}

impl Decision {
    /// Whether the launch goes on.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        !matches!(self, Decision::Stop | Decision::Recover)
    }
}

impl Course {
    /// What the configuration says about a failure of the domain. Where that
    /// cannot be done any more, the launch has failed.
    #[must_use]
    pub fn configured(&self, name: &DomainName) -> Decision {
        let member = &self.members[self.index(name)];
        let wanted = match &member.on_failure {
            OnFailure::Stop => Decision::Stop,
            OnFailure::Skip => Decision::Skip,
            OnFailure::Retry(most) if member.failures < u32::from(*most) => Decision::Retry,
            OnFailure::Retry(_) | OnFailure::Recover => Decision::Recover,
            OnFailure::Substitute(other) => Decision::Substitute(other.clone()),
        };
        match self.check(name, &wanted) {
            Ok(()) => wanted,
            Err(_) if self.has_recovery => Decision::Recover,
            Err(_) => Decision::Stop,
        }
    }

    /// Reads a decision in the configuration's words; `retry` without a number.
    ///
    /// # Errors
    /// It is none, or one that cannot be carried out for this domain now.
    pub fn read(&self, name: &DomainName, text: &str) -> Result<Decision, String> {
        let decision = match text.trim().split_once(' ') {
            None => match text.trim() {
                "stop" => Decision::Stop,
                "skip" => Decision::Skip,
                "retry" => Decision::Retry,
                "recover" => Decision::Recover,
                _ => return Err(format!("{text:?} is no decision")),
            },
            Some(("substitute", other)) => {
                let known = self
                    .members
                    .iter()
                    .find(|member| member.name.as_str() == other.trim());
                let known = known.ok_or_else(|| format!("there is no domain {other:?}"))?;
                Decision::Substitute(known.name.clone())
            }
            Some(_) => return Err(format!("{text:?} is no decision")),
        };
        self.check(name, &decision).map(|()| decision)
    }

    /// Whether the decision can be carried out.
    fn check(&self, name: &DomainName, decision: &Decision) -> Result<(), String> {
        let at = self.index(name);
        let member = &self.members[at];
        if decision.goes_on() && (member.serves || member.is_hardware) {
            return Err(format!("every other domain relies on {name}"));
        }
        if decision.goes_on() && self.is_sealed {
            return Err(
                "the hardware domain has the TPM, so nothing can be measured any more".to_owned(),
            );
        }
        match decision {
            Decision::Recover if member.is_store => {
                Err("the recovery domain is built with XenStore".to_owned())
            }
            Decision::Retry if self.members[at].failures + 1 >= Course::MAX_ATTEMPTS => {
                Err(format!("{name} was tried {} times", Course::MAX_ATTEMPTS))
            }
            Decision::Recover if !self.has_recovery => {
                Err("there is no recovery domain that may start".to_owned())
            }
            Decision::Substitute(other) => {
                let found = self.members.iter().position(|member| member.name == *other);
                match found {
                    Some(other) if self.members[other].stage != Stage::Standby => Err(format!(
                        "{} is no domain on standby",
                        self.members[other].name
                    )),
                    Some(other) if self.needs(other, at) => {
                        Err(format!("{} needs {name}", self.members[other].name))
                    }
                    Some(_) => Ok(()),
                    None => Err(format!("{other} may not start")),
                }
            }
            _ => Ok(()),
        }
    }

    /// The domain failed, and this is done about it. Gives the domains that
    /// have to be destroyed, in this order; those among them that are to be
    /// there come up again as [`next_to_build`](Course::next_to_build).
    ///
    /// # Panics
    /// The decision is neither [`configured`](Course::configured) nor
    /// [`read`](Course::read).
    pub fn failed(&mut self, name: &DomainName, why: &str, decision: &Decision) -> Vec<DomainName> {
        let at = self.index(name);
        self.check(name, decision)
            .expect("only decisions that were checked are taken");
        let mut gone = Vec::new();
        if !decision.goes_on() {
            return gone;
        }
        // Who was started after it starts again after it.
        let dependents: Vec<usize> = self.started.iter().rev().copied().collect();
        for other in dependents {
            if other != at && self.relies(other, at) {
                self.take_down(other, Stage::Planned, &mut gone);
            }
        }
        let after = match decision {
            Decision::Retry => Stage::Planned,
            _ => Stage::LeftOut(why.to_owned()),
        };
        self.members[at].failures += 1;
        self.take_down(at, after, &mut gone);
        if let Decision::Substitute(other) = decision {
            let by = self.index(other);
            self.members[by].stage = Stage::Planned;
            self.members[at].replaced_by = Some(by);
        }
        self.leave_out_dependents(&mut gone);
        gone
    }

    /// Leaves out whoever needs one that is left out.
    fn leave_out_dependents(&mut self, gone: &mut Vec<DomainName>) {
        // Start order: whoever is left out here comes before those that need it,
        // but for a substitute, which stands where the file has it.
        while let Some((at, need)) = self.first_without_need() {
            let why = format!("it needs {need}, which was left out");
            self.take_down(at, Stage::LeftOut(why), gone);
        }
    }

    fn first_without_need(&self) -> Option<(usize, DomainName)> {
        self.members.iter().enumerate().find_map(|(at, member)| {
            let open = !matches!(member.stage, Stage::LeftOut(_) | Stage::Standby);
            let mut needs = member.after.iter().filter(|_| open);
            let missing = needs.find(|need| {
                let stage = &self.members[self.place(**need)].stage;
                matches!(stage, Stage::LeftOut(_) | Stage::Standby)
            })?;
            Some((at, self.members[*missing].name.clone()))
        })
    }

    fn take_down(&mut self, at: usize, to: Stage, gone: &mut Vec<DomainName>) {
        let stage = std::mem::replace(&mut self.members[at].stage, to);
        if matches!(stage, Stage::Built | Stage::Starting(_) | Stage::Ready) {
            gone.push(self.members[at].name.clone());
        }
        self.started.retain(|other| *other != at);
    }

    /// Whether `at` starts after what stands in the place of `on`, directly or
    /// not.
    fn relies(&self, at: usize, on: usize) -> bool {
        let place = |need: &usize| self.place(*need);
        self.leads(at, on, |at| {
            self.members[at].after.iter().map(place).collect()
        })
    }

    /// Whether `after` leads from one to the other as it is written.
    fn needs(&self, at: usize, other: usize) -> bool {
        self.leads(at, other, |at| self.members[at].after.clone())
    }

    fn leads(&self, from: usize, to: usize, next: impl Fn(usize) -> Vec<usize>) -> bool {
        let mut seen = vec![false; self.members.len()];
        let mut open = next(from);
        while let Some(at) = open.pop() {
            if at == to {
                return true;
            }
            if !std::mem::replace(&mut seen[at], true) {
                open.extend(next(at));
            }
        }
        false
    }
}
