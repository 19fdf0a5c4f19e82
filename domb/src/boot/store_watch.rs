// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where one domain has the devices and the control, it is built before the
//! guests are and does not run yet: from then on the end of the boot domain is
//! not that of the machine, and nobody else runs. So the xenstore domain
//! watches, until the control domain says that it does (`domb adopt`).
//!
//! It needs no power that XenStore does not have anyway: whoever serves it can
//! tell any domain to shut down.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use xenlight::{Hypervisor, Level, Logger, RunState, Store};

use crate::bundle::READINESS;

/// Begins to watch, ready to restart the machine through domain `hardware`.
///
/// # Errors
/// The boot domain cannot be seen: nobody could say that it has ended.
pub(super) fn begin(hardware: u16) -> xenlight::Result<()> {
    let (sender, begun) = channel();
    // Xen's handles stay with the thread that opened them.
    thread::spawn(move || match Watch::new(hardware) {
        Ok(watch) => {
            if sender.send(Ok(())).is_ok() {
                watch.keep();
            }
        }
        Err(error) => drop(sender.send(Err(error))),
    });
    begun
        .recv()
        .unwrap_or_else(|ended| Err(failed("watch the boot domain", io::Error::other(ended))))
}

fn failed(doing: &str, source: io::Error) -> xenlight::Error {
    xenlight::Error::System {
        doing: doing.to_owned(),
        source,
        log: Vec::new(),
    }
}

struct Watch {
    hypervisor: Hypervisor,
    store: Store,
    hardware: u16,
}

impl Watch {
    fn new(hardware: u16) -> xenlight::Result<Watch> {
        // What libxenctrl says is in its errors.
        let log = OpenOptions::new().write(true).open(Path::new("/dev/null"));
        let log = log.and_then(|file| Logger::new(file, Level::Error));
        let log = log.map_err(|source| failed("write to /dev/null", source))?;
        let watch = Watch {
            hypervisor: Hypervisor::open(log)?,
            store: Store::open()?,
            hardware,
        };
        watch.boot_domain_runs()?;
        Ok(watch)
    }

    /// Returns when the control domain watches. What cannot be asked is asked
    /// again: a restart by mistake would be worse.
    fn keep(&self) {
        loop {
            // Asked for first: the boot domain goes only when the control domain is ready.
            let runs = self.boot_domain_runs().unwrap_or(true);
            if self
                .store
                .read_text(READINESS)
                .is_ok_and(|said| said.as_deref() == Some("ready"))
            {
                return;
            }
            // While there is no such domain the machine goes with the boot domain.
            if !runs && self.hypervisor.restart_machine(self.hardware).is_ok() {
                return;
            }
            thread::sleep(PAUSE);
        }
    }

    fn boot_domain_runs(&self) -> xenlight::Result<bool> {
        let state = self.hypervisor.state(BOOT_DOMAIN)?;
        Ok(state.is_some_and(|state| !matches!(state, RunState::Shutdown(_))))
    }
}

const BOOT_DOMAIN: u16 = 0;
const PAUSE: Duration = Duration::from_millis(500);
