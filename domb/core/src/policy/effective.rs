// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From the configuration and a verdict to the configuration that is carried
//! out: without the domains that are not built, with the changes of the rest.
//!
//! It is written out as a `launch.toml` and read again like any other, so the
//! rules that hold for what an integrator writes hold for what a script
//! decides, and a fault is shown in a file a person can read. Each changed
//! line says which line of the script changed it.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::limits::Limit;
use super::verdict::Approval;
use crate::config::{
    AfterFailure, Config, DomainConfig, DomainName, Exit, OnFailure, Range, Ready, Role, TpmMode,
};
use crate::diagnostic::{self, Diagnostic};

/// A configuration after the launch script. Holding one proves that it passed
/// every rule of the configuration once more.
#[derive(Clone, PartialEq, Debug)]
pub struct Effective {
    /// The configuration that is carried out: only domains that are built.
    /// Its `bytes` are its own text, and it has no `[data]`.
    pub config: Config,
    /// It as text, the same for the same configuration and verdict.
    pub text: String,
}

/// The plan of a launch script breaks a rule of the configuration.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("check the plan of the launch script\n{}", diagnostic::render(.faults, .text).trim_end())]
pub struct PlanError {
    /// What is wrong, at places of `text`.
    pub faults: Vec<Diagnostic>,
    /// The configuration the plan would have led to.
    pub text: String,
}

/// The configuration that follows from `config` and what was approved.
/// `script` is shown beside what the script changed.
///
/// # Errors
/// The plan breaks a rule of the configuration.
pub fn effective(
    config: &Config,
    approval: &Approval,
    script: &str,
) -> Result<Effective, PlanError> {
    let text = written(config, approval, script);
    match Config::parse("the plan", text.as_bytes()) {
        Ok(config) => Ok(Effective { config, text }),
        Err(faults) => Err(PlanError { faults, text }),
    }
}

/// The configuration as a `launch.toml`.
fn written(config: &Config, approval: &Approval, script: &str) -> String {
    let mut out = String::new();
    let after_failure = match config.after_failure {
        AfterFailure::Halt => "halt",
        AfterFailure::Reboot => "reboot",
        AfterFailure::Continue => "continue",
    };
    let tpm = match config.tpm {
        TpmMode::Required => "required",
        TpmMode::Optional => "optional",
        TpmMode::Off => "off",
    };
    if let Some(path) = &config.script {
        line(&mut out, "script", &path_value(path), "");
    }
    line(&mut out, "exit", &json!(config.exit), "");
    if config.exit == Exit::Domain {
        line(&mut out, "reclaim", &json!(config.reclaim), "");
    }
    line(&mut out, "after_failure", &json!(after_failure), "");
    heading(&mut out, "[limits]");
    for limit in Limit::ALL {
        let value = config.limits.of(limit);
        if value < limit.default_value() {
            line(&mut out, limit.name(), &json!(value), "");
        }
    }
    heading(&mut out, "[measure]");
    line(&mut out, "tpm", &json!(tpm), "");
    line(&mut out, "pcr", &json!(config.pcr.value()), "");
    heading(&mut out, "[platform]");
    if let Some(memory) = config.platform_memory {
        line(&mut out, "memory", &json!(format!("{}M", memory.0)), "");
    }
    if let Some(cmdline) = &config.xen_cmdline {
        line(&mut out, "xen_cmdline", &json!(cmdline), "");
    }
    if let Some(bits) = config.address_bits {
        line(&mut out, "address_bits", &json!(bits), "");
    }
    if let Some(control) = &config.control {
        heading(&mut out, "[control]");
        if let Some(path) = &control.ramdisk {
            line(&mut out, "ramdisk", &path_value(path), "");
        }
        line(&mut out, "init", &json!(control.init), "");
        line(&mut out, "args", &json!(control.args), "");
    }
    for resource in &config.resources {
        heading(&mut out, &format!("[resources.{}]", quoted(&resource.name)));
        for kind in Range::KEYS {
            let ranges = resource.ranges.iter().filter(|range| range.key() == kind);
            let ranges: Vec<Value> = ranges.map(Range::written).collect();
            let ranges = Some(ranges).filter(|ranges| !ranges.is_empty());
            line(&mut out, kind, &json!(ranges), "");
        }
        let withheld = resource.withheld || approval.verdict().withheld().contains(&resource.name);
        line(&mut out, "withheld", &json!(withheld), "");
    }
    for decision in approval.decisions() {
        let domain = config.domain(&decision.name);
        let domain = domain.expect("a verdict is about the domains of its configuration");
        if domain.standby && !is_reached(domain, config, approval) {
            continue;
        }
        heading(&mut out, "[[domain]]");
        for (key, value) in keys(domain, config, approval) {
            let change = decision.changes.get(key.as_str());
            let note = change.map(|change| format!(" # {script}:{}", change.line));
            let value = change.map_or(&value, |change| &change.value);
            line(&mut out, &key, value, note.as_deref().unwrap_or_default());
        }
    }
    out
}

