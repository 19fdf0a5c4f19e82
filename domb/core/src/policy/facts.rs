// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a launch script is told: the configuration, the digests of what was
//! read, the platform, the integrator's own data. Nothing else reaches it.
//!
//! Facts are read-only and travel as JSON both ways, so a launch can be
//! rehearsed anywhere with the facts of the real machine. What a host cannot
//! know is absent here, not guessed; a script that asks for it fails.
//!
//! It trusts that the digests are those of the bytes that will be booted
//! (`measure` computed them from the sealed copies).

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::machine::{PlatformFacts, TpmFacts};
use crate::config::{Config, DomainConfig, Role};
use crate::measure::{Artefact, Artefacts, Bank};

/// Everything a launch script may look at. The same facts and the same script
/// give the same verdict.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The domains in the configuration's order.
    #[serde(default)]
    pub domains: Vec<DomainFacts>,
    /// What is known of the machine.
    #[serde(default)]
    pub platform: PlatformFacts,
    /// The TPM, where one is known of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<TpmFacts>,
    /// Names of the devices and ranges that can be granted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// How the boot domain leaves: `"process"` or `"domain"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<String>,
    /// What domain 0 becomes, where it becomes another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<ControlFacts>,
    /// The compiled Flask policy that Xen was started with, where it is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flask_policy: Option<FileFacts>,
    /// The integrator's own table (`[data]`), untouched.
    #[serde(default)]
    pub data: serde_json::Map<String, serde_json::Value>,
}

/// One `[[domain]]`, with the digests of what it will boot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainFacts {
    /// Its name.
    pub name: String,
    /// The domid it will get.
    pub domid: u16,
    /// `"pv"` or `"pvh"`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Memory at start, MiB.
    pub memory_mib: u64,
    /// Memory it may balloon to, MiB.
    pub maxmem_mib: u64,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Kernel command line.
    #[serde(default)]
    pub cmdline: String,
    /// XSM/Flask label, `user:role:type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seclabel: Option<String>,
    /// UUID in its usual spelling.
    pub uuid: String,
    /// Domains it starts after.
    #[serde(default)]
    pub after: Vec<String>,
    /// What the platform relies on it for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    /// The resources it has, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// All ranges and devices that it has for itself, as `iomem fed40,1`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegated: Vec<String>,
    /// When it counts as ready, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// What its failure means, as the configuration has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<String>,
    /// Whether it is started in the place of another only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub standby: bool,
    /// Its further fields of `libxl_domain_config`.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub libxl: serde_json::Map<String, serde_json::Value>,
    /// The kernel image.
    pub kernel: FileFacts,
    /// The ramdisk, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramdisk: Option<FileFacts>,
    /// What else it can boot, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, ImageFacts>,
}

/// `[control]`, with the digest of its root.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlFacts {
    /// The archive that becomes its root, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramdisk: Option<FileFacts>,
    /// Its init.
    pub init: String,
    /// The arguments of that.
    #[serde(default)]
    pub args: Vec<String>,
    /// The label of domain 0 from the hand-off on, where one is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seclabel: Option<String>,
}

/// Files a domain can boot instead of its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageFacts {
    /// The kernel image.
    pub kernel: FileFacts,
    /// The ramdisk, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramdisk: Option<FileFacts>,
}

/// A file that was read and hashed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileFacts {
    /// The path as the configuration writes it.
    pub path: String,
    /// Length of the bytes that boot.
    pub bytes: u64,
    /// SHA-256 of the bytes that boot, lower-case hexadecimal.
    pub sha256: String,
    /// SHA-256 of the file as its vendor shipped it. The same as `sha256`
    /// unless the bytes that boot were unpacked from that file.
    pub original_sha256: String,
}

/// Why facts could not be put together.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FactsError {
    /// A file a domain boots was not among those hashed.
    #[error("describe domain {domain:?} to the launch script: no digest for {path:?}")]
    NoDigest {
        /// The domain.
        domain: String,
        /// The path as written.
        path: String,
    },
}

impl Facts {
    /// The facts of `config`, with the digests of its `artefacts`.
    ///
    /// # Errors
    /// A file of the configuration is not among the artefacts.
    pub fn gather(
        config: &Config,
        artefacts: &Artefacts,
        platform: PlatformFacts,
        tpm: Option<TpmFacts>,
    ) -> Result<Facts, FactsError> {
        let domains = config
            .domains
            .iter()
            .map(|domain| DomainFacts::of(domain, artefacts))
            .collect::<Result<_, _>>()?;
        let data = config.data.as_object().cloned().unwrap_or_default();
        let control = config.control.as_ref().map(|control| {
            let ramdisk = control.ramdisk.as_deref();
            let ramdisk = ramdisk
                .map(|path| known("domain 0", path, artefacts.control_ramdisk.as_ref()))
                .transpose()?;
            Ok(ControlFacts {
                ramdisk,
                init: control.init.clone(),
                args: control.args.clone(),
                seclabel: control.seclabel.clone(),
            })
        });
        let policy = artefacts.flask_policy.as_ref();
        Ok(Facts {
            exit: Some(config.exit.as_str().to_owned()),
            control: control.transpose()?,
            flask_policy: policy.and_then(FileFacts::of),
            domains,
            platform,
            tpm,
            resources: config
                .resources
                .iter()
                .map(|resource| resource.name.clone())
                .collect(),
            data,
        })
    }

