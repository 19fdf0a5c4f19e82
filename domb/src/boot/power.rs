// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The ways PID 1 ends the machine, or waits while it runs.
//!
//! Domain 0 is the hardware domain here: its halt halts the machine and its
//! restart restarts it (`xen/common/shutdown.c`, `hwdom_shutdown`). Halt is
//! RB_HALT_SYSTEM, not power-off: power-off goes through ACPI.

use rustix::system::{RebootCommand, reboot as system_reboot};

use crate::console;
use crate::exit::Exit;

/// Halts. Comes back only when the kernel refuses.
pub(super) fn halt() -> Exit {
    end(RebootCommand::Halt)
}

/// Restarts. Comes back only when the kernel refuses.
pub(super) fn reboot() -> Exit {
    end(RebootCommand::Restart)
}

fn end(command: RebootCommand) -> Exit {
    rustix::fs::sync();
    if let Err(error) = system_reboot(command) {
        console::line("exit", &format!("the kernel refuses {command:?}: {error}"));
    }
    Exit::Leave
}

/// Stays as an idle PID 1 that reaps its children, for ever.
pub(super) fn sleep_for_ever() -> Exit {
    use rustix::process::{WaitOptions, wait};
    loop {
        // With no child left, wait fails with ECHILD at once; then there is
        // nothing to reap and a pause of any length is right.
        if wait(WaitOptions::empty()).is_err() {
            std::thread::park();
        }
    }
}
