// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Why a launch did not succeed, and what its report says of it: the exit
//! code, the domain, the last words of domain, toolstack and Xen.

use domb_core::config::DomainName;
use domb_core::flask::Denial;
use domb_core::policy::Verdict;

use crate::code::Code;
use crate::denials::Denied;
use crate::exit::Exit;
use crate::record::denial;
use crate::{build, handoff, in_force, load, measure, own_label, policy, toolstack, withhold};

/// Why a launch did not succeed: one variant for each step.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Config: the configuration or an artefact.
    #[error(transparent)]
    Load(#[from] load::Error),
    /// Measure.
    #[error(transparent)]
    Measure(#[from] measure::Error),
    /// The toolstack did not say what the platform is.
    #[error("ask Xen what the platform is")]
    Toolstack {
        /// What it said.
        source: toolstack::Error,
    },
    /// Xen enforces another Flask policy than the one that was measured.
    #[error(transparent)]
    InForce(#[from] in_force::Error),
    /// Policy: the launch script did not decide.
    #[error(transparent)]
    Script(#[from] policy::Error),
    /// Policy: the launch script decided that nothing may start.
    #[error("the launch script lets nothing start: {}", reasons(verdict))]
    Denied {
        /// Why, domain by domain.
        verdict: Box<Verdict>,
    },
    /// Build.
    #[error(transparent)]
    Build(#[from] build::Error),
    /// Hand-off: domain 0 may still have what another domain was given.
    #[error(transparent)]
    Withhold(#[from] withhold::Error),
    /// Hand-off.
    #[error(transparent)]
    HandOff(#[from] handoff::Error),
}

impl From<load::Unloaded> for Error {
    fn from(unloaded: load::Unloaded) -> Error {
        Error::Load(unloaded.error)
    }
}

/// Every domain's reason, or the one reason of a launch denied as a whole.
fn reasons(verdict: &Verdict) -> String {
    if let Some(reason) = verdict.refused() {
        return reason.to_owned();
    }
    let domains = verdict.domains().iter();
    let each = domains.filter_map(|domain| Some(format!("{}: {}", domain.name, denial(domain)?)));
    each.collect::<Vec<_>>().join("; ")
}

impl Error {
    /// The exit code of the step that failed.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.code().exit()
    }

    /// The code of the failure, for `domb explain`.
    #[must_use]
    pub fn code(&self) -> Code {
        self.into()
    }

    /// Whether the recovery domain is to be started.
    #[must_use]
    pub fn recovers(&self) -> bool {
        match self {
            Error::Build(
                build::Error::Domain { recover, .. } | build::Error::OnlyReserves { recover },
            )
            | Error::HandOff(handoff::Error::Domain { recover, .. }) => *recover,
            _ => false,
        }
    }

    /// The domain it failed on, if on one.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        match self {
            Error::Load(load::Error::Artefact { domain, .. }) => {
                domain.as_ref().map(DomainName::as_str)
            }
            Error::Measure(error) => error.domain(),
            Error::Build(build::Error::Domain { name, .. }) => Some(name.as_str()),
            Error::HandOff(handoff::Error::Domain { name, .. }) => Some(name.as_str()),
            _ => None,
        }
    }

    /// The last lines the domain wrote to its console.
    #[must_use]
    pub fn console(&self) -> &[String] {
        match self {
            Error::HandOff(handoff::Error::Domain { console, .. }) => console,
            _ => &[],
        }
    }

    /// The toolstack's own last lines about it.
    #[must_use]
    pub fn toolstack_log(&self) -> &[String] {
        self.toolstack().map_or(&[], |error| &error.log)
    }

    /// What Flask denied while it failed.
    #[must_use]
    pub fn denials(&self) -> &[Denial] {
        let denied = self.toolstack().and_then(|error| error.denied.as_ref());
        denied.map_or(&[], Denied::all)
    }

    /// What the toolstack said, if it is the one that failed.
    fn toolstack(&self) -> Option<&toolstack::Error> {
        match self {
            Error::Toolstack { source }
            | Error::Build(
                build::Error::Platform(source)
                | build::Error::Domain {
                    cause: build::Cause::Toolstack(source),
                    ..
                },
            )
            | Error::HandOff(
                handoff::Error::Domain {
                    cause: build::Cause::Toolstack(source),
                    ..
                }
                | handoff::Error::OwnLabel(own_label::Error::Refused { source, .. }),
            ) => Some(source),
            _ => None,
        }
    }
}
