// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Strings across the border: copied out and freed here, and nowhere else.

use std::ffi::{CStr, CString, c_char, c_void};
use std::io;

use crate::error::{Error, Result};

/// `text` for C; refused if it holds a NUL.
pub(crate) fn c_string(text: &str, what: impl FnOnce() -> String) -> Result<CString> {
    CString::new(text).map_err(|_| Error::Nul { what: what() })
}

/// A copy of a C string that stays C's; `None` for NULL. Bytes that are not
/// UTF-8 are replaced.
///
/// # Safety
/// `text` is NULL or points to a NUL-terminated string that nobody changes
/// during the call.
pub(crate) unsafe fn copied(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not NULL, as just checked; NUL-terminated and unchanged for the
    // call, as this function requires.
    let text = unsafe { CStr::from_ptr(text) };
    Some(text.to_string_lossy().into_owned())
}

/// A copy of a C string that libxl allocated for its caller, which is freed;
/// `None` for NULL.
///
/// # Safety
/// `text` is NULL or a NUL-terminated string from malloc that belongs to the
/// caller, who does not use it again.
pub(crate) unsafe fn taken(text: *mut c_char) -> Option<String> {
    // SAFETY: NULL or NUL-terminated, and nobody else has it.
    let copy = unsafe { copied(text) };
    // SAFETY: free takes NULL or what malloc gave; the caller gave it up.
    unsafe { free(text.cast()) };
    copy
}

/// Gives back what malloc gave.
///
/// # Safety
/// `memory` is NULL or from malloc, belongs to the caller, and is not used
/// again.
pub(crate) unsafe fn free(memory: *mut c_void) {
    // SAFETY: exactly what this function requires.
    unsafe { libxl_sys::free(memory) };
}

/// The text in a buffer that C filled, up to its NUL. Bytes that are not UTF-8
/// are replaced.
pub(crate) fn until_nul(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// The failure of a function that says why in errno. Call it first thing
/// after the function.
pub(crate) fn errno() -> io::Error {
    io::Error::last_os_error()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_at_its_nul() {
        assert_eq!(until_nul(b".5\0\0x"), ".5");
        assert_eq!(until_nul(b"full"), "full");
    }
}
