// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a domain wrote to its PV console, read from the ring in its own page
//! (`xen/io/console.h`), without XenStore and without a console daemon.
//!
//! The page is the domain's: whatever it holds is only ever copied, and an
//! index that makes no sense means no more than lost text.

use std::mem::offset_of;
use std::ptr::NonNull;
use std::sync::atomic::{Ordering, fence};

use xenctrl_sys::xencons_interface as Ring;

use crate::error::{Error, Result};
use crate::ffi;
use crate::xenctrl::Xenctrl;

/// The page of another domain, mapped.
#[derive(Debug)]
pub(crate) struct ConsoleRing {
    page: NonNull<Ring>,
}

impl ConsoleRing {
    /// Maps the console page of domain `domid`, which is its machine frame
    /// `mfn`.
    pub(crate) fn map(xenctrl: &Xenctrl, domid: u16, mfn: u64) -> Result<ConsoleRing> {
        let access = i32::try_from(xenctrl_sys::PROT_READ | xenctrl_sys::PROT_WRITE)
            .expect("protection bits are small");
        // SAFETY: the handle is open; the mapping is new, of whole pages, and
        // ours until Drop unmaps it.
        let page = unsafe {
            xenctrl_sys::xc_map_foreign_range(
                xenctrl.raw(),
                u32::from(domid),
                PAGE_I32,
                access,
                mfn,
            )
        };
        let page = NonNull::new(page.cast()).ok_or_else(|| Error::System {
            doing: format!("map the console of domain {domid}"),
            source: ffi::errno(),
            log: Vec::new(),
        })?;
        Ok(ConsoleRing { page })
    }

    /// Takes what is in the ring out of it.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let (out_cons, out_prod) = (offset_of!(Ring, out_cons), offset_of!(Ring, out_prod));
        // SAFETY: the page is mapped until Drop, and the field lies in it; the
        // other domain writes it too, hence volatile.
        let produced = unsafe { self.field::<u32>(out_prod).read_volatile() };
        // SAFETY: as above.
        let consumed = unsafe { self.field::<u32>(out_cons).read_volatile() };
        // The text was written before the index was.
        fence(Ordering::Acquire);
        let waiting = (produced.wrapping_sub(consumed) as usize).min(RING);
        let mut text = Vec::with_capacity(waiting);
        for offset in 0..waiting {
            let at = (consumed as usize).wrapping_add(offset) % RING;
            // SAFETY: as above; `at` is below the array's length.
            text.push(unsafe { self.field::<u8>(offset_of!(Ring, out) + at).read_volatile() });
        }
        fence(Ordering::Release);
        // SAFETY: as above; the other domain only reads this index.
        unsafe { self.field::<u32>(out_cons).write_volatile(produced) };
        text
    }

    /// Nobody reads it from here on. Linux waits in the kernel until a full ring
    /// is read, so it is left with an index that is out of range: Linux then
    /// throws away what is written (`drivers/tty/hvc/hvc_xen.c`,
    /// `__write_console`).
    fn close(&mut self) {
        let (out_cons, out_prod) = (offset_of!(Ring, out_cons), offset_of!(Ring, out_prod));
        // SAFETY: as in take().
        let produced = unsafe { self.field::<u32>(out_prod).read_volatile() };
        // The domain may write meanwhile: any step of it stays out of range.
        let consumed = produced.wrapping_sub(OUT_OF_RANGE);
        // SAFETY: as in take().
        unsafe { self.field::<u32>(out_cons).write_volatile(consumed) };
    }

    fn field<T>(&self, offset: usize) -> *mut T {
        self.page.as_ptr().cast::<u8>().wrapping_add(offset).cast()
    }
}

impl Drop for ConsoleRing {
    fn drop(&mut self) {
        self.close();
        // SAFETY: map() mapped one page there, and it is not used again.
        let rc = unsafe { xenctrl_sys::munmap(self.page.as_ptr().cast(), PAGE) };
        if rc != 0 {
            eprintln!("xenlight: cannot unmap a console: {}", ffi::errno());
        }
    }
}

/// `out` of `struct xencons_interface`.
const RING: usize = 2048;
const OUT_OF_RANGE: u32 = 1 << 31;
const PAGE: usize = 4096;
const PAGE_I32: i32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(consumed: u32, produced: u32) -> Box<[u64; PAGE / 8]> {
        let mut page = Box::new([0_u64; PAGE / 8]);
        let ring: *mut Ring = page.as_mut_ptr().cast();
        for index in 0..RING {
            // SAFETY: a page is larger than the ring and aligned for it.
            unsafe { (*ring).out[index] = i8::try_from(index % 100).unwrap() };
        }
        // SAFETY: as above.
        unsafe { (*ring).out_cons = consumed };
        // SAFETY: as above.
        unsafe { (*ring).out_prod = produced };
        page
    }

    fn take(page: &mut [u64; PAGE / 8]) -> Vec<u8> {
        let page = NonNull::new(page.as_mut_ptr().cast()).unwrap();
        let mut ring = std::mem::ManuallyDrop::new(ConsoleRing { page });
        ring.take()
    }

    #[test]
    fn text_that_wraps_around_is_read_whole_and_once() {
        let mut page = ring(u32::MAX - 1, 3);
        assert_eq!(take(&mut page), [46, 47, 0, 1, 2]);
        assert!(take(&mut page).is_empty());
    }

    #[test]
    fn a_ring_that_nobody_reads_any_more_is_neither_full_nor_empty_for_its_domain() {
        for produced in [0, 5, u32::MAX] {
            let mut page = ring(produced, produced);
            let pointer = NonNull::new(page.as_mut_ptr().cast()).unwrap();
            std::mem::ManuallyDrop::new(ConsoleRing { page: pointer }).close();
            let ring: *mut Ring = page.as_mut_ptr().cast();
            // SAFETY: as in ring().
            let consumed = unsafe { (*ring).out_cons };
            for more in [0, 1, 2048] {
                let waiting = produced.wrapping_add(more).wrapping_sub(consumed);
                assert!(waiting as usize > RING);
            }
        }
    }

    #[test]
    fn an_index_out_of_range_gives_at_most_one_ring() {
        let mut page = ring(0, 1_000_000);
        assert_eq!(take(&mut page).len(), RING);
        assert!(take(&mut page).is_empty());
    }
}
