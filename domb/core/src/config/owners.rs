// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The rules of ranges: each has one owner, who can use it, and the boot domain
//! can give only what Xen let it have.

use super::faults::{Faults, Field, quote};
use super::range::Range;
use super::raw::{RawConfig, RawDomain};
use super::resources::RawRanges;
use super::xen_cmdline::XenCmdline;
use super::{DomainConfig, DomainType};
use crate::diagnostic::Diagnostic;
use crate::explain::Code;

/// A range that somebody has.
struct Owned<'t> {
    domain: usize,
    of: &'t str,
    range: Range,
    at: Field<()>,
}

/// Reports every range with two owners, and every range that Xen keeps for
/// itself.
pub(super) fn check(
    raw: &RawConfig<'_>,
    domains: &[Option<DomainConfig>],
    faults: &mut Faults<'_>,
) {
    let mut owned: Vec<Owned<'_>> = Vec::new();
    for (index, (raw_domain, domain)) in raw.domains.iter().zip(domains).enumerate() {
        let Some(domain) = domain else { continue };
        let own = raw_domain.ranges.all();
        let named = raw_domain.resources.iter().flat_map(|field| {
            let resource = domain.resources.iter().find(|r| r.name == field.value);
            let ranges = resource.into_iter().flat_map(|resource| &resource.ranges);
            ranges.map(|range| field.with(*range)).collect::<Vec<_>>()
        });
        // `devices` has those of a pass-through table as well.
        let ranges = own.into_iter().chain(named);
        for field in ranges.filter(|field| !matches!(field.value, Range::Pci(_))) {
            let new = Owned {
                domain: index,
                of: domain.name.as_str(),
                range: field.value,
                at: field.with(()),
            };
            match owned.iter().find(|old| old.range.overlaps(&new.range)) {
                Some(old) if old.domain != index => faults.add(twice(&new, old, faults)),
                _ => owned.push(new),
            }
        }
    }
    for (raw_domain, domain) in raw.domains.iter().zip(domains) {
        let pvh = domain.as_ref().is_some_and(|it| it.kind == DomainType::Pvh);
        let (Some(domain), true) = (domain, pvh) else {
            continue;
        };
        for fault in of_pvh(raw_domain, domain, faults) {
            faults.add(fault);
        }
    }
    let bits = raw.address_bits.as_ref().map(|field| field.value);
    let frames = bits.and_then(|bits| {
        let bits = u32::try_from(bits).ok()?.checked_sub(12)?;
        1u64.checked_shl(bits)
    });
    let xen = raw
        .xen_cmdline
        .as_ref()
        .map(|field| XenCmdline::parse(field.value));
    let declared = raw.domains.iter().map(|domain| &domain.ranges);
    let declared = declared.chain(raw.resources.iter().map(|resource| &resource.ranges));
    for field in declared.flat_map(RawRanges::all) {
        let ("iomem", _, last) = field.value.bounds() else {
            continue;
        };
        if let (Some(bits), Some(frames)) = (bits, frames.filter(|frames| last >= *frames)) {
            let fault = faults
                .at(
                    &field,
                    Code::RangeTooHigh,
                    format!(
                        "{} is beyond the machine's {bits} bits of address",
                        field.value
                    ),
                )
                .because("there is no such page, so Xen lets no domain have it")
                .hint(format!(
                    "the last page is {:x}; frames are addresses without their last three digits",
                    frames - 1
                ));
            faults.add(fault);
        }
    }
    let declared = raw.domains.iter().map(|domain| &domain.ranges);
    let declared = declared.chain(raw.resources.iter().map(|resource| &resource.ranges));
    for field in declared.flat_map(RawRanges::all) {
        if let Some((_, whose)) = xens(xen)
            .iter()
            .find(|(range, _)| range.overlaps(&field.value))
        {
            let fault = faults
                .at(
                    &field,
                    Code::RangeOfXen,
                    format!("{} is Xen's own: {whose}", field.value),
                )
                .because("Xen lets no domain have it, so the boot domain cannot give it")
                .hint("leave it out, or give the rest of the range only");
            faults.add(fault);
        }
    }
}

/// libxl permits a PVH domain ports and interrupts, and Xen lets it reach
/// neither: its ports are intercepted (`hvm_io_bitmap`, and no
/// `XEN_DOMCTL_ioport_mapping`), and it has no physical interrupts
/// (`X86_EMU_USE_PIRQ`). Pages are mapped into it.
fn of_pvh(raw: &RawDomain<'_>, domain: &DomainConfig, faults: &Faults<'_>) -> Vec<Diagnostic> {
    // What a PCI device needs is for `pci`.
    let unreached = |range: &Range| matches!(range, Range::Ioports { .. } | Range::Irq(_));
    let fault = |at: Field<()>, what: String| {
        faults
            .at(
                &at,
                Code::RangeOfPvh,
                format!(
                    "{} is pvh, and cannot use {what}",
                    quote(domain.name.as_str())
                ),
            )
            .because(
                "Xen would permit it and still let a PVH domain reach no port and no interrupt",
            )
            .hint("make it type = \"pv\", or give it pages of I/O memory alone")
    };
    let own = raw.ranges.all().into_iter();
    let own = own.filter(|field| unreached(&field.value));
    let own = own.map(|field| fault(field.with(()), field.value.to_string()));
    let named = raw.resources.iter().filter_map(|field| {
        let resource = domain.resources.iter().find(|it| it.name == field.value)?;
        let range = resource.ranges.iter().find(|range| unreached(range))?;
        Some(fault(
            field.with(()),
            format!("{range} of {}", quote(field.value)),
        ))
    });
    own.chain(named).collect()
}

fn twice(new: &Owned<'_>, old: &Owned<'_>, faults: &Faults<'_>) -> Diagnostic {
    faults
        .at(
            &new.at,
            Code::RangeTwice,
            format!("{} belongs to {} already", new.range, quote(old.of)),
        )
        .also(old.at.span.clone(), "given away here first")
        .because("two drivers of one device would undo each other's work")
        .hint("give it to one of the two")
}

/// What Xen gives to no domain (`dom0_setup_permissions` of
/// `xen/arch/x86/dom0_build.c`), and the serial ports that it uses itself
/// (`ns16550_endboot` of `xen/drivers/char/ns16550.c`).
fn xens(cmdline: Option<XenCmdline<'_>>) -> Vec<(Range, &'static str)> {
    let ports = |first, last| Range::Ioports { first, last };
    let pages = |frame, frames| Range::Iomem {
        frame,
        frames,
        gfn: None,
    };
    let mut xens = vec![
        (ports(0x20, 0x21), "the interrupt controller"),
        (ports(0x40, 0x43), "the interval timer"),
        (
            ports(0x61, 0x61),
            "the speaker's gate of the interval timer",
        ),
        (ports(0xa0, 0xa1), "the second interrupt controller"),
        (ports(0xcfc, 0xcff), "PCI configuration"),
        (pages(0xfec00, 1), "the I/O APIC"),
        (
            pages(0xfee00, 0x100),
            "the local APIC and message signalled interrupts",
        ),
    ];
    let Some(cmdline) = cmdline else { return xens };
    if cmdline.com1 {
        xens.push((ports(0x3f8, 0x3ff), "com1 of Xen's command line"));
    }
    if cmdline.com2 {
        xens.push((ports(0x2f8, 0x2ff), "com2 of Xen's command line"));
    }
    xens
}
