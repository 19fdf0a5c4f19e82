// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Why bytes are not a Flask policy that domb can answer for.

/// Why the bytes of a policy were refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// The bytes do not begin as a compiled policy does.
    #[error(
        "read a Flask policy: the file does not begin as a compiled policy does\n\
         hint: give what `checkpolicy -t Xen -c 30` wrote, not the policy's source"
    )]
    NotAPolicy,
    /// A policy for something else, such as a Linux kernel.
    #[error(
        "read a Flask policy: this one is compiled for `{0}`, not for Xen\n\
         hint: compile it with `checkpolicy -t Xen`"
    )]
    NotForXen(String),
    /// A version of the format that checkpolicy does not write for Xen.
    #[error(
        "read a Flask policy: the format's version is {0}; known are 24 and 30\n\
         hint: compile it with `checkpolicy -t Xen -c 30`"
    )]
    Version(u32),
    /// A policy with sensitivity levels and categories.
    #[error(
        "read a Flask policy: it has sensitivity levels (MLS), which domb cannot judge\n\
         hint: compile it without `-M`"
    )]
    Mls,
    /// The bytes end too early.
    #[error("read a Flask policy: it ends within {what}, at byte {at}")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where, from the start of the file.
        at: usize,
    },
    /// A value that Xen would refuse or that has no meaning.
    #[error("read a Flask policy: {what}, at byte {at}")]
    Invalid {
        /// What is wrong.
        what: &'static str,
        /// Where, from the start of the file.
        at: usize,
    },
}
