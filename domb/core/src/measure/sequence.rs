// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The events of a launch: from a configuration and the artefacts that were
//! hashed for it to the extends, in order.
//!
//! The boot and `domb predict` both come here and nowhere else, so what is
//! predicted cannot drift from what is measured. Artefacts that do not fit the
//! configuration are refused: an event is never made for a part that is not
//! the one configured.

mod maker;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Artefact, Artefacts, Bank, Component, DomainArtefacts, Event, FORMAT_VERSION, Outcome,
    VerdictRecord, canonical,
};
use crate::config::{Config, DomainConfig, DomainName, Exit};
use crate::course::Came;
use crate::units::PcrIndex;
use maker::Maker;

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
