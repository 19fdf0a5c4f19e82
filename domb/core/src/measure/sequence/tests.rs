// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The order of the events, and what changes which of them.

use serde_json::Map;

use super::super::fixture::*;
use super::super::{Digests, DomainArtefacts};
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
        refused(&|a| a.domains[0].ramdisk = a.script.clone()).contains("ramdisk of domain store")
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
