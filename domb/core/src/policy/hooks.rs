// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a launch script may say while a launch is under way: `on_failed` about
//! a domain that failed, `on_ready` about one that is ready. Both are optional.
//!
//! They are as pure as `launch`: each call is a run of its own, from the same
//! text, within the same limits, and nothing of one is left for the next.

use std::rc::Rc;

use rhai::{AST, Dynamic, FuncArgs, Position};

use super::draft::Plan;
use super::engine::{self, Count, on_own_stack};
use super::error::{Error, Raised, plain};
use super::explain::from_run;
use super::facts::Facts;
use super::limits::{Limit, Limits};
use super::script::Script;
use super::view::{Domain, View};
use super::watch::Watch;

/// The hooks, each with how it is written.
const HOOKS: [(&str, usize, &str); 2] = [
    (ON_FAILED, 3, "fn on_failed(domain, attempt, reason)"),
    (ON_READY, 1, "fn on_ready(domain)"),
];
const ON_FAILED: &str = "on_failed";
const ON_READY: &str = "on_ready";

/// What a hook answered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Said {
    /// The text it returned; None for `()`, or where there is no such function.
    pub answer: Option<String>,
    /// What it wrote with `log`.
    pub log: Vec<String>,
}

/// What `on_failed` of the script says about a domain, given by its name, the
/// number of the attempt that failed, and why: a decision in the words of `on_failure`
/// (`retry` without a number), or nothing.
///
/// # Errors
/// It fails, meets a limit or returns something else.
pub fn on_failed(
    script: &Script,
    facts: &Facts,
    asked: (&str, u32, &str),
    limits: &Limits,
    watch: impl Watch + Send + 'static,
) -> Result<Said, Error> {
    on_own_stack(script, || failed(script, facts, asked, limits, watch))
}

/// The same, on the stack of the caller.
pub(super) fn failed(
    script: &Script,
    facts: &Facts,
    (domain, attempt, reason): (&str, u32, &str),
    limits: &Limits,
    watch: impl Watch + 'static,
) -> Result<Said, Error> {
    let arguments = |domain| (domain, i64::from(attempt), plain(reason, 500));
    let call = (domain, arguments);
    run(script, facts, limits, watch, ON_FAILED, call)
}

/// What `on_ready` of the script says about the domain of that name: nothing,
/// or why it counts as failed nevertheless.
///
/// # Errors
/// As [`on_failed`].
pub fn on_ready(
    script: &Script,
    facts: &Facts,
    domain: &str,
    limits: &Limits,
    watch: impl Watch + Send + 'static,
) -> Result<Said, Error> {
    on_own_stack(script, || ready(script, facts, domain, limits, watch))
}

/// The same, on the stack of the caller.
pub(super) fn ready(
    script: &Script,
    facts: &Facts,
    domain: &str,
    limits: &Limits,
    watch: impl Watch + 'static,
) -> Result<Said, Error> {
    let call = (domain, |domain| (domain,));
    run(script, facts, limits, watch, ON_READY, call)
}

fn run<A: FuncArgs>(
    script: &Script,
    facts: &Facts,
    limits: &Limits,
    watch: impl Watch + 'static,
    hook: &str,
    (domain, arguments): (&str, impl FnOnce(Domain) -> A),
) -> Result<Said, Error> {
    script.fits(limits)?;
    let plan = Plan::new(Rc::new(facts.clone()), limits.size(Limit::LogLines));
    let (mut engine, _) = engine::sandbox(limits, &plan);
    let count = Count::up_to(limits.of(Limit::Operations));
    engine::count_operations(&mut engine, &count, watch);
    let ast = engine::compiled(&mut engine, script, limits)?;
    if !ast.iter_functions().any(|function| function.name == hook) {
        return Ok(Said::default());
    }
    let unseen = |what| Error::Facts {
        script: script.name().to_owned(),
        what,
    };
    let view = View::new(facts).map_err(unseen)?;
    let domain = view
        .named(domain)
        .ok_or_else(|| unseen(format!("there is no domain {domain}")))?;
    let returned = engine::call(&engine, &ast, hook, arguments(domain))
        .map_err(|error| from_run(script, limits, &error))?;
    let draft = plan.draft();
    if let Some((wrong, position)) = draft.wrong {
        return Err(Error::failed(script, wrong, position));
    }
    Ok(Said {
        answer: text(script, hook, returned)?,
        log: draft.said.log,
    })
}

