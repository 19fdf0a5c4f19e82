// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The rules of PCI devices that a domain is given: Xen passes one through to
//! a PV domain, by a backend in domain 0. That no two domains have the same is
//! for `devices`.

use std::ops::Range;

use super::faults::Faults;
use super::raw::{RawConfig, RawDomain};
use super::resources::{RawRanges, RawResource};
use super::xen_cmdline::XenCmdline;
use super::{DomainType, Exit};
use crate::explain::Code;

/// Reports every breach.
pub(super) fn check(raw: &RawConfig<'_>, exit: Option<Exit>, faults: &mut Faults<'_>) {
    for domain in &raw.domains {
        if let Some(place) = given(domain, &raw.resources) {
            pv(domain, place, faults);
        }
    }
    let declared = raw.domains.iter().map(|domain| &domain.ranges);
    let declared = declared.chain(raw.resources.iter().map(RawResource::ranges));
    let places: Vec<Range<usize>> = declared
        .flat_map(RawRanges::pci)
        .map(|field| field.span)
        .collect();
    if exit == Some(Exit::Domain) {
        for place in &places {
            leaves(place.clone(), faults);
        }
    }
    if let Some(field) = &raw.xen_cmdline
        && XenCmdline::parse(field.value).iommu_off
        && let Some(place) = places.first()
    {
        let fault = faults
            .error(Code::PciNoIommu, "`pci` with iommu=off")
            .at(place.clone())
            .also(field.span.clone(), "Xen's command line")
            .because("without an IOMMU the device reads and writes every domain's memory, and libxl refuses it")
            .hint("take iommu=off out of Xen's command line, and out of here");
        faults.add(fault);
    }
}

/// Where the domain is given its first PCI device, by itself or by name.
fn given(domain: &RawDomain<'_>, known: &[RawResource<'_>]) -> Option<Range<usize>> {
    let own = domain.ranges.pci().into_iter().map(|field| field.span);
    let is_device = |name: &str| {
        let mut found = known.iter().filter(|resource| resource.name() == name);
        found.any(|resource| !resource.ranges().pci().is_empty())
    };
    let named = domain.resources.iter();
    let named = named.filter(|field| is_device(field.value));
    own.chain(named.map(|field| field.span.clone())).next()
}

fn pv(domain: &RawDomain<'_>, place: Range<usize>, faults: &mut Faults<'_>) {
    let Some(kind) = &domain.kind else { return };
    if kind.value == DomainType::Pv {
        return;
    }
    let fault = faults
        .error(
            Code::PciNotPv,
            "a domain that is not PV is given a PCI device",
        )
        .at(place)
        .also(kind.span.clone(), "its type")
        .because("Xen 4.17 gives a PVH domain no PCI bus, so it would never see the device")
        .hint("write type = \"pv\"");
    faults.add(fault);
}

fn leaves(place: Range<usize>, faults: &mut Faults<'_>) {
    let fault = faults
        .error(Code::PciLeaves, "`pci` with exit = \"domain\"")
        .at(place)
        .key("pci")
        .because(
            "the boot domain does not touch PCI then, and the backend of the device would go with it",
        )
        .hint("leave `pci` out: the hardware domain has every device, and its own toolstack can give them on");
    faults.add(fault);
}
