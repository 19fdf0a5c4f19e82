// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The launch configuration: what the rest of domb sees.
//!
//! Bytes become a `RawConfig` (`raw.rs`, what serde sees) and then a
//! [`Config`]. A [`Config`] needs no later check of its own: names and domids
//! are unique and in range, every `after` names a domain and the whole has no
//! cycle. What it cannot know is said elsewhere: whether the files are there
//! and readable (`load`), and whether the platform has the memory (`build`).

mod domain;
mod raw;

use std::path::PathBuf;

pub use domain::{DomainConfig, DomainName, DomainType, OnFailure, Uuid};

use crate::diagnostic::Diagnostic;
use crate::units::{Mib, PcrIndex};

/// A launch configuration that passed every check that needs no file, no Xen
/// and no TPM.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// The exact bytes of the file. These are what is measured.
    pub bytes: Vec<u8>,
    /// The launch script, as written. None: every domain is allowed.
    pub script: Option<PathBuf>,
    /// How the boot domain leaves.
    pub exit: Exit,
    /// What PID 1 does when the launch did not succeed.
    pub after_failure: AfterFailure,
    /// Whether a launch without a TPM is a launch.
    pub tpm: TpmMode,
    /// The PCR that domb owns.
    pub pcr: PcrIndex,
    /// What PID 1 becomes after the hand-off.
    pub control: Option<Control>,
    /// The platform's memory where the integrator knows it: lets `domb check`
    /// refuse a sum that cannot fit.
    pub platform_memory: Option<Mib>,
    /// The domains in the file's order. Never empty.
    pub domains: Vec<DomainConfig>,
}

impl Config {
    /// Reads a configuration from the bytes of the file that `file` names
    /// (the name is used in messages only).
    ///
    /// # Errors
    /// Every fault found, in the file's order; at least one.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Config, Vec<Diagnostic>> {
        raw::parse(file, bytes)
    }

    /// The domains in start order: each after all it names in `after`; where
    /// that leaves a choice, the file's order.
    #[must_use]
    pub fn start_order(&self) -> Vec<&DomainConfig> {
        let mut order: Vec<&DomainConfig> = Vec::with_capacity(self.domains.len());
        while order.len() < self.domains.len() {
            let ready = self.domains.iter().find(|domain| {
                !order.iter().any(|done| done.name == domain.name)
                    && domain.after.iter().all(|need| order.iter().any(|done| done.name == *need))
            });
            order.push(ready.expect("a Config has no cycle in `after`"));
        }
        order
    }

    /// The domain of that name.
    #[must_use]
    pub fn domain(&self, name: &str) -> Option<&DomainConfig> {
        self.domains.iter().find(|domain| domain.name.as_str() == name)
    }
}

/// How the boot domain leaves after the hand-off (`exit`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Exit {
    /// `"process"`: domb ends and PID 1 becomes the control domain's init;
    /// domain 0 lives on as the control domain.
    #[default]
    Process,
}

/// What PID 1 does when the launch did not succeed (`after_failure`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AfterFailure {
    /// `"halt"`: the machine halts with the report on the console.
    #[default]
    Halt,
    /// `"reboot"`: the machine reboots.
    Reboot,
    /// `"continue"`: go on to the control domain's init; it finds the report.
    Continue,
}

/// What a missing or failing TPM means (`[measure] tpm`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TpmMode {
    /// `"required"`: no launch without a complete measurement.
    #[default]
    Required,
    /// `"optional"`: measure what can be measured, and say loudly what was not.
    Optional,
    /// `"off"`: do not touch the TPM.
    Off,
}

/// What PID 1 becomes after the hand-off (`[control]`, `exit = "process"`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Control {
    /// A cpio archive that becomes the control domain's root, as written.
    /// None: `init` is run in the boot domain's own root.
    pub ramdisk: Option<PathBuf>,
    /// Absolute path of the init to run in that root.
    pub init: String,
    /// Its arguments, without argument 0.
    pub args: Vec<String>,
}
