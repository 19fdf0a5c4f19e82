// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What holds for every conversion: common things go over unchanged, others
//! are named, and nothing that is read brings the reader down.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, io::Write};

use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use proptest::prelude::*;

use super::*;
use crate::config::{Config, DomainConfig};

const NO_PATHS: &ModulePaths = &ModulePaths::new();
const EVERYTHING: &str = include_str!("../../../../tests/config/good-everything.toml");

fn parse(text: &str) -> Config {
    Config::parse("t", text.as_bytes()).unwrap_or_else(|faults| panic!("{faults:?}\n{text}"))
}

/// What both formats can say about a domain.
fn common(domain: &DomainConfig) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut roles = domain.roles.clone();
    roles.sort();
    (
        (domain.name.clone(), domain.domid, domain.kind),
        (
            domain.kernel.clone(),
            domain.ramdisk.clone(),
            domain.cmdline.clone(),
        ),
        (
            domain.memory,
            domain.vcpus,
            domain.uuid,
            domain.seclabel.clone(),
            roles,
        ),
    )
}

/// To a device tree and back: the same domains, and nothing assumed.
fn round_trip(config: &Config) -> (Config, Vec<Note>) {
    let written = to_device_tree(config);
    let read = from_device_tree("t.dtb", &written.dtb, NO_PATHS).unwrap();
    assert_eq!(read.notes, [], "{}", read.text);
    let back = parse(&read.text);
    assert_eq!(config.exit, back.exit, "{}", read.text);
    let domains = |config: &Config| config.domains.iter().map(common).collect::<Vec<_>>();
    assert_eq!(domains(config), domains(&back), "{}", read.text);
    (back, written.notes)
}

/// The configurations that are checked in and good.
fn good() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = vec![root.join("xen-config/example/launch.toml")];
    for entry in fs::read_dir(root.join("tests/config")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".toml") && (name.starts_with("good") || name.starts_with("warn")) {
            found.push(path);
        }
    }
    for entry in fs::read_dir(root.join("xen-config/roles")).unwrap() {
        let path = entry.unwrap().path().join("launch.toml");
        found.extend(path.exists().then_some(path));
    }
    found.sort();
    found
        .into_iter()
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect()
}

#[test]
fn every_example_survives_the_way_to_a_device_tree_and_back() {
    let good = good();
    assert!(good.len() >= 8, "only {} configurations", good.len());
    for (path, text) in good {
        let (back, _) = round_trip(&parse(&text));
        // What the second way loses, the first has said already.
        assert_eq!(to_device_tree(&back).notes, [], "{}", path.display());
    }
}

#[test]
fn what_the_bindings_cannot_say_is_listed_key_by_key() {
    let written = to_device_tree(&parse(EVERYTHING));
    let listed: Vec<&str> = written
        .notes
        .iter()
        .map(|note| note.about.as_str())
        .collect();
    assert_eq!(
        listed,
        [
            "script",
            "flask_policy",
            "exit",
            "after_failure",
            "measure.tpm",
            "measure.pcr",
            "platform.memory",
            "platform.xen_cmdline",
            "platform.address_bits",
            "control.ramdisk",
            "control.init",
            "control.args",
            "control.seclabel",
            "resources.tpm",
            "resources.serial",
            "data",
            "domain[0].maxmem (net)",
            "domain[0].iomem (net)",
            "domain[0].ioports (net)",
            "domain[0].irqs (net)",
            "domain[0].resources (net)",
            "domain[0].after (net)",
            "domain[0].on_failure (net)",
            "domain[0].images (net)",
            "domain[0].libxl (net)",
            "domain[1].after (log-1.2+b)",
            "domain[1].on_failure (log-1.2+b)",
        ]
    );
    assert_eq!(
        written.modules,
        ["vmlinuz", "net.cpio", "vmlinuz-pvh", "vmlinuz-pv"]
    );
}

