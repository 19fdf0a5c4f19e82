// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The role sets of `xen-config/roles` and the example: each is a good launch
//! configuration, has a guide, names labels that its policy lets the boot
//! domain build, and survives the way to a device tree and back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const SETS: [&str; 7] = [
    "classic-extended",
    "classic-cloud",
    "static-standard",
    "static-disaggregated",
    "dynamic-hardware-domain",
    "dynamic-flexible",
    "dynamic-full",
];

#[test]
fn every_role_set_passes_the_check_without_a_warning() {
    for set in SETS {
        let directory = beside_artefacts(set);
        let output = domb(
            directory.path(),
            &["check", "--deny-warnings", "launch.toml"],
        );
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{set}: {said}");
    }
}

#[test]
fn the_check_knows_xens_command_line_of_every_role_set() {
    for set in SETS {
        let text = fs::read_to_string(source(set).join("launch.toml")).unwrap();
        assert!(text.contains("\nxen_cmdline = \"console=com1 "), "{set}");
        let leaves = text.contains("\nexit = \"domain\"\n");
        assert_eq!(leaves, set.starts_with("dynamic"), "{set}");
        if !leaves {
            continue;
        }
        // The domain that Xen is told to make the hardware domain is the one that has the role.
        let directory = beside_artefacts(set);
        let other = text.replace("hardware_dom=3", "hardware_dom=2");
        fs::write(directory.path().join("launch.toml"), other).unwrap();
        let output = domb(directory.path(), &["check", "launch.toml"]);
        assert_eq!(output.status.code(), Some(3), "{set}");
    }
}

