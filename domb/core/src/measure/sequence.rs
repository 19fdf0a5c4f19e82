// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The events of a launch: from a configuration and the artefacts that were
//! hashed for it to the extends, in order.
//!
//! The boot and `domb predict` both come here and nowhere else, so what is
//! predicted cannot drift from what is measured. Artefacts that do not fit the
//! configuration are refused: an event is never made for a part that is not
//! the one configured.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Artefact, Artefacts, Bank, Component, Digests, DomainArtefacts, Entry, Event, FORMAT_VERSION,
    Outcome, VerdictRecord, canonical,
};
use crate::config::{Config, DomainConfig, DomainName, Exit};
use crate::course::Came;
use crate::units::PcrIndex;

/// Why there is no event sequence for these inputs.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// The configuration names a file that was not loaded, or the other way
    /// round.
    #[error("measure the {component}{}: the configuration and the loaded files disagree about whether there is one", of(.domain))]
    Disagreement {
        /// Which part.
        component: &'static str,
        /// Whose it is.
        domain: Option<String>,
    },
    /// A file was not hashed for a bank that is to be extended.
    #[error("measure {path:?}: it was not hashed for every bank of {banks:?}")]
    MissingBank {
        /// The file.
        path: String,
        /// The banks that are to be extended.
        banks: Vec<Bank>,
    },
    /// A name that the configuration does not have.
    #[error("measure a decision about domain {0}: the configuration has no such domain")]
    UnknownDomain(DomainName),
}

fn of(domain: &Option<String>) -> String {
    domain
        .as_ref()
        .map(|name| format!(" of domain {name}"))
        .unwrap_or_default()
}

/// The events from the start of a launch to the last domain's configuration.
///
/// # Errors
/// When the artefacts are not those of the configuration, or one was not
/// hashed for a bank.
pub fn launch_events(
    config: &Config,
    artefacts: &Artefacts,
    banks: &[Bank],
) -> Result<Vec<Event>, Error> {
    let maker = Maker {
        pcr: config.pcr,
        banks,
    };
    let control = config.control.as_ref();
    let control_ramdisk = control.is_some_and(|control| control.ramdisk.is_some());
    let mut events = vec![
        start_event(config.pcr, banks),
        maker.configuration(&config.bytes),
        maker.file(
            Component::LaunchScript,
            None,
            config.script.is_some(),
            artefacts.script.as_ref(),
        )?,
        maker.file(
            Component::FlaskPolicy,
            None,
            config.flask_policy.is_some(),
            artefacts.flask_policy.as_ref(),
        )?,
        maker.file(
            Component::ControlRamdisk,
            None,
            control_ramdisk,
            artefacts.control_ramdisk.as_ref(),
        )?,
        match (config.exit, control) {
            (Exit::Domain, _) => {
                let text = json!({"exit": Exit::Domain, "reclaim": config.reclaim});
                maker.text(Component::ControlConfig, None, &text)
            }
            (Exit::Process, Some(control)) => {
                let exit = Exit::Process;
                let mut text = json!({"args": control.args, "exit": exit, "init": control.init});
                if let Some(label) = &control.seclabel {
                    text["seclabel"] = json!(label);
                }
                maker.text(Component::ControlConfig, None, &text)
            }
            (Exit::Process, None) => maker.absent(Component::ControlConfig, None),
        },
    ];
    for domain in by_domid(config) {
        let name = Some(domain.name.as_str());
        let files = artefacts
            .domains
            .iter()
            .find(|files| files.name == domain.name);
        let ramdisk = files.and_then(|files| files.ramdisk.as_ref());
        events.push(maker.file(
            Component::Kernel,
            name,
            true,
            files.map(|files| &files.kernel),
        )?);
        events.push(maker.file(Component::Ramdisk, name, domain.ramdisk.is_some(), ramdisk)?);
        events.push(maker.raw_text(Component::Cmdline, name, domain.cmdline.clone()));
        let mut text = domain_config(domain);
        if !domain.images.is_empty() {
            text["images"] = images(domain, files)?;
        }
        events.push(maker.text(Component::DomainConfig, name, &text));
    }
    if let Some(stray) = artefacts
        .domains
        .iter()
        .find(|files| config.domain(files.name.as_str()).is_none())
    {
        return Err(Error::UnknownDomain(stray.name.clone()));
    }
    Ok(events)
}

