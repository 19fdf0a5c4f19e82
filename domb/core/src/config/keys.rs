// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The keys of `launch.toml`, table by table, and what to tell somebody who
//! wrote another one: most unknown keys are another tool's word for a key
//! that exists, a key in the wrong table, or a slip of the finger.

/// One table of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Section {
    Top,
    Measure,
    Platform,
    Control,
    Domain,
}

impl Section {
    const ALL: [Section; 5] = [
        Section::Top,
        Section::Domain,
        Section::Measure,
        Section::Control,
        Section::Platform,
    ];

    /// The keys it may have, in the order they are documented.
    pub(super) fn keys(self) -> &'static [&'static str] {
        match self {
            Section::Top => &[
                "script",
                "exit",
                "after_failure",
                "measure",
                "platform",
                "control",
                "domain",
                "data",
            ],
            Section::Measure => &["tpm", "pcr"],
            Section::Platform => &["memory"],
            Section::Control => &["ramdisk", "init", "args"],
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
                "after",
                "on_failure",
                "libxl",
            ],
        }
    }

    /// How it is written in the file.
    pub(super) fn title(self) -> &'static str {
        match self {
            Section::Top => "the top of the file",
            Section::Measure => "[measure]",
            Section::Platform => "[platform]",
            Section::Control => "[control]",
            Section::Domain => "[[domain]]",
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
        return format!("`{key}` belongs in {}", home.title());
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

/// The word of `known` that `word` was most likely meant to be, if one is
/// near enough: about one slip for every three characters.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    const LONGEST: usize = 40;
    let letters: Vec<char> = word
        .chars()
        .take(LONGEST + 1)
        .flat_map(char::to_lowercase)
        .collect();
    if letters.len() > LONGEST {
        return None;
    }
    let slips = |known: &&str| distance(&letters, &known.chars().collect::<Vec<_>>());
    let near = known.iter().copied().min_by_key(|known| slips(known))?;
    (slips(&near) <= letters.len().div_ceil(3).min(3)).then_some(near)
}

/// How many letters have to be added, left out, changed or swapped with their
/// neighbour to turn `a` into `b` (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut least = (above[j] + usize::from(x != y))
                .min(above[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
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
    ("extra", "cmdline"),
    ("id", "domid"),
    ("image", "kernel"),
    ("initramfs", "ramdisk"),
    ("initrd", "ramdisk"),
    ("kind", "type"),
    ("label", "seclabel"),
    ("max_memory", "maxmem"),
    ("maxvcpus", "vcpus"),
    ("mem", "memory"),
    ("needs", "after"),
    ("policy", "script"),
    ("ram", "memory"),
    ("requires", "after"),
    ("root", "cmdline"),
    ("security_label", "seclabel"),
    ("ssid_label", "seclabel"),
    ("vcpu", "vcpus"),
    ("vm", "domain"),
];

/// xl.cfg's device keys and libxl's lists for them.
const DEVICES: &[(&str, &str)] = &[
    ("disk", "disks"),
    ("disks", "disks"),
    ("nic", "nics"),
    ("nics", "nics"),
    ("pci", "pcidevs"),
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
    fn a_swapped_pair_of_letters_counts_as_one_slip() {
        let letters = |word: &str| word.chars().collect::<Vec<_>>();
        assert_eq!(distance(&letters("kenrel"), &letters("kernel")), 1);
        assert_eq!(distance(&letters(""), &letters("pcr")), 3);
        assert_eq!(distance(&letters("memory"), &letters("memory")), 0);
    }

    #[test]
    fn a_word_unlike_any_key_suggests_none() {
        assert_eq!(nearest("xyzzy", Section::Domain.keys()), None);
        assert_eq!(nearest("", Section::Domain.keys()), None);
        assert_eq!(nearest(&"kernel".repeat(9), Section::Domain.keys()), None);
    }

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
