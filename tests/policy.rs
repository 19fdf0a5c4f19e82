// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The launch scripts that ship, each against facts it must accept and facts
//! it must refuse; and the words of every way in which a script can be wrong.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use domb_core::policy::{Facts, Limits, Outcome, Script, TpmState, Verdict, decide, rehearse};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn shipped(name: &str) -> Script {
    let bytes = fs::read(root().join("policy/launch").join(name)).unwrap();
    Script::new(name, &bytes).unwrap()
}

/// Three domains, `store`, `net` after it and `web` after both, fully measured.
fn facts() -> Facts {
    let text = fs::read(root().join("tests/fixtures/facts/three-domains.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn facts_with(data: &serde_json::Value) -> Facts {
    Facts {
        data: data.as_object().unwrap().clone(),
        ..facts()
    }
}

fn ask(script: &str, facts: &Facts) -> Verdict {
    decide(Some(&shipped(script)), facts, &Limits::default(), || false)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn reason<'v>(verdict: &'v Verdict, name: &str) -> &'v str {
    let decision = verdict
        .domains()
        .iter()
        .find(|decision| decision.name == name)
        .unwrap();
    match &decision.outcome {
        Outcome::Deny { reason } => reason,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn every_shipped_script_says_what_it_may_refuse() {
    let scripts = scripts();
    assert!(scripts.len() >= 3);
    let readme = fs::read_to_string(root().join("policy/launch/README.md")).unwrap();
    for path in scripts {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.contains("// May refuse:\n//   - "),
            "{}",
            path.display()
        );
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            readme.contains(&format!("`{name}`")),
            "{name} is not in the README"
        );
    }
}

fn sets() -> BTreeMap<String, Facts> {
    BTreeMap::from([("three-domains".to_owned(), facts())])
}

fn scripts() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("policy/launch")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "rhai")
        })
        .collect()
}

#[test]
fn the_tests_in_every_shipped_script_pass() {
    for path in scripts() {
        let script = Script::new(&path.display().to_string(), &fs::read(&path).unwrap()).unwrap();
        let tests = rehearse(&script, &sets(), &Limits::default(), || || false).unwrap();
        for test in tests {
            test.result
                .unwrap_or_else(|error| panic!("{}: {error}", test.name));
        }
    }
}

/// A script whose launch answers the same whatever it is told must fail its
/// own tests.
#[test]
fn the_tests_in_every_shipped_script_can_fail() {
    for path in scripts() {
        let text = fs::read_to_string(&path).unwrap();
        for careless in ["plan.allow_all();", "plan.deny_all(\"no\");", ""] {
            let was = text.replace("fn launch(", "fn was_launch(");
            let text = format!("{was}\nfn launch(facts, plan) {{ {careless} plan }}");
            let script = Script::new("careless.rhai", text.as_bytes()).unwrap();
            let tests = rehearse(&script, &sets(), &Limits::default(), || || false).unwrap();
            assert!(
                tests.iter().any(|test| test.result.is_err()),
                "{careless} {}",
                path.display()
            );
        }
    }
}

#[test]
fn allow_list_launches_what_it_names() {
    let verdict = ask(
        "allow-list.rhai",
        &facts_with(&serde_json::json!({"allow": ["store", "net"]})),
    );
    assert!(verdict.allows("store") && verdict.allows("net"));
    assert_eq!(reason(&verdict, "web"), "not in [data] allow");
}

#[test]
fn allow_list_refuses_the_launch_without_a_list_it_understands() {
    let none = ask("allow-list.rhai", &facts());
    assert_eq!(none.refused(), Some("[data] allow is not a list of names"));
    let misspelt = ask(
        "allow-list.rhai",
        &facts_with(&serde_json::json!({"allow": ["stoer"]})),
    );
    assert_eq!(
        misspelt.refused(),
        Some("[data] allow names stoer, which is not configured")
    );
}

fn pins() -> serde_json::Value {
    serde_json::json!({"pins": {
        "vmlinuz": "a".repeat(64),
        "store.cpio": "1".repeat(64),
        "net.cpio": ["9".repeat(64), "2".repeat(64)],
        "web.cpio": "3".repeat(64),
    }})
}

#[test]
fn pin_digests_launches_what_is_pinned() {
    let verdict = ask("pin-digests.rhai", &facts_with(&pins()));
    assert_eq!(verdict.approve().unwrap().allowed().count(), 3);
    let mut original = pins();
    original["pins"]["vmlinuz"] = "B".repeat(64).into();
    assert!(ask("pin-digests.rhai", &facts_with(&original)).allows("web"));
}

#[test]
fn pin_digests_names_the_file_with_a_flipped_byte() {
    let mut facts = facts_with(&pins());
    facts.domains[1].ramdisk.as_mut().unwrap().sha256 = "4".repeat(64);
    facts.domains[1].ramdisk.as_mut().unwrap().original_sha256 = "4".repeat(64);
    let verdict = ask("pin-digests.rhai", &facts);
    assert!(verdict.allows("store"));
    let expected = format!(
        "net.cpio has digest {}, which is not pinned",
        "4".repeat(64)
    );
    assert_eq!(reason(&verdict, "net"), expected);
    let web = &verdict.domains()[2].outcome;
    assert_eq!(
        *web,
        Outcome::Skipped {
            needs: "net".to_owned()
        }
    );
}

#[test]
fn pin_digests_refuses_what_nobody_pinned() {
    let mut data = pins();
    data["pins"].as_object_mut().unwrap().remove("web.cpio");
    assert_eq!(
        reason(&ask("pin-digests.rhai", &facts_with(&data)), "web"),
        "web.cpio is not pinned"
    );
    assert_eq!(
        ask("pin-digests.rhai", &facts()).refused(),
        Some("[data.pins] is missing")
    );
}

