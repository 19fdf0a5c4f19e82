// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A toolstack whose XenStore is a domain that it builds.
//!
//! Until that domain serves, only the hypervisor is asked: libxl needs a
//! store, and whoever touches `/dev/xen/xenbus` too early hangs for ever. The
//! domain says on its console when it serves; that is read from its page.
//! After that everything is libxl's, over the kernel's ring to that domain.
//!
//! The domain's ramdisk is made of the files of the boot domain's own image
//! and of nothing else: it is measured with that image, by whoever starts it.

use std::cell::{OnceCell, RefCell};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use domb_core::config::{DomainConfig, Role};
use domb_core::policy::PlatformFacts;
use domb_core::units::Domid;
use xenlight::{Hypervisor, Level, Logger, StoreDomain, StoreDomainSpec};

use super::store_role::{FAILED, Orders, READY};
use super::{LIBXL_LOG, daemons};
use crate::console;
use crate::image::archive::Tree;
use crate::in_force::InForce;
use crate::libxl::{self, Libxl};
use crate::manifest::Manifest;
use crate::report::chain;
use crate::sealed::Sealed;
use crate::toolstack::{Error, State, Toolstack};

/// Its kernel starts in 2 s under emulation; a busy machine takes longer.
const DEADLINE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(5);
const SOCKET: &str = "/run/xenstored/socket";
const LOG: &str = "/run/domb/xenctrl.log";

/// libxl, from the moment the xenstore domain serves.
pub(super) struct StoreToolstack {
    hypervisor: Hypervisor,
    manifest: Manifest,
    served: OnceCell<Served>,
}

/// A XenStore that answers, and all that needs one.
struct Served {
    domid: Domid,
    libxl: Libxl,
    domain: RefCell<StoreDomain>,
    _xenconsoled: Child,
}

impl StoreToolstack {
    /// Opens the hypervisor's interface; no XenStore is needed for that.
    pub(super) fn open(manifest: Manifest) -> Result<StoreToolstack, Error> {
        let log = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(LOG);
        let logger = log
            .and_then(|file| Logger::new(file, Level::Detail))
            .map_err(|error| failed(format!("cannot write {LOG}: {error}")))?;
        let hypervisor = Hypervisor::open(logger)?;
        Ok(StoreToolstack {
            hypervisor,
            manifest,
            served: OnceCell::new(),
        })
    }

    fn libxl(&self) -> Result<&Libxl, Error> {
        match self.served.get() {
            Some(served) => Ok(&served.libxl),
            None => Err(failed(
                "there is no XenStore: the xenstore domain was not built\n\
                 hint: a launch script that denies it denies every domain"
                    .to_owned(),
            )),
        }
    }

    /// Builds the xenstore domain, lets it run, and waits until it serves.
    fn serve(&self, domain: &DomainConfig, kernel: &Path) -> Result<Served, Error> {
        let ramdisk = ramdisk(&self.manifest)
            .map_err(|error| failed(format!("make the xenstore domain's ramdisk: {error}")))?;
        let (domid, name) = (domain.domid.value(), domain.name.to_string());
        let spec = StoreDomainSpec {
            domid,
            uuid: domain.uuid.0,
            memory_mib: u32::try_from(domain.memory.0).unwrap_or(u32::MAX),
            kernel,
            ramdisk: &ramdisk.path(),
            seclabel: domain.seclabel.as_deref(),
        };
        let mut built = self.hypervisor.create_store_domain(&spec, |ring| {
            let orders = Orders {
                domid,
                name,
                ring,
                privileged: 0,
            };
            format!(
                "{} console=hvc0 quiet -- {}",
                domain.cmdline,
                orders.words()
            )
        })?;
        match self.start(&mut built, domain) {
            Ok((libxl, xenconsoled)) => Ok(Served {
                domid: domain.domid,
                libxl,
                domain: RefCell::new(built),
                _xenconsoled: xenconsoled,
            }),
            Err(error) => {
                if let Err(remains) = self.hypervisor.destroy(domid) {
                    let remains = chain(&remains).join(": ");
                    console::line(
                        "undo",
                        &format!("could not destroy {}: {remains}", domain.name),
                    );
                }
                Err(error)
            }
        }
    }

    fn start(
        &self,
        built: &mut StoreDomain,
        domain: &DomainConfig,
    ) -> Result<(Libxl, Child), Error> {
        let label = self
            .hypervisor
            .domain(built.domid())?
            .and_then(|it| it.seclabel);
        if domain.seclabel.is_some() && label != domain.seclabel {
            let real = label.unwrap_or_default();
            return Err(failed(format!(
                "the xenstore domain has the label {real:?}, not its own"
            )));
        }
        let began = Instant::now();
        self.hypervisor.unpause(built.domid())?;
        self.await_ready(built)?;
        let milliseconds = began.elapsed().as_millis();
        console::line(
            "build",
            &format!("{} serves XenStore after {milliseconds} ms", domain.name),
        );
        // libxenstore looks for a socket first, and waits for one that is missing.
        symlink("/dev/xen/xenbus", SOCKET)
            .map_err(|error| failed(format!("link {SOCKET} to /dev/xen/xenbus: {error}")))?;
        let xenconsoled = daemons::xenconsoled(&self.manifest)
            .map_err(|error| failed(chain(&error).join(": ")))?;
        Ok((Libxl::open(Path::new(LIBXL_LOG))?, xenconsoled))
    }

