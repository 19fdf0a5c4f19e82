// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The boot domain's life as PID 1: set up, launch, leave.
//!
//! The root is the image that `domb image` made: no shell, no disk, no
//! network. Whatever goes wrong ends in what the configuration's
//! `after_failure` says; where it cannot be read, in a halt, and so does
//! `"continue"` before the launch has begun.
//! A panic ends PID 1, the kernel and (while domain 0 is the hardware domain)
//! the machine.

mod console_node;
mod control_domain;
mod daemons;
mod depart;
mod last_words;
mod modules;
mod mounts;
mod power;
mod relay;
mod root;
mod store_domain;
mod store_guard;
mod store_ramdisk;
mod store_role;
mod store_watch;
mod unpack;

use std::path::{Path, PathBuf};

use domb_core::config::{self, AfterFailure, Role};

use crate::code::Code;
use crate::console;
use crate::exit::Exit;
use crate::fault;
use crate::handoff::HandedOff;
use crate::launch::{self, Next, Options};
use crate::libxl::Libxl;
use crate::load::{self, Source};
use crate::manifest::Manifest;
use crate::own_label::{NextLabel, give_up};
use crate::record::failed;
use crate::recovery::Recovered;
use crate::report::{Report, chain, hint};
use crate::toolstack::{State, Toolstack};
use crate::tpm::TpmDevice;
use relay::Relay;
use store_domain::StoreToolstack;
pub use store_role::{ROLE as STORE_ROLE, run as run_store};

const CONFIGURATION: &str = "/domb/launch.toml";
const REPORT: &str = "/run/domb/report.json";
const MANIFEST: &str = "/domb/manifest.json";
const LIBXL_LOG: &str = "/run/domb/libxl.log";

/// Boots. Comes back only to say that PID 1 could not leave in any way.
#[must_use]
pub fn run() -> Exit {
    console::line(
        "boot",
        concat!("domb ", env!("CARGO_PKG_VERSION"), ", boot domain"),
    );
    if let Some(note) = fault::NOTE {
        console::line("boot", note);
    }
    let (manifest, toolstack) = match manifest().and_then(|it| Ok((toolstack(&it)?, it))) {
        Ok((toolstack, manifest)) => (manifest, toolstack),
        Err(error) => return fail_before_launch(&error),
    };
    let options = Options {
        config: PathBuf::from(CONFIGURATION),
        tpm: TpmDevice::default(),
        event_log: PathBuf::from("/run/domb/eventlog"),
        report: PathBuf::from(REPORT),
        first_init: true,
    };
    let ended = launch::launch(&options, Source::Image(&manifest), toolstack.as_ref());
    match ended.result {
        Ok(handed_off) => {
            drop(toolstack);
            leave(Some(handed_off), ended.next)
        }
        Err(_) => {
            if let Some(recovered) = ended.recovered
                && !continues(ended.next.as_ref())
            {
                attend(toolstack.as_ref(), recovered);
            }
            after_failure(ended.next, toolstack)
        }
    }
}

/// Mounts and kernel modules.
fn manifest() -> Result<Manifest, Error> {
    mounts::make_root_a_mount()?;
    mounts::mount_all()?;
    let manifest = Manifest::read(Path::new(MANIFEST))?;
    let count = modules::load(&manifest)?;
    mounts::mount_xenfs()?;
    console::line("boot", &format!("{count} kernel modules"));
    Ok(manifest)
}

/// A toolstack that answers: libxl with the daemons in this domain, or one
/// that builds the xenstore domain first. A configuration that cannot be read
/// gets the first; the launch then says what is wrong with it.
fn toolstack(manifest: &Manifest) -> Result<Box<dyn Toolstack>, Error> {
    let config = load::config(Path::new(CONFIGURATION)).ok();
    if let Some(config) = config.filter(|config| config.with_role(Role::Xenstore).is_some()) {
        return Ok(Box::new(StoreToolstack::open(manifest.clone(), &config)?));
    }
    let store = daemons::xenstored(manifest)?;
    let consoles = daemons::xenconsoled(manifest)?;
    let libxl = Libxl::open(Path::new(LIBXL_LOG))?;
    let pids = (store.id(), consoles.id());
    console::line(
        "boot",
        &format!("xenstored (pid {}), xenconsoled (pid {})", pids.0, pids.1),
    );
    Ok(Box::new(libxl))
}

/// Leave as configured: halt, if the platform stands without domain 0; or
/// become the control domain's init.
fn leave(handed_off: Option<HandedOff>, next: Option<Next>) -> Exit {
    let Some(next) = next else {
        return power::halt();
    };
    if next.exit == config::Exit::Domain {
        return match handed_off {
            Some(handed_off) => depart::depart(handed_off, &next),
            None => power::halt(),
        };
    }
    match &next.control {
        None => {
            console::line("exit", "no [control] is configured: domain 0 stays, asleep");
            power::sleep_for_ever()
        }
        Some(control) => {
            console::line("exit", &format!("PID 1 becomes {}", control.init));
            let error = root::become_init(control, next.ramdisk.as_deref());
            failed_to_leave((&error).into());
            tell(&error);
            // The platform runs and belongs to nobody here: nothing is
            // destroyed, and domain 0 must not end either.
            power::sleep_for_ever()
        }
    }
}

