// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Domains: what there is, and how one comes to be and goes.
//!
//! A new domain is a guard. Until somebody starts it or takes it over, every
//! way out of a scope destroys it. Two things libxl reports as success are not
//! taken for one: a domid other than the one asked for, and a store or console
//! event channel that could not be made.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr;

use crate::context::Context;
use crate::domain_config::DomainConfig;
use crate::error::{Error, Result, check};
use crate::ffi;

/// A domain, as the hypervisor described it (`libxl_dominfo`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DomainInfo {
    /// Its domid.
    pub domid: u16,
    /// Its UUID.
    pub uuid: [u8; 16],
    /// What it is doing.
    pub state: RunState,
    /// Memory it has, in KiB.
    pub memory_kib: u64,
    /// Memory it may have, in KiB.
    pub max_memory_kib: u64,
    /// Virtual processors that are online.
    pub vcpus: u32,
    /// Whether it runs in hardware assisted virtualisation (HVM or PVH).
    pub hvm: bool,
    /// Its security label, where the hypervisor has labels.
    pub seclabel: Option<String>,
}

/// What a domain is doing. The first that applies, from the bottom up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunState {
    /// It runs, or waits for an event.
    Running,
    /// The toolstack holds it.
    Paused,
    /// It ended, and why.
    Shutdown(ShutdownReason),
    /// It is being destroyed.
    Dying,
}

/// Why a domain ended (`SHUTDOWN_*` of `xen/include/public/sched.h`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShutdownReason {
    /// It switched itself off.
    Poweroff,
    /// It asked to be started again.
    Reboot,
    /// It suspended.
    Suspend,
    /// It crashed.
    Crash,
    /// Its watchdog fired.
    Watchdog,
    /// It asked for a soft reset.
    SoftReset,
    /// A number this crate has no name for.
    Other(i32),
}

impl fmt::Display for ShutdownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShutdownReason::Poweroff => f.write_str("poweroff"),
            ShutdownReason::Reboot => f.write_str("reboot"),
            ShutdownReason::Suspend => f.write_str("suspend"),
            ShutdownReason::Crash => f.write_str("crash"),
            ShutdownReason::Watchdog => f.write_str("watchdog"),
            ShutdownReason::SoftReset => f.write_str("soft reset"),
            ShutdownReason::Other(number) => write!(f, "shutdown reason {number}"),
        }
    }
}

impl Context {
    /// All domains, in order of their domids; domain 0 is one of them.
    ///
    /// # Errors
    /// The hypervisor refuses to say.
    pub fn domains(&self) -> Result<Vec<DomainInfo>> {
        let mark = self.logger().mark();
        let mut count = 0;
        // SAFETY: the context is alive; the count outlives the call.
        let list = unsafe { libxl_sys::libxl_list_domain(self.raw(), &raw mut count) };
        if list.is_null() {
            let source = ffi::errno();
            let log = self.logger().errors_since(mark);
            return Err(Error::System {
                doing: "list the domains".to_owned(),
                source,
                log,
            });
        }
        let length = usize::try_from(count).unwrap_or(0);
        // SAFETY: libxl returned an array of `count` filled structures that
        // belongs to us and that nobody changes.
        let raw = unsafe { std::slice::from_raw_parts(list, length) };
        let domains = raw.iter().map(describe).collect();
        // SAFETY: the list and its length are libxl's own; all is copied.
        unsafe { libxl_sys::libxl_dominfo_list_free(list, count) };
        Ok(domains)
    }

    /// The domain with that domid, if there is one.
    ///
    /// # Errors
    /// As [`Context::domains`].
    pub fn domain(&self, domid: u16) -> Result<Option<DomainInfo>> {
        Ok(self
            .domains()?
            .into_iter()
            .find(|domain| domain.domid == domid))
    }

    /// The security label the hypervisor has for a domain; `None` where it
    /// has no labels.
    ///
    /// # Errors
    /// There is no such domain, or as [`Context::domains`].
    pub fn label_of(&self, domid: u16) -> Result<Option<String>> {
        let domain = self.domain(domid)?.ok_or(Error::NoSuchDomain { domid })?;
        Ok(domain.seclabel)
    }

    /// The name XenStore has for a domain, if it has one.
    #[must_use]
    pub fn domain_name(&self, domid: u16) -> Option<String> {
        // SAFETY: the context is alive.
        let name = unsafe { libxl_sys::libxl_domid_to_name(self.raw(), u32::from(domid)) };
        // SAFETY: libxl_domid_to_name gives NULL or a string from malloc, to
        // its caller.
        unsafe { ffi::taken(name) }
    }