fn text(script: &Script, hook: &str, returned: Dynamic) -> Result<Option<String>, Error> {
    if returned.is_unit() {
        return Ok(None);
    }
    match returned.into_immutable_string() {
        Ok(text) => Ok(Some(plain(&text, 500))),
        Err(kind) => {
            let message = format!("{hook} returned a value of type {kind}");
            let raised = Raised::new(message, Some("return a text, or () to say nothing"));
            Err(Error::failed(script, raised, Position::NONE))
        }
    }
}

/// Refuses a hook that would never be called: one with other parameters.
pub(super) fn check(script: &Script, ast: &AST) -> Result<(), Error> {
    for (name, parameters, usage) in HOOKS {
        let mut found = ast
            .iter_functions()
            .filter(|function| function.name == name);
        if let Some(wrong) = found.find(|function| function.params.len() != parameters) {
            let count = wrong.params.len();
            let message = format!("{name} has {count} parameters and would not be called");
            let raised = Raised::new(message, Some(&format!("write {usage}")));
            return Err(Error::failed(script, raised, Position::NONE));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::compile;
    use crate::policy::facts::tests::facts;

    fn script(text: &str) -> Script {
        let text = format!("fn launch(facts, plan) {{ plan }}\n{text}");
        Script::new("launch.rhai", text.as_bytes()).unwrap()
    }

    fn failed(text: &str) -> Result<Said, Error> {
        let facts = facts(&[("store", &[]), ("net", &["store"])]);
        let asked = ("net", 2, "timeout: not ready");
        on_failed(&script(text), &facts, asked, &Limits::default(), || false)
    }

    #[test]
    fn a_hook_sees_the_domain_the_attempt_and_the_reason() {
        let said = failed(
            "fn on_failed(domain, attempt, reason) {\n\
             log(`${domain.name} ${attempt} ${reason}`);\n\
             if attempt < 3 && reason.starts_with(\"timeout\") { \"retry\" } else { \"stop\" } }",
        );
        let said = said.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(said.answer.as_deref(), Some("retry"));
        assert_eq!(said.log, ["net 2 timeout: not ready"]);
    }

    #[test]
    fn a_script_without_the_hook_says_nothing() {
        assert_eq!(failed("").unwrap(), Said::default());
        assert_eq!(failed("fn on_failed(d, a, r) { }").unwrap().answer, None);
    }

    #[test]
    fn a_hook_that_fails_or_does_not_end_has_not_answered() {
        for body in [
            "throw \"no\"",
            "loop {}",
            "1",
            "#{}",
            "plan.allow(\"net\")",
            "allow()",
        ] {
            let result = failed(&format!(
                "fn on_failed(domain, attempt, reason) {{ {body} }}"
            ));
            assert!(result.is_err(), "{body}: {result:?}");
        }
    }

    #[test]
    fn a_hook_that_would_not_be_called_is_refused_before_anything_is_decided() {
        for text in [
            "fn on_failed(domain) { }",
            "fn on_ready() { }",
            "fn on_failed(a, b, c, d) { }",
        ] {
            let error = compile(&script(text), &Limits::default(), || false).unwrap_err();
            assert!(error.to_string().contains("would not be called"), "{error}");
        }
        compile(
            &script("fn on_ready(domain) { }"),
            &Limits::default(),
            || false,
        )
        .unwrap();
    }

    #[test]
    fn on_ready_says_why_not() {
        let facts = facts(&[("store", &[])]);
        let ask = |text: &str| {
            on_ready(&script(text), &facts, "store", &Limits::default(), || false).unwrap()
        };
        assert_eq!(ask("").answer, None);
        let said = ask("fn on_ready(domain) { if domain.domid > 0 { `${domain.name} is odd` } }");
        assert_eq!(said.answer.as_deref(), Some("store is odd"));
    }
}
