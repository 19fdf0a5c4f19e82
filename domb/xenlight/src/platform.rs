// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the hypervisor says of itself: its release, its memory, whether it
//! enforces labels. Read once, copied, plain data from then on.

use std::fmt;
use std::mem::MaybeUninit;

use crate::context::Context;
use crate::error::{Error, Result, check};
use crate::ffi;
use crate::xenctrl::ConsoleMark;

/// The release of Xen whose headers and libraries this program has.
pub const BUILT_AGAINST: (u32, u32) = libxl_sys::BUILT_AGAINST;

/// The hypervisor that runs (`libxl_get_version_info`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// The release: 4 of 4.17.
    pub major: u32,
    /// The release: 17 of 4.17.
    pub minor: u32,
    /// What the builder added, like `.5` or `.0-rc1`.
    pub extra: String,
    /// The source revision, as the builder wrote it.
    pub changeset: String,
    /// Kinds of guests, like `xen-3.0-x86_64 hvm-3.0-x86_64`.
    pub capabilities: String,
    /// Xen's own command line.
    pub commandline: String,
}

impl Version {
    /// Whether libraries of the release `built` may talk to this hypervisor.
    ///
    /// # Errors
    /// The releases differ: the domctl and sysctl interfaces are only good
    /// within one.
    pub fn check(&self, built: (u32, u32)) -> Result<()> {
        let running = (self.major, self.minor);
        if running == built {
            Ok(())
        } else {
            Err(Error::VersionMismatch { built, running })
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}{}", self.major, self.minor, self.extra)
    }
}

/// Memory and processors of the machine (`libxl_get_physinfo`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Platform {
    /// Memory Xen found, in MiB.
    pub total_memory_mib: u64,
    /// Memory new domains can have, in MiB: free or about to be scrubbed, less
    /// what is promised already.
    pub free_memory_mib: u64,
    /// Processors that are online.
    pub cpus: u32,
    /// PV guests can run.
    pub pv: bool,
    /// HVM and PVH guests can run, given `hap` or shadow paging.
    pub hvm: bool,
    /// There is hardware assisted paging.
    pub hap: bool,
    /// Xen uses an IOMMU.
    pub iommu: bool,
}

/// What Xen's Flask does about labels (`xc_flask_getenforce`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlaskState {
    /// There is none; labels mean nothing.
    Absent,
    /// Violations are logged and allowed.
    Permissive,
    /// Violations are refused.
    Enforcing,
}

impl Context {
    /// The hypervisor that runs.
    ///
    /// # Errors
    /// libxl cannot say.
    pub fn version(&self) -> Result<Version> {
        let doing = || "ask the hypervisor for its version".to_owned();
        let mark = self.logger().mark();
        // SAFETY: the context is alive.
        let info = unsafe { libxl_sys::libxl_get_version_info(self.raw()) };
        if info.is_null() {
            return Err(Error::System {
                doing: doing(),
                source: ffi::errno(),
                log: self.logger().errors_since(mark),
            });
        }
        // SAFETY: not NULL; the structure is in the context, which lives as
        // long as this borrow, and libxl fills it in before it returns.
        let info = unsafe { &*info };
        let number = |value: i32| u32::try_from(value).unwrap_or(u32::MAX);
        Ok(Version {
            major: number(info.xen_version_major),
            minor: number(info.xen_version_minor),
            // SAFETY: NULL or a C string the context owns, here and below.
            extra: unsafe { ffi::copied(info.xen_version_extra) }.unwrap_or_default(),
            // SAFETY: as above.
            changeset: unsafe { ffi::copied(info.changeset) }.unwrap_or_default(),
            // SAFETY: as above.
            capabilities: unsafe { ffi::copied(info.capabilities) }.unwrap_or_default(),
            // SAFETY: as above.
            commandline: unsafe { ffi::copied(info.commandline) }.unwrap_or_default(),
        })
    }

    /// Compares the hypervisor that runs with [`BUILT_AGAINST`]. That the
    /// library is the one of the headers is the linker's doing: the shared
    /// one bears the release in its name, the static one is inside.
    ///
    /// # Errors
    /// They are of different releases.
    pub fn check_version(&self) -> Result<Version> {
        let version = self.version()?;
        version.check(BUILT_AGAINST)?;
        Ok(version)
    }

    /// Memory and processors of the machine.
    ///
    /// # Errors
    /// libxl cannot say.
    pub fn platform(&self) -> Result<Platform> {
        const PAGES_PER_MIB: u64 = 256; // of 4 KiB

        let mark = self.logger().mark();
        let mut info = MaybeUninit::<libxl_sys::libxl_physinfo>::zeroed();
        // SAFETY: init takes any memory of that size and alignment.
        unsafe { libxl_sys::libxl_physinfo_init(info.as_mut_ptr()) };
        // SAFETY: the context is alive, the structure initialised.
        let rc = unsafe { libxl_sys::libxl_get_physinfo(self.raw(), info.as_mut_ptr()) };
        // SAFETY: zeroed and initialised; libxl writes 0 or 1 to its bools.
        let mut info = unsafe { info.assume_init() };
        let free = info
            .free_pages
            .saturating_add(info.scrub_pages)
            .saturating_sub(info.outstanding_pages);
        let platform = Platform {
            total_memory_mib: info.total_pages / PAGES_PER_MIB,
            free_memory_mib: free / PAGES_PER_MIB,
            cpus: info.nr_cpus,
            pv: info.cap_pv,
            hvm: info.cap_hvm,
            hap: info.cap_hap,
            iommu: info.cap_hvm_directio,
        };
        // SAFETY: initialised above, disposed of once, not used again.
        unsafe { libxl_sys::libxl_physinfo_dispose(&raw mut info) };
        check(
            rc,
            || "ask the hypervisor for memory and processors".to_owned(),
            || self.logger().errors_since(mark),
        )?;
        Ok(platform)
    }

    /// What Flask does about labels.
    ///
    /// # Errors
    /// The hypervisor refuses to say.
    pub fn flask(&self) -> Result<FlaskState> {
        self.flask_state()
    }

    /// What Xen wrote to its own console since `mark`, which moves on; from a
    /// default mark, all that is still there. Others can read it as well.
    ///
    /// # Errors
    /// The hypervisor refuses.
    pub fn xen_console(&self, mark: &mut ConsoleMark) -> Result<String> {
        self.hypervisor_interface().console(mark)
    }

    /// Gives this domain itself another label. False where the policy in force
    /// does not know it, and nothing changed (`FLASK_RELABEL_DOMAIN`).
    ///
    /// # Errors
    /// The hypervisor refuses.
    pub fn relabel_self(&self, label: &str) -> Result<bool> {
        self.hypervisor_interface().relabel_self(label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hypervisor(major: u32, minor: u32) -> Version {
        let text = String::new;
        Version {
            major,
            minor,
            extra: ".5".to_owned(),
            changeset: text(),
            capabilities: text(),
            commandline: text(),
        }
    }

    #[test]
    fn the_same_release_will_do_whatever_its_patch_level() {
        assert!(hypervisor(4, 17).check((4, 17)).is_ok());
    }

    #[test]
    fn another_release_is_refused_in_both_directions() {
        for (major, minor) in [(4, 16), (4, 18), (5, 17), (3, 17)] {
            let error = hypervisor(major, minor).check((4, 17)).unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains("Xen 4.17") && text.contains(&format!("Xen {major}.{minor}")),
                "{text}"
            );
            assert!(text.contains("\nhint: "), "{text}");
        }
    }
}
