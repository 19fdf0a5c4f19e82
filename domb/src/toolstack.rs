// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a launch asks of a toolstack. `libxl.rs` does it on Xen; [`DryRun`]
//! writes it down for `domb launch --dry-run` and `domb plan`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use domb_core::config::{DomainConfig, Range, Ready};
use domb_core::course::Lines;
use domb_core::plan::{self, Step};
use domb_core::policy::PlatformFacts;
use domb_core::units::Domid;

use crate::build;
use crate::denials::Denied;
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

    /// Whether a recovery domain could not be built without this one, which is
    /// therefore left when a launch fails.
    fn recovers_with(&self, _domid: Domid) -> bool {
        false
    }

    /// Whether the boot domain may give `range` to another domain.
    ///
    /// # Errors
    /// The toolstack could not be asked.
    fn holds(&self, range: &Range) -> Result<bool, Error>;

    /// Keeps domain 0, which has the devices, from `range` from now on. What
    /// it has mapped of it stays mapped. False where Xen said of some of it
    /// that domain 0 may not: then it has it not, or Flask denied the step.
    ///
    /// # Errors
    /// Domain 0 may still have it.
    fn withhold(&self, range: &Range) -> Result<bool, Error>;

    /// The last lines the domain wrote to its console and nobody read yet;
    /// empty where it has none. Reading takes them away.
    fn console_tail(&self, domid: Domid) -> Vec<String>;

    /// Who can be asked about the Flask policy in force; None where there is
    /// no hypervisor.
    fn flask(&self) -> Option<&dyn InForce> {
        None
    }

    /// The label the domain really has; None where Xen has no labels.
    ///
    /// # Errors
    /// There is no such domain, or the toolstack could not be asked.
    fn seclabel(&self, domid: Domid) -> Result<Option<String>, Error>;

    /// The label domain 0 really has; None where Xen has no labels.
    ///
    /// # Errors
    /// The toolstack could not be asked.
    fn own_seclabel(&self) -> Result<Option<String>, Error>;

    /// Gives domain 0, which is this domain, another label; false where the
    /// policy in force does not know it, and nothing changed.
    ///
    /// # Errors
    /// Xen refused, and nothing changed.
    fn relabel_self(&self, label: &str) -> Result<bool, Error>;

    /// What Xen wrote to its own console since this was asked last.
    ///
    /// # Errors
    /// Xen refused.
    fn xen_messages(&self) -> Result<String, Error>;

    /// What the domain wrote to its console since the last time; it is kept
    /// for those who come to the console later.
    fn console_read(&self, domain: &DomainConfig) -> Vec<u8>;

    /// What the node of XenStore holds; None if there is no such node.
    ///
    /// # Errors
    /// XenStore does not answer.
    fn store_read(&self, path: &str) -> Result<Option<String>, Error>;

    /// Makes the node of XenStore hold `value`.
    ///
    /// # Errors
    /// XenStore refuses or does not answer.
    fn store_write(&self, path: &str, value: &str) -> Result<(), Error>;

    /// Whether the domain is ready.
    ///
    /// # Errors
    /// XenStore does not answer.
    fn is_ready(
        &self,
        domain: &DomainConfig,
        ready: &Ready,
        state: &State,
        lines: &mut Lines,
    ) -> Result<bool, Error> {
        build::is_ready(self, domain, ready, state, lines)
    }
}

/// How a domain is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// Built and not yet unpaused.
    Paused,
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
    /// What Flask denied meanwhile, if anything.
    #[source]
    pub denied: Option<Denied>,
}

impl Error {
    /// An error without a log.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Error {
        Error {
            text: text.into(),
            log: Vec::new(),
            denied: None,
        }
    }
}

/// A toolstack that builds nothing and writes down what it was asked.
#[derive(Debug, Default)]
pub struct DryRun {
    platform: PlatformFacts,
    steps: RefCell<Vec<Step>>,
    domains: RefCell<BTreeMap<Domid, (String, State)>>,
    labels: RefCell<BTreeMap<Domid, String>>,
    own_label: RefCell<Option<String>>,
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

    /// It on a machine with labels, of which domain 0 has this one.
    #[must_use]
    pub fn labelled(self, label: &str) -> DryRun {
        DryRun {
            own_label: RefCell::new(Some(label.to_owned())),
            ..self
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
        self.domains
            .borrow_mut()
            .insert(domain.domid, (name, State::Paused));
        if let Some(label) = &domain.seclabel {
            self.labels.borrow_mut().insert(domain.domid, label.clone());
        }
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

    fn holds(&self, _range: &Range) -> Result<bool, Error> {
        Ok(true)
    }

    fn withhold(&self, range: &Range) -> Result<bool, Error> {
        let range = range.to_string();
        self.note(Step::Withhold { range });
        Ok(true)
    }

    fn console_tail(&self, _domid: Domid) -> Vec<String> {
        Vec::new()
    }

    fn seclabel(&self, domid: Domid) -> Result<Option<String>, Error> {
        Ok(self.labels.borrow().get(&domid).cloned())
    }

    fn own_seclabel(&self) -> Result<Option<String>, Error> {
        Ok(self.own_label.borrow().clone())
    }

    fn relabel_self(&self, label: &str) -> Result<bool, Error> {
        let label = label.to_owned();
        self.note(Step::Relabel {
            label: label.clone(),
        });
        *self.own_label.borrow_mut() = Some(label);
        Ok(true)
    }

    fn xen_messages(&self) -> Result<String, Error> {
        Ok(String::new())
    }

    fn console_read(&self, _domain: &DomainConfig) -> Vec<u8> {
        Vec::new()
    }

    fn store_read(&self, _path: &str) -> Result<Option<String>, Error> {
        Ok(None)
    }

    fn store_write(&self, _path: &str, _value: &str) -> Result<(), Error> {
        Ok(())
    }

    fn is_ready(
        &self,
        domain: &DomainConfig,
        ready: &Ready,
        _state: &State,
        _lines: &mut Lines,
    ) -> Result<bool, Error> {
        self.note(Step::Await {
            name: domain.name.to_string(),
            domid: domain.domid,
            ready: ready.to_string(),
            timeout: ready.timeout_text(),
        });
        Ok(true)
    }
}