#[test]
fn require_tpm_launches_only_what_was_measured() {
    assert!(ask("require-tpm.rhai", &facts()).allows("web"));

    let mut absent = facts_with(&serde_json::json!({"unmeasured": ["store"]}));
    absent.tpm.as_mut().unwrap().state = TpmState::Absent;
    let verdict = ask("require-tpm.rhai", &absent);
    assert!(verdict.allows("store"));
    assert_eq!(reason(&verdict, "net"), "the TPM is absent, not measured");
    assert_eq!(
        verdict.log(),
        ["unmeasured launch: the TPM is absent, not measured"]
    );

    let mut weak = facts();
    weak.tpm.as_mut().unwrap().values.remove("sha256");
    let verdict = ask("require-tpm.rhai", &weak);
    assert_eq!(
        reason(&verdict, "store"),
        "the TPM has no bank stronger than SHA-1"
    );
}

/// Ways to be wrong, each with a name for the golden file.
const WRONG: &[(&str, &str)] = &[
    (
        "an unfinished statement",
        "fn launch(facts, plan) {\n    plan.allow(\"store\"\n}\n",
    ),
    (
        "a misspelt variable",
        "fn launch(facts, plan) {\n    plna.allow_all();\n    plan\n}\n",
    ),
    ("no launch function", "fn lunch(facts, plan) { plan }\n"),
    (
        "the wrong number of parameters",
        "fn launch(plan) { plan }\n",
    ),
    (
        "nothing returned",
        "fn launch(facts, plan) {\n    plan.allow_all();\n}\n",
    ),
    (
        "something else returned",
        "fn launch(facts, plan) { true }\n",
    ),
    (
        "an unknown domain",
        "fn launch(facts, plan) {\n    plan.allow(\"stoer\");\n    plan\n}\n",
    ),
    (
        "an unknown domain, caught",
        "fn launch(facts, plan) {\n    try { plan.deny(\"stoer\", \"x\"); } catch { }\n    plan.allow_all();\n    plan\n}\n",
    ),
    (
        "an allow after a deny",
        "fn launch(facts, plan) {\n    plan.deny(\"net\", \"old\");\n    plan.allow(\"net\");\n    plan\n}\n",
    ),
    (
        "an allow after the launch was refused",
        "fn launch(facts, plan) {\n    plan.deny_all(\"no\");\n    plan.allow_all();\n    plan\n}\n",
    ),
    (
        "an unknown property",
        "fn launch(facts, plan) {\n    for d in facts.domains { if d.ram > 1 { } }\n    plan\n}\n",
    ),
    (
        "an unknown function",
        "fn launch(facts, plan) {\n    plan.permit(\"net\");\n    plan\n}\n",
    ),
    (
        "a wrong argument",
        "fn launch(facts, plan) {\n    plan.allow(7);\n    plan\n}\n",
    ),
    (
        "a missing entry",
        "fn launch(facts, plan) {\n    let pins = facts.data.pins;\n    plan\n}\n",
    ),
    (
        "an error in a helper",
        "fn check(d) {\n    throw `no ${d}`;\n}\nfn launch(facts, plan) {\n    for d in facts.domains { check(d); }\n    plan\n}\n",
    ),
    (
        "an endless loop",
        "fn launch(facts, plan) {\n    loop { }\n    plan\n}\n",
    ),
    (
        "a memory bomb",
        "fn launch(facts, plan) {\n    let s = \"x\";\n    loop { s += s; }\n    plan\n}\n",
    ),
    (
        "a recursion",
        "fn f(n) { f(n + 1) }\nfn launch(facts, plan) {\n    f(1);\n    plan\n}\n",
    ),
    (
        "an import",
        "import \"other\" as other;\nfn launch(facts, plan) { plan }\n",
    ),
    (
        "an evaluated text",
        "fn launch(facts, plan) {\n    eval(\"plan.allow_all()\");\n    plan\n}\n",
    ),
    (
        "too much on one line",
        "fn launch(facts, plan) { plan.allow_all(); let reasons = [\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]; plan.deny(reasons[1]); plan }\n",
    ),
    (
        "a line that moves the cursor",
        "fn launch(facts, plan) { let x = \"\u{1b}[2J\u{202e}\"; plan.allow(x); plan }\n",
    ),
];

#[test]
fn every_way_to_be_wrong_is_told_with_its_place() {
    let mut text = String::new();
    for (name, script) in WRONG {
        let script = Script::new("launch.rhai", script.as_bytes()).unwrap();
        let error = decide(Some(&script), &facts(), &Limits::default(), || false).unwrap_err();
        writeln!(text, "## {name}\n{error}\n").unwrap();
    }
    golden("policy-errors.txt", &text);
}

#[test]
fn facts_this_host_cannot_know_are_not_guessed() {
    let script = "fn launch(facts, plan) {\n    if facts.platform.cpus > 1 { plan.allow_all(); }\n    plan\n}\n";
    let script = Script::new("launch.rhai", script.as_bytes()).unwrap();
    let mut facts = facts();
    facts.platform.cpus = None;
    let error = decide(Some(&script), &facts, &Limits::default(), || false).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("facts.platform.cpus is not known on this host"),
        "{error}"
    );
}

/// Compares with `tests/golden/NAME`; `UPDATE_GOLDEN=1` writes it anew.
fn golden(name: &str, text: &str) {
    let path = root().join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "{name} changed; it is now:\n{text}");
}

#[test]
fn the_reference_that_ships_is_the_one_of_this_domb() {
    let shipped = root().join("policy/launch/REFERENCE.md");
    let made = domb_core::policy::reference();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&shipped, &made).unwrap();
    }
    assert_eq!(fs::read_to_string(shipped).unwrap_or_default(), made);
}
