// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A device tree as a launch configuration: Hyperlaunch's domains below
//! `/chosen/hypervisor` (`docs/designs/launch/hyperlaunch-devicetree.rst` in
//! Xen's source) or dom0less' below `/chosen`
//! (`docs/misc/arm/device-tree/booting.txt`).
//!
//! The tree is not trusted. What describes the machine itself (everything
//! outside `/chosen`) is no part of a launch and is not looked at.

use dtoolkit::fdt::Fdt;

use super::draft::{Draft, DraftDomain};
use super::tree_reader::{Reader, mode};
use super::tree_roles;
use super::{Converted, Error, MAX_BYTES, ModulePaths, Notes};
use crate::config::{DomainType, Uuid};

/// The launch configuration that the device tree `bytes`, called `source`
/// in its first line, describes. `paths` names the files of boot modules for
/// which the tree has a number only.
///
/// # Errors
/// It is no device tree, or describes no domain.
pub fn from_device_tree(
    source: &str,
    bytes: &[u8],
    paths: &ModulePaths,
) -> Result<Converted, Error> {
    if bytes.len() > MAX_BYTES {
        let what = "a device tree";
        return Err(Error::TooLong {
            what,
            bytes: bytes.len(),
        });
    }
    let fdt = Fdt::new(whole(bytes)).map_err(Error::Tree)?;
    let root = Reader::new(fdt.root(), String::new());
    let mut chosen = root.child("chosen").ok_or(Error::NoDomain)?;
    let mut notes = Notes::default();
    let mut draft = Draft::default();
    let mut tree = Tree {
        paths,
        notes: &mut notes,
        draft: &mut draft,
    };
    match chosen
        .child("hypervisor")
        .filter(|node| node.is("hypervisor,xen"))
    {
        Some(hypervisor) => tree.hyperlaunch(hypervisor),
        None => tree.dom0less(&mut chosen),
    }
    if draft.domains.is_empty() && draft.control_ramdisk.is_none() {
        return Err(Error::NoDomain);
    }
    Ok(draft.finish(source, notes))
}

/// The blob without what stands behind it, as far as its header can be
/// believed (Devicetree Specification 0.4, section 5.2: totalsize).
fn whole(bytes: &[u8]) -> &[u8] {
    let size = bytes
        .get(4..8)
        .and_then(|size| Some(u32::from_be_bytes(size.try_into().ok()?) as usize));
    size.and_then(|size| bytes.get(..size)).unwrap_or(bytes)
}

/// A tree that is being read.
struct Tree<'t> {
    paths: &'t ModulePaths,
    notes: &'t mut Notes,
    draft: &'t mut Draft,
}

