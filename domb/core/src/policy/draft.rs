// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `plan` as a launch script sees it, and what it has answered so far.
//!
//! A deny is final. An answer that contradicts an earlier one, or names a
//! domain that is not there, fails the run even if the script catches the
//! error it raises.

use std::cell::RefCell;
use std::rc::Rc;

use rhai::{Dynamic, EvalAltResult, NativeCallContext, Position};

use super::error::{Raised, plain};
use super::facts::Facts;
use super::library::show;
use super::table::{Table, rows};
use super::verdict::Answer;

/// The longest reason or log line that is kept, in characters.
const LINE: usize = 500;

/// What helps with every answer that comes too late.
const FINAL: Option<&str> = Some("a deny is final: decide first, then answer once");

/// The script's `plan`. There is one; copies are the same plan.
#[derive(Clone, Debug)]
pub(super) struct Plan(Rc<RefCell<Draft>>);

/// What the script has answered so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Draft {
    domains: Vec<String>,
    log_lines: usize,
    /// One answer per domain, in the configuration's order.
    pub(super) answers: Vec<Answer>,
    /// Why the whole launch is refused.
    pub(super) refused: Option<String>,
    /// What it wrote into the report.
    pub(super) log: Vec<String>,
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
        /// Refuses the whole launch. Final; the first reason stays.
        function "deny_all(plan, why)" -> "()" = |c: NativeCallContext, p: &mut Plan, why: &str| p.answer(&c, |draft| draft.deny_all(why));
    }
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
    pub(super) fn new(facts: &Facts, log_lines: usize) -> Plan {
        let domains: Vec<String> = facts
            .domains
            .iter()
            .map(|domain| domain.name.clone())
            .collect();
        let answers = vec![Answer::Undecided; domains.len()];
        Plan(Rc::new(RefCell::new(Draft {
            domains,
            log_lines,
            answers,
            ..Draft::default()
        })))
    }

    /// Whether `value` is this very plan.
    pub(super) fn is(&self, value: &Dynamic) -> bool {
        value
            .read_lock::<Plan>()
            .is_some_and(|other| Rc::ptr_eq(&self.0, &other.0))
    }

    /// What was answered; the plan is empty afterwards.
    pub(super) fn take(&self) -> Draft {
        self.0.take()
    }

    fn answer(
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
        let late = match &self.answers[answer] {
            _ if self.refused.is_some() => "the whole launch was refused",
            Answer::Deny(_) => "it was denied",
            Answer::Allow | Answer::Undecided => {
                self.answers[answer] = Answer::Allow;
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
        if !matches!(self.answers[answer], Answer::Deny(_)) {
            self.answers[answer] = Answer::Deny(plain(why, LINE));
        }
        Ok(())
    }

    fn allow_all(&mut self) -> Outcome {
        if self.refused.is_some() {
            let late = "every domain is allowed after the whole launch was refused";
            return Err(Raised::new(late, FINAL));
        }
        for answer in self
            .answers
            .iter_mut()
            .filter(|answer| **answer == Answer::Undecided)
        {
            *answer = Answer::Allow;
        }
        Ok(())
    }

    fn deny_all(&mut self, why: &str) -> Outcome {
        self.refused.get_or_insert_with(|| plain(why, LINE));
        Ok(())
    }

    fn log(&mut self, value: &Dynamic) -> Outcome {
        if self.log.len() == self.log_lines {
            return Err(Raised::new("more lines than the script may log", None));
        }
        self.log.push(plain(&show(value), LINE));
        Ok(())
    }

    fn find(&self, name: &str) -> Result<usize, Raised> {
        let found = self.domains.iter().position(|domain| domain == name);
        found.ok_or_else(|| no_domain(name, self.domains.iter().map(String::as_str)))
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
