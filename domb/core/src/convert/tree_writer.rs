// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A launch configuration as Hyperlaunch's device tree
//! (`docs/designs/launch/hyperlaunch-devicetree.rst` in Xen's source).
//!
//! The bindings name a boot module by its place in the boot loader's list;
//! its path is kept beside that in `domb,path`, which other readers skip, as
//! is a domain's name that no node can have (`domb,name`).

use dtoolkit::ToPropertyValue;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use toml::de::DeTable;

use super::tree_reader::mode;
use super::tree_roles;
use super::{Note, Notes};
use crate::config::{Config, DomainConfig, DomainType, Exit};
use crate::diagnostic::escape;

/// The longest node name (Devicetree Specification 0.4, section 2.2.1).
const NODE_NAME: usize = 31;

/// A launch configuration as a device tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// The flattened device tree.
    pub dtb: Vec<u8>,
    /// The files to give the boot loader as modules, in this order, after
    /// the device tree itself: the first has index 1.
    pub modules: Vec<String>,
    /// What the bindings have no word for.
    pub notes: Vec<Note>,
}

/// `config` as a device tree whose domains are below `/chosen/hypervisor`.
#[must_use]
pub fn to_device_tree(config: &Config) -> Written {
    let mut modules = Vec::new();
    let mut hypervisor = node("hypervisor");
    hypervisor.add_property(property("compatible", "hypervisor,xen"));
    for (index, domain) in config.domains.iter().enumerate() {
        hypervisor.add_child(write_domain(index, domain, &mut modules));
    }
    let mut chosen = node("chosen");
    chosen.add_child(hypervisor);
    let mut tree = DeviceTree::new();
    tree.root.add_child(chosen);
    Written {
        dtb: tree.to_dtb(),
        modules,
        notes: unsaid(config).0,
    }
}

fn write_domain(index: usize, domain: &DomainConfig, modules: &mut Vec<String>) -> DeviceTreeNode {
    let name = domain.name.as_str();
    let fits = name.len() <= NODE_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !matches!(name, "config" | "domain");
    let mut out = match fits {
        true => node(name),
        false => node(&format!("domain-{index}")),
    };
    out.add_property(property("compatible", "xen,domain"));
    if !fits {
        out.add_property(property("domb,name", name));
    }
    out.add_property(property("domid", u32::from(domain.domid.value())));
    out.add_property(property(
        "mode",
        match domain.kind {
            DomainType::Pv => mode::PARAVIRTUALIZED | mode::LONG,
            DomainType::Pvh => mode::LONG,
        },
    ));
    let (permissions, functions) = tree_roles::bits(&domain.roles);
    for (name, bits) in [("permissions", permissions), ("functions", functions)] {
        if bits != 0 {
            out.add_property(property(name, bits));
        }
    }
    out.add_property(property("domain-uuid", domain.uuid.0));
    out.add_property(property("cpus", domain.vcpus));
    out.add_property(property("memory", domain.memory.kib()));
    if let Some(label) = &domain.seclabel {
        out.add_property(property("security-id", label.as_str()));
    }
    let mut kernel = module("kernel", &domain.kernel.to_string_lossy(), modules);
    if !domain.cmdline.is_empty() {
        kernel.add_property(property("bootargs", domain.cmdline.as_str()));
    }
    out.add_child(kernel);
    if let Some(ramdisk) = &domain.ramdisk {
        out.add_child(module("ramdisk", &ramdisk.to_string_lossy(), modules));
    }
    out
}

/// A module node; files named more than once are one module.
fn module(kind: &str, path: &str, modules: &mut Vec<String>) -> DeviceTreeNode {
    let index = modules
        .iter()
        .position(|known| known == path)
        .unwrap_or_else(|| {
            modules.push(path.to_owned());
            modules.len() - 1
        });
    let compatible = format!("module,{kind}\0multiboot,module\0");
    let mut out = node(kind);
    out.add_property(property("compatible", compatible.as_bytes()));
    // Module 0 is the device tree. Fewer than two files per domain, and at
    // most Config::MAX_DOMAINS of these.
    out.add_property(property("mb-index", index as u32 + 1));
    out.add_property(property("domb,path", path));
    out
}

