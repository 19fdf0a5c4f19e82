// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Event channels: one of a domain with itself, which goes nowhere and is for
//! a program that insists on binding one; and who is at the other end of those
//! another domain has, as far as Xen tells.

use std::fs::{File, OpenOptions};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

use crate::error::{Error, Result};
use crate::ffi;
use crate::hypervisor::Hypervisor;

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

impl Hypervisor {
    /// Each event channel that domain `domid` has with another domain or keeps
    /// for one: its port and the other's domid (`xc_evtchn_status`). Those with
    /// Xen itself are left out, about which Xen tells nobody.
    ///
    /// Under Flask the label of `domid` must have `event:status`; without it
    /// Xen tells of no channel, as if all were Xen's own.
    ///
    /// # Errors
    /// The hypervisor refuses, or there is no such domain.
    pub fn channels(&self, domid: u16) -> Result<Vec<(u32, u16)>> {
        let mut channels = Vec::new();
        for port in 1..MOST_PORTS {
            let mut status = MaybeUninit::<xenctrl_sys::xc_evtchn_status_t>::zeroed();
            // SAFETY: integers and a union of integers, all zero.
            let status = unsafe { status.assume_init_mut() };
            (status.dom, status.port) = (domid, port);
            // SAFETY: the handle is open; the structure outlives the call.
            let rc = unsafe { xenctrl_sys::xc_evtchn_status(self.xenctrl.raw(), &raw mut *status) };
            let error = ffi::errno();
            if rc == 0 {
                channels.extend(remote(status).map(|remote| (port, remote)));
                continue;
            }
            match error.kind() {
                // Past the last port (evtchn_status() of event_channel.c).
                io::ErrorKind::InvalidInput => return Ok(channels),
                io::ErrorKind::PermissionDenied => {}
                _ => {
                    return Err(Error::System {
                        doing: format!("ask for event channel {port} of domain {domid}"),
                        source: error,
                        log: Vec::new(),
                    });
                }
            }
        }
        Ok(channels)
    }
}

/// The domain at the other end, if there is or is to be one.
fn remote(status: &xenctrl_sys::xc_evtchn_status_t) -> Option<u16> {
    match status.status {
        xenctrl_sys::EVTCHNSTAT_unbound => {
            // SAFETY: Xen fills in the member that belongs to the state; both
            // are integers.
            Some(unsafe { status.u.unbound.as_ref() }.dom)
        }
        xenctrl_sys::EVTCHNSTAT_interdomain => {
            // SAFETY: as above.
            Some(unsafe { status.u.interdomain.as_ref() }.dom)
        }
        _ => None,
    }
}

/// `EVTCHN_FIFO_NR_CHANNELS`.
const MOST_PORTS: u32 = 1 << 17;
/// `IOCTL_EVTCHN_BIND_UNBOUND_PORT`: _IOC(_IOC_NONE, 'E', 2, 4).
const BIND_UNBOUND_PORT: u64 = 4 << 16 | (b'E' as u64) << 8 | 2;
