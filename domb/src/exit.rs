// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The exit codes: one for each step that can fail, zero only after the
//! hand-off (or, for the verbs that stop earlier, when there was no fault).
//! 255 stays free: libxl's helpers use it when they are out of memory.

use std::process::ExitCode;

/// What the caller of domb, or the reader of the boot report, is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// The platform was handed over, or the verb found nothing wrong.
    Success,
    /// A fault in domb itself.
    Internal,
    /// The command line could not be understood.
    Usage,
    /// The launch configuration is wrong, or a Flask policy does not allow what
    /// was asked.
    Config,
    /// An artefact could not be read or is not what it should be, or Xen
    /// enforces another Flask policy than the measured one.
    Load,
    /// The launch could not be measured.
    Measure,
    /// The launch script failed to decide.
    Script,
    /// The launch script decided: nothing may start.
    Denied,
    /// A domain could not be built.
    Build,
    /// A built domain could not be handed over.
    HandOff,
    /// PID 1 could not become the control domain's init.
    Leave,
    /// There is no toolstack, or this is not a privileged domain on Xen.
    NoToolstack,
    /// The boot domain could not be set up: mounts, modules, daemons.
    Setup,
    /// The boot domain's image could not be made.
    Image,
    /// An event log or a plan is not what it was compared to.
    Log,
    /// A platform is not as it was planned.
    Audit,
}

impl Exit {
    /// The number, as the README documents it.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Exit::Success => 0,
            Exit::Internal => 1,
            Exit::Usage => 2,
            Exit::Config => 3,
            Exit::Load => 4,
            Exit::Measure => 5,
            Exit::Script => 6,
            Exit::Denied => 7,
            Exit::Build => 8,
            Exit::HandOff => 9,
            Exit::Leave => 10,
            Exit::NoToolstack => 11,
            Exit::Setup => 12,
            Exit::Image => 13,
            Exit::Log => 14,
            Exit::Audit => 15,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}
