// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Boots of their own, with domb as the first init: the largest launch that
//! is promised, an image that was changed after it was made, and a launch
//! that nobody allows.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{ensure, example, same_domains};
use crate::archive::{Archive, patch};
use crate::bench::Bench;
use crate::boot::{Boot, Case, End};
use crate::error::{Error, Result};
use crate::root;

/// 16 PV domains of 96 MiB.
#[must_use]
pub fn sixteen() -> Boot {
    Boot {
        name: "sixteen",
        prepare: |bench, name, _| {
            let domains: Vec<String> = (0..16)
                .map(|n| domain(&sixteenth(n).0, sixteenth(n).1))
                .collect();
            let image = image(bench, name, "halt", &domains.concat(), None)?;
            Ok(bench.machine(name, &image))
        },
        end: End::PowerOff,
        cases: vec![Case::of_boot(
            "sixteen-domains-stand-and-beat",
            |_, outcome| {
                let names: Vec<_> = (0..16).map(sixteenth).collect();
                let expected: Vec<(&str, u16)> = names
                    .iter()
                    .map(|(name, id)| (name.as_str(), *id))
                    .collect();
                same_domains(outcome.finally.iter(), &expected)?;
                for (name, domid) in expected {
                    let beats = outcome.heartbeats(domid, name, Duration::ZERO);
                    ensure(beats >= 1, || format!("no heartbeat of {name}"))?;
                }
                Ok(())
            },
        )],
    }
}

/// One bit of the ramdisk is turned inside the finished image.
#[must_use]
pub fn tampered() -> Boot {
    Boot {
        name: "tampered",
        prepare: |bench, name, _| {
            let image = image(bench, name, "continue", &domain("net", 7), None)?;
            let path = entry_like(&image, &bench.ramdisk)?;
            let changed = image.with_file_name("changed.img");
            patch(&image, &changed, &path, |bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            })?;
            Ok(bench.machine(name, &changed))
        },
        end: End::PowerOff,
        cases: vec![Case::of_boot(
            "a-changed-ramdisk-in-the-image-starts-nothing",
            |_, outcome| {
                let report = outcome.report()?;
                ensure(report["exit_code"] == 4, || {
                    format!("the report is {report}")
                })?;
                outcome.find(&["domb: cause", "heartbeat.cpio"])?;
                same_domains(outcome.finally.iter(), &[])
            },
        )],
    }
}

/// The script denies everything and the configuration says to go on: the
/// control domain finds the report, and the PCR tells that it was refused.
#[must_use]
pub fn denied() -> Boot {
    Boot {
        name: "denied",
        prepare: |bench, name, _| {
            let image = image(bench, name, "continue", &domain("net", 7), Some(DENY_ALL))?;
            Ok(bench.machine(name, &image))
        },
        end: End::PowerOff,
        cases: vec![Case::of_boot(
            "deny-all-is-what-the-pcr-says",
            |bench, outcome| {
                let report = outcome.report()?;
                ensure(report["exit_code"] == 7, || {
                    format!("the report is {report}")
                })?;
                same_domains(outcome.finally.iter(), &[])?;
                let prediction = bench.predict(&outcome.directory)?;
                let refused = example::way(&prediction, "refused")?;
                let value = outcome.pcrs.get(&("sha256".to_owned(), example::PCR));
                let expected = refused["sha256"].as_str();
                ensure(expected == value.map(String::as_str), || {
                    format!("{value:?} in the TPM, {expected:?} predicted")
                })
            },
        )],
    }
}

/// The script denies everything and the configuration says to halt then.
#[must_use]
pub fn refused() -> Boot {
    Boot {
        name: "refused",
        prepare: |bench, name, _| {
            let image = image(bench, name, "halt", &domain("net", 7), Some(DENY_ALL))?;
            Ok(bench.machine(name, &image))
        },
        end: End::Line("halting machine"),
        cases: vec![Case::of_boot("deny-all-halts-the-machine", |_, outcome| {
            outcome.find(&["domb: FAILED", "exit code 7"])?;
            outcome.find(&["domb:", "not on this machine"])?;
            let started = outcome
                .lines
                .iter()
                .find(|line| line.text.contains("control: up"));
            ensure(started.is_none(), || {
                "the control domain's init was started".to_owned()
            })
        })],
    }
}

const DENY_ALL: &str = "fn launch(facts, plan) { plan.deny_all(\"not on this machine\"); plan }\n";

fn sixteenth(number: u16) -> (String, u16) {
    (format!("d{number:02}"), 10 + number)
}

fn domain(name: &str, domid: u16) -> String {
    super::domain_from(name, domid, "vmlinuz", "heartbeat.cpio", "")
}

fn image(
    bench: &Bench,
    name: &str,
    after_failure: &str,
    domains: &str,
    script: Option<&str>,
) -> Result<std::path::PathBuf> {
    let dir = bench.directory(name)?;
    let mut config = format!("exit = \"process\"\nafter_failure = \"{after_failure}\"\n");
    if let Some(script) = script {
        config.push_str("script = \"launch.rhai\"\n");
        write(&dir.join("launch.rhai"), script)?;
    }
    config.push_str(
        "[measure]\ntpm = \"required\"\n[control]\nramdisk = \"control.cpio\"\ninit = \"/init\"\n",
    );
    config.push_str(domains);
    write(&dir.join("launch.toml"), &config)?;
    root::control_root(&[])?.write(&dir.join("control.cpio"))?;
    Ok(bench.image(&dir)?.0)
}

/// The name of the image's entry with the same bytes as `file`.
fn entry_like(image: &Path, file: &Path) -> Result<String> {
    let bytes = fs::read(file).map_err(Error::file("read", file))?;
    let archive = Archive::read(image)?;
    let found = archive
        .names()
        .find(|name| archive.get(name) == Some(bytes.as_slice()));
    found.map(str::to_owned).ok_or_else(|| Error::Archive {
        doing: format!("find the bytes of {}", file.display()),
        path: image.to_owned(),
        reason: "no entry has them".to_owned(),
    })
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(Error::file("write", path))
}
