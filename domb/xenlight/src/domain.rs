// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Domains that are there: what they do, what they are called, how they start
//! and go. How they come to be is in `paused`.
//!
//! What the hypervisor says is trusted for the moment it was asked; it is
//! copied, and nothing here remembers it.

use std::fmt;
use std::io;
use std::ptr;

use crate::context::Context;
use crate::error::{Error, Result, check};
use crate::ffi;
use crate::platform::FlaskState;

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

impl ShutdownReason {
    /// Xen's own number (`SHUTDOWN_*`), which is libxl's as well.
    pub(crate) fn of_xen(number: u32) -> ShutdownReason {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        shutdown_reason(libxl_sys::libxl_shutdown_reason(number))
    }
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
        // libxl says neither that Xen refused nor that it did not ask.
        if domain.seclabel.is_none() && self.flask()? != FlaskState::Absent {
            return Err(Error::System {
                doing: format!("read the label of domain {domid}"),
                source: io::ErrorKind::PermissionDenied.into(),
                log: Vec::new(),
            });
        }
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

#[cfg(test)]
mod tests {
    use super::*;

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
