// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb image` from outside: what is in an image, that it can be made again
//! byte for byte, and what is said when a part is missing.
//!
//! Most tests use a small installation made of fixtures, so that they run
//! anywhere; one uses Debian's own files and is skipped, with a word, where
//! they are not installed.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const CONFIG: &str = r#"
script = "launch.rhai"
[measure]
tpm = "off"
[control]
ramdisk = "control.cpio.zst"
[[domain]]
name = "net"
domid = 7
type = "pv"
kernel = "kernels/bzImage"
ramdisk = "net.cpio.gz"
memory = "96M"
[[domain]]
name = "web"
domid = 9
type = "pvh"
kernel = "kernels/bzImage"
ramdisk = "copy-of-net.cpio.gz"
memory = "96M"
"#;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/fixtures")
        .join(name)
}

/// A directory with a launch configuration, its files, and an installation of
/// what `domb image` takes from Debian's packages, in `root`.
struct Site(TempDir);

impl Site {
    fn new() -> Site {
        let site = Site(tempfile::tempdir().unwrap());
        let program = fs::read(fixture("kernel/tiny.elf")).unwrap();
        let ramdisk = fs::read(fixture("ramdisk/tiny.cpio.gz")).unwrap();
        site.write("launch.toml", CONFIG.as_bytes());
        site.write(
            "launch.rhai",
            b"fn launch(facts, plan) { plan.allow_all(); plan }\n",
        );
        site.write(
            "kernels/bzImage",
            &fs::read(fixture("kernel/tiny.bzimage")).unwrap(),
        );
        site.write("net.cpio.gz", &ramdisk);
        site.write("copy-of-net.cpio.gz", &ramdisk);
        site.write(
            "control.cpio.zst",
            &fs::read(fixture("ramdisk/control.cpio.zst")).unwrap(),
        );
        site.write("domb", &program);
        for xen in ["xen-4.9", "xen-4.17"] {
            site.write(&format!("root/usr/lib/{xen}/bin/xenstored"), &program);
            site.write(&format!("root/usr/lib/{xen}/bin/xenconsoled"), &program);
        }
        site.write("root/boot/vmlinuz-6.1.0-56-amd64", b"");
        site.write(
            "root/lib/modules/6.1.0-56-amd64/modules.builtin",
            b"kernel/xen-evtchn.ko\n",
        );
        let dep = b"x/xenfs.ko: x/xen-privcmd.ko\nx/xen-privcmd.ko:\nx/xen-gntdev.ko:\nx/xen-gntalloc.ko:\ny/extra.ko.gz:\n";
        site.write("root/lib/modules/6.1.0-56-amd64/modules.dep", dep);
        for module in ["xenfs", "xen-privcmd", "xen-gntdev", "xen-gntalloc"] {
            let path = format!("root/lib/modules/6.1.0-56-amd64/x/{module}.ko");
            site.write(&path, module.as_bytes());
        }
        site.write("root/lib/modules/6.1.0-56-amd64/y/extra.ko.gz", &ramdisk);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn remove(&self, name: &str) {
        let path = self.path(name);
        let removed = if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
        removed.unwrap();
    }

    /// Runs `domb image launch.toml -o domb.img` with the installation.
    fn image(&self, more: &[&str]) -> Output {
        let arguments = [
            "image",
            "launch.toml",
            "-o",
            "domb.img",
            "--init",
            "domb",
            "--root",
            "root",
        ];
        domb(self.0.path(), &[&arguments, more].concat())
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Asserts that making the image ends with `code` and says `message` and
    /// `hint`, and that no image and no other new file is there.
    fn refuses(&self, more: &[&str], code: i32, message: &str, hint: &str) {
        let before = self.names();
        let output = self.image(more);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(message), "{message} is not in {said}");
        assert!(
            said.contains(&format!("hint: {hint}")),
            "{hint} is not the hint in {said}"
        );
        assert!(output.stdout.is_empty());
        assert_eq!(self.names(), before);
    }
}

fn domb(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_domb"))
        .current_dir(directory)
        .args(arguments)
        .output()
        .unwrap()
}

fn succeeded(output: &Output) -> String {
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Compares with `tests/golden/NAME`; `UPDATE_GOLDEN=1` writes it anew.
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&path).unwrap(), "{name}");
}

