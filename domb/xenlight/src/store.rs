// SPDX-License-Identifier: Apache-2.0 OR MIT
//! XenStore through libxenstore: one connection, no transactions, no watches.

use std::ffi::{CStr, c_char, c_uint, c_void};
use std::io;
use std::ptr::NonNull;

use crate::error::{Error, Result};
use crate::ffi;

/// `XBT_NULL` of `xenstore.h`: no transaction.
const NO_TRANSACTION: libxl_sys::xs_transaction_t = 0;

/// A connection to the XenStore daemon. It is not `Send`: the handle may be
/// used by one thread at a time.
#[derive(Debug)]
pub struct Store {
    raw: NonNull<libxl_sys::xs_handle>,
}

impl Store {
    /// Connects as libxl does: to xenstored's socket, or through
    /// `/dev/xen/xenbus` where there is none. Without any xenstored the first
    /// request on the latter never returns.
    ///
    /// # Errors
    /// Neither is there.
    pub fn open() -> Result<Store> {
        // SAFETY: xs_open takes any flags; 0 is the usual connection.
        let raw = unsafe { libxl_sys::xs_open(0) };
        let raw = NonNull::new(raw).ok_or_else(|| failed(|| "connect to xenstore".to_owned()))?;
        Ok(Store { raw })
    }

    /// What the node `path` holds; `None` if there is no such node.
    ///
    /// # Errors
    /// The store refuses or does not answer.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let c_path = ffi::c_string(path, || format!("the xenstore path {path:?}"))?;
        let mut length: c_uint = 0;
        // SAFETY: the handle is open until Drop; the path is a C string and
        // the length a variable, both outlive the call.
        let value = unsafe {
            libxl_sys::xs_read(
                self.raw.as_ptr(),
                NO_TRANSACTION,
                c_path.as_ptr(),
                &raw mut length,
            )
        };
        if value.is_null() {
            return absent_or(|| format!("read {path} in xenstore"));
        }
        let length = usize::try_from(length).expect("a C unsigned fits usize on x86-64");
        // SAFETY: xs_read returned a block of `length` bytes (xenstore.h) that
        // belongs to us and that nobody changes.
        let bytes = unsafe { std::slice::from_raw_parts(value.cast::<u8>(), length) }.to_vec();
        // SAFETY: xs_read says "call free() after use"; the bytes are copied.
        unsafe { ffi::free(value) };
        Ok(Some(bytes))
    }

    /// [`Store::read`] as text; bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn read_text(&self, path: &str) -> Result<Option<String>> {
        let bytes = self.read(path)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Makes the node `path`, with those above it, hold `value`.
    ///
    /// # Errors
    /// The store refuses or does not answer.
    pub fn write(&self, path: &str, value: &[u8]) -> Result<()> {
        let doing = || format!("write {path} in xenstore");
        let c_path = ffi::c_string(path, || format!("the xenstore path {path:?}"))?;
        let length = c_uint::try_from(value.len())
            .map_err(|_| system(doing(), io::Error::from(io::ErrorKind::InvalidInput)))?;
        let data = value.as_ptr().cast::<c_void>();
        // SAFETY: the handle is open until Drop; path and value outlive the
        // call, and the length is the value's.
        let done = unsafe {
            libxl_sys::xs_write(
                self.raw.as_ptr(),
                NO_TRANSACTION,
                c_path.as_ptr(),
                data,
                length,
            )
        };
        if done { Ok(()) } else { Err(failed(doing)) }
    }

    /// Tells the store to serve the ring of domain `domid`, whose event channel
    /// for it is `port` (`xs_introduce_domain`). The ring is the page the
    /// domain granted the store; whatever waited in it is dropped.
    ///
    /// # Errors
    /// The store cannot map the page or bind the channel.
    pub fn introduce(&self, domid: u16, port: u32) -> Result<()> {
        const FRAME_IS_GRANTED: u64 = 0; // xenstored looks at the grant alone

        // SAFETY: the handle is open until Drop.
        let done = unsafe {
            libxl_sys::xs_introduce_domain(
                self.raw.as_ptr(),
                c_uint::from(domid),
                FRAME_IS_GRANTED,
                port,
            )
        };
        if done {
            Ok(())
        } else {
            Err(failed(|| format!("introduce domain {domid} to xenstore")))
        }
    }

    /// The names of the nodes right below `path`; `None` if there is no such
    /// node.
    ///
    /// # Errors
    /// The store refuses or does not answer.
    pub fn list(&self, path: &str) -> Result<Option<Vec<String>>> {
        let c_path = ffi::c_string(path, || format!("the xenstore path {path:?}"))?;
        let mut count: c_uint = 0;
        // SAFETY: the handle is open until Drop; the path is a C string and
        // the count a variable, both outlive the call.
        let names = unsafe {
            libxl_sys::xs_directory(
                self.raw.as_ptr(),
                NO_TRANSACTION,
                c_path.as_ptr(),
                &raw mut count,
            )
        };
        if names.is_null() {
            return absent_or(|| format!("list {path} in xenstore"));
        }
        let length = usize::try_from(count).expect("a C unsigned fits usize on x86-64");
        // SAFETY: xs_directory returned an array of `count` pointers that
        // belongs to us and that nobody changes.
        let entries: &[*mut c_char] = unsafe { std::slice::from_raw_parts(names, length) };
        let texts = entries.iter().map(|name| {
            // SAFETY: each is a NUL-terminated string in the same block, which
            // is freed only below.
            let name = unsafe { CStr::from_ptr(*name) };
            name.to_string_lossy().into_owned()
        });
        let texts = texts.collect();
        // SAFETY: array and strings are one block from malloc ("call free()
        // after use"); all of it is copied.
        unsafe { ffi::free(names.cast()) };
        Ok(Some(texts))
    }

    /// Removes the node `path` and all below it. Whether it was there makes no
    /// difference.
    ///
    /// # Errors
    /// The store refuses or does not answer.
    pub fn remove(&self, path: &str) -> Result<()> {
        let c_path = ffi::c_string(path, || format!("the xenstore path {path:?}"))?;
        // SAFETY: the handle is open until Drop; the path is a C string that
        // outlives the call.
        let done = unsafe { libxl_sys::xs_rm(self.raw.as_ptr(), NO_TRANSACTION, c_path.as_ptr()) };
        if done {
            Ok(())
        } else {
            absent_or(|| format!("remove {path} in xenstore")).map(|_: Option<()>| ())
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: xs_open returned it, and it is not used again.
        unsafe { libxl_sys::xs_close(self.raw.as_ptr()) };
    }
}

/// errno after a failed request: no such node is an answer, all else a fault.
fn absent_or<T>(doing: impl FnOnce() -> String) -> Result<Option<T>> {
    let source = ffi::errno();
    if source.kind() == io::ErrorKind::NotFound {
        return Ok(None);
    }
    Err(system(doing(), source))
}

/// errno after a failed request, whatever it is.
fn failed(doing: impl FnOnce() -> String) -> Error {
    let source = ffi::errno();
    system(doing(), source)
}

fn system(doing: String, source: io::Error) -> Error {
    Error::System {
        doing,
        source,
        log: Vec::new(),
    }
}
