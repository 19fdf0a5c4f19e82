// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The keys of `launch.toml`, table by table, and what to tell somebody who
//! wrote another one: most unknown keys are another tool's word for a key
//! that exists, a key in the wrong table, or a slip of the finger.

use super::limits;
use super::nearest::nearest;

/// One table of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Section {
    Top,
    Measure,
    Platform,
    Limits,
    Control,
    Resource,
    Domain,
    Ready,
    Image,
}

impl Section {
    pub(super) const ALL: [Section; 9] = [
        Section::Top,
        Section::Domain,
        Section::Ready,
        Section::Image,
        Section::Measure,
        Section::Control,
        Section::Platform,
        Section::Limits,
        Section::Resource,
    ];

    /// The keys it may have, in the order they are documented.
    pub(super) fn keys(self) -> &'static [&'static str] {
        match self {
            Section::Top => &[
                "script",
                "limits",
                "flask_policy",
                "exit",
                "reclaim",
                "after_failure",
                "measure",
                "platform",
                "control",
                "resources",
                "domain",
                "data",
            ],
            Section::Measure => &["tpm", "pcr", "expect_initial"],
            Section::Platform => &["memory", "xen_cmdline", "address_bits"],
            Section::Limits => &limits::KEYS,
            Section::Image => &["name", "kernel", "ramdisk"],
            Section::Resource => &["iomem", "ioports", "irqs", "pci", "withheld"],
            Section::Control => &["ramdisk", "init", "args", "seclabel"],
            Section::Domain => &[
                "name",
                "domid",
                "type",
                "kernel",
                "ramdisk",
                "cmdline",
                "memory",
                "maxmem",
                "vcpus",
                "uuid",
                "seclabel",
                "roles",
                "iomem",
                "ioports",
                "irqs",
                "pci",
                "resources",
                "after",
                "ready",
                "images",
                "on_failure",
                "standby",
                "libxl",
            ],
            Section::Ready => &[
                "xenstore",
                "equals",
                "console",
                "backend",
                "state",
                "running",
                "timeout",
                "on_timeout",
            ],
        }
    }

    /// Where its keys stand, as a sentence goes on.
    pub(super) fn place(self) -> String {
        match self {
            Section::Top => "at the top of the file".to_owned(),
            other => format!("in {}", other.title()),
        }
    }

    /// How it is written in the file.
    pub(super) fn title(self) -> &'static str {
        match self {
            Section::Top => "the file",
            Section::Measure => "[measure]",
            Section::Platform => "[platform]",
            Section::Limits => "[limits]",
            Section::Control => "[control]",
            Section::Resource => "[resources.NAME]",
            Section::Image => "[[domain.images]]",
            Section::Domain => "[[domain]]",
            Section::Ready => "[domain.ready]",
        }
    }
}

/// What to do about `key`, which `section` does not have.
pub(super) fn advise(section: Section, key: &str) -> String {
    if section == Section::Domain
        && let Some((_, list)) = DEVICES.iter().find(|(theirs, _)| *theirs == key)
    {
        return format!("devices are written as libxl has them: [[domain.libxl.{list}]]");
    }
    let ours = OTHER_WORDS
        .iter()
        .find(|(theirs, _)| theirs.eq_ignore_ascii_case(key));
    if let Some((_, ours)) = ours.filter(|(_, ours)| section.keys().contains(ours)) {
        return format!("the key is called `{ours}`");
    }
    let home = Section::ALL
        .into_iter()
        .find(|other| other.keys().contains(&key));
    if let Some(home) = home {
        return format!("`{key}` belongs {}", home.place());
    }
    if let Some(near) = nearest(key, section.keys()) {
        return format!("did you mean `{near}`?");
    }
    format!(
        "the keys of {} are {}",
        section.title(),
        section.keys().join(", ")
    )
}

/// Words of xl.cfg, dom0less, Hyperlaunch, QEMU and boot loaders for what has
/// another name here.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("append", "cmdline"),
    ("args", "cmdline"),
    ("bootargs", "cmdline"),
    ("builder", "type"),
    ("cmd_line", "cmdline"),
    ("command_line", "cmdline"),
    ("cpus", "vcpus"),
    ("depends", "after"),
    ("depends_on", "after"),
    ("domains", "domain"),
    ("flask", "flask_policy"),
    ("extra", "cmdline"),
    ("id", "domid"),
    ("image", "kernel"),
    ("ioport", "ioports"),
    ("irq", "irqs"),
    ("initramfs", "ramdisk"),
    ("initrd", "ramdisk"),
    ("kind", "type"),
    ("label", "seclabel"),
    ("max_memory", "maxmem"),
    ("maxvcpus", "vcpus"),
    ("mem", "memory"),
    ("pcidev", "pci"),
    ("needs", "after"),
    ("policy", "script"),
    ("ram", "memory"),
    ("requires", "after"),
    ("root", "cmdline"),
    ("role", "roles"),
    ("security_label", "seclabel"),
    ("ssid_label", "seclabel"),
    ("vcpu", "vcpus"),
    ("vm", "domain"),
    ("xenpolicy", "flask_policy"),
    ("xsm_policy", "flask_policy"),
];

/// xl.cfg's device keys and libxl's lists for them.
const DEVICES: &[(&str, &str)] = &[
    ("disk", "disks"),
    ("disks", "disks"),
    ("nic", "nics"),
    ("nics", "nics"),
    ("pcidevs", "pcidevs"),
    ("usbdev", "usbdevs"),
    ("vfb", "vfbs"),
    ("vif", "nics"),
    ("vtpm", "vtpms"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_knows_other_tools_words_other_tables_and_slips() {
        assert_eq!(
            advise(Section::Domain, "initrd"),
            "the key is called `ramdisk`"
        );
        assert_eq!(advise(Section::Top, "pcr"), "`pcr` belongs in [measure]");
        assert_eq!(advise(Section::Domain, "Memroy"), "did you mean `memory`?");
    }

    #[test]
    fn every_other_word_leads_to_a_key_that_exists() {
        for (theirs, ours) in OTHER_WORDS {
            assert!(
                Section::ALL.iter().any(|s| s.keys().contains(ours)),
                "{theirs} -> {ours}"
            );
        }
    }
}
