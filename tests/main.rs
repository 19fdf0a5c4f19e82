// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Black-box runs of the domb binary.

// Helpers of tests fail like tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

mod config;
mod convert;
mod documents;
mod explain;
mod flask;
mod generate;
mod image;
mod keylime;
mod measure;
mod plan;
mod policy;
mod report;
mod roles;
mod script;
