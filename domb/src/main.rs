// SPDX-License-Identifier: Apache-2.0 OR MIT
//! domb: the boot domain that builds a Xen platform, then leaves.
//!
//! As PID 1 of the first domain it sets the boot domain up, launches what
//! `/domb/launch.toml` describes, and becomes the control domain's init
//! (`boot`). As PID 1 of the xenstore domain it serves XenStore
//! (`boot/store_role.rs`). As a command it is the integrator's tool (`cli`). The launch
//! itself is the same in both: read `launch.rs` next.

// Without the toolstack only the verbs for a host can be reached.
#![cfg_attr(not(feature = "libxl"), allow(dead_code))]

#[cfg(feature = "libxl")]
mod adopt;
mod audit;
#[cfg(feature = "libxl")]
mod boot;
mod boots;
mod build;
#[cfg(test)]
mod build_tests;
#[cfg(feature = "libxl")]
mod bundle;
mod check;
mod cli;
mod code;
mod compression;
mod console;
mod control_root;
mod convert;
mod denials;
mod exit;
mod explain;
mod fault;
mod file;
mod flask;
#[cfg(feature = "generate")]
mod generate;
mod handoff;
mod image;
mod in_force;
mod kernel;
mod launch;
#[cfg(feature = "libxl")]
mod libxl;
mod load;
mod log;
mod manifest;
mod measure;
mod memory;
mod newc;
mod output;
mod own_label;
mod pci;
mod plan;
mod policy;
mod predict;
#[cfg(feature = "libxl")]
mod pty;
mod ramdisk;
mod record;
mod recovery;
mod report;
mod script;
mod sealed;
mod toolstack;
mod tpm;
#[cfg(feature = "libxl")]
mod watching;
mod withhold;

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "libxl")]
    if std::process::id() == 1 {
        let words: Vec<String> = std::env::args().skip(1).collect();
        return match words.split_first() {
            Some((role, orders)) if role == boot::STORE_ROLE => boot::run_store(orders).into(),
            _ => boot::run().into(),
        };
    }
    cli::run().into()
}