/// The event of the launch script's verdict.
///
/// # Errors
/// When it allows a domain that the configuration does not have.
pub fn verdict_event(
    config: &Config,
    verdict: &VerdictRecord,
    banks: &[Bank],
) -> Result<Event, Error> {
    known(config, &verdict.allowed)?;
    known(config, verdict.changes.keys())?;
    let domains: Vec<Value> = by_domid(config)
        .into_iter()
        .map(|domain| {
            let word = if verdict.allowed.contains(&domain.name) {
                "allow"
            } else {
                "deny"
            };
            let mut entry = json!({"domid": domain.domid, "name": domain.name, "verdict": word});
            if let Some(changes) = verdict.changes.get(&domain.name) {
                entry["changes"] = Value::Object(changes.clone());
            }
            entry
        })
        .collect();
    let maker = Maker {
        pcr: config.pcr,
        banks,
    };
    let mut text = json!({"domains": domains});
    if !verdict.withheld.is_empty() {
        text["withheld"] = json!(verdict.withheld);
    }
    Ok(maker.text(Component::Verdict, None, &text))
}

/// What a final event says besides the outcome.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ending {
    /// The domains that were allowed but are not there, because they failed or
    /// need one that did.
    pub left_out: Vec<DomainName>,
    /// How often a domain that is there was built anew.
    pub retried: BTreeMap<DomainName, u32>,
    /// Who took whose place.
    pub substituted: BTreeMap<DomainName, DomainName>,
    /// The recovery domain, where that is started.
    pub recovery: Option<DomainName>,
}

impl From<&Came> for Ending {
    fn from(came: &Came) -> Ending {
        Ending {
            left_out: came.left_out.keys().cloned().collect(),
            retried: came.retried.clone(),
            substituted: came.substituted.clone(),
            recovery: None,
        }
    }
}

/// The last event of a launch.
///
/// # Errors
/// When a domain that it names is not in the configuration.
pub fn final_event(
    config: &Config,
    outcome: Outcome,
    ending: &Ending,
    banks: &[Bank],
) -> Result<Event, Error> {
    known(config, &ending.left_out)?;
    known(config, ending.retried.keys())?;
    known(
        config,
        ending.substituted.iter().flat_map(|(name, by)| [name, by]),
    )?;
    known(config, &ending.recovery)?;
    let left_out: Vec<&DomainName> = by_domid(config)
        .into_iter()
        .map(|domain| &domain.name)
        .filter(|name| ending.left_out.contains(name))
        .collect();
    let mut text = json!({"left_out": left_out, "outcome": outcome.as_str()});
    // What did not happen is not said, so that a launch without it has the
    // values it always had.
    if !ending.retried.is_empty() {
        text["retried"] = json!(ending.retried);
    }
    if !ending.substituted.is_empty() {
        text["substituted"] = json!(ending.substituted);
    }
    if let Some(recovery) = &ending.recovery {
        text["recovery"] = json!(recovery);
    }
    let maker = Maker {
        pcr: config.pcr,
        banks,
    };
    Ok(maker.text(Component::Final, None, &text))
}

/// The event that every launch begins with.
#[must_use]
pub fn start_event(pcr: PcrIndex, banks: &[Bank]) -> Event {
    Maker { pcr, banks }.raw_text(Component::Start, None, start_text())
}

/// The final event of a launch that failed before there was a usable
/// configuration to say more about.
#[must_use]
pub fn failed_event(pcr: PcrIndex, banks: &[Bank]) -> Event {
    Maker { pcr, banks }.text(
        Component::Final,
        None,
        &json!({"left_out": [], "outcome": Outcome::Failed.as_str()}),
    )
}

