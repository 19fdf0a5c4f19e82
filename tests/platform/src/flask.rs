// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a boot with labels is made from: the hypervisor that enforces them,
//! one of the policies of `policy/flask`, and the probe that tries what they
//! forbid. The first two are built by the scripts that users have.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::archive::Archive;
use crate::bench::Bench;
use crate::error::{Error, Result};
use crate::host;
use crate::machine::MachineSpec;
use crate::root;

/// The script builds one Xen at a time.
static BUILDING: Mutex<()> = Mutex::new(());

/// The hypervisor of `scripts/build-xen` as an ELF file; only the first call
/// has to build it.
pub fn xen(work: &Path) -> Result<PathBuf> {
    let _one = BUILDING.lock().expect("no thread panics while it builds");
    let said = host::run(&mut script("build-xen"))?;
    let built = Path::new(said.lines().last().unwrap_or_default()).join("xen.gz");
    let xen = work.join("xen-flask.elf");
    host::gunzip(&built, &xen)?;
    Ok(xen)
}

/// Policy `which` of `scripts/build-policy`, with the tests' own labels, for
/// the boot `name`: `xenpolicy-<which>`.
pub fn policy(bench: &Bench, name: &str, which: &str) -> Result<PathBuf> {
    let dir = bench.work.join(format!("{name}-policy"));
    let own = [
        "tests/platform/labels/labels.te",
        "xen-config/roles/classic-cloud/labels.te",
    ];
    policy_with(which, &dir, &own)
}

/// Policy `which` with these rules, in the directory `dir`.
pub fn policy_with(which: &str, dir: &Path, rules: &[&str]) -> Result<PathBuf> {
    let mut build = script("build-policy");
    build.arg(which);
    for rules in rules {
        build.args(["--with", rules]);
    }
    host::run(build.env("DOMB_POLICY_DIR", dir))?;
    Ok(dir.join(format!("xenpolicy-{which}")))
}

/// The same machine with that Xen, enforcing this policy.
pub fn enforcing(bench: &Bench, mut machine: MachineSpec, policy: PathBuf) -> Result<MachineSpec> {
    machine.xen = xen(&bench.work)?;
    machine.xen_cmdline.push("flask=enforcing".to_owned());
    machine.modules.push(policy);
    Ok(machine)
}

/// The static program of `labels/probe.c`.
pub fn probe(dir: &Path) -> Result<Vec<u8>> {
    let to = dir.join("probe");
    let source = host::repository().join("tests/platform/labels/probe.c");
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o"]);
    host::run(cc.arg(&to).arg(source))?;
    fs::read(&to).map_err(Error::file("read", &to))
}

/// The ramdisk of a guest that first probes domain 7 or an interrupt, then
/// beats.
pub fn prober(bench: &Bench, dir: &Path, salt: &str) -> Result<Archive> {
    let mut archive = root::guest_ramdisk(salt)?;
    let module = &bench.parts.xen_modules()[0];
    archive
        .file("bin/probe", 0o755, probe(dir)?)
        .copy(module, "lib/xen-privcmd.ko", 0o644)?;
    Ok(archive)
}

fn script(name: &str) -> Command {
    let root = host::repository();
    let mut command = Command::new(root.join("scripts").join(name));
    command.current_dir(root);
    command
}
