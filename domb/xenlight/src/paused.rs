// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How a domain comes to be.
//!
//! A new domain is a guard. Until somebody starts it or takes it over, every
//! way out of a scope destroys it. Two things libxl reports as success are not
//! taken for one: a domid other than the one asked for, and a store or console
//! event channel that could not be made.

use std::mem::ManuallyDrop;
use std::ptr;

use crate::context::Context;
use crate::domain::{DomainInfo, RunState};
use crate::domain_config::DomainConfig;
use crate::error::{Error, Result, check};

impl Context {
    /// Builds a domain at the domid its configuration asks for. It is paused.
    ///
    /// After a failure nothing of the domain is left, unless the message says
    /// otherwise.
    ///
    /// # Errors
    /// The domid is unusable, in use, or was in use within the last minute
    /// ([`Context::forget_recent_domids`]); libxl cannot build the domain; or
    /// it did, but elsewhere or without store and console.
    pub fn create_paused(&self, mut config: DomainConfig) -> Result<PausedDomain<'_>> {
        let asked = config.domid()?;
        if let Some(there) = self.domain(asked)? {
            return Err(Error::DomidInUse {
                domid: asked,
                owner: self.describe_owner(&there),
            });
        }

        let mark = self.logger().mark();
        let mut got = u32::MAX;
        // SAFETY: the context is alive; the configuration was initialised and
        // filled by libxl, is ours alone and outlives the call, as does `got`;
        // NULL for both "how" makes the call synchronous and silent.
        let rc = unsafe {
            libxl_sys::libxl_domain_create_new(
                self.raw(),
                config.raw_mut(),
                &raw mut got,
                ptr::null(),
                ptr::null(),
            )
        };
        let doing = || format!("create domain {:?} at domid {asked}", config.name());
        if let Err(error) = check(rc, doing, || self.logger().errors_since(mark)) {
            self.remove_remains(asked, config.uuid());
            return Err(error);
        }

        let Ok(domid) = u16::try_from(got) else {
            return Err(Error::DomidDiffers { asked, got });
        };
        let domain = PausedDomain {
            context: self,
            domid,
            config,
        };
        if domid != asked {
            return Err(Error::DomidDiffers { asked, got });
        }
        self.check_channel(domid, "store")?;
        self.check_channel(domid, "console")?;
        Ok(domain)
    }

    fn describe_owner(&self, domain: &DomainInfo) -> String {
        if domain.state == RunState::Dying {
            return "a domain that is being destroyed".to_owned();
        }
        self.domain_name(domain.domid).map_or_else(
            || "a domain without a name".to_owned(),
            |name| format!("domain {name:?}"),
        )
    }

    /// libxl destroys a domain whose creation failed, but not in every case
    /// (not when it cannot take its lock in `/var/lib/xen`). There was no
    /// domain at `domid` before, so one with our UUID is what it left.
    fn remove_remains(&self, domid: u16, uuid: [u8; 16]) {
        let remains = match self.domain(domid) {
            Ok(found) => {
                found.is_some_and(|domain| domain.uuid == uuid && domain.state != RunState::Dying)
            }
            Err(error) => {
                eprintln!("xenlight: domain {domid} may be left half built: {error}");
                false
            }
        };
        if remains && let Err(error) = self.destroy(domid) {
            eprintln!("xenlight: domain {domid} is left half built: {error}");
        }
    }

    /// Under Flask libxl reports success with port 4294967295 when the domain
    /// that should serve the channel does not exist.
    fn check_channel(&self, domid: u16, channel: &'static str) -> Result<()> {
        let node = format!("/local/domain/{domid}/{channel}/port");
        let value = self.store().read_text(&node)?;
        if value.as_deref().is_some_and(is_port) {
            return Ok(());
        }
        Err(Error::Channel {
            domid,
            channel,
            node,
            value,
        })
    }
}

/// A domain that is built, has never run, and is destroyed when this value is
/// dropped.
#[derive(Debug)]
#[must_use = "a paused domain that is dropped is destroyed"]
pub struct PausedDomain<'ctx> {
    context: &'ctx Context,
    domid: u16,
    config: DomainConfig,
}

impl PausedDomain<'_> {
    /// Its domid: the one asked for.
    #[must_use]
    pub fn domid(&self) -> u16 {
        self.domid
    }

    /// Its configuration, with all that libxl filled in.
    #[must_use]
    pub fn config(&self) -> &DomainConfig {
        &self.config
    }

    /// Its configuration as libxl's JSON, for the launch record.
    ///
    /// # Errors
    /// As [`DomainConfig::to_json`].
    pub fn config_json(&self) -> Result<String> {
        self.config.to_json(self.context)
    }

    /// Starts the domain; from here on it lives its own life.
    ///
    /// # Errors
    /// libxl cannot start it. It is destroyed then.
    pub fn unpause(self) -> Result<u16> {
        self.context.unpause(self.domid)?;
        Ok(self.release())
    }

    /// Gives up the guard: the domain stays as it is, paused, and the caller
    /// answers for it.
    pub fn release(self) -> u16 {
        let mut guard = ManuallyDrop::new(self);
        let domid = guard.domid;
        // SAFETY: the guard is never dropped (ManuallyDrop) nor used again, so
        // its configuration is dropped once, here.
        unsafe { ptr::drop_in_place(&raw mut guard.config) };
        domid
    }
}

impl Drop for PausedDomain<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.context.destroy(self.domid) {
            eprintln!(
                "xenlight: domain {} may be left behind: {error}",
                self.domid
            );
        }
    }
}

/// Whether a `port` node names an event channel. Port 0 is never given out,
/// and -1 is what libxl wrote when it got none.
fn is_port(text: &str) -> bool {
    text.parse::<u32>()
        .is_ok_and(|port| port != 0 && port != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_libxl_did_not_get_is_no_port() {
        for bad in ["4294967295", "0", "", "-1", "x"] {
            assert!(!is_port(bad), "{bad}");
        }
        assert!(is_port("1") && is_port("37"));
    }
}