fn continues(next: Option<&Next>) -> bool {
    next.is_some_and(|next| next.after_failure == AfterFailure::Continue)
}

/// The recovery domain has the machine's console until it ends: what it says is
/// shown, what is typed it gets. Under `after_failure = "continue"` the control
/// domain attends to it instead, with `xl console`.
fn attend(toolstack: &dyn Toolstack, recovered: Recovered) {
    let domid = recovered.domid;
    console::line(
        "recovery",
        &format!("the console is domain {domid}'s until it ends"),
    );
    let mut relay = Relay::new(domid);
    loop {
        relay.turn();
        match toolstack.state(domid) {
            Ok(State::Running) => {}
            Ok(state) => {
                relay.turn();
                console::line("recovery", &format!("domain {domid} is {state:?}"));
                return;
            }
            // Nothing can be known of it any more.
            Err(error) => {
                console::line("recovery", &error.to_string());
                return;
            }
        }
    }
}

fn after_failure(next: Option<Next>, toolstack: Box<dyn Toolstack>) -> Exit {
    let policy = next
        .as_ref()
        .map_or(AfterFailure::Halt, |next| next.after_failure);
    match policy {
        AfterFailure::Halt => {
            console::line("exit", "after_failure = halt: the machine halts");
            power::halt()
        }
        AfterFailure::Reboot => {
            console::line("exit", "after_failure = reboot: the machine reboots");
            power::reboot()
        }
        AfterFailure::Continue if !next.as_ref().is_some_and(Next::has_root) => {
            console::line(
                "exit",
                "after_failure = continue, but the control domain's ramdisk is missing or damaged: \
                 the machine halts",
            );
            power::halt()
        }
        AfterFailure::Continue => {
            console::line("exit", "after_failure = continue: on to the control domain");
            // Nobody gets the boot domain's label, however the launch ended.
            let control = next.as_ref().and_then(|next| next.control.as_ref());
            if let Err(error) = give_up(&NextLabel::of(control), toolstack.as_ref()) {
                tell(&error);
                console::line(
                    "exit",
                    "domain 0 has the boot domain's label: the machine halts",
                );
                return power::halt();
            }
            drop(toolstack);
            leave(None, next)
        }
    }
}

/// The domains run, and this domain does not become what it should.
fn failed_to_leave(code: Code) {
    let text = failed("exit", code.exit(), Some(&code.to_string()));
    console::line("FAILED", &text);
}

/// No launch has begun: there is no control domain to go on to, because the
/// PCR is still open and nobody gave up the boot domain's label.
fn fail_before_launch(error: &Error) -> Exit {
    let mut report = Report::new(Path::new(CONFIGURATION));
    report.failed_before_launch("boot", error.into(), error);
    report.save(Path::new(REPORT));
    let config = load::config(Path::new(CONFIGURATION));
    if config.is_ok_and(|config| config.after_failure == AfterFailure::Reboot) {
        console::line("exit", "nothing was built: the machine reboots");
        return power::reboot();
    }
    console::line("exit", "nothing was built: the machine halts");
    power::halt()
}

fn tell(error: &dyn std::error::Error) {
    for cause in chain(error) {
        console::line("cause", &cause);
    }
    if let Some(hint) = hint(error) {
        console::line("hint", &hint);
    }
}

/// Why the boot domain could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file system.
    #[error(transparent)]
    Mounts(#[from] mounts::Error),
    /// The image's manifest.
    #[error(transparent)]
    Manifest(#[from] crate::manifest::Error),
    /// A kernel module.
    #[error(transparent)]
    Modules(#[from] modules::Error),
    /// xenstored or xenconsoled.
    #[error(transparent)]
    Daemons(#[from] daemons::Error),
    /// libxl.
    #[error("open libxl")]
    Toolstack(#[from] crate::toolstack::Error),
}

impl From<&Error> for Code {
    fn from(error: &Error) -> Code {
        match error {
            Error::Mounts(_) => Code::Mounts,
            Error::Manifest(_) => Code::Manifest,
            Error::Modules(_) => Code::Modules,
            Error::Daemons(_) => Code::Daemons,
            Error::Toolstack(_) => Code::Libxl,
        }
    }
}

impl From<&root::Error> for Code {
    fn from(error: &root::Error) -> Code {
        match error {
            root::Error::Switch { .. } => Code::Switch,
            root::Error::Archive(_) | root::Error::Unpack { .. } | root::Error::Escapes { .. } => {
                Code::ControlArchive
            }
            root::Error::NoInit { .. } => Code::NoInit,
            root::Error::Exec { .. } => Code::InitExec,
        }
    }
}
