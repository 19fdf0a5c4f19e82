// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The functions of libxenctrl and libxenguest that domb calls because libxl
//! has no word for them: whether Flask is enforcing, a change of the caller's
//! own label, Xen's own console ring, and the xenstore domain, which has to be there before libxl can work. All
//! other domains are libxl's business.
//!
//! Trusted: that the library linked belongs to the headers read. `xenlight`
//! is the only user.

#![allow(
    unsafe_code,
    reason = "declarations of foreign functions are what this crate is"
)]

pub use bindings::*;

const _: () = {
    let (xl, xc) = (libxl_sys::BUILT_AGAINST, BUILT_AGAINST);
    assert!(
        xl.0 == xc.0 && xl.1 == xc.1,
        "libxl's and libxenctrl's headers are of different releases of Xen"
    );
};

#[allow(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    clippy::semicolon_if_nothing_returned,
    unsafe_op_in_unsafe_fn,
    reason = "generated from C headers, in C's own names; xenctrl.h is the documentation"
)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}
