// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The powers each role is meant to have, as `policy/flask` gives them for
//! `exit = "domain"`. What is not here is nobody's. A label without a role is
//! a guest's, but for the two that domb's own policy knows by name.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Part, by_name};
use crate::flask::{Object, Power};

/// Whether one part of the source is meant to have it on each part of the
/// target.
pub(super) fn is_planned(power: &Power, parts: &BTreeMap<String, BTreeSet<Part>>) -> bool {
    let of = |kind: &str| {
        let known = parts.get(kind).cloned();
        known.unwrap_or_else(|| by_name(kind))
    };
    let over: Vec<Over> = match power.object {
        Object::Own => vec![Over::Own],
        Object::Xen => vec![Over::Xen],
        Object::Flask => vec![Over::Flask],
        Object::Device => vec![Over::Device],
        Object::Domain => {
            let parts = of(&power.target).into_iter();
            let roles = parts.filter(|part| *part != Part::Devices);
            roles.map(Over::Part).collect()
        }
    };
    let sources = of(&power.source);
    if restarts(&sources, &of(&power.target), power) {
        return true;
    }
    over.iter().all(|over| {
        let mut sources = sources.iter();
        sources.any(|source| meant(*source, *over, &power.class, &power.permission))
    })
}

/// Where hardware and control are one domain, the xenstore domain watches until it
/// runs (`hardware-control.te`).
fn restarts(source: &BTreeSet<Part>, target: &BTreeSet<Part>, power: &Power) -> bool {
    let both = [Part::Hardware, Part::Control];
    source.contains(&Part::Xenstore)
        && both.iter().all(|part| target.contains(part))
        && power.object == Object::Domain
        && (power.class.as_str(), power.permission.as_str()) == ("domain", "shutdown")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Own,
    Xen,
    Flask,
    Device,
    Part(Part),
}

/// The powers of each role, as `policy/flask` gives them.
fn meant(source: Part, over: Over, class: &str, permission: &str) -> bool {
    let one_of = |words: &str| words.split_whitespace().any(|word| word == permission);
    let sees = (class, permission) == ("domain", "getdomaininfo")
        && matches!(over, Over::Part(_) | Over::Own);
    match (source, over, class) {
        (Part::Control | Part::Xenstore | Part::Recovery, _, _) if sees => true,
        (Part::Control, Over::Own, "domain") => one_of("getvcpuinfo getaffinity shutdown"),
        (Part::Control, Over::Xen, "xen") => {
            one_of("physinfo cpupool_op getscheduler readconsole getcpuinfo")
        }
        (Part::Control, Over::Xen, "xen2") => one_of("get_cpu_featureset"),
        (Part::Control, Over::Xen, "version") => one_of("xen_commandline"),
        (Part::Control, Over::Flask, "security") => one_of("check_context compute_av"),
        (Part::Control, Over::Part(Part::Boot), "domain") => one_of("destroy"),
        (Part::Control, Over::Part(Part::Hardware), "domain") => one_of("getvcpuinfo shutdown"),
        (Part::Control, Over::Part(part), _) => {
            let manages = match class {
                "domain" => one_of(MANAGES),
                "domain2" => one_of("setscheduler"),
                _ => false,
            };
            let builds = match class {
                "domain" => one_of(BUILDS),
                "domain2" => one_of("set_cpu_policy settsc setclaim resource_map"),
                "mmu" => one_of("map_read map_write adjust memorymap mmuext_op pinpage"),
                "hvm" => one_of("setparam gethvmc sethvmc altp2mhvm"),
                "event" => one_of("create"),
                _ => false,
            };
            match part {
                Part::Guest => manages || builds,
                Part::Isolated | Part::Recovery => manages,
                Part::Boot | Part::Control | Part::Devices | Part::Hardware | Part::Xenstore => {
                    false
                }
            }
        }
        (Part::Hardware, Over::Xen, "xen") => one_of(HARDWARE),
        (Part::Hardware, Over::Xen, "mmu") => one_of("memorymap"),
        (Part::Hardware, Over::Xen, "resource") => one_of("setup"),
        (Part::Hardware, Over::Device, "resource") => one_of(DEVICES),
        (Part::Devices, Over::Device, "resource") => {
            one_of("use_iommu use_iommu_nointremap use_noiommu")
        }
        (Part::Hardware, Over::Own, "resource") => one_of("add remove"),
        (Part::Recovery, Over::Xen, "xen") => one_of("physinfo readconsole writeconsole"),
        (Part::Recovery, Over::Flask, "security") => one_of("check_context"),
        (Part::Recovery, Over::Part(Part::Hardware), "domain") => one_of("shutdown"),
        _ => false,
    }
}

const MANAGES: &str = "getvcpuinfo getaffinity setaffinity getscheduler setdomainmaxmem pause unpause shutdown destroy trigger";
const BUILDS: &str = "create max_vcpus setaddrsize setvcpucontext setpagingmempool";
const HARDWARE: &str =
    "firmware getcpuinfo mca_op readapic writeapic readconsole settime pm_op sleep writeconsole";
const DEVICES: &str = "setup plug unplug add_irq remove_irq add_device remove_device use_iommu use_iommu_nointremap use_noiommu";