/// The keys of a domain as `launch.toml` has them.
fn keys(domain: &DomainConfig, config: &Config, approval: &Approval) -> Map<String, Value> {
    // Taken apart whole, so that a key that is added cannot be forgotten here.
    let DomainConfig {
        name,
        domid,
        kind,
        kernel,
        ramdisk,
        cmdline,
        memory,
        maxmem,
        vcpus,
        uuid,
        seclabel,
        roles,
        ranges,
        resources,
        after,
        ready,
        images,
        on_failure,
        standby,
        libxl,
    } = domain;
    let of_kind = |kind: &str| {
        let written = ranges.iter().filter(|range| range.key() == kind);
        let written: Vec<Value> = written.map(Range::written).collect();
        json!(Some(written).filter(|ranges| !ranges.is_empty()))
    };
    let resources: Vec<&str> = resources.iter().map(|it| it.name.as_str()).collect();
    // The recovery domain has none, and may not say so either.
    let on_failure = Some(possible(on_failure, config, approval).to_string())
        .filter(|_| !domain.has_role(Role::Recovery));
    let maxmem = Some(maxmem).filter(|maxmem| *maxmem != memory);
    let libxl = Some(libxl).filter(|fields| !fields.is_empty());
    let keys = [
        ("name", json!(name)),
        ("domid", json!(domid)),
        ("type", json!(kind.as_str())),
        ("kernel", path_value(kernel)),
        (
            "ramdisk",
            ramdisk.as_deref().map_or(Value::Null, path_value),
        ),
        ("cmdline", json!(cmdline)),
        ("memory", json!(format!("{}M", memory.0))),
        (
            "maxmem",
            json!(maxmem.map(|maxmem| format!("{}M", maxmem.0))),
        ),
        ("vcpus", json!(vcpus)),
        ("uuid", json!(uuid)),
        ("seclabel", json!(seclabel)),
        (
            "roles",
            json!(Some(roles).filter(|roles| !roles.is_empty())),
        ),
        ("iomem", of_kind("iomem")),
        ("ioports", of_kind("ioports")),
        ("irqs", of_kind("irqs")),
        ("pci", of_kind("pci")),
        (
            "resources",
            json!(Some(resources).filter(|names| !names.is_empty())),
        ),
        ("after", json!(after)),
        ("ready", json!(ready.as_ref().map(ready_keys))),
        (
            "images",
            json!(Some(images).filter(|images| !images.is_empty())),
        ),
        ("on_failure", json!(on_failure)),
        ("standby", json!(standby.then_some(true))),
        ("libxl", json!(libxl)),
    ];
    keys.into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// What is left of `on_failure` when only approved domains can be started.
/// What needs one that is not approved stops the launch.
fn possible<'d>(on_failure: &'d OnFailure, config: &Config, approval: &Approval) -> &'d OnFailure {
    let allowed = |name: &str| approval.allowed().any(|allowed| allowed == name);
    let recovery = config.with_role(Role::Recovery);
    let is_possible = match on_failure {
        OnFailure::Substitute(name) => allowed(name.as_str()),
        OnFailure::Recover => recovery.is_some_and(|domain| allowed(domain.name.as_str())),
        OnFailure::Stop | OnFailure::Skip | OnFailure::Retry(_) => true,
    };
    match is_possible {
        true => on_failure,
        false => &OnFailure::Stop,
    }
}

/// Whether a domain that is started can come to need this one on standby.
fn is_reached(standby: &DomainConfig, config: &Config, approval: &Approval) -> bool {
    let named_by = |name: &DomainName| {
        config.domains.iter().find(
            |domain| matches!(&domain.on_failure, OnFailure::Substitute(other) if other == name),
        )
    };
    let mut next = named_by(&standby.name);
    while let Some(domain) = next {
        if !approval.allowed().any(|name| name == domain.name.as_str()) {
            return false;
        }
        if !domain.standby {
            return true;
        }
        next = named_by(&domain.name);
    }
    false
}

