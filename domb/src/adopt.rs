// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb adopt`, in the control domain: says that consoles are served, watches
//! the boot domain until it has left, puts its records where `xl` and people
//! look for them, and reclaims domain 0 as configured. Doing it again changes
//! nothing.
//!
//! While the boot domain is at work, it alone knows whether the platform is
//! whole. If it ends or stops without having left, the machine is restarted:
//! a platform that was built in part does not stay.

mod watch;

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use xenlight::{Hypervisor, RunState, Store};

use crate::bundle::{self, FLASK_POLICY, STATE};
use crate::exit::Exit;
use crate::report::{self, Report};
use crate::watching;

/// What `domb adopt` is asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the boot report and the event log go.
    pub directory: PathBuf,
    /// How long the boot domain may take from one step to the next until it has left,
    /// beside what a domain may take to be ready.
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
    let hypervisor = watching::hypervisor()?;
    let store = Store::open()?;
    let reclaim = watch::await_departure(&store, options.wait)?;
    let files = bundle::found(&store)?;
    forget_others(&options.directory, &files)?;
    for (name, bytes) in files {
        let records = Path::new("/var/lib/xen");
        // libxl keeps its records from everybody else: they can have passwords.
        let (directory, mode) = match name.starts_with("userdata-") {
            true => (records, 0o600),
            false => (options.directory.as_path(), 0o644),
        };
        place(directory, &name, &bytes, mode)?;
        println!("adopted {name} ({} bytes)", bytes.len());
        if name == REPORT
            && let Some(order) = shutdown_order(&bytes)
        {
            println!("to be shut down in this order: {order}");
        }
    }
    reclaim_boot_domain(&hypervisor, &reclaim)
}

/// Removes what an earlier boot left and this one did not: nobody shall take it for
/// this platform's.
fn forget_others(directory: &Path, files: &[(String, Vec<u8>)]) -> Result<(), Error> {
    for name in ["launch.toml", FLASK_POLICY, REPORT, "eventlog"] {
        let path = directory.join(name);
        let left = files.iter().any(|(other, _)| other == name);
        if !left && path.exists() {
            fs::remove_file(&path).map_err(Error::file(&path))?;
        }
    }
    Ok(())
}

/// Writes the file whole or not at all.
fn place(directory: &Path, name: &str, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let (path, partial) = (
        directory.join(name),
        directory.join(format!(".{name}.partial")),
    );
    fs::create_dir_all(directory).map_err(Error::file(directory))?;
    let mut file = OpenOptions::new();
    file.write(true).create(true).truncate(true).mode(mode);
    file.open(&partial)
        .and_then(|mut file| {
            // The file may be one that an interrupted run left.
            file.set_permissions(Permissions::from_mode(mode))?;
            file.write_all(bytes)
        })
        .map_err(Error::file(&partial))?;
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
    #[error("the boot domain did not leave: the machine restarts")]
    Died,
    #[error(
        "/tool/xenstored/domid in XenStore says {text:?}, which is no domain\nhint: the boot domain of exit = \"domain\" writes it when it has built the xenstore domain"
    )]
    NoStore { text: String },
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
