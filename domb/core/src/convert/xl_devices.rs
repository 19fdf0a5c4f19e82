// SPDX-License-Identifier: Apache-2.0 OR MIT
//! xl's device strings as libxl's JSON: disks (`xl-disk-configuration(5)`),
//! network interfaces (`xl-network-configuration(5)`) and PCI devices
//! (`xl-pci-configuration(5)`). An option with no counterpart here is noted.

use serde_json::{Map, Value, json};

use super::Notes;
use super::draft::short;

/// xl's key and libxl's list for each kind of device that is converted.
pub(super) const LISTS: &[(&str, &str)] = &[("disk", "disks"), ("vif", "nics"), ("pci", "pcidevs")];

/// The device that `text` describes under `key`, which is one of [`LISTS`].
pub(super) fn device(key: &str, text: &str, at: &str, notes: &mut Notes) -> Option<Value> {
    match key {
        "disk" => Some(disk(text, at, notes).into()),
        "vif" => Some(vif(text, at, notes).into()),
        _ => pci(text, at, notes).map(Value::from),
    }
}

/// Options with commas between; `target=` takes the rest of the text.
fn disk(text: &str, at: &str, notes: &mut Notes) -> Map<String, Value> {
    let mut disk = Map::new();
    let mut rest = text.trim_start();
    let mut bare = BARE;
    for (prefix, format) in PREFIXES {
        if let Some(after) = rest.strip_prefix(prefix) {
            // An old prefix says the format, which is then not given by place.
            disk.insert("format".to_owned(), json!(format));
            bare = &BARE_AFTER_PREFIX;
            rest = after;
        }
    }
    let mut bare = bare.iter();
    while !rest.is_empty() {
        if let Some(target) = rest.strip_prefix("target=") {
            disk.insert("pdev_path".to_owned(), json!(target));
            break;
        }
        let (option, after) = rest.split_once(',').unwrap_or((rest, ""));
        rest = after.trim_start();
        let (name, value) = match option.split_once('=') {
            Some(named) if DISK.iter().any(|(known, _)| *known == named.0) => named,
            // A flag, or a value whose place says what it is.
            _ if DISK_FLAGS.iter().any(|(flag, ..)| *flag == option) => (option, ""),
            _ => match bare.find(|(_, field)| !disk.contains_key(*field)) {
                Some((name, _)) => (*name, option),
                None => (option, ""),
            },
        };
        set_disk(&mut disk, name, value, at, notes);
    }
    disk.entry("readwrite").or_insert(json!(1));
    disk
}

fn set_disk(disk: &mut Map<String, Value>, name: &str, value: &str, at: &str, notes: &mut Notes) {
    if let Some((_, field, on)) = DISK_FLAGS.iter().find(|(flag, ..)| *flag == name) {
        let on = if *field == "is_cdrom" {
            json!(1)
        } else {
            json!(on)
        };
        disk.insert((*field).to_owned(), on);
        return;
    }
    let field = DISK
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, field)| *field);
    let value = match (field, value) {
        (Some("readwrite"), "rw" | "w") => json!(1),
        (Some("readwrite"), "ro" | "r") => json!(0),
        (Some("is_cdrom"), "cdrom") => json!(1),
        (Some("is_cdrom"), "disk") => json!(0),
        (Some("format"), "" | "raw" | "aio") => json!("raw"),
        (Some("readwrite" | "is_cdrom"), _) | (None, _) => {
            notes.left_out(format!("{at}: {}", short(name)), NO_OPTION);
            return;
        }
        // An empty value by place means that it is not said.
        (Some(_), "") => return,
        (Some(_), text) => json!(text),
    };
    disk.insert(field.unwrap_or_default().to_owned(), value);
}

fn vif(text: &str, at: &str, notes: &mut Notes) -> Map<String, Value> {
    let mut nic = Map::new();
    for option in text.split(',').map(str::trim).filter(|o| !o.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let field = VIF
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, field)| *field);
        let value = match (field, value) {
            (Some("nictype"), "vif") => json!("vif"),
            (Some("nictype"), "ioemu") => json!("vif_ioemu"),
            (Some("devid" | "mtu"), number) => match number.parse::<u32>() {
                Ok(number) => json!(number),
                Err(_) => {
                    notes.left_out(format!("{at}: {}", short(option)), "it is not a number");
                    continue;
                }
            },
            (Some("nictype"), _) | (None, _) => {
                notes.left_out(format!("{at}: {}", short(option)), NO_OPTION);
                continue;
            }
            (Some(_), text) => json!(text),
        };
        nic.insert(field.unwrap_or_default().to_owned(), value);
    }
    nic
}