/// `[domain.ready]` without what is not said.
fn ready_keys(ready: &Ready) -> Value {
    let Ready {
        node,
        console,
        backend,
        running,
        timeout: _,
        on_timeout,
    } = ready;
    let mut keys = json!({
        "xenstore": node.as_ref().map(|node| &node.path),
        "equals": node.as_ref().and_then(|node| node.equals.as_ref()),
        "console": console,
        "backend": backend.as_ref().map(|backend| &backend.device),
        "state": backend.as_ref().map(|backend| backend.state),
        "running": running.then_some(true),
        "timeout": ready.timeout_text(),
        "on_timeout": on_timeout,
    });
    if let Value::Object(keys) = &mut keys {
        keys.retain(|_, value| !value.is_null());
    }
    keys
}

fn heading(out: &mut String, heading: &str) {
    writeln!(out, "\n{heading}").expect(NEVER);
}

/// `key = value`; nothing for null, which takes a key away.
fn line(out: &mut String, key: &str, value: &Value, note: &str) {
    if !value.is_null() {
        let note: String = note
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        writeln!(out, "{key} = {}{note}", toml(value)).expect(NEVER);
    }
}

/// A value on one line of TOML.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            format!(
                "[{}]",
                items.iter().map(toml).collect::<Vec<_>>().join(", ")
            )
        }
        Value::Object(entries) => {
            let entry =
                |(key, value): (&String, &Value)| format!("{} = {}", quoted(key), toml(value));
            format!(
                "{{ {} }}",
                entries.iter().map(entry).collect::<Vec<_>>().join(", ")
            )
        }
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// A basic string of TOML: JSON's, with DEL escaped as well.
fn quoted(text: &str) -> String {
    json!(text).to_string().replace('\u{7f}', "\\u007f")
}

fn path_value(path: &Path) -> Value {
    // A path of a configuration was text, so nothing is lost.
    json!(path.to_string_lossy())
}

const NEVER: &str = "writing to a String cannot fail";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::DomainName;
    use crate::policy::facts::tests::facts;
    use crate::policy::{Facts, Limits, Script, Verdict, decide};

    const FILE: &str = r#"
