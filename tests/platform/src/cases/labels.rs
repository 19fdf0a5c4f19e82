// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The classic cloud, Flask enforcing, domb as the first init: who has
//! which label, that the boot domain's own is given up, and what a guest and
//! the control domain after it cannot do.

use std::fs;

use super::{ensure, example, powers, role_sets};
use crate::bench::Bench;
use crate::boot::{Boot, Case, End};
use crate::error::{Error, Result};
use crate::flask;
use crate::machine::MachineSpec;
use crate::outcome::Outcome;
use crate::root::Step;

/// Name and label of each domain.
const LABELS: [(&str, &str); 4] = [
    ("Domain-0", "system_u:system_r:dom0_t"),
    ("net", "system_u:system_r:guest_t"),
    ("web", "system_u:system_r:isolated_t"),
    ("log", "system_u:system_r:log_t"),
];

/// What the steps try in vain: source, target, class, permission.
const PROBED: [[&str; 4]; 4] = [
    ["dom0_t", "isolated_t", "domain", "create"],
    ["guest_t", "guest_t", "mmu", "map_read map_write"],
    ["guest_t", "guest_t", "grant", "map_read"],
    ["dom0_t", "security_t", "security", "load_policy"],
];

/// Three tenants, each with a label.
#[must_use]
pub fn boot() -> Boot {
    Boot {
        name: "labels",
        prepare,
        end: End::PowerOff,
        cases: vec![
            Case::of_boot("three-labelled-domains-stand-and-beat", |bench, outcome| {
                example::stand(bench, outcome)?;
                example::beat(bench, outcome)
            }),
            Case::of_boot(
                "the-policy-is-measured-and-is-the-one-in-force",
                |bench, outcome| {
                    outcome.find(&["domb:", "Xen enforces", "answers of Flask"])?;
                    example::predicted(bench, outcome)
                },
            ),
            Case::of_step("xl-list-shows-each-label", list, listed),
            Case::of_boot("domb-gives-its-own-label-up", given_up),
            Case::of_step("the-control-domain-still-builds-guests", build, built),
            Case::of_boot("a-guest-maps-no-memory-of-another", |_, outcome| {
                let said = outcome.console_lines("probe: ").into_iter();
                let said = said.filter_map(|line| line.strip_prefix("probe: "));
                powers::guest_reached_nobody(
                    outcome,
                    &said.collect::<Vec<_>>(),
                    [PROBED[1], PROBED[2]],
                )
            }),
            Case::of_step(
                "the-control-domain-builds-no-isolated-guest",
                isolated,
                |_, outcome| {
                    refused(outcome, "isolated")?;
                    denied(outcome, PROBED[0])
                },
            ),
            Case::of_step(
                "the-control-domain-loads-no-policy",
                load_policy,
                |_, outcome| {
                    refused(outcome, "load-policy")?;
                    denied(outcome, PROBED[3])
                },
            ),
            Case::of_boot("nothing-else-is-denied", |_, outcome| {
                only_these_denied(outcome, &PROBED)
            }),
        ],
    }
}

fn prepare(bench: &Bench, name: &str, steps: &[Step]) -> Result<MachineSpec> {
    let policy = flask::policy(bench, name, "process")?;
    let control = bench.control_for_launches(steps)?;
    // With the line that the guide says to add.
    let measured =
        |text: String| text.replace("exit =", "flask_policy = \"xenpolicy-process\"\nexit =");
    let set = "roles/classic-cloud";
    let machine = role_sets::prepare_as(bench, name, set, Some(&control), &[&policy], measured)?;
    flask::enforcing(bench, machine, policy)
}

fn list(_: &Bench) -> Result<Step> {
    Ok(Step::new(
        "list",
        "xl list -Z\nxl vcpu-list >/dev/null && xl info >/dev/null\n",
    ))
}

fn listed(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("list")?;
    ensure(step.exit == Some(0), || step.lines.join("\n"))?;
    for (name, label) in LABELS {
        let line = step.find(&[&format!("{name} ")])?;
        ensure(line.split_whitespace().any(|word| word == label), || {
            format!("{name} should be {label}: {line}")
        })?;
    }
    let report = outcome.report()?;
    for (name, label) in &LABELS[1..] {
        let domain = example::find(&report, name)?;
        ensure(
            domain["seclabel"] == *label && domain["real_seclabel"] == *label,
            || format!("{domain}"),
        )?;
    }
    Ok(())
}

