// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The hypervisor without libxl: what can be asked and done before there is a
//! XenStore. Only the xenstore domain is built this way.

use std::ffi::c_void;
use std::mem::MaybeUninit;

use crate::domain::{DomainInfo, RunState, ShutdownReason};
use crate::error::{Error, Result};
use crate::ffi::{self, until_nul};
use crate::logger::Logger;
use crate::platform::{BUILT_AGAINST, FlaskState, Platform, Version};
use crate::xenctrl::{ConsoleMark, Xenctrl};

/// The hypervisor's interface, open.
#[derive(Debug)]
pub struct Hypervisor {
    // Dropped in this order: the logger serves the handle.
    pub(crate) xenctrl: Xenctrl,
    pub(crate) logger: Logger,
}

impl Hypervisor {
    /// Opens the interface and checks that it is of [`BUILT_AGAINST`]'s
    /// release.
    ///
    /// # Errors
    /// This is not a privileged domain on Xen, or the releases differ.
    pub fn open(logger: Logger) -> Result<Hypervisor> {
        let xenctrl = Xenctrl::open(&logger)?;
        let hypervisor = Hypervisor { xenctrl, logger };
        hypervisor.version()?.check(BUILT_AGAINST)?;
        Ok(hypervisor)
    }

    /// The hypervisor that runs (`xc_version`). What the builder of Xen wrote
    /// beyond the release is left empty.
    ///
    /// # Errors
    /// The hypervisor refuses to say.
    pub fn version(&self) -> Result<Version> {
        const EXTRA: usize = size_of::<xenctrl_sys::xen_extraversion_t>();
        const WORDS: usize = size_of::<xenctrl_sys::xen_commandline_t>();

        let mut extra = [0_u8; EXTRA];
        let mut words = [0_u8; WORDS];
        let release = self.ask_version(xenctrl_sys::XENVER_version, &mut [])?;
        self.ask_version(xenctrl_sys::XENVER_extraversion, &mut extra)?;
        self.ask_version(xenctrl_sys::XENVER_commandline, &mut words)?;
        Ok(Version {
            major: release >> 16,
            minor: release & 0xffff,
            extra: until_nul(&extra),
            changeset: String::new(),
            capabilities: String::new(),
            commandline: until_nul(&words),
        })
    }

    /// One of xc_version's questions; `answer` is as large as its type.
    fn ask_version(&self, question: u32, answer: &mut [u8]) -> Result<u32> {
        let command = i32::try_from(question).expect("the questions are numbered from 0");
        // SAFETY: the handle is open; the buffer is as large as the type that
        // belongs to the question (xen/version.h), or unused.
        let rc = unsafe {
            xenctrl_sys::xc_version(
                self.xenctrl.raw(),
                command,
                answer.as_mut_ptr().cast::<c_void>(),
            )
        };
        u32::try_from(rc).map_err(|_| self.failed("ask the hypervisor for its version".to_owned()))
    }

    /// Memory and processors of the machine (`xc_physinfo`).
    ///
    /// # Errors
    /// The hypervisor refuses to say.
    pub fn platform(&self) -> Result<Platform> {
        const PAGES_PER_MIB: u64 = 256; // of 4 KiB

        let mut info = MaybeUninit::<xenctrl_sys::xc_physinfo_t>::zeroed();
        // SAFETY: the handle is open; the structure outlives the call.
        let rc = unsafe { xenctrl_sys::xc_physinfo(self.xenctrl.raw(), info.as_mut_ptr()) };
        if rc != 0 {
            return Err(self.failed("ask the hypervisor for memory and processors".to_owned()));
        }
        // SAFETY: integers, zeroed and then filled in.
        let info = unsafe { info.assume_init() };
        let free = (info.free_pages + info.scrub_pages).saturating_sub(info.outstanding_pages);
        let can = |bit| info.capabilities & bit != 0;
        Ok(Platform {
            total_memory_mib: info.total_pages / PAGES_PER_MIB,
            free_memory_mib: free / PAGES_PER_MIB,
            cpus: info.nr_cpus,
            pv: can(xenctrl_sys::XEN_SYSCTL_PHYSCAP_pv),
            hvm: can(xenctrl_sys::XEN_SYSCTL_PHYSCAP_hvm),
            hap: can(xenctrl_sys::XEN_SYSCTL_PHYSCAP_hap),
            iommu: can(xenctrl_sys::XEN_SYSCTL_PHYSCAP_directio),
        })
    }

