// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a person at the console sees: one line each for the steps of a
//! launch, with the seconds since the kernel started, short enough for a
//! serial line at 115200 baud.
//!
//! Everything goes to standard error, which is the Xen console when domb is
//! PID 1. A console that cannot be written to never stops a launch: the boot
//! report has the same facts.

use std::io::{self, Write};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Time since the kernel started (`CLOCK_BOOTTIME`).
#[must_use]
pub fn uptime() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

/// One line: time, step, text. Control characters in the text are shown as
/// escapes, so that a name from a file cannot move the cursor.
pub fn line(step: &str, text: &str) {
    for (row, part) in text.lines().enumerate() {
        let step = if row == 0 { step } else { "" };
        write(&format!(
            "[{:9.3}] domb: {step:<8} {}\n",
            uptime().as_secs_f64(),
            printable(part)
        ));
    }
}

/// The text with every control character but the tabulator escaped.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped: Box<dyn Iterator<Item = char>> = if c.is_control() && c != '\t' {
                Box::new(c.escape_default())
            } else {
                Box::new(std::iter::once(c))
            };
            escaped
        })
        .collect()
}

fn write(text: &str) {
    // A lost console line is all that can be lost here; the report stands.
    if io::stderr().write_all(text.as_bytes()).is_err() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_a_file_cannot_steer_the_terminal() {
        assert_eq!(printable("net\x1b[2J\u{7}"), "net\\u{1b}[2J\\u{7}");
    }

    #[test]
    fn the_clock_does_not_go_back() {
        assert!(uptime() <= uptime());
    }
}
