// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Why nothing at all could be converted.

use dtoolkit::error::FdtParseError;

/// Why a conversion gives no configuration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// More bytes than [`MAX_BYTES`](super::MAX_BYTES).
    #[error("read {what} of {bytes} bytes\nhint: check that this is the file you meant")]
    TooLong {
        /// What it was taken for.
        what: &'static str,
        /// Its size.
        bytes: usize,
    },
    /// Not a flattened device tree, or a damaged one.
    #[error("read the device tree\nhint: make it again with dtc -I dts -O dtb")]
    Tree(#[source] FdtParseError),
    /// A device tree that describes no domain.
    #[error(
        "the device tree describes no domain\nhint: Hyperlaunch's are below /chosen/hypervisor, \
         dom0less' below /chosen, each compatible with \"xen,domain\""
    )]
    NoDomain,
    /// xl would not read it either.
    #[error("line {line}: {what}\nhint: {hint}")]
    Syntax {
        /// From 1.
        line: usize,
        /// What is wrong.
        what: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// A guest that domb does not build.
    #[error(
        "the guest's type is hvm, and domb builds none\nhint: an HVM domain needs a device model \
         running beside it after domb has gone; use type = \"pvh\" or \"pv\", or let the control \
         domain start it"
    )]
    Hvm,
}
