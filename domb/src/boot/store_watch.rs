// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where one domain has the devices and the control, it is built before the
//! guests are and does not run yet: from then on the end of the boot domain is
//! not that of the machine, and nobody else runs. So the xenstore domain
//! watches, until the control domain says that it does (`domb adopt`).
//!
//! It needs no power that XenStore does not have anyway: whoever serves it can
//! tell any domain to shut down.

use std::thread;
use std::time::Duration;

use xenlight::{Hypervisor, Store};

use crate::bundle::READINESS;
use crate::watching;

/// Begins to watch, ready to restart the machine through domain `hardware`.
///
/// # Errors
/// The boot domain cannot be seen: nobody could say that it has ended.
pub(super) fn begin(hardware: u16) -> xenlight::Result<()> {
    watching::begin(move || Watch::new(hardware), |watch| watch.keep())
}

struct Watch {
    hypervisor: Hypervisor,
    store: Store,
    hardware: u16,
}

impl Watch {
    fn new(hardware: u16) -> xenlight::Result<Watch> {
        let watch = Watch {
            hypervisor: watching::hypervisor()?,
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
        watching::runs(&self.hypervisor, BOOT_DOMAIN)
    }
}

const BOOT_DOMAIN: u16 = 0;
const PAUSE: Duration = Duration::from_millis(500);