    /// What Flask does about labels.
    ///
    /// # Errors
    /// The hypervisor refuses to say.
    pub fn flask(&self) -> Result<FlaskState> {
        self.xenctrl.flask()
    }

    /// The domain with that domid, if there is one.
    ///
    /// # Errors
    /// The hypervisor refuses to say.
    pub fn domain(&self, domid: u16) -> Result<Option<DomainInfo>> {
        let found = self.info(domid)?;
        found.map(|info| self.described(&info)).transpose()
    }

    /// The state of the domain with that domid, if there is one; for a domain
    /// whose label may see others and not ask for theirs.
    ///
    /// # Errors
    /// The hypervisor refuses to say.
    pub fn state(&self, domid: u16) -> Result<Option<RunState>> {
        Ok(self.info(domid)?.map(|info| state(info.flags)))
    }

    /// All domains that this one's label lets it see, in order of their
    /// domids; domain 0 is one of them while it is there.
    ///
    /// # Errors
    /// The hypervisor refuses to say.
    pub fn domains(&self) -> Result<Vec<DomainInfo>> {
        let mut domains = Vec::new();
        let mut first = 0;
        while let Some(info) = self.info_from(first)? {
            first = info.domain.saturating_add(1);
            domains.push(self.described(&info)?);
        }
        Ok(domains)
    }

    fn described(&self, info: &xenctrl_sys::xc_domaininfo_t) -> Result<DomainInfo> {
        Ok(DomainInfo {
            domid: info.domain,
            uuid: info.handle,
            state: state(info.flags),
            memory_kib: info.tot_pages * 4,
            max_memory_kib: info.max_pages * 4,
            vcpus: info.nr_online_vcpus,
            hvm: info.flags & xenctrl_sys::XEN_DOMINF_hvm_guest != 0,
            seclabel: self.xenctrl.label(info.ssidref)?,
        })
    }

    fn info(&self, domid: u16) -> Result<Option<xenctrl_sys::xc_domaininfo_t>> {
        let found = self.info_from(domid)?;
        Ok(found.filter(|info| info.domain == domid))
    }

    /// The first domain from `domid` on.
    fn info_from(&self, domid: u16) -> Result<Option<xenctrl_sys::xc_domaininfo_t>> {
        let mut info = MaybeUninit::<xenctrl_sys::xc_domaininfo_t>::zeroed();
        // SAFETY: the handle is open; there is room for the one domain that
        // is asked for, and it outlives the call.
        let found = unsafe {
            xenctrl_sys::xc_domain_getinfolist(
                self.xenctrl.raw(),
                u32::from(domid),
                1,
                info.as_mut_ptr(),
            )
        };
        if found < 0 {
            return Err(self.failed(format!("look for domain {domid}")));
        }
        // SAFETY: integers, zeroed and then filled in if there is any.
        let info = unsafe { info.assume_init() };
        Ok((found != 0).then_some(info))
    }

    /// What Xen wrote to its own console since `mark`, which moves on.
    ///
    /// # Errors
    /// The hypervisor refuses.
    pub fn xen_console(&self, mark: &mut ConsoleMark) -> Result<String> {
        self.xenctrl.console(mark)
    }

    /// Gives this domain itself another label. False where the policy in force
    /// does not know it, and nothing changed (`FLASK_RELABEL_DOMAIN`).
    ///
    /// # Errors
    /// The hypervisor refuses.
    pub fn relabel_self(&self, label: &str) -> Result<bool> {
        self.xenctrl.relabel_self(label)
    }

