// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Domains that are destroyed unless they are handed over: whatever goes
//! wrong, nothing half-built is left.

use std::thread;
use std::time::{Duration, Instant};

use domb_core::config::DomainName;
use domb_core::units::Domid;

use crate::console;
use crate::toolstack::{self, State, Toolstack};

/// Domains that stand or run, destroyed last first when dropped.
#[derive(Default)]
pub struct Guards<'t>(Vec<Guard<'t>>);

impl<'t> Guards<'t> {
    pub(super) fn push(&mut self, guard: Guard<'t>) {
        self.0.push(guard);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Disarms every guard: from here on nothing destroys these domains.
    pub fn hand_over(mut self) {
        for guard in &mut self.0 {
            guard.armed = false;
        }
    }

    /// Destroys one domain and waits until its domid is free again.
    ///
    /// # Errors
    /// It may still be there.
    pub(super) fn destroy(&mut self, name: &DomainName) -> Result<(), toolstack::Error> {
        let Some(at) = self.0.iter().position(|guard| guard.name == *name) else {
            return Ok(());
        };
        let mut guard = self.0.remove(at);
        guard.armed = false;
        guard.destroy()?;
        guard.wait_until_gone()
    }
}

impl Drop for Guards<'_> {
    fn drop(&mut self) {
        while let Some(guard) = self.0.pop() {
            drop(guard);
        }
    }
}

/// A domain that is destroyed when this is dropped.
pub struct Guard<'t> {
    toolstack: &'t dyn Toolstack,
    name: DomainName,
    domid: Domid,
    armed: bool,
}

impl<'t> Guard<'t> {
    /// Guards a domain that was just created.
    pub(super) fn new(toolstack: &'t dyn Toolstack, name: DomainName, domid: Domid) -> Guard<'t> {
        Guard {
            toolstack,
            name,
            domid,
            armed: true,
        }
    }

    /// Disarms the guard.
    pub(crate) fn release(mut self) {
        self.armed = false;
    }

    fn destroy(&self) -> Result<(), toolstack::Error> {
        let done = self.toolstack.destroy(self.domid);
        let text = match &done {
            Ok(()) => format!("destroyed {} (domid {})", self.name, self.domid),
            Err(error) => format!("could not destroy {}: {error}", self.name),
        };
        console::line("undo", &text);
        done
    }

    /// A destroyed domain is there until whoever maps its pages lets go of
    /// them. One that never goes shows when its domid is wanted again.
    fn wait_until_gone(&self) -> Result<(), toolstack::Error> {
        let deadline = Instant::now() + GONE;
        while self.toolstack.state(self.domid)? != State::Absent && Instant::now() < deadline {
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

/// xenconsoled lets go within milliseconds.
const GONE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(10);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.armed && self.toolstack.recovers_with(self.domid) {
            let text = format!("{} (domid {}) stays for recovery", self.name, self.domid);
            return console::line("undo", &text);
        }
        // What could not be destroyed has been said; there is nobody to tell.
        if self.armed && self.destroy().is_err() {}
    }
}
