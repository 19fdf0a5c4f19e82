// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a launch asks of a toolstack. `libxl.rs` does them on Xen;
//! [`DryRun`] writes them down for `domb launch --dry-run` and `domb plan`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use domb_core::config::DomainConfig;
use domb_core::plan::{self, Step};
use domb_core::policy::PlatformFacts;
use domb_core::units::Domid;

use crate::in_force::InForce;

/// A toolstack. Every domain it creates is paused and stays so until it is
/// unpaused; `create` gives the domid that was asked for, or fails and leaves
/// nothing behind.
pub trait Toolstack {
    /// What the platform is and has left.
    ///
    /// # Errors
    /// The toolstack could not be asked.
    fn platform(&self) -> Result<PlatformFacts, Error>;

    /// Builds the domain, paused, from these files.
    ///
    /// # Errors
    /// The domain could not be built as asked; nothing of it is left.
    fn create(
        &self,
        domain: &DomainConfig,
        kernel: &Path,
        ramdisk: Option<&Path>,
    ) -> Result<(), Error>;

    /// Lets the domain run.
    ///
    /// # Errors
    /// It is still paused, or gone.
    fn unpause(&self, domid: Domid) -> Result<(), Error>;

    /// How the domain is now.
    ///
    /// # Errors
    /// The toolstack could not be asked.
    fn state(&self, domid: Domid) -> Result<State, Error>;

    /// Ends the domain and gives its memory back.
    ///
    /// # Errors
    /// It may still be there.
    fn destroy(&self, domid: Domid) -> Result<(), Error>;

    /// The last lines the domain wrote to its console and nobody read yet;
    /// empty where it has none. Reading takes them away.
    fn console_tail(&self, domid: Domid) -> Vec<String>;

    /// Who can be asked about the Flask policy in force; None where there is
    /// no hypervisor.
    fn flask(&self) -> Option<&dyn InForce> {
        None
    }
}

/// How a domain is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// Built and not yet unpaused.
    Paused {
        /// The label it really has, where Flask is present.
        seclabel: Option<String>,
    },
    /// Running or waiting for an event.
    Running,
    /// It has ended; with Xen's reason (`poweroff`, `crash`, …).
    Shutdown(String),
    /// There is no such domain.
    Absent,
}

impl State {
    /// Whether a domain that was unpaused may be so: it runs, or it has done
    /// its work and powered off.
    #[must_use]
    pub fn is_well(&self) -> bool {
        matches!(self, State::Running) || *self == State::Shutdown("poweroff".to_owned())
    }
}

/// What the toolstack said.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    /// What was attempted, on which domain, and why it failed; with the
    /// toolstack's code and its name.
    pub text: String,
    /// The toolstack's own last log lines about it.
    pub log: Vec<String>,
}

/// A toolstack that builds nothing and writes down what it was asked.
#[derive(Debug, Default)]
pub struct DryRun {
    platform: PlatformFacts,
    steps: RefCell<Vec<Step>>,
    domains: RefCell<BTreeMap<Domid, (String, State)>>,
}

impl DryRun {
    /// One on a machine of which this is known.
    #[must_use]
    pub fn on(platform: PlatformFacts) -> DryRun {
        DryRun {
            platform,
            ..DryRun::default()
        }
    }

    /// What was asked so far.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        self.steps.borrow().clone()
    }

    /// Writes down a step that is not the toolstack's.
    pub fn note(&self, step: Step) {
        self.steps.borrow_mut().push(step);
    }

    /// The name of the domain that was created there.
    fn name(&self, domid: Domid) -> String {
        let domains = self.domains.borrow();
        let name = domains.get(&domid).map(|(name, _)| name.clone());
        name.unwrap_or_default()
    }
}

impl Toolstack for DryRun {
    fn platform(&self) -> Result<PlatformFacts, Error> {
        Ok(self.platform.clone())
    }

    fn create(
        &self,
        domain: &DomainConfig,
        _kernel: &Path,
        _ramdisk: Option<&Path>,
    ) -> Result<(), Error> {
        let name = domain.name.to_string();
        self.note(Step::Create {
            name: name.clone(),
            domid: domain.domid,
            libxl: plan::libxl_config(domain, &domain.kernel, domain.ramdisk.as_deref()),
        });
        let paused = State::Paused {
            seclabel: domain.seclabel.clone(),
        };
        self.domains
            .borrow_mut()
            .insert(domain.domid, (name, paused));
        Ok(())
    }

    fn unpause(&self, domid: Domid) -> Result<(), Error> {
        let name = self.name(domid);
        self.note(Step::Unpause {
            name: name.clone(),
            domid,
        });
        self.domains
            .borrow_mut()
            .insert(domid, (name, State::Running));
        Ok(())
    }

    fn state(&self, domid: Domid) -> Result<State, Error> {
        Ok(self
            .domains
            .borrow()
            .get(&domid)
            .map_or(State::Absent, |(_, state)| state.clone()))
    }

    fn destroy(&self, domid: Domid) -> Result<(), Error> {
        let name = self.name(domid);
        self.note(Step::Destroy { name, domid });
        self.domains.borrow_mut().remove(&domid);
        Ok(())
    }

    fn console_tail(&self, _domid: Domid) -> Vec<String> {
        Vec::new()
    }
}
