// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The toolstack on Xen: libxl through xenlight.
//!
//! It trusts libxl's return codes no further than they go: the domid that came
//! back, the store and console ports, and the label are all read again (here
//! and in xenlight). libxl's own log goes to a file, and what it logged about
//! a failure into the error.

use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::path::Path;

use domb_core::config::{DomainConfig, Range, Role};
use domb_core::plan;
use domb_core::policy::{Flask, PlatformFacts};
use domb_core::units::Domid;
use xenlight::{
    ConsoleMark, Context, DomainInfo, FlaskState, Hypervisor, Level, Logger, Permission, Platform,
    RunState, Store, Version,
};

use crate::in_force::InForce;
use crate::pci::{self, Bus};
use crate::pty;
use crate::report::{chain, hint};
use crate::toolstack::{Error, State, Toolstack};

/// An open libxl that answers.
pub struct Libxl {
    context: Context,
    heard: Cell<ConsoleMark>,
}

impl Libxl {
    /// Opens libxl and checks that the running Xen is the one domb was built
    /// for. `log` is written anew with what libxl says.
    ///
    /// # Errors
    /// This is no privileged domain, no xenstored answers, or the versions
    /// differ.
    pub fn open(log: &Path) -> Result<Libxl, Error> {
        let logger = logger(log).map_err(|error| {
            Error::new(format!(
                "cannot write libxl's log to {}: {error}",
                log.display()
            ))
        })?;
        if !Path::new("/dev/xen/privcmd").exists() {
            return Err(Error::new(NOT_ON_XEN));
        }
        let context = Context::open(logger)?;
        context.check_version()?;
        // A launch asks for fixed domids; libxl's memory of the domids of the
        // last minute is meant for toolstacks that number automatically.
        context.forget_recent_domids()?;
        Ok(Libxl {
            context,
            heard: Cell::default(),
        })
    }
}

impl Libxl {
    /// XenStore, over libxl's context.
    pub(crate) fn store(&self) -> &Store {
        self.context.store()
    }
}
/// The boot domain's, and no other domain's ([`Domid`] has none such).
pub(crate) const DOMAIN_0: u16 = 0;

const NOT_ON_XEN: &str = "there is no /dev/xen/privcmd: this is not a privileged domain on Xen\n\
    hint: `domb launch` runs in domain 0; `domb launch --dry-run`, `check` and `predict` run anywhere";

const STORE_IS_HERE: &str = "a xenstore domain cannot be added to a platform that has a XenStore\n\
    hint: it is built when domb boots as the first init of domain 0";

