// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The role sets of `xen-config/roles`, booted as they are shipped. Those that
//! have a boot of their own here; others are what another boot is made of.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use super::ensure;
use crate::archive::Archive;
use crate::bench::Bench;
use crate::boot::{Boot, Case, End};
use crate::error::{Error, Result};
use crate::host;
use crate::machine::MachineSpec;
use crate::outcome::Outcome;

/// Copies `xen-config/<set>` beside its artefacts, makes the image and a
/// machine whose domain 0 has the memory that the set says it has.
pub fn prepare(
    bench: &Bench,
    name: &str,
    set: &str,
    control: Option<&Archive>,
) -> Result<MachineSpec> {
    prepare_as(bench, name, set, control, &[], |text| text)
}

/// [`prepare`], with further files beside the configuration, and the
/// configuration changed.
pub fn prepare_as(
    bench: &Bench,
    name: &str,
    set: &str,
    control: Option<&Archive>,
    files: &[&Path],
    change: impl Fn(String) -> String,
) -> Result<MachineSpec> {
    let dir = bench.directory(name)?;
    let source = host::repository().join("xen-config").join(set);
    for entry in fs::read_dir(&source).map_err(Error::file("read", &source))? {
        let from = entry.map_err(Error::file("read", &source))?.path();
        let to = dir.join(from.file_name().unwrap_or_default());
        fs::copy(&from, &to).map_err(Error::file("write", &to))?;
    }
    for file in files {
        let to = dir.join(file.file_name().unwrap_or_default());
        fs::copy(file, to).map_err(Error::file("copy", file))?;
    }
    let config = dir.join("launch.toml");
    let text = fs::read_to_string(&config).map_err(Error::file("read", &config))?;
    let text = change(text);
    fs::write(&config, &text).map_err(Error::file("write", &config))?;
    let guest = dir.join("guest.cpio");
    symlink(&bench.ramdisk, &guest).map_err(Error::file("link", &guest))?;
    if let Some(control) = control {
        control.write(&dir.join("control.cpio"))?;
    }
    let (image, said) = bench.image(&dir)?;
    let parts = dir.join("image.txt");
    fs::write(&parts, said).map_err(Error::file("write", &parts))?;
    let mut machine = bench.machine(name, &image);
    machine.dom0_memory_mib = dom0_memory(&text)?;
    Ok(machine)
}

/// Two domains, and a domain 0 in which nothing can be started.
#[must_use]
pub fn static_standard() -> Boot {
    Boot {
        name: "static-standard",
        prepare: |bench, name, _| prepare(bench, name, "roles/static-standard", None),
        end: End::Line("domain 0 stays, asleep"),
        cases: vec![Case::of_boot(
            "its-domains-start-in-order-and-domain-0-sleeps",
            asleep,
        )],
    }
}

fn asleep(_: &Bench, outcome: &Outcome) -> Result<()> {
    let mut last = Duration::ZERO;
    for words in [
        ["domb: build", "2 domains built, paused"],
        ["domb: handoff", "sensor started"],
        ["domb: handoff", "control-loop started"],
        ["domb: handoff", "2 domains running"],
        ["domb: exit", "no [control] is configured"],
    ] {
        let at = outcome.find(&words)?.at;
        ensure(at >= last, || format!("{words:?} came too early"))?;
        last = at;
    }
    Ok(())
}

/// The MiB of `dom0_mem` in the configuration's `xen_cmdline`.
fn dom0_memory(config: &str) -> Result<u32> {
    let amount = config.split_once("dom0_mem=").and_then(|(_, rest)| {
        let digits = rest.split_once('M')?.0;
        digits.parse().ok()
    });
    amount.ok_or_else(|| Error::Untrue("the role set says no dom0_mem in MiB".to_owned()))
}
