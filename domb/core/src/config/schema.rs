// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The JSON schema of `launch.toml`, made from the tables and limits that the
//! reader itself uses, so that editors complete and check the same keys.
//!
//! A schema can say what one value may be, not what several mean together: a
//! file that fits it can still be refused by [`Config::check`].

use serde_json::{Map, Value, json};

use super::keys::Section;
use super::raw::{AFTER_FAILURE, BACKEND_STATE, ON_TIMEOUT, RECLAIM, REQUIRED, ROLES, TPM, TYPE};
use super::values::{MAX_VCPUS, PATH_MAX};
use super::{Config, DomainName, OnFailure, Range, libxl};
use super::{failure, images, ready};
use crate::policy::Limit;
use crate::units::{Domid, PcrIndex};

/// The schema (JSON Schema 2020-12).
#[must_use]
pub fn schema() -> Value {
    let mut root = table(Section::Top);
    root.insert("required".to_owned(), json!(["domain"]));
    let mut out = Map::new();
    let heading = [
        (
            "$schema",
            json!("https://json-schema.org/draft/2020-12/schema"),
        ),
        ("title", json!("domb launch configuration")),
        (
            "description",
            json!("launch.toml: what the boot domain builds, measures and leaves"),
        ),
    ];
    out.extend(heading.map(|(key, value)| (key.to_owned(), value)));
    out.extend(root);
    out.insert("$defs".to_owned(), json!({ "value": any_value() }));
    out.into()
}

/// A table with exactly the keys that `section` has.
fn table(section: Section) -> Map<String, Value> {
    let properties: Map<String, Value> = section
        .keys()
        .iter()
        .map(|key| {
            let (schema, about) = property(section, key);
            let mut schema = schema;
            schema.insert("description".to_owned(), json!(about));
            ((*key).to_owned(), schema.into())
        })
        .collect();
    let mut out = Map::new();
    out.insert("type".to_owned(), json!("object"));
    out.insert("properties".to_owned(), properties.into());
    out.insert("additionalProperties".to_owned(), json!(false));
    out
}

/// One key: what its value may be, and what it is for.
fn property(section: Section, key: &str) -> (Map<String, Value>, &'static str) {
    let (schema, about) = match (section, key) {
        (Section::Top, "script") => (
            path(),
            "the launch script; without one, every domain is allowed",
        ),
        (Section::Top, "limits") => (
            table(Section::Limits).into(),
            "bounds of the launch script's runs; they can be lowered only",
        ),
        (Section::Limits, key) => limit(key),
        (Section::Top, "flask_policy") => {
            (path(), "the compiled Flask policy that Xen is started with")
        }
        (Section::Top, "exit") => (
            json!({ "enum": ["process", "domain"], "default": "process" }),
            "how the boot domain leaves",
        ),
        (Section::Top, "reclaim") => (
            words(RECLAIM),
            "what becomes of the boot domain that has halted",
        ),
        (Section::Top, "after_failure") => (
            words(AFTER_FAILURE),
            "what PID 1 does when the launch did not succeed",
        ),
        (Section::Top, "measure") => (
            table(Section::Measure).into(),
            "what is measured, and where",
        ),
        (Section::Top, "platform") => (
            table(Section::Platform).into(),
            "what is known about the machine, for domb check",
        ),
        (Section::Top, "control") => (
            table(Section::Control).into(),
            "what domain 0 becomes after the hand-off",
        ),
        (Section::Top, "resources") => (
            json!({ "type": "object", "propertyNames": { "pattern": "^[A-Za-z0-9._-]{1,64}$" }, "additionalProperties": resource() }),
            "ranges of the machine by name, for domains and the launch script",
        ),
        (Section::Resource, "withheld") => (
            json!({ "type": "boolean", "default": false }),
            "keep the hardware domain from it even if no other domain has it",
        ),
        (Section::Resource, key) => ranges(key),
        (Section::Image, "name") => (
            json!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$" }),
            "what the launch script calls it",
        ),
        (Section::Image, key) => domain(key),
        (Section::Top, "domain") => (domains(), "the domains, in any order"),
        (Section::Top, "data") => (free(), "values for the launch script"),
        (Section::Measure, "tpm") => (words(TPM), "whether a launch without a TPM is a launch"),
        (Section::Measure, "pcr") => (pcr(), "the PCR that domb extends"),
        (Section::Measure, "expect_initial") => (
            json!({ "type": "string", "pattern": "^(zero|\\s*((sha1:[0-9a-fA-F]{40}|sha256:[0-9a-fA-F]{64}|sha384:[0-9a-fA-F]{96}|sha512:[0-9a-fA-F]{128})(\\s+|$))+)$" }),
            "what the PCR has to hold before the launch: \"zero\", or BANK:HEX for each bank",
        ),
        (Section::Platform, "memory") => (size(), "the machine's memory"),
        (Section::Platform, "xen_cmdline") => (
            json!({ "type": "string" }),
            "Xen's own command line, for domb check",
        ),
        (Section::Platform, "address_bits") => (
            json!({ "type": "integer", "minimum": 32, "maximum": 52 }),
            "bits of a physical address, for domb check",
        ),
        (Section::Control, "ramdisk") => (
            path(),
            "a cpio archive that becomes the control domain's root",
        ),
        (Section::Control, "init") => (
            json!({ "type": "string", "pattern": "^/[^\\x00-\\x1f]*[^/\\x00-\\x1f]$", "default": "/init" }),
            "the init to run in that root",
        ),
        (Section::Control, "args") => (
            json!({ "type": "array", "items": { "type": "string", "pattern": "^[^\\x00]*$" } }),
            "arguments of that init",
        ),
        (Section::Control, "seclabel") => (
            seclabel(),
            "the Flask label of domain 0 from the hand-off on; \"system_u:system_r:dom0_t\" unless said",
        ),
        (Section::Domain, key) => domain(key),
        (Section::Ready, key) => readiness(key),
        _ => (json!({}), ""),
    };
    match schema {
        Value::Object(schema) => (schema, about),
        _ => (Map::new(), about),
    }
}