fn given_up(_: &Bench, outcome: &Outcome) -> Result<()> {
    let own = &outcome.report()?["own_label"];
    ensure(
        own["launching"] == "system_u:system_r:domb_t" && own["handed_over"] == LABELS[0].1,
        || format!("the report says {own}"),
    )?;
    let last = outcome.find(&["domb: handoff", "log started"])?.at;
    let given = outcome.find(&["domb: handoff", "domain 0 is system_u:system_r:dom0_t"])?;
    ensure(given.at >= last, || "it was given up too early".to_owned())
}

/// Builds a guest that probes domain 7 (`guest-init.sh`).
fn build(bench: &Bench) -> Result<Step> {
    let dir = bench.work.join("probe");
    fs::create_dir_all(&dir).map_err(Error::file("create", &dir))?;
    let script = "
xl create prober.cfg || exit 1
domid=$(xl domid prober)
await_heartbeats \"$domid\" 2 300 || exit 2
destroy \"$domid\"
";
    Ok(Step::new("build", script)
        .with("prober.cfg", xl_config("prober", "guest_t", "prober.cpio"))
        .with(
            "prober.cpio",
            flask::prober(bench, &dir, "prober")?.bytes()?,
        ))
}

fn built(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("build")?;
    ensure(step.exit == Some(0), || step.lines.join("\n"))
}

fn isolated(_: &Bench) -> Result<Step> {
    let step = Step::new("isolated", "xl create alone.cfg\n");
    Ok(step.with(
        "alone.cfg",
        xl_config("alone", "isolated_t", "/share/heartbeat.cpio"),
    ))
}

fn load_policy(_: &Bench) -> Result<Step> {
    Ok(Step::new("load-policy", "xl loadpolicy /share/vmlinuz\n"))
}

fn xl_config(name: &str, label: &str, ramdisk: &str) -> String {
    format!(
        "name=\"{name}\"\ntype=\"pv\"\nkernel=\"/share/vmlinux\"\nramdisk=\"{ramdisk}\"\n\
         extra=\"console=hvc0 quiet heartbeat={name}\"\nmemory=96\nvcpus=1\n\
         seclabel=\"system_u:system_r:{label}\"\non_crash=\"destroy\"\n"
    )
}

/// A step did not succeed.
pub(super) fn refused(outcome: &Outcome, name: &str) -> Result<()> {
    let step = outcome.step(name)?;
    ensure(step.exit.is_some_and(|code| code != 0), || {
        format!("it was let through: {}", step.lines.join("\n"))
    })
}

/// Xen said that it denied this: source, target, class, permission.
pub(super) fn denied(outcome: &Outcome, what: [&str; 4]) -> Result<()> {
    let all = denials(outcome);
    ensure(all.iter().any(|line| is(line, what)), || {
        format!("Xen denied no {what:?}, but {all:#?}")
    })
}

/// Whatever Xen denied is one of these.
pub(super) fn only_these_denied(outcome: &Outcome, expected: &[[&str; 4]]) -> Result<()> {
    let mut others = denials(outcome);
    others.retain(|line| !expected.iter().any(|what| is(line, *what)));
    ensure(others.is_empty(), || format!("Xen denied {others:#?}"))
}

/// Xen's own lines; a domain's begin otherwise.
fn denials(outcome: &Outcome) -> Vec<&str> {
    let lines = outcome.lines.iter().map(|line| line.text.as_str());
    lines
        .filter(|line| line.starts_with("(XEN)") && line.contains("avc:  denied"))
        .collect()
}

fn is(line: &str, [source, target, class, permission]: [&str; 4]) -> bool {
    let mut words = line.split_whitespace();
    let mut has = |start: &str, end: String| {
        words.any(|word| word.starts_with(start) && word.ends_with(&end))
    };
    // In this order. A device is labelled as an object, whatever is a domain or Xen is not.
    line.contains(&format!("{{ {permission} }}"))
        && has("scontext=system_u:system_r:", format!(":{source}"))
        && has("tcontext=system_u:", format!("_r:{target}"))
        && has("tclass=", format!("={class}"))
}