/// `[DDDD:]BB:DD.F[@VSLOT][,option...]`
fn pci(text: &str, at: &str, notes: &mut Notes) -> Option<Map<String, Value>> {
    let mut options = text.split(',').map(str::trim);
    let address = options.next().unwrap_or_default();
    let Some(mut pci) = pci_address(address) else {
        notes.left_out(at, "it is not a PCI address such as 0000:03:00.0");
        return None;
    };
    for option in options.filter(|option| !option.is_empty()) {
        let flag = match option.split_once('=') {
            Some((name, "1")) => Some((name, true)),
            Some((name, "0")) => Some((name, false)),
            _ => None,
        };
        match flag.filter(|(name, _)| PCI_FLAGS.contains(name)) {
            Some((name, on)) => {
                pci.insert(name.to_owned(), json!(on));
            }
            None => notes.left_out(format!("{at}: {}", short(option)), NO_OPTION),
        }
    }
    Some(pci)
}

fn pci_address(text: &str) -> Option<Map<String, Value>> {
    let hex = |text: &str, most: u32| -> Option<u32> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(text, 16).ok()?;
        (digits && number <= most).then_some(number)
    };
    let (address, slot) = match text.split_once('@') {
        Some((address, slot)) => (address, Some(hex(slot, 0x1f)?)),
        None => (text, None),
    };
    let (place, function) = address.split_once('.')?;
    let parts: Vec<&str> = place.split(':').collect();
    let (domain, bus, device) = match parts[..] {
        [domain, bus, device] => (hex(domain, 0xffff)?, bus, device),
        [bus, device] => (0, bus, device),
        _ => return None,
    };
    let mut pci = Map::new();
    pci.insert("domain".to_owned(), json!(domain));
    pci.insert("bus".to_owned(), json!(hex(bus, 0xff)?));
    pci.insert("dev".to_owned(), json!(hex(device, 0x1f)?));
    pci.insert("func".to_owned(), json!(hex(function, 7)?));
    if let Some(slot) = slot {
        // libxl keeps the device number in bits 3 to 7, as a devfn has it.
        pci.insert("vdevfn".to_owned(), json!(slot << 3));
    }
    Some(pci)
}

const NO_OPTION: &str = "domb convert does not know this option";
/// What a disk's values mean by their place, and libxl's field for each.
const BARE: &[(&str, &str)] = &[
    ("target", "pdev_path"),
    ("format", "format"),
    ("vdev", "vdev"),
    ("access", "readwrite"),
];
const BARE_AFTER_PREFIX: [(&str, &str); 3] = [
    ("target", "pdev_path"),
    ("vdev", "vdev"),
    ("access", "readwrite"),
];
/// Old prefixes of a target, and the format each means.
const PREFIXES: &[(&str, &str)] = &[
    ("phy:", "raw"),
    ("file:", "raw"),
    ("raw:", "raw"),
    ("qcow2:", "qcow2"),
    ("qcow:", "qcow"),
    ("vhd:", "vhd"),
];
const DISK: &[(&str, &str)] = &[
    ("target", "pdev_path"),
    ("format", "format"),
    ("vdev", "vdev"),
    ("access", "readwrite"),
    ("backend", "backend_domname"),
    ("backendtype", "backend"),
    ("devtype", "is_cdrom"),
    ("script", "script"),
    ("specification", "specification"),
];
/// A disk's flags: libxl's field and its value.
const DISK_FLAGS: &[(&str, &str, bool)] = &[
    ("cdrom", "is_cdrom", true),
    ("direct-io-safe", "direct_io_safe", true),
    ("discard", "discard_enable", true),
    ("no-discard", "discard_enable", false),
    ("trusted", "trusted", true),
    ("untrusted", "trusted", false),
];
const VIF: &[(&str, &str)] = &[
    ("mac", "mac"),
    ("bridge", "bridge"),
    ("gatewaydev", "gatewaydev"),
    ("ip", "ip"),
    ("script", "script"),
    ("vifname", "ifname"),
    ("model", "model"),
    ("type", "nictype"),
    ("backend", "backend_domname"),
    ("devid", "devid"),
    ("mtu", "mtu"),
];
const PCI_FLAGS: &[&str] = &["permissive", "msitranslate", "seize", "power_mgmt"];
