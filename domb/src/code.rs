// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The codes of a launch that fails: which error of which step has which.
//! The console and the boot report show them, `domb explain` knows them.
//!
//! A code is `L`, the two digits of the exit code, and two more. It never
//! changes its meaning and is never given to another failure.

use std::fmt;

use domb_core::policy as script;

use crate::exit::Exit;
use crate::{boots, build, handoff, launch, load, measure, own_label, policy, tpm};

/// One kind of failure.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u16)]
pub enum Code {
    ConfigUnreadable = 300,
    ConfigFaults = 301,
    FileUnreadable = 400,
    Kernel = 401,
    Ramdisk = 402,
    FlaskPolicy = 403,
    KernelType = 404,
    NotInImage = 405,
    ImageDamaged = 406,
    OtherPolicy = 407,
    NoTpm = 500,
    TpmAnswer = 501,
    NoBank = 502,
    UnknownBank = 503,
    Initial = 504,
    Diverged = 505,
    EventLog = 506,
    Hash = 507,
    ScriptUnusable = 600,
    ScriptFailed = 601,
    ScriptLimit = 602,
    ScriptPlan = 603,
    ScriptFacts = 604,
    Denied = 700,
    BuildPlatform = 800,
    BuildRefused = 801,
    DomidInUse = 802,
    Memory = 803,
    LabelNotEnforced = 804,
    OtherLabel = 805,
    NotPaused = 806,
    RoleDenied = 807,
    HardwareDomid = 808,
    NotHeld = 809,
    NotApproved = 810,
    OnlyReserves = 811,
    EndedEarly = 812,
    Late = 813,
    RefusedReady = 814,
    StartRefused = 900,
    EndedAtOnce = 901,
    OwnLabelUnknown = 902,
    OwnLabelKept = 903,
    Withhold = 904,
    LateStart = 905,
    RefusedStart = 906,
    Switch = 1000,
    ControlArchive = 1001,
    NoInit = 1002,
    InitExec = 1003,
    Records = 1004,
    NoToolstack = 1100,
    Mounts = 1200,
    Manifest = 1201,
    Modules = 1202,
    Daemons = 1203,
    Libxl = 1204,
}

