// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Why a configuration or one of its artefacts could not be loaded.

use std::io;
use std::path::PathBuf;

use domb_core::config::DomainName;
use domb_core::diagnostic::{Diagnostic, render};

use crate::boots;

/// Why loading failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration's file cannot be read.
    #[error("read launch configuration {}", path.display())]
    ReadConfig {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration has faults.
    #[error("{}", render(faults, text))]
    Config {
        /// The file's text, for the caret.
        text: String,
        /// Every fault found.
        faults: Vec<Diagnostic>,
    },
    /// An artefact cannot be used.
    #[error("load {what} from {}", path.display())]
    Artefact {
        /// What it is for.
        what: String,
        /// The domain it belongs to, if to one.
        domain: Option<DomainName>,
        /// The file that was read.
        path: PathBuf,
        /// Why.
        #[source]
        cause: Cause,
    },
}

/// Why an artefact cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// It cannot be read or sealed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no kernel, or no whole ramdisk.
    #[error(transparent)]
    Boots(#[from] boots::Error),
    /// It has no entry point for the domain's type.
    #[error(
        "the kernel has no Xen entry point for a {0} domain\nhint: choose the other `type`, or a kernel built for it (CONFIG_XEN_PV, CONFIG_PVH); `readelf -n` shows its Xen notes"
    )]
    NoEntry(&'static str),
    /// The image's manifest does not list it.
    #[error(
        "the image's manifest does not list this path\nhint: make the image anew with `domb image`"
    )]
    NotInImage,
    /// It is not what the manifest says.
    #[error(
        "the image promises SHA-256 {promised} and holds {found}: the image is damaged\nhint: make the image anew with `domb image`"
    )]
    Digest {
        /// The manifest's digest.
        promised: String,
        /// The digest of the sealed bytes.
        found: String,
    },
    /// It is not as long as the manifest says.
    #[error(
        "the image promises {promised} bytes and holds {found}: the image is damaged\nhint: make the image anew with `domb image`"
    )]
    Length {
        /// The manifest's number of bytes.
        promised: u64,
        /// The number of bytes read.
        found: u64,
    },
}
