// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What boots: the bytes that a file becomes before they are hashed, sealed or
//! put into an image. `predict` on a host and the boot agree because both come
//! here.

use std::borrow::Cow;

use domb_core::flask::{self, Policy};

use crate::kernel;
use crate::manifest::Role;
use crate::ramdisk;

/// A file's bytes as they boot.
pub struct Boots<'b> {
    /// The bytes that boot.
    pub bytes: Cow<'b, [u8]>,
    /// The format of the file, where the bytes that boot differ from it.
    pub format: Option<String>,
    /// For a kernel: the entry points it has.
    pub entries: Option<kernel::Entries>,
    /// Whether the content was recognised and found whole; what is not is
    /// taken as it is.
    pub known: bool,
}

impl<'b> Boots<'b> {
    /// Makes `bytes` what boots in that role, or says what is wrong with them.
    ///
    /// # Errors
    /// They are no kernel, no whole ramdisk, or in a format nothing here reads.
    pub fn of(bytes: &'b [u8], role: Role) -> Result<Boots<'b>, Error> {
        let plain = Boots {
            bytes: Cow::Borrowed(bytes),
            format: None,
            entries: None,
            known: true,
        };
        match role {
            Role::Script => Ok(plain),
            Role::FlaskPolicy => Policy::read(bytes).map(|_| plain).map_err(Error::from),
            Role::Kernel => {
                let kernel = kernel::bootable(bytes)?;
                let changed = matches!(kernel.bytes, Cow::Owned(_));
                let format = changed.then(|| kernel.format.to_string());
                Ok(Boots {
                    bytes: kernel.bytes,
                    format,
                    entries: Some(kernel.entries),
                    known: true,
                })
            }
            Role::Ramdisk => {
                let known = ramdisk::inspect(bytes)?.is_known();
                Ok(Boots { known, ..plain })
            }
            Role::ControlRamdisk => {
                let format = ramdisk::inspect(bytes)?.to_string();
                let archive = ramdisk::unpacked(bytes)?;
                let changed = matches!(archive, Cow::Owned(_));
                Ok(Boots {
                    bytes: archive,
                    format: changed.then_some(format),
                    ..plain
                })
            }
        }
    }
}

/// Why a file cannot boot.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no kernel libxl could load.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// It is no ramdisk, or not a whole one.
    #[error(transparent)]
    Ramdisk(#[from] ramdisk::Error),
    /// It is no Flask policy that Xen would take.
    #[error(transparent)]
    FlaskPolicy(#[from] flask::Error),
}