/// A bound of the launch script.
fn limit(key: &str) -> (Value, &'static str) {
    let limit = Limit::ALL.into_iter().find(|limit| limit.name() == key);
    limit.map_or((json!({}), ""), |limit| {
        let most = limit.default_value();
        let number = json!({ "type": "integer", "minimum": 1, "maximum": most, "default": most });
        (number, limit.meaning())
    })
}

fn seclabel() -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z0-9_.-]+(:[A-Za-z0-9_.-]+){2}$" })
}

/// A key of `[[domain]]`.
fn domain(key: &str) -> (Value, &'static str) {
    match key {
        "name" => (
            json!({
                "type": "string", "minLength": 1, "maxLength": DomainName::MAX_LEN,
                "pattern": "^[A-Za-z0-9._+-]+$",
                "not": { "anyOf": [{ "pattern": "^[0-9]+$" }, { "enum": ["Domain-0", ".", ".."] }] },
            }),
            "the domain's name, as xl list shows it",
        ),
        "domid" => (
            json!({ "type": "integer", "minimum": Domid::MIN, "maximum": Domid::MAX }),
            "the fixed domid",
        ),
        "type" => (
            json!({ "enum": TYPE.map(|(word, _)| word) }),
            "the domain's type",
        ),
        "kernel" => (path(), "the kernel: a bzImage or an ELF file"),
        "ramdisk" => (path(), "the ramdisk"),
        "cmdline" => (
            json!({ "type": "string", "pattern": "^[^\\x00-\\x08\\x0a-\\x1f\\x7f-\\x9f]*$" }),
            "the kernel's command line",
        ),
        "memory" => (size(), "memory at start"),
        "maxmem" => (
            size(),
            "memory the domain may grow to; the same as `memory` unless said",
        ),
        "vcpus" => (
            json!({ "type": "integer", "minimum": 1, "maximum": MAX_VCPUS, "default": 1 }),
            "the number of virtual CPUs",
        ),
        "uuid" => (
            json!({
                "type": "string",
                "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
                "not": { "pattern": "^[0-]*$" },
            }),
            "the UUID; derived from name and domid unless said",
        ),
        "seclabel" => (seclabel(), "the Flask label, user:role:type"),
        "roles" => (
            json!({ "type": "array", "items": { "enum": ROLES.iter().map(|(word, _)| *word).collect::<Vec<_>>() } }),
            "what the platform relies on the domain for",
        ),
        "resources" => (
            json!({ "type": "array", "items": { "type": "string" } }),
            "names of [resources] that the domain has for itself",
        ),
        "iomem" | "ioports" | "irqs" | "pci" => ranges(key),
        "after" => (
            json!({ "type": "array", "items": { "type": "string" } }),
            "the domains that are started before this one",
        ),
        "ready" => (
            table(Section::Ready).into(),
            "when the domain counts as ready; domains in whose `after` it is wait for that",
        ),
        "images" => (
            images(),
            "files that the launch script may let the domain boot instead",
        ),
        "on_failure" => (
            on_failure(),
            "what follows when it cannot be built, ends, or is not ready in time: \"stop\", \"skip\", \"retry N\", \"substitute NAME\" or \"recover\"",
        ),
        "standby" => (
            json!({ "type": "boolean", "default": false }),
            "true: started only in the place of the domain whose on_failure names it",
        ),
        "libxl" => (pass_through(), "further fields of libxl_domain_config"),
        _ => (json!({}), ""),
    }
}