    /// The number of a label.
    ///
    /// # Errors
    /// The policy in force has no such label, or does not let this domain ask
    /// (`security:check_context`); there is no Flask.
    pub fn label_number(&self, label: &str) -> Result<u32> {
        self.xenctrl.label_number(label)
    }

    /// What Flask allows: see [`crate::Context::flask_allows`].
    ///
    /// # Errors
    /// The same.
    pub fn flask_allows(&self, source: &str, target: &str, class: u16) -> Result<u32> {
        self.xenctrl.flask_allows(source, target, class)
    }

    /// What Flask allows a label to do to another, both by their numbers
    /// ([`Hypervisor::label_number`]): one hypercall instead of three.
    ///
    /// # Errors
    /// Those of [`crate::Context::flask_allows`].
    pub fn flask_allows_numbers(&self, source: u32, target: u32, class: u16) -> Result<u32> {
        let answer = self.xenctrl.flask_allows_numbers(source, target, class);
        answer.map_err(|error| Error::System {
            doing: format!(
                "ask Flask what label {source} may do to label {target} (class {class})"
            ),
            source: error,
            log: Vec::new(),
        })
    }

    /// Starts a domain that is paused.
    ///
    /// # Errors
    /// The hypervisor refuses.
    pub fn unpause(&self, domid: u16) -> Result<()> {
        // SAFETY: the handle is open.
        let rc = unsafe { xenctrl_sys::xc_domain_unpause(self.xenctrl.raw(), u32::from(domid)) };
        self.done(rc, || format!("unpause domain {domid}"))
    }

    /// Destroys a domain.
    ///
    /// # Errors
    /// The hypervisor refuses.
    pub fn destroy(&self, domid: u16) -> Result<()> {
        // SAFETY: the handle is open.
        let rc = unsafe { xenctrl_sys::xc_domain_destroy(self.xenctrl.raw(), u32::from(domid)) };
        self.done(rc, || format!("destroy domain {domid}"))
    }

    /// libxenctrl's 0 or -1.
    pub(crate) fn done(&self, rc: i32, doing: impl FnOnce() -> String) -> Result<()> {
        if rc == 0 {
            Ok(())
        } else {
            Err(self.failed(doing()))
        }
    }

    /// errno after a call that failed.
    pub(crate) fn failed(&self, doing: String) -> Error {
        Error::System {
            doing,
            source: ffi::errno(),
            log: Vec::new(),
        }
    }
}

/// `XEN_DOMINF_*` of `xen/include/public/domctl.h`.
fn state(flags: u32) -> RunState {
    if flags & xenctrl_sys::XEN_DOMINF_dying != 0 {
        RunState::Dying
    } else if flags & xenctrl_sys::XEN_DOMINF_shutdown != 0 {
        let number = flags >> xenctrl_sys::XEN_DOMINF_shutdownshift;
        RunState::Shutdown(ShutdownReason::of_xen(
            number & xenctrl_sys::XEN_DOMINF_shutdownmask,
        ))
    } else if flags & xenctrl_sys::XEN_DOMINF_paused != 0 {
        RunState::Paused
    } else {
        RunState::Running
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_shutdown_is_in_the_flags() {
        let shutdown = xenctrl_sys::XEN_DOMINF_shutdown;
        let crash = shutdown | 3 << xenctrl_sys::XEN_DOMINF_shutdownshift;
        assert_eq!(state(crash), RunState::Shutdown(ShutdownReason::Crash));
        assert_eq!(
            state(shutdown),
            RunState::Shutdown(ShutdownReason::Poweroff)
        );
        assert_eq!(state(xenctrl_sys::XEN_DOMINF_paused), RunState::Paused);
        assert_eq!(state(xenctrl_sys::XEN_DOMINF_blocked), RunState::Running);
    }
}
