// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb plan` from outside: a text that is kept in a review, and the one
//! thing that changed named below its step.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const CONFIG: &str = r#"script = "launch.rhai"

[control]
ramdisk = "control.cpio"

[[domain]]
name = "web"
domid = 9
type = "pvh"
kernel = "vmlinuz"
ramdisk = "web.cpio"
cmdline = "console=hvc0"
memory = "128M"
vcpus = 2
after = ["net"]

[[domain]]
name = "net"
domid = 7
type = "pv"
kernel = "vmlinuz"
memory = "96M"

[[domain]]
name = "probe"
domid = 8
type = "pv"
kernel = "vmlinuz"
memory = "64M"
"#;

const SCRIPT: &str = r#"fn launch(facts, plan) {
    plan.allow_all();
    plan.add_cmdline("web", "quiet");
    plan.set_memory("web", 96);
    plan.leave_out("probe", "not wanted tonight");
    log(`${facts.tpm.state} in PCR ${facts.tpm.pcr}`);
    plan
}
"#;

const CONFIG_FAULT: i32 = 3;
const LOAD: i32 = 4;
const SCRIPT_FAILED: i32 = 6;
const DENIED: i32 = 7;
const BUILD: i32 = 8;
const DIFFERS: i32 = 14;
const USAGE: i32 = 2;

struct Launch(TempDir);

