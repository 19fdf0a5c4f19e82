// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A toolstack whose XenStore is a domain that it builds.
//!
//! Until that domain serves, only the hypervisor is asked: libxl needs a
//! store, and whoever touches `/dev/xen/xenbus` too early hangs for ever. The
//! domain says on its console when it serves; that is read from its page.
//! After that everything is libxl's, over the kernel's ring to that domain.

mod toolstack;

use std::cell::{Cell, OnceCell, RefCell};
use std::fs::OpenOptions;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use domb_core::config::{AfterFailure, Config, DomainConfig, Role};
use domb_core::units::Domid;
use xenlight::{ConsoleMark, Hypervisor, Level, Logger, StoreDomain, StoreDomainSpec};

use super::last_words::silent;
use super::store_guard::{self, StoreGuard};
use super::store_role::{FAILED, Orders, READY};
use super::{LIBXL_LOG, console_node, daemons, store_ramdisk};
use crate::console;
use crate::libxl::{self, Libxl};
use crate::manifest::Manifest;
use crate::report::chain;
use crate::toolstack::{Error, State, Toolstack};

/// Its kernel starts in 2 s under emulation; a busy machine takes longer.
const DEADLINE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(5);
/// Where libxl looks for the domain that serves the consoles (`libxl_dom.c`).
const CONSOLES: &str = "/tool/xenconsoled/domid";
/// The files of tracing, which nobody reads there, would take 8 of its 96 MiB.
const LINUX: &str = "console=hvc0 quiet initcall_blacklist=tracer_init_tracefs";
const SOCKET: &str = "/run/xenstored/socket";
const LOG: &str = "/run/domb/xenctrl.log";

/// libxl, from the moment the xenstore domain serves.
pub(super) struct StoreToolstack {
    hypervisor: Hypervisor,
    manifest: Manifest,
    /// The control and the hardware domain, if the configuration has them.
    control: Option<Domid>,
    hardware: Option<Domid>,
    has_recovery: bool,
    after_failure: AfterFailure,
    /// The longest time that a domain may take to be ready.
    longest_gate: Duration,
    /// The control domain runs and serves consoles.
    control_runs: Cell<bool>,
    served: OnceCell<Served>,
    heard: Cell<ConsoleMark>,
}

/// A XenStore that answers, and all that needs one.
struct Served {
    domid: Domid,
    libxl: Libxl,
    domain: RefCell<StoreDomain>,
    guard: StoreGuard,
    /// Consoles are served in this domain, unless there is a control domain
    /// to do it.
    xenconsoled: OnceCell<Child>,
}

