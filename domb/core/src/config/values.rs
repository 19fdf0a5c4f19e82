// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What single values mean: names, domids, labels, command lines,
//! paths. Each function takes what was written and gives the typed value or
//! reports one fault that says what Xen, libxl or the kernel would have made
//! of it.

use std::path::PathBuf;

use super::faults::{Faults, Field, quote};
use super::{DomainName, DomainType, InitialValue, Uuid};
use crate::explain::Code;
use crate::measure::{Bank, Digest, Digests};
use crate::units::{Domid, PcrIndex};

/// `MAX_GUEST_CMDLINE` of `xen/include/public/xen.h`, with the closing NUL.
const MAX_GUEST_CMDLINE: usize = 1024;
/// `COMMAND_LINE_SIZE` of Linux on x86 (`arch/x86/include/asm/setup.h`), with
/// the closing NUL.
const LINUX_CMDLINE: usize = 2048;
/// `HVM_MAX_VCPUS` of `xen/include/public/hvm/hvm_info_table.h`.
pub(super) const MAX_VCPUS: i64 = 128;
/// `PATH_MAX` of Linux, with the closing NUL.
pub(super) const PATH_MAX: usize = 4096;

/// A domid that Xen uses as asked.
pub(super) fn domid(field: &Field<i64>, faults: &mut Faults<'_>) -> Option<Domid> {
    let asked = field.value;
    let found = Domid::new(asked);
    if found.is_none() {
        let (message, why) = match asked {
            0 => (
                "domid 0 belongs to the boot domain".to_owned(),
                "Xen takes a request for 0 as \"any\" and picks a free domid itself",
            ),
            0x7ff0..=0xffff => (
                format!("domid {asked} is reserved by Xen"),
                "Xen keeps 0x7ff0 and above for itself, and silently picks a free domid instead",
            ),
            _ => (
                format!("domid {asked} is not a domid"),
                "libxl cuts the number to 16 bits, and another domid comes out",
            ),
        };
        let hint = format!("use a number from {} to {}", Domid::MIN, Domid::MAX);
        faults.add(
            faults
                .at(field, Code::Domid, message)
                .because(why)
                .hint(hint),
        );
    }
    found
}

/// The PCR domb may own.
pub(super) fn pcr(field: &Field<i64>, faults: &mut Faults<'_>) -> Option<PcrIndex> {
    let asked = field.value;
    let found = PcrIndex::new(asked);
    if found.is_none() {
        let why = match asked {
            0..=7 => "firmware extends PCRs 0 to 7, so their values cannot be computed beforehand",
            16 | 23 => "software can reset PCRs 16 and 23, so a measurement there proves nothing",
            17..=22 => "PCRs 17 to 22 need a locality that Linux does not give",
            _ => "a PC's TPM has PCRs 0 to 23",
        };
        let message = format!("PCR {asked} cannot hold the launch's measurement");
        let hint = format!(
            "use a PCR from 8 to 15; domb's own is {}",
            PcrIndex::DEFAULT
        );
        faults.add(faults.at(field, Code::Pcr, message).because(why).hint(hint));
    }
    found
}

/// What the PCR has to hold before the first event.
pub(super) fn initial(field: &Field<&str>, faults: &mut Faults<'_>) -> Option<InitialValue> {
    if field.value == "zero" {
        return Some(InitialValue::Zero);
    }
    let mut values = Digests::default();
    for word in field.value.split_whitespace() {
        let value = word.split_once(':').and_then(|(name, digits)| {
            let bank = Bank::from_name(name).filter(|bank| values.bank(*bank).is_none())?;
            Digest::from_hex(bank, digits)
        });
        values.extend(value);
        if value.is_none() {
            break;
        }
    }
    let words = field.value.split_whitespace().count();
    if words > 0 && values.iter().len() == words {
        return Some(InitialValue::Values(values));
    }
    let message = format!(
        "`expect_initial` \"{}\" is no value of a PCR",
        quote(field.value)
    );
    let fault = faults
        .at(field, Code::ExpectInitial, message)
        .because("the launch could not tell an untouched PCR from another")
        .hint("use \"zero\", or BANK:HEX for each bank, as in \"sha256:…\" with 64 digits");
    faults.add(fault);
    None
}

