// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The xenstore domain: the one domain libxl cannot build, because libxl
//! needs a XenStore, because it cannot mark a domain as the one that serves
//! it, and because it always gives a domain a store channel, for whose answer
//! a PV kernel then waits before it starts its init.
//!
//! While it is built, the ring of the kernel this runs on is tied to it: from
//! then on `/dev/xen/xenbus` leads to the new domain. Nobody may use that
//! device before the new domain says that it serves: the store empties the
//! ring as it takes it over, and a request in it would be lost.
//!
//! Its console and its store page are granted to nobody else, and their event
//! channels lead nowhere: what it has to say before it serves is read from its
//! console page, which the builder may map.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::Path;

use crate::console_ring::ConsoleRing;
use crate::error::{Error, Result};
use crate::ffi;
use crate::hypervisor::Hypervisor;
use crate::image::{self, Contents};

/// What the xenstore domain is made from.
#[derive(Clone, Copy, Debug)]
pub struct StoreDomainSpec<'a> {
    /// The domid it shall have, 1 to 32751.
    pub domid: u16,
    /// Its UUID, in the order it is written.
    pub uuid: [u8; 16],
    /// Its memory.
    pub memory_mib: u32,
    /// A PV kernel, not compressed or in a form libxenguest reads.
    pub kernel: &'a Path,
    /// Its ramdisk.
    pub ramdisk: &'a Path,
    /// Its label, if it shall have another than a plain guest's.
    pub seclabel: Option<&'a str>,
}

/// The xenstore domain, paused, and the page it talks through.
#[derive(Debug)]
pub struct StoreDomain {
    domid: u16,
    console: ConsoleRing,
}

impl Hypervisor {
    /// Builds the xenstore domain, paused, and ties this kernel's ring to it.
    /// `cmdline` makes its command line from the port at which this domain's
    /// ring waits for it. After a failure nothing of the domain is left.
    ///
    /// # Errors
    /// The domid is in use, the hypervisor refuses, or this kernel has had a
    /// XenStore before.
    pub fn create_store_domain(
        &self,
        spec: &StoreDomainSpec<'_>,
        cmdline: impl FnOnce(u32) -> String,
    ) -> Result<StoreDomain> {
        let domid = self.create_empty(spec)?;
        match self.fill(domid, spec, cmdline) {
            Ok(domain) => Ok(domain),
            Err(error) => {
                if let Err(remains) = self.destroy(domid) {
                    eprintln!("xenlight: domain {domid} is left half built: {remains}");
                }
                Err(error)
            }
        }
    }

    fn create_empty(&self, spec: &StoreDomainSpec<'_>) -> Result<u16> {
        let asked = spec.domid;
        let ssidref = match spec.seclabel {
            Some(label) => self.label_number(label)?,
            None => PLAIN_GUEST,
        };
        let mut config = xenctrl_sys::xen_domctl_createdomain {
            ssidref,
            handle: spec.uuid,
            flags: xenctrl_sys::XEN_DOMCTL_CDF_xs_domain,
            iommu_opts: 0,
            max_vcpus: 1,
            max_evtchn_port: u32::MAX,
            max_grant_frames: XEN_S_DEFAULT,
            max_maptrack_frames: XEN_S_DEFAULT,
            grant_opts: GRANT_VERSION_1,
            vmtrace_size: 0,
            cpupool_id: 0,
            // SAFETY: integers; zero is a PV domain without emulated devices.
            arch: unsafe { std::mem::zeroed() },
        };
        let mut domid = u32::from(asked);
        // SAFETY: the handle is open; both variables outlive the call.
        let rc = unsafe {
            xenctrl_sys::xc_domain_create(self.xenctrl.raw(), &raw mut domid, &raw mut config)
        };
        self.done(rc, || {
            format!("create the xenstore domain at domid {asked}")
        })?;
        if domid == u32::from(asked) {
            return Ok(asked);
        }
        if let Ok(got) = u16::try_from(domid) {
            self.destroy(got)?;
        }
        Err(Error::DomidDiffers { asked, got: domid })
    }

