// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who waits for whom, and what follows when somebody is never ready: launches
//! from a domain 0 that a recovery domain was started beside, because the
//! launch of the boot itself failed (`recovery`).

use serde_json::Value;

use super::{
    domain, ended_with, ensure, failed_in, launch_step, pci, recovery, same_domains, standing,
    state,
};
use crate::bench::Bench;
use crate::boot::{Boot, Case, End};
use crate::error::{Error, Result};
use crate::outcome::{Outcome, StepOutcome};
use crate::root::Step;

/// Ready with its node, within a time that no machine is too slow for.
const PATIENT: &str = "ready = { xenstore = \"data/ready\", equals = \"1\", timeout = \"10m\" }";
/// The same, for a domain that never writes it.
const SHORT: &str = "ready = { xenstore = \"data/ready\", timeout = \"2s\" }";

/// One boot for all.
#[must_use]
pub fn boot() -> Boot {
    let mut cases = recovery::continued();
    cases.extend([
        Case::of_step("a-guest-starts-when-another-is-ready", gate, gated),
        Case::of_step("a-timeout-stops-the-launch", stop, stopped),
        Case::of_step("a-timeout-skips-the-domain", skip, skipped),
        Case::of_step("a-timeout-can-be-a-warning", warn, warned),
        Case::of_step("a-timeout-brings-the-substitute", replace, replaced),
        Case::of_step("a-timeout-brings-the-recovery-domain", recover, recovered),
        Case::of_step("a-timeout-brings-a-second-attempt", retry, retried),
        Case::of_step("a-script-decides-about-a-timeout", decide, decided),
    ]);
    cases.extend(pci::cases());
    Boot {
        name: "readiness",
        prepare: recovery::prepare,
        end: End::PowerOff,
        cases,
    }
}

/// A domain whose init finds these words in its environment.
fn with(words: &str, domain: &str) -> String {
    domain.replace("heartbeat=", &format!("{words} heartbeat="))
}

fn gate(_: &Bench) -> Result<Step> {
    let line = "ready = { console = \"heartbeat line *\", running = true, timeout = \"10m\" }";
    let domains = [
        with("ready=4", &domain("store", 401, PATIENT)),
        domain("line", 402, line),
        domain("net", 403, "after = [\"store\", \"line\"]"),
        domain("apart", 404, "ready = { running = true }"),
    ];
    let mut step = launch_step("gate", &domains, None);
    step.script = step.script.replace(
        "launch\nstatus=$?\n",
        "launch\nstatus=$?\n\
         echo \"node: $(xenstore-read /local/domain/401/data/ready)\"\n\
         grep -c '^heartbeat line 1' /run/domb/console-line.log | sed 's/^/kept: /'\n\
         for domid in 401 403; do await_heartbeats \"$domid\" 1 240\n\
         grep -h -e ^ready -e ^alive \"/tmp/console-$domid.log\"\ndone\n",
    );
    Ok(step)
}

/// By the order of domb's lines, by the moments in its report, by the clocks
/// of the guests, and by XenStore.
fn gated(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("gate")?;
    let report = ended_with(step, 0)?;
    standing(
        step,
        &[("store", 401), ("line", 402), ("net", 403), ("apart", 404)],
    )?;
    let apart = place(step, &["domb: handoff", "apart started"])?;
    let store = place(step, &["domb: ready", "store: node data/ready"])?;
    let line = place(step, &["domb: ready", "line: console line"])?;
    let net = place(step, &["domb: handoff", "net started"])?;
    ensure(apart < store && store < net && line < net, || {
        format!(
            "apart started in line {apart}, store was ready in {store}, line in {line}, net started in {net}"
        )
    })?;
    let ready = moment(&report, "store", "ready_ms")?;
    let started = moment(&report, "net", "unpaused_ms")?;
    ensure(ready <= started, || {
        format!("net was started at {started} ms, store was ready at {ready} ms")
    })?;
    let (ready, alive) = (clock(step, "ready store")?, clock(step, "alive net")?);
    ensure(ready < alive, || {
        format!("net ran at {alive} s, store was ready at {ready} s")
    })?;
    step.find(&["node: 1"])?;
    step.find(&["kept: 1"])?;
    let order = &report["shutdown_order"];
    let names: Vec<&str> = order
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    ensure(names == ["net", "apart", "line", "store"], || {
        format!("shut down {order}")
    })
}

