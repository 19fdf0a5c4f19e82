// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Black-box runs of the domb binary.

mod config;
mod image;
mod measure;
mod policy;
