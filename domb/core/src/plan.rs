// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From an approved configuration to what the toolstack is asked to do: the
//! order of the domains, the memory each takes, and the configuration libxl
//! is given. `domb launch --dry-run` and `domb plan` print what was asked
//! ([`Step`]); a boot carries it out.

mod review;
mod step;

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::config::{Config, DomainConfig, DomainType};
use crate::policy::Verdict;
use crate::units::Mib;

pub use review::Review;
pub use step::{Decided, Step};

/// The domains that `verdict` allows, in start order.
#[must_use]
pub fn allowed<'c>(config: &'c Config, verdict: &Verdict) -> Vec<&'c DomainConfig> {
    config
        .start_order()
        .into_iter()
        .filter(|domain| verdict.allows(domain.name.as_str()))
        .collect()
}

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
    Mib(kib.div_ceil(2048) * 2)
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
    let mut config = Map::new();
    config.insert("c_info".to_owned(), create);
    config.insert("b_info".to_owned(), build);
    lay_over(&mut config, &domain.libxl);
    Value::Object(config)
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
