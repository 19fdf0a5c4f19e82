// SPDX-License-Identifier: Apache-2.0 OR MIT
//! libxl's own stdio logger, writing to a file of ours. C calls no Rust: a
//! panic could not be stopped there.
//!
//! Where the file can be read back (a memfd, a regular file), what libxl said
//! during a call that failed goes into the error: its return codes alone say
//! little more than "it failed".

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;

use libxl_sys::xentoollog_level as xtl;

/// The lowest severity that is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// Everything, libxenguest's account of each segment included.
    Debug,
    /// Hypercall level detail.
    Verbose,
    /// More than the normal course of events.
    Detail,
    /// The normal course of events.
    Info,
    /// What may be a fault.
    Warn,
    /// What is one.
    Error,
}

impl Level {
    fn raw(self) -> xtl {
        match self {
            Level::Debug => xtl::XTL_DEBUG,
            Level::Verbose => xtl::XTL_VERBOSE,
            Level::Detail => xtl::XTL_DETAIL,
            Level::Info => xtl::XTL_INFO,
            Level::Warn => xtl::XTL_WARN,
            Level::Error => xtl::XTL_ERROR,
        }
    }
}

/// Where libxl, libxenctrl and libxenguest write what they do.
///
/// Holding one proves that there is a logger: libxl crashes on its failure
/// paths without.
#[derive(Debug)]
pub struct Logger {
    raw: NonNull<libxl_sys::xentoollog_logger_stdiostream>,
    stream: NonNull<libxl_sys::FILE>,
    file: File,
}

impl Logger {
    /// A logger that appends to `file` whatever is at least `level`.
    ///
    /// # Errors
    /// The file cannot be duplicated, or memory ran out.
    pub fn new(file: File, level: Level) -> io::Result<Logger> {
        let stream = open_stream(file.try_clone()?)?;
        let flags = libxl_sys::XTL_STDIOSTREAM_HIDE_PROGRESS;
        // SAFETY: `stream` is open for writing, and stays so until Drop has
        // destroyed the logger; the flags are of that function's own set.
        let raw =
            unsafe { libxl_sys::xtl_createlogger_stdiostream(stream.as_ptr(), level.raw(), flags) };
        match NonNull::new(raw) {
            Some(raw) => Ok(Logger { raw, stream, file }),
            None => {
                // SAFETY: fdopen returned it, no logger holds it, and it is
                // not used again.
                let closed = unsafe { libxl_sys::fclose(stream.as_ptr()) };
                debug_assert_eq!(closed, 0, "nothing was written yet");
                Err(io::Error::from(io::ErrorKind::OutOfMemory))
            }
        }
    }

    /// The logger as libxl and libxenctrl take it.
    pub(crate) fn raw(&self) -> *mut libxl_sys::xentoollog_logger {
        // The stdiostream logger begins with its vtable, which is the
        // xentoollog_logger (xtl_logger_stdio.c); C casts likewise.
        self.raw.as_ptr().cast()
    }

    /// Where the log ends now, if it can be read back.
    pub(crate) fn mark(&self) -> Mark {
        let meta = self.file.metadata().ok();
        Mark(
            meta.filter(std::fs::Metadata::is_file)
                .map(|meta| meta.len()),
        )
    }

    /// The errors logged since `mark`, oldest first, the last few of them.
    pub(crate) fn errors_since(&self, mark: Mark) -> Vec<String> {
        const KEPT: usize = 8;
        const MOST_BYTES: u64 = 64 * 1024;

        let (Some(from), Some(to)) = (mark.0, self.mark().0) else {
            return Vec::new();
        };
        let from = from.max(to.saturating_sub(MOST_BYTES));
        let length = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
        let mut bytes = vec![0; length];
        // A log that cannot be read back costs detail in a message, no more.
        if self.file.read_exact_at(&mut bytes, from).is_err() {
            return Vec::new();
        }
        let text = String::from_utf8_lossy(&bytes);
        let errors: Vec<&str> = text.lines().filter(|line| is_error(line)).collect();
        let skipped = errors.len().saturating_sub(KEPT);
        errors
            .into_iter()
            .skip(skipped)
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Logger {
    fn drop(&mut self) {
        // SAFETY: the constructor made it, Context is the only holder of the
        // pointer and frees its libxl and libxenctrl handles before this.
        unsafe { libxl_sys::xtl_logger_destroy(self.raw()) };
        // SAFETY: fdopen returned it, the logger on it is destroyed, and it is
        // not used again.
        let closed = unsafe { libxl_sys::fclose(self.stream.as_ptr()) };
        if closed != 0 {
            eprintln!(
                "xenlight: the end of libxl's log may be lost: {}",
                io::Error::last_os_error()
            );
        }
    }
}

/// A place in the log.
#[derive(Clone, Copy)]
pub(crate) struct Mark(Option<u64>);

/// A stdio stream that owns `file`'s descriptor.
fn open_stream(file: File) -> io::Result<NonNull<libxl_sys::FILE>> {
    // SAFETY: the descriptor is open, as a File proves, and the mode is a C
    // string that outlives the call.
    let stream = unsafe { libxl_sys::fdopen(file.as_raw_fd(), c"a".as_ptr()) };
    let stream = NonNull::new(stream).ok_or_else(io::Error::last_os_error)?;
    // The stream closes the descriptor from now on.
    let _owned_by_stream = file.into_raw_fd();
    Ok(stream)
}

/// Whether a line of the stdio logger is an error or worse: `context: level:
/// message`.
fn is_error(line: &str) -> bool {
    line.split(": ")
        .nth(1)
        .is_some_and(|level| matches!(level, "error" | "critical"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_line_is_told_by_its_level() {
        assert!(is_error(
            "libxl: error: libxl_create.c:714:libxl__domain_make: Domain 7:domain creation fail"
        ));
        assert!(is_error(
            "xc: critical: out of memory: Cannot allocate memory"
        ));
        assert!(!is_error("libxl: debug: libxl_create.c:1: error: not one"));
        assert!(!is_error("error"));
    }

    #[test]
    fn a_log_that_cannot_be_read_back_gives_no_lines() {
        let file = File::options().write(true).open("/dev/null").unwrap();
        let logger = Logger::new(file, Level::Debug).unwrap();
        let mark = logger.mark();
        assert!(logger.errors_since(mark).is_empty());
    }

    #[test]
    fn the_errors_since_a_mark_are_read_back_without_moving_the_file() {
        use std::io::Write;
        let mut file = tempfile::tempfile().unwrap();
        let logger = Logger::new(file.try_clone().unwrap(), Level::Debug).unwrap();
        writeln!(file, "libxl: error: before").unwrap();
        let mark = logger.mark();
        writeln!(file, "libxl: debug: x\nlibxl: error: after").unwrap();
        assert_eq!(logger.errors_since(mark), ["libxl: error: after"]);
        assert_eq!(logger.errors_since(mark), ["libxl: error: after"]);
    }
}
