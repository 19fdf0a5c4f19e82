// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Why a domain, or the whole platform, does not stand.

use std::time::Duration;

use domb_core::config::{DomainName, Range};
use domb_core::policy::Flask;
use domb_core::units::{Domid, Mib};

use super::failure::Fallen;
use crate::toolstack::{self, State};

/// Why nothing was built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The toolstack did not say what the platform is.
    #[error("ask the toolstack for the platform's memory and capabilities")]
    Platform(#[source] toolstack::Error),
    /// What domain 0 is to become cannot be.
    #[error("prepare domain 0 for the hand-off")]
    Control(#[source] Cause),
    /// Only domains for other cases may start.
    #[error("start the platform: of what may start, every domain is kept for a failure")]
    OnlyReserves {
        /// The recovery domain is among them.
        recover: bool,
    },
    /// One domain could not be built.
    #[error("build domain {name} (domid {domid})")]
    Domain {
        /// The domain.
        name: DomainName,
        /// Its domid.
        domid: Domid,
        /// Why.
        #[source]
        cause: Cause,
        /// The recovery domain is to be started.
        recover: bool,
    },
}

impl From<Fallen> for Error {
    fn from(fallen: Fallen) -> Error {
        Error::Domain {
            name: fallen.name,
            domid: fallen.domid,
            cause: fallen.cause,
            recover: fallen.recover,
        }
    }
}

fn named(found: &Option<String>) -> String {
    match found {
        Some(other) => format!("makes domain {other} the hardware domain"),
        None => "names no hardware domain".to_owned(),
    }
}

/// Why a domain failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The toolstack refused.
    #[error(transparent)]
    Toolstack(#[from] toolstack::Error),
    /// The verdict does not allow it, whatever the plan has.
    #[error("the launch script does not let it start")]
    NotApproved,
    /// Another domain has the domid.
    #[error(
        "the domid is in use\nhint: `xl list` shows by whom; choose another domid or end that domain"
    )]
    DomidInUse,
    /// Xen has not enough free memory.
    #[error(
        "Xen has {free} of memory free, the domain needs {need}\nhint: lower `memory`, or give the boot domain less with dom0_mem= on Xen's command line"
    )]
    Memory {
        /// What the domain takes, with libxl's overhead.
        need: Mib,
        /// What was free when its turn came.
        free: Mib,
    },
    /// A label was asked for and nothing would enforce it.
    #[error("label {label} cannot be enforced: Flask is {}\nhint: boot a Xen with XSM and Flask, `flask=enforcing` on its command line, or leave out `seclabel`", flask.as_str())]
    LabelNotEnforced {
        /// The label.
        label: String,
        /// What Flask is.
        flask: Flask,
    },
    /// Without it the boot domain could not go.
    #[error(
        "it has a role, and the launch script does not let it start\nhint: exit = \"domain\" needs every domain that has a role; a script that wants none of it denies everything"
    )]
    RoleDenied,
    /// Xen would make another domain the hardware domain, or none.
    #[error(
        "Xen's command line {}\nhint: put hardware_dom={domid} on it, and boot a Xen with LATE_HWDOM",
        named(found)
    )]
    HardwareDomid {
        /// The hardware domain's domid.
        domid: Domid,
        /// What `hardware_dom=` says, if it is there.
        found: Option<String>,
    },
    /// Xen gave the domain another label.
    #[error("label {asked} was asked for and {real:?} is what the domain has")]
    OtherLabel {
        /// As configured.
        asked: String,
        /// As read back.
        real: String,
    },
    /// The boot domain cannot give a range.
    #[error(
        "the boot domain may not give {0} away: Xen keeps it, or it was withheld before\nhint: `xl debug-keys q` and `xl dmesg` show the ranges domain 0 has; leave this one out"
    )]
    NotHeld(Range),
    /// A fresh domain is not paused.
    #[error("the fresh domain should be paused and is {0:?}")]
    NotPaused(State),
    /// It ended at once.
    #[error(
        "it was unpaused and is now {0:?}\nhint: its console shows why; the usual reasons are a kernel that does not fit its type and too little memory"
    )]
    Ended(State),
    /// It was not ready in time.
    #[error(
        "it was not ready within {:?}: {awaited}\nhint: its console shows how far it came; `[domain.ready] timeout` gives it more time",
        timeout
    )]
    Late {
        /// What was waited for.
        awaited: String,
        /// How long.
        timeout: Duration,
    },
    /// The launch script's `on_ready` says no.
    #[error("on_ready of the launch script: {why}")]
    Refused {
        /// Why, in its words; or why it could not say.
        why: String,
    },
}

impl Cause {
    /// The kind of failure as the report and a launch script have it: `build`,
    /// `start`, `ended`, `timeout` or `refused`.
    #[must_use]
    pub fn kind(&self, was_built: bool) -> &'static str {
        match self {
            Cause::Ended(_) => "ended",
            Cause::Late { .. } => "timeout",
            Cause::Refused { .. } => "refused",
            _ if was_built => "start",
            _ => "build",
        }
    }
}
