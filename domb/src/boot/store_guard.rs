// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The boot domain's own watch over the xenstore domain. Whoever asks a XenStore
//! that has ended waits for ever (Linux' xenbus has no deadline), so the launch
//! itself could not even say that it has failed. This asks Xen alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use domb_core::config::AfterFailure;
use domb_core::units::Domid;
use xenlight::Hypervisor;

use super::power;
use crate::console;
use crate::watching;

/// Watches until it is dropped or disarmed.
pub(super) struct StoreGuard(Arc<AtomicBool>);

/// What is done when the xenstore domain ends.
#[derive(Clone, Copy)]
pub(super) struct Orders {
    /// The xenstore domain.
    pub store: Domid,
    /// The hardware domain, if domain 0 is not to stay it.
    pub hardware: Option<Domid>,
    /// What the configuration wants of a launch that failed.
    pub after_failure: AfterFailure,
}

impl StoreGuard {
    /// Begins to watch.
    ///
    /// # Errors
    /// Xen cannot be asked.
    pub(super) fn begin(orders: Orders) -> xenlight::Result<StoreGuard> {
        let armed = Arc::new(AtomicBool::new(true));
        let guard = StoreGuard(Arc::clone(&armed));
        let make = move || {
            let hypervisor = watching::hypervisor()?;
            watching::runs(&hypervisor, orders.store.value())?;
            Ok(hypervisor)
        };
        watching::begin(make, move |hypervisor| keep(&hypervisor, orders, &armed))?;
        Ok(guard)
    }

    /// The xenstore domain is about to be destroyed on purpose.
    pub(super) fn disarm(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Drop for StoreGuard {
    fn drop(&mut self) {
        self.disarm();
    }
}

/// What cannot be asked is asked again: an end by mistake would be worse.
fn keep(hypervisor: &Hypervisor, orders: Orders, armed: &AtomicBool) {
    loop {
        let runs = watching::runs(hypervisor, orders.store.value()).unwrap_or(true);
        if !armed.load(Ordering::SeqCst) {
            return;
        }
        if !runs {
            return ended(hypervisor, orders);
        }
        thread::sleep(PAUSE);
    }
}

/// Comes back only when Linux refuses, or until Xen has restarted the machine.
fn ended(hypervisor: &Hypervisor, orders: Orders) {
    let store = orders.store;
    console::line(
        "cause",
        &format!(
            "the xenstore domain (domid {store}) has ended: nothing can be built or handed over"
        ),
    );
    if let Some(hardware) = orders.hardware {
        let hardware = hardware.value();
        // Once it is there, the end of domain 0 is not the machine's.
        if hypervisor
            .state(hardware)
            .is_ok_and(|state| state.is_some())
        {
            console::line("exit", "the hardware domain is there: the machine restarts");
            while let Err(error) = hypervisor.restart_machine(hardware) {
                console::line("exit", &format!("it does not: {error}"));
                thread::sleep(Duration::from_secs(10));
            }
            return;
        }
    }
    match orders.after_failure {
        AfterFailure::Reboot => {
            console::line("exit", "after_failure = reboot: the machine reboots");
            power::reboot();
        }
        // The launch hangs, so there is nobody to go on to the control domain.
        AfterFailure::Halt | AfterFailure::Continue => {
            console::line("exit", "the machine halts");
            power::halt();
        }
    }
}

const PAUSE: Duration = Duration::from_millis(500);
