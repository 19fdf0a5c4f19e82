// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What xenconsoled holds for whoever opens a domain's console. Reading takes
//! it away, so this is done only when the domain is about to be destroyed, or
//! where its readiness is a line of it; then what was read is kept.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Enough for an oops with its call trace.
const MOST_BYTES: usize = 64 * 1024;
const MOST_LINES: usize = 12;
/// A boot's worth of messages.
const MOST_KEPT: u64 = 256 * 1024;

/// The last lines waiting at the terminal `tty`; empty when it cannot be read.
#[must_use]
pub fn last_lines(tty: &Path) -> Vec<String> {
    tail(&String::from_utf8_lossy(&waiting(tty)))
}

/// What waits at the terminal `tty`, and adds it to the record of the console
/// of the domain `name`, up to a bound: whoever opens the console later does
/// not find it there any more.
#[must_use]
pub fn read_and_keep(tty: &Path, name: &str) -> Vec<u8> {
    let bytes = waiting(tty);
    let path = format!("/run/domb/console-{name}.log");
    if !bytes.is_empty() {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let room = |file: &File| file.metadata().is_ok_and(|data| data.len() < MOST_KEPT);
        // A record that cannot be kept is no reason to stop a launch.
        if let Ok(mut file) = file
            && room(&file)
            && file.write_all(&bytes).is_err()
        {}
    }
    bytes
}

/// What waits at the terminal `tty`, at most 64 KiB.
fn waiting(tty: &Path) -> Vec<u8> {
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
    bytes
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