#[test]
fn dtc_reads_the_device_tree_without_a_warning() {
    let written = to_device_tree(&parse(EVERYTHING));
    let child = Command::new("dtc")
        .args(["-I", "dtb", "-O", "dts", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("dtc is not installed");
        return;
    };
    child.stdin.take().unwrap().write_all(&written.dtb).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let source = String::from_utf8(output.stdout).unwrap();
    for line in [
        "compatible = \"hypervisor,xen\";",
        "security-id = \"system_u:system_r:driver_t\";",
        "memory = <0x00 0x40000>;",
        "domid = <0x07>;",
        "mode = <0x05>;",
        "compatible = \"module,kernel\\0multiboot,module\";",
        "mb-index = <0x01>;",
        "bootargs = \"console=hvc0 quiet\";",
        "domain-uuid = <0x1b4e28ba 0x2fa111d2 0x883f0016 0xd3cca427>;",
    ] {
        assert!(source.contains(line), "{line}\n{source}");
    }
}

/// A tree with the nodes `below` at `/chosen` or `/chosen/hypervisor`.
fn tree(hyperlaunch: bool, below: Vec<DeviceTreeNode>) -> Vec<u8> {
    let mut chosen = DeviceTreeNode::new("chosen").unwrap();
    let mut hypervisor = node("hypervisor", "hypervisor,xen");
    for child in below {
        if hyperlaunch {
            hypervisor.add_child(child);
        } else {
            chosen.add_child(child);
        }
    }
    if hyperlaunch {
        chosen.add_child(hypervisor);
    }
    let mut tree = DeviceTree::new();
    tree.root.add_child(chosen);
    tree.to_dtb()
}

fn node(name: &str, compatible: &str) -> DeviceTreeNode {
    let mut node = DeviceTreeNode::new(name).unwrap();
    node.add_property(DeviceTreeProperty::new("compatible", compatible).unwrap());
    node
}

fn with(mut node: DeviceTreeNode, cells: &[(&str, &[u32])]) -> DeviceTreeNode {
    for (name, cells) in cells {
        let bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
        node.add_property(DeviceTreeProperty::new(*name, bytes).unwrap());
    }
    node
}

fn holding(mut node: DeviceTreeNode, children: Vec<DeviceTreeNode>) -> DeviceTreeNode {
    for child in children {
        node.add_child(child);
    }
    node
}

fn listed(converted: &Converted) -> Vec<String> {
    converted.notes.iter().map(ToString::to_string).collect()
}

#[test]
fn the_example_of_the_hyperlaunch_bindings_is_read() {
    let module = |name: &str, kind: &str, index| {
        with(
            node(name, &format!("module,{kind}\0multiboot,module")),
            &[("mb-index", &[index])],
        )
    };
    let boot = with(
        node("boot", "xen,domain"),
        &[
            ("domid", &[0x7ff5]),
            ("functions", &[1]),
            ("memory", &[0, 0x20000]),
            ("cpus", &[1]),
        ],
    );
    let dom0 = with(
        node("domain@0", "xen,domain"),
        &[
            ("domid", &[0]),
            ("permissions", &[3]),
            ("functions", &[0xc000_0006]),
            ("mode", &[5]),
        ],
    );
    let mut guest = with(
        node("domain@1", "xen,domain"),
        &[
            ("mode", &[4]),
            ("memory", &[0, 0x20001]),
            ("functions", &[4]),
            ("vpl011", &[]),
        ],
    );
    guest.add_property(DeviceTreeProperty::new("security-id", "domu_t").unwrap());
    let dtb = tree(
        true,
        vec![
            holding(
                node("config", "xen,config"),
                vec![module("m", "microcode", 1)],
            ),
            boot,
            holding(
                dom0,
                vec![module("k", "kernel", 6), module("r", "ramdisk", 7)],
            ),
            holding(
                guest,
                vec![module("k", "kernel", 8), module("c", "config", 9)],
            ),
        ],
    );
    let paths = ModulePaths::from([(7, "control.cpio".to_owned())]);
    let read = from_device_tree("platform.dtb", &dtb, &paths).unwrap();
    let config = parse(&read.text);
    assert_eq!(
        config.control.unwrap().ramdisk.as_deref(),
        Some(Path::new("control.cpio"))
    );
    let guest = &config.domains[0];
    assert_eq!((guest.domid.value(), guest.memory.0), (1, 129));
    assert_eq!(guest.kernel, Path::new("module-8"));
    assert_eq!(guest.seclabel.as_deref(), Some("system_u:system_r:domu_t"));
    let at = "/chosen/hypervisor";
    let notes = listed(&read);
    for expected in [
        format!(
            "left out: {at}/config/m: give the microcode to Xen as a boot module, with ucode= on its command line"
        ),
        format!("left out: {at}/boot: it is the boot domain, and that is domb itself"),
        format!("left out: {at}/domain@0/k: it is for the boot entry of domain 0"),
        format!(
            "left out: {at}/domain@1/functions: domain 0 or the control domain keeps the console function"
        ),
        format!("assumed: {at}/domain@1/memory: 129 MiB: 131073 KiB is not a whole number of them"),
        format!(
            "assumed: {at}/domain@1/k: the path \"module-8\": a device tree does not name the module's file"
        ),
        format!("left out: {at}/domain@1/c: domb has no key for this kind of module or node"),
        format!("left out: {at}/domain@1/vpl011: it is not in the bindings that domb reads"),
        format!("assumed: {at}/domain@1: domid: 1, the lowest free one"),
        format!("assumed: {at}/domain@1: name: called `domain`"),
    ] {
        assert!(notes.contains(&expected), "{expected}\n{notes:#?}");
    }
    // Each note stands in the file as well.
    assert!(
        notes
            .iter()
            .all(|note| read.text.contains(&format!("# {note}\n"))),
        "{}",
        read.text
    );
}

#[test]
fn where_domain_0_stays_it_keeps_its_powers_and_elsewhere_others_have_them() {
    let domain = |name, domid, permissions, functions| {
        let cells: &[(&str, &[u32])] = &[
            ("domid", &[domid]),
            ("permissions", &[permissions]),
            ("functions", &[functions]),
            ("mode", &[5]),
            ("memory", &[0, 0x20000]),
        ];
        let mut kernel = with(node("k", "module,kernel\0multiboot,module"), &[]);
        kernel.add_property(DeviceTreeProperty::new("domb,path", "vmlinuz").unwrap());
        let mut node = holding(with(node(name, "xen,domain"), cells), vec![kernel]);
        node.add_property(DeviceTreeProperty::new("security-id", "u:r:t").unwrap());
        node
    };
    let others = || {
        vec![
            domain("store", 1, 0, 1 << 30),
            domain("control", 2, 1, 1 << 2),
            domain("hardware", 3, 2, 0),
        ]
    };
    let read = from_device_tree("t", &tree(true, others()), NO_PATHS).unwrap();
    assert_eq!(read.notes, []);
    let config = parse(&read.text);
    assert_eq!(config.exit, crate::config::Exit::Domain);

    let mut all = others();
    all.push(domain("dom0", 0, 3, 0xc000_0006));
    let read = from_device_tree("t", &tree(true, all), NO_PATHS).unwrap();
    let config = parse(&read.text);
    assert_eq!(config.exit, crate::config::Exit::Process);
    let at = "/chosen/hypervisor";
    for expected in [
        format!("left out: {at}/control/permissions: domain 0 keeps the control role"),
        format!("left out: {at}/hardware/permissions: domain 0 keeps the hardware role"),
    ] {
        assert!(listed(&read).contains(&expected), "{:#?}", read.notes);
    }
}

#[test]
fn the_example_of_the_dom0less_bindings_is_read() {
    let module = |name: &str, kind: &str, reg: &[u32]| {
        with(
            node(name, &format!("multiboot,{kind}\0multiboot,module")),
            &[("reg", reg)],
        )
    };
    let mut kernel = module("module@4a000000", "kernel", &[0, 0x4a00_0000, 0xff_ffff]);
    kernel.add_property(DeviceTreeProperty::new("bootargs", "console=ttyAMA0 \"x\"").unwrap());
    let mut ramdisk = module("module@4b000000", "ramdisk", &[0, 0x4b00_0000, 0xff_ffff]);
    ramdisk.add_property(DeviceTreeProperty::new("xen,uefi-binary", "initrd.img").unwrap());
    let domain = with(
        node("domU1", "xen,domain"),
        &[
            ("#address-cells", &[2]),
            ("#size-cells", &[1]),
            ("memory", &[0, 131_072]),
            ("cpus", &[2]),
            ("xen,static-mem", &[0x3000_0000, 0x2000_0000]),
            ("vpl011", &[]),
        ],
    );
    let shared = node("domU1-shared-mem", "xen,domain-shared-memory-v1");
    let dtb = tree(false, vec![holding(domain, vec![kernel, ramdisk, shared])]);
    let paths = ModulePaths::from([(0x4a00_0000, "Image".to_owned())]);
    let read = from_device_tree("dom0less.dtb", &dtb, &paths).unwrap();
    let config = parse(&read.text);
    let domain = &config.domains[0];
    assert_eq!(
        (domain.name.as_str(), domain.vcpus, domain.memory.0),
        ("domU1", 2, 128)
    );
    assert_eq!(domain.kernel, Path::new("Image"));
    assert_eq!(domain.ramdisk.as_deref(), Some(Path::new("initrd.img")));
    assert_eq!(domain.cmdline, "console=ttyAMA0 \"x\"");
    let notes = listed(&read).join("\n");
    for expected in [
        "xen,static-mem = <0x30000000 0x20000000>",
        "vpl011",
        "domU1-shared-mem",
        "type \"pvh\"",
    ] {
        assert!(notes.contains(expected), "{expected}\n{notes}");
    }
}

#[test]
fn a_tree_without_domains_is_refused() {
    let empty = DeviceTree::new().to_dtb();
    let no_compatible = tree(false, vec![DeviceTreeNode::new("domU1").unwrap()]);
    for dtb in [empty, no_compatible, tree(true, Vec::new())] {
        assert_eq!(from_device_tree("t", &dtb, NO_PATHS), Err(Error::NoDomain));
    }
    for bad in [
        &b""[..],
        b"\xd0\x0d\xfe\xed",
        b"[[domain]]\n",
        &[0xd0; 4096],
    ] {
        assert!(matches!(
            from_device_tree("t", bad, NO_PATHS),
            Err(Error::Tree(_))
        ));
    }
    let long = vec![0; MAX_BYTES + 1];
    assert!(matches!(
        from_device_tree("t", &long, NO_PATHS),
        Err(Error::TooLong { .. })
    ));
}

#[test]
fn what_stands_behind_a_tree_does_not_matter() {
    let mut dtb = to_device_tree(&parse(EVERYTHING)).dtb;
    let read = from_device_tree("t", &dtb, NO_PATHS).unwrap();
    dtb.extend([0; 64]);
    assert_eq!(from_device_tree("t", &dtb, NO_PATHS), Ok(read));
}

#[test]
fn a_guest_of_xl_keeps_what_domb_can_say() {
    let text = r#"
        # a guest
        name = "web.1"; type = "pvh"
        kernel = "/boot/vmlinuz"
        ramdisk = '/boot/initrd.img'
        root = "/dev/xvda1 ro"
        extra = "console=hvc0"
        memory = 256
        maxmem = 512
        vcpus = 2
        uuid = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
        seclabel = "system_u:system_r:domU_t"
        on_crash = "coredump-restart"
        on_reboot = "rename-restart"
        vif = [ 'mac=00:16:3e:00:00:01,bridge=xenbr0,model=e1000', 'rate=1Mb/s' ]
        disk = [ '/dev/vg/a,raw,xvda,rw', 'phy:/dev/vg/b,xvdb,r',
                 'format=qcow2, vdev=xvdc, access=ro, discard, target=/a,b' ]
        pci = [ '03:00.1,permissive=1', '0001:ff:1f.7@3' ]
        cpus = "2-3"
        bootloader = "pygrub"
        vnc = 1
        flavour = [ 'a' ]
    "#;
    let read = from_xl_cfg("web.cfg", text).unwrap();
    let config = parse(&read.text);
    let web = config.domain("web.1").unwrap();
    assert_eq!((web.memory.0, web.maxmem.0, web.vcpus), (256, 512, 2));
    assert_eq!(web.cmdline, "root=/dev/xvda1 ro console=hvc0");
    assert_eq!(web.uuid.to_string(), "1b4e28ba-2fa1-11d2-883f-0016d3cca427");
    let json = |value| serde_json::to_value(value).unwrap();
    assert_eq!(
        json(&web.libxl),
        serde_json::json!({
            "on_crash": "coredump_restart",
            "on_reboot": "restart_rename",
            "nics": [
                { "mac": "00:16:3e:00:00:01", "bridge": "xenbr0", "model": "e1000" },
                {},
            ],
            "disks": [
                { "pdev_path": "/dev/vg/a", "format": "raw", "vdev": "xvda", "readwrite": 1 },
                { "format": "raw", "pdev_path": "/dev/vg/b", "vdev": "xvdb", "readwrite": 0 },
                { "format": "qcow2", "vdev": "xvdc", "readwrite": 0, "discard_enable": true,
                  "pdev_path": "/a,b" },
            ],
            "pcidevs": [
                { "domain": 0, "bus": 3, "dev": 0, "func": 1, "permissive": true },
                { "domain": 1, "bus": 255, "dev": 31, "func": 7, "vdevfn": 24 },
            ],
        })
    );
    let about: Vec<&str> = read.notes.iter().map(|note| note.about.as_str()).collect();
    assert_eq!(
        about,
        [
            "vif \"rate=1Mb/s\": rate=1Mb/s",
            "cpus = \"2-3\"",
            "bootloader = \"pygrub\"",
            "vnc = \"1\"",
            "flavour = [\"a\"]",
            "the guest: domid",
        ]
    );
}

#[test]
fn a_guest_of_xl_that_domb_does_not_build_is_refused() {
    for text in ["type = 'hvm'", "builder = \"hvm\""] {
        assert_eq!(from_xl_cfg("t", text), Err(Error::Hvm));
    }
    let read = from_xl_cfg("t", "name='a'\nmemory='1G'\nkernel='k'\nmemory=010").unwrap();
    assert!(read.text.contains("memory = \"8M\""), "{}", read.text);
    assert_eq!(read.notes[0].about, "memory = \"1G\"");
}

/// A configuration of domains whose every key a device tree can say.
fn sayable() -> impl Strategy<Value = String> {
    let text = "[ -~¡-ÿ]{0,40}";
    let path = "[a-zA-Z0-9._/ -]{0,20}[a-z]";
    let domain = (
        "[a-zA-Z0-9._+-]{0,40}[a-z]|config|domain|hypervisor",
        any::<bool>(),
        (path, prop::option::of(path), prop::option::of(text)),
        (1..=1_000_000u64, prop::option::of(1..=128u32)),
        prop::option::of(any::<[u8; 15]>()),
        prop::option::of("[a-z_]{1,9}:[a-z_]{1,9}:[a-zA-Z0-9_.-]{1,19}"),
    );
    prop::collection::vec(domain, 1..9).prop_map(|domains| {
        let mut out = String::new();
        for (at, (name, pv, files, (memory, vcpus), uuid, label)) in domains.into_iter().enumerate()
        {
            let (kernel, ramdisk, cmdline) = files;
            let kind = if pv { "pv" } else { "pvh" };
            let line = |key: &str, value: &str| format!("{key} = {}\n", toml_text::string(value));
            // Xen's own limit keeps long command lines out of PV domains.
            out += &format!(
                "[[domain]]\nname = \"{name}{at}x\"\ndomid = {}\n",
                at * 4001 + 1
            );
            out += &[line("type", kind), line("kernel", &kernel)].concat();
            out += &format!("memory = \"{memory}M\"\n");
            out += &ramdisk.map_or(String::new(), |path| line("ramdisk", &path));
            out += &cmdline.map_or(String::new(), |text| line("cmdline", &text));
            out += &vcpus.map_or(String::new(), |number| format!("vcpus = {number}\n"));
            out += &label.map_or(String::new(), |label| line("seclabel", &label));
            if let Some(uuid) = uuid {
                let mut bytes = [u8::try_from(at).unwrap() | 0x40; 16];
                bytes[1..].copy_from_slice(&uuid);
                out += &line("uuid", &crate::config::Uuid(bytes).to_string());
            }
        }
        out
    })
}

/// A device tree with some bytes changed, taken out or put in.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..3u8);
    prop::collection::vec(change, 1..8).prop_map(|changes| {
        let mut bytes = to_device_tree(&parse(EVERYTHING)).dtb;
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 | 1 => bytes[at] = byte,
                _ => bytes[at] ^= 1 << (byte % 8),
            }
        }
        bytes
    })
}

