// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What makes a PV Linux the initial domain: two flags and the place of its
//! console in the page it starts from (`struct start_info` of
//! `xen/include/public/xen.h`). libxl has no word for them, so the page of the
//! finished, paused domain is changed.

use std::mem::{MaybeUninit, offset_of};
use std::ptr::NonNull;

use xenctrl_sys::start_info;

use crate::error::{Error, Result};
use crate::hypervisor::Hypervisor;

impl Hypervisor {
    /// Tells the PV domain `domid`, built and never run, that it is the
    /// initial domain: it then takes the devices, and Xen's console for its
    /// own.
    ///
    /// # Errors
    /// Its first page cannot be found or mapped, or is not a start_info.
    pub fn make_initial(&self, domid: u16) -> Result<()> {
        let (xch, number) = (self.xenctrl.raw(), u32::from(domid));
        let doing = || format!("tell domain {domid} that it is the initial domain");
        let mut context = MaybeUninit::<xenctrl_sys::vcpu_guest_context_any_t>::zeroed();
        // SAFETY: the handle is open; the structure outlives the call.
        let rc = unsafe { xenctrl_sys::xc_vcpu_getcontext(xch, number, 0, context.as_mut_ptr()) };
        self.done(rc, doing)?;
        // SAFETY: integers, zeroed and then filled in.
        let context = unsafe { context.assume_init() };
        let at = start_info_address(&context);
        // SAFETY: the handle is open; vcpu 0 is there, as it has a context.
        let frame = unsafe { xenctrl_sys::xc_translate_foreign_address(xch, number, 0, at) };
        if frame == 0 {
            return Err(self.failed(doing()));
        }
        let access = i32::try_from(xenctrl_sys::PROT_READ | xenctrl_sys::PROT_WRITE)
            .expect("protection bits are small");
        // SAFETY: the handle is open; the mapping is new, of one page, and
        // unmapped below.
        let page = unsafe { xenctrl_sys::xc_map_foreign_range(xch, number, PAGE, access, frame) };
        let page = NonNull::new(page.cast::<u8>()).ok_or_else(|| self.failed(doing()))?;
        let offset = usize::try_from(at).unwrap_or(0) % PAGE_BYTES;
        let told = tell(page, offset);
        // SAFETY: the one page mapped above, not used again.
        let rc = unsafe { xenctrl_sys::munmap(page.as_ptr().cast(), PAGE_BYTES) };
        self.done(rc, doing)?;
        if told {
            return Ok(());
        }
        Err(Error::System {
            doing: doing(),
            source: std::io::Error::from(std::io::ErrorKind::InvalidData),
            log: vec!["its first vcpu does not start with a start_info".to_owned()],
        })
    }

    /// Restarts the machine through its hardware domain `domid`, which is
    /// never destroyed: Xen would not survive it.
    ///
    /// # Errors
    /// The hypervisor refuses.
    pub fn restart_machine(&self, domid: u16) -> Result<()> {
        let reason = i32::try_from(xenctrl_sys::SHUTDOWN_reboot).expect("a small number");
        // SAFETY: the handle is open.
        let rc = unsafe {
            xenctrl_sys::xc_domain_shutdown(self.xenctrl.raw(), u32::from(domid), reason)
        };
        self.done(rc, || format!("restart the machine through domain {domid}"))
    }
}

/// A PV kernel is entered with the address of its start_info in rsi. The
/// domain is 64-bit, so that is the part of the union that was filled in.
fn start_info_address(context: &xenctrl_sys::vcpu_guest_context_any_t) -> u64 {
    use xenctrl_sys::{cpu_user_regs_x86_64, vcpu_guest_context_x86_64};

    let registers = offset_of!(vcpu_guest_context_x86_64, user_regs);
    let at = registers + offset_of!(cpu_user_regs_x86_64, __bindgen_anon_14);
    let rsi = std::ptr::from_ref(context)
        .cast::<u8>()
        .wrapping_add(at)
        .cast::<u64>();
    // SAFETY: the field lies in the structure and is aligned in it.
    unsafe { rsi.read() }
}

/// Changes the start_info at `offset` of the mapped `page`; false if there is
/// none.
fn tell(page: NonNull<u8>, offset: usize) -> bool {
    if offset + size_of::<start_info>() > PAGE_BYTES
        || !offset.is_multiple_of(align_of::<start_info>())
    {
        return false;
    }
    let info = page.as_ptr().wrapping_add(offset);
    let field = |at: usize| info.wrapping_add(at);
    // SAFETY: the structure lies in the mapped page and is aligned, as just
    // checked, here and below.
    let magic = unsafe {
        field(offset_of!(start_info, magic))
            .cast::<[u8; 4]>()
            .read_volatile()
    };
    if &magic != b"xen-" {
        return false;
    }
    let flags = field(offset_of!(start_info, flags)).cast::<u32>();
    // SAFETY: as above.
    let before = unsafe { flags.read_volatile() };
    let initial = xenctrl_sys::SIF_PRIVILEGED | xenctrl_sys::SIF_INITDOMAIN;
    // SAFETY: as above.
    unsafe { flags.write_volatile(before | initial) };
    // console.dom0: where the description of a video console is, and its
    // length. There is none; the offset only has to be a valid one.
    let console = field(offset_of!(start_info, console)).cast::<u32>();
    let end = u32::try_from(size_of::<start_info>()).expect("less than a page");
    // SAFETY: as above; the union begins with these two numbers.
    unsafe { console.write_volatile(end) };
    // SAFETY: as above.
    unsafe { console.wrapping_add(1).write_volatile(0) };
    true
}

const PAGE: i32 = 4096;
const PAGE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn page(magic: &[u8]) -> Box<[u64; PAGE_BYTES / 8]> {
        let mut page = Box::new([0_u64; PAGE_BYTES / 8]);
        for (word, chunk) in page.iter_mut().zip(magic.chunks(8)) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_ne_bytes(bytes);
        }
        page
    }

    #[test]
    fn a_start_info_gets_both_flags_and_keeps_its_own() {
        let mut page = page(b"xen-3.0-x86_64");
        let flags = offset_of!(start_info, flags) / 8;
        page[flags] = 1 << 4;
        assert!(tell(NonNull::new(page.as_mut_ptr().cast()).unwrap(), 0));
        assert_eq!(page[flags] & 0xffff_ffff, 1 << 4 | 3);
        assert_eq!(
            page[offset_of!(start_info, console) / 8],
            size_of::<start_info>() as u64
        );
    }

    #[test]
    fn another_page_is_left_as_it_is() {
        let mut page = page(b"not a start_info");
        let before = page.clone();
        assert!(!tell(NonNull::new(page.as_mut_ptr().cast()).unwrap(), 0));
        assert!(!tell(NonNull::new(page.as_mut_ptr().cast()).unwrap(), 4000));
        assert_eq!(page, before);
    }
}
