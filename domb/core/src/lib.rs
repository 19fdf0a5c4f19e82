// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The pure logic of domb: what a launch configuration means, what is
//! measured and in which order, what the launch script may decide, and which
//! toolstack steps follow from it.
//!
//! Nothing here opens a file, talks to a TPM or to Xen, reads a clock or draws
//! a random number. The same inputs give the same outputs on an integrator's
//! laptop and in the boot domain; `domb check`, `plan` and `predict` are true
//! because of that.

#![forbid(unsafe_code)]

pub mod audit;
pub mod config;
pub mod convert;
pub mod course;
pub mod diagnostic;
pub mod explain;
pub mod flask;
pub mod measure;
pub mod plan;
pub mod policy;
pub mod units;
