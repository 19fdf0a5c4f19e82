// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The functions of libxl, libxentoollog and libxenstore that domb calls, as
//! the installed headers declare them. Nothing safe is built here; that is
//! `xenlight`, the only user.
//!
//! Trusted: that the library linked belongs to the headers read (the shared
//! one by its versioned name, the static one because Debian ships both in one
//! package). Refused: a `Copy` of anything that owns C memory, and enums that
//! are undefined behaviour on a value the header does not list.

#![allow(
    unsafe_code,
    reason = "declarations of foreign functions are what this crate is"
)]

pub use bindings::*;

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
    reason = "generated from C headers, in C's own names; libxl.h is the documentation"
)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}