/// Whatever is read: a text that a launch configuration's reader takes or
/// refuses, and nothing in it that a terminal would act on.
fn hold(result: Result<Converted, Error>) {
    match result {
        Ok(read) => {
            let control = read.text.chars().find(|c| c.is_control() && *c != '\n');
            assert_eq!(control, None, "{}", read.text);
            let (config, faults) = Config::check("t", read.text.as_bytes());
            assert!(config.is_some() || !faults.is_empty());
            let toml = faults
                .iter()
                .find(|fault| fault.message.starts_with("not TOML"));
            assert_eq!(toml, None, "{}", read.text);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

proptest! {
    #[test]
    fn what_both_can_say_survives_unchanged(text in sayable()) {
        let config = parse(&text);
        let (back, notes) = round_trip(&config);
        prop_assert_eq!(notes, []);
        let unplaced = |config: Config| Config { bytes: Vec::new(), artefacts: Vec::new(), seclabels: Vec::new(), ..config };
        prop_assert_eq!(unplaced(config), unplaced(back));
    }

    #[test]
    fn a_mutated_device_tree_is_read_or_refused(bytes in mutated()) {
        hold(from_device_tree("t", &bytes, NO_PATHS));
    }

    #[test]
    fn arbitrary_bytes_are_no_device_tree_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let magic = [&[0xd0, 0x0d, 0xfe, 0xed][..], &bytes].concat();
        hold(from_device_tree("t", &magic, NO_PATHS));
        hold(from_xl_cfg("t", &String::from_utf8_lossy(&bytes)));
    }

    #[test]
    fn a_guest_configuration_of_any_words_is_read_or_refused(
        text in "((name|type|memory|vif|disk|pci|uuid|cmdline|[a-z]{1,5}) *[+]?= *('[ -~]{0,20}'|\\[('[!-~]{0,30}',?){0,3}\\]|[0-9x]{1,9}|\"\\\\x1b\")[\n;]){0,9}"
    ) {
        hold(from_xl_cfg("t", &text));
    }
}