/// What a launch begins with.
pub(super) fn start_text() -> String {
    canonical::to_string(&json!({"format": FORMAT_VERSION, "log": "domb launch"}))
}

/// A domain's normalised configuration: what Xen and libxl are asked for, with
/// defaults filled in, whatever the file's layout and comments. Its files and
/// its command line are events of their own.
#[must_use]
pub fn domain_config(domain: &DomainConfig) -> Value {
    let mut after: Vec<&DomainName> = domain.after.iter().collect();
    after.sort_unstable();
    let mut delegated: Vec<String> = domain.delegated().map(ToString::to_string).collect();
    delegated.sort_unstable();
    delegated.dedup();
    let mut config = json!({
        "after": after,
        "delegated": delegated,
        "devices": [],
        "domid": domain.domid,
        "libxl": domain.libxl,
        "maxmem_mib": domain.maxmem,
        "memory_mib": domain.memory,
        "name": domain.name,
        "on_failure": domain.on_failure.to_string(),
        "roles": domain.roles,
        "seclabel": domain.seclabel,
        "type": domain.kind,
        "uuid": domain.uuid,
        "vcpus": domain.vcpus,
    });
    if let Some(ready) = &domain.ready {
        config["ready"] = json!({
            "backend": ready.backend,
            "console": ready.console,
            "node": ready.node,
            "on_timeout": ready.on_timeout,
            "running": ready.running,
            "timeout_ms": u64::try_from(ready.timeout.as_millis()).unwrap_or(u64::MAX),
        });
    }
    if domain.standby {
        config["standby"] = json!(true);
    }
    config
}

/// The digests of what a domain can boot instead. They are part of its
/// configuration's event, so a launch has the same events whether or not a
/// domain has images.
fn images(domain: &DomainConfig, files: Option<&DomainArtefacts>) -> Result<Value, Error> {
    let digest = |artefact: &Artefact| match artefact.digests.bank(Bank::Sha256) {
        Some(digest) => Ok(json!(digest.to_string())),
        None => Err(Error::MissingBank {
            path: artefact.path.clone(),
            banks: vec![Bank::Sha256],
        }),
    };
    let mut all = serde_json::Map::new();
    for image in &domain.images {
        let disagreement = || Error::Disagreement {
            component: "image",
            domain: Some(domain.name.as_str().to_owned()),
        };
        let found = files.and_then(|files| files.images.get(&image.name));
        let found = found.ok_or_else(disagreement)?;
        if found.ramdisk.is_some() != image.ramdisk.is_some() {
            return Err(disagreement());
        }
        let ramdisk = found.ramdisk.as_ref().map(digest).transpose()?;
        let entry = json!({"kernel": digest(&found.kernel)?, "ramdisk": ramdisk});
        all.insert(image.name.clone(), entry);
    }
    Ok(all.into())
}

fn by_domid(config: &Config) -> Vec<&DomainConfig> {
    let mut domains: Vec<&DomainConfig> = config.domains.iter().collect();
    domains.sort_unstable_by_key(|domain| domain.domid);
    domains
}

fn known<'a>(
    config: &Config,
    names: impl IntoIterator<Item = &'a DomainName>,
) -> Result<(), Error> {
    let stray = names
        .into_iter()
        .find(|name| config.domain(name.as_str()).is_none());
    stray.map_or(Ok(()), |name| Err(Error::UnknownDomain(name.clone())))
}

/// Makes events of one launch.
struct Maker<'a> {
    pcr: PcrIndex,
    banks: &'a [Bank],
}

