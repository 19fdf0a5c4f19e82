// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb convert`: launch.toml to a device tree and back, a device tree that
//! dtc made, a guest of xl; and what is said about the rest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

#[test]
fn the_example_becomes_a_device_tree_and_the_same_launch_again() {
    let directory = TempDir::new().unwrap();
    let example = repository("xen-config/example/launch.toml");
    let there = convert(directory.path(), &[example.to_str().unwrap(), "p.dtb"]);
    assert_eq!(there.status.code(), Some(0));
    let said = String::from_utf8(there.stderr).unwrap();
    for key in [
        "script",
        "measure.pcr",
        "platform.memory",
        "control.ramdisk",
        "domain[0].after (web)",
    ] {
        assert!(
            said.contains(&format!("left out: {key}: ")),
            "{key}\n{said}"
        );
    }
    let order = "boot modules, in this order:\n  0  p.dtb\n  1  vmlinuz\n  2  heartbeat.cpio\n";
    assert_eq!(String::from_utf8(there.stdout).unwrap(), order);

    let back = convert(directory.path(), &["p.dtb", "back.toml"]);
    assert_eq!(String::from_utf8(back.stderr).unwrap(), "");
    assert_eq!(back.status.code(), Some(0));
    assert_eq!(
        convert(directory.path(), &["back.toml", "again.dtb"])
            .status
            .code(),
        Some(0)
    );
    let bytes = |name: &str| fs::read(directory.path().join(name)).unwrap();
    assert_eq!(bytes("p.dtb"), bytes("again.dtb"));
}

#[test]
fn a_device_tree_of_dtc_is_read_with_the_paths_of_its_modules() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("p.dts"), TREE).unwrap();
    let dtc = Command::new("dtc")
        .args(["-q", "-O", "dtb", "-o", "p.dtb", "p.dts"])
        .current_dir(directory.path())
        .status();
    let Ok(status) = dtc else {
        eprintln!("dtc is not installed");
        return;
    };
    assert!(status.success());
    let output = convert(directory.path(), &["p.dtb", "--module", "1=vmlinuz"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("\nkernel = \"vmlinuz\"\ncmdline = \"console=hvc0\"\n"),
        "{text}"
    );
    assert!(
        said.contains("left out: /chosen/hypervisor/net/speed = <0x3>: "),
        "{said}"
    );
    let strict = convert(directory.path(), &["p.dtb", "--strict"]);
    assert_eq!(strict.status.code(), Some(3));
}

#[test]
fn a_guest_of_xl_that_lacks_a_key_is_shown_with_what_it_lacks() {
    let directory = TempDir::new().unwrap();
    fs::write(
        directory.path().join("g.cfg"),
        "name = 'g'\nkernel = 'k'\ntype = 'pvh'\n",
    )
    .unwrap();
    let output = convert(directory.path(), &["g.cfg"]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("domain `g` has no `memory`"), "{said}");
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("name = \"g\"")
    );
}

#[test]
fn what_cannot_be_converted_is_refused_with_a_code_and_a_hint() {
    let directory = TempDir::new().unwrap();
    let good = repository("tests/config/good-smallest.toml");
    let bad = repository("tests/config/domid-0.toml");
    fs::write(directory.path().join("hvm.cfg"), "type = 'hvm'\n").unwrap();
    fs::write(directory.path().join("odd.cfg"), "name = x\n").unwrap();
    fs::write(directory.path().join("cut.dtb"), [0xd0, 0x0d, 0xfe, 0xed]).unwrap();
    let (good, bad) = (good.to_str().unwrap(), bad.to_str().unwrap());
    for (arguments, code, text) in [
        (&["nothing.toml", "x.dtb"][..], 4, "read nothing.toml"),
        (&["hvm.cfg"], 3, "type is hvm"),
        (&["odd.cfg"], 3, "line 1: a value was expected"),
        (&["cut.dtb"], 3, "read the device tree"),
        (&[bad, "x.dtb"], 3, "domid 0"),
        (&[good], 2, "standard output"),
        (&[good, "x.toml"], 2, "both are the same kind"),
        (&[good, "no/such/x.dtb"], 2, "write no/such/x.dtb"),
    ] {
        let output = convert(directory.path(), arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(text), "{arguments:?}: {said}");
    }
    assert!(!directory.path().join("x.dtb").exists());
}

fn convert(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_domb"))
        .arg("convert")
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap()
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

const TREE: &str = r#"/dts-v1/;
/ {
    chosen {
        hypervisor {
            compatible = "hypervisor,xen";
            net {
                compatible = "xen,domain";
                domid = <7>;
                mode = <5>;
                memory = <0x0 0x20000>;
                speed = <3>;
                kernel {
                    compatible = "module,kernel", "multiboot,module";
                    mb-index = <1>;
                    bootargs = "console=hvc0";
                };
            };
        };
    };
};
"#;
