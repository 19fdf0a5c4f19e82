// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb adopt`, in the control domain: says that consoles are served, watches
//! the boot domain until it has left, puts its records where `xl` and people
//! look for them, and reclaims domain 0 as configured. Doing it again changes
//! nothing.
//!
//! While the boot domain is at work, it alone knows whether the platform is
//! whole. If it ends or stops without having left, the machine is restarted:
//! a platform that was built in part does not stay.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use xenlight::{Hypervisor, Level, Logger, RunState, Store};

use crate::bundle::{self, READINESS, STATE, Said};
use crate::exit::Exit;
use crate::report::{self, Report};

/// What `domb adopt` is asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the boot report and the event log go.
    pub directory: PathBuf,
    /// How long the boot domain may take to leave.
    pub wait: Duration,
}

/// The verb.
#[must_use]
pub fn command(options: &Options) -> Exit {
    match run(options) {
        Ok(()) => Exit::Success,
        Err(error) => {
            eprintln!("error: {}", report::chain(&error).join(": "));
            if let Some(hint) = report::hint(&error) {
                eprintln!("hint: {hint}");
            }
            Exit::HandOff
        }
    }
}

fn run(options: &Options) -> Result<(), Error> {
    let log = Path::new("/dev/null"); // what libxenctrl says is in the errors
    let file = OpenOptions::new()
        .write(true)
        .open(log)
        .map_err(Error::file(log))?;
    let logger = Logger::new(file, Level::Error).map_err(Error::file(log))?;
    let hypervisor = Hypervisor::open(logger)?;
    let store = Store::open()?;
    store.write(READINESS, b"ready")?;
    let reclaim = await_departure(&store, &hypervisor, options.wait)?;
    for (name, bytes) in bundle::found(&store)? {
        let records = Path::new("/var/lib/xen");
        let directory = if name.starts_with("userdata-") {
            records
        } else {
            &options.directory
        };
        place(directory, &name, &bytes)?;
        println!("adopted {name} ({} bytes)", bytes.len());
        if name == REPORT
            && let Some(order) = shutdown_order(&bytes)
        {
            println!("to be shut down in this order: {order}");
        }
    }
    reclaim_boot_domain(&hypervisor, &reclaim)
}

/// What is to become of the boot domain, as it said when it left.
fn await_departure(
    store: &Store,
    hypervisor: &Hypervisor,
    wait: Duration,
) -> Result<String, Error> {
    let began = Instant::now();
    loop {
        // Asked for before what it said is read: it halts after it has said it.
        let boot_domain = hypervisor.domain(BOOT_DOMAIN)?;
        let runs = boot_domain.is_some_and(|it| !matches!(it.state, RunState::Shutdown(_)));
        let text = store.read_text(STATE)?.unwrap_or_default();
        let hardware = match Said::read(&text) {
            Some(Said::Left(reclaim)) => return Ok(reclaim),
            Some(Said::Building(hardware)) => hardware,
            None => return Err(Error::NotDomb { text }),
        };
        if !runs || began.elapsed() > wait {
            println!(
                "the boot domain has not left, and {}",
                if runs { "waits" } else { "has ended" }
            );
            println!("restarting the machine: the platform may not be whole");
            hypervisor.restart_machine(hardware)?;
            return Err(Error::Died);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Writes the file whole or not at all.
fn place(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let (path, partial) = (
        directory.join(name),
        directory.join(format!(".{name}.partial")),
    );
    fs::create_dir_all(directory).map_err(Error::file(directory))?;
    fs::write(&partial, bytes).map_err(Error::file(&partial))?;
    fs::rename(&partial, &path).map_err(Error::file(&path))
}

/// What the boot report says of it; a report of another version may say nothing.
fn shutdown_order(report: &[u8]) -> Option<String> {
    let report: Report = serde_json::from_slice(report).ok()?;
    Some(report.shutdown_order.join(", ")).filter(|order| !order.is_empty())
}

fn reclaim_boot_domain(hypervisor: &Hypervisor, reclaim: &str) -> Result<(), Error> {
    let free = || {
        hypervisor
            .platform()
            .map(|platform| platform.free_memory_mib)
    };
    let began = Instant::now();
    loop {
        match hypervisor
            .domain(BOOT_DOMAIN)?
            .map(|domain| (domain.state, domain.memory_kib))
        {
            None => {
                println!("domain 0 is gone; Xen has {} MiB free", free()?);
                return Ok(());
            }
            Some((RunState::Shutdown(_), kib)) if reclaim == "destroy" => {
                let before = free()?;
                hypervisor.destroy(BOOT_DOMAIN)?;
                println!("destroyed domain 0, which had {} MiB", kib / 1024);
                println!("Xen had {before} MiB free, now has {}", free()?);
                return Ok(());
            }
            Some((RunState::Shutdown(_), kib)) => {
                println!(
                    "domain 0 has halted and keeps {} MiB; Xen has {} MiB free",
                    kib / 1024,
                    free()?
                );
                return Ok(());
            }
            Some(_) if began.elapsed() > HALT_DEADLINE => {
                return Err(Error::Stays);
            }
            Some(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

const BOOT_DOMAIN: u16 = 0;
const REPORT: &str = "report.json";
const HALT_DEADLINE: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Xen(#[from] xenlight::Error),
    #[error(transparent)]
    Bundle(#[from] bundle::Error),
    #[error("write {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the boot domain has left and does not halt")]
    Stays,
    #[error("the boot domain ended before it left")]
    Died,
    #[error(
        "{STATE} in XenStore says {text:?}, which is nothing of a boot domain\nhint: `domb adopt` runs in the control domain of a platform with exit = \"domain\""
    )]
    NotDomb { text: String },
}

impl Error {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::File { path, source }
    }
}
