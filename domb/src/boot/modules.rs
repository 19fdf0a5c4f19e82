// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The kernel modules of the boot domain, in the order the image's manifest
//! gives. A module that is already there is fine; one that does not load is
//! not: without privcmd, evtchn and gntdev nothing later would work.

use std::ffi::CStr;
use std::fs::File;
use std::io;

use rustix::io::Errno;
use rustix::system::finit_module;

use crate::manifest::Manifest;

/// Loads every module of the manifest and says how many there are.
pub(super) fn load(manifest: &Manifest) -> Result<usize, Error> {
    load_with(
        manifest
            .modules
            .iter()
            .map(|module| (module.path.as_str(), c"")),
    )
}

/// Loads modules, each with its parameters, and says how many there are.
pub(super) fn load_with<'a>(
    modules: impl Iterator<Item = (&'a str, &'a CStr)>,
) -> Result<usize, Error> {
    let mut count = 0;
    for (path, parameters) in modules {
        let failed = |source| Error {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        match finit_module(&file, parameters, 0) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
        count += 1;
    }
    Ok(count)
}

/// A module could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error(
    "load kernel module {path}\nhint: boot the kernel that the image was made for; `domb image` names it"
)]
pub struct Error {
    path: String,
    source: io::Error,
}
