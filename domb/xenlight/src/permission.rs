// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a domain may touch of the machine: pages of I/O memory, I/O ports,
//! interrupts. libxl gives them while it builds a domain; it has no word for
//! taking them back.
//!
//! Xen asks that the caller has what it gives, and what it takes
//! (`xen/common/domctl.c`).

use crate::context::Context;
use crate::error::{Error, Result};
use crate::ffi;
use crate::hypervisor::Hypervisor;

/// One range of the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Permission {
    /// Pages of I/O memory.
    Iomem {
        /// The first machine frame.
        first: u64,
        /// How many.
        count: u64,
    },
    /// I/O ports.
    Ioports {
        /// The first.
        first: u32,
        /// How many.
        count: u32,
    },
    /// An interrupt.
    Irq(u32),
}

impl Context {
    /// Gives the domain the range, or takes it from it.
    ///
    /// # Errors
    /// The hypervisor refuses; [`Error::is_not_permitted`] if the caller does
    /// not have the range itself.
    pub fn permit(&self, domid: u16, what: Permission, allow: bool) -> Result<()> {
        // SAFETY: the handle is open as long as the context.
        unsafe { permit(self.hypervisor_interface().raw(), domid, what, allow) }
    }
}

impl Hypervisor {
    /// As [`Context::permit`].
    ///
    /// # Errors
    /// As [`Context::permit`].
    pub fn permit(&self, domid: u16, what: Permission, allow: bool) -> Result<()> {
        // SAFETY: the handle is open as long as the hypervisor's interface.
        unsafe { permit(self.xenctrl.raw(), domid, what, allow) }
    }
}

/// # Safety
/// `handle` is open.
unsafe fn permit(
    handle: *mut xenctrl_sys::xc_interface,
    domid: u16,
    what: Permission,
    allow: bool,
) -> Result<()> {
    let domid = u32::from(domid);
    let rc = match what {
        // SAFETY: the handle is open, as this function requires; the rest are
        // numbers.
        Permission::Iomem { first, count } => unsafe {
            xenctrl_sys::xc_domain_iomem_permission(handle, domid, first, count, allow.into())
        },
        // SAFETY: the same.
        Permission::Ioports { first, count } => unsafe {
            xenctrl_sys::xc_domain_ioport_permission(handle, domid, first, count, allow.into())
        },
        // SAFETY: the same.
        Permission::Irq(irq) => unsafe {
            xenctrl_sys::xc_domain_irq_permission(handle, domid, irq, allow)
        },
    };
    if rc == 0 {
        return Ok(());
    }
    let verb = if allow { "give" } else { "take" };
    Err(Error::System {
        doing: format!("{verb} domain {domid} the permission for {what:x?}"),
        source: ffi::errno(),
        log: Vec::new(),
    })
}
