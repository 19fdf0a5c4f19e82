// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From an approved configuration to what the toolstack is asked to do: the
//! order of the domains, the memory each takes, and the configuration libxl
//! is given. `domb launch --dry-run` and `domb plan` print what was asked
//! ([`Step`]); a boot carries it out.

mod review;
mod step;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::config::{Config, DomainConfig, DomainType, Pci, Range};
use crate::units::Mib;

pub use review::Review;
pub use step::{Decided, Step};

/// The memory Xen must have free to build the domain, as libxl computes it:
/// the target, the paging pool of a PVH domain, and libxl's slack, in whole
/// 2 MiB (`libxl__domain_need_memory_calculate`, `tools/libs/light/libxl_mem.c`).
/// libxl also counts a paging pool for PV; Xen takes that only for a domain
/// that is being migrated, so it is left out.
#[must_use]
pub fn need_memory(domain: &DomainConfig) -> Mib {
    let kib = match domain.kind {
        DomainType::Pv => domain.memory.kib() + 1024,
        DomainType::Pvh => domain.memory.kib() + paging_kib(domain) + 2048,
    };
    Mib((kib + iommu_kib(domain)).div_ceil(2048) * 2)
}

/// The page tables of the IOMMU for a domain that has a PCI device: four levels
/// of 512 entries (`libxl__get_required_iommu_memory`, `libxl_create.c`).
fn iommu_kib(domain: &DomainConfig) -> u64 {
    if domain.pci().next().is_none() {
        return 0;
    }
    let mut pages = domain.maxmem.kib() / 4;
    let tables = (0..4).map(|_| {
        pages = pages.div_ceil(512);
        pages
    });
    4 * tables.sum::<u64>()
}

/// The paging pool of a hardware assisted domain: 256 pages for each vcpu and
/// one for each MiB (`libxl__get_required_paging_memory`).
fn paging_kib(domain: &DomainConfig) -> u64 {
    4 * (256 * u64::from(domain.vcpus) + domain.maxmem.0)
}

/// The `libxl_domain_config` of a domain in libxl's JSON (`libxl_types.idl`),
/// with the integrator's `[domain.libxl]` table laid over it.
#[must_use]
pub fn libxl_config(domain: &DomainConfig, kernel: &Path, ramdisk: Option<&Path>) -> Value {
    let vcpus: Vec<u32> = (0..domain.vcpus).collect();
    let kind = domain.kind.as_str();
    let mut create = json!({
        "type": kind,
        "name": domain.name,
        "uuid": domain.uuid,
        "domid": domain.domid,
    });
    if let Some(label) = &domain.seclabel {
        create["ssid_label"] = json!(label);
    }
    let mut build = json!({
        "max_vcpus": domain.vcpus,
        "avail_vcpus": vcpus,
        "max_memkb": domain.maxmem.kib(),
        "target_memkb": domain.memory.kib(),
        "kernel": kernel,
        "cmdline": domain.cmdline,
    });
    build[format!("type.{kind}")] = json!({});
    if let Some(ramdisk) = ramdisk {
        build["ramdisk"] = json!(ramdisk);
    }
    let devices: BTreeSet<Pci> = domain.pci().collect();
    if !devices.is_empty() && domain.kind == DomainType::Pv {
        // As xl has it (a libxl_defbool): the domain's RAM makes room where the device's memory is.
        build["type.pv"] = json!({ "e820_host": "True" });
    }
    for range in domain.delegated() {
        delegate(&mut build, range);
    }
    let mut config = Map::new();
    config.insert("c_info".to_owned(), create);
    config.insert("b_info".to_owned(), build);
    lay_over(&mut config, &domain.libxl);
    if !devices.is_empty() {
        let mut list: Vec<Value> = devices.into_iter().map(pcidev).collect();
        if let Some(Value::Array(more)) = config.remove("pcidevs") {
            list.extend(more);
        }
        config.insert("pcidevs".to_owned(), list.into());
    }
    Value::Object(config)
}

/// Adds a range to libxl's list of its kind (`libxl_iomem_range`,
/// `libxl_ioport_range`). PCI devices are no part of `b_info`.
fn delegate(build: &mut Value, range: &Range) {
    let item = match *range {
        Range::Iomem { frame, frames, gfn } => {
            let mut item = json!({ "start": frame, "number": frames });
            if let Some(gfn) = gfn {
                item["gfn"] = json!(gfn);
            }
            item
        }
        Range::Ioports { first, last } => {
            json!({ "first": first, "number": u32::from(last) - u32::from(first) + 1 })
        }
        Range::Irq(number) => json!(number),
        Range::Pci(_) => return,
    };
    match &mut build[range.key()] {
        Value::Array(items) => items.push(item),
        other => *other = json!([item]),
    }
}

