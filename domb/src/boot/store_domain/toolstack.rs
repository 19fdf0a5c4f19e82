// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The verbs of a launch, each given to whom can do it: the xenstore domain's
//! to the hypervisor alone, what the control and the hardware domain need to
//! their own functions, the rest to libxl.

use std::path::Path;

use domb_core::config::{DomainConfig, Range, Role};
use domb_core::policy::PlatformFacts;
use domb_core::units::Domid;

use super::{StoreToolstack, failed};
use crate::boot::control_domain;
use crate::bundle::{self, STATE};
use crate::console;
use crate::fault;
use crate::in_force::InForce;
use crate::libxl;
use crate::toolstack::{Error, State, Toolstack};

impl Toolstack for StoreToolstack {
    fn platform(&self) -> Result<PlatformFacts, Error> {
        let platform = self.hypervisor.platform()?;
        let version = self.hypervisor.version()?;
        let flask = self.hypervisor.flask()?;
        Ok(libxl::facts(&platform, version, flask, false))
    }

    fn create(
        &self,
        domain: &DomainConfig,
        kernel: &Path,
        ramdisk: Option<&Path>,
    ) -> Result<(), Error> {
        if !domain.has_role(Role::Xenstore) {
            return self.create_by_libxl(domain, kernel, ramdisk);
        }
        for start in 1..=fault::store_starts() {
            self.start_and_destroy(domain, kernel, start)?;
        }
        let served = self.serve(domain, kernel)?;
        self.served
            .set(served)
            .map_err(|_| failed("there is a xenstore domain already".to_owned()))
    }

    fn unpause(&self, domid: Domid) -> Result<(), Error> {
        if self.is_store(domid) {
            return Ok(()); // It runs since the others were built.
        }
        let store = self.libxl()?.store();
        if self.control == Some(domid) {
            let hardware = self.hardware;
            control_domain::start(store, &self.hypervisor, domid, hardware, self.longest_gate)?;
            self.control_runs.set(true);
            return Ok(());
        }
        if self.control_runs.get() {
            // Whoever watches sees that the launch goes on.
            let said = bundle::building(self.hardware, self.longest_gate, domid);
            store.write(STATE, said.as_bytes())?;
        }
        self.libxl()?.unpause(domid)
    }

    fn state(&self, domid: Domid) -> Result<State, Error> {
        self.state_by_number(domid.value())
    }

    fn destroy(&self, domid: Domid) -> Result<(), Error> {
        if self.hardware == Some(domid) {
            console::line("undo", "the hardware domain is there: the machine restarts");
            return Ok(self.hypervisor.restart_machine(domid.value())?);
        }
        match self.served.get() {
            Some(served) if served.domid == domid => {
                served.guard.disarm();
                Ok(self.hypervisor.destroy(domid.value())?)
            }
            _ => self.libxl()?.destroy(domid),
        }
    }

    fn recovers_with(&self, domid: Domid) -> bool {
        self.has_recovery && self.is_store(domid)
    }

    fn holds(&self, range: &Range) -> Result<bool, Error> {
        let iommu = || Ok(self.hypervisor.platform()?.iommu);
        libxl::holds(range, iommu, &|what, allow| {
            self.hypervisor.permit(0, what, allow)
        })
    }

    fn withhold(&self, range: &Range) -> Result<bool, Error> {
        libxl::withhold(range, &|what, allow| self.hypervisor.permit(0, what, allow))
    }

    fn console_read(&self, domain: &DomainConfig) -> Vec<u8> {
        self.libxl()
            .map(|libxl| libxl.console_read(domain))
            .unwrap_or_default()
    }

    fn store_read(&self, path: &str) -> Result<Option<String>, Error> {
        self.libxl()?.store_read(path)
    }

    fn store_write(&self, path: &str, value: &str) -> Result<(), Error> {
        self.libxl()?.store_write(path, value)
    }

    fn console_tail(&self, domid: Domid) -> Vec<String> {
        let Some(served) = self.served.get() else {
            return Vec::new();
        };
        if domid != served.domid {
            return served.libxl.console_tail(domid);
        }
        let text = served.domain.borrow_mut().console();
        String::from_utf8_lossy(&text)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    fn flask(&self) -> Option<&dyn InForce> {
        Some(&self.hypervisor)
    }

    fn seclabel(&self, domid: Domid) -> Result<Option<String>, Error> {
        self.label_by_number(domid.value())
    }

    fn own_seclabel(&self) -> Result<Option<String>, Error> {
        self.label_by_number(libxl::DOMAIN_0)
    }

    fn relabel_self(&self, label: &str) -> Result<bool, Error> {
        Ok(self.hypervisor.relabel_self(label)?)
    }

    fn xen_messages(&self) -> Result<String, Error> {
        let mut mark = self.heard.get();
        let text = self.hypervisor.xen_console(&mut mark)?;
        self.heard.set(mark);
        Ok(text)
    }
}