    /// The domain of that name.
    #[must_use]
    pub fn domain(&self, name: &str) -> Option<&DomainFacts> {
        self.domains.iter().find(|domain| domain.name == name)
    }
}

impl DomainFacts {
    fn of(domain: &DomainConfig, artefacts: &Artefacts) -> Result<DomainFacts, FactsError> {
        let files = artefacts
            .domains
            .iter()
            .find(|files| files.name == domain.name);
        let known =
            |path: &Path, artefact: Option<&Artefact>| known(domain.name.as_str(), path, artefact);
        let kernel = known(&domain.kernel, files.map(|files| &files.kernel))?;
        let ramdisk = domain
            .ramdisk
            .as_deref()
            .map(|path| known(path, files.and_then(|files| files.ramdisk.as_ref())))
            .transpose()?;
        let images = domain.images.iter().map(|image| {
            let found = files.and_then(|files| files.images.get(&image.name));
            let kernel = known(&image.kernel, found.map(|image| &image.kernel))?;
            let ramdisk = image.ramdisk.as_deref();
            let ramdisk = ramdisk
                .map(|path| known(path, found.and_then(|image| image.ramdisk.as_ref())))
                .transpose()?;
            Ok((image.name.clone(), ImageFacts { kernel, ramdisk }))
        });
        let images = images.collect::<Result<_, FactsError>>()?;
        Ok(DomainFacts {
            name: domain.name.as_str().to_owned(),
            domid: domain.domid.value(),
            kind: domain.kind.as_str().to_owned(),
            memory_mib: domain.memory.0,
            maxmem_mib: domain.maxmem.0,
            vcpus: domain.vcpus,
            cmdline: domain.cmdline.clone(),
            seclabel: domain.seclabel.clone(),
            uuid: domain.uuid.to_string(),
            after: domain
                .after
                .iter()
                .map(|name| name.as_str().to_owned())
                .collect(),
            roles: domain.roles.clone(),
            delegated: domain.delegated().map(ToString::to_string).collect(),
            ready: domain.ready.as_ref().map(ToString::to_string),
            on_failure: Some(domain.on_failure.to_string()),
            standby: domain.standby,
            libxl: domain.libxl.clone(),
            resources: domain
                .resources
                .iter()
                .map(|resource| resource.name.clone())
                .collect(),
            kernel,
            ramdisk,
            images,
        })
    }
}

/// The facts of a file that was read.
fn known(domain: &str, path: &Path, artefact: Option<&Artefact>) -> Result<FileFacts, FactsError> {
    let found = artefact.and_then(FileFacts::of);
    found.ok_or_else(|| FactsError::NoDigest {
        domain: domain.to_owned(),
        path: path.display().to_string(),
    })
}

impl FileFacts {
    /// None when the file was not hashed with SHA-256.
    fn of(artefact: &Artefact) -> Option<FileFacts> {
        let sha256 = artefact.digests.bank(Bank::Sha256)?.to_string();
        let original = artefact.original.as_ref();
        Some(FileFacts {
            path: artefact.path.clone(),
            bytes: artefact.bytes,
            original_sha256: original.map_or_else(|| sha256.clone(), |file| file.sha256.clone()),
            sha256,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::policy::{Flask, TpmState};

    /// Facts of a platform with these domains, each with what it starts after.
    pub(crate) fn facts(domains: &[(&str, &[&str])]) -> Facts {
        let file = |path: String, digit: &str| FileFacts {
            path,
            bytes: 4096,
            sha256: digit.repeat(64),
            original_sha256: digit.repeat(64),
        };
        let domains = domains
            .iter()
            .zip(7..)
            .map(|((name, after), domid)| DomainFacts {
                name: (*name).to_owned(),
                domid,
                kind: "pv".to_owned(),
                memory_mib: 96,
                maxmem_mib: 96,
                vcpus: 1,
                cmdline: "console=hvc0".to_owned(),
                seclabel: None,
                uuid: format!("00000000-0000-4000-8000-{domid:012}"),
                after: after.iter().map(|&name| name.to_owned()).collect(),
                roles: vec![],
                resources: vec![],
                delegated: vec![],
                ready: None,
                on_failure: Some("stop".to_owned()),
                standby: false,
                libxl: serde_json::Map::new(),
                kernel: file("vmlinuz".to_owned(), "a"),
                ramdisk: Some(file(format!("{name}.cpio"), "b")),
                images: BTreeMap::new(),
            })
            .collect();
        Facts {
            domains,
            ..Facts::default()
        }
    }

    #[test]
    fn facts_survive_json() {
        let mut facts = facts(&[("store", &[]), ("net", &["store"])]);
        facts.platform.flask = Some(Flask::Enforcing);
        facts.tpm = Some(TpmFacts {
            state: TpmState::Measured,
            pcr: 13,
            values: BTreeMap::from([("sha256".to_owned(), "00".repeat(32))]),
        });
        facts
            .data
            .insert("pins".to_owned(), serde_json::json!({ "vmlinuz": ["a"] }));
        let text = serde_json::to_string_pretty(&facts).expect("facts are plain data");
        assert_eq!(
            serde_json::from_str::<Facts>(&text).expect("what was written"),
            facts
        );
    }

    #[test]
    fn facts_with_a_misspelt_field_are_refused() {
        let text = r#"{"domains": [], "platform": {"memory_mb": 4096}}"#;
        assert!(serde_json::from_str::<Facts>(text).is_err());
    }
}
