// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From an approved configuration to what the toolstack is asked to do: the
//! ordered steps, the memory each domain takes, and the configuration libxl
//! is given. `domb launch --dry-run` prints these; a boot carries them out.

use std::fmt;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::config::{Config, DomainConfig, DomainName, DomainType};
use crate::policy::Verdict;
use crate::units::{Domid, Mib};

/// One thing asked of the toolstack. The order of a plan is the order of the
/// launch; nothing is unpaused before everything is built.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Build the domain and leave it paused.
    Create {
        /// The domain.
        name: DomainName,
        /// Its domid.
        domid: Domid,
    },
    /// Let the domain run.
    Unpause {
        /// The domain.
        name: DomainName,
        /// Its domid.
        domid: Domid,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Create { name, domid } => write!(f, "create   {domid:>5} {name}"),
            Step::Unpause { name, domid } => write!(f, "unpause  {domid:>5} {name}"),
        }
    }
}

/// The domains that `verdict` allows, in start order.
#[must_use]
pub fn allowed<'c>(config: &'c Config, verdict: &Verdict) -> Vec<&'c DomainConfig> {
    config
        .start_order()
        .into_iter()
        .filter(|domain| verdict.allows(domain.name.as_str()))
        .collect()
}

/// The toolstack steps for the domains that `verdict` allows.
#[must_use]
pub fn steps(config: &Config, verdict: &Verdict) -> Vec<Step> {
    let allowed = allowed(config, verdict);
    let create = allowed.iter().map(|domain| Step::Create {
        name: domain.name.clone(),
        domid: domain.domid,
    });
    let unpause = allowed.iter().map(|domain| Step::Unpause {
        name: domain.name.clone(),
        domid: domain.domid,
    });
    create.chain(unpause).collect()
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
