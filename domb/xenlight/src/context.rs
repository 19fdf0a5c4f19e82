// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The libxl context: the one object everything else borrows.

use std::ptr::{self, NonNull};

use crate::error::{Result, check};
use crate::logger::Logger;
use crate::platform::FlaskState;
use crate::store::Store;
use crate::xenctrl::Xenctrl;

/// libxl installs the SIGCHLD handler, but reaps its own children only; domb
/// waits for its daemons by pid. The structure must outlive every context
/// that was told of it (`libxl_event.h`), so it is a static.
static CHILDREN: libxl_sys::libxl_childproc_hooks = libxl_sys::libxl_childproc_hooks {
    chldowner: libxl_sys::libxl_sigchld_owner::libxl_sigchld_owner_libxl_always_selective_reap,
    fork_replacement: None,
    reaped_callback: None,
};

/// A connection to the hypervisor and to XenStore, ready to build domains.
///
/// It is neither `Send` nor `Sync`: a thread that builds domains opens a
/// context of its own.
#[derive(Debug)]
pub struct Context {
    // Fields are dropped in this order; the logger serves the first two.
    libxl: Libxl,
    xenctrl: Xenctrl,
    store: Store,
    logger: Logger,
}

impl Context {
    /// Opens the hypervisor's interface, XenStore and libxl, in that order.
    ///
    /// xenstored must answer by now: where its socket is missing, libxenstore
    /// waits 3 s for it, and then the first request through the kernel waits
    /// for ever.
    ///
    /// # Errors
    /// This is not a privileged domain on Xen, or there is no XenStore.
    pub fn open(logger: Logger) -> Result<Context> {
        let xenctrl = Xenctrl::open(&logger)?;
        let store = Store::open()?;
        let libxl = Libxl::open(&logger)?;
        Ok(Context {
            libxl,
            xenctrl,
            store,
            logger,
        })
    }

    /// XenStore, over a connection of its own.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Where libxl logs to.
    #[must_use]
    pub fn logger(&self) -> &Logger {
        &self.logger
    }

    /// Makes libxl forget which domids were used within the last minute; it
    /// refuses to use them again otherwise (`libxl_clear_domid_history`).
    ///
    /// Who gives out fixed domids wants this before rebuilding a domain:
    /// libxl's memory is meant for toolstacks that number automatically. The
    /// same can be had for a whole process by `LIBXL_DOMID_REUSE_TIMEOUT=0`.
    ///
    /// # Errors
    /// The file in `/var/run/xen` cannot be removed.
    pub fn forget_recent_domids(&self) -> Result<()> {
        let mark = self.logger.mark();
        // SAFETY: the context is alive.
        let rc = unsafe { libxl_sys::libxl_clear_domid_history(self.raw()) };
        check(
            rc,
            || "clear libxl's list of recent domids".to_owned(),
            || self.logger.errors_since(mark),
        )
    }

    /// What Flask does about labels.
    pub(crate) fn flask_state(&self) -> Result<FlaskState> {
        self.xenctrl.flask()
    }

    /// What `source` may do to `target` by the policy in force, as the bits of
    /// the class's permissions; classes count from 1 (`FLASK_ACCESS`).
    ///
    /// # Errors
    /// The policy has no such label or class, or does not let this domain ask
    /// (`security:compute_av`); there is no Flask.
    pub fn flask_allows(&self, source: &str, target: &str, class: u16) -> Result<u32> {
        self.xenctrl.flask_allows(source, target, class)
    }

    /// libxl's own handle, alive as long as `self`.
    pub(crate) fn raw(&self) -> *mut libxl_sys::libxl_ctx {
        self.libxl.raw.as_ptr()
    }

    /// libxenctrl, with what needs no libxl.
    pub(crate) fn hypervisor_interface(&self) -> &Xenctrl {
        &self.xenctrl
    }
}

#[derive(Debug)]
struct Libxl {
    raw: NonNull<libxl_sys::libxl_ctx>,
}

impl Libxl {
    /// The caller drops the result before `logger`.
    fn open(logger: &Logger) -> Result<Libxl> {
        let mark = logger.mark();
        let mut raw = ptr::null_mut();
        let version = i32::try_from(libxl_sys::LIBXL_VERSION).expect("libxl.h defines it as 0");
        // SAFETY: `raw` is a variable that outlives the call; the logger is
        // not NULL and outlives the context.
        let rc = unsafe { libxl_sys::libxl_ctx_alloc(&raw mut raw, version, 0, logger.raw()) };
        check(
            rc,
            || "open a libxl context".to_owned(),
            || logger.errors_since(mark),
        )?;
        let raw = NonNull::new(raw).expect("libxl_ctx_alloc sets the context when it returns 0");
        // SAFETY: the context is new, so libxl has no children yet; the hooks
        // are static, so they outlive it; without callbacks `user` is unused.
        unsafe {
            libxl_sys::libxl_childproc_setmode(raw.as_ptr(), &raw const CHILDREN, ptr::null_mut());
        };
        Ok(Libxl { raw })
    }
}

impl Drop for Libxl {
    fn drop(&mut self) {
        // SAFETY: libxl_ctx_alloc made it, no call on it is under way (it is
        // not Send), and it is not used again.
        let rc = unsafe { libxl_sys::libxl_ctx_free(self.raw.as_ptr()) };
        if rc != 0 {
            eprintln!("xenlight: libxl could not free its context: code {rc}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logger::Level;

    #[test]
    fn without_xen_the_context_says_so() {
        if std::path::Path::new("/proc/xen/capabilities").exists() {
            return; // this is a domain 0; the platform tests cover it
        }
        let logger = Logger::new(tempfile::tempfile().unwrap(), Level::Debug).unwrap();
        let error = Context::open(logger).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("domain 0 on Xen"), "{text}");
        assert!(
            text.lines()
                .nth(1)
                .is_some_and(|line| line.contains("error: ")),
            "{text}"
        );
    }
}