impl Tree<'_> {
    fn hyperlaunch(&mut self, mut hypervisor: Reader<'_>) {
        for known in ["compatible", "#address-cells", "#size-cells"] {
            hypervisor.skip(known);
        }
        hypervisor.rest(UNKNOWN, self.notes);
        for node in hypervisor.children() {
            if node.is("xen,domain") {
                self.domain(node);
            } else if node.is("xen,config") {
                self.xens_own(&node);
            } else {
                self.notes.left_out(node.path, UNKNOWN);
            }
        }
    }

    /// The modules that are for Xen itself.
    fn xens_own(&mut self, config: &Reader<'_>) {
        for module in config.children() {
            let text = if module.is("module,microcode") {
                "give the microcode to Xen as a boot module, with ucode= on its command line"
            } else if module.is("module,xsm-policy") {
                "give the Flask policy to Xen as a boot module"
            } else {
                UNKNOWN
            };
            self.notes.left_out(module.path, text);
        }
    }

    fn domain(&mut self, mut node: Reader<'_>) {
        let functions = node.cell("functions", self.notes).unwrap_or(0);
        let permissions = node.cell("permissions", self.notes).unwrap_or(0);
        let domid = node.cell("domid", self.notes);
        let mode = node.cell("mode", self.notes);
        if functions & tree_roles::BOOT != 0 {
            let text = "it is the boot domain, and that is domb itself";
            return self.notes.left_out(node.path, text);
        }
        if functions & tree_roles::LEGACY_DOM0 != 0 || domid == Some(0) && permissions != 0 {
            return self.domain_0(&node);
        }
        if mode.is_some_and(|mode| mode & mode::ENABLE_DEVICE_MODEL != 0) {
            let text = "it has a device model, and domb builds no HVM domain";
            return self.notes.left_out(node.path, text);
        }
        let roles = tree_roles::read(&node.path, permissions, functions, self.notes);
        let kind = self.kind(&node.path, mode);
        let name = node.text("domb,name", self.notes);
        let label = node.text("security-id", self.notes);
        let mut domain = self.common(&mut node, name);
        domain.kind = Some(kind);
        domain.roles = roles;
        domain.domid = domid.filter(|domid| *domid != 0).map(u64::from);
        domain.uuid = self.uuid(&mut node);
        domain.seclabel = label.map(|label| self.seclabel(&node.path, label));
        node.rest(UNKNOWN, self.notes);
        self.draft.domains.push(domain);
    }

    /// What Hyperlaunch calls the classic dom0: domain 0 is domb's, and
    /// becomes the control domain with this root.
    fn domain_0(&mut self, node: &Reader<'_>) {
        let text = "domain 0 boots with domb, and becomes the control domain with this one's \
                    ramdisk as its root; the rest is for the boot entry";
        self.notes.left_out(node.path.clone(), text);
        self.draft.keeps_domain_0 = true;
        for mut module in node.children() {
            if is_module(&module, "ramdisk") && self.draft.control_ramdisk.is_none() {
                self.draft.control_ramdisk = Some(self.file(&mut module));
            } else {
                let text = "it is for the boot entry of domain 0";
                self.notes.left_out(module.path, text);
            }
        }
    }

    fn kind(&mut self, path: &str, mode: Option<u32>) -> DomainType {
        let at = format!("{path}/mode");
        let Some(mode) = mode else {
            self.notes.assumed(at, "type \"pvh\", since none is said");
            return DomainType::Pvh;
        };
        let other = mode & !(mode::PARAVIRTUALIZED | mode::LONG);
        if other != 0 {
            let text = format!("the bits {other:#x} have no meaning in the bindings");
            self.notes.left_out(at.clone(), text);
        }
        if mode & mode::LONG == 0 {
            let text = "the kernel decides whether the domain has 32 bits";
            self.notes.left_out(at, text);
        }
        match mode & mode::PARAVIRTUALIZED {
            0 => DomainType::Pvh,
            _ => DomainType::Pv,
        }
    }

    fn uuid(&mut self, node: &mut Reader<'_>) -> Option<Uuid> {
        let bytes = node.bytes("domain-uuid")?;
        if bytes.iter().all(|byte| *byte == 0) {
            return None;
        }
        let uuid = bytes.try_into().ok().map(Uuid);
        if uuid.is_none() {
            let text = format!("a UUID has 16 bytes, this one {}", bytes.len());
            self.notes
                .left_out(format!("{}/domain-uuid", node.path), text);
        }
        uuid
    }

    fn seclabel(&mut self, path: &str, label: &str) -> String {
        if label.contains(':') {
            return label.to_owned();
        }
        let label = format!("system_u:system_r:{label}");
        let text = format!("the whole label, {}", super::draft::short(&label));
        self.notes.assumed(format!("{path}/security-id"), text);
        label
    }

    fn dom0less(&mut self, chosen: &mut Reader<'_>) {
        for known in ["#address-cells", "#size-cells", "stdout-path"] {
            chosen.skip(known);
        }
        let domains = chosen.children();
        if !domains.iter().any(|node| node.is("xen,domain")) {
            return;
        }
        chosen.rest("it is not about a domain that domb starts", self.notes);
        for mut node in domains {
            if !node.is("xen,domain") {
                let text = "it is not a domain that domb starts";
                self.notes.left_out(node.path, text);
                continue;
            }
            node.skip("#address-cells");
            node.skip("#size-cells");
            let text = "type \"pvh\": dom0less knows no other, and a kernel for x86";
            self.notes.assumed(format!("{}: type", node.path), text);
            let mut domain = self.common(&mut node, None);
            domain.kind = Some(DomainType::Pvh);
            node.rest("domb has no key for it", self.notes);
            self.draft.domains.push(domain);
        }
    }

    /// What both bindings have in the same words.
    fn common(&mut self, node: &mut Reader<'_>, name: Option<&str>) -> DraftDomain {
        node.skip("compatible");
        let cpus = node.number("cpus", self.notes);
        let memory = node
            .number("memory", self.notes)
            .map(|kib| self.mib(&node.path, kib));
        let generic = |name: &&str| *name != "domain";
        let name = name.or_else(|| Some(node.name()).filter(generic));
        let mut domain = DraftDomain {
            at: node.path.clone(),
            name: name.unwrap_or_default().to_owned(),
            memory_mib: memory,
            vcpus: cpus.filter(|cpus| *cpus != 1),
            ..DraftDomain::default()
        };
        for mut module in node.children() {
            if is_module(&module, "kernel") && domain.kernel.is_none() {
                let bootargs = module.text("bootargs", self.notes);
                domain.cmdline = bootargs.map(str::to_owned);
                domain.kernel = Some(self.file(&mut module));
            } else if is_module(&module, "ramdisk") && domain.ramdisk.is_none() {
                domain.ramdisk = Some(self.file(&mut module));
            } else {
                let text = "domb has no key for this kind of module or node";
                self.notes.left_out(module.path, text);
            }
        }
        domain
    }

    fn mib(&mut self, path: &str, kib: u64) -> u64 {
        let mib = kib.div_ceil(1024);
        if !kib.is_multiple_of(1024) {
            let text = format!("{mib} MiB: {kib} KiB is not a whole number of them");
            self.notes.assumed(format!("{path}/memory"), text);
        }
        mib
    }

    /// The path of a module's file, and a note if it had to be made up.
    fn file(&mut self, module: &mut Reader<'_>) -> String {
        for known in ["compatible", "reg", "module-addr"] {
            module.skip(known);
        }
        let own = module.text("domb,path", self.notes);
        let file = module.text("xen,uefi-binary", self.notes);
        let index = module.cell("mb-index", self.notes).map(u64::from);
        let address = ["module-addr", "reg"]
            .into_iter()
            .find_map(|name| module.bytes(name))
            .and_then(address);
        module.rest(UNKNOWN, self.notes);
        let given = index.or(address).and_then(|number| self.paths.get(&number));
        if let Some(path) = given.map(String::as_str).or(own).or(file) {
            return path.to_owned();
        }
        let path = match (index, address) {
            (Some(index), _) => format!("module-{index}"),
            (None, Some(address)) => format!("module-at-{address:#x}"),
            (None, None) => "module".to_owned(),
        };
        let text = format!("the path \"{path}\": a device tree does not name the module's file");
        self.notes.assumed(module.path.clone(), text);
        path
    }
}

/// Whether a node is a boot module of that kind, in Hyperlaunch's or
/// dom0less' words.
fn is_module(node: &Reader<'_>, kind: &str) -> bool {
    node.is(&format!("module,{kind}")) || node.is(&format!("multiboot,{kind}"))
}

/// The address at the beginning of `<address size>`, each of one or two
/// cells; where there are three, the address has two.
fn address(value: &[u8]) -> Option<u64> {
    let cells: Vec<u64> = value
        .as_chunks::<4>()
        .0
        .iter()
        .map(|cell| u32::from_be_bytes(*cell).into())
        .collect();
    match cells[..] {
        [address] | [address, _] => Some(address),
        [high, low, ..] => Some(high << 32 | low),
        [] => None,
    }
}

const UNKNOWN: &str = "it is not in the bindings that domb reads";