    fn await_ready(&self, domain: &mut StoreDomain) -> Result<(), Error> {
        let deadline = Instant::now() + DEADLINE;
        let mut said = String::new();
        loop {
            said.push_str(&String::from_utf8_lossy(&domain.console()));
            if said.lines().any(|line| line.trim_end() == READY) {
                return Ok(());
            }
            if said.lines().any(|line| line.starts_with(FAILED)) && said.ends_with('\n') {
                return Err(silent("cannot serve", &said));
            }
            let state = self.state_by_number(domain.domid())?;
            if state != State::Running {
                return Err(silent(&format!("is {state:?} before it serves"), &said));
            }
            if Instant::now() > deadline {
                return Err(silent("does not serve within 120 s", &said));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn state_by_number(&self, domid: u16) -> Result<State, Error> {
        Ok(libxl::state(self.hypervisor.domain(domid)?))
    }

    fn is_store(&self, domid: Domid) -> bool {
        self.served
            .get()
            .is_some_and(|served| served.domid == domid)
    }
}

impl Toolstack for StoreToolstack {
    fn platform(&self) -> Result<PlatformFacts, Error> {
        let platform = self.hypervisor.platform()?;
        let version = self.hypervisor.version()?;
        Ok(libxl::facts(&platform, version, self.hypervisor.flask()?))
    }

    fn create(
        &self,
        domain: &DomainConfig,
        kernel: &Path,
        ramdisk: Option<&Path>,
    ) -> Result<(), Error> {
        if !domain.has_role(Role::Xenstore) {
            return self.libxl()?.create(domain, kernel, ramdisk);
        }
        let served = self.serve(domain, kernel)?;
        self.served
            .set(served)
            .map_err(|_| failed("there is a xenstore domain already".to_owned()))
    }

    fn unpause(&self, domid: Domid) -> Result<(), Error> {
        // The xenstore domain runs since libxl needed it.
        if self.is_store(domid) {
            Ok(())
        } else {
            self.libxl()?.unpause(domid)
        }
    }

    fn state(&self, domid: Domid) -> Result<State, Error> {
        self.state_by_number(domid.value())
    }

    fn destroy(&self, domid: Domid) -> Result<(), Error> {
        if self.is_store(domid) {
            return Ok(self.hypervisor.destroy(domid.value())?);
        }
        self.libxl()?.destroy(domid)
    }

    fn console_tail(&self, domid: Domid) -> Vec<String> {
        let Some(served) = self.served.get() else {
            return Vec::new();
        };
        if domid != served.domid {
            return served.libxl.console_tail(domid);
        }
        let text = served.domain.borrow_mut().console();
        String::from_utf8_lossy(&text)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    fn flask(&self) -> Option<&dyn InForce> {
        Some(&self.hypervisor)
    }
}

/// The xenstore domain's ramdisk: domb as init, the daemons, their libraries,
/// the kernel modules and the manifest, as they are in this domain's root.
fn ramdisk(manifest: &Manifest) -> io::Result<Sealed> {
    let mut tree = Tree::default();
    for directory in [
        "/dev",
        "/proc",
        "/run",
        "/sys",
        "/tmp",
        "/var/lib/xenstored",
    ] {
        tree.directory(directory, 0o755);
    }
    tree.symlink("/var/run", "/run");
    tree.character_device("/dev/console", 0o600, 5, 1);
    tree.file("/init", 0o755, fs::read("/init")?);
    tree.file(super::MANIFEST, 0o644, fs::read(super::MANIFEST)?);
    for daemon in [&manifest.xenstored, &manifest.xenconsoled] {
        tree.file(daemon, 0o755, fs::read(daemon)?);
    }
    for directory in ["/lib", "/lib64", "/usr/lib"] {
        add(&mut tree, Path::new(directory))?;
    }
    Sealed::new("xenstore-domain.cpio", &tree.write(Vec::new())?)
}

/// Everything below `directory` that is a file or a link.
fn add(tree: &mut Tree<'_>, directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let name = path.to_string_lossy();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            add(tree, &path)?;
        } else if kind.is_symlink() {
            tree.symlink(&name, fs::read_link(&path)?.to_string_lossy().into_owned());
        } else if kind.is_file() {
            tree.file(&name, 0o755, fs::read(&path)?);
        }
    }
    Ok(())
}

fn failed(text: String) -> Error {
    Error {
        text,
        log: Vec::new(),
    }
}

fn silent(how: &str, said: &str) -> Error {
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    let last = lines[lines.len().saturating_sub(8)..]
        .iter()
        .map(|line| (*line).to_owned());
    Error {
        text: format!("the xenstore domain {how}"),
        log: last.collect(),
    }
}