/// A number of virtual CPUs, 1..=128.
pub(super) fn vcpus(field: &Field<i64>, faults: &mut Faults<'_>) -> Option<u32> {
    let asked = field.value;
    let found = u32::try_from(asked)
        .ok()
        .filter(|n| (1..=MAX_VCPUS).contains(&i64::from(*n)));
    if found.is_none() {
        let fault = faults.at(
            field,
            Code::Vcpus,
            format!("`vcpus` is 1 to {MAX_VCPUS}, not {asked}"),
        );
        faults.add(if asked < 1 {
            fault
                .because("a domain without a virtual CPU never runs")
                .hint("leave it out for 1")
        } else {
            fault
                .because("Xen gives a PVH domain no more (HVM_MAX_VCPUS)")
                .hint(format!("use at most {MAX_VCPUS}"))
        });
    }
    found
}

/// A domain's name.
pub(super) fn name(field: &Field<&str>, faults: &mut Faults<'_>) -> Option<DomainName> {
    let text = field.value;
    let shown = quote(text);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    let fault = if text.is_empty() {
        faults
            .at(field, Code::Name, "a domain's name is empty")
            .hint("give it a name, as in name = \"net\"")
    } else if let Some(bad) = text.chars().find(|c| !allowed(*c)) {
        faults
            .at(
                field,
                Code::Name,
                format!(
                    "`name` \"{shown}\" has the character '{}'",
                    quote(&bad.to_string())
                ),
            )
            .because("names become xenstore paths, lines of reports and words of commands")
            .hint("use letters, digits, and - _ . +")
    } else if text.len() > DomainName::MAX_LEN {
        faults
            .at(
                field,
                Code::Name,
                format!("`name` \"{shown}\" has {} characters", text.len()),
            )
            .hint(format!("use at most {}", DomainName::MAX_LEN))
    } else if text.bytes().all(|b| b.is_ascii_digit()) {
        faults
            .at(field, Code::Name, format!("`name` \"{shown}\" is a number"))
            .because("xl takes a number for a domid, and would act on another domain")
            .hint(format!("put a letter in it, as in name = \"d{shown}\""))
    } else if text == "Domain-0" {
        faults
            .at(field, Code::Name, "`name` \"Domain-0\" belongs to domain 0")
            .because("libxl refuses a second domain of that name while it builds it")
            .hint("give this domain another name")
    } else if matches!(text, "." | "..") {
        faults
            .at(
                field,
                Code::Name,
                format!("`name` \"{shown}\" means a directory"),
            )
            .hint("put a letter in it")
    } else {
        return Some(DomainName(text.to_owned()));
    };
    faults.add(fault);
    None
}

/// A UUID as it is usually written; not the nil UUID.
pub(super) fn uuid(field: &Field<&str>, faults: &mut Faults<'_>) -> Option<Uuid> {
    match Uuid::parse(field.value) {
        Some(Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])) => {
            let fault = faults
                .at(
                    field,
                    Code::Uuid,
                    "the UUID of all zeroes belongs to domain 0",
                )
                .hint("leave `uuid` out, and one is derived from name and domid");
            faults.add(fault);
            None
        }
        Some(uuid) => Some(uuid),
        None => {
            let fault = faults
                .at(
                    field,
                    Code::Uuid,
                    format!("`uuid` \"{}\" is not a UUID", quote(field.value)),
                )
                .hint(
                    "write 32 hexadecimal digits as 8-4-4-4-12, or leave `uuid` out, \
                     and one is derived from name and domid",
                );
            faults.add(fault);
            None
        }
    }
}

/// A Flask label, `user:role:type`.
pub(super) fn seclabel(field: &Field<&str>, faults: &mut Faults<'_>) -> Option<String> {
    let parts: Vec<&str> = field.value.split(':').collect();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let well_formed = |part: &&str| !part.is_empty() && part.chars().all(allowed);
    if parts.len() == 3 && parts.iter().all(well_formed) {
        return Some(field.value.to_owned());
    }
    let fault = faults
        .at(
            field,
            Code::Seclabel,
            format!(
                "`seclabel` \"{}\" is not user:role:type",
                quote(field.value)
            ),
        )
        .because("Xen's Flask cannot look such a label up, and the domain would not be built")
        .hint("write three names with colons between, as in \"system_u:system_r:domU_t\"");
    faults.add(fault);
    None
}

