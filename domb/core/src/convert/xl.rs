// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One guest of xl (`xl.cfg(5)`) as a launch configuration. What xl would do
//! with each key is taken from `tools/xl/xl_parse.c`; keys that domb has no
//! word for are listed, each with a reason where there is one.

use serde_json::Value as Json;

use super::draft::{Draft, DraftDomain, short};
use super::xl_syntax::{Value, parse};
use super::{Converted, Error, MAX_BYTES, Notes, xl_devices};
use crate::config::{DomainType, Uuid};

/// The launch configuration of the guest that `text`, called `source` in its
/// first line, describes.
///
/// # Errors
/// It is no guest configuration, or the guest is of type HVM.
pub fn from_xl_cfg(source: &str, text: &str) -> Result<Converted, Error> {
    if text.len() > MAX_BYTES {
        let what = "a guest configuration";
        return Err(Error::TooLong {
            what,
            bytes: text.len(),
        });
    }
    let mut notes = Notes::default();
    let mut guest = Guest {
        keys: settled(text, &mut notes)?,
        notes: &mut notes,
    };
    let domain = guest.domain()?;
    guest.rest();
    let draft = Draft {
        domains: vec![domain],
        ..Draft::default()
    };
    Ok(draft.finish(source, notes))
}

/// What each name stands for at the end of the file: a later assignment
/// replaces an earlier one, `+=` adds to it.
fn settled(text: &str, notes: &mut Notes) -> Result<Vec<(String, Value)>, Error> {
    let mut keys: Vec<(String, Value)> = Vec::new();
    for new in parse(text)? {
        let Some((_, old)) = keys.iter_mut().find(|(name, _)| *name == new.name) else {
            keys.push((new.name, new.value));
            continue;
        };
        match (old, new.value) {
            (Value::Text(old), Value::Text(more)) if new.adds => old.push_str(&more),
            (Value::List(old), Value::List(more)) if new.adds => old.extend(more),
            (_, _) if new.adds => {
                return Err(Error::Syntax {
                    line: new.line,
                    what: format!(
                        "`{}` += adds a text to a list or a list to a text",
                        new.name
                    ),
                    hint: "add the same kind of value",
                });
            }
            (old, value) => {
                let text = format!("line {} sets it again, and that counts", new.line);
                notes.left_out(format!("{} = {}", new.name, show(old)), text);
                *old = value;
            }
        }
    }
    Ok(keys)
}

/// A guest whose keys are being read.
struct Guest<'n> {
    keys: Vec<(String, Value)>,
    notes: &'n mut Notes,
}