    /// The terminal on which xenconsoled serves a domain's first console.
    ///
    /// # Errors
    /// xenconsoled has not made one.
    pub fn console_tty(&self, domid: u16) -> Result<String> {
        let mark = self.logger().mark();
        let mut path = ptr::null_mut();
        let kind = libxl_sys::libxl_console_type::LIBXL_CONSOLE_TYPE_PV;
        // SAFETY: the context is alive; the path's variable outlives the call.
        let rc = unsafe {
            libxl_sys::libxl_console_get_tty(self.raw(), u32::from(domid), 0, kind, &raw mut path)
        };
        // SAFETY: NULL as set above, or a string libxl allocated for us.
        let path = unsafe { ffi::taken(path) };
        check(
            rc,
            || format!("find the console of domain {domid}"),
            || self.logger().errors_since(mark),
        )?;
        Ok(path.expect("libxl_console_get_tty sets the path when it returns 0"))
    }

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

    /// Starts a domain that is paused.
    ///
    /// # Errors
    /// libxl cannot.
    pub fn unpause(&self, domid: u16) -> Result<()> {
        let mark = self.logger().mark();
        // SAFETY: the context is alive; NULL makes the call synchronous.
        let rc =
            unsafe { libxl_sys::libxl_domain_unpause(self.raw(), u32::from(domid), ptr::null()) };
        check(
            rc,
            || format!("unpause domain {domid}"),
            || self.logger().errors_since(mark),
        )
    }

    /// Destroys a domain and what libxl keeps for it. It is listed as
    /// [`RunState::Dying`] until the last page that others mapped of it is
    /// back (xenconsoled maps one), and keeps its domid till then. For a minute from now
    /// libxl refuses the same domid ([`Context::forget_recent_domids`]).
    ///
    /// # Errors
    /// There is no such domain, or libxl cannot; parts may be left.
    pub fn destroy(&self, domid: u16) -> Result<()> {
        let mark = self.logger().mark();
        // SAFETY: the context is alive; NULL makes the call synchronous.
        let rc =
            unsafe { libxl_sys::libxl_domain_destroy(self.raw(), u32::from(domid), ptr::null()) };
        if rc == libxl_sys::libxl_error::ERROR_DOMAIN_NOTFOUND.0 {
            return Err(Error::NoSuchDomain { domid });
        }
        check(
            rc,
            || format!("destroy domain {domid}"),
            || self.logger().errors_since(mark),
        )
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

fn describe(raw: &libxl_sys::libxl_dominfo) -> DomainInfo {
    use libxl_sys::libxl_domain_type as kind;

    DomainInfo {
        // DOMID_FIRST_RESERVED is 0x7ff0: every domain in a list fits.
        domid: u16::try_from(raw.domid).unwrap_or(u16::MAX),
        uuid: raw.uuid.uuid,
        state: state(raw),
        memory_kib: raw.current_memkb,
        max_memory_kib: raw.max_memkb,
        vcpus: raw.vcpu_online,
        hvm: raw.domain_type != kind::LIBXL_DOMAIN_TYPE_PV,
        // SAFETY: NULL or a C string that the list owns, which is freed after
        // it was copied.
        seclabel: unsafe { ffi::copied(raw.ssid_label) },
    }
}

fn state(raw: &libxl_sys::libxl_dominfo) -> RunState {
    if raw.dying {
        RunState::Dying
    } else if raw.shutdown {
        RunState::Shutdown(shutdown_reason(raw.shutdown_reason))
    } else if raw.paused {
        RunState::Paused
    } else {
        RunState::Running
    }
}

fn shutdown_reason(raw: libxl_sys::libxl_shutdown_reason) -> ShutdownReason {
    use libxl_sys::libxl_shutdown_reason as reason;

    match raw {
        reason::LIBXL_SHUTDOWN_REASON_POWEROFF => ShutdownReason::Poweroff,
        reason::LIBXL_SHUTDOWN_REASON_REBOOT => ShutdownReason::Reboot,
        reason::LIBXL_SHUTDOWN_REASON_SUSPEND => ShutdownReason::Suspend,
        reason::LIBXL_SHUTDOWN_REASON_CRASH => ShutdownReason::Crash,
        reason::LIBXL_SHUTDOWN_REASON_WATCHDOG => ShutdownReason::Watchdog,
        reason::LIBXL_SHUTDOWN_REASON_SOFT_RESET => ShutdownReason::SoftReset,
        other => ShutdownReason::Other(other.0),
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

    #[test]
    fn dying_comes_before_shutdown_and_shutdown_before_paused() {
        // SAFETY: integers, pointers and newtype enums are valid as zero.
        let mut raw: libxl_sys::libxl_dominfo = unsafe { std::mem::zeroed() };
        assert_eq!(state(&raw), RunState::Running);
        raw.paused = true;
        assert_eq!(state(&raw), RunState::Paused);
        raw.shutdown = true;
        raw.shutdown_reason = libxl_sys::libxl_shutdown_reason::LIBXL_SHUTDOWN_REASON_CRASH;
        assert_eq!(state(&raw), RunState::Shutdown(ShutdownReason::Crash));
        raw.dying = true;
        assert_eq!(state(&raw), RunState::Dying);
    }

    #[test]
    fn an_unknown_shutdown_reason_keeps_its_number() {
        let raw = libxl_sys::libxl_shutdown_reason(42);
        assert_eq!(shutdown_reason(raw), ShutdownReason::Other(42));
    }
}
