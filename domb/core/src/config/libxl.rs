// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The pass-through table `[domain.libxl]`: further fields of libxl's
//! `libxl_domain_config`, by their JSON names (`libxl_types.idl`).
//!
//! Refused are the fields that domb writes itself, because two places that
//! say different things about a domain are one too many, and the fields that
//! make libxl boot bytes which were not measured. Fields that libxl 4.17 does
//! not have are let through with a warning, because a later libxl may have
//! them; whether the one that runs does is seen when the domain is built.

use serde_json::{Map, Value};

use super::faults::{Faults, Field, quote};
use super::nearest::nearest;
use super::raw::RawDomain;
use crate::explain::Code;

/// The checked pass-through table of a domain; empty if there is none.
pub(super) fn pass_through(raw: &RawDomain<'_>, faults: &mut Faults<'_>) -> Map<String, Value> {
    let Some(field) = &raw.libxl else {
        return Map::new();
    };
    let at = |path: &[&str]| Field {
        value: (),
        span: raw
            .table
            .place_below("libxl", path)
            .unwrap_or(field.span.clone()),
        key: format!("{}.{}", field.key, quote(&path.join("."))),
    };
    for (name, value) in &field.value {
        known(&at(&[name]), name, TOP, faults);
        if let Some(fields) = STRUCTS
            .iter()
            .find(|(part, _)| part == name)
            .map(|(_, f)| *f)
        {
            match value.as_object() {
                Some(part) => {
                    for inner in part.keys() {
                        let at = at(&[name, inner]);
                        if !refused(&at, &[name, inner], faults) {
                            known(&at, inner, fields, faults);
                        }
                    }
                }
                None => faults.add(
                    faults
                        .at(
                            &at(&[name]),
                            Code::LibxlShape,
                            format!("`{name}` should be a table"),
                        )
                        .hint(format!("write [domain.libxl.{name}]")),
                ),
            }
        } else if has(LISTS, name) && !value.is_array() {
            let fault = faults
                .at(
                    &at(&[name]),
                    Code::LibxlShape,
                    format!("`{name}` should be a list of tables"),
                )
                .hint(format!("begin each with [[domain.libxl.{name}]]"));
            faults.add(fault);
        }
    }
    by_type(raw, &field.value, &at, faults);
    field.value.clone()
}

/// The part of `b_info` that belongs to one domain type (`type.pv`, ...).
fn by_type(
    raw: &RawDomain<'_>,
    table: &Map<String, Value>,
    at: &dyn Fn(&[&str]) -> Field<()>,
    faults: &mut Faults<'_>,
) {
    let Some(build) = table.get("b_info").and_then(Value::as_object) else {
        return;
    };
    let own = raw.kind.as_ref().map(|kind| kind.value);
    for part in ["type.pv", "type.pvh", "type.hvm"] {
        let Some(value) = build.get(part) else {
            continue;
        };
        let place = at(&["b_info", part]);
        let Some(fields) = value.as_object() else {
            faults.add(faults.at(
                &place,
                Code::LibxlShape,
                format!("`{part}` should be a table"),
            ));
            continue;
        };
        for inner in fields.keys() {
            refused(
                &at(&["b_info", part, inner]),
                &["b_info", part, inner],
                faults,
            );
        }
        if let Some(own) = own
            && part.strip_prefix("type.") != Some(own.as_str())
        {
            let fault = faults
                .warn_at(
                    &place,
                    Code::LibxlOtherType,
                    format!("`{part}` has no effect on a {} domain", own.as_str()),
                )
                .because("libxl reads the part of the domain's own type only");
            faults.add(fault);
        }
    }
}

fn refused(at: &Field<()>, path: &[&str], faults: &mut Faults<'_>) -> bool {
    let shown = path.join(".");
    if let Some((_, ours)) = OWNED.iter().find(|(theirs, _)| *theirs == shown) {
        let fault = faults
            .at(
                at,
                Code::LibxlOwned,
                format!("`{shown}` is not for the pass-through table"),
            )
            .because("domb writes this field itself, measured and checked")
            .hint(format!("use the key `{ours}` of [[domain]]"));
        faults.add(fault);
        return true;
    }
    if let Some((_, why)) = UNMEASURED.iter().find(|(theirs, _)| *theirs == shown) {
        let fault = faults
            .at(
                at,
                Code::LibxlUnmeasured,
                format!("`{shown}` is not for the pass-through table"),
            )
            .because(*why)
            .hint("name what shall boot with `kernel` and `ramdisk`");
        faults.add(fault);
        return true;
    }
    false
}