    fn fill(
        &self,
        domid: u16,
        spec: &StoreDomainSpec<'_>,
        cmdline: impl FnOnce(u32) -> String,
    ) -> Result<StoreDomain> {
        let (xch, number) = (self.xenctrl.raw(), u32::from(domid));
        let most_kib = u64::from(spec.memory_mib) * 1024;
        // SAFETY: the handle is open, here and below.
        let rc = unsafe { xenctrl_sys::xc_domain_max_vcpus(xch, number, 1) };
        self.done(rc, || format!("give domain {domid} a vcpu"))?;
        // SAFETY: as above.
        let rc = unsafe { xenctrl_sys::xc_domain_setmaxmem(xch, number, most_kib) };
        self.done(rc, || format!("limit the memory of domain {domid}"))?;
        // SAFETY: as above.
        let rc = unsafe { xenctrl_sys::xc_domain_set_memmap_limit(xch, number, most_kib) };
        self.done(rc, || format!("limit the memory map of domain {domid}"))?;
        // Its console leads to itself: a kernel without a port has no console.
        // SAFETY: as above.
        let port = unsafe { xenctrl_sys::xc_evtchn_alloc_unbound(xch, number, number) };
        let console_port = u32::try_from(port)
            .map_err(|_| self.failed(format!("give domain {domid} a console channel")))?;

        let ring_port = tie_kernel_to(domid)?;
        let contents = Contents {
            kernel: spec.kernel,
            ramdisk: spec.ramdisk,
            cmdline: &cmdline(ring_port),
            memory_mib: spec.memory_mib,
            console_port,
        };
        let console = image::build(&self.xenctrl, &self.logger, domid, &contents)?;
        let console = ConsoleRing::map(&self.xenctrl, domid, console)?;
        // SAFETY: as above.
        let rc = unsafe { xenctrl_sys::xc_domain_set_virq_handler(xch, number, DOMAIN_EXCEPTION) };
        self.done(rc, || {
            format!("send news of other domains to domain {domid}")
        })?;
        Ok(StoreDomain { domid, console })
    }
}

impl StoreDomain {
    /// Its domid.
    #[must_use]
    pub fn domid(&self) -> u16 {
        self.domid
    }

    /// What it has written to its console since the last call.
    pub fn console(&mut self) -> Vec<u8> {
        self.console.take()
    }
}

/// Grants this kernel's store ring to `domid`; the answer is the port at which
/// it waits.
fn tie_kernel_to(domid: u16) -> Result<u32> {
    const DEVICE: &str = "/dev/xen/xenbus_backend";

    let failed = |source| Error::System {
        doing: format!(
            "tie this kernel to the XenStore of domain {domid} through {DEVICE} (is this the initial domain, without a XenStore so far?)"
        ),
        source,
        log: Vec::new(),
    };
    let device: File = OpenOptions::new()
        .read(true)
        .write(true)
        .open(DEVICE)
        .map_err(failed)?;
    // SAFETY: the descriptor is open; this request takes a number.
    let port =
        unsafe { xenctrl_sys::ioctl(device.as_raw_fd(), XENBUS_BACKEND_SETUP, u64::from(domid)) };
    u32::try_from(port).map_err(|_| failed(ffi::errno()))
}

/// `IOCTL_XENBUS_BACKEND_SETUP` (`xen/sys/xenbus_dev.h`): _IOC(_IOC_NONE, 'B', 1, 0).
const XENBUS_BACKEND_SETUP: u64 = (b'B' as u64) << 8 | 1;
/// VIRQ_DOM_EXC: a domain has ended, or is gone.
const DOMAIN_EXCEPTION: i32 = xenctrl_sys::VIRQ_DOM_EXC as i32;
/// SECINITSID_DOMU: the place of `domU` in `xen/xsm/flask/policy/initial_sids`,
/// from 1. It is what libxl takes as well.
const PLAIN_GUEST: u32 = 12;
/// "Take the hypervisor's default" for a number of frames.
const XEN_S_DEFAULT: i32 = -1;
/// `XEN_DOMCTL_GRANT_version(1)`.
const GRANT_VERSION_1: u32 = 1;
