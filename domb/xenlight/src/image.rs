// SPDX-License-Identifier: Apache-2.0 OR MIT
//! libxenguest's builder of one PV domain (`struct xc_dom_image`), for the
//! domain that libxl cannot build.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{self, NonNull};

use crate::error::{Error, Result};
use crate::ffi;
use crate::logger::Logger;
use crate::xenctrl::Xenctrl;

/// What goes into a domain.
pub(crate) struct Contents<'a> {
    pub(crate) kernel: &'a Path,
    pub(crate) ramdisk: &'a Path,
    pub(crate) cmdline: &'a str,
    pub(crate) memory_mib: u32,
    /// The port of its console; 0 for none.
    pub(crate) console_port: u32,
}

struct Image<'a> {
    raw: NonNull<xenctrl_sys::xc_dom_image>,
    domid: u16,
    logger: &'a Logger,
}

/// Fills the new, empty PV domain `domid` and gives it its first vcpu. It has
/// no store event channel; its reserved grants (console, store) go to itself.
/// What comes back is the machine frame of its console page.
pub(crate) fn build(
    xenctrl: &Xenctrl,
    logger: &Logger,
    domid: u16,
    contents: &Contents<'_>,
) -> Result<u64> {
    let mut image = Image::allocate(xenctrl, logger, domid, contents.cmdline)?;
    let (kernel, ramdisk) = (c_path(contents.kernel)?, c_path(contents.ramdisk)?);
    image.step("read the kernel of", |dom| {
        // SAFETY: the image is allocated and not yet released; what else is
        // given outlives the call.
        unsafe { xenctrl_sys::xc_dom_kernel_file(dom, kernel.as_ptr()) }
    })?;
    image.step("read the ramdisk of", |dom| {
        // SAFETY: the image is allocated and not yet released; what else is
        // given outlives the call.
        unsafe { xenctrl_sys::xc_dom_module_file(dom, ramdisk.as_ptr(), ptr::null()) }
    })?;
    image.step("prepare", |dom| {
        // SAFETY: the image is allocated and not yet released; what else is
        // given outlives the call.
        unsafe { xenctrl_sys::xc_dom_boot_xen_init(dom, xenctrl.raw(), u32::from(domid)) }
    })?;
    // SAFETY: nobody else has the image.
    let fields = unsafe { image.raw.as_mut() };
    fields.container_type = xenctrl_sys::XC_DOM_PV_CONTAINER;
    fields.console_evtchn = contents.console_port;
    fields.console_domid = u32::from(domid);
    fields.xenstore_domid = u32::from(domid);
    fields.max_vcpus = 1;
    image.step("find the PV entry in the kernel of", |dom| {
        // SAFETY: the image is allocated and not yet released; what else is
        // given outlives the call.
        unsafe { xenctrl_sys::xc_dom_parse_image(dom) }
    })?;
    image.step("plan the memory of", |dom| {
        // SAFETY: the image is allocated and not yet released; what else is
        // given outlives the call.
        unsafe { xenctrl_sys::xc_dom_mem_init(dom, contents.memory_mib) }
    })?;
    image.step("give memory to", |dom| {
        // SAFETY: the image is allocated and not yet released; what else is
        // given outlives the call.
        unsafe { xenctrl_sys::xc_dom_boot_mem_init(dom) }
    })?;
    image.step("load kernel and ramdisk into", |dom| {
        // SAFETY: the image is allocated and not yet released; what else is
        // given outlives the call.
        unsafe { xenctrl_sys::xc_dom_build_image(dom) }
    })?;
    image.step("set up the first vcpu of", |dom| {
        // SAFETY: the image is allocated and not yet released; what else is
        // given outlives the call.
        unsafe { xenctrl_sys::xc_dom_boot_image(dom) }
    })?;
    image.step("seed the grants of", |dom| {
        // SAFETY: the image is allocated and not yet released; what else is
        // given outlives the call.
        unsafe { xenctrl_sys::xc_dom_gnttab_init(dom) }
    })?;
    image.console_frame()
}

impl<'a> Image<'a> {
    fn allocate(
        xenctrl: &Xenctrl,
        logger: &'a Logger,
        domid: u16,
        cmdline: &str,
    ) -> Result<Image<'a>> {
        let cmdline = ffi::c_string(cmdline, || format!("the command line of domain {domid}"))?;
        let mark = logger.mark();
        // SAFETY: the handle is open; the text is copied; NULL asks for no
        // features beyond the kernel's.
        let raw =
            unsafe { xenctrl_sys::xc_dom_allocate(xenctrl.raw(), cmdline.as_ptr(), ptr::null()) };
        let raw = NonNull::new(raw).ok_or_else(|| Error::System {
            doing: format!("prepare to build domain {domid}"),
            source: ffi::errno(),
            log: logger.errors_since(mark),
        })?;
        Ok(Image { raw, domid, logger })
    }

    /// One step of the building; libxenguest returns 0 when it was done.
    fn step(
        &mut self,
        doing: &str,
        run: impl FnOnce(*mut xenctrl_sys::xc_dom_image) -> i32,
    ) -> Result<()> {
        let mark = self.logger.mark();
        if run(self.raw.as_ptr()) == 0 {
            return Ok(());
        }
        let source = ffi::errno();
        let log = self.logger.errors_since(mark);
        Err(Error::System {
            doing: format!("{doing} domain {}", self.domid),
            source,
            log,
        })
    }

    /// `xc_dom_p2m` of the console's frame, for PV.
    fn console_frame(&self) -> Result<u64> {
        // SAFETY: nobody else has the image.
        let fields = unsafe { self.raw.as_ref() };
        if fields.pv_p2m.is_null() || fields.console_pfn >= fields.total_pages {
            return Err(Error::System {
                doing: format!("find the console of domain {}", self.domid),
                source: io::Error::from(io::ErrorKind::NotFound),
                log: Vec::new(),
            });
        }
        let at = usize::try_from(fields.console_pfn).expect("a frame number fits usize on x86-64");
        // SAFETY: the table has an entry for each of the domain's pages, and
        // the number is below theirs.
        let entry = unsafe { fields.pv_p2m.add(at) };
        // SAFETY: as above; it is filled once the memory is given.
        Ok(unsafe { entry.read() })
    }
}

impl Drop for Image<'_> {
    fn drop(&mut self) {
        // SAFETY: xc_dom_allocate made it, and it is not used again.
        unsafe { xenctrl_sys::xc_dom_release(self.raw.as_ptr()) };
    }
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Error::Nul {
        what: format!("the path {}", path.display()),
    })
}
