// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The rows of the table of powers: what a person asks about together, and
//! whom it is for.

use crate::flask::Power;

/// Powers that a person asks about together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Create,
    Destroy,
    Pause,
    Shutdown,
    Memory,
    Sleep,
    Policy,
    Label,
    Xen,
    Hold,
    Give,
    Emulate,
    Serial,
    Other,
}

/// In the order of the table, each with whom it is for.
pub(super) const GROUPS: &[(Group, &str)] = &[
    (Group::Create, "control"),
    (Group::Destroy, "control"),
    (Group::Pause, "control"),
    (Group::Shutdown, "control"),
    (Group::Memory, "control, of guests it builds"),
    (Group::Sleep, "hardware"),
    (Group::Policy, "nobody"),
    (Group::Label, "nobody"),
    (Group::Xen, "nobody"),
    (Group::Hold, "hardware"),
    (Group::Give, "hardware"),
    (Group::Emulate, "nobody"),
    (Group::Serial, "hardware"),
    (Group::Other, "as the role needs"),
];

impl Group {
    pub(super) fn words(self) -> &'static str {
        match self {
            Group::Create => "create domains",
            Group::Destroy => "destroy domains",
            Group::Pause => "pause, resume or rewrite domains",
            Group::Shutdown => "shut domains down",
            Group::Memory => "map any memory of domains",
            Group::Sleep => "put the machine to sleep or switch it off",
            Group::Policy => "change policy, enforcement or booleans",
            Group::Label => "change labels",
            Group::Xen => "replace, patch or debug Xen",
            Group::Hold => "have devices",
            Group::Give => "hand devices on",
            Group::Emulate => "emulate for or spy on domains",
            Group::Serial => "write to the serial line as Xen",
            Group::Other => "other privileged operations",
        }
    }

    /// Whether a power belongs to the row.
    pub(super) fn has(self, power: &Power) -> bool {
        Group::of(power) == self
    }

    fn of(power: &Power) -> Group {
        match (power.class.as_str(), power.permission.as_str()) {
            ("domain", "create") => Group::Create,
            ("domain", "destroy") => Group::Destroy,
            ("domain", "pause" | "unpause" | "resume" | "setvcpucontext" | "setdebugging")
            | ("domain2", "soft_reset") => Group::Pause,
            ("domain", "shutdown" | "trigger") => Group::Shutdown,
            ("mmu", "map_read" | "map_write" | "target_hack" | "remote_remap")
            | ("domain2", "resource_map") => Group::Memory,
            ("xen", "sleep") => Group::Sleep,
            (
                "security",
                "load_policy" | "setenforce" | "setbool" | "setsecparam" | "add_ocontext"
                | "del_ocontext",
            ) => Group::Policy,
            ("domain2", "relabelfrom" | "relabelto" | "relabelself") => Group::Label,
            (
                "xen",
                "kexec" | "debug" | "microcode" | "mtrr_add" | "mtrr_del" | "quirk" | "hypfs_op",
            )
            | ("xen2", "livepatch_op" | "resource_op" | "get_symbol" | "coverage_op") => Group::Xen,
            ("resource", "use_iommu" | "use_iommu_nointremap" | "use_noiommu") => Group::Hold,
            ("resource", _) => Group::Give,
            ("hvm", "dm" | "mem_sharing" | "share_mem" | "audit_p2m")
            | ("domain", "set_target")
            | (
                "domain2",
                "make_priv_for" | "set_as_target" | "vm_event" | "mem_access" | "mem_paging"
                | "mem_sharing",
            ) => Group::Emulate,
            ("xen", "writeconsole") => Group::Serial,
            _ => Group::Other,
        }
    }
}