#[test]
fn every_role_set_is_planned_as_its_guide_says() {
    for set in SETS {
        let directory = beside_artefacts(set);
        let output = domb(directory.path(), &["plan", "launch.toml"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{set}: {said}");
        let plan = String::from_utf8(output.stdout).unwrap();
        let guide = fs::read_to_string(source(set).join("README.md")).unwrap();
        for domain in domains(set) {
            assert!(plan.contains(&domain.name), "{set}: {}", domain.name);
            let row = format!("{} `{}`", domain.domid, domain.name);
            assert!(guide.contains(&row), "{set}: no {row} in the guide");
            if let Some(label) = domain.label {
                let label = label.rsplit(':').next().unwrap();
                assert!(guide.contains(&format!("`{label}`")), "{set}: {label}");
            }
        }
    }
}

#[test]
fn every_role_set_has_a_guide_of_the_same_parts_and_a_place_in_the_list() {
    let list = fs::read_to_string(source("README.md")).unwrap();
    for set in SETS {
        let guide = fs::read_to_string(source(set).join("README.md")).unwrap();
        for part in [
            "**For** ",
            "**How.** ",
            "**After domb has left**",
            "**What the hypervisor cannot do.** ",
            "**Booted**",
        ] {
            assert!(guide.contains(part), "{set}: {part}");
        }
        assert!(list.contains(&format!("({set}/README.md)")), "{set}");
    }
    let there = fs::read_dir(source("")).unwrap();
    let there = there.filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(there.count(), SETS.len());
}

#[test]
fn every_boot_that_a_guide_names_is_one_of_the_tests() {
    let platform = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/platform/src");
    let mut boots = fs::read_to_string(platform.join("departed.rs")).unwrap();
    for entry in fs::read_dir(platform.join("cases")).unwrap() {
        boots += &fs::read_to_string(entry.unwrap().path()).unwrap();
    }
    for set in SETS {
        let guide = fs::read_to_string(source(set).join("README.md")).unwrap();
        let booted = guide.split("**Booted**").nth(1).unwrap();
        let named = booted.split(", boot `").nth(1);
        let named = named.unwrap_or_else(|| panic!("{set} names no boot"));
        let boot = named.split('`').next().unwrap();
        assert!(
            boots.contains(&format!("name: \"{boot}\"")),
            "{set}: {boot}"
        );
        assert!(boots.contains(&format!("\"roles/{set}\"")), "{set}");
    }
}

#[test]
fn the_policies_let_the_boot_domain_build_every_role_set() {
    for set in SETS {
        let directory = beside_artefacts(set);
        let name = match set.starts_with("dynamic") {
            true => "domain",
            false => "process",
        };
        let policy = repository(&format!("tests/fixtures/flask/{name}.policy"));
        let policy = policy.canonicalize().unwrap();
        let arguments = [
            "check",
            "--json",
            "--flask-policy",
            policy.to_str().unwrap(),
            "launch.toml",
        ];
        let output = domb(directory.path(), &arguments);
        let said = String::from_utf8(output.stdout).unwrap();
        let report: serde_json::Value = serde_json::from_str(&said).unwrap();
        let faults = report["diagnostics"].as_array().unwrap();
        // `log_t` is the integrator's own, in labels.te.
        let own = |fault: &serde_json::Value| {
            let message = fault["message"].as_str().unwrap();
            set == "classic-cloud" && message == "the policy has no type `log_t`"
        };
        assert!(faults.iter().all(own), "{set}: {said}");
        assert_eq!(
            faults.len(),
            usize::from(set == "classic-cloud"),
            "{set}: {said}"
        );
    }
}

#[test]
fn the_script_of_the_cloud_passes_its_own_tests() {
    let script = source("classic-cloud").join("launch.rhai");
    let facts = repository("tests/fixtures/facts/three-domains.json");
    let arguments = [
        "script",
        "test",
        script.to_str().unwrap(),
        "--facts",
        facts.to_str().unwrap(),
    ];
    let output = domb(Path::new("."), &arguments);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
}

#[test]
fn every_example_survives_the_way_to_a_device_tree_that_dtc_reads_and_back() {
    let example = repository("xen-config/example/launch.toml");
    let sets = SETS.map(|set| source(set).join("launch.toml"));
    for file in sets.iter().chain([&example]) {
        let directory = TempDir::new().unwrap();
        let file = file.to_str().unwrap();
        let convert = |arguments: &[&str]| {
            let output = domb(directory.path(), &[&["convert"], arguments].concat());
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(0), "{file}: {said}");
            said
        };
        let left_out = convert(&[file, "p.dtb"]);
        assert!(left_out.contains("left out: measure.pcr: "), "{left_out}");
        for said in ["roles", "seclabel", "domid", "kernel"] {
            assert!(
                !left_out.contains(&format!("].{said} ")),
                "{file}: {left_out}"
            );
        }
        // What the second way loses, the first has said already.
        assert_eq!(convert(&["p.dtb", "back.toml"]), "", "{file}");
        convert(&["back.toml", "again.dtb"]);
        let bytes = |name: &str| fs::read(directory.path().join(name)).unwrap();
        assert_eq!(bytes("p.dtb"), bytes("again.dtb"), "{file}");
        let back = String::from_utf8(bytes("back.toml")).unwrap();
        let text = fs::read_to_string(file).unwrap();
        for key in ["exit = \"domain\"\n", "roles = [\"hardware\"]\n"] {
            assert_eq!(back.contains(key), text.contains(key), "{file}: {back}");
        }
        let Ok(dtc) = Command::new("dtc")
            .args(["-I", "dtb", "-O", "dts", "p.dtb"])
            .current_dir(directory.path())
            .output()
        else {
            eprintln!("dtc is not installed");
            continue;
        };
        assert!(dtc.status.success(), "{file}");
        assert_eq!(String::from_utf8(dtc.stderr).unwrap(), "", "{file}");
    }
}

/// What the tests know of a domain.
struct Listed {
    name: String,
    domid: u64,
    label: Option<String>,
}

fn domains(set: &str) -> Vec<Listed> {
    let text = fs::read_to_string(source(set).join("launch.toml")).unwrap();
    let value = |block: &str, key: &str| {
        let line = block
            .lines()
            .find(|line| line.starts_with(&format!("{key} = ")))?;
        let value = line.split_once(" = ").unwrap().1.split('#').next().unwrap();
        Some(value.trim().trim_matches('"').to_owned())
    };
    let blocks = text.split("[[domain]]").skip(1);
    let listed = blocks.map(|block| Listed {
        name: value(block, "name").unwrap(),
        domid: value(block, "domid").unwrap().parse().unwrap(),
        label: value(block, "seclabel"),
    });
    listed.collect()
}

/// The role set with files where it names some.
fn beside_artefacts(set: &str) -> TempDir {
    let directory = TempDir::new().unwrap();
    for entry in fs::read_dir(source(set)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, directory.path().join(path.file_name().unwrap())).unwrap();
    }
    let kernel = repository("tests/fixtures/kernel/tiny.bzimage");
    fs::copy(kernel, directory.path().join("vmlinuz")).unwrap();
    for (name, ramdisk) in [
        ("guest.cpio", "tiny.cpio"),
        ("control.cpio", "root.cpio"),
        ("hardware.cpio", "tiny.cpio"),
    ] {
        let ramdisk = repository("tests/fixtures/ramdisk").join(ramdisk);
        fs::copy(ramdisk, directory.path().join(name)).unwrap();
    }
    let policy = repository("tests/fixtures/flask/domain.policy");
    fs::copy(policy, directory.path().join("xenpolicy-domain")).unwrap();
    directory
}

fn domb(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_domb"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap()
}

fn source(path: &str) -> PathBuf {
    repository("xen-config/roles").join(path)
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
