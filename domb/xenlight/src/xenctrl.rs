// SPDX-License-Identifier: Apache-2.0 OR MIT
//! libxenctrl's handle: opened with a logger, closed in Drop; and what both
//! ways to use Xen need of it: labels and Xen's own console.

use std::ffi::c_char;
use std::io;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use crate::error::{Error, Result};
use crate::ffi::{self, until_nul};
use crate::logger::Logger;
use crate::platform::FlaskState;

/// How far Xen's own console was read. The default stands before all of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ConsoleMark(u32);

#[derive(Debug)]
pub(crate) struct Xenctrl {
    raw: NonNull<xenctrl_sys::xc_interface>,
}

impl Xenctrl {
    /// The caller drops the result before `logger`.
    pub(crate) fn open(logger: &Logger) -> Result<Xenctrl> {
        let mark = logger.mark();
        // SAFETY: both loggers are not NULL and outlive the handle; 0 is no
        // flag.
        let raw = unsafe { xenctrl_sys::xc_interface_open(logger.raw(), logger.raw(), 0) };
        let source = ffi::errno();
        let raw = NonNull::new(raw).ok_or_else(|| Error::System {
            doing: "open the hypervisor's interface (is this domain 0 on Xen, with xen-privcmd loaded?)".to_owned(),
            source,
            log: logger.errors_since(mark),
        })?;
        Ok(Xenctrl { raw })
    }

    /// The handle, open as long as `self`.
    pub(crate) fn raw(&self) -> *mut xenctrl_sys::xc_interface {
        self.raw.as_ptr()
    }

    /// What Flask does about labels.
    pub(crate) fn flask(&self) -> Result<FlaskState> {
        // SAFETY: the handle is open.
        let answer = unsafe { xenctrl_sys::xc_flask_getenforce(self.raw()) };
        let source = ffi::errno();
        match answer {
            0 => Ok(FlaskState::Permissive),
            1.. => Ok(FlaskState::Enforcing),
            _ if source.kind() == io::ErrorKind::Unsupported => Ok(FlaskState::Absent),
            _ => Err(Error::System {
                doing: "ask whether Flask is enforcing".to_owned(),
                source,
                log: Vec::new(),
            }),
        }
    }

    /// The label with that number; None where there are no labels.
    pub(crate) fn label(&self, sid: u32) -> Result<Option<String>> {
        const MOST_BYTES: u32 = 4096;

        if self.flask()? == FlaskState::Absent {
            return Ok(None);
        }
        let mut text = [0_u8; MOST_BYTES as usize];
        let number = i32::try_from(sid).unwrap_or(i32::MAX);
        let buffer = text.as_mut_ptr().cast::<c_char>();
        // SAFETY: the handle is open; the buffer is as large as is said and
        // outlives the call.
        let rc =
            unsafe { xenctrl_sys::xc_flask_sid_to_context(self.raw(), number, buffer, MOST_BYTES) };
        if rc != 0 {
            return Err(failed(format!("ask for the label with number {sid}")));
        }
        Ok(Some(until_nul(&text)))
    }

    /// The number of a label.
    pub(crate) fn label_number(&self, label: &str) -> Result<u32> {
        let text = ffi::c_string(label, || format!("the label {label:?}"))?;
        let length = u32::try_from(label.len()).unwrap_or(u32::MAX);
        let mut sid = 0;
        // SAFETY: the handle is open; text and number outlive the call, which
        // only reads the text.
        let rc = unsafe {
            xenctrl_sys::xc_flask_context_to_sid(
                self.raw(),
                text.as_ptr().cast_mut(),
                length,
                &raw mut sid,
            )
        };
        if rc == 0 {
            Ok(sid)
        } else {
            Err(failed(format!(
                "find the label {label} in the policy that is in force"
            )))
        }
    }

    /// What `source` may do to `target`, as the bits of the class's
    /// permissions.
    pub(crate) fn flask_allows(&self, source: &str, target: &str, class: u16) -> Result<u32> {
        let (from, to) = (self.label_number(source)?, self.label_number(target)?);
        self.flask_allows_numbers(from, to, class)
            .map_err(|source_error| Error::System {
                doing: format!("ask Flask what {source} may do to {target} (class {class})"),
                source: source_error,
                log: Vec::new(),
            })
    }

    /// The same of the numbers of labels (`FLASK_ACCESS` by `xc_flask_op`, as
    /// `xc_flask_access` asks it).
    pub(crate) fn flask_allows_numbers(&self, from: u32, to: u32, class: u16) -> io::Result<u32> {
        let mut op = MaybeUninit::<xenctrl_sys::xen_flask_op_t>::zeroed();
        // SAFETY: integers, and unions of integers and of handles that may be NULL.
        let op = unsafe { op.assume_init_mut() };
        op.cmd = xenctrl_sys::FLASK_ACCESS;
        // SAFETY: the member that belongs to the command, all integers.
        let access = unsafe { op.u.access.as_mut() };
        (access.ssid, access.tsid, access.tclass) = (from, to, class.into());
        // SAFETY: the handle is open; the structure outlives the call.
        let rc = unsafe { xenctrl_sys::xc_flask_op(self.raw(), &raw mut *op) };
        if rc != 0 {
            return Err(ffi::errno());
        }
        // SAFETY: as above; Xen has filled it in.
        Ok(unsafe { op.u.access.as_ref() }.allowed)
    }

    /// Gives this domain itself another label; false where the policy in force
    /// does not know it.
    pub(crate) fn relabel_self(&self, label: &str) -> Result<bool> {
        let sid = match self.label_number(label) {
            Ok(sid) => sid,
            // security_context_to_sid(): no such user, role or type.
            Err(Error::System { source, .. }) if source.kind() == io::ErrorKind::InvalidInput => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        // SAFETY: the handle is open.
        let rc = unsafe {
            xenctrl_sys::xc_flask_relabel_domain(self.raw(), xenctrl_sys::DOMID_OF_CALLER.0, sid)
        };
        if rc == 0 {
            Ok(true)
        } else {
            Err(failed(format!("change this domain's label to {label}")))
        }
    }

    /// What Xen wrote to its console since `mark`.
    pub(crate) fn console(&self, mark: &mut ConsoleMark) -> Result<String> {
        // More than Xen keeps with any conring_size it takes by itself.
        const MOST_BYTES: u32 = 256 * 1024;

        let mut buffer = vec![0_u8; MOST_BYTES as usize];
        let mut length = MOST_BYTES;
        let (clear, incremental) = (0, 1);
        // SAFETY: the handle is open; the buffer has `length` bytes and
        // outlives the call, as the mark does (xc_misc.c).
        let rc = unsafe {
            xenctrl_sys::xc_readconsolering(
                self.raw(),
                buffer.as_mut_ptr().cast(),
                &raw mut length,
                clear,
                incremental,
                &raw mut mark.0,
            )
        };
        if rc != 0 {
            return Err(failed("read Xen's console".to_owned()));
        }
        buffer.truncate(length as usize);
        Ok(String::from_utf8_lossy(&buffer).into_owned())
    }
}

/// errno after a call that failed.
fn failed(doing: String) -> Error {
    Error::System {
        doing,
        source: ffi::errno(),
        log: Vec::new(),
    }
}

impl Drop for Xenctrl {
    fn drop(&mut self) {
        // SAFETY: xc_interface_open made it, and it is not used again.
        let rc = unsafe { xenctrl_sys::xc_interface_close(self.raw.as_ptr()) };
        if rc != 0 {
            eprintln!(
                "xenlight: libxenctrl could not close its handle: {}",
                ffi::errno()
            );
        }
    }
}