/// A member of the image: mode and content.
type Members = BTreeMap<String, (u32, Vec<u8>)>;

fn members(image: &Path) -> Members {
    let bytes = fs::read(image).unwrap();
    let mut rest = bytes.as_slice();
    let mut members = Members::new();
    loop {
        let mut reader = cpio::NewcReader::new(rest).unwrap();
        if reader.entry().is_trailer() {
            return members;
        }
        let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
        assert_eq!(
            (
                reader.entry().uid(),
                reader.entry().gid(),
                reader.entry().mtime()
            ),
            (0, 0, 0)
        );
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        assert!(members.insert(name, (mode, content)).is_none());
        rest = reader.finish().unwrap();
    }
}

#[test]
fn the_table_tells_every_part_and_its_size() {
    let site = Site::new();
    let table = succeeded(&site.image(&[]));
    golden("image.txt", &table);
}

#[test]
fn an_image_holds_what_boots_and_nothing_else() {
    let site = Site::new();
    succeeded(&site.image(&[]));
    let members = members(&site.path("domb.img"));
    let names: Vec<&str> = members.keys().map(String::as_str).collect();
    golden("image-files.txt", &(names.join("\n") + "\n"));
    let content = |name: &str| members[name].1.as_slice();
    assert_eq!(content("domb/launch.toml"), CONFIG.as_bytes());
    assert_eq!(members["init"].0, 0o100_755);
    assert_eq!(members["dev/console"].0, 0o020_600);
    assert_eq!(
        (members["var/run"].0, content("var/run")),
        (0o120_777, b"/run".as_slice())
    );
    let stored = |suffix: &str| {
        names
            .iter()
            .find(|name| name.ends_with(suffix))
            .copied()
            .unwrap()
    };
    assert_eq!(
        content(stored("-bzImage")),
        fs::read(fixture("kernel/tiny.elf")).unwrap()
    );
    assert_eq!(
        content(stored("-net.cpio.gz")),
        fs::read(fixture("ramdisk/tiny.cpio.gz")).unwrap()
    );
    let control = content(stored("-control.cpio.zst"));
    let plain = fs::read(fixture("ramdisk/control.cpio")).unwrap();
    assert_eq!(control, plain);
}

#[test]
fn a_control_ramdisk_without_the_init_makes_no_image() {
    let site = Site::new();
    site.write(
        "control.cpio.zst",
        &fs::read(fixture("ramdisk/tiny.cpio.zst")).unwrap(),
    );
    let output = site.image(&[]);
    assert_eq!(output.status.code(), Some(4));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("control.cpio.zst") && text.contains("it has no /init"),
        "{text}"
    );
}

