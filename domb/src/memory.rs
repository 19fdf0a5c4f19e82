// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How much memory domain 0 could do without, as its Linux says.

use std::fs;
use std::io;

/// The KiB that Linux could give to somebody (`MemAvailable`).
///
/// # Errors
/// `/proc/meminfo` cannot be read, or does not say.
pub fn available_kib() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// What Linux keeps for itself is not all in `MemTotal`, so that is no measure.
fn parse(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_spared_is_what_linux_says() {
        let text = "MemTotal:  1000000 kB\nMemFree: 5 kB\nMemAvailable:  700000 kB\n";
        assert_eq!(parse(text), Some(700_000));
        assert_eq!(parse("MemTotal: 1 kB\n"), None);
    }
}