fn stop(_: &Bench) -> Result<Step> {
    let domains = [
        domain("apart", 411, ""),
        domain("silent", 412, &format!("on_failure = \"stop\"\n{SHORT}")),
        domain("needs", 413, "after = [\"silent\"]"),
    ];
    Ok(launch_step("stop", &domains, None))
}

fn stopped(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("stop")?;
    let report = ended_with(step, 9)?;
    failed_in(&report, "handoff", "silent")?;
    decision(&report, 0, "silent", "timeout", "stop")?;
    step.find(&["domb: cause", "not ready within 2s: node data/ready"])?;
    ensure(never_started(step, "needs"), || {
        "needs was started".to_owned()
    })?;
    standing(step, &[])
}

fn skip(_: &Bench) -> Result<Step> {
    let domains = [
        domain("apart", 421, ""),
        domain("silent", 422, &format!("on_failure = \"skip\"\n{SHORT}")),
        domain("needs", 423, "after = [\"silent\"]"),
    ];
    Ok(launch_step("skip", &domains, None))
}

fn skipped(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("skip")?;
    let report = ended_with(step, 0)?;
    decision(&report, 0, "silent", "timeout", "skip")?;
    let states = ["apart", "silent", "needs"].map(|name| state(&report, name));
    ensure(states == ["running", "skipped", "skipped"], || {
        format!("states are {states:?}")
    })?;
    ensure(never_started(step, "needs"), || {
        "needs was started".to_owned()
    })?;
    standing(step, &[("apart", 421)])
}

fn warn(_: &Bench) -> Result<Step> {
    let gate = SHORT.replace(" }", ", on_timeout = \"continue\" }");
    let domains = [
        domain("silent", 431, &gate),
        domain("needs", 432, "after = [\"silent\"]"),
    ];
    Ok(launch_step("warn", &domains, None))
}

fn warned(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("warn")?;
    ended_with(step, 0)?;
    let warning = place(step, &["domb: WARNING", "silent was not ready within 2s"])?;
    let needs = place(step, &["domb: handoff", "needs started"])?;
    ensure(warning < needs, || format!("{warning}, {needs}"))?;
    standing(step, &[("silent", 431), ("needs", 432)])
}

fn replace(_: &Bench) -> Result<Step> {
    let domains = [
        domain(
            "silent",
            441,
            &format!("on_failure = \"substitute spare\"\n{SHORT}"),
        ),
        with(
            "ready=1",
            &domain("spare", 442, &format!("standby = true\n{PATIENT}")),
        ),
        domain("needs", 443, "after = [\"silent\"]"),
    ];
    Ok(launch_step("replace", &domains, None))
}

fn replaced(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("replace")?;
    let report = ended_with(step, 0)?;
    decision(&report, 0, "silent", "timeout", "substitute spare")?;
    let spare = place(step, &["domb: ready", "spare: node data/ready"])?;
    let needs = place(step, &["domb: handoff", "needs started"])?;
    ensure(spare < needs, || format!("{spare}, {needs}"))?;
    standing(step, &[("spare", 442), ("needs", 443)])
}

fn recover(_: &Bench) -> Result<Step> {
    let domains = [
        domain("silent", 451, SHORT),
        domain("apart", 452, ""),
        with("tell=all", &domain("helper", 453, "roles = [\"recovery\"]")),
    ];
    let mut step = launch_step("recover", &domains, None);
    step.script = step.script.replace(
        "launch\nstatus=$?\n",
        "launch\nstatus=$?\nawait_heartbeats 453 1 240\ngrep -h ^why /tmp/console-453.log\n",
    );
    Ok(step)
}