fn known(at: &Field<()>, name: &str, fields: &str, faults: &mut Faults<'_>) {
    if has(fields, name) {
        return;
    }
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let fault = faults
        .warn_at(
            at,
            Code::LibxlUnknown,
            format!("libxl 4.17 has no field `{}` here", quote(name)),
        )
        .because("a libxl without the field would skip it, so building the domain would fail");
    let near = nearest(name, &fields);
    let is_near = |path: &str| near.is_some() && path.split('.').nth(1) == near;
    let ours = OWNED.iter().find(|(path, _)| is_near(path));
    faults.add(match (near, ours) {
        (_, Some((_, ours))) => fault.hint(format!("did you mean the key `{ours}` of [[domain]]?")),
        (Some(near), None) => fault.hint(format!("did you mean `{near}`?")),
        (None, None) => fault.hint("see libxl_types.idl of the Xen you run"),
    });
}

fn has(fields: &str, name: &str) -> bool {
    fields.split_whitespace().any(|field| field == name)
}

/// Fields that domb writes, with the key that sets each.
pub(super) const OWNED: &[(&str, &str)] = &[
    ("c_info.type", "type"),
    ("c_info.name", "name"),
    ("c_info.domid", "domid"),
    ("c_info.uuid", "uuid"),
    ("c_info.ssid_label", "seclabel"),
    ("c_info.ssidref", "seclabel"),
    ("b_info.type", "type"),
    ("b_info.max_vcpus", "vcpus"),
    ("b_info.target_memkb", "memory"),
    ("b_info.max_memkb", "maxmem"),
    ("b_info.kernel", "kernel"),
    ("b_info.ramdisk", "ramdisk"),
    ("b_info.cmdline", "cmdline"),
    ("b_info.iomem", "iomem"),
    ("b_info.ioports", "ioports"),
    ("b_info.irqs", "irqs"),
    ("b_info.type.pv.kernel", "kernel"),
    ("b_info.type.pv.ramdisk", "ramdisk"),
    ("b_info.type.pv.cmdline", "cmdline"),
];

/// Fields that make libxl boot something that was not measured.
pub(super) const UNMEASURED: &[(&str, &str)] = &[
    ("b_info.bootloader", BOOTLOADER),
    ("b_info.bootloader_args", BOOTLOADER),
    ("b_info.type.pv.bootloader", BOOTLOADER),
    ("b_info.type.pv.bootloader_args", BOOTLOADER),
    ("b_info.type.pvh.pvshim", SHIM),
    ("b_info.type.pvh.pvshim_path", SHIM),
    ("b_info.type.pvh.pvshim_cmdline", SHIM),
    ("b_info.type.pvh.pvshim_extra", SHIM),
];
const BOOTLOADER: &str = "a boot loader picks a kernel that nobody has measured";
const SHIM: &str = "libxl would boot a shim that nobody has measured";

/// The fields of `libxl_domain_config`.
const TOP: &str = "c_info b_info disks nics pcidevs rdms dtdevs vfbs vkbs vtpms p9s pvcallsifs \
    vdispls vsnds channels usbctrls usbdevs on_poweroff on_reboot on_watchdog on_crash \
    on_soft_reset";
/// Those of them that are lists.
pub(super) const LISTS: &str = "disks nics pcidevs rdms dtdevs vfbs vkbs vtpms p9s pvcallsifs vdispls vsnds \
    channels usbctrls usbdevs";
/// Those that are structures whose fields are known here.
pub(super) const STRUCTS: &[(&str, &str)] = &[("c_info", CREATE), ("b_info", BUILD)];
/// The fields of `libxl_domain_create_info`.
const CREATE: &str = "type hap oos ssidref ssid_label name domid uuid xsdata platformdata poolid \
    pool_name run_hotplug_scripts driver_domain passthrough xend_suspend_evtchn_compat";
/// The fields of `libxl_domain_build_info`.
const BUILD: &str = "max_vcpus avail_vcpus cpumap nodemap vcpu_hard_affinity vcpu_soft_affinity \
    numa_placement tsc_mode max_memkb target_memkb video_memkb shadow_memkb iommu_memkb \
    rtc_timeoffset exec_ssidref exec_ssid_label localtime disable_migrate cpuid blkdev_start \
    vnuma_nodes max_grant_frames max_maptrack_frames max_grant_version device_model_version \
    device_model_stubdomain stubdomain_memkb stubdomain_kernel stubdomain_cmdline \
    stubdomain_ramdisk device_model device_model_ssidref device_model_ssid_label \
    device_model_user extra extra_pv extra_hvm sched_params ioports irqs iomem claim_mode \
    event_channels kernel cmdline ramdisk device_tree acpi bootloader bootloader_args timer_mode \
    nested_hvm apic dm_restrict tee type type.pv type.pvh type.hvm arch_arm arch_x86 altp2m \
    vmtrace_buf_kb vpmu";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refused_field_is_one_that_libxl_has() {
        let paths = OWNED.iter().chain(UNMEASURED).map(|(path, _)| *path);
        for path in paths {
            let (part, field) = path.split_once('.').unwrap();
            let fields = STRUCTS.iter().find(|(name, _)| *name == part).unwrap().1;
            let by_type = ["type.pv.", "type.pvh."];
            let known = has(fields, field) || by_type.iter().any(|part| field.starts_with(part));
            assert!(known, "{path}");
        }
    }
}
