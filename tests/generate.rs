// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is made from the program: the JSON schema, held against the reader
//! itself on every fixture; man pages and completions, read by what reads
//! them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;
use tempfile::TempDir;

/// Faults that no schema can see: the file is no TOML at all, or the fault is
/// between values, in a number's meaning, or in another file.
const BEYOND: &[&str] = &[
    "C001", "C002", "C003", "C004", "C005", "C006", "C007", "C027", "C031", "C040", "C041", "C042",
    "C043", "C044", "C045", "C046", "C048", "C052", "C054", "C055", "C056", "C057", "C058", "C059",
    "C070", "C071", "C072", "C073", "C080", "C081", "C082", "C083", "C060", "C061", "C062", "C063",
    "C064", "C065", "C066", "C067", "C068", "C069", "C090", "C091", "C097", "C098", "C099", "C101",
    "C102", "C103", "C140", "C141", "C142", "C150", "C151", "C153",
];
/// Fixtures of other faults that the schema lets pass, each with its reason.
const LET_PASS: &[(&str, &str)] = &[
    ("image-name-twice", "a name is unique among its neighbours"),
    (
        "range-ioports-backwards",
        "which of two ports is the larger is arithmetic",
    ),
    (
        "range-beyond-address-bits",
        "where the machine's addresses end is arithmetic",
    ),
    (
        "ready-timeout-too-long",
        "how long a time is depends on the unit",
    ),
    ("libxl-date", "a date is text in JSON"),
    ("memory-beyond-xen", "the largest size depends on the unit"),
    (
        "memory-not-whole-mib",
        "whether KiB are whole MiB is arithmetic",
    ),
];

#[test]
fn the_checked_in_schema_is_the_programs() {
    let output = domb(&["generate", "schema"]);
    assert_eq!(output.status.code(), Some(0));
    let path = repository("domb/launch.schema.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &output.stdout).unwrap();
    }
    let checked_in = fs::read(&path).unwrap_or_default();
    assert!(
        checked_in == output.stdout,
        "UPDATE_GOLDEN=1 writes domb/launch.schema.json anew"
    );
}

#[test]
fn the_list_of_keys_is_the_programs() {
    let output = domb(&["generate", "keys"]);
    assert_eq!(output.status.code(), Some(0));
    let path = repository("xen-config/KEYS.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &output.stdout).unwrap();
    }
    let checked_in = fs::read(&path).unwrap_or_default();
    assert!(
        checked_in == output.stdout,
        "UPDATE_GOLDEN=1 writes xen-config/KEYS.md anew"
    );
}

#[test]
fn the_schema_takes_and_refuses_what_domb_check_does() {
    let (schemas, index) = compiled();
    let mut wrong = Vec::new();
    let mut refused = 0;
    for path in configurations() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let Some(instance) = json(&path) else {
            continue;
        };
        let fits = schemas.validate(&instance, index).is_ok();
        let codes = codes(&path);
        let seen = codes.iter().any(|code| !BEYOND.contains(&code.as_str()));
        let let_pass = LET_PASS.iter().any(|(pass, _)| *pass == name);
        refused += usize::from(!fits);
        if fits == (seen && !let_pass) {
            wrong.push(format!("{name}: fits = {fits}, domb check: {codes:?}"));
        }
    }
    assert!(refused >= 60, "only {refused} fixtures were refused");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_is_a_man_page_per_verb_and_man_has_nothing_to_complain_about() {
    let directory = TempDir::new().unwrap();
    let output = domb(&["generate", "man", directory.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    let pages: BTreeSet<String> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for page in [
        "domb.1",
        "domb-check.1",
        "domb-convert.1",
        "domb-explain.1",
        "domb-log-diff.1",
    ] {
        assert!(pages.contains(page), "{page}: {pages:?}");
    }
    assert!(
        !pages.iter().any(|page| page.contains("generate")),
        "{pages:?}"
    );
    let page = directory.path().join("domb-check.1");
    let Ok(shown) = Command::new("man")
        .args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8"])
        .arg(page)
        .output()
    else {
        eprintln!("man is not installed");
        return;
    };
    assert_eq!(String::from_utf8_lossy(&shown.stderr), "");
    // Bold is a letter, a backspace and the letter again.
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let mut plain = String::new();
    for c in shown.chars() {
        match c {
            '\u{8}' => drop(plain.pop()),
            c => plain.push(c),
        }
    }
    assert!(plain.contains("--deny-warnings"), "{plain}");
}

#[test]
fn the_shells_read_their_completions() {
    let directory = TempDir::new().unwrap();
    let output = domb(&[
        "generate",
        "completions",
        directory.path().to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(0));
    for (shell, file) in [
        ("bash", "domb.bash"),
        ("zsh", "_domb"),
        ("fish", "domb.fish"),
    ] {
        let path = directory.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("deny-warnings"), "{file}");
        match Command::new(shell).arg("-n").arg(&path).status() {
            Ok(status) => assert!(status.success(), "{shell}"),
            Err(_) => eprintln!("{shell} is not installed"),
        }
    }
}

#[test]
fn the_help_of_every_verb_fits_a_screen() {
    let help = String::from_utf8(domb(&["--help"]).stdout).unwrap();
    let verbs: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(verbs.len() >= 7, "{help}");
    let rows = |text: &str| -> usize {
        let row = |line: &str| line.chars().count().div_ceil(80).max(1);
        text.lines().map(row).sum()
    };
    assert!(rows(&help) <= 24, "{help}");
    for verb in verbs {
        let text = String::from_utf8(domb(&[verb, "--help"]).stdout).unwrap();
        assert!(rows(&text) <= 24, "{verb}: {} rows", rows(&text));
        // Colours are for terminals.
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 130),
            "{text}"
        );
    }
}

fn compiled() -> (Schemas, SchemaIndex) {
    let text = fs::read_to_string(repository("domb/launch.schema.json")).unwrap();
    let mut compiler = Compiler::new();
    compiler
        .add_resource("launch.json", serde_json::from_str(&text).unwrap())
        .unwrap();
    let mut schemas = Schemas::new();
    let index = compiler.compile("launch.json", &mut schemas).unwrap();
    (schemas, index)
}

/// The fixtures and the examples.
fn configurations() -> Vec<PathBuf> {
    let mut found = vec![repository("xen-config/example/launch.toml")];
    for entry in fs::read_dir(repository("tests/config")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            found.push(path);
        }
    }
    found
}

/// The file as JSON; none if it is no TOML.
fn json(path: &Path) -> Option<Value> {
    let text = String::from_utf8(fs::read(path).unwrap()).ok()?;
    let table: toml::Table = toml::from_str(&text).ok()?;
    Some(value(toml::Value::Table(table)))
}

fn value(from: toml::Value) -> Value {
    match from {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(flag) => flag.into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(values) => values.into_iter().map(value).collect(),
        toml::Value::Table(table) => table
            .into_iter()
            .map(|(key, entry)| (key, value(entry)))
            .collect(),
    }
}

/// The codes that `domb check` finds in a configuration.
fn codes(path: &Path) -> BTreeSet<String> {
    let output = domb(&["check", "--json", path.to_str().unwrap()]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let faults = report["diagnostics"].as_array().unwrap();
    faults
        .iter()
        .map(|fault| fault["code"].as_str().unwrap().to_owned())
        .collect()
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
