// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Watches the domains that were unpaused until they are ready: XenStore, their
//! consoles and their states are looked at in turn, so none is waited for alone.
//!
//! A console is read where `xl console` reads it, only for a domain whose
//! readiness is a line, and only until that line came; what is read is kept in
//! `/run/domb/console-NAME.log`, so nothing is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use domb_core::config::{DomainConfig, DomainName, OnTimeout, Ready};
use domb_core::course::{Lines, Seen, holds};

use super::error::Cause;
use super::{Site, Witness};
use crate::toolstack::{self, State, Toolstack};

/// What is known of the domains that are awaited.
#[derive(Default)]
pub struct Watch {
    lines: BTreeMap<DomainName, Lines>,
}

/// A domain that failed while it was watched.
pub struct Failed {
    /// The domain.
    pub name: DomainName,
    /// Why.
    pub cause: Cause,
}

impl Watch {
    /// The domain starts anew: what an earlier one of its name wrote is
    /// forgotten.
    pub fn begin(&mut self, name: &DomainName) {
        self.lines.remove(name);
    }

    /// Looks at every domain that was unpaused, and tells the course which are
    /// ready. Gives the first that failed.
    pub fn look(
        &mut self,
        site: &mut Site<'_>,
        now: Duration,
        witness: &mut dyn Witness,
    ) -> Option<Failed> {
        let awaited = site.course.awaited();
        for name in site.course.unpaused() {
            let failed = |cause| Failed {
                name: name.clone(),
                cause,
            };
            let is_awaited = awaited.contains(&name);
            match self.look_at(site, &name, is_awaited) {
                Ok(Look::Ready) => {
                    site.course.opened(&name);
                    if let Err(why) = site.approved_ready(&name, witness) {
                        return Some(failed(why));
                    }
                }
                Ok(Look::Well) => {}
                Ok(Look::Ended(state)) => return Some(failed(Cause::Ended(state))),
                Err(error) => return Some(failed(Cause::Toolstack(error))),
            }
        }
        for (name, meaning) in site.course.late(now) {
            let ready = site.domain(&name).ready.clone();
            let ready = ready.expect("only a domain with a gate is awaited");
            match meaning {
                OnTimeout::Fail => {
                    let cause = Cause::Late {
                        awaited: ready.to_string(),
                        timeout: ready.timeout,
                    };
                    return Some(Failed { name, cause });
                }
                OnTimeout::Continue => {
                    site.course.opened(&name);
                    witness.late(&name, &ready);
                }
            }
        }
        None
    }

    /// The last lines of a domain's console: those that were read here, then
    /// those that wait.
    pub fn last_words(&self, site: &Site<'_>, name: &DomainName) -> Vec<String> {
        let mut words = self.lines.get(name).map(Lines::last).unwrap_or_default();
        words.extend(site.toolstack.console_tail(site.domain(name).domid));
        words.drain(..words.len().saturating_sub(MOST_LINES));
        words
    }

    fn look_at(
        &mut self,
        site: &Site<'_>,
        name: &DomainName,
        is_awaited: bool,
    ) -> Result<Look, toolstack::Error> {
        let domain = site.domain(name);
        let state = site.toolstack.state(domain.domid)?;
        if let Some(ready) = domain.ready.as_ref().filter(|_| is_awaited) {
            let lines = self.lines.entry(name.clone()).or_default();
            if site.toolstack.is_ready(domain, ready, &state, lines)? {
                return Ok(Look::Ready);
            }
            // It has powered off and will not get ready any more.
            if state != State::Running {
                return Ok(Look::Ended(state));
            }
        }
        Ok(match state.is_well() {
            true => Look::Well,
            false => Look::Ended(state),
        })
    }
}

enum Look {
    Ready,
    Well,
    Ended(State),
}

/// Lines of a console that are shown.
const MOST_LINES: usize = 12;

/// Whether the domain is ready by what the toolstack sees of it now.
///
/// # Errors
/// XenStore could not be asked.
pub fn is_ready<T: Toolstack + ?Sized>(
    toolstack: &T,
    domain: &DomainConfig,
    ready: &Ready,
    state: &State,
    lines: &mut Lines,
) -> Result<bool, toolstack::Error> {
    let home = format!("/local/domain/{}", domain.domid);
    let at = |path: &str| match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("{home}/{path}"),
    };
    let node = match &ready.node {
        Some(node) => toolstack.store_read(&at(&node.path))?,
        None => None,
    };
    let backend = match &ready.backend {
        Some(backend) => backend_state(toolstack, &at(&format!("device/{}", backend.device)))?,
        None => None,
    };
    if let Some(pattern) = ready.console.as_ref().filter(|_| !lines.fitted()) {
        let bytes = toolstack.console_read(domain);
        lines.take(&bytes, pattern);
    }
    let seen = Seen {
        node,
        line: lines.fitted(),
        backend,
        running: state.is_well(),
    };
    Ok(holds(ready, &seen))
}

/// The state of the backend that a frontend names
/// (`xen/include/public/io/xenbus.h`).
fn backend_state<T: Toolstack + ?Sized>(
    toolstack: &T,
    frontend: &str,
) -> Result<Option<String>, toolstack::Error> {
    match toolstack.store_read(&format!("{frontend}/backend"))? {
        Some(backend) => toolstack.store_read(&format!("{backend}/state")),
        None => Ok(None),
    }
}
