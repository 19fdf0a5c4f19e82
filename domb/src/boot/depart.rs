// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The boot domain leaves (`exit = "domain"`): it hands its records to the
//! control domain, gives memory back where it is to stay as an empty shell,
//! says that it has left, and halts.
//!
//! The hardware domain has the machine by now: this halt ends domain 0 and
//! nothing else. Halt and not power-off, which would go through ACPI. A boot
//! domain that ends without having said that it left is taken for dead by
//! `domb adopt`, which restarts the machine.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use domb_core::config::Reclaim;
use xenlight::Store;

use super::{CONFIGURATION, REPORT, failed_to_leave, power, tell};
use crate::bundle::{self, FLASK_POLICY, STATE};
use crate::code::Code;
use crate::console;
use crate::exit::Exit;
use crate::fault::{self, Moment};
use crate::handoff::HandedOff;
use crate::launch::Next;
use crate::memory;

const EVENT_LOG: &str = "/run/domb/eventlog";
const ARTEFACTS: &str = "/domb/artefacts";
const LIBXL_RECORDS: &str = "/var/lib/xen";
/// Linux' balloon (`drivers/xen/xen-balloon.c`).
const BALLOON: &str = "/sys/devices/system/xen_memory/xen_memory0";
/// What Linux keeps of what it could give back; with less it panics before it
/// halts.
const MARGIN_KIB: u64 = 64 * 1024;
const BALLOON_DEADLINE: Duration = Duration::from_secs(30);

/// Holding one proves that a platform was handed over, that its records are
/// with the control domain, and that the control domain was told that nothing
/// more is to come from here.
struct Departed(HandedOff);

/// Comes back only when the kernel refuses to halt.
pub(super) fn depart(handed_off: HandedOff, next: &Next) -> Exit {
    fault::at(Moment::HandedOff);
    match leave_records(handed_off, next) {
        Ok(departed) => halt(departed),
        Err(error) => {
            failed_to_leave(Code::Records);
            tell(&error);
            console::line(
                "exit",
                "not left in order: the control domain restarts the machine",
            );
            power::halt()
        }
    }
}

fn halt(Departed(HandedOff { domains, .. }): Departed) -> Exit {
    fault::at(Moment::Departed);
    console::line("exit", &format!("{domains} domains have the machine"));
    console::line("exit", "the boot domain halts (domain)");
    power::halt()
}

fn leave_records(handed_off: HandedOff, next: &Next) -> Result<Departed, Error> {
    let store = Store::open()?;
    let mut files = vec![read(Path::new(CONFIGURATION))?, read(Path::new(REPORT))?];
    // There is none where a launch that need not be measured was not.
    if Path::new(EVENT_LOG).exists() {
        files.push(read(Path::new(EVENT_LOG))?);
    }
    if let Some(policy) = &next.flask_policy {
        let bytes = policy.read().map_err(Error::file(FLASK_POLICY))?;
        files.push((FLASK_POLICY.to_owned(), bytes));
    }
    let records = fs::read_dir(LIBXL_RECORDS).map_err(Error::file(LIBXL_RECORDS))?;
    for entry in records {
        let entry = entry.map_err(Error::file(LIBXL_RECORDS))?;
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("userdata-d.")
        {
            files.push(read(&entry.path())?);
        }
    }
    bundle::leave(&store, &files)?;
    let word = match next.reclaim {
        Reclaim::Destroy => "left destroy",
        Reclaim::Balloon => {
            drop_artefacts();
            let kib = shrink().map_err(Error::file(BALLOON))?;
            console::line(
                "exit",
                &format!("{} MiB stay with the boot domain", kib / 1024),
            );
            "left balloon"
        }
    };
    store.write(STATE, word.as_bytes())?;
    Ok(Departed(handed_off))
}

fn read(path: &Path) -> Result<(String, Vec<u8>), Error> {
    let bytes = fs::read(path).map_err(Error::file(&path.display().to_string()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok((name.into_owned(), bytes))
}

/// The image's artefacts are in memory, and nobody reads them any more.
fn drop_artefacts() {
    if let Err(error) = fs::remove_dir_all(ARTEFACTS) {
        console::line("exit", &format!("{ARTEFACTS} stays: {error}"));
    }
}

/// Gives memory back until no more goes; the KiB that stay.
fn shrink() -> io::Result<u64> {
    let balloon = Path::new(BALLOON);
    let kib = |path: &Path| -> io::Result<u64> {
        let text = fs::read_to_string(path)?;
        Ok(text
            .trim()
            .parse()
            .map_err(|_| io::ErrorKind::InvalidData)?)
    };
    let current = balloon.join("info/current_kb");
    let spare = memory::available_kib()?.saturating_sub(MARGIN_KIB);
    let floor = kib(&current)?.saturating_sub(spare);
    fs::write(balloon.join("target_kb"), floor.to_string())?;
    let began = Instant::now();
    loop {
        let now = kib(&current)?;
        if now <= floor || began.elapsed() > BALLOON_DEADLINE {
            return Ok(now);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("hand the records over to the control domain")]
    Store(#[from] xenlight::Error),
    #[error("read {path}")]
    File { path: String, source: io::Error },
}

impl Error {
    fn file(path: &str) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    }
}
