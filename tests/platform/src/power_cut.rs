// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The power-cut drill: the machine loses its power at each phase boundary,
//! QEMU and the TPM killed without a word, and is switched on again with the TPM
//! and the disk it had. The next boot must be as if nothing had happened: all
//! domains stand, and the PCR has the value that was predicted.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::bench::Bench;
use crate::boot::{self, End};
use crate::cases::{departure, ensure, example};
use crate::drill::told;
use crate::error::{Error, Result};
use crate::machine::MachineSpec;
use crate::outcome::Outcome;

/// Where the power fails: a name, and the line it fails at.
const CUTS: [(&str, &str); 11] = [
    ("boot", "domb: boot "),
    ("measuring", "artefacts sealed"),
    ("measured", "events in PCR"),
    ("decided", "domains may start"),
    ("store", "serves XenStore after"),
    ("built", "domains built, paused"),
    ("control", "the control domain is ready"),
    ("hardware", "Initialising hardware domain"),
    ("running", "domains running"),
    ("halted", departure::HALTS),
    ("up", "control: up"),
];

/// Cuts and boots again, once for each cut whose name contains `filter`.
pub fn cuts(bench: &Bench, filter: &str) -> Result<bool> {
    let mut good = true;
    for (name, line) in CUTS.iter().filter(|(name, _)| name.contains(filter)) {
        good &= told(&format!("power cut at {name}"), || cut(bench, name, line));
    }
    Ok(good)
}

fn cut(bench: &Bench, name: &str, line: &str) -> Result<String> {
    let name = format!("cut-{name}");
    // Short: there is a socket in it.
    let tpm = tempfile::tempdir().map_err(Error::file("create", "a directory in /tmp"))?;
    let mut spec = departure::prepare(bench, &name, &[])?;
    spec.tpm_state = Some(tpm.path().to_owned());
    let mut machine = spec.start(&bench.work)?;
    let at = machine.serial.wait_for(line, BOOT)?.at;
    drop(machine);
    let state = state(tpm.path())?;
    ensure(state > 0, || "the TPM kept nothing".to_owned())?;

    let outcome = again(bench, &spec)?;
    for check in [
        departure::stand,
        departure::labelled,
        departure::reclaimed,
        departure::drives,
        example::predicted,
    ] {
        check(bench, &outcome)?;
    }
    let up = outcome.find(&["control: up"])?.at;
    Ok(format!(
        "after {} s; the next boot stands after {} s, PCR {} as predicted",
        at.as_secs(),
        up.as_secs(),
        example::PCR
    ))
}

/// The same machine, switched on again.
fn again(bench: &Bench, spec: &MachineSpec) -> Result<Outcome> {
    let mut machine = spec.start(&bench.work)?;
    boot::follow(&mut machine, End::PowerOff, 0)?;
    Ok(Outcome::read(
        machine.serial.lines(),
        &bench.work.join(&spec.name),
    ))
}

/// Bytes of what swtpm keeps of a TPM 2.0 without power.
fn state(directory: &Path) -> Result<u64> {
    let file = directory.join("tpm2-00.permall");
    let metadata = fs::metadata(&file).map_err(Error::file("read", &file))?;
    Ok(metadata.len())
}

const BOOT: Duration = Duration::from_secs(900);
