// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the boot domain leaves to the control domain, in XenStore: the launch
//! configuration and the compiled Flask policy, the boot report, the event log,
//! and libxl's record of each domain.
//!
//! XenStore and not the control domain's ramdisk, because the control domain
//! runs before the others are built, and their records come with the building.
//! Only domain 0 and the control domain can write there; whoever reads trusts
//! it as far as the measured boot domain that wrote it.

use std::time::Duration;

use domb_core::units::Domid;
use xenlight::Store;

/// What the control domain says: `ready` when it serves consoles.
pub const READINESS: &str = "/tool/domb/control";
/// What the boot domain says: `building`, then `left` followed by what is to become
/// of it (`destroy` or `balloon`). Behind `building` are the hardware domain's domid,
/// the longest time in seconds that a domain may take to be ready, and the domid of
/// the domain that was started last: each start changes the node.
pub const STATE: &str = "/tool/domb/boot";
/// The name of the compiled Flask policy among the files; the others keep
/// theirs.
pub const FLASK_POLICY: &str = "flask.policy";
const FILES: &str = "/tool/domb/files";

/// A value and its path fit a message of 4096 bytes (XENSTORE_PAYLOAD_MAX of
/// `xen/io/xs_wire.h`).
const PIECE: usize = 3072;

/// What [`STATE`] says while the boot domain is at work.
#[must_use]
pub fn building(hardware: Option<Domid>, longest_gate: Duration, started: Domid) -> String {
    let hardware = hardware.map_or(0, Domid::value);
    format!("building {hardware} {} {started}", longest_gate.as_secs())
}

/// What [`STATE`] said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// At work.
    Building {
        /// The hardware domain has, or will have, this domid.
        hardware: u16,
        /// As long may a domain take to be ready.
        longest_gate: Duration,
    },
    /// Gone, and this is to become of it.
    Left(String),
}

impl Said {
    /// Understands the node's text.
    #[must_use]
    pub fn read(text: &str) -> Option<Said> {
        match *text.split(' ').collect::<Vec<_>>() {
            ["building", hardware, seconds, _started] => Some(Said::Building {
                hardware: hardware.parse().ok()?,
                longest_gate: Duration::from_secs(seconds.parse().ok()?),
            }),
            ["left", word] => Some(Said::Left(word.to_owned())),
            _ => None,
        }
    }
}

/// Leaves these files, each a name and its content. A node's name cannot have
/// a full stop, so the files are numbered.
///
/// # Errors
/// The store does not take them.
pub fn leave(store: &Store, files: &[(String, Vec<u8>)]) -> xenlight::Result<()> {
    for (file, (name, bytes)) in files.iter().enumerate() {
        let base = format!("{FILES}/{file}");
        store.write(&format!("{base}/name"), name.as_bytes())?;
        store.write(&format!("{base}/bytes"), bytes.len().to_string().as_bytes())?;
        for (number, piece) in bytes.chunks(PIECE).enumerate() {
            store.write(&format!("{base}/{number}"), piece)?;
        }
    }
    Ok(())
}

/// The files that were left, by name.
///
/// # Errors
/// The store does not answer, or a file is not whole.
pub fn found(store: &Store) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut files = Vec::new();
    for file in store.list(FILES)?.unwrap_or_default() {
        let base = format!("{FILES}/{file}");
        let torn = || Error::Torn { file: file.clone() };
        let name = store.read_text(&format!("{base}/name"))?.ok_or_else(torn)?;
        let length = store.read_text(&format!("{base}/bytes"))?;
        let length: usize = length.and_then(|text| text.parse().ok()).ok_or_else(torn)?;
        let mut bytes = Vec::new();
        for number in 0..length.div_ceil(PIECE) {
            bytes.extend(store.read(&format!("{base}/{number}"))?.ok_or_else(torn)?);
        }
        if bytes.len() != length || name.contains('/') {
            return Err(torn());
        }
        files.push((name, bytes));
    }
    Ok(files)
}

/// Why the files cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// XenStore.
    #[error(transparent)]
    Store(#[from] xenlight::Error),
    /// A piece is missing.
    #[error("file {file} of those the boot domain left is not whole")]
    Torn {
        /// Its number.
        file: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_boot_domain_says_is_understood() {
        let gate = Duration::from_secs(60);
        let domid = |number| Domid::new(number).unwrap();
        assert_eq!(
            Said::read(&building(Some(domid(3)), gate, domid(7))),
            Some(Said::Building {
                hardware: 3,
                longest_gate: gate
            })
        );
        assert_eq!(
            Said::read("left balloon"),
            Some(Said::Left("balloon".to_owned()))
        );
        assert_eq!(Said::read("building"), None);
        assert_eq!(Said::read("building x 60 7"), None);
        assert_eq!(Said::read("building 3"), None);
    }
}
