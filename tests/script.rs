// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb script` from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn domb(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_domb"))
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap()
}

const FACTS: &str = "--facts=tests/fixtures/facts/three-domains.json";

#[test]
fn the_shipped_scripts_pass_their_own_tests() {
    for entry in fs::read_dir(root().join("policy/launch")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "rhai") {
            continue;
        }
        let output = domb(&["script", "test", path.to_str().unwrap(), FACTS]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{}: {text}", path.display());
        assert!(text.ends_with(" passed, 0 failed\n"), "{text}");
    }
}

#[test]
fn a_test_that_fails_is_named_with_its_reason() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("launch.rhai");
    let script = "fn launch(facts, plan) { plan.allow_all(); plan }\n\
                  fn test_web_is_denied(t) {\n    \
                      let answer = t.launch(t.facts(\"three-domains\"));\n    \
                      t.expect(!answer.allows(\"web\"), \"web must not start\");\n}\n";
    fs::write(&path, script).unwrap();
    let output = domb(&["script", "test", path.to_str().unwrap(), FACTS]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(6), "{text}");
    assert!(text.contains("FAILED  test_web_is_denied"), "{text}");
    assert!(text.contains("web must not start"), "{text}");
    assert!(text.ends_with("0 passed, 1 failed\n"), "{text}");
}

#[test]
fn the_printed_reference_is_the_one_that_is_checked_in() {
    let output = domb(&["script", "docs"]);
    let committed = fs::read(root().join("policy/launch/REFERENCE.md")).unwrap();
    assert!(
        output.stdout == committed,
        "run `domb script docs > policy/launch/REFERENCE.md`"
    );
}

#[test]
fn of_the_two_examples_one_passes_and_one_is_found_out() {
    let good = domb(&["script", "test", "policy/launch/examples/good.rhai", FACTS]);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    let bad = domb(&["script", "test", "policy/launch/examples/bad.rhai", FACTS]);
    assert_eq!(bad.status.code(), Some(6), "{bad:?}");
    let text = String::from_utf8(bad.stdout).unwrap();
    let line = "FAILED  test_a_domain_that_is_too_large_is_refused\n";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("wanted more than 128 MiB"), "{text}");
}