fn logger(log: &Path) -> std::io::Result<Logger> {
    if let Some(directory) = log.parent() {
        fs::create_dir_all(directory)?;
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(log)?;
    Logger::new(file, Level::Detail)
}

impl From<xenlight::Error> for Error {
    fn from(error: xenlight::Error) -> Error {
        let (mut text, hint) = (chain(&error), hint(&error));
        let log = match error {
            xenlight::Error::Libxl { log, .. } | xenlight::Error::System { log, .. } => log,
            _ => Vec::new(),
        };
        if !log.is_empty() {
            // The log's lines stand below the error's own; they are told apart.
            for part in &mut text {
                part.truncate(part.find('\n').unwrap_or(part.len()));
            }
        }
        let mut text = text.join(": ");
        if let Some(hint) = hint {
            text = format!("{text}\nhint: {hint}");
        }
        Error {
            log,
            ..Error::new(text)
        }
    }
}

/// What the hypervisor says of itself, as the launch takes it.
pub(crate) fn facts(
    platform: &Platform,
    version: Version,
    flask: FlaskState,
    store_is_here: bool,
) -> PlatformFacts {
    let facts = PlatformFacts {
        memory_mib: Some(platform.total_memory_mib),
        free_memory_mib: Some(platform.free_memory_mib),
        cpus: Some(platform.cpus),
        xen_version: Some(version.to_string()),
        xen_commandline: Some(version.commandline),
        flask: Some(match flask {
            FlaskState::Absent => Flask::Absent,
            FlaskState::Permissive => Flask::Permissive,
            FlaskState::Enforcing => Flask::Enforcing,
        }),
        pv: Some(platform.pv),
        hvm: Some(platform.hvm),
        iommu: Some(platform.iommu),
        roles: None,
    };
    PlatformFacts {
        roles: Some(facts.possible_roles(store_is_here)),
        ..facts
    }
}

/// What the hypervisor says of a domain, as the launch takes it.
pub(crate) fn state(domain: Option<DomainInfo>) -> State {
    let Some(domain) = domain else {
        return State::Absent;
    };
    match domain.state {
        RunState::Paused => State::Paused,
        RunState::Running => State::Running,
        RunState::Shutdown(reason) => State::Shutdown(reason.to_string()),
        RunState::Dying => State::Shutdown("dying".to_owned()),
    }
}

/// A range as the hypervisor has it. A PCI device is none: it is as many as it
/// has regions.
fn permissions(range: &Range) -> Result<Vec<Permission>, pci::Error> {
    Ok(vec![match *range {
        Range::Iomem { frame, frames, .. } => Permission::Iomem {
            first: frame,
            count: frames,
        },
        Range::Ioports { first, last } => Permission::Ioports {
            first: first.into(),
            count: u32::from(last) - u32::from(first) + 1,
        },
        Range::Irq(number) => Permission::Irq(number.into()),
        Range::Pci(pci) => {
            let mut all = Vec::new();
            for region in Bus::of_linux().regions(pci)? {
                all.extend(permissions(&region)?);
            }
            return Ok(all);
        }
    }])
}

/// Domain 0's permission for a range, given or taken.
pub(crate) type Permit<'p> = dyn Fn(Permission, bool) -> xenlight::Result<()> + 'p;

/// Whether domain 0 can give the range away, on a machine with an IOMMU or
/// without.
pub(crate) fn holds(
    range: &Range,
    iommu: impl FnOnce() -> Result<bool, Error>,
    permit: &Permit<'_>,
) -> Result<bool, Error> {
    if let Range::Pci(pci) = range {
        Bus::of_linux().is_givable(*pci, iommu()?)?;
    }
    for what in permissions(range)? {
        if !may_give(permit(what, true))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes the range from domain 0: false where Xen said of some of it that
/// domain 0 may not.
pub(crate) fn withhold(range: &Range, permit: &Permit<'_>) -> Result<bool, Error> {
    if let Range::Pci(pci) = range {
        Bus::of_linux().seize(*pci)?;
    }
    let mut whole = true;
    for what in permissions(range)? {
        whole &= take(what, &|what| permit(what, false))?;
    }
    Ok(whole)
}

impl From<pci::Error> for Error {
    fn from(error: pci::Error) -> Error {
        Error::new(chain(&error).join(": "))
    }
}

/// Whether domain 0 has what it just gave itself, which changes nothing if it
/// has. Flask may forbid that and still allow to give it to another: then the
/// build will tell.
fn may_give(given: xenlight::Result<()>) -> Result<bool, Error> {
    match given {
        Err(error) if error.is_not_permitted() || error.is_invalid() => Ok(false),
        Err(error) if error.is_denied() => Ok(true),
        given => Ok(given.map(|()| true)?),
    }
}

/// Takes all of it, by ever smaller parts where Xen takes the whole for
/// another's: false if it said so of some part.
fn take(
    what: Permission,
    from_domain_0: &dyn Fn(Permission) -> xenlight::Result<()>,
) -> Result<bool, Error> {
    match from_domain_0(what) {
        Err(error) if error.is_not_permitted() => {}
        taken => return Ok(taken.map(|()| true)?),
    }
    if what.count() > MOST_PARTS {
        let found = what.count();
        return Err(Error::new(format!(
            "domain 0 has not all of these {found}, and domb takes no more than {MOST_PARTS} one \
             by one\nhint: name smaller ranges, without what Xen keeps for itself"
        )));
    }
    for half in what.halves().into_iter().flatten() {
        take(half, from_domain_0)?;
    }
    Ok(false)
}

/// 256 MiB of I/O memory.
const MOST_PARTS: u64 = 1 << 16;

impl Toolstack for Libxl {
    fn platform(&self) -> Result<PlatformFacts, Error> {
        let platform = self.context.platform()?;
        let version = self.context.version()?;
        Ok(facts(&platform, version, self.context.flask()?, true))
    }

    fn create(
        &self,
        domain: &DomainConfig,
        kernel: &Path,
        ramdisk: Option<&Path>,
    ) -> Result<(), Error> {
        if domain.has_role(Role::Xenstore) {
            return Err(Error::new(STORE_IS_HERE));
        }
        let json = plan::libxl_config(domain, kernel, ramdisk).to_string();
        let config = xenlight::DomainConfig::from_json(&self.context, &json)?;
        // A domain that is built anew has the domid it had a moment ago.
        self.context.forget_recent_domids()?;
        let paused = self.context.create_paused(config)?;
        paused.release();
        Ok(())
    }

    fn unpause(&self, domid: Domid) -> Result<(), Error> {
        Ok(self.context.unpause(domid.value())?)
    }

    fn state(&self, domid: Domid) -> Result<State, Error> {
        Ok(state(self.context.domain(domid.value())?))
    }

    fn destroy(&self, domid: Domid) -> Result<(), Error> {
        Ok(self.context.destroy(domid.value())?)
    }

    fn holds(&self, range: &Range) -> Result<bool, Error> {
        let iommu = || Ok(self.context.platform()?.iommu);
        holds(range, iommu, &|what, allow| {
            self.context.permit(DOMAIN_0, what, allow)
        })
    }

    fn withhold(&self, range: &Range) -> Result<bool, Error> {
        withhold(range, &|what, allow| {
            self.context.permit(DOMAIN_0, what, allow)
        })
    }

    fn console_read(&self, domain: &DomainConfig) -> Vec<u8> {
        // xenconsoled makes the terminal when it has seen the domain.
        match self.context.console_tty(domain.domid.value()) {
            Ok(tty) => pty::read_and_keep(Path::new(&tty), domain.name.as_str()),
            Err(_) => Vec::new(),
        }
    }

    fn store_read(&self, path: &str) -> Result<Option<String>, Error> {
        Ok(self.context.store().read_text(path)?)
    }

    fn store_write(&self, path: &str, value: &str) -> Result<(), Error> {
        Ok(self.context.store().write(path, value.as_bytes())?)
    }

    fn console_tail(&self, domid: Domid) -> Vec<String> {
        match self.context.console_tty(domid.value()) {
            Ok(tty) => pty::last_lines(Path::new(&tty)),
            Err(_) => Vec::new(),
        }
    }

    fn seclabel(&self, domid: Domid) -> Result<Option<String>, Error> {
        Ok(self.context.label_of(domid.value())?)
    }

    fn own_seclabel(&self) -> Result<Option<String>, Error> {
        Ok(self.context.label_of(DOMAIN_0)?)
    }

    fn relabel_self(&self, label: &str) -> Result<bool, Error> {
        Ok(self.context.relabel_self(label)?)
    }

    fn xen_messages(&self) -> Result<String, Error> {
        let mut mark = self.heard.get();
        let text = self.context.xen_console(&mut mark)?;
        self.heard.set(mark);
        Ok(text)
    }

    fn flask(&self) -> Option<&dyn InForce> {
        Some(&self.context)
    }
}

impl InForce for Context {
    fn boot_label(&self) -> Result<Option<String>, Error> {
        Ok(self.domain(0)?.and_then(|domain| domain.seclabel))
    }

    fn allowed(&self, source: &str, target: &str, class: u16) -> Result<u32, Error> {
        Ok(self.flask_allows(source, target, class)?)
    }
}

impl InForce for Hypervisor {
    fn boot_label(&self) -> Result<Option<String>, Error> {
        Ok(self.domain(0)?.and_then(|domain| domain.seclabel))
    }

    fn allowed(&self, source: &str, target: &str, class: u16) -> Result<u32, Error> {
        Ok(self.flask_allows(source, target, class)?)
    }
}