/// A list of ranges.
fn ranges(key: &str) -> (Value, &'static str) {
    let list = |item: Value| json!({ "type": "array", "items": item });
    match key {
        "iomem" => (
            list(
                json!({ "type": "string", "pattern": "^(0x)?[0-9a-fA-F]+,(0x)?0*[1-9a-fA-F][0-9a-fA-F]*(@(0x)?[0-9a-fA-F]+)?$" }),
            ),
            "pages of I/O memory that the domain has for itself, as in \"fed40,1\"",
        ),
        "ioports" => (
            list(
                json!({ "type": "string", "pattern": "^(0x)?0*[0-9a-fA-F]{1,4}(-(0x)?0*[0-9a-fA-F]{1,4})?$" }),
            ),
            "I/O ports that the domain has for itself, as in \"2f8-2ff\"",
        ),
        "pci" => (
            list(
                json!({ "type": "string", "pattern": "^([0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[01][0-9a-fA-F]\\.[0-7]$" }),
            ),
            "PCI devices that the domain has for itself, as in \"0000:00:1f.2\"",
        ),
        _ => (
            list(json!({ "type": "integer", "minimum": 1, "maximum": u16::MAX })),
            "interrupts that the domain has for itself",
        ),
    }
}

fn images() -> Value {
    let mut image = table(Section::Image);
    let required = images::REQUIRED.map(|(key, _)| key);
    image.insert("required".to_owned(), json!(required));
    json!({ "type": "array", "maxItems": Config::MAX_DOMAINS, "items": image })
}

fn resource() -> Value {
    let mut resource = table(Section::Resource);
    let some = Range::KEYS.map(|key| json!({ "required": [key] }));
    resource.insert("anyOf".to_owned(), json!(some));
    resource.into()
}

/// The words of `on_failure`. What holds unless said depends on whether there is
/// a recovery domain, so there is no default here.
fn on_failure() -> Value {
    let alone = failure::ALONE.join("|");
    let name = "[A-Za-z0-9._+-]+";
    let pattern = format!(
        "^\\s*({alone}|retry\\s+[1-{}]|substitute\\s+{name})\\s*$",
        OnFailure::MAX_RETRIES
    );
    json!({
        "type": "string",
        "pattern": pattern,
        "description": "",
    })
}

/// A key of `[domain.ready]`.
fn readiness(key: &str) -> (Value, &'static str) {
    let text = || json!({ "type": "string", "maxLength": ready::MAX_TEXT, "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]*$" });
    match key {
        "xenstore" => (
            json!({ "type": "string", "maxLength": ready::MAX_PATH, "pattern": "^/?[A-Za-z0-9_-][A-Za-z0-9_@-]*(/[A-Za-z0-9_@-]+)*$" }),
            "a node that is there; below the domain's own path unless it begins with /",
        ),
        "equals" => (text(), "what that node holds"),
        "console" => {
            let mut schema = text();
            schema["not"] = json!({ "pattern": "^[* ]*$" });
            (
                schema,
                "a part of a line of the domain's console; * stands for any text",
            )
        }
        "backend" => (
            json!({ "type": "string", "pattern": format!("^({})/[0-9]{{1,10}}$", ready::DEVICES.join("|")) }),
            "a device of the domain whose backend has come to `state`: \"vbd/51712\"",
        ),
        "state" => (words(BACKEND_STATE), "the state of that backend"),
        "running" => (
            json!({ "type": "boolean", "default": false }),
            "true: it runs and has not ended",
        ),
        "timeout" => (
            json!({ "type": "string", "pattern": "^\\s*[0-9]+\\s*(ms|s|m|h)\\s*$", "default": "60s" }),
            "how long that may take: ms, s, m, h",
        ),
        "on_timeout" => (
            words(ON_TIMEOUT),
            "what it means when it takes longer: the domain has failed, or a warning",
        ),
        _ => (json!({}), ""),
    }
}