impl Guest<'_> {
    fn domain(&mut self) -> Result<DraftDomain, Error> {
        let mut domain = DraftDomain {
            at: "the guest".to_owned(),
            kind: Some(self.kind()?),
            name: self.text("name").unwrap_or_default(),
            kernel: self.text("kernel"),
            ramdisk: self.text("ramdisk"),
            cmdline: self.cmdline(),
            memory_mib: self.number("memory"),
            seclabel: self.text("seclabel"),
            ..DraftDomain::default()
        };
        domain.maxmem_mib = self
            .number("maxmem")
            .filter(|maxmem| Some(*maxmem) != domain.memory_mib);
        domain.vcpus = self.vcpus();
        domain.uuid = self.text("uuid").and_then(|text| {
            let uuid = Uuid::parse(&text);
            if uuid.is_none() {
                self.notes
                    .left_out(format!("uuid = {}", short(&text)), "it is not a UUID");
            }
            uuid
        });
        for (key, list) in xl_devices::LISTS {
            let devices = self.devices(key);
            if !devices.is_empty() {
                domain.libxl.insert((*list).to_owned(), devices.into());
            }
        }
        for key in [
            "on_poweroff",
            "on_reboot",
            "on_watchdog",
            "on_crash",
            "on_soft_reset",
        ] {
            if let Some(action) = self.text(key) {
                // `action_on_shutdown_names` of xl_utils.c has one word of its own.
                let action = match action.as_str() {
                    "rename-restart" => "restart_rename".to_owned(),
                    other => other.replace('-', "_"),
                };
                domain.libxl.insert(key.to_owned(), Json::from(action));
            }
        }
        Ok(domain)
    }

    fn kind(&mut self) -> Result<DomainType, Error> {
        let builder = self.text("builder");
        match self.text("type").as_deref() {
            Some("pv") => Ok(DomainType::Pv),
            Some("pvh") => Ok(DomainType::Pvh),
            Some("hvm") => Err(Error::Hvm),
            None if matches!(builder.as_deref(), Some("hvm")) => Err(Error::Hvm),
            None => {
                self.notes.assumed("type", "\"pv\", as xl does");
                Ok(DomainType::Pv)
            }
            Some(other) => {
                let text = "xl knows no such type; \"pv\" was taken";
                self.notes.assumed(format!("type = {}", short(other)), text);
                Ok(DomainType::Pv)
            }
        }
    }

    /// `parse_cmdline` of xl: `cmdline`, or else `root` and `extra`.
    fn cmdline(&mut self) -> Option<String> {
        let whole = self.text("cmdline");
        let root = self.text("root");
        let extra = self.text("extra");
        if whole.is_some() {
            for (key, value) in [("root", &root), ("extra", &extra)] {
                if let Some(value) = value {
                    let text = "xl does not read it beside `cmdline`";
                    self.notes
                        .left_out(format!("{key} = {}", short(value)), text);
                }
            }
            return whole;
        }
        let root = root.map(|root| format!("root={root}"));
        match (root, extra) {
            (Some(root), Some(extra)) => Some(format!("{root} {extra}")),
            (root, extra) => root.or(extra),
        }
    }

    /// xl starts `vcpus` of `maxvcpus`; domb starts all there may be.
    fn vcpus(&mut self) -> Option<u64> {
        let vcpus = self.number("vcpus");
        let most = self.number("maxvcpus");
        if let (Some(most), vcpus) = (most, vcpus.unwrap_or(1))
            && most != vcpus
        {
            let text = "domb's domains start with as many as they may have";
            self.notes.left_out(format!("maxvcpus = {most}"), text);
        }
        vcpus
    }

    fn devices(&mut self, key: &str) -> Vec<Json> {
        let devices = match self.take(key) {
            None => return Vec::new(),
            Some(Value::List(devices)) => devices,
            Some(Value::Text(text)) => {
                let about = format!("{key} = {}", short(&text));
                self.notes.left_out(about, "xl wants a list here");
                return Vec::new();
            }
        };
        let mut out = Vec::new();
        for device in &devices {
            let at = format!("{key} {}", show(device));
            match device {
                Value::Text(text) => out.extend(xl_devices::device(key, text, &at, self.notes)),
                Value::List(_) => self.notes.left_out(at, "xl wants a text here"),
            }
        }
        out
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        let at = self.keys.iter().position(|(name, _)| name == key)?;
        Some(self.keys.remove(at).1)
    }

    fn text(&mut self, key: &str) -> Option<String> {
        match self.take(key)? {
            Value::Text(text) => Some(text),
            list @ Value::List(_) => {
                let about = format!("{key} = {}", show(&list));
                self.notes.left_out(about, "xl wants a text here");
                None
            }
        }
    }

    /// A number as C's strtoul reads it: 0x begins hexadecimal, 0 octal.
    fn number(&mut self, key: &str) -> Option<u64> {
        let text = self.text(key)?;
        let number = match text.as_bytes() {
            [b'0', b'x' | b'X', ..] => u64::from_str_radix(&text[2..], 16),
            [b'0', _, ..] => u64::from_str_radix(&text[1..], 8),
            _ => text.parse(),
        };
        if number.is_err() {
            self.notes
                .left_out(format!("{key} = {}", short(&text)), "it is not a number");
        }
        number.ok()
    }

    /// Notes every key that is left.
    fn rest(&mut self) {
        for (name, value) in std::mem::take(&mut self.keys) {
            let why = OTHERS
                .iter()
                .find(|(keys, _)| keys.split(' ').any(|key| key == name));
            let why = why.map_or("domb convert does not know it", |(_, why)| why);
            self.notes
                .left_out(format!("{name} = {}", show(&value)), why);
        }
    }
}

/// A value as it may have been written.
fn show(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("\"{}\"", short(text)),
        Value::List(values) => {
            let shown: Vec<String> = values.iter().take(4).map(show).collect();
            let more = if values.len() > shown.len() {
                ", ..."
            } else {
                ""
            };
            short(&format!("[{}{more}]", shown.join(", ")))
        }
    }
}

/// Keys with no counterpart, and why or what to do.
const OTHERS: &[(&str, &str)] = &[
    (
        "bootloader bootloader_args",
        "a boot loader picks a kernel that nobody has measured; name `kernel` and `ramdisk`",
    ),
    (
        "pvshim pvshim_path pvshim_cmdline pvshim_extra",
        "libxl would boot a shim that nobody has measured",
    ),
    (
        "cpus cpus_soft cpu_weight cap pool vnuma",
        "scheduling is for the control domain's toolstack, after the launch",
    ),
    (
        "vfb vkb vnc vnclisten vncpasswd sdl spice keymap display nographic serial usb usbdevice",
        "it needs a device model, and domb builds no HVM domain",
    ),
    (
        "boot bios firmware hdtype device_model_version device_model_override \
         device_model_args acpi apic pae hap nestedhvm viridian hpet videoram stdvga vga",
        "it is for HVM domains; for PVH see [domain.libxl.b_info]",
    ),
    (
        "iomem ioports irqs",
        "write it as `iomem`, `ioports` or `irqs` of [[domain]], if no other domain has it",
    ),
];