impl Code {
    /// The exit code it belongs to.
    #[must_use]
    pub fn exit(self) -> Exit {
        match self as u16 / 100 {
            3 => Exit::Config,
            4 => Exit::Load,
            5 => Exit::Measure,
            6 => Exit::Script,
            7 => Exit::Denied,
            8 => Exit::Build,
            9 => Exit::HandOff,
            10 => Exit::Leave,
            11 => Exit::NoToolstack,
            12 => Exit::Setup,
            _ => Exit::Internal,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{:04}", *self as u16)
    }
}

impl From<&launch::Error> for Code {
    fn from(error: &launch::Error) -> Code {
        match error {
            launch::Error::Load(error) => error.into(),
            launch::Error::Measure(error) => error.into(),
            launch::Error::Toolstack { .. } => Code::NoToolstack,
            launch::Error::InForce(_) => Code::OtherPolicy,
            launch::Error::Script(error) => error.into(),
            launch::Error::Denied { .. } => Code::Denied,
            launch::Error::Build(error) => match error {
                build::Error::Platform(_) => Code::BuildPlatform,
                build::Error::OnlyReserves { .. } => Code::OnlyReserves,
                build::Error::Domain { cause, .. } | build::Error::Control(cause) => cause.into(),
            },
            launch::Error::Withhold(_) | launch::Error::HandOff(handoff::Error::Withhold(_)) => {
                Code::Withhold
            }
            launch::Error::HandOff(handoff::Error::Measure(error)) => error.into(),
            launch::Error::HandOff(handoff::Error::Domain { cause, .. }) => match cause {
                build::Cause::Ended(_) => Code::EndedAtOnce,
                build::Cause::Late { .. } => Code::LateStart,
                build::Cause::Refused { .. } => Code::RefusedStart,
                _ => Code::StartRefused,
            },
            launch::Error::HandOff(handoff::Error::OwnLabel(error)) => match error {
                own_label::Error::NoLabels { .. } | own_label::Error::Unknown { .. } => {
                    Code::OwnLabelUnknown
                }
                own_label::Error::Refused { .. } | own_label::Error::Other { .. } => {
                    Code::OwnLabelKept
                }
            },
        }
    }
}

impl From<&load::Error> for Code {
    fn from(error: &load::Error) -> Code {
        let cause = match error {
            load::Error::ReadConfig { .. } => return Code::ConfigUnreadable,
            load::Error::Config { .. } => return Code::ConfigFaults,
            load::Error::Artefact { cause, .. } => cause,
        };
        match cause {
            load::Cause::Io(_) => Code::FileUnreadable,
            load::Cause::Boots(boots::Error::Kernel(_)) => Code::Kernel,
            load::Cause::Boots(boots::Error::Ramdisk(_)) => Code::Ramdisk,
            load::Cause::Boots(boots::Error::FlaskPolicy(_)) => Code::FlaskPolicy,
            load::Cause::NoEntry(_) => Code::KernelType,
            load::Cause::NotInImage => Code::NotInImage,
            load::Cause::Digest { .. } | load::Cause::Length { .. } => Code::ImageDamaged,
        }
    }
}

impl From<&measure::Error> for Code {
    fn from(error: &measure::Error) -> Code {
        match error {
            measure::Error::Tpm(tpm::Error::Open { .. }) => Code::NoTpm,
            measure::Error::Tpm(_) => Code::TpmAnswer,
            measure::Error::NoBank { .. } => Code::NoBank,
            measure::Error::UnknownBanks { .. } => Code::UnknownBank,
            measure::Error::Initial { .. } => Code::Initial,
            measure::Error::Diverged { .. } => Code::Diverged,
            measure::Error::Log { .. } => Code::EventLog,
            measure::Error::Hash { .. } | measure::Error::Sequence(_) => Code::Hash,
        }
    }
}

impl From<&policy::Error> for Code {
    fn from(error: &policy::Error) -> Code {
        let error = match error {
            policy::Error::Read(_) => return Code::ScriptUnusable,
            policy::Error::Plan(_) => return Code::ScriptPlan,
            policy::Error::Facts(_) => return Code::ScriptFacts,
            policy::Error::Script(error) => error,
        };
        match error {
            script::Error::NotText { .. }
            | script::Error::TooLong { .. }
            | script::Error::Syntax(_)
            | script::Error::NoLaunch { .. } => Code::ScriptUnusable,
            script::Error::Exhausted { .. } => Code::ScriptLimit,
            script::Error::Facts { .. } => Code::ScriptFacts,
            // Those of a script's own tests are no failure of a launch.
            _ => Code::ScriptFailed,
        }
    }
}

impl From<&build::Cause> for Code {
    fn from(cause: &build::Cause) -> Code {
        match cause {
            build::Cause::Toolstack(_) => Code::BuildRefused,
            build::Cause::NotApproved => Code::NotApproved,
            build::Cause::DomidInUse => Code::DomidInUse,
            build::Cause::Memory { .. } => Code::Memory,
            build::Cause::LabelNotEnforced { .. } => Code::LabelNotEnforced,
            build::Cause::RoleDenied => Code::RoleDenied,
            build::Cause::HardwareDomid { .. } => Code::HardwareDomid,
            build::Cause::OtherLabel { .. } => Code::OtherLabel,
            build::Cause::NotPaused(_) => Code::NotPaused,
            build::Cause::Ended(_) => Code::EndedEarly,
            build::Cause::Late { .. } => Code::Late,
            build::Cause::Refused { .. } => Code::RefusedReady,
            build::Cause::NotHeld(_) => Code::NotHeld,
        }
    }
}