script = "launch.rhai"
after_failure = "reboot"
[measure]
tpm = "optional"
pcr = 11
[platform]
memory = "1G"
[control]
ramdisk = "control.cpio"
init = "/sbin/init"
args = ["a b", "c\"d"]
[data]
pins = { "a" = 1 }
[[domain]]
name = "store"
domid = 7
type = "pv"
kernel = "vmlinuz"
ramdisk = "store.cpio"
cmdline = "console=hvc0 x=\"y\""
memory = "96M"
[[domain]]
name = "net"
domid = 8
type = "pvh"
kernel = "vmlinuz"
memory = "128M"
maxmem = "256M"
vcpus = 2
seclabel = "system_u:system_r:domU_t"
after = ["store"]
on_failure = "skip"
ready = { xenstore = "data/ready", equals = "1", backend = "vif/0", console = "up *", running = true, timeout = "1500ms", on_timeout = "continue" }
[domain.libxl.b_info]
"shadow_memkb" = 4096
[[domain]]
name = "web"
domid = 9
type = "pv"
kernel = "vmlinuz"
memory = "96M"
after = ["net"]
"#;

    fn config() -> Config {
        Config::parse("launch.toml", FILE.as_bytes()).expect("a good file")
    }

    fn three() -> Facts {
        facts(&[("store", &[]), ("net", &["store"]), ("web", &["net"])])
    }

    fn planned(body: &str) -> Result<Effective, PlanError> {
        let text = format!("fn launch(facts, plan) {{\n{body}\nplan }}");
        let script = Script::new("launch.rhai", text.as_bytes()).expect("the script is text");
        let verdict = decide(Some(&script), &three(), &Limits::default(), || false);
        let verdict = verdict.unwrap_or_else(|error| panic!("{error}"));
        effective(
            &config(),
            &verdict.approve().expect("one is allowed"),
            "launch.rhai",
        )
    }

    /// A configuration without what belongs to the file it came from.
    fn bare(config: &Config) -> Config {
        let data = Value::Object(Map::new());
        Config {
            bytes: vec![],
            artefacts: vec![],
            seclabels: vec![],
            data,
            ..config.clone()
        }
    }

    #[test]
    fn a_plan_without_changes_is_the_configuration() {
        let approval = Verdict::without_script(&three())
            .approve()
            .expect("all are allowed");
        let same = effective(&config(), &approval, "").expect("nothing was changed");
        assert_eq!(bare(&same.config), bare(&config()));
    }

    #[test]
    fn changes_reach_the_configuration() {
        let plan = planned(
            r#"plan.allow_all(); plan.set_memory("store", 64); plan.set_vcpus("store", 4);
            plan.add_cmdline("web", "quiet"); plan.add_cmdline("web", "ro");
            plan.set_seclabel("store", "system_u:system_r:store_t"); plan.start_after("web", "store");"#,
        );
        let config = plan.unwrap_or_else(|error| panic!("{error}")).config;
        let domain = |name| config.domain(name).expect("it is launched");
        assert_eq!(
            (domain("store").memory.0, domain("store").maxmem.0),
            (64, 64)
        );
        assert_eq!(domain("store").vcpus, 4);
        assert_eq!(
            domain("store").seclabel.as_deref(),
            Some("system_u:system_r:store_t")
        );
        assert_eq!(domain("web").cmdline, "console=hvc0 quiet ro");
        let after: Vec<&str> = domain("web").after.iter().map(DomainName::as_str).collect();
        assert_eq!(after, ["net", "store"]);
    }

    #[test]
    fn resources_are_granted_and_withheld_by_name() {
        let text = format!("{FILE}\n[resources.tpm]\niomem = [\"fed40,5\"]\n[resources.rtc]\nioports = [\"70-71\"]\n")
            .replace("name = \"store\"", "name = \"store\"\nresources = [\"rtc\"]");
        let config = Config::parse("launch.toml", text.as_bytes()).unwrap();
        let facts = Facts {
            resources: vec!["tpm".to_owned(), "rtc".to_owned()],
            ..three()
        };
        let plan = |body: &str| {
            let text = format!("fn launch(facts, plan) {{\nplan.allow_all(); {body}\nplan }}");
            let script = Script::new("launch.rhai", text.as_bytes()).unwrap();
            let verdict = decide(Some(&script), &facts, &Limits::default(), || false);
            let approval = verdict.unwrap_or_else(|error| panic!("{error}")).approve();
            effective(&config, &approval.unwrap(), "launch.rhai")
        };
        let given = |plan: &Effective, name: &str| {
            let domain = plan.config.domain(name).unwrap();
            domain
                .delegated()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        let granted = plan("plan.grant(\"net\", \"tpm\"); plan.withhold(\"rtc\");").unwrap();
        assert_eq!(given(&granted, "net"), ["iomem fed40,5"]);
        let kept = |plan: &Effective| {
            let all = plan.config.resources.iter();
            all.filter(|r| r.withheld)
                .map(|r| r.name.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(kept(&granted), ["rtc"]);
        let two = plan("plan.grant(\"net\", \"tpm\"); plan.grant(\"web\", \"tpm\");");
        let two = two.expect_err("two owners").to_string();
        assert!(
            two.contains("C102") && two.contains("# launch.rhai:2"),
            "{two}"
        );
    }

    #[test]
    fn domains_that_are_not_built_are_not_in_it() {
        let plan = planned(r#"plan.allow_all(); plan.leave_out("net", "night");"#);
        let config = plan.unwrap_or_else(|error| panic!("{error}")).config;
        assert_eq!(config.domains.len(), 1, "web needs net");
    }

    #[test]
    fn the_rules_of_the_configuration_hold_for_a_plan() {
        let refused = |change: &str| {
            planned(&format!("plan.allow_all();\n{change}"))
                .expect_err("a rule is broken")
                .to_string()
        };
        let error = refused(r#"plan.set_memory("net", 4096);"#);
        assert!(error.contains("# launch.rhai:3"), "{error}");
        refused(r#"plan.set_memory("net", -1);"#);
        refused(r#"plan.set_memory("net", 512);"#);
        refused(r#"plan.set_maxmem("net", 64);"#);
        refused(r#"plan.set_vcpus("net", 0);"#);
        refused(r#"plan.set_seclabel("net", "no label");"#);
        refused(r#"plan.set_cmdline("net", "two\nlines");"#);
        refused(r#"plan.start_after("store", "web");"#);
    }

    proptest! {
        #[test]
        fn any_command_line_survives_the_way_through_a_file(text in "[ -~äß\u{7f}]{0,40}") {
            let mut config = config();
            config.domains[0].cmdline = text.clone();
            let approval = Verdict::without_script(&three()).approve().expect("all are allowed");
            match effective(&config, &approval, "") {
                Ok(same) => prop_assert_eq!(&same.config.domains[0].cmdline, &text),
                Err(error) => prop_assert!(text.contains('\u{7f}'), "{}", error),
            }
        }
    }
}
