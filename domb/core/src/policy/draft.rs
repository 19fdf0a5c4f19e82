// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `plan` as a launch script sees it, and what it has answered so far.
//!
//! A deny is final. An answer that contradicts an earlier one, or names a
//! domain that is not there, fails the run even if the script catches the
//! error it raises.

use std::cell::RefCell;
use std::rc::Rc;

use rhai::{Dynamic, EvalAltResult, NativeCallContext, Position};

use super::changes::{self, Changes};
use super::error::{Raised, plain};
use super::facts::{DomainFacts, Facts};
use super::library::show;
use super::table::{Table, rows};
use super::verdict::{Answer, Said, Verdict};

/// The longest reason or log line that is kept, in characters.
const LINE: usize = 500;

/// What helps with every answer that comes too late.
const FINAL: Option<&str> = Some("a deny is final: decide first, then answer once");

/// The script's `plan`. There is one; copies are the same plan.
#[derive(Clone, Debug)]
pub(super) struct Plan(Rc<RefCell<Draft>>);

/// What the script has answered so far.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Draft {
    pub(super) facts: Rc<Facts>,
    log_lines: usize,
    /// What it said so far.
    pub(super) said: Said,
    /// The first answer that could not be taken, and where it was given.
    pub(super) wrong: Option<(Raised, Position)>,
}

type Outcome = Result<(), Raised>;

pub(super) fn register(table: &mut Table<'_>, plan: &Plan) {
    table.on::<Plan>("Plan");
    rows! { table;
        /// Lets the domain be launched. An error once it was denied.
        function "allow(plan, name)" -> "()" = |c: NativeCallContext, p: &mut Plan, name: &str| p.answer(&c, |draft| draft.allow(name));
        /// Keeps the domain, and every domain that starts after it, from being
        /// launched. Final; the first reason stays.
        function "deny(plan, name, why)" -> "()" = |c: NativeCallContext, p: &mut Plan, name: &str, why: &str| p.answer(&c, |draft| draft.deny(name, why));
        /// Lets every domain be launched that was not denied.
        function "allow_all(plan)" -> "()" = |c: NativeCallContext, p: &mut Plan| p.answer(&c, Draft::allow_all);
        /// Leaves the domain out, and every domain that starts after it, without
        /// calling that a refusal: it is not wanted this time. Final unless denied later.
        function "leave_out(plan, name, why)" -> "()" = |c: NativeCallContext, p: &mut Plan, name: &str, why: &str| p.answer(&c, |draft| draft.leave_out(name, why));
        /// Refuses the whole launch. Final; the first reason stays.
        function "deny_all(plan, why)" -> "()" = |c: NativeCallContext, p: &mut Plan, why: &str| p.answer(&c, |draft| draft.deny_all(why));
    }
    changes::register(table);
    let (log, print) = (plan.clone(), plan.clone());
    table.about("Report");
    rows! { table;
        /// Writes the value as a line into the boot report.
        function "log(value)" -> "()" = move |c: NativeCallContext, value: Dynamic| log.answer(&c, |draft| draft.log(&value));
        /// The same as `log`.
        function "print(value)" -> "()" = move |c: NativeCallContext, value: Dynamic| print.answer(&c, |draft| draft.log(&value));
    }
}

impl Plan {
    /// A plan in which nothing is decided.
    pub(super) fn new(facts: Rc<Facts>, log_lines: usize) -> Plan {
        let answers = vec![Answer::Undecided; facts.domains.len()];
        let changes = vec![Changes::new(); facts.domains.len()];
        let said = Said {
            answers,
            changes,
            ..Said::default()
        };
        let draft = Draft {
            facts,
            log_lines,
            said,
            wrong: None,
        };
        Plan(Rc::new(RefCell::new(draft)))
    }

    /// Whether `value` is this very plan.
    pub(super) fn is(&self, value: &Dynamic) -> bool {
        value
            .read_lock::<Plan>()
            .is_some_and(|other| Rc::ptr_eq(&self.0, &other.0))
    }

    /// What was answered.
    pub(super) fn draft(&self) -> Draft {
        self.0.borrow().clone()
    }

    pub(super) fn answer(
        &self,
        context: &NativeCallContext<'_>,
        answer: impl FnOnce(&mut Draft) -> Outcome,
    ) -> Result<(), Box<EvalAltResult>> {
        let mut draft = self.0.borrow_mut();
        answer(&mut draft).map_err(|raised| {
            draft
                .wrong
                .get_or_insert_with(|| (raised.clone(), context.call_position()));
            raised.raise()
        })
    }
}

impl Draft {
    fn allow(&mut self, name: &str) -> Outcome {
        let answer = self.find(name)?;
        let late = match &self.said.answers[answer] {
            _ if self.said.refused.is_some() => "the whole launch was refused",
            Answer::Deny(_) => "it was denied",
            Answer::LeaveOut(_) => "it was left out",
            Answer::Allow | Answer::Undecided => {
                self.said.answers[answer] = Answer::Allow;
                return Ok(());
            }
        };
        Err(Raised::new(
            format!("domain {name:?} is allowed after {late}"),
            FINAL,
        ))
    }

    fn deny(&mut self, name: &str, why: &str) -> Outcome {
        let answer = self.find(name)?;
        if !matches!(self.said.answers[answer], Answer::Deny(_)) {
            self.said.answers[answer] = Answer::Deny(plain(why, LINE));
        }
        Ok(())
    }

    fn leave_out(&mut self, name: &str, why: &str) -> Outcome {
        let answer = self.find(name)?;
        if !matches!(
            self.said.answers[answer],
            Answer::Deny(_) | Answer::LeaveOut(_)
        ) {
            self.said.answers[answer] = Answer::LeaveOut(plain(why, LINE));
        }
        Ok(())
    }

    fn allow_all(&mut self) -> Outcome {
        if self.said.refused.is_some() {
            let late = "every domain is allowed after the whole launch was refused";
            return Err(Raised::new(late, FINAL));
        }
        for answer in self
            .said
            .answers
            .iter_mut()
            .filter(|answer| **answer == Answer::Undecided)
        {
            *answer = Answer::Allow;
        }
        Ok(())
    }

    fn deny_all(&mut self, why: &str) -> Outcome {
        self.said.refused.get_or_insert_with(|| plain(why, LINE));
        Ok(())
    }

    fn log(&mut self, value: &Dynamic) -> Outcome {
        if self.said.log.len() == self.log_lines {
            return Err(Raised::new("more lines than the script may log", None));
        }
        self.said.log.push(plain(&show(value), LINE));
        Ok(())
    }

    /// Where the domain of that name stands.
    pub(super) fn find(&self, name: &str) -> Result<usize, Raised> {
        let mut names = self.facts.domains.iter().map(|domain| domain.name.as_str());
        let found = names.clone().position(|domain| domain == name);
        found.ok_or_else(|| no_domain(name, &mut names))
    }

    /// What is known of a domain and what is changed in it.
    pub(super) fn domain(&mut self, index: usize) -> (&DomainFacts, &mut Changes) {
        (&self.facts.domains[index], &mut self.said.changes[index])
    }

    /// The verdict, with nothing left undecided.
    pub(super) fn finish(self) -> Verdict {
        Verdict::complete(&self.facts, self.said)
    }
}

/// The error for a name that no domain has.
pub(super) fn no_domain<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Raised {
    let known = plain(&known.collect::<Vec<_>>().join(", "), 400);
    let hint = format!("the domains are {known}");
    Raised::new(
        format!("no domain is called {:?}", plain(name, 80)),
        Some(&hint),
    )
}
