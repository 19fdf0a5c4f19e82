// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb explain`, and the document with the same text.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[test]
fn a_code_is_explained_with_cause_examples_and_remedy() {
    let output = domb(&["explain", "c020"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("C020: a domid that Xen would not use as asked\n\n"),
        "{text}"
    );
    for part in [
        "wrong:\n\n    domid = 0\n",
        "right:\n\n    domid = 7\n",
        "from 1 to 32751",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let exit = domb(&["explain", "8"]);
    let text = String::from_utf8(exit.stdout).unwrap();
    assert!(
        text.starts_with("exit code 8: a domain could not be built\n"),
        "{text}"
    );
}

#[test]
fn a_code_that_does_not_exist_is_refused() {
    for code in ["C999", "16", "C20", "x\u{1b}[31m"] {
        let output = domb(&["explain", code]);
        assert_eq!(output.status.code(), Some(2), "{code}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            text.contains("hint: ") && !text.contains('\u{1b}'),
            "{text}"
        );
    }
}

#[test]
fn every_code_of_the_list_is_shown_by_a_fixture_and_the_other_way_round() {
    let list = String::from_utf8(domb(&["explain"]).stdout).unwrap();
    let listed: BTreeSet<&str> = list
        .lines()
        .filter_map(|line| line.strip_prefix("  C"))
        .filter_map(|line| line.split(' ').next())
        .collect();
    let mut shown = BTreeSet::new();
    for entry in fs::read_dir(repository("tests/config")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "stderr")
        {
            let text = fs::read_to_string(path).unwrap();
            let codes = text
                .split("[C")
                .skip(1)
                .filter_map(|rest| rest.split(']').next());
            shown.extend(codes.map(str::to_owned));
        }
    }
    let shown: BTreeSet<&str> = shown.iter().map(String::as_str).collect();
    let unlisted: Vec<&&str> = shown.difference(&listed).collect();
    assert!(unlisted.is_empty(), "{unlisted:?}");
    // These need no file of their own: no file, one of more than a MiB, more
    // than 50 faults, 80 brackets, 257 domains, a file of another user.
    let by_other_tests = ["001", "002", "006", "007", "015", "061"];
    let missing: Vec<&&str> = listed
        .difference(&shown)
        .filter(|code| !by_other_tests.contains(code))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_document_has_the_same_text() {
    let output = domb(&["generate", "errors"]);
    assert_eq!(output.status.code(), Some(0));
    let path = repository("domb/ERRORS.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &output.stdout).unwrap();
    }
    let document = fs::read(&path).unwrap_or_default();
    assert!(
        document == output.stdout,
        "UPDATE_GOLDEN=1 writes domb/ERRORS.md anew"
    );
}

fn domb(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_domb"))
        .args(arguments)
        .output()
        .unwrap()
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

#[test]
fn a_failure_of_a_launch_is_explained_and_leads_to_its_exit_code() {
    let output = domb(&["explain", "l0803"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("L0803: Xen has not enough memory free\n\n")
            && text.ends_with("The exit code is 8.\n"),
        "{text}"
    );
    assert_eq!(domb(&["explain", "L1999"]).status.code(), Some(2));
}

#[test]
fn a_launch_that_fails_says_its_code_on_the_console() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[[domain]]\nname = \"net\"\ndomid = 7\ntype = \"pv\"\nkernel = \"none\"\nmemory = \"96M\"\n";
    fs::write(folder.path().join("launch.toml"), config).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_domb"))
        .args(["launch", "--dry-run", "launch.toml"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("phase config, domain net, exit code 4, L0400 (domb explain L0400)"),
        "{text}"
    );
}