impl Launch {
    fn new() -> Launch {
        let launch = Launch(tempfile::tempdir().unwrap());
        launch.write("launch.toml", CONFIG.as_bytes());
        launch.write("launch.rhai", SCRIPT.as_bytes());
        launch.write(
            "vmlinuz",
            &fs::read(fixture("kernel/tiny.bzimage")).unwrap(),
        );
        launch.write(
            "control.cpio",
            &fs::read(fixture("ramdisk/tiny.cpio")).unwrap(),
        );
        launch.write("web.cpio", &fs::read(fixture("ramdisk/tiny.cpio")).unwrap());
        launch
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.path().join(name), bytes).unwrap();
    }

    fn domb(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_domb"))
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }

    /// Standard output of a run that ends with that code.
    fn gives(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.domb(arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {output:?}"
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

fn fixture(name: &str) -> PathBuf {
    repository("tests/fixtures").join(name)
}

fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn golden(name: &str, text: &str) {
    let path = repository("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "UPDATE_GOLDEN=1 writes {name} anew");
}

#[test]
fn a_plan_is_the_text_that_was_reviewed() {
    let launch = Launch::new();
    let plan = launch.gives(0, &["plan", "launch.toml"]);
    golden("plan.txt", &plan);
    assert_eq!(launch.gives(0, &["plan", "launch.toml"]), plan);
}

#[test]
fn a_plan_asks_the_toolstack_what_a_launch_asks_it() {
    let launch = Launch::new();
    let dry = launch.gives(0, &["launch", "--dry-run", "launch.toml"]);
    let dry: Vec<Vec<&str>> = dry
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let plan: Value =
        serde_json::from_str(&launch.gives(0, &["plan", "--json", "launch.toml"])).unwrap();
    let steps = plan["steps"].as_array().unwrap();
    let asked: Vec<Vec<String>> = steps
        .iter()
        .filter(|step| step["domid"].is_number())
        .map(|step| {
            let word = |key: &str| step[key].as_str().unwrap().to_owned();
            vec![word("step"), step["domid"].to_string(), word("name")]
        })
        .collect();
    assert_eq!(dry, asked);
    assert_eq!(asked.len(), 4, "{asked:?}");
}

#[test]
fn a_plan_measures_what_is_predicted() {
    let launch = Launch::new();
    let plan: Value =
        serde_json::from_str(&launch.gives(0, &["plan", "--json", "launch.toml"])).unwrap();
    let predicted: Value =
        serde_json::from_str(&launch.gives(0, &["predict", "--json", "launch.toml"])).unwrap();
    let launched = &predicted["outcomes"][0];
    assert_eq!(launched["name"], "launched");
    assert_eq!(plan["values"], launched["values"]);
    let steps = plan["steps"].as_array().unwrap();
    let mut measured = steps.iter().filter(|step| step["step"] == "measure");
    for event in launched["events"].as_array().unwrap() {
        assert_eq!(measured.next().unwrap()["entry"], event["entry"]);
    }
    assert!(measured.next().is_none());
}

#[test]
fn what_changed_is_shown_below_its_step() {
    let launch = Launch::new();
    let kept = launch.gives(0, &["plan", "--json", "launch.toml"]);
    launch.write("kept.json", kept.as_bytes());
    let same = launch.gives(0, &["plan", "--diff", "kept.json", "launch.toml"]);
    assert_eq!(same, "the plans are the same\n");
    launch.write("launch.rhai", SCRIPT.replace("96", "112").as_bytes());
    let changed = launch.gives(DIFFERS, &["plan", "--diff", "kept.json", "launch.toml"]);
    golden("plan-diff.txt", &changed);
}

#[test]
fn the_script_is_told_what_the_facts_say_of_the_machine() {
    let launch = Launch::new();
    launch.write(
        "launch.rhai",
        b"fn launch(facts, plan) { log(facts.platform.cpus); log(facts.tpm.state); plan.allow_all(); plan }",
    );
    launch.gives(SCRIPT_FAILED, &["plan", "launch.toml"]);
    let facts = fixture("facts/three-domains.json");
    let plan = launch.gives(
        0,
        &["plan", "launch.toml", "--facts", facts.to_str().unwrap()],
    );
    assert!(plan.contains("\nreport\n  2\n  measured\n"), "{plan}");
}

#[test]
fn a_device_is_granted_and_withheld_by_its_name() {
    let launch = Launch::new();
    let resources = "[resources.nic]\npci = [\"00:04.0\"]\n[resources.disk]\npci = [\"0000:00:1f.2\"]\n\n[[domain]]";
    let config = CONFIG.replacen("[[domain]]", resources, 1);
    let config = config.replace("memory = \"96M\"", "memory = \"96M\"\nroles = []");
    launch.write("launch.toml", config.as_bytes());
    let script = "fn launch(facts, plan) {
        if facts.platform.iommu { plan.grant(\"net\", \"nic\"); }
        plan.withhold(\"disk\");
        log(`${facts.resources} ${facts.platform.roles} ${facts.exit} ${facts.control.ramdisk}`);
        plan.allow_all();
        plan
    }";
    launch.write("launch.rhai", script.as_bytes());
    let facts = fixture("facts/three-domains.json");
    let facts = ["plan", "launch.toml", "--facts", facts.to_str().unwrap()];
    golden("plan-devices.txt", &launch.gives(0, &facts));

    // The rules of the configuration hold for what a script grants.
    for (more, said) in [
        ("plan.grant(\"probe\", \"nic\");", "error[C058]"),
        ("plan.grant(\"web\", \"disk\");", "error[C140]"),
        (
            "plan.grant(\"net\", \"0000:00:04.0\");",
            "no resource is called",
        ),
    ] {
        let text = script.replace("plan.allow_all", &format!("{more} plan.allow_all"));
        launch.write("launch.rhai", text.as_bytes());
        let refused = launch.domb(&facts);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(SCRIPT_FAILED), "{text}");
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn a_plan_under_labels_says_that_domain_0_gives_its_own_up() {
    let launch = Launch::new();
    launch.write("facts.json", br#"{"platform": {"flask": "enforcing"}}"#);
    let script = "fn launch(facts, plan) { plan.allow_all(); plan.set_seclabel(\"net\", \"system_u:system_r:domU_t\"); plan }";
    launch.write("launch.rhai", script.as_bytes());
    let plan = launch.gives(0, &["plan", "launch.toml", "--facts", "facts.json"]);
    assert!(
        plan.contains("decide net\n  allow\n  seclabel = \"system_u:system_r:domU_t\"\n"),
        "{plan}"
    );
    let place = |text: &str| plan.find(text).unwrap_or_else(|| panic!("{text}: {plan}"));
    let relabel = place("relabel domain 0\n  system_u:system_r:dom0_t\n");
    assert!(
        place("unpause web") < relabel && relabel < place("PCR 13"),
        "{plan}"
    );
    launch.write("launch.rhai", SCRIPT.as_bytes());
    assert!(
        !launch
            .gives(0, &["plan", "launch.toml"])
            .contains("relabel")
    );
}

#[test]
fn a_lowered_limit_is_the_limit() {
    let launch = Launch::new();
    launch.gives(0, &["plan", "launch.toml"]);
    for (limit, said) in [
        ("operations = 20", "(20)"),
        ("log_lines = 1\nstring_bytes = 10", "(10)"),
        ("source_bytes = 100", "100"),
    ] {
        let config = CONFIG.replacen("[control]", &format!("[limits]\n{limit}\n\n[control]"), 1);
        launch.write("launch.toml", config.as_bytes());
        let told = launch.domb(&["plan", "launch.toml"]);
        let text = String::from_utf8(told.stderr).unwrap();
        assert_eq!(told.status.code(), Some(SCRIPT_FAILED), "{limit}: {text}");
        assert!(text.contains(said), "{limit}: {text}");
    }
    let told = launch.domb(&["check", "launch.toml"]);
    let text = String::from_utf8(told.stderr).unwrap();
    assert!(text.contains("C069") && text.contains("100"), "{text}");
}

#[test]
fn a_launch_that_cannot_be_has_no_plan() {
    let launch = Launch::new();
    launch.write("facts.json", br#"{"platform": {"free_memory_mib": 100}}"#);
    let told = launch.domb(&["plan", "launch.toml", "--facts", "facts.json"]);
    assert_eq!(told.status.code(), Some(BUILD), "{told:?}");
    let text = String::from_utf8(told.stderr).unwrap();
    assert!(text.contains("Xen has") && text.contains("hint:"), "{text}");

    launch.write(
        "launch.rhai",
        b"fn launch(facts, plan) { plan.deny_all(\"no\"); plan }",
    );
    let refused = launch.gives(DENIED, &["plan", "launch.toml"]);
    assert!(refused.contains("decide net\n  deny: no\n"), "{refused}");
    assert!(refused.contains("\"outcome\":\"refused\""), "{refused}");
    assert!(!refused.contains("create"), "{refused}");

    launch.write("launch.toml", b"domains = 1");
    launch.gives(CONFIG_FAULT, &["plan", "launch.toml"]);
}

#[test]
fn other_files_and_other_numbers_of_them_are_refused() {
    let launch = Launch::new();
    launch.gives(USAGE, &["plan"]);
    launch.gives(USAGE, &["plan", "launch.toml", "launch.toml"]);
    launch.gives(USAGE, &["plan", "--diff", "launch.toml"]);
    launch.gives(LOAD, &["plan", "launch.toml", "--facts", "none.json"]);
    launch.write("other.json", b"{\"version\": 1}");
    launch.gives(LOAD, &["plan", "--diff", "other.json", "launch.toml"]);
    let later = launch.gives(0, &["plan", "--json", "launch.toml"]);
    launch.write("later.json", later.replacen("1", "2", 1).as_bytes());
    launch.gives(LOAD, &["plan", "--diff", "later.json", "launch.toml"]);
}

#[test]
fn a_fallback_image_is_measured_and_boots_if_the_script_says_so() {
    let launch = Launch::new();
    let images = "\n[[domain.images]]\nname = \"old\"\nkernel = \"vmlinux\"\n";
    let config = CONFIG.replace(
        "after = [\"net\"]\n",
        &format!("after = [\"net\"]\n{images}"),
    );
    launch.write("launch.toml", config.as_bytes());
    let old = fs::read(fixture("kernel/tiny.elf")).unwrap();
    launch.write("vmlinux", &old);
    let steps = |script: &str| {
        launch.write("launch.rhai", script.as_bytes());
        let plan = launch.gives(0, &["plan", "--json", "launch.toml"]);
        let plan: Value = serde_json::from_str(&plan).unwrap();
        plan["steps"].as_array().unwrap().clone()
    };
    let create = |steps: &[Value]| {
        let create = steps
            .iter()
            .find(|s| s["step"] == "create" && s["name"] == "web");
        create.unwrap()["libxl"]["b_info"].clone()
    };
    let own = steps("fn launch(facts, plan) { plan.allow_all(); plan }");
    assert_eq!(create(&own)["kernel"], "vmlinuz");
    let digest = {
        use sha2::{Digest, Sha256};
        let digits = Sha256::digest(&old);
        digits
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let measured = own.iter().find(|step| {
        step["entry"]["component"] == "domain-config" && step["entry"]["domain"] == "web"
    });
    let text = measured.unwrap()["entry"]["text"].as_str().unwrap();
    assert!(
        text.contains(&format!(
            "\"images\":{{\"old\":{{\"kernel\":\"{digest}\",\"ramdisk\":null}}}}"
        )),
        "{text}"
    );

    let old = steps(
        "fn launch(facts, plan) {
            let web = facts.domain(\"web\");
            if \"old\" in web.images && web.image(\"old\").kernel.path == \"vmlinux\" {
                plan.use_image(\"web\", \"old\");
            }
            plan.allow_all();
            plan
        }",
    );
    assert_eq!(create(&old)["kernel"], "vmlinux");
    assert!(create(&old).get("ramdisk").is_none());
    let decided = old
        .iter()
        .find(|step| step["step"] == "decide" && step["name"] == "web");
    assert_eq!(decided.unwrap()["changes"]["kernel"], "vmlinux");
}
