// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What each fault of a launch configuration means, with a wrong and a right
//! example: the text of `domb explain` and of the document made from it.
//!
//! A code never changes its meaning, and a code that is not used any more is
//! not given to another fault.

mod artefacts;
mod delegation;
mod departure;
mod file;
mod labels;
mod launches;
mod pci;
mod rules;
mod values;

use std::fmt;

use serde::Serialize;

/// The name of one kind of fault: `C020`. Stable across versions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u16)]
#[expect(
    missing_docs,
    reason = "each is explained at length in this module's tables"
)]
pub enum Code {
    FileUnreadable = 1,
    FileTooLong = 2,
    NotUtf8 = 3,
    NotToml = 4,
    KeyTwice = 5,
    NestedTooDeep = 6,
    MoreFaults = 7,
    UnknownKey = 10,
    MissingKey = 11,
    WrongType = 12,
    UnknownWord = 13,
    NoDomain = 14,
    TooManyDomains = 15,
    NumberTooLarge = 16,
    DataValue = 17,
    Domid = 20,
    Pcr = 21,
    Vcpus = 22,
    Name = 23,
    Uuid = 24,
    Seclabel = 25,
    CmdlineCharacters = 26,
    CmdlineTooLong = 27,
    Path = 28,
    NoUnit = 29,
    Size = 30,
    MaxmemBelowMemory = 31,
    Hvm = 32,
    ExpectInitial = 34,
    UsedTwice = 40,
    AfterUnknown = 41,
    AfterItself = 42,
    AfterCircle = 43,
    AfterTwice = 44,
    MemorySum = 45,
    NothingToContinueTo = 46,
    ControlInitRelative = 47,
    ControlInitIsDomb = 48,
    ControlArgs = 49,
    LibxlOwned = 50,
    LibxlUnmeasured = 51,
    LibxlUnknown = 52,
    LibxlShape = 53,
    LibxlOtherType = 54,
    NoDom0Mem = 55,
    FlaskOff = 56,
    HardwareDomain = 57,
    DeviceTwice = 58,
    Roles = 59,
    FileMissing = 60,
    ArtefactUnreadable = 61,
    NotAFile = 62,
    FileEmpty = 63,
    Kernel = 64,
    KernelType = 65,
    Ramdisk = 66,
    RamdiskUnknown = 67,
    ControlRamdisk = 68,
    Script = 69,
    LabelUnknown = 70,
    LabelDenied = 71,
    LabelSuccession = 72,
    SharedLabel = 73,
    DepartureRole = 80,
    DepartureLabel = 81,
    OtherExit = 82,
    HardwareDomid = 83,
    ReadyNothing = 90,
    ReadyAlone = 91,
    StorePath = 92,
    ConsolePattern = 93,
    BackendDevice = 94,
    Timeout = 95,
    Retries = 96,
    Substitute = 97,
    Standby = 98,
    Recovery = 99,
    Range = 100,
    ResourceUnknown = 101,
    RangeTwice = 102,
    RangeOfXen = 103,
    Image = 104,
    FlaskPolicy = 110,
    ControlInit = 111,
    PciNotPv = 140,
    PciLeaves = 141,
    PciNoIommu = 142,
    Limit = 143,
    RangeDenied = 150,
    RangeOfPvh = 151,
    RangeTooHigh = 152,
    RangeOfOneDomain = 153,
}

impl Code {
    /// The code that `text` names: `C020`, in either case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Code> {
        all()
            .map(|entry| entry.code)
            .find(|code| code.to_string().eq_ignore_ascii_case(text))
    }

    /// What it means.
    #[must_use]
    pub fn explanation(self) -> &'static Explanation {
        all()
            .find(|entry| entry.code == self)
            .expect("a test sees to it that every code has an entry")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "C{:03}", *self as u16)
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A fault, explained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// Its code.
    pub code: Code,
    /// What it is; a few words.
    pub title: &'static str,
    /// Why it is a fault, and what would happen.
    pub cause: &'static str,
    /// What brings it about: lines of a `launch.toml`, or a command.
    pub wrong: &'static str,
    /// The same without the fault.
    pub right: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// Every explanation, in the order of the codes.
pub fn all() -> impl Iterator<Item = &'static Explanation> {
    let tables = [
        file::TABLE,
        values::TABLE,
        rules::TABLE,
        artefacts::TABLE,
        labels::TABLE,
        departure::TABLE,
        artefacts::LATER,
        delegation::TABLE,
        launches::TABLE,
        pci::TABLE,
    ];
    let mut all: Vec<_> = tables.into_iter().flatten().collect();
    all.sort_by_key(|entry| entry.code);
    all.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// The lines of an example with the rest of a small configuration around.
    fn whole(example: &str) -> String {
        if example.contains("[[domain]]") || example.contains("domain =") {
            return example.to_owned();
        }
        let domain = [
            ("name", "\"net\""),
            ("domid", "7"),
            ("type", "\"pvh\""),
            ("kernel", "\"vmlinuz\""),
            ("memory", "\"256M\""),
        ];
        let headed = example.lines().any(|line| line.starts_with('['));
        let of_domain = |line: &&str| {
            let key = line.split('=').next().unwrap_or_default().trim();
            !headed && (key == "initrd" || crate::config::is_domain_key(key))
        };
        let (own, above): (Vec<&str>, Vec<&str>) = example.lines().partition(of_domain);
        let (above, below): (Vec<&str>, Vec<&str>) = match example.contains("[domain.") {
            true => (Vec::new(), above),
            false => (above, Vec::new()),
        };
        let mut out = above.join("\n") + "\n[[domain]]\n";
        for (key, value) in domain {
            if !own.iter().any(|line| line.starts_with(&format!("{key} "))) {
                out += &format!("{key} = {value}\n");
            }
        }
        format!("{out}{}\n{}\n", own.join("\n"), below.join("\n"))
    }

    #[test]
    fn every_code_is_explained_once_in_order() {
        let codes: Vec<Code> = all().map(|entry| entry.code).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
        for code in codes {
            assert_eq!(Code::parse(&code.to_string().to_lowercase()), Some(code));
            let Explanation {
                title,
                cause,
                wrong,
                right,
                remedy,
                ..
            } = code.explanation();
            for text in [title, cause, wrong, right, remedy] {
                assert!(!text.is_empty(), "{code}");
            }
        }
        assert_eq!(Code::parse("C000"), None);
    }

    fn needs_files(code: Code) -> bool {
        (Code::FileMissing..Code::SharedLabel).contains(&code)
            || [Code::FlaskPolicy, Code::ControlInit, Code::RangeDenied].contains(&code)
    }

    #[test]
    fn every_wrong_example_has_that_fault_and_the_right_one_none() {
        let mut tried = 0;
        for Explanation {
            code, wrong, right, ..
        } in all()
        {
            // About the file as a whole, or about other files.
            if *code < Code::NotToml || *code == Code::MoreFaults || needs_files(*code) {
                continue;
            }
            // An example that is told in words cannot be tried.
            if wrong.starts_with("more than") || wrong.starts_with("a `cmdline`") {
                continue;
            }
            tried += 1;
            let codes = |text: &str| {
                let (_, faults) = Config::check("t", whole(text).as_bytes());
                faults.iter().map(|fault| fault.code).collect::<Vec<_>>()
            };
            assert!(
                codes(wrong).contains(code),
                "{code}: {:?}\n{}",
                codes(wrong),
                whole(wrong)
            );
            assert_eq!(codes(right), [], "{code}\n{}", whole(right));
        }
        assert!(tried >= 35, "{tried}");
    }
}
