// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Launches for the tests of this module: one fixed, and any.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::subsequence;
use serde_json::json;

use super::*;
use crate::config::{
    AfterFailure, Config, Control, DomainConfig, DomainName, DomainType, Exit, OnFailure, TpmMode,
    Uuid,
};
use crate::policy::Limits;
use crate::units::{Domid, Mib, PcrIndex};

pub(super) fn name(text: &str) -> DomainName {
    DomainName(text.to_owned())
}

pub(super) fn domain(text: &str, domid: i64) -> DomainConfig {
    DomainConfig {
        name: name(text),
        domid: Domid::new(domid).unwrap(),
        kind: DomainType::Pv,
        kernel: "vmlinuz".into(),
        ramdisk: None,
        cmdline: "console=hvc0".to_owned(),
        memory: Mib(96),
        maxmem: Mib(128),
        vcpus: 1,
        uuid: Uuid([0x11; 16]),
        seclabel: None,
        roles: Vec::new(),
        ranges: Vec::new(),
        resources: Vec::new(),
        images: Vec::new(),
        after: Vec::new(),
        ready: None,
        on_failure: OnFailure::Stop,
        standby: false,
        libxl: serde_json::Map::new(),
    }
}

pub(super) fn config(domains: Vec<DomainConfig>) -> Config {
    Config {
        limits: Limits::default(),
        bytes: b"# a launch configuration\n".to_vec(),
        script: None,
        flask_policy: None,
        exit: Exit::Process,
        reclaim: crate::config::Reclaim::Destroy,
        after_failure: AfterFailure::Halt,
        tpm: TpmMode::Required,
        pcr: PcrIndex::DEFAULT,
        expect_initial: crate::config::InitialValue::Any,
        control: None,
        platform_memory: None,
        xen_cmdline: None,
        address_bits: None,
        resources: Vec::new(),
        domains,
        data: json!({}),
        artefacts: Vec::new(),
        seclabels: Vec::new(),
    }
}

pub(super) fn artefact(path: &str, content: &[u8]) -> Artefact {
    Artefact {
        path: path.to_owned(),
        bytes: content.len() as u64,
        digests: Digests::of(&Bank::ALL, content),
        original: None,
    }
}

/// Artefacts that fit `config`; each one's content is its path and owner.
pub(super) fn artefacts(config: &Config) -> Artefacts {
    let file = |path: &std::path::Path, owner: &str| {
        let path = path.to_str().unwrap();
        artefact(path, format!("{owner}:{path}").as_bytes())
    };
    Artefacts {
        script: config.script.as_deref().map(|path| file(path, "script")),
        flask_policy: config
            .flask_policy
            .as_deref()
            .map(|path| file(path, "policy")),
        control_ramdisk: config
            .control
            .as_ref()
            .and_then(|c| c.ramdisk.as_deref())
            .map(|path| file(path, "control")),
        domains: config
            .domains
            .iter()
            .map(|domain| DomainArtefacts {
                name: domain.name.clone(),
                kernel: file(&domain.kernel, domain.name.as_str()),
                ramdisk: domain
                    .ramdisk
                    .as_deref()
                    .map(|path| file(path, domain.name.as_str())),
                images: std::collections::BTreeMap::new(),
            })
            .collect(),
    }
}

/// Three domains, not in domid order, with every part there is.
pub(super) fn full() -> (Config, Artefacts) {
    let store = domain("store", 9);
    let mut net = domain("net", 7);
    net.ramdisk = Some("net.cpio".into());
    net.after = vec![name("web"), name("store")];
    net.seclabel = Some("system_u:system_r:domU_t".to_owned());
    net.libxl = json!({"c_info": {"run_hotplug_scripts": false}})
        .as_object()
        .unwrap()
        .clone();
    let mut web = domain("web", 42);
    web.kind = DomainType::Pvh;
    web.on_failure = OnFailure::Skip;
    let mut config = config(vec![store, net, web]);
    config.script = Some("launch.rhai".into());
    config.flask_policy = Some("xenpolicy".into());
    config.control = Some(Control {
        ramdisk: Some("control.cpio".into()),
        init: "/init".to_owned(),
        args: vec!["--quiet".to_owned()],
        seclabel: None,
    });
    let mut artefacts = artefacts(&config);
    artefacts.domains[0].kernel.original = Some(Original {
        sha256: Digest::of(Bank::Sha256, b"bzImage").to_string(),
        bytes: 7,
        format: "bzImage, xz".to_owned(),
    });
    (config, artefacts)
}

prop_compose! {
    fn any_domain(domid: i64)(
        ramdisk in option::of("[a-z/.]{1,12}"),
        cmdline in "\\PC{0,40}",
        memory in 1u64..1 << 40,
        vcpus in 1u32..=128,
        uuid in any::<[u8; 16]>(),
        seclabel in option::of("[a-z_]{1,8}:[a-z_]{1,8}:[a-z_]{1,8}"),
        pvh in any::<bool>(),
        skip in any::<bool>(),
        extra in option::of("\\PC{0,12}"),
    ) -> DomainConfig {
        let mut domain = domain(&format!("d{domid}"), domid);
        domain.ramdisk = ramdisk.map(Into::into);
        domain.cmdline = cmdline;
        domain.memory = Mib(memory);
        domain.maxmem = Mib(memory);
        domain.vcpus = vcpus;
        domain.uuid = Uuid(uuid);
        domain.seclabel = seclabel;
        if pvh { domain.kind = DomainType::Pvh; }
        if skip { domain.on_failure = OnFailure::Skip; }
        domain.libxl.extend(extra.map(|value| ("extra".to_owned(), json!(value))));
        domain
    }
}

prop_compose! {
    /// Any configuration with artefacts that fit it, and any set of banks.
    pub(super) fn any_launch()(
        domids in vec(1i64..32752, 1..6),
    )(
        domains in domids
            .iter()
            .copied()
            .collect::<std::collections::HashSet<_>>()
            .into_iter()
            .map(any_domain)
            .collect::<Vec<_>>(),
        bytes in vec(any::<u8>(), 0..64),
        script in option::of("[a-z.]{1,8}"),
        control in option::of((option::of("[a-z.]{1,8}"), "/[a-z]{1,8}", vec("\\PC{0,8}", 0..3), option::of("[a-z_]{1,8}:[a-z_]{1,8}:[a-z_]{1,8}"))),
        policy in option::of("[a-z.]{1,8}"),
        pcr in 8i64..=15,
        banks in subsequence(Bank::ALL.to_vec(), 1..=4),
    ) -> (Config, Artefacts, Vec<Bank>) {
        let mut config = config(domains);
        config.bytes = bytes;
        config.script = script.map(Into::into);
        config.flask_policy = policy.map(Into::into);
        config.pcr = PcrIndex::new(pcr).unwrap();
        config.control = control.map(|(ramdisk, init, args, seclabel)| Control { ramdisk: ramdisk.map(Into::into), init, args, seclabel });
        let artefacts = artefacts(&config);
        (config, artefacts, banks)
    }
}

/// The log of `events`, as the boot writes it.
pub(super) fn log(banks: &[Bank], events: &[Event]) -> Vec<u8> {
    let mut bytes = event_log::header(banks);
    events
        .iter()
        .for_each(|event| bytes.extend(event_log::entry(event)));
    bytes
}