#[test]
fn the_manifest_tells_where_everything_is_and_what_it_was() {
    let site = Site::new();
    succeeded(&site.image(&["--module", "extra"]));
    let members = members(&site.path("domb.img"));
    let manifest: serde_json::Value =
        serde_json::from_slice(&members["domb/manifest.json"].1).unwrap();
    let text =
        |value: &serde_json::Value| value.as_str().unwrap().trim_start_matches('/').to_owned();
    let modules: Vec<String> = manifest["modules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|module| text(&module["path"]))
        .collect();
    let names: Vec<&str> = modules
        .iter()
        .map(|path| path.rsplit('/').next().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "xen-privcmd.ko",
            "xen-gntdev.ko",
            "xen-gntalloc.ko",
            "xenfs.ko",
            "extra.ko"
        ]
    );
    assert!(modules.iter().all(|path| members.contains_key(path)));
    assert_eq!(
        text(&manifest["xenstored"]),
        "usr/lib/xen-4.17/bin/xenstored"
    );
    let artefacts = manifest["artefacts"].as_array().unwrap();
    let told: Vec<_> = artefacts
        .iter()
        .map(|it| (text(&it["path"]), text(&it["role"])))
        .collect();
    let expected = [
        ("control.cpio.zst", "control-ramdisk"),
        ("copy-of-net.cpio.gz", "ramdisk"),
        ("kernels/bzImage", "kernel"),
        ("launch.rhai", "script"),
        ("net.cpio.gz", "ramdisk"),
    ]
    .map(|(path, role)| (path.to_owned(), role.to_owned()));
    assert_eq!(told, expected);
    for artefact in artefacts {
        let stored = &members[&text(&artefact["stored"])].1;
        assert_eq!(artefact["bytes"].as_u64(), Some(stored.len() as u64));
        assert!(text(&artefact["stored"]).contains(&text(&artefact["sha256"])[..16]));
    }
    assert_eq!(
        artefacts[1]["stored"], artefacts[4]["stored"],
        "equal content is stored once"
    );
    assert_eq!(artefacts[2]["original"]["format"], "bzImage xz");
    assert_eq!(artefacts[0]["original"]["format"], "zstd cpio");
    assert!(artefacts[4].get("original").is_none());
}

#[test]
fn the_same_inputs_give_the_same_bytes_anywhere() {
    let (one, two) = (Site::new(), Site::new());
    succeeded(&one.image(&[]));
    let path = two.path("elsewhere");
    fs::create_dir(&path).unwrap();
    let init = fixture("kernel/tiny.elf");
    let arguments = [
        "image",
        "../launch.toml",
        "--root",
        "../root",
        "-o",
        "other.img",
        "--init",
        init.to_str().unwrap(),
    ];
    succeeded(&domb(&path, &arguments));
    assert_eq!(
        fs::read(one.path("domb.img")).unwrap(),
        fs::read(path.join("other.img")).unwrap()
    );
    one.write(
        "net.cpio.gz",
        &fs::read(fixture("ramdisk/tiny.cpio.xz")).unwrap(),
    );
    succeeded(&one.image(&[]));
    assert_ne!(
        fs::read(one.path("domb.img")).unwrap(),
        fs::read(path.join("other.img")).unwrap()
    );
}

#[test]
fn a_missing_package_is_named() {
    let site = Site::new();
    site.remove("root/lib/modules/6.1.0-56-amd64/modules.dep");
    site.refuses(
        &[],
        13,
        "find a kernel with Xen's modules in root/lib/modules",
        "apt install linux-image-amd64",
    );
    let modules = ["--kernel-modules", "root/lib/modules/6.1.0-56-amd64"];
    site.refuses(
        &modules,
        13,
        "modules.dep: No such file",
        "`depmod RELEASE` writes it",
    );
    site.remove("root/usr/lib");
    site.refuses(
        &[],
        13,
        "find xenstored in root/usr/lib/xen-*/bin",
        "apt install xen-utils-4.17",
    );
}

#[test]
fn a_kernel_module_that_is_nowhere_is_named() {
    let site = Site::new();
    site.refuses(
        &["--module", "no-such"],
        13,
        "find kernel module no_such in root/lib/modules/",
        "apt install",
    );
}

#[test]
fn a_dynamic_program_cannot_be_pid_1() {
    let site = Site::new();
    let this = std::env::current_exe().unwrap();
    site.remove("domb");
    fs::copy(this, site.path("domb")).unwrap();
    site.refuses(
        &[],
        13,
        "domb cannot be PID 1: it is not static",
        "give a static domb with --init",
    );
}

#[test]
fn a_library_that_is_nowhere_is_named() {
    let site = Site::new();
    let this = std::env::current_exe().unwrap();
    let given = ["--xenstored", this.to_str().unwrap()];
    site.refuses(
        &given,
        13,
        "find libgcc_s.so.1, which ",
        "apt install the package that",
    );
}

