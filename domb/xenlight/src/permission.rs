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

impl Permission {
    /// How many pages, ports or interrupts it is.
    #[must_use]
    pub fn count(&self) -> u64 {
        match *self {
            Permission::Iomem { count, .. } => count,
            Permission::Ioports { count, .. } => count.into(),
            Permission::Irq(_) => 1,
        }
    }

    /// Its two parts; None if it has none.
    #[must_use]
    pub fn halves(&self) -> Option<[Permission; 2]> {
        match *self {
            Permission::Iomem { first, count } if count > 1 => {
                let half = count / 2;
                let part = |first, count| Permission::Iomem { first, count };
                Some([part(first, half), part(first + half, count - half)])
            }
            Permission::Ioports { first, count } if count > 1 => {
                let half = count / 2;
                let part = |first, count| Permission::Ioports { first, count };
                Some([part(first, half), part(first + half, count - half)])
            }
            _ => None,
        }
    }
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
    let failed = || {
        let verb = if allow { "give" } else { "take" };
        Error::System {
            doing: format!("{verb} domain {domid} the permission for {what:x?}"),
            source: ffi::errno(),
            log: Vec::new(),
        }
    };
    // Xen takes an interrupt by its number in the caller, which has none before
    // its Linux has looked for a device there.
    if let Permission::Irq(irq) = what {
        let number = i32::try_from(irq).unwrap_or(-1);
        let mut pirq = number;
        // SAFETY: the handle is open, as this function requires; `pirq` is there
        // to be written.
        let rc = unsafe { xenctrl_sys::xc_physdev_map_pirq(handle, CALLER, number, &raw mut pirq) };
        if rc != 0 {
            return Err(failed());
        }
    }
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
    if rc == 0 { Ok(()) } else { Err(failed()) }
}

/// domain 0, whose permissions these are about.
const CALLER: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halves_of_a_range_are_the_range() {
        let ports = Permission::Ioports {
            first: 0x2f8,
            count: 7,
        };
        let part = |first, count| Permission::Ioports { first, count };
        assert_eq!(ports.halves(), Some([part(0x2f8, 3), part(0x2fb, 4)]));
        assert_eq!(part(0x2f8, 1).halves(), None);
        let pages = |first, count| Permission::Iomem { first, count };
        assert_eq!(
            pages(0xfed40, 2).halves(),
            Some([pages(0xfed40, 1), pages(0xfed41, 1)])
        );
        assert_eq!(Permission::Irq(3).halves(), None);
    }
}