fn domains() -> Value {
    let mut domain = table(Section::Domain);
    let required: Vec<&str> = REQUIRED.iter().map(|(key, _)| *key).collect();
    domain.insert("required".to_owned(), json!(required));
    json!({ "type": "array", "minItems": 1, "maxItems": Config::MAX_DOMAINS, "items": domain })
}

/// `[domain.libxl]`: what libxl has, without what domb writes itself. Fields
/// that are not known may be a later libxl's.
fn pass_through() -> Value {
    let structs = libxl::STRUCTS.iter().map(|(part, fields)| {
        let field = |name: &str| {
            let at = format!("{part}.{name}");
            let refused = libxl::OWNED.iter().chain(libxl::UNMEASURED);
            let refused = refused.into_iter().any(|(path, _)| *path == at);
            let schema = match (refused, name.strip_prefix("type.")) {
                (true, _) => json!(false),
                (false, Some(_)) => part_of_type(&at),
                (false, None) => json!({ "$ref": "#/$defs/value" }),
            };
            (name.to_owned(), schema)
        };
        let fields: Map<String, Value> = fields.split_whitespace().map(field).collect();
        let schema = json!({
            "type": "object",
            "properties": fields,
            "additionalProperties": { "$ref": "#/$defs/value" },
        });
        ((*part).to_owned(), schema)
    });
    let lists = libxl::LISTS.split_whitespace().map(|name| {
        let items = json!({ "$ref": "#/$defs/value" });
        (name.to_owned(), json!({ "type": "array", "items": items }))
    });
    let properties: Map<String, Value> = structs.chain(lists).collect();
    json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": { "$ref": "#/$defs/value" },
    })
}

fn part_of_type(at: &str) -> Value {
    let prefix = format!("{at}.");
    let refused: Map<String, Value> = libxl::OWNED
        .iter()
        .chain(libxl::UNMEASURED)
        .filter_map(|(path, _)| Some((path.strip_prefix(&prefix)?.to_owned(), json!(false))))
        .collect();
    json!({
        "type": "object",
        "properties": refused,
        "additionalProperties": { "$ref": "#/$defs/value" },
    })
}

/// One of the words; the default where the type has one.
fn words<T: PartialEq + Default>(words: &[(&str, T)]) -> Value {
    let default = words.iter().find(|(_, value)| *value == T::default());
    let list: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    json!({ "enum": list, "default": default.map(|(word, _)| *word) })
}

fn path() -> Value {
    json!({ "type": "string", "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]*[^/\\x00-\\x1f\\x7f-\\x9f]$", "maxLength": PATH_MAX - 1 })
}

fn size() -> Value {
    json!({ "type": "string", "pattern": "^\\s*0*[1-9][0-9]*\\s*[KMGT]\\s*$", "examples": ["256M", "4G"] })
}

fn pcr() -> Value {
    let fits: Vec<i64> = (0..24)
        .filter(|index| PcrIndex::new(*index).is_some())
        .collect();
    json!({ "enum": fits, "default": PcrIndex::DEFAULT })
}

fn free() -> Value {
    json!({ "type": "object", "additionalProperties": { "$ref": "#/$defs/value" } })
}

/// What a launch script and libxl can take.
fn any_value() -> Value {
    json!({
        "type": ["string", "boolean", "integer", "array", "object"],
        "items": { "$ref": "#/$defs/value" },
        "additionalProperties": { "$ref": "#/$defs/value" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_every_table_is_described() {
        for section in Section::ALL {
            for key in section.keys() {
                let (schema, about) = property(section, key);
                assert!(!schema.is_empty() && !about.is_empty(), "{section:?} {key}");
            }
        }
    }
}
