// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The boots that must hold, and the few words their cases are written with.
//! A case of a refusal says three things: the exit code, who is named, and
//! that no domain stands which should not.

pub mod audit;
pub mod boot_domain;
pub mod by_hand;
pub mod debian_root;
pub mod delegated;
pub mod departure;
pub mod disaggregated;
pub mod dynamic;
pub mod example;
pub mod failures;
pub mod first_init;
pub mod labels;
pub mod launches;
pub mod measurement;
pub mod new_guests;
pub mod pci;
pub mod powers;
pub mod ranges;
pub mod readiness;
pub mod recovery;
pub mod role_sets;
pub mod same_bytes;
pub mod scripts;

use serde_json::Value;

use crate::boot::Boot;
use crate::error::{Error, Result};
use crate::outcome::{Listed, StepOutcome};
use crate::root::Step;

/// Every boot, the longest first.
#[must_use]
pub fn all() -> Vec<Boot> {
    vec![
        departure::full(),
        first_init::sixteen(),
        readiness::boot(),
        launches::boot(),
        example::boot(),
        debian_root::boot(),
        audit::one_rule_more(),
        dynamic::flexible(),
        departure::one_domain(),
        labels::boot(),
        dynamic::hardware_domain(),
        disaggregated::store_domain(),
        boot_domain::boot(),
        role_sets::static_standard(),
        recovery::halts(),
        first_init::tampered(),
        first_init::denied(),
        first_init::refused(),
        measurement::one_bank(),
        measurement::without_tpm(),
        by_hand::boot(),
    ]
}

/// A `[[domain]]` table for a launch from domain 0; `more` is further TOML.
#[must_use]
pub fn domain(name: &str, domid: u16, more: &str) -> String {
    domain_from(name, domid, "/share/vmlinux", "/share/heartbeat.cpio", more)
}

/// [`domain`] with a kernel and a ramdisk of one's own.
#[must_use]
pub fn domain_from(name: &str, domid: u16, kernel: &str, ramdisk: &str, more: &str) -> String {
    format!(
        r#"
[[domain]]
name = "{name}"
domid = {domid}
type = "pv"
kernel = "{kernel}"
ramdisk = "{ramdisk}"
cmdline = "console=hvc0 quiet heartbeat={name}"
{}
{more}
"#,
        if more.contains("memory") {
            ""
        } else {
            "memory = \"96M\""
        }
    )
}

/// A step that runs `launch` (`roots/control.sh`) on these domains and then
/// destroys what it left; its status is domb's exit code. Nothing is measured:
/// the PCR is the first launch's.
#[must_use]
pub fn launch_step(name: &str, domains: &[String], script: Option<&str>) -> Step {
    let mut config = String::new();
    if script.is_some() {
        config.push_str("script = \"launch.rhai\"\n");
    }
    config.push_str("[measure]\ntpm = \"off\"\n");
    config.push_str(&domains.concat());
    let step = Step::new(
        name,
        "before=$(domids)\necho before: $before\nlaunch\nstatus=$?\n\
         for domid in $(domids); do\n\
         case \" $(echo $before) \" in *\" $domid \"*) ;; *) destroy \"$domid\" ;; esac\n\
         done\nexit $status\n",
    );
    let step = step.with("launch.toml", config);
    match script {
        Some(script) => step.with("launch.rhai", script),
        None => step,
    }
}

/// The statement, or an error that says it.
pub fn ensure(true_: bool, statement: impl FnOnce() -> String) -> Result<()> {
    if true_ {
        Ok(())
    } else {
        Err(Error::Untrue(statement()))
    }
}

/// A step ended with this code, and its report says the same.
pub fn ended_with(step: &StepOutcome, code: i32) -> Result<Value> {
    ensure(step.exit == Some(code), || {
        let said = step.lines.join("\n  ");
        format!(
            "ended with {:?} instead of {code}; it said\n  {said}",
            step.exit
        )
    })?;
    let report = step.report()?;
    ensure(report["exit_code"] == code, || {
        format!("the report says {}", report["exit_code"])
    })?;
    Ok(report)
}

/// The failure in a report names this phase and domain.
pub fn failed_in(report: &Value, phase: &str, domain: &str) -> Result<()> {
    let failure = &report["failure"];
    ensure(
        failure["phase"] == phase && failure["domain"] == domain,
        || format!("expected phase {phase} and domain {domain} in {failure}"),
    )
}

/// What became of a domain, by the report.
pub fn state<'a>(report: &'a Value, name: &str) -> &'a str {
    let domains = report["domains"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let domain = domains.iter().find(|domain| domain["name"] == name);
    domain
        .and_then(|domain| domain["state"].as_str())
        .unwrap_or("not in the report")
}

/// Exactly these domains stood after the step's launch, beside those that
/// stood before.
pub fn standing(step: &StepOutcome, expected: &[(&str, u16)]) -> Result<()> {
    let before = step.find(&["before:"])?;
    let before: Vec<u16> = before
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let after = step.domains();
    for domid in &before {
        ensure(after.iter().any(|domain| domain.domid == *domid), || {
            format!("domain {domid} stood before the launch and is gone")
        })?;
    }
    same_domains(
        after
            .iter()
            .filter(|domain| !before.contains(&domain.domid)),
        expected,
    )
}

/// Exactly these names at these domids.
pub fn same_domains<'a>(
    listed: impl Iterator<Item = &'a Listed>,
    expected: &[(&str, u16)],
) -> Result<()> {
    let mut listed: Vec<_> = listed
        .map(|domain| (domain.name.as_str(), domain.domid))
        .collect();
    listed.sort_by_key(|(_, domid)| *domid);
    ensure(listed == expected, || {
        format!("xl list has {listed:?} instead of {expected:?}")
    })
}