#[test]
fn files_that_cannot_boot_are_refused_with_their_domain() {
    let site = Site::new();
    let whole = fs::read(fixture("kernel/tiny.bzimage")).unwrap();
    site.write("kernels/bzImage", b"#!/bin/sh\n");
    let message = "load kernel of domain net from kernels/bzImage: neither a bzImage nor an ELF";
    site.refuses(&[], 4, message, "a kernel is a file such as");
    site.write("kernels/bzImage", &whole[..1100]);
    site.refuses(
        &[],
        4,
        "kernel is truncated: 1100 bytes of at least",
        "copy or install the kernel again",
    );
    site.write("kernels/bzImage", &whole);
    site.write(
        "copy-of-net.cpio.gz",
        &fs::read(fixture("ramdisk/tiny.cpio.gz")).unwrap()[..150],
    );
    let message = "load ramdisk of domain web from copy-of-net.cpio.gz: ramdisk's part at byte 0 is not whole: gzip stream is truncated";
    site.refuses(&[], 4, message, "copy or make the ramdisk again");
    site.write("copy-of-net.cpio.gz", b"anything");
    let output = site.image(&[]);
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("warning: ramdisk of domain web copy-of-net.cpio.gz: not an archive"),
        "{said}"
    );
}

#[test]
fn a_faulty_configuration_is_refused_with_its_own_code() {
    let site = Site::new();
    site.write("launch.toml", b"[[domain]]\nname = 7\n");
    let output = site.image(&[]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("launch.toml:2"),
        "{output:?}"
    );
}

#[test]
fn no_input_is_overwritten() {
    let site = Site::new();
    std::os::unix::fs::symlink("net.cpio.gz", site.path("link.img")).unwrap();
    let before = fs::read(site.path("net.cpio.gz")).unwrap();
    let arguments = [
        "image",
        "launch.toml",
        "--init",
        "domb",
        "--root",
        "root",
        "-o",
    ];
    for output in ["net.cpio.gz", "link.img", "launch.toml", "domb"] {
        let said = domb(site.0.path(), &[&arguments[..], &[output]].concat());
        assert_eq!(said.status.code(), Some(13), "{output}");
        assert!(String::from_utf8_lossy(&said.stderr).contains("the image would replace an input"));
    }
    assert_eq!(fs::read(site.path("net.cpio.gz")).unwrap(), before);
    let said = domb(
        site.0.path(),
        &[&arguments[..], &["nowhere/domb.img"]].concat(),
    );
    assert_eq!(said.status.code(), Some(13));
}

#[test]
fn debians_packages_make_an_image() {
    let site = Site::new();
    let missing = ["/usr/lib/xen-4.17/bin/xenstored", "/lib/modules", "/boot"]
        .iter()
        .find(|path| !Path::new(path).exists());
    if let Some(missing) = missing {
        eprintln!("skipped: {missing} is not installed");
        return;
    }
    let table = succeeded(&domb(
        site.0.path(),
        &["image", "launch.toml", "-o", "domb.img", "--init", "domb"],
    ));
    assert!(table.contains("boot it with the kernel of Linux "));
    let members = members(&site.path("domb.img"));
    let has = |end: &str| members.keys().any(|name| name.ends_with(end));
    for name in [
        "lib64/ld-linux-x86-64.so.2",
        "usr/lib/x86_64-linux-gnu/libc.so.6",
        "usr/lib/x86_64-linux-gnu/libgcc_s.so.1",
        "usr/lib/x86_64-linux-gnu/libxenstore.so.4",
        "/bin/xenstored",
        "/bin/xenconsoled",
        "/xen-privcmd.ko",
        "/xenfs.ko",
    ] {
        assert!(has(name), "{name} is not in the image");
    }
    for name in ["bin/sh", "busybox", "bin/bash"] {
        assert!(!has(name), "{name} is in the image");
    }
    let modules = members.iter().filter(|(name, _)| name.ends_with(".ko"));
    assert!(
        modules
            .map(|(_, (_, bytes))| bytes)
            .all(|bytes| bytes.starts_with(b"\x7fELF"))
    );
}