/// A device as libxl has it (`libxl_device_pci`). `seize` lets libxl take it
/// from the driver that has it.
fn pcidev(pci: Pci) -> Value {
    let Pci {
        segment,
        bus,
        device,
        function,
    } = pci;
    json!({ "domain": segment, "bus": bus, "dev": device, "func": function, "seize": true })
}

/// What the hardware domain is kept from once `built` stand: all that they
/// have for themselves, and the resources that it must not have in any case.
#[must_use]
pub fn withheld<'c>(config: &'c Config, built: &[&'c DomainConfig]) -> Vec<Range> {
    let given = built.iter().flat_map(|domain| domain.delegated());
    let kept = config.resources.iter().filter(|resource| resource.withheld);
    let kept = kept.flat_map(|resource| &resource.ranges);
    let all: BTreeSet<Range> = given.chain(kept).copied().collect();
    all.into_iter().collect()
}

/// Objects are merged key by key; anything else replaces what was there.
fn lay_over(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Object(base)), Value::Object(over)) => lay_over(base, over),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: &str) -> Config {
        let text = format!(
            "[resources.tpm]\niomem = [\"fed40,5\"]\n[resources.rtc]\nioports = [\"70-71\"]\nwithheld = true\n\
             [[domain]]\nname = \"net\"\ndomid = 7\ntype = \"pv\"\nkernel = \"k\"\nmemory = \"96M\"\n{more}"
        );
        Config::parse("launch.toml", text.as_bytes()).unwrap_or_else(|faults| panic!("{faults:?}"))
    }

    #[test]
    fn delegated_ranges_reach_libxl_in_its_own_words() {
        let config = config(
            "iomem = [\"fd000,2@f0000\"]\nioports = [\"2f8-2ff\"]\nirqs = [5]\nresources = [\"tpm\"]",
        );
        let build = &libxl_config(&config.domains[0], Path::new("k"), None)["b_info"];
        assert_eq!(
            build["iomem"],
            json!([{ "start": 0xfd000, "number": 2, "gfn": 0xf0000 }, { "start": 0xfed40, "number": 5 }])
        );
        assert_eq!(build["ioports"], json!([{ "first": 0x2f8, "number": 8 }]));
        assert_eq!(build["irqs"], json!([5]));
    }

    #[test]
    fn a_domain_without_ranges_leaves_libxls_lists_out() {
        let build = &libxl_config(&config("").domains[0], Path::new("k"), None)["b_info"];
        for list in ["iomem", "ioports", "irqs"] {
            assert!(build.get(list).is_none(), "{list}");
        }
    }

    #[test]
    fn a_pci_device_reaches_libxl_once_with_room_for_its_memory() {
        let device = json!({ "domain": 0, "bus": 0, "dev": 31, "func": 2, "seize": true });
        let config = config(
            "pci = [\"00:1f.2\"]\nresources = [\"disk\"]\n[resources.disk]\npci = [\"0000:00:1f.2\"]\n\
             [[domain.libxl.pcidevs]]\nbus = 3\n",
        );
        let domain = &config.domains[0];
        let libxl = libxl_config(domain, Path::new("k"), None);
        assert_eq!(libxl["pcidevs"], json!([device, { "bus": 3 }]));
        assert_eq!(libxl["b_info"]["type.pv"], json!({ "e820_host": "True" }));
        // 24576 pages need 48 tables, and one at each of the three levels above.
        assert_eq!(iommu_kib(domain), 4 * (48 + 3));
        assert_eq!(need_memory(domain), Mib(98));
    }

    #[test]
    fn what_was_given_and_what_is_kept_back_is_withheld() {
        let config = config("resources = [\"tpm\"]");
        let shown = |built: &[&DomainConfig]| {
            let ranges = withheld(&config, built);
            ranges.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(shown(&[]), ["ioports 70-71"]);
        assert_eq!(
            shown(&[&config.domains[0]]),
            ["iomem fed40,5", "ioports 70-71"]
        );
    }
}
