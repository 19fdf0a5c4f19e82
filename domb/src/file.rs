// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A whole file, for the verbs that are given one by name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("read {}", path.display())]
pub struct Unreadable {
    /// The file.
    path: PathBuf,
    /// What the system said.
    source: io::Error,
}

/// The bytes of the file `path`.
///
/// # Errors
/// The system does not give them.
pub fn read(path: &Path) -> Result<Vec<u8>, Unreadable> {
    fs::read(path).map_err(|source| Unreadable {
        path: path.to_owned(),
        source,
    })
}
