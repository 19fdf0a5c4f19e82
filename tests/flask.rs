// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb policy` on the policies that ship, on ones broken on purpose, and on
//! files that are no policies. The compiled policies are fixtures, so that no
//! checkpolicy is needed; scripts/build-policy --check says when one of them
//! no longer is what its source gives.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/fixtures/flask")
        .join(name)
}

fn accepted(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../policy/flask")
        .join(name)
}

fn policy(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_domb"))
        .arg("policy")
        .args(words)
        .output()
        .unwrap()
}

fn compare(policy_name: &str, list: Option<&Path>) -> (Option<i32>, String) {
    let file = fixture(policy_name);
    let mut words = vec!["compare", file.to_str().unwrap()];
    if let Some(list) = list {
        words.extend(["--accept", list.to_str().unwrap()]);
    }
    let output = policy(&words);
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn nothing_in_the_shipped_policies_goes_beyond_xen_without_a_reason() {
    for name in ["process", "domain", "dummy"] {
        let list = accepted(&format!("accepted-{name}.toml"));
        let (code, text) = compare(&format!("{name}.policy"), Some(&list));
        assert_eq!(code, Some(0), "{name}:\n{text}");
        assert!(
            text.starts_with("0 findings beyond Xen without labels, "),
            "{name}:\n{text}"
        );
    }
}

#[test]
fn a_rule_that_lets_a_guest_destroy_another_is_caught_and_told_in_words() {
    // The process policy with `allow guest_t isolated_t:domain destroy;`.
    let (code, text) = compare("broken.policy", Some(&accepted("accepted-process.toml")));
    assert_eq!(code, Some(3), "{text}");
    let expected = "domain:destroy: guest_t may destroy isolated_t; without labels: the control domain alone\n";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("1 finding beyond"), "{text}");
}

#[test]
fn an_entry_that_accepts_what_is_not_there_fails_too() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list.toml");
    let entry = "\n[[accepted]]\nsource = \"guest_t\"\ntargets = [\"xen_t\"]\npermissions = [\"xen:sleep\"]\nreason = \"none\"\n";
    let text = fs::read_to_string(accepted("accepted-process.toml")).unwrap() + entry;
    fs::write(&list, text).unwrap();
    let (code, text) = compare("process.policy", Some(&list));
    assert_eq!(code, Some(3));
    assert!(
        text.contains("accepted, but not there: guest_t xen_t xen:sleep"),
        "{text}"
    );
}

#[test]
fn a_type_that_is_not_enforced_is_a_finding_whatever_is_accepted() {
    let (code, text) = compare("odd.policy", None);
    assert_eq!(code, Some(3));
    assert!(text.contains("policy: loose_t is not enforced"), "{text}");
    assert!(text.contains("when (spoken && !flown)"), "{text}");
}

#[test]
fn a_label_is_answered_with_the_rules_it_lacks() {
    let file = fixture("process.policy");
    let ask = |label: &str| policy(&["label", file.to_str().unwrap(), label, "--type", "pvh"]);
    let good = ask("system_u:system_r:guest_t");
    assert_eq!(good.status.code(), Some(0));
    let output = ask("system_u:system_r:dom0_t");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(
        text.contains("\n    allow domb_t dom0_t:domain { create max_vcpus "),
        "{text}"
    );
    let output = ask("system_u:system_r:gest_t");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(text.contains("the policy has no type `gest_t`"), "{text}");
    assert!(text.contains("hint: did you mean `guest_t`?"), "{text}");
}