/// A kernel command line that arrives whole.
pub(super) fn cmdline(
    field: &Field<&str>,
    kind: Option<DomainType>,
    faults: &mut Faults<'_>,
) -> Option<String> {
    let text = field.value;
    if let Some(bad) = text.chars().find(|c| c.is_control() && *c != '\t') {
        let (what, why) = match bad {
            '\0' => ("a NUL character", "everything after it would be lost"),
            '\n' | '\r' => ("a line break", "a kernel's command line is one line"),
            _ => (
                "a control character",
                "it would garble every log it is printed to",
            ),
        };
        let fault = faults
            .at(
                field,
                Code::CmdlineCharacters,
                format!("`cmdline` contains {what}"),
            )
            .because(why);
        faults.add(match bad {
            '\n' | '\r' => {
                fault.hint("in a \"\"\"...\"\"\" text, end each line with \\ to join them")
            }
            _ => fault.hint("take it out"),
        });
        return None;
    }
    if kind == Some(DomainType::Pv) && text.len() >= MAX_GUEST_CMDLINE {
        let fault = faults
            .at(
                field,
                Code::CmdlineTooLong,
                format!("`cmdline` has {} bytes, more than 1023", text.len()),
            )
            .because(
                "a PV domain gets its first 1023 bytes (MAX_GUEST_CMDLINE), the rest is cut off",
            )
            .hint("shorten it, or use type = \"pvh\"");
        faults.add(fault);
        return None;
    }
    if text.len() >= LINUX_CMDLINE {
        let fault = faults
            .warn_at(
                field,
                Code::CmdlineTooLong,
                format!("`cmdline` has {} bytes, more than 2047", text.len()),
            )
            .because("Linux on x86 keeps the first 2047 bytes (COMMAND_LINE_SIZE)")
            .hint("shorten it, unless the kernel is not Linux");
        faults.add(fault);
    }
    Some(text.to_owned())
}

/// A path that a file can have.
pub(super) fn path(field: &Field<&str>, faults: &mut Faults<'_>) -> Option<PathBuf> {
    let key = field.key.rsplit('.').next().unwrap_or_default();
    let text = field.value;
    let fault = if text.is_empty() {
        faults
            .at(field, Code::Path, format!("`{key}` is an empty path"))
            .hint(match key {
                "kernel" => "name the kernel's file, relative to this one or absolute",
                _ => "leave the key out if there is no such file",
            })
    } else if text.contains('\0') {
        faults
            .at(
                field,
                Code::Path,
                format!("`{key}` contains a NUL character"),
            )
            .because("Linux would open what stands before it")
            .hint("take it out")
    } else if text.contains(char::is_control) {
        faults
            .at(
                field,
                Code::Path,
                format!("`{key}` contains a control character: \"{}\"", quote(text)),
            )
            .because("it would garble every report the path is printed in")
            .hint("rename the file")
    } else if text.len() >= PATH_MAX {
        faults
            .at(
                field,
                Code::Path,
                format!("`{key}` has {} bytes, more than 4095", text.len()),
            )
            .because("Linux opens no path that long (PATH_MAX)")
            .hint("move the file to a directory with a shorter name")
    } else if text.ends_with('/') {
        faults
            .at(
                field,
                Code::Path,
                format!("`{key}` names a directory: \"{}\"", quote(text)),
            )
            .hint("name a file")
    } else {
        return Some(PathBuf::from(text));
    };
    faults.add(fault);
    None
}

#[cfg(test)]
mod tests {
    use super::super::faults::tests::with;
    use super::*;

    #[test]
    fn a_pv_command_line_of_1023_bytes_arrives_whole_and_one_of_1024_does_not() {
        let (fits, cut) = ("a".repeat(1023), "a".repeat(1024));
        let pv =
            |f: &Field<&str>, faults: &mut Faults<'_>| cmdline(f, Some(DomainType::Pv), faults);
        let pvh =
            |f: &Field<&str>, faults: &mut Faults<'_>| cmdline(f, Some(DomainType::Pvh), faults);
        assert!(with(fits.as_str(), pv).0.is_some());
        assert!(with(cut.as_str(), pv).0.is_none());
        assert!(with(cut.as_str(), pvh).0.is_some());
    }

    #[test]
    fn a_label_has_exactly_three_parts() {
        assert!(with("system_u:system_r:domU_t", seclabel).0.is_some());
        for bad in [
            "",
            "domU_t",
            "a:b",
            "a:b:",
            "a::c",
            "a:b:c:d",
            "a:b:c d",
            "a:b:\u{202e}c",
        ] {
            assert!(with(bad, seclabel).0.is_none(), "{bad}");
        }
    }

    #[test]
    fn a_name_is_nothing_that_xl_or_xenstore_would_take_for_something_else() {
        for good in ["net", "a1", "1a", "web-1_x.y+z"] {
            assert!(with(good, name).0.is_some(), "{good}");
        }
        let long = "n".repeat(65);
        for bad in [
            "",
            "7",
            "a b",
            "a/b",
            ".",
            "..",
            "Domain-0",
            "é",
            "a\0",
            long.as_str(),
        ] {
            assert!(with(bad, name).0.is_none(), "{bad}");
        }
    }
}
