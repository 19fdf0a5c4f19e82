// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Xen's own command line, where the integrator gives it: held against the
//! domains, because the two are written in different files and meet at boot
//! only. What Xen makes of each word: `docs/misc/xen-command-line.pandoc`.

use super::faults::{Faults, Field};
use super::raw::RawConfig;
use super::{DomainConfig, Role};
use crate::explain::Code;
use crate::units::Mib;

/// What of Xen's command line matters to a launch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct XenCmdline<'t> {
    /// `dom0_mem`, where it is an amount.
    pub(super) dom0_mem: Option<Mib>,
    has_dom0_mem: bool,
    flask: Option<&'t str>,
    hardware_dom: Option<u64>,
    /// Whether Xen uses the first serial port.
    pub(super) com1: bool,
    /// Whether Xen uses the second.
    pub(super) com2: bool,
    /// Whether Xen uses no IOMMU even where there is one.
    pub(super) iommu_off: bool,
}

impl<'t> XenCmdline<'t> {
    /// The later of two words counts, as it does to Xen.
    pub(super) fn parse(text: &'t str) -> XenCmdline<'t> {
        let mut found = XenCmdline::default();
        for word in text.split_whitespace() {
            match word.split_once('=') {
                Some(("dom0_mem", value)) => {
                    found.has_dom0_mem = true;
                    let amount = value.split(',').filter_map(amount).next_back();
                    found.dom0_mem = amount.or(found.dom0_mem);
                }
                Some(("flask", value)) => found.flask = Some(value),
                Some(("iommu", value)) => {
                    for word in value.split(',') {
                        match word {
                            "off" | "no" | "false" | "disable" | "0" => found.iommu_off = true,
                            "on" | "yes" | "true" | "enable" | "1" => found.iommu_off = false,
                            _ => {}
                        }
                    }
                }
                Some(("com1", _)) => found.com1 = true,
                Some(("com2", _)) => found.com2 = true,
                Some(("hardware_dom", value)) => found.hardware_dom = value.parse().ok(),
                _ => {}
            }
        }
        found
    }
}

/// Reports where Xen's command line and the domains do not go together.
pub(super) fn check(
    raw: &RawConfig<'_>,
    domains: &[Option<DomainConfig>],
    faults: &mut Faults<'_>,
) {
    let Some(field) = &raw.xen_cmdline else {
        return;
    };
    let xen = XenCmdline::parse(field.value);
    if !xen.has_dom0_mem {
        let fault = faults
            .warn_at(field, Code::NoDom0Mem, "Xen's command line has no dom0_mem")
            .because("Xen gives nearly all memory to domain 0, and no domain can be built")
            .hint("add dom0_mem=1024M,max:1024M to Xen's command line, and here");
        faults.add(fault);
    }
    if let Some(word @ ("disabled" | "permissive")) = xen.flask {
        for label in raw.domains.iter().filter_map(|d| d.seclabel.as_ref()) {
            let fault = faults
                .at(
                    label,
                    Code::FlaskOff,
                    format!("`seclabel` with flask={word}"),
                )
                .also(field.span.clone(), "Xen's command line")
                .because("the label would protect nothing, so domb refuses it at boot")
                .hint("boot Xen with flask=enforcing, or leave the labels out");
            faults.add(fault);
        }
    }
    for (raw, domain) in raw.domains.iter().zip(domains) {
        let (Some(at), Some(domain)) = (&raw.domid, domain) else {
            continue;
        };
        let named = Some(u64::from(domain.domid.value())) == xen.hardware_dom;
        match domain.has_role(Role::Hardware) {
            false if named => hardware_domain(at, domain, field, faults),
            true if !named => other_hardware_domain(at, domain, field, faults),
            _ => {}
        }
    }
}

fn hardware_domain(
    at: &Field<i64>,
    domain: &DomainConfig,
    cmdline: &Field<&str>,
    faults: &mut Faults<'_>,
) {
    let (name, domid) = (&domain.name, domain.domid);
    let message = format!("Xen would make {name} the hardware domain: hardware_dom={domid}");
    let fault = faults
        .at(at, Code::HardwareDomain, message)
        .also(cmdline.span.clone(), "Xen's command line")
        .because("all devices would go to it, and the machine would end with it")
        .hint("give it another domid or the role \"hardware\", or take hardware_dom out");
    faults.add(fault);
}

fn other_hardware_domain(
    at: &Field<i64>,
    domain: &DomainConfig,
    cmdline: &Field<&str>,
    faults: &mut Faults<'_>,
) {
    let (name, domid) = (&domain.name, domain.domid);
    let message = format!("Xen would not make {name} the hardware domain");
    let fault = faults
        .at(at, Code::HardwareDomid, message)
        .also(cmdline.span.clone(), "Xen's command line")
        .because("Xen takes the domain that hardware_dom= names, and no other")
        .hint(format!(
            "put hardware_dom={domid} on Xen's command line, and here"
        ));
    faults.add(fault);
}

/// One part of `dom0_mem`: an amount, or `max:` one; not `min:`, and not a
/// share or a rest, which depend on the machine.
fn amount(part: &str) -> Option<Mib> {
    let text = part.strip_prefix("max:").unwrap_or(part);
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    // Without a unit it is KiB (`parse_size_and_unit` of `xen/common/lib.c`).
    let mib = match &text[digits.len()..] {
        "" | "K" | "k" => number / 1024,
        "M" | "m" => number,
        "G" | "g" => number.checked_mul(1 << 10)?,
        "T" | "t" => number.checked_mul(1 << 20)?,
        "B" | "b" => number >> 20,
        _ => return None,
    };
    Some(Mib(mib))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dom0_mem_is_read_as_xen_reads_it() {
        for (text, mib) in [
            ("dom0_mem=1024M", Some(1024)),
            ("dom0_mem=1048576", Some(1024)),
            ("console=vga dom0_mem=512M,max:1G", Some(1024)),
            ("dom0_mem=512M dom0_mem=min:1G,768m", Some(768)),
            ("dom0_mem=25%", None),
            ("dom0_mem=-512M", None),
            ("dom0_mem=99999999999999999999G", None),
            ("dom0_mem=18446744073709551615T", None),
            ("dom0_max_vcpus=1", None),
        ] {
            assert_eq!(XenCmdline::parse(text).dom0_mem.map(|m| m.0), mib, "{text}");
        }
    }
}
