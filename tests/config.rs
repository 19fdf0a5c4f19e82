// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb check` on one file per fault: the exact text a person sees.
//!
//! `tests/config/NAME.toml` is checked beside the files that [`files`] makes,
//! and `NAME.stderr` or `NAME.stdout` hold what has to be printed. The name's
//! first word tells the exit code. `UPDATE_GOLDEN=1` writes the expected texts
//! anew; read the difference before committing it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// Exit codes as the README documents them.
const CONFIG: i32 = 3;
const LOAD: i32 = 4;

#[test]
fn every_fault_is_told_in_its_exact_words() {
    let files = files();
    let mut wrong = Vec::new();
    let cases = cases();
    for name in &cases {
        let config = format!("{name}.toml");
        fs::copy(golden(&config), files.path().join(&config)).unwrap();
        let output = check(files.path(), &[&config]);
        let (code, channel, text) = match name.split('-').next() {
            Some("good") => (0, "stdout", &output.stdout),
            Some("warn") => (0, "stderr", &output.stderr),
            Some("file") => (LOAD, "stderr", &output.stderr),
            _ => (CONFIG, "stderr", &output.stderr),
        };
        if output.status.code() != Some(code) {
            wrong.push(format!("{name}: {} instead of {code}", output.status));
        }
        if code != 0 && !output.stdout.is_empty() {
            wrong.push(format!("{name}: wrote to standard output as well"));
        }
        let expected = golden(&format!("{name}.{channel}"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected, text).unwrap();
        } else if fs::read(&expected).unwrap_or_default() != *text {
            wrong.push(format!(
                "{name}: other text:\n{}",
                String::from_utf8_lossy(text)
            ));
        }
    }
    assert!(cases.len() >= 100, "only {} cases were found", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_expected_text_belongs_to_a_configuration() {
    for entry in fs::read_dir(golden("")).unwrap() {
        let path = entry.unwrap().path();
        assert!(
            path.with_extension("toml").exists(),
            "{} is left over",
            path.display()
        );
    }
}

#[test]
fn every_error_says_what_to_do() {
    for name in cases() {
        let Ok(text) = fs::read_to_string(golden(&format!("{name}.stderr"))) else {
            continue;
        };
        for fault in text
            .split("\n\n")
            .filter(|fault| fault.starts_with("error["))
        {
            assert!(fault.contains("= hint: "), "{name}: {fault}");
        }
    }
}

#[test]
fn no_text_but_tabs_and_line_ends_controls_the_terminal() {
    let files = files();
    for name in cases() {
        let config = format!("{name}.toml");
        fs::copy(golden(&config), files.path().join(&config)).unwrap();
        for extra in [&[][..], &["--json"]] {
            let output = check(files.path(), &[&[config.as_str()][..], extra].concat());
            let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            let bad = text
                .chars()
                .find(|c| c.is_control() && *c != '\n' || *c == '\u{202e}');
            assert_eq!(bad, None, "{name} {extra:?}");
        }
    }
}

#[test]
fn denied_warnings_refuse_what_warns_and_nothing_else() {
    let files = files();
    for (name, code) in [
        ("warn-after-twice", CONFIG),
        ("warn-ramdisk-not-an-archive", LOAD),
        ("good-everything", 0),
    ] {
        let config = format!("{name}.toml");
        fs::copy(golden(&config), files.path().join(&config)).unwrap();
        let output = check(files.path(), &[&config, "--deny-warnings"]);
        assert_eq!(output.status.code(), Some(code), "{name}");
    }
}

#[test]
fn json_names_line_column_key_and_every_fault() {
    let files = files();
    fs::copy(
        golden("several-faults.toml"),
        files.path().join("launch.toml"),
    )
    .unwrap();
    let output = check(files.path(), &["launch.toml", "--json"]);
    assert_eq!(output.status.code(), Some(CONFIG));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["errors"], 5);
    assert_eq!(report["domains"], serde_json::Value::Null);
    let places: Vec<(u64, u64, &str)> = report["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| {
            let number = |key: &str| fault[key].as_u64().unwrap();
            (
                number("line"),
                number("column"),
                fault["key"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        places,
        [
            (1, 8, "exit"),
            (5, 9, "domain[0].domid"),
            (6, 8, "domain[0].type"),
            (8, 10, "domain[0].memory"),
            (9, 1, "domain[0].initrd"),
        ]
    );
}

#[test]
fn the_domains_of_a_good_file_are_in_the_json() {
    let files = files();
    fs::copy(
        golden("good-smallest.toml"),
        files.path().join("launch.toml"),
    )
    .unwrap();
    let output = check(files.path(), &["launch.toml", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["errors"], 0);
    assert_eq!(report["domains"][0]["domid"], 7);
    assert_eq!(report["domains"][0]["memory_mib"], 256);
    assert_eq!(
        report["domains"][0]["uuid"],
        "55d07c1f-f3df-8796-b781-73121f71c650"
    );
}

#[test]
fn paths_count_from_the_configurations_directory_not_the_users() {
    let files = files();
    fs::copy(
        golden("good-smallest.toml"),
        files.path().join("launch.toml"),
    )
    .unwrap();
    let config = files.path().join("launch.toml");
    let output = check(Path::new("/"), &[config.to_str().unwrap()]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_file_beyond_a_mebibyte_is_not_read_to_its_end() {
    let files = files();
    for name in ["/dev/zero", "large.toml"] {
        fs::write(files.path().join("large.toml"), vec![b'#'; (1 << 20) + 1]).unwrap();
        let output = check(files.path(), &[name]);
        assert_eq!(output.status.code(), Some(CONFIG), "{name}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("more than 1048576"), "{text}");
    }
}

#[test]
fn a_257th_domain_is_refused_at_its_place() {
    let files = files();
    let domain = |n: u32| {
        format!(
            "[[domain]]\nname = \"d{n}\"\ndomid = {n}\ntype = \"pvh\"\nkernel = \"vmlinuz\"\nmemory = \"1M\"\n"
        )
    };
    let config = files.path().join("launch.toml");
    let mut text: String = (1..=256).map(domain).collect();
    fs::write(&config, &text).unwrap();
    assert_eq!(check(files.path(), &["launch.toml"]).status.code(), Some(0));
    text.push_str(&domain(257));
    fs::write(&config, &text).unwrap();
    let output = check(files.path(), &["launch.toml"]);
    assert_eq!(output.status.code(), Some(CONFIG));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("more than 256 [[domain]] tables: 257"),
        "{told}"
    );
    assert!(told.contains("launch.toml:1537:1"), "{told}");
}

#[test]
fn a_missing_configuration_is_told_with_its_name() {
    let output = check(Path::new("/"), &["no/such/launch.toml"]);
    assert_eq!(output.status.code(), Some(CONFIG));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("no/such/launch.toml"), "{text}");
    assert!(text.contains("hint: "), "{text}");
}

/// Runs `domb check` with `arguments` in `directory`.
fn check(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_domb"))
        .arg("check")
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap()
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/config")
        .join(name)
}

/// The names of all configurations in `tests/config`, sorted.
fn cases() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(golden(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.strip_suffix(".toml")?.to_owned()))
        .collect();
    names.sort();
    names
}

/// A directory with the files that the configurations name.
fn files() -> TempDir {
    let directory = TempDir::new().unwrap();
    let both = kernel(&[PV_NOTE, PVH_NOTE]);
    let ramdisk = archive();
    let files: &[(&str, &[u8])] = &[
        ("vmlinuz", &both),
        ("vmlinuz-pv", &kernel(&[PV_NOTE])),
        ("vmlinuz-pvh", &kernel(&[PVH_NOTE])),
        ("vmlinuz-cut", &both[..40]),
        ("net.cpio", &ramdisk),
        ("net-cut.cpio", &ramdisk[..120]),
        (
            "launch.rhai",
            b"fn launch(facts, plan) { plan.allow_all(); plan }\n",
        ),
        (
            "slip.rhai",
            b"fn launch(facts, plan) {\n    plna.allow_all();\n    plan\n}\n",
        ),
        ("no-launch.rhai", b"fn start(facts, plan) { plan }\n"),
        ("xenpolicy", POLICY),
        ("xenpolicy-cut", &POLICY[..POLICY.len() / 2]),
        ("text", b"This is not a kernel.\n"),
        ("garbage", &[0xff; 64]),
        ("empty", b""),
    ];
    for (name, bytes) in files {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    fs::create_dir(directory.path().join("directory")).unwrap();
    let fifo = Command::new("mkfifo")
        .arg(directory.path().join("fifo"))
        .status()
        .unwrap();
    assert!(fifo.success());
    directory
}

/// A policy compiled for Xen.
const POLICY: &[u8] = include_bytes!("fixtures/flask/process.policy");
/// `XEN_ELFNOTE_XEN_VERSION`, "xen-3.0" (`xen/include/public/elfnote.h`).
const PV_NOTE: (u32, &[u8]) = (5, b"xen-3.0\0");
/// `XEN_ELFNOTE_PHYS32_ENTRY`, 1 MiB.
const PVH_NOTE: (u32, &[u8]) = (18, &[0, 0, 0x10, 0]);

/// A 64-bit ELF executable whose one segment holds Xen notes and no code.
fn kernel(notes: &[(u32, &[u8])]) -> Vec<u8> {
    let mut segment = Vec::new();
    for (kind, value) in notes {
        segment.extend(4u32.to_le_bytes());
        segment.extend((value.len() as u32).to_le_bytes());
        segment.extend(kind.to_le_bytes());
        segment.extend(b"Xen\0");
        segment.extend(*value);
        segment.resize(segment.len().next_multiple_of(4), 0);
    }
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    elf.extend(2u16.to_le_bytes()); // ET_EXEC
    elf.extend(62u16.to_le_bytes()); // EM_X86_64
    elf.extend(1u32.to_le_bytes());
    for offset in [0x10_0000u64, 64, 0] {
        elf.extend(offset.to_le_bytes()); // entry, program headers, section headers
    }
    elf.extend(0u32.to_le_bytes());
    for size in [64u16, 56, 2, 64, 0, 0] {
        elf.extend(size.to_le_bytes());
    }
    let size = segment.len() as u64;
    for kind in [1u32, 4] {
        elf.extend(kind.to_le_bytes()); // PT_LOAD, then PT_NOTE over the same bytes
        elf.extend(4u32.to_le_bytes()); // readable
        for value in [64 + 2 * 56, 0x10_0000, 0x10_0000, size, size, 4] {
            elf.extend(value.to_le_bytes());
        }
    }
    elf.extend(segment);
    elf
}

/// A newc archive of one file, `init`.
fn archive() -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in [("init", &b"\x7fELF\n"[..]), ("TRAILER!!!", b"")] {
        let fields = [
            1,
            0o100_755,
            0,
            0,
            1,
            0,
            content.len(),
            0,
            0,
            0,
            0,
            name.len() + 1,
            0,
        ];
        bytes.extend(b"070701");
        for field in fields {
            bytes.extend(format!("{field:08x}").bytes());
        }
        bytes.extend(name.bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}
