// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An event channel of a domain with itself. It goes nowhere: it is for a
//! program that insists on binding one.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;

use crate::error::{Error, Result};
use crate::ffi;

/// An unbound port that only this domain can bind. Dropping it closes it.
#[derive(Debug)]
pub struct LoopbackPort {
    port: u32,
    _device: File,
}

impl LoopbackPort {
    /// Allocates a port in the domain this runs in, whose domid is `own`.
    ///
    /// # Errors
    /// There is no `/dev/xen/evtchn`, or the hypervisor refuses.
    pub fn open(own: u16) -> Result<LoopbackPort> {
        let failed = |source| Error::System {
            doing: "allocate an event channel of this domain with itself".to_owned(),
            source,
            log: Vec::new(),
        };
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/xen/evtchn")
            .map_err(failed)?;
        // struct ioctl_evtchn_bind_unbound_port of xen/sys/evtchn.h
        let remote_domain = u32::from(own);
        // SAFETY: the descriptor is open; this request reads one unsigned int
        // through the pointer, which outlives the call.
        let port = unsafe {
            xenctrl_sys::ioctl(
                device.as_raw_fd(),
                BIND_UNBOUND_PORT,
                &raw const remote_domain,
            )
        };
        match u32::try_from(port) {
            Ok(port) => Ok(LoopbackPort {
                port,
                _device: device,
            }),
            Err(_) => Err(failed(ffi::errno())),
        }
    }

    /// The port's number.
    #[must_use]
    pub fn port(&self) -> u32 {
        self.port
    }
}

/// `IOCTL_EVTCHN_BIND_UNBOUND_PORT`: _IOC(_IOC_NONE, 'E', 2, 4).
const BIND_UNBOUND_PORT: u64 = 4 << 16 | (b'E' as u64) << 8 | 2;
