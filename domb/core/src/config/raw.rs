// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the file says: the shape of `launch.toml` with every value still as
//! it was written and where. Trusts nothing; refuses what is not UTF-8, not
//! TOML, has keys that do not exist, values of the wrong type, or lacks a key
//! that must be there. What the values mean is checked in
//! `meaning.rs`.

use serde_json::{Map, Value};
use toml::de::DeTable;

use super::faults::{Faults, Field, quote};
use super::free::Purpose;
use super::images::RawImage;
use super::keys::Section;
use super::limits;
use super::resources::{RawRanges, RawResource};
use super::table::Table;
use super::{AfterFailure, BackendState, Config, DomainType, OnTimeout, Reclaim, Role, TpmMode};
use crate::diagnostic::Diagnostic;
use crate::explain::Code;

const MAX_BYTES: usize = Config::MAX_BYTES;
const MAX_DOMAINS: usize = Config::MAX_DOMAINS;

/// The file, key by key.
pub(super) struct RawConfig<'t> {
    pub(super) script: Option<Field<&'t str>>,
    pub(super) limits: Vec<Field<i64>>,
    pub(super) flask_policy: Option<Field<&'t str>>,
    pub(super) exit: Option<Field<&'t str>>,
    pub(super) reclaim: Option<Field<Reclaim>>,
    pub(super) after_failure: Option<Field<AfterFailure>>,
    pub(super) tpm: Option<Field<TpmMode>>,
    pub(super) pcr: Option<Field<i64>>,
    pub(super) expect_initial: Option<Field<&'t str>>,
    pub(super) platform_memory: Option<Field<&'t str>>,
    pub(super) xen_cmdline: Option<Field<&'t str>>,
    pub(super) address_bits: Option<Field<i64>>,
    pub(super) control: Option<RawControl<'t>>,
    pub(super) data: Map<String, Value>,
    pub(super) resources: Vec<RawResource<'t>>,
    pub(super) domains: Vec<RawDomain<'t>>,
}

/// `[control]`.
pub(super) struct RawControl<'t> {
    pub(super) table: Table<'t>,
    pub(super) ramdisk: Option<Field<&'t str>>,
    pub(super) init: Option<Field<&'t str>>,
    pub(super) args: Vec<Field<&'t str>>,
    pub(super) seclabel: Option<Field<&'t str>>,
}

/// One `[[domain]]`.
pub(super) struct RawDomain<'t> {
    pub(super) table: Table<'t>,
    pub(super) name: Option<Field<&'t str>>,
    pub(super) domid: Option<Field<i64>>,
    pub(super) kind: Option<Field<DomainType>>,
    pub(super) kernel: Option<Field<&'t str>>,
    pub(super) ramdisk: Option<Field<&'t str>>,
    pub(super) cmdline: Option<Field<&'t str>>,
    pub(super) memory: Option<Field<&'t str>>,
    pub(super) maxmem: Option<Field<&'t str>>,
    pub(super) vcpus: Option<Field<i64>>,
    pub(super) uuid: Option<Field<&'t str>>,
    pub(super) seclabel: Option<Field<&'t str>>,
    pub(super) roles: Vec<Field<Role>>,
    pub(super) ranges: RawRanges<'t>,
    pub(super) resources: Vec<Field<&'t str>>,
    pub(super) after: Vec<Field<&'t str>>,
    pub(super) ready: Option<RawReady<'t>>,
    pub(super) on_failure: Option<Field<&'t str>>,
    pub(super) standby: Option<Field<bool>>,
    pub(super) images: Vec<RawImage<'t>>,
    pub(super) libxl: Option<Field<Map<String, Value>>>,
}

/// `[domain.ready]`.
pub(super) struct RawReady<'t> {
    pub(super) table: Table<'t>,
    pub(super) xenstore: Option<Field<&'t str>>,
    pub(super) equals: Option<Field<&'t str>>,
    pub(super) console: Option<Field<&'t str>>,
    pub(super) backend: Option<Field<&'t str>>,
    pub(super) state: Option<Field<BackendState>>,
    pub(super) running: Option<Field<bool>>,
    pub(super) timeout: Option<Field<&'t str>>,
    pub(super) on_timeout: Option<Field<OnTimeout>>,
}