impl StoreToolstack {
    /// Opens the hypervisor's interface; no XenStore is needed for that.
    pub(super) fn open(manifest: Manifest, config: &Config) -> Result<StoreToolstack, Error> {
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
        let domid = |role| config.with_role(role).map(|domain| domain.domid);
        Ok(StoreToolstack {
            hypervisor,
            manifest,
            control: domid(Role::Control),
            hardware: domid(Role::Hardware),
            has_recovery: config.with_role(Role::Recovery).is_some(),
            after_failure: config.after_failure,
            longest_gate: longest_gate(config),
            control_runs: Cell::new(false),
            served: OnceCell::new(),
            heard: Cell::default(),
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

    /// Builds the xenstore domain, paused, and gives it the ring of domain 0.
    fn build(&self, domain: &DomainConfig, kernel: &Path) -> Result<StoreDomain, Error> {
        let ramdisk = store_ramdisk::make(&self.manifest)
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
        let built = self.hypervisor.create_store_domain(&spec, |ring| {
            let orders = Orders {
                domid,
                name,
                ring,
                control: self.control.map_or(0, Domid::value),
                // Where the two are one, nobody else could.
                watched: self
                    .hardware
                    .filter(|_| self.hardware == self.control)
                    .map_or(0, Domid::value),
            };
            format!("{} {LINUX} -- {}", domain.cmdline, orders.words())
        })?;
        Ok(built)
    }

    /// Builds the xenstore domain, lets it run, and waits until it serves.
    fn serve(&self, domain: &DomainConfig, kernel: &Path) -> Result<Served, Error> {
        let domid = domain.domid.value();
        let mut built = self.build(domain, kernel)?;
        match self.start(&mut built, domain) {
            Ok((guard, libxl, xenconsoled)) => Ok(Served {
                domid: domain.domid,
                libxl,
                domain: RefCell::new(built),
                guard,
                xenconsoled: xenconsoled.map_or_else(OnceCell::new, OnceCell::from),
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
    ) -> Result<(StoreGuard, Libxl, Option<Child>), Error> {
        let label = self.label_by_number(built.domid())?;
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
        let guard = StoreGuard::begin(store_guard::Orders {
            store: domain.domid,
            hardware: self.hardware,
            after_failure: self.after_failure,
        })?;
        // libxenstore looks for a socket first, and waits for one that is missing.
        symlink("/dev/xen/xenbus", SOCKET)
            .map_err(|error| failed(format!("link {SOCKET} to /dev/xen/xenbus: {error}")))?;
        let xenconsoled = match self.control {
            Some(_) => None,
            None => Some(
                daemons::xenconsoled(&self.manifest)
                    .map_err(|error| failed(chain(&error).join(": ")))?,
            ),
        };
        Ok((guard, Libxl::open(Path::new(LIBXL_LOG))?, xenconsoled))
    }

    /// One of the starts that a drill asks for: to the point where it serves,
    /// and away with it.
    fn start_and_destroy(
        &self,
        domain: &DomainConfig,
        kernel: &Path,
        start: u32,
    ) -> Result<(), Error> {
        let began = Instant::now();
        let mut built = self.build(domain, kernel)?;
        self.hypervisor.unpause(built.domid())?;
        self.await_ready(&mut built)?;
        drop(built);
        self.hypervisor.destroy(domain.domid.value())?;
        let milliseconds = began.elapsed().as_millis();
        console::line(
            "DRILL",
            &format!("start {start} served after {milliseconds} ms"),
        );
        Ok(())
    }

    /// Builds a domain with libxl, and does to the control and the hardware
    /// domain what libxl cannot.
    fn create_by_libxl(
        &self,
        domain: &DomainConfig,
        kernel: &Path,
        ramdisk: Option<&Path>,
    ) -> Result<(), Error> {
        let (libxl, domid) = (self.libxl()?, domain.domid);
        let control = domain.has_role(Role::Control);
        let recovery = domain.has_role(Role::Recovery);
        if recovery {
            self.serve_consoles()?;
        }
        let create = || libxl.create(domain, kernel, ramdisk);
        let created = match self.control {
            Some(_) if !control && !recovery => {
                console_node::stand_in(domid, self.control_runs.get(), create)
            }
            _ => create(),
        };
        let finished = created.and_then(|()| {
            if control {
                // The consoles of those that are built from here on are its own.
                let own = domid.to_string();
                libxl.store().write(CONSOLES, own.as_bytes())?;
            }
            if domain.has_role(Role::Hardware) {
                self.hypervisor.make_initial(domid.value())?;
            }
            Ok(())
        });
        finished.or_else(|error| {
            if self.state(domid)? != State::Absent {
                self.destroy(domid)?;
            }
            Err(error)
        })
    }

    /// The control domain that was to serve the consoles is gone: from here on
    /// this domain does.
    fn serve_consoles(&self) -> Result<(), Error> {
        let (libxl, served) = (self.libxl()?, self.served.get());
        let Some(served) = served.filter(|served| served.xenconsoled.get().is_none()) else {
            return Ok(());
        };
        libxl.store().write(CONSOLES, b"0")?;
        let daemon = daemons::xenconsoled(&self.manifest)
            .map_err(|error| failed(chain(&error).join(": ")))?;
        served
            .xenconsoled
            .set(daemon)
            .map_err(|_| failed("there is a console daemon already".to_owned()))
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

    fn label_by_number(&self, domid: u16) -> Result<Option<String>, Error> {
        match self.hypervisor.domain(domid)? {
            Some(domain) => Ok(domain.seclabel),
            None => Err(failed(format!("there is no domain {domid}"))),
        }
    }

    fn is_store(&self, domid: Domid) -> bool {
        self.served
            .get()
            .is_some_and(|served| served.domid == domid)
    }
}

/// Of the domains as they are configured; a launch script changes no gate.
fn longest_gate(config: &Config) -> Duration {
    let gates = config.domains.iter().filter_map(|it| it.ready.as_ref());
    gates.map(|ready| ready.timeout).max().unwrap_or_default()
}

pub(super) fn failed(text: String) -> Error {
    Error::new(text)
}