/// A node whose name is known to be one.
fn node(name: &str) -> DeviceTreeNode {
    DeviceTreeNode::new_unchecked(name)
}

fn property(name: &str, value: impl ToPropertyValue) -> DeviceTreeProperty {
    DeviceTreeProperty::new_unchecked(name, value)
}

/// Every key of the file that the device tree does not carry, by the file's
/// own keys: one that this code does not know is on the list as well.
fn unsaid(config: &Config) -> Notes {
    let mut notes = Notes::default();
    let text = String::from_utf8_lossy(&config.bytes);
    let (root, _) = DeTable::parse_recoverable(&text);
    let keys = |table: &DeTable<'_>| -> Vec<String> {
        let mut keys: Vec<_> = table.keys().collect();
        keys.sort_by_key(|key| key.span().start);
        keys.iter().map(|key| key.get_ref().to_string()).collect()
    };
    for name in keys(root.get_ref()) {
        // Of a tree that gives domain 0's powers away, the boot domain goes.
        if name == "domain" || name == "exit" && config.exit == Exit::Domain {
            continue;
        }
        let why = FILE.iter().find(|(key, _)| *key == name);
        let inner = root
            .get_ref()
            .get(name.as_str())
            .and_then(|v| v.get_ref().as_table());
        let why = why.map_or(NO_WORD, |(_, why)| why);
        match inner {
            Some(inner) if name != "data" => {
                for key in keys(inner) {
                    notes.left_out(format!("{name}.{}", escape(&key)), why);
                }
            }
            _ => notes.left_out(escape(&name), why),
        }
    }
    let tables = root
        .get_ref()
        .get("domain")
        .and_then(|v| v.get_ref().as_array());
    for (index, (table, domain)) in tables
        .into_iter()
        .flatten()
        .zip(&config.domains)
        .enumerate()
    {
        let Some(table) = table.get_ref().as_table() else {
            continue;
        };
        for name in keys(table) {
            let said = SAID.contains(&name.as_str())
                || name == "maxmem" && domain.maxmem == domain.memory
                || name == "roles" && tree_roles::all_said(&domain.roles);
            if !said {
                let why = DOMAIN.iter().find(|(key, _)| *key == name);
                let at = format!("domain[{index}].{} ({})", escape(&name), domain.name);
                notes.left_out(at, why.map_or(NO_WORD, |(_, why)| why));
            }
        }
    }
    notes
}

const NO_WORD: &str = "the bindings have no word for it";
/// The keys of `[[domain]]` that the bindings have a property for.
const SAID: &[&str] = &[
    "name", "domid", "type", "kernel", "ramdisk", "cmdline", "memory", "vcpus", "uuid", "seclabel",
];
const DOMAIN: &[(&str, &str)] = &[
    (
        "maxmem",
        "Xen gives a domain it builds `memory`, and no more later",
    ),
    ("after", "Xen starts all domains it builds at once"),
    ("on_failure", "Xen panics if a domain cannot be built"),
    ("libxl", "no libxl builds the domain"),
];
const FILE: &[(&str, &str)] = &[
    ("script", "Xen runs no launch script"),
    (
        "flask_policy",
        "Xen is given its policy as a module, outside this tree",
    ),
    ("exit", "there is no boot domain to leave"),
    ("reclaim", "Xen has no boot domain to reclaim"),
    ("after_failure", "Xen panics if a domain cannot be built"),
    ("measure", "Xen measures no domain"),
    ("platform", "it is for domb check only"),
    (
        "control",
        "domain 0's kernel is not in the launch configuration",
    ),
    ("data", "Xen runs no launch script"),
];
