// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What launch scripts can say, and how they fail.

use super::super::{Error, Facts, Limits, Outcome, Script, UNDECIDED, Verdict, decide};
use crate::policy::facts::tests::facts;

fn three() -> Facts {
    facts(&[("store", &[]), ("net", &["store"]), ("web", &["net"])])
}

fn ask(text: &str) -> Result<Verdict, Error> {
    let script = Script::new("launch.rhai", text.as_bytes())?;
    decide(Some(&script), &three(), &Limits::default(), || false)
}

fn launch(body: &str) -> Result<Verdict, Error> {
    ask(&format!("fn launch(facts, plan) {{\n{body}\nplan\n}}"))
}

fn outcomes(body: &str) -> Vec<Outcome> {
    let verdict = launch(body).unwrap_or_else(|error| panic!("{error}"));
    verdict
        .domains()
        .iter()
        .map(|decision| decision.outcome.clone())
        .collect()
}

fn deny(reason: &str) -> Outcome {
    Outcome::Deny {
        reason: reason.to_owned(),
    }
}

fn skipped(needs: &str) -> Outcome {
    Outcome::Skipped {
        needs: needs.to_owned(),
    }
}

#[test]
fn what_the_script_allows_is_launched_and_nothing_else() {
    assert_eq!(
        outcomes(r#"plan.allow("store");"#),
        [Outcome::Allow, deny(UNDECIDED), deny(UNDECIDED)]
    );
    assert_eq!(
        outcomes("plan.allow_all();"),
        [Outcome::Allow, Outcome::Allow, Outcome::Allow]
    );
    assert_eq!(
        outcomes(""),
        [deny(UNDECIDED), deny(UNDECIDED), deny(UNDECIDED)]
    );
}

#[test]
fn a_deny_is_final_and_its_dependents_are_skipped() {
    let expected = [Outcome::Allow, deny("old"), skipped("net")];
    assert_eq!(
        outcomes(r#"plan.allow_all(); plan.deny("net", "old");"#),
        expected
    );
    assert_eq!(
        outcomes(r#"plan.deny("net", "old"); plan.allow_all();"#),
        expected
    );
    assert_eq!(
        outcomes(r#"plan.deny("net", "old"); plan.allow_all(); plan.deny("net", "x");"#),
        expected
    );
}

#[test]
fn refusing_the_launch_denies_every_domain() {
    let verdict = launch(r#"plan.allow_all(); plan.deny_all("not here");"#).expect("an answer");
    assert_eq!(verdict.refused(), Some("not here"));
    assert!(verdict.approve().is_err());
}

#[test]
fn a_helper_function_answers_through_the_same_plan() {
    let verdict = ask(r#"
        const WANTED = ["store", "net"];
        fn pick(plan, name) { if name in WANTED { plan.allow(name); } }
        fn launch(facts, plan) {
            for domain in facts.domains { pick(plan, domain.name); }
            plan
        }"#);
    let verdict = verdict.unwrap_or_else(|error| panic!("{error}"));
    assert!(verdict.allows("store") && verdict.allows("net") && !verdict.allows("web"));
}
