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
    /// Under Flask the label of `domid` must have `event:status`.
    ///
    /// # Errors
    /// The hypervisor refuses, or there is no such domain. Permission is denied
    /// where Xen refuses every port: those it keeps for itself are never all.
    pub fn channels(&self, domid: u16) -> Result<Vec<(u32, u16)>> {
        told(domid, |port| {
            let mut status = MaybeUninit::<xenctrl_sys::xc_evtchn_status_t>::zeroed();
            // SAFETY: integers and a union of integers, all zero.
            let status = unsafe { status.assume_init_mut() };
            (status.dom, status.port) = (domid, port);
            // SAFETY: the handle is open; the structure outlives the call.
            let rc = unsafe { xenctrl_sys::xc_evtchn_status(self.xenctrl.raw(), &raw mut *status) };
            let error = ffi::errno();
            if rc == 0 {
                Ok(remote(status))
            } else {
                Err(error)
            }
        })
    }
}

/// Asks about port after port, until Xen says that there are no more.
fn told(
    domid: u16,
    mut ask: impl FnMut(u32) -> io::Result<Option<u16>>,
) -> Result<Vec<(u32, u16)>> {
    let failed = |what: String, source| Error::System {
        doing: format!("ask for {what} of domain {domid}"),
        source,
        log: Vec::new(),
    };
    let (mut channels, mut answers, mut denied) = (Vec::new(), 0, None);
    for port in 1..MOST_PORTS {
        match ask(port) {
            Ok(remote) => {
                answers += 1;
                channels.extend(remote.map(|remote| (port, remote)));
            }
            // Past the last port (evtchn_status() of event_channel.c).
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => denied = Some(error),
            Err(error) => return Err(failed(format!("event channel {port}"), error)),
        }
    }
    match denied {
        Some(error) if answers == 0 => Err(failed("any event channel".to_owned(), error)),
        _ => Ok(channels),
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

#[cfg(test)]
mod tests {
    use super::*;

    const EACCES: i32 = 13;
    const EINVAL: i32 = 22;

    /// Asks a domain with three ports, of which Xen says this.
    fn of(ports: [std::result::Result<Option<u16>, i32>; 3]) -> Result<Vec<(u32, u16)>> {
        told(7, |port| {
            let says = ports.get(port as usize - 1).copied();
            says.unwrap_or(Err(EINVAL))
                .map_err(io::Error::from_raw_os_error)
        })
    }

    #[test]
    fn a_port_of_xens_own_is_left_out() {
        let found = of([Ok(Some(2)), Err(EACCES), Ok(None)]).unwrap();
        assert_eq!(found, [(1, 2)]);
        assert_eq!(of([Ok(None), Err(EACCES), Ok(None)]).unwrap(), []);
    }

    #[test]
    fn to_be_told_nothing_is_not_to_have_nothing() {
        let error = of([Err(EACCES); 3]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot ask for any event channel of domain 7"
        );
        let Error::System { source, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(source.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn another_failure_names_the_port() {
        const ESRCH: i32 = 3;
        let error = of([Ok(None), Err(ESRCH), Ok(None)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot ask for event channel 2 of domain 7"
        );
    }
}