impl Maker<'_> {
    fn event(&self, entry: Entry, digests: Digests) -> Event {
        Event {
            pcr: self.pcr,
            entry,
            digests,
        }
    }

    fn text(&self, component: Component, domain: Option<&str>, value: &Value) -> Event {
        self.raw_text(component, domain, canonical::to_string(value))
    }

    fn raw_text(&self, component: Component, domain: Option<&str>, text: String) -> Event {
        let digests = Digests::of(self.banks, text.as_bytes());
        self.event(
            Entry {
                text: Some(text),
                ..Entry::bare(component, domain)
            },
            digests,
        )
    }

    fn configuration(&self, bytes: &[u8]) -> Event {
        let entry = Entry {
            bytes: Some(bytes.len() as u64),
            ..Entry::bare(Component::Configuration, None)
        };
        self.event(entry, Digests::of(self.banks, bytes))
    }

    fn absent(&self, component: Component, domain: Option<&str>) -> Event {
        let entry = Entry {
            absent: true,
            ..Entry::bare(component, domain)
        };
        self.event(entry, Digests::zero(self.banks))
    }

    fn file(
        &self,
        component: Component,
        domain: Option<&str>,
        configured: bool,
        artefact: Option<&Artefact>,
    ) -> Result<Event, Error> {
        let artefact = match (configured, artefact) {
            (true, Some(artefact)) => artefact,
            (false, None) => return Ok(self.absent(component, domain)),
            _ => {
                let domain = domain.map(str::to_owned);
                return Err(Error::Disagreement {
                    component: component.name(),
                    domain,
                });
            }
        };
        let digests = artefact
            .digests
            .select(self.banks)
            .ok_or_else(|| Error::MissingBank {
                path: artefact.path.clone(),
                banks: self.banks.to_vec(),
            })?;
        let entry = Entry {
            path: Some(artefact.path.clone()),
            bytes: Some(artefact.bytes),
            original: artefact.original.clone(),
            ..Entry::bare(component, domain)
        };
        Ok(self.event(entry, digests))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::super::DomainArtefacts;
    use super::super::fixture::*;
    use super::*;

    const BANKS: [Bank; 1] = [Bank::Sha256];

    fn names(events: &[Event]) -> Vec<String> {
        events
            .iter()
            .map(|event| {
                format!(
                    "{:?} {}",
                    event.component(),
                    event.entry.domain.as_deref().unwrap_or("-")
                )
            })
            .collect()
    }

    #[test]
    fn a_change_of_the_script_is_part_of_the_verdict() {
        let (config, _) = full();
        let allow = VerdictRecord::allow_all(&config);
        let mut changed = allow.clone();
        let net = config.domains[0].name.clone();
        let memory = Map::from_iter([("memory".to_owned(), json!("128M"))]);
        changed.changes.insert(net, memory);
        let event = |record| verdict_event(&config, record, &[Bank::Sha256]).unwrap();
        assert_ne!(event(&allow).digests, event(&changed).digests);
        let text = event(&changed).entry.text.unwrap();
        assert!(text.contains(r#""changes":{"memory":"128M"}"#), "{text}");
        let stray = VerdictRecord {
            changes: BTreeMap::from([(name("nobody"), Map::new())]),
            ..allow
        };
        let refused = verdict_event(&config, &stray, &BANKS);
        assert_eq!(refused, Err(Error::UnknownDomain(name("nobody"))));
    }

    #[test]
    fn domains_are_measured_by_domid_whatever_the_file_says() {
        let (config, artefacts) = full();
        let events = launch_events(&config, &artefacts, &BANKS).unwrap();
        assert_eq!(
            names(&events),
            [
                "Start -",
                "Configuration -",
                "LaunchScript -",
                "FlaskPolicy -",
                "ControlRamdisk -",
                "ControlConfig -",
                "Kernel net",
                "Ramdisk net",
                "Cmdline net",
                "DomainConfig net",
                "Kernel store",
                "Ramdisk store",
                "Cmdline store",
                "DomainConfig store",
                "Kernel web",
                "Ramdisk web",
                "Cmdline web",
                "DomainConfig web",
            ]
        );
        let (mut reordered, mut shuffled) = (config, artefacts);
        reordered.domains.reverse();
        shuffled.domains.swap(0, 1);
        assert_eq!(
            launch_events(&reordered, &shuffled, &BANKS).unwrap(),
            events
        );
    }

    #[test]
    fn absent_parts_are_events_with_digests_of_zeros() {
        let config = config(vec![domain("net", 7)]);
        let events = launch_events(&config, &artefacts(&config), &BANKS).unwrap();
        let absent: Vec<Component> = events
            .iter()
            .filter(|event| event.entry.absent)
            .map(Event::component)
            .collect();
        assert_eq!(
            absent,
            [
                Component::LaunchScript,
                Component::FlaskPolicy,
                Component::ControlRamdisk,
                Component::ControlConfig,
                Component::Ramdisk
            ]
        );
        for event in events {
            assert_eq!(
                event.digests == Digests::zero(&BANKS),
                event.entry.absent,
                "{event:?}"
            );
        }
    }

    #[test]
    fn a_file_is_measured_by_its_bytes_and_named_as_written() {
        let (config, artefacts) = full();
        let events = launch_events(&config, &artefacts, &BANKS).unwrap();
        let ramdisk = &events[7];
        assert_eq!(ramdisk.digests, Digests::of(&BANKS, b"net:net.cpio"));
        assert_eq!(ramdisk.entry.path.as_deref(), Some("net.cpio"));
        assert_eq!(ramdisk.entry.bytes, Some(12));
        assert_eq!(events[1].digests, Digests::of(&BANKS, &config.bytes));
    }

    #[test]
    fn the_texts_are_these_bytes() {
        let (config, artefacts) = full();
        let events = launch_events(&config, &artefacts, &BANKS).unwrap();
        let text = |index: usize| events[index].entry.text.as_deref().unwrap();
        assert_eq!(text(0), r#"{"format":1,"log":"domb launch"}"#);
        assert_eq!(
            text(5),
            r#"{"args":["--quiet"],"exit":"process","init":"/init"}"#
        );
        assert_eq!(text(8), "console=hvc0");
        assert_eq!(
            text(9),
            concat!(
                r#"{"after":["store","web"],"delegated":[],"devices":[],"domid":7,"#,
                r#""libxl":{"c_info":{"run_hotplug_scripts":false}},"maxmem_mib":128,"memory_mib":96,"name":"net","#,
                r#""on_failure":"stop","roles":[],"seclabel":"system_u:system_r:domU_t","type":"pv","#,
                r#""uuid":"11111111-1111-1111-1111-111111111111","vcpus":1}"#
            )
        );
    }

    #[test]
    fn the_verdict_names_every_domain_and_no_reason() {
        let (config, _) = full();
        let verdict = VerdictRecord {
            allowed: vec![name("web"), name("net")],
            ..VerdictRecord::default()
        };
        let event = verdict_event(&config, &verdict, &BANKS).unwrap();
        assert_eq!(
            event.entry.text.unwrap(),
            concat!(
                r#"{"domains":[{"domid":7,"name":"net","verdict":"allow"},"#,
                r#"{"domid":9,"name":"store","verdict":"deny"},{"domid":42,"name":"web","verdict":"allow"}]}"#
            )
        );
        let stray = VerdictRecord {
            allowed: vec![name("nobody")],
            ..VerdictRecord::default()
        };
        assert_eq!(
            verdict_event(&config, &stray, &BANKS),
            Err(Error::UnknownDomain(name("nobody")))
        );
    }

    #[test]
    fn the_final_event_says_how_it_ended_and_who_was_left_out() {
        let (config, _) = full();
        let text = |outcome, left_out: &[DomainName]| {
            let ending = Ending {
                left_out: left_out.to_vec(),
                ..Ending::default()
            };
            final_event(&config, outcome, &ending, &BANKS)
                .unwrap()
                .entry
                .text
                .unwrap()
        };
        assert_eq!(
            text(Outcome::Refused, &[]),
            r#"{"left_out":[],"outcome":"refused"}"#
        );
        assert_eq!(
            text(Outcome::Launched, &[name("web"), name("store")]),
            r#"{"left_out":["store","web"],"outcome":"launched"}"#
        );
        assert_eq!(
            failed_event(config.pcr, &BANKS),
            final_event(&config, Outcome::Failed, &Ending::default(), &BANKS).unwrap()
        );
    }

    #[test]
    fn the_final_event_tells_retries_substitutes_and_recovery() {
        let (config, _) = full();
        let ending = Ending {
            left_out: Vec::new(),
            retried: BTreeMap::from([(name("net"), 2)]),
            substituted: BTreeMap::from([(name("web"), name("store"))]),
            recovery: Some(name("store")),
        };
        let event = final_event(&config, Outcome::Failed, &ending, &BANKS).unwrap();
        assert_eq!(
            event.entry.text.unwrap(),
            concat!(
                r#"{"left_out":[],"outcome":"failed","recovery":"store","#,
                r#""retried":{"net":2},"substituted":{"web":"store"}}"#
            )
        );
        let stray = Ending {
            recovery: Some(name("nobody")),
            ..Ending::default()
        };
        assert!(final_event(&config, Outcome::Failed, &stray, &BANKS).is_err());
    }

    #[test]
    fn a_gate_and_standby_are_part_of_a_domains_configuration() {
        let (mut config, artefacts) = full();
        let before = launch_events(&config, &artefacts, &BANKS).unwrap();
        config.domains[1].ready = Some(crate::config::Ready {
            node: None,
            console: Some("up".to_owned()),
            backend: None,
            running: false,
            timeout: crate::config::Ready::TIMEOUT,
            on_timeout: crate::config::OnTimeout::Fail,
        });
        config.domains[2].standby = true;
        let events = launch_events(&config, &artefacts, &BANKS).unwrap();
        let changed =
            |(old, new): (&Event, &Event)| (old != new).then(|| new.entry.text.clone().unwrap());
        let changed: Vec<String> = before.iter().zip(&events).filter_map(changed).collect();
        let [net, web] = changed.as_slice() else {
            panic!("{changed:?}");
        };
        assert!(
            net.contains(concat!(
                r#""ready":{"backend":null,"console":"up","node":null,"on_timeout":"fail","#,
                r#""running":false,"timeout_ms":60000}"#
            )),
            "{net}"
        );
        assert!(web.contains(r#""standby":true"#), "{web}");
    }

    #[test]
    fn files_that_do_not_fit_the_configuration_are_refused() {
        let (config, artefacts) = full();
        let refused = |change: &dyn Fn(&mut Artefacts)| {
            let mut changed = artefacts.clone();
            change(&mut changed);
            launch_events(&config, &changed, &BANKS)
                .unwrap_err()
                .to_string()
        };
        assert!(refused(&|a| a.script = None).contains("launch script"));
        assert!(refused(&|a| a.flask_policy = None).contains("Flask policy"));
        assert!(refused(&|a| a.control_ramdisk = None).contains("control ramdisk"));
        assert!(refused(&|a| a.domains[1].ramdisk = None).contains("ramdisk of domain net"));
        assert!(
            refused(&|a| a.domains[0].ramdisk = a.script.clone())
                .contains("ramdisk of domain store")
        );
        assert!(refused(&|a| a.domains.truncate(2)).contains("kernel of domain web"));
        assert!(refused(&|a| a.domains[0].name = name("other")).contains("store"));
        assert!(
            refused(&|a| {
                a.domains.push(DomainArtefacts {
                    name: name("stray"),
                    ..a.domains[0].clone()
                });
            })
            .contains("stray")
        );
    }

    #[test]
    fn a_file_that_was_not_hashed_for_a_bank_is_refused() {
        let (config, mut artefacts) = full();
        artefacts.domains[0].kernel.digests = Digests::of(&[Bank::Sha1], b"kernel");
        assert_eq!(
            launch_events(&config, &artefacts, &BANKS),
            Err(Error::MissingBank {
                path: "vmlinuz".to_owned(),
                banks: BANKS.to_vec()
            })
        );
    }
}