/// The text of the file, if it is text and not absurdly long.
pub(super) fn text<'b>(bytes: &'b [u8], faults: &mut Faults<'_>) -> Option<&'b str> {
    if bytes.len() > MAX_BYTES {
        let fault = faults
            .error(
                Code::FileTooLong,
                format!("the file has {} bytes, more than {MAX_BYTES}", bytes.len()),
            )
            .because("a launch configuration is a few KiB")
            .hint("check that this is the file you meant");
        faults.add(fault);
        return None;
    }
    let bad = match str::from_utf8(bytes) {
        Ok(text) => return Some(text),
        Err(error) => error.valid_up_to(),
    };
    let fault = faults
        .error(
            Code::NotUtf8,
            format!("byte {bad} of the file, 0x{:02x}, is not UTF-8", bytes[bad]),
        )
        .at(bad..bad + 1)
        .because("TOML files are UTF-8")
        .hint("save the file as UTF-8; if it is an image or an archive, it is the wrong file");
    faults.add(fault);
    None
}

/// The TOML tree of `text`, if it is TOML.
pub(super) fn tree<'t>(text: &'t str, faults: &mut Faults<'_>) -> Option<DeTable<'t>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Some(root.into_inner());
    }
    // After one slip the parser sees more on the same line, and may fail once
    // per open bracket at the end: one fault per line is what there is to mend.
    let mut seen_to = None;
    for error in errors {
        let start = error
            .span()
            .map_or(0, |span| text.floor_char_boundary(span.start));
        if seen_to.is_none_or(|end| start > end) {
            seen_to = Some(
                text[start..]
                    .find('\n')
                    .map_or(text.len(), |line| start + line),
            );
            faults.add(syntax(&error, faults));
        }
    }
    None
}

fn syntax(error: &toml::de::Error, faults: &Faults<'_>) -> Diagnostic {
    let message = error.message();
    let code = match message {
        "duplicate key" => Code::KeyTwice,
        "recursion limit" => Code::NestedTooDeep,
        _ => Code::NotToml,
    };
    let fault = faults.error(
        code,
        match message {
            "duplicate key" => "the same key is written twice".to_owned(),
            "recursion limit" => "keys or brackets are nested too deep".to_owned(),
            other => format!("not TOML: {other}"),
        },
    );
    let fault = match error.span() {
        Some(span) => fault.at(span),
        None => fault,
    };
    if message == "duplicate key" {
        return fault.hint("keep one of the two");
    }
    fault.hint(match message {
        _ if message.contains("string values must be quoted") => {
            "put text in double quotes, as in memory = \"256M\""
        }
        _ if message.contains("basic string") => "close the text with a double quote on its line",
        "recursion limit" => "nothing in a launch configuration is nested deeper than ten levels",
        _ => "lines are key = value, below headings such as [measure] or [[domain]]",
    })
}

/// The keys and types of `root`. Faults in one table leave the others to be
/// read.
pub(super) fn read<'t>(root: &'t DeTable<'t>, faults: &mut Faults<'_>) -> RawConfig<'t> {
    let top = Table::open(Section::Top, String::new(), 0..0, root, faults);
    let measure = top.table("measure", Section::Measure, faults);
    let platform = top.table("platform", Section::Platform, faults);
    let control = top.table("control", Section::Control, faults);
    let limits = top.table("limits", Section::Limits, faults);
    let resources = top.named("resources", Section::Resource, faults);
    let domains = top.tables("domain", Section::Domain, MAX_DOMAINS, faults);
    if domains.is_empty() && top.is_vacant("domain") {
        let fault = faults
            .error(Code::NoDomain, "there is no domain in this file")
            .because("a launch without domains would leave the machine with nothing to run")
            .hint("add a [[domain]] table with name, domid, type, kernel and memory");
        faults.add(fault);
    }
    RawConfig {
        script: top.text("script", faults),
        limits: limits.map_or(vec![], |table| limits::read(&table, faults)),
        flask_policy: top.text("flask_policy", faults),
        exit: top.text("exit", faults),
        reclaim: top.word("reclaim", RECLAIM, faults),
        after_failure: top.word("after_failure", AFTER_FAILURE, faults),
        tpm: measure
            .as_ref()
            .and_then(|table| table.word("tpm", TPM, faults)),
        pcr: measure
            .as_ref()
            .and_then(|table| table.integer("pcr", faults)),
        expect_initial: measure
            .as_ref()
            .and_then(|table| table.text("expect_initial", faults)),
        platform_memory: platform
            .as_ref()
            .and_then(|table| table.size("memory", faults)),
        xen_cmdline: platform
            .as_ref()
            .and_then(|table| table.text("xen_cmdline", faults)),
        address_bits: platform
            .as_ref()
            .and_then(|table| table.integer("address_bits", faults)),
        control: control.map(|table| read_control(table, faults)),
        data: top
            .json("data", Purpose::Data, faults)
            .map(|f| f.value)
            .unwrap_or_default(),
        resources: resources
            .into_iter()
            .map(|table| RawResource::read(table, faults))
            .collect(),
        domains: domains
            .into_iter()
            .map(|table| read_domain(table, faults))
            .collect(),
    }
}