/// What `domb policy label` says of a type of the policy for `exit = "domain"`.
fn label(kind: &str, words: &[&str]) -> (Option<i32>, String) {
    let file = fixture("domain.policy");
    let label = format!("system_u:system_r:{kind}");
    let output = policy(&[&["label", file.to_str().unwrap(), &label], words].concat());
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn a_label_made_for_a_role_is_answered_for_that_role() {
    for (kind, role) in [
        ("ctrl_t", "control"),
        ("hwdom_t", "hardware"),
        ("xenstore_t", "xenstore"),
        ("recovery_t", "recovery"),
    ] {
        let (code, text) = label(kind, &["--role", role]);
        assert_eq!(code, Some(0), "{text}");
        assert!(
            text.contains(&format!("\n    roles = [\"{role}\"]: ")),
            "{text}"
        );
    }
    let (code, text) = label("ctrl_t", &["--role", "hardware"]);
    assert_eq!(code, Some(3), "{text}");
    let rule = "allow domb_t ctrl_t:domain2 { create_hardware_domain };";
    assert!(text.contains(rule), "{text}");
}

#[test]
fn without_a_role_each_is_tried_and_the_ones_that_can_be_are_named() {
    let (code, text) = label("hwdom_t", &[]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(
        text,
        "system_u:system_r:domb_t may build system_u:system_r:hwdom_t\n    \
         roles = [\"hardware\"]: XenStore from system_u:system_r:xenstore_t, \
         its console from system_u:system_r:ctrl_t\n"
    );
    let (code, text) = label("guest_t", &["--type", "pvh"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("\n    no roles: "), "{text}");
    // Served by the boot domain, it would not reach its store.
    let boot = "system_u:system_r:domb_t";
    let (code, text) = label("guest_t", &["--store", boot, "--console", boot]);
    assert_eq!(code, Some(3), "{text}");
    let rule = "allow guest_t_channel domb_t:event { bind };";
    assert!(text.contains(rule), "{text}");
}

#[test]
fn a_file_that_is_no_policy_is_told_apart_from_a_bad_one() {
    let source = fixture("../../config/good-label-shared.toml");
    let output = policy(&["compare", source.to_str().unwrap()]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(
        text.contains("hint: give what `checkpolicy -t Xen -c 30` wrote"),
        "{text}"
    );
}

/// `domb check` of a file of `tests/config`, without the kernels it names.
fn check(name: &str, policy: &str) -> (Vec<Value>, String) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/config");
    let output = Command::new(env!("CARGO_BIN_EXE_domb"))
        .args(["check", "--json", "--flask-policy"])
        .arg(fixture(policy))
        .arg(directory.join(name))
        .output()
        .unwrap();
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    let faults = object["diagnostics"].as_array().unwrap().iter();
    let of_labels = |fault: &&Value| {
        let code = fault["code"].as_str().unwrap();
        code.starts_with("C07") || fault["key"].is_null()
    };
    let faults: Vec<Value> = faults.filter(of_labels).cloned().collect();
    let text = faults.iter().map(Value::to_string).collect();
    (faults, text)
}

#[test]
fn check_holds_each_label_against_the_policy_of_the_command_line() {
    let (faults, text) = check("good-disaggregated.toml", "domain.policy");
    assert!(faults.is_empty(), "{text}");

    let (faults, text) = check("good-disaggregated.toml", "process.policy");
    let codes: Vec<_> = faults.iter().map(|fault| &fault["code"]).collect();
    assert_eq!(codes, ["C070"; 3], "{text}");
    for label in ["hwdom_t", "ctrl_t", "xenstore_t"] {
        assert!(text.contains(&format!("no type `{label}`")), "{text}");
    }
    assert_eq!(faults[0]["line"], 14);
}

#[test]
fn check_says_the_rules_that_are_missing_in_the_form_of_the_source() {
    let (faults, text) = check("file-label-of-the-control-domain.toml", "process.policy");
    assert_eq!(faults.len(), 1, "{text}");
    assert_eq!(faults[0]["code"], "C071");
    let hint = faults[0]["hint"].as_str().unwrap();
    assert!(
        hint.starts_with("the policy lacks\nallow domb_t dom0_t:domain { create "),
        "{hint}"
    );
}

#[test]
fn a_policy_on_the_command_line_that_is_none_is_told() {
    let (faults, text) = check("good-label-shared.toml", "odd.conf");
    assert_eq!(faults.len(), 1, "{text}");
    assert_eq!(faults[0]["code"], "C110");
    assert!(!faults[0]["hint"].is_null());
}

#[test]
fn what_the_boot_domain_may_do_in_each_phase_is_the_table_of_the_document() {
    let file = fixture("domain.policy");
    let output = policy(&["powers", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    let table = String::from_utf8(output.stdout).unwrap();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xen-config/DEPARTURE.md");
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains(&format!("```\n{table}```\n")), "{table}");
}

#[test]
fn a_boot_domain_that_stays_gives_its_label_up_and_keeps_the_machine() {
    let file = fixture("process.policy");
    let output = policy(&["powers", file.to_str().unwrap()]);
    let table = String::from_utf8(output.stdout).unwrap();
    let row = |words: &str| {
        let line = table.lines().find(|line| line.starts_with(words));
        let line = line.unwrap_or_else(|| panic!("no {words} in {table}"));
        line[words.len()..].split_whitespace().collect::<Vec<_>>()
    };
    assert!(
        table
            .contains("phase 2  from the hand-off on                dom0_t, the hardware domain\n"),
        "{table}"
    );
    assert_eq!(row("change labels"), ["1", "dom0_t"]);
    assert_eq!(row("put the machine to sleep or switch it off"), ["2"]);
    assert_eq!(
        row("create domains"),
        ["1", "driver_t,", "guest_t,", "isolated_t,", "recovery_t"]
    );
    assert_eq!(row("change policy, enforcement or booleans"), ["never"]);
    assert_eq!(row("takes the machine down with it")[..2], ["1", "2"]);
}

#[test]
fn without_labels_the_boot_domain_may_do_all_but_what_only_flask_has() {
    let file = fixture("dummy.policy");
    let output = policy(&["powers", file.to_str().unwrap()]);
    let table = String::from_utf8(output.stdout).unwrap();
    let never = table.lines().filter(|line| line.ends_with("never"));
    let words = never.map(|line| line.trim_end_matches("never").trim());
    assert_eq!(
        words.collect::<Vec<_>>(),
        ["change policy, enforcement or booleans", "change labels"],
        "{table}"
    );
}
