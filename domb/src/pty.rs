// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The last words of a domain: what xenconsoled holds for whoever opens the
//! domain's console. Reading takes them away, so this is done only when the
//! domain is about to be destroyed.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Enough for an oops with its call trace.
const MOST_BYTES: usize = 64 * 1024;
const MOST_LINES: usize = 12;

/// The last lines waiting at the terminal `tty`; empty when it cannot be read.
#[must_use]
pub fn last_lines(tty: &Path) -> Vec<String> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let flags = i32::try_from(flags).expect("open flags fit a C int");
    let Ok(mut file) = OpenOptions::new().read(true).custom_flags(flags).open(tty) else {
        return Vec::new();
    };
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while bytes.len() < MOST_BYTES {
        match file.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // WouldBlock: nothing more is waiting. Anything else: nothing more
            // can be had.
            Err(_) => break,
        }
    }
    tail(&String::from_utf8_lossy(&bytes))
}

fn tail(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    lines[lines.len().saturating_sub(MOST_LINES)..]
        .iter()
        .map(|line| (*line).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_empty_ones_are_not() {
        let text: String = (0..30).map(|i| format!("line {i}\r\n\r\n")).collect();
        let lines = tail(&text);
        assert_eq!(lines.len(), MOST_LINES);
        assert_eq!(lines.first().map(String::as_str), Some("line 18"));
        assert_eq!(lines.last().map(String::as_str), Some("line 29"));
    }

    #[test]
    fn a_console_that_is_not_there_has_no_words() {
        assert!(last_lines(Path::new("/nonexistent/pts/7")).is_empty());
    }
}