fn read_control<'t>(table: Table<'t>, faults: &mut Faults<'_>) -> RawControl<'t> {
    RawControl {
        ramdisk: table.text("ramdisk", faults),
        init: table.text("init", faults),
        args: table.texts("args", faults),
        seclabel: table.text("seclabel", faults),
        table,
    }
}

fn read_domain<'t>(table: Table<'t>, faults: &mut Faults<'_>) -> RawDomain<'t> {
    let name = table.text("name", faults);
    let of = match &name {
        Some(name) => format!("domain `{}`", quote(name.value)),
        None => "a domain".to_owned(),
    };
    for (key, example) in REQUIRED {
        table.require(key, &of, example, faults);
    }
    RawDomain {
        name,
        domid: table.integer("domid", faults),
        kind: read_type(&table, faults),
        kernel: table.text("kernel", faults),
        ramdisk: table.text("ramdisk", faults),
        cmdline: table.text("cmdline", faults),
        memory: table.size("memory", faults),
        maxmem: table.size("maxmem", faults),
        vcpus: table.integer("vcpus", faults),
        uuid: table.text("uuid", faults),
        seclabel: table.text("seclabel", faults),
        roles: table.words("roles", ROLES, faults),
        ranges: RawRanges::read(&table, faults),
        resources: table.texts("resources", faults),
        after: table.texts("after", faults),
        ready: table
            .table("ready", Section::Ready, faults)
            .map(|table| read_ready(table, faults)),
        on_failure: table.text("on_failure", faults),
        standby: table.flag("standby", faults),
        images: table
            .tables("images", Section::Image, MAX_DOMAINS, faults)
            .iter()
            .map(|image| RawImage::read(image, faults))
            .collect(),
        libxl: table.json("libxl", Purpose::Libxl, faults),
        table,
    }
}

fn read_ready<'t>(table: Table<'t>, faults: &mut Faults<'_>) -> RawReady<'t> {
    RawReady {
        xenstore: table.text("xenstore", faults),
        equals: table.text("equals", faults),
        console: table.text("console", faults),
        backend: table.text("backend", faults),
        state: table.word("state", BACKEND_STATE, faults),
        running: table.flag("running", faults),
        timeout: table.text("timeout", faults),
        on_timeout: table.word("on_timeout", ON_TIMEOUT, faults),
        table,
    }
}

/// `type`; HVM has a reason of its own.
fn read_type(table: &Table<'_>, faults: &mut Faults<'_>) -> Option<Field<DomainType>> {
    if table.is_text("type", "hvm") {
        let text = table.text("type", faults)?;
        let fault = faults
            .at(&text, Code::Hvm, "`type` \"hvm\" is not built by domb")
            .because("an HVM domain needs a device model running beside it after domb has gone")
            .hint("use \"pvh\" (no device model) or \"pv\"");
        faults.add(fault);
        return None;
    }
    table.word("type", &TYPE, faults)
}

/// The keys every domain must have, each with an example.
pub(super) const REQUIRED: [(&str, &str); 5] = [
    ("name", "\"net\""),
    ("domid", "7"),
    ("type", "\"pvh\""),
    ("kernel", "\"vmlinuz\""),
    ("memory", "\"256M\""),
];

pub(super) const AFTER_FAILURE: &[(&str, AfterFailure)] = &[
    ("halt", AfterFailure::Halt),
    ("reboot", AfterFailure::Reboot),
    ("continue", AfterFailure::Continue),
];
pub(super) const TPM: &[(&str, TpmMode)] = &[
    ("required", TpmMode::Required),
    ("optional", TpmMode::Optional),
    ("off", TpmMode::Off),
];
pub(super) const TYPE: [(&str, DomainType); 2] = [("pv", DomainType::Pv), ("pvh", DomainType::Pvh)];
pub(super) const ROLES: &[(&str, Role)] = &[
    ("xenstore", Role::Xenstore),
    ("control", Role::Control),
    ("hardware", Role::Hardware),
    ("recovery", Role::Recovery),
];
pub(super) const RECLAIM: &[(&str, Reclaim)] =
    &[("destroy", Reclaim::Destroy), ("balloon", Reclaim::Balloon)];
pub(super) const ON_TIMEOUT: &[(&str, OnTimeout)] =
    &[("fail", OnTimeout::Fail), ("continue", OnTimeout::Continue)];
pub(super) const BACKEND_STATE: &[(&str, BackendState)] = &[
    ("connected", BackendState::Connected),
    ("initialised", BackendState::Initialised),
    ("initwait", BackendState::InitWait),
];