fn recovered(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("recover")?;
    let report = ended_with(step, 9)?;
    decision(&report, 0, "silent", "timeout", "recover")?;
    ensure(report["recovery"]["started"] == true, || {
        format!("recovery is {}", report["recovery"])
    })?;
    for line in [
        "why exit_code: 9",
        "why phase: handoff",
        "why domain: silent",
        "why report: \"outcome\":\"failed\"",
    ] {
        step.find(&[line])?;
    }
    step.find(&["why cause:", "not ready within 2s"])?;
    standing(step, &[("helper", 453)])
}

/// The first attempt never writes its node; the second does, and the ones
/// after it, where the machine was too slow for that.
fn retry(_: &Bench) -> Result<Step> {
    let gate = "ready = { xenstore = \"data/ready\", timeout = \"60s\" }";
    let flaky = domain("flaky", 461, &format!("on_failure = \"retry 6\"\n{gate}"));
    let domains = [
        with("ready=1 ready_from=2", &flaky),
        domain("needs", 462, "after = [\"flaky\"]"),
    ];
    Ok(launch_step("retry", &domains, None))
}

fn retried(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("retry")?;
    let report = ended_with(step, 0)?;
    decision(&report, 0, "flaky", "timeout", "retry")?;
    let ready = place(step, &["domb: ready", "flaky: node data/ready"])?;
    let needs = place(step, &["domb: handoff", "needs started"])?;
    ensure(ready < needs, || format!("{ready}, {needs}"))?;
    standing(step, &[("flaky", 461), ("needs", 462)])
}

fn decide(_: &Bench) -> Result<Step> {
    let domains = [domain("silent", 471, SHORT), domain("apart", 472, "")];
    let script = "fn launch(facts, plan) { plan.allow_all(); plan }\n\
        fn on_failed(domain, attempt, reason) {\n\
        log(`${domain.name} ${attempt} ${reason}`);\n\
        if reason.starts_with(\"timeout:\") { \"skip\" } else { \"stop\" }\n}\n";
    Ok(launch_step("decide", &domains, Some(script)))
}

fn decided(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("decide")?;
    let report = ended_with(step, 0)?;
    decision(&report, 0, "silent", "timeout", "skip")?;
    ensure(report["failures"][0]["by"] == "script", || {
        format!("{}", report["failures"])
    })?;
    step.find(&["domb: script", "silent 1 timeout:"])?;
    standing(step, &[("apart", 472)])
}

/// What was decided about the failure of that number.
pub fn decision(report: &Value, number: usize, domain: &str, kind: &str, what: &str) -> Result<()> {
    let fell = &report["failures"][number];
    let reason = fell["reason"].as_str().unwrap_or_default();
    let holds = fell["domain"] == domain && fell["decision"] == what && reason.starts_with(kind);
    ensure(holds, || {
        format!("expected {domain}: {kind}, {what} in {fell}")
    })
}

fn never_started(step: &StepOutcome, name: &str) -> bool {
    let line = format!("{name} started");
    !step.lines.iter().any(|other| other.ends_with(&line))
}

/// The number of the first line with all of `words`.
fn place(step: &StepOutcome, words: &[&str]) -> Result<usize> {
    let found = step.find(words)?;
    let place = step.lines.iter().position(|line| line == found);
    place.ok_or_else(|| Error::Untrue(format!("{found} is lost")))
}

/// The clock of a guest at the line that begins so.
fn clock(step: &StepOutcome, start: &str) -> Result<f64> {
    let line = step.find(&[start, " clock "])?;
    let seconds = line.rsplit(' ').next().and_then(|word| word.parse().ok());
    seconds.ok_or_else(|| Error::Untrue(format!("no clock in {line}")))
}

fn moment(report: &Value, name: &str, key: &str) -> Result<u64> {
    let domains = report["domains"].as_array().into_iter().flatten();
    let mut domains = domains.filter(|domain| domain["name"] == name);
    let value = domains.next().map(|domain| &domain[key]);
    value
        .and_then(Value::as_u64)
        .ok_or_else(|| Error::Untrue(format!("{name} has no {key} in the report")))
}

/// Exactly these stood when the control domain came up.
pub fn stood(outcome: &Outcome, expected: &[(&str, u16)]) -> Result<()> {
    same_domains(outcome.domains.iter(), expected)
}
