// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Build and hand-off against a toolstack that fails on demand: what is left
//! of a platform when one step of it goes wrong, and what starts when.

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::rc::Rc;

use domb_core::config::{Config, Control, DomainConfig, DomainName, Range, Ready};
use domb_core::course::Came;
use domb_core::flask::CONTROL_LABEL;
use domb_core::measure::{Bank, Digest};
use domb_core::policy::{Facts, Flask, Limits, PlatformFacts, decide};
use domb_core::units::Domid;

use crate::build::{Built, Cause, Error, Failure, Witness, build};
use crate::handoff::{self, HandedOff, hand_off};
use crate::launch;
use crate::launch::{Approved, Measured};
use crate::load::{Artefact, DomainArtefacts, Image, Loaded};
use crate::own_label::{self, Given, NextLabel};
use crate::policy::Hooks;
use crate::recovery;
use crate::report::{DomainState, Report, chain, hint};
use crate::sealed::Sealed;
use crate::toolstack::{self, State, Toolstack};
use crate::withhold::withhold;

/// Builds what it is asked but what it is told not to, and writes it down.
#[derive(Default)]
struct Fake {
    steps: RefCell<Vec<String>>,
    there: RefCell<BTreeMap<u16, State>>,
    nodes: RefCell<BTreeMap<String, String>>,
    /// Domid to how often its creation fails.
    fail_create: RefCell<BTreeMap<u16, u32>>,
    fail_unpause: Option<u16>,
    /// Domid to how often it ends at once.
    crash: RefCell<BTreeMap<u16, u32>>,
    /// Domid to how often it is looked at before it writes `data/ready`, for
    /// each time it is built.
    silent: RefCell<BTreeMap<u16, VecDeque<u32>>>,
    looks: RefCell<BTreeMap<u16, u32>>,
    free_mib: Option<u64>,
    flask: Option<Flask>,
    real_label: Option<&'static str>,
    own_label: RefCell<Option<String>>,
    /// The labels that domain 0 may take.
    known: &'static [&'static str],
    deny_relabel: bool,
    messages: RefCell<String>,
    /// What domain 0 has not.
    keeps: Option<Range>,
    /// The permission that Xen says Flask denied then.
    flask_denies: Option<&'static str>,
    /// Xen denies it, and says nothing on its console.
    is_silent: bool,
    /// The xenstore domain's domid.
    store: Option<u16>,
}

impl Fake {
    fn has(&self, range: &Range) -> bool {
        let has = self.keeps != Some(*range);
        if let Some(permission) = self.flask_denies.filter(|_| !has) {
            *self.messages.borrow_mut() = format!(
                "(XEN) avc:  denied  {{ {permission} }} for source=d0 scontext=u:r:domb_t \
                 tcontext=u:r:iomem_t tclass=resource\n"
            );
        }
        has
    }
}

/// One time less; whether there was one left.
fn once(times: &RefCell<BTreeMap<u16, u32>>, domid: Domid) -> bool {
    let mut times = times.borrow_mut();
    match times.get_mut(&domid.value()) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        _ => false,
    }
}

/// Writes down what it is told.
#[derive(Default)]
struct Told(Vec<String>);

impl Witness for Told {
    fn built(&mut self, _: &DomainConfig, _: Option<&str>) {}
    fn unpaused(&mut self, _: &DomainName) {}
    fn ready(&mut self, name: &DomainName, _: &Ready) {
        self.0.push(format!("{name} is ready"));
    }
    fn late(&mut self, name: &DomainName, _: &Ready) {
        self.0.push(format!("{name} is late"));
    }
    fn failed(&mut self, failure: &Failure) {
        let kind = failure.reason.split(':').next().unwrap_or_default();
        let Failure {
            name,
            attempt,
            decision,
            ..
        } = failure;
        self.0.push(format!("{name} {attempt} {kind}: {decision}"));
    }
    fn script_said(&mut self, lines: &[String]) {
        self.0.extend_from_slice(lines);
    }
    fn came(&mut self, came: &Came) -> Result<(), crate::measure::Error> {
        let Came {
            left_out,
            retried,
            substituted,
        } = came;
        self.0.push(format!(
            "measured: {} {} {}",
            left_out.len(),
            retried.len(),
            substituted.len()
        ));
        Ok(())
    }
}

impl Fake {
    fn note(&self, step: &str, domid: Domid) {
        self.steps.borrow_mut().push(format!("{step} {domid}"));
    }

    fn steps(&self) -> String {
        self.steps.borrow().join(", ")
    }
}

fn refusal() -> toolstack::Error {
    toolstack::Error {
        log: vec!["why".to_owned()],
        ..toolstack::Error::new("libxl says no")
    }
}

impl Toolstack for Fake {
    fn platform(&self) -> Result<PlatformFacts, toolstack::Error> {
        Ok(PlatformFacts {
            free_memory_mib: self.free_mib,
            flask: self.flask,
            ..PlatformFacts::default()
        })
    }

    fn create(
        &self,
        domain: &DomainConfig,
        _kernel: &Path,
        _ramdisk: Option<&Path>,
    ) -> Result<(), toolstack::Error> {
        if once(&self.fail_create, domain.domid) {
            self.messages.borrow_mut().push_str(DENIED);
            return Err(refusal());
        }
        self.note("create", domain.domid);
        let domid = domain.domid.value();
        let looks = self.silent.borrow_mut();
        let looks = RefMut::filter_map(looks, |all| all.get_mut(&domid)).ok();
        let looks = looks.and_then(|mut looks| looks.pop_front());
        self.looks.borrow_mut().insert(domid, looks.unwrap_or(0));
        self.there
            .borrow_mut()
            .insert(domain.domid.value(), State::Paused);
        Ok(())
    }

    fn unpause(&self, domid: Domid) -> Result<(), toolstack::Error> {
        if self.fail_unpause == Some(domid.value()) {
            return Err(refusal());
        }
        self.note("unpause", domid);
        let state = if once(&self.crash, domid) {
            State::Shutdown("crash".to_owned())
        } else {
            State::Running
        };
        self.there.borrow_mut().insert(domid.value(), state);
        Ok(())
    }

    fn console_read(&self, _: &DomainConfig) -> Vec<u8> {
        Vec::new()
    }

    fn store_read(&self, path: &str) -> Result<Option<String>, toolstack::Error> {
        let domid = path.split('/').nth(3).and_then(|domid| domid.parse().ok());
        let domid = Domid::new(domid.unwrap_or(0));
        if domid.is_some_and(|domid| once(&self.looks, domid)) {
            return Ok(None);
        }
        let written = self.nodes.borrow().get(path).cloned();
        Ok(written.or_else(|| path.ends_with("data/ready").then(|| "1".to_owned())))
    }

    fn store_write(&self, path: &str, value: &str) -> Result<(), toolstack::Error> {
        self.nodes
            .borrow_mut()
            .insert(path.to_owned(), value.to_owned());
        Ok(())
    }

    fn state(&self, domid: Domid) -> Result<State, toolstack::Error> {
        Ok(self
            .there
            .borrow()
            .get(&domid.value())
            .cloned()
            .unwrap_or(State::Absent))
    }

    fn destroy(&self, domid: Domid) -> Result<(), toolstack::Error> {
        self.note("destroy", domid);
        self.there.borrow_mut().remove(&domid.value());
        Ok(())
    }

    fn recovers_with(&self, domid: Domid) -> bool {
        self.store == Some(domid.value())
    }

    fn holds(&self, range: &Range) -> Result<bool, toolstack::Error> {
        Ok(self.is_silent || self.has(range))
    }

    fn withhold(&self, range: &Range) -> Result<bool, toolstack::Error> {
        self.steps.borrow_mut().push(format!("withhold {range}"));
        Ok(self.has(range))
    }

    fn console_tail(&self, domid: Domid) -> Vec<String> {
        vec![format!("last words of {domid}")]
    }

    fn seclabel(&self, _domid: Domid) -> Result<Option<String>, toolstack::Error> {
        Ok(self.real_label.map(str::to_owned))
    }

    fn own_seclabel(&self) -> Result<Option<String>, toolstack::Error> {
        Ok(self.own_label.borrow().clone())
    }

    fn relabel_self(&self, label: &str) -> Result<bool, toolstack::Error> {
        if self.deny_relabel {
            return Err(refusal());
        }
        let known = self.known.contains(&label);
        if known {
            self.steps.borrow_mut().push(format!("become {label}"));
            *self.own_label.borrow_mut() = Some(label.to_owned());
        }
        Ok(known)
    }

    fn xen_messages(&self) -> Result<String, toolstack::Error> {
        Ok(self.messages.take())
    }
}

/// What Xen says when it denies the creation of a domain.
const DENIED: &str = "(XEN) avc:  denied  { create } for source=d0 \
    scontext=u:r:domb_t tcontext=u:r:web_t tclass=domain\n";

fn domain(name: &str, domid: u16, more: &str) -> String {
    format!(
        "[[domain]]\nname = \"{name}\"\ndomid = {domid}\ntype = \"pv\"\n\
         kernel = \"k\"\nmemory = \"96M\"\n{more}\n"
    )
}

/// store (7), net (9, needs store), web (42, needs net); `extra` goes into
/// net's table.
fn approved(extra: &str) -> Approved {
    let domains = [
        domain("store", 7, ""),
        domain("net", 9, &format!("after = [\"store\"]\n{extra}")),
        domain("web", 42, "after = [\"net\"]"),
    ];
    approved_with(&domains.concat(), None)
}

/// A launch of these domains, with a script or without.
fn approved_with(domains: &str, script: Option<&str>) -> Approved {
    let head = script.map_or("", |_| "script = \"launch.rhai\"\n");
    let text = format!("{head}{domains}");
    let config = Config::parse("launch.toml", text.as_bytes()).unwrap();
    let sealed = |name: &str, bytes: &[u8]| {
        Rc::new(Artefact {
            written: name.into(),
            sealed: Rc::new(Sealed::new(name, bytes).unwrap()),
            original: None,
            entries: None,
            promised_sha256: None,
        })
    };
    let kernel = sealed("k", b"kernel");
    let script = script.map(|text| sealed("launch.rhai", text.as_bytes()));
    let domains = config
        .domains
        .iter()
        .map(|domain| {
            let files = DomainArtefacts {
                kernel: Rc::clone(&kernel),
                ramdisk: None,
                images: domain
                    .images
                    .iter()
                    .map(|image| {
                        let path = image.kernel.to_str().unwrap();
                        let kernel = sealed(path, path.as_bytes());
                        let ramdisk = None;
                        (image.name.clone(), Image { kernel, ramdisk })
                    })
                    .collect(),
            };
            (domain.name.clone(), files)
        })
        .collect();
    let loaded = Loaded {
        config,
        script,
        flask_policy: None,
        control_ramdisk: None,
        domains,
        warnings: Vec::new(),
    };
    let artefacts = crate::measure::artefacts(&loaded, &[Bank::Sha256]).unwrap();
    let facts = Facts::gather(&loaded.config, &artefacts, PlatformFacts::default(), None).unwrap();
    let verdict = decide(None, &facts, &Limits::default(), || false).unwrap();
    let approval = verdict.approve().unwrap();
    let plan = loaded.config.clone();
    let measured = Measured { loaded, artefacts };
    Approved {
        hooks: Hooks::new(&measured, PlatformFacts::default(), None).unwrap(),
        measured,
        approval,
        plan,
    }
}

fn built<'t>(fake: &'t Fake, approved: &'t Approved) -> Result<Built<'t>, Error> {
    build(approved, fake, &mut Told::default())
}

/// Builds and hands over; what was told, and how it ended.
fn launched(fake: &Fake, approved: &Approved) -> (Vec<String>, Result<HandedOff, String>) {
    let mut told = Told::default();
    let result = build(approved, fake, &mut told)
        .map_err(|error| error.to_string())
        .and_then(|built| hand_off(built, None, &mut told).map_err(|error| error.to_string()));
    (told.0, result)
}

fn cause(result: Result<Built<'_>, Error>) -> (String, Cause) {
    match result {
        Err(Error::Domain { name, cause, .. }) => (name.to_string(), cause),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was built"),
    }
}

#[test]
fn everything_is_built_before_anything_runs_and_in_start_order() {
    let fake = Fake::default();
    let approved = approved("");
    let built = built(&fake, &approved).unwrap();
    let handed_off = hand_off(built, None, &mut Told::default()).unwrap();
    assert_eq!(handed_off.domains, 3);
    assert_eq!(
        fake.steps(),
        "create 7, create 9, create 42, unpause 7, unpause 9, unpause 42"
    );
}

#[test]
fn a_domain_that_cannot_be_built_takes_the_others_down_last_first() {
    let fake = Fake {
        fail_create: RefCell::new(BTreeMap::from([(42, 1)])),
        ..Fake::default()
    };
    let approved = approved("");
    let (name, cause) = cause(built(&fake, &approved));
    assert_eq!(name, "web");
    let Cause::Toolstack(error) = cause else {
        panic!("{cause}");
    };
    assert_eq!(error.log, ["why"]);
    let denied = error.denied.unwrap();
    assert_eq!(denied.all()[0].rule(), "allow domb_t web_t:domain create;");
    assert_eq!(fake.steps(), "create 7, create 9, destroy 9, destroy 7");
}

#[test]
fn a_domain_that_may_be_skipped_takes_only_those_that_need_it() {
    let fake = Fake {
        fail_create: RefCell::new(BTreeMap::from([(9, 1)])),
        ..Fake::default()
    };
    let approved = approved("on_failure = \"skip\"");
    let built = built(&fake, &approved).unwrap();
    let came = built.came();
    let left_out: Vec<&str> = came.left_out.keys().map(DomainName::as_str).collect();
    assert_eq!(left_out, ["net", "web"]);
    assert_eq!(
        hand_off(built, None, &mut Told::default()).unwrap().domains,
        1
    );
    assert_eq!(fake.steps(), "create 7, unpause 7");
}

#[test]
fn a_built_platform_that_is_dropped_is_destroyed() {
    let fake = Fake::default();
    let approved = approved("");
    drop(built(&fake, &approved).unwrap());
    assert_eq!(
        fake.steps(),
        "create 7, create 9, create 42, destroy 42, destroy 9, destroy 7"
    );
}

#[test]
fn a_domain_that_does_not_start_takes_the_others_down() {
    let fake = Fake {
        fail_unpause: Some(9),
        ..Fake::default()
    };
    let approved = approved("");
    let built = built(&fake, &approved).unwrap();
    let error = hand_off(built, None, &mut Told::default()).unwrap_err();
    assert_eq!(error.to_string(), "start domain net (domid 9)");
    assert!(
        fake.steps()
            .ends_with("unpause 7, destroy 42, destroy 9, destroy 7")
    );
}

#[test]
fn a_domain_that_crashes_at_once_is_a_failure_with_its_last_words() {
    let fake = Fake {
        crash: RefCell::new(BTreeMap::from([(42, 1)])),
        ..Fake::default()
    };
    let approved = approved("");
    let built = built(&fake, &approved).unwrap();
    let error = hand_off(built, None, &mut Told::default()).unwrap_err();
    let handoff::Error::Domain { name, console, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(name.as_str(), "web");
    assert_eq!(console, ["last words of 42"]);
    assert!(fake.there.borrow().is_empty());
}

#[test]
fn a_domid_that_is_in_use_is_refused_and_its_owner_left_alone() {
    let fake = Fake::default();
    fake.there.borrow_mut().insert(9, State::Running);
    let approved = approved("");
    let (name, cause) = cause(built(&fake, &approved));
    assert_eq!(name, "net");
    assert!(matches!(cause, Cause::DomidInUse));
    assert_eq!(fake.steps(), "create 7, destroy 7");
}

#[test]
fn memory_that_is_not_free_is_refused_before_libxl_is_asked() {
    let fake = Fake {
        free_mib: Some(200),
        ..Fake::default()
    };
    let approved = approved("");
    let (name, cause) = cause(built(&fake, &approved));
    assert_eq!(name, "web");
    assert!(matches!(cause, Cause::Memory { need, free } if need.0 == 98 && free.0 == 4));
    assert_eq!(fake.steps(), "create 7, create 9, destroy 9, destroy 7");
}

#[test]
fn a_label_that_nothing_enforces_builds_nothing() {
    for flask in [None, Some(Flask::Absent), Some(Flask::Permissive)] {
        let fake = Fake {
            flask,
            ..Fake::default()
        };
        let approved = approved("seclabel = \"system_u:system_r:guest_t\"");
        let (name, cause) = cause(built(&fake, &approved));
        assert_eq!(name, "net");
        assert!(matches!(cause, Cause::LabelNotEnforced { .. }));
        assert_eq!(fake.steps(), "");
    }
}

#[test]
fn a_domain_that_has_another_label_than_asked_is_destroyed() {
    let fake = Fake {
        flask: Some(Flask::Enforcing),
        real_label: Some("system_u:system_r:other_t"),
        ..Fake::default()
    };
    let approved = approved("seclabel = \"system_u:system_r:guest_t\"");
    let (_, cause) = cause(built(&fake, &approved));
    assert!(matches!(cause, Cause::OtherLabel { .. }));
    assert_eq!(fake.steps(), "create 7, create 9, destroy 9, destroy 7");
}

#[test]
fn a_range_that_cannot_be_given_away_is_refused_before_libxl_is_asked() {
    let fake = Fake {
        keeps: Range::iomem("fed40,1"),
        ..Fake::default()
    };
    let approved = approved("ioports = [\"70\"]\niomem = [\"fed40,1\"]");
    let (name, cause) = cause(built(&fake, &approved));
    assert_eq!(name, "net");
    assert!(matches!(cause, Cause::NotHeld(range) if Some(range) == fake.keeps));
    assert_eq!(fake.steps(), "create 7, destroy 7");
}

#[test]
fn what_was_given_is_withheld_after_all_is_built_and_before_anything_runs() {
    let fake = Fake::default();
    let approved = approved("ioports = [\"70\"]\niomem = [\"fed40,1\"]");
    let built = built(&fake, &approved).unwrap();
    withhold(&built.withheld(), &fake).unwrap();
    hand_off(built, None, &mut Told::default()).unwrap();
    assert_eq!(
        fake.steps(),
        "create 7, create 9, create 42, withhold iomem fed40,1, withhold ioports 70, \
         unpause 7, unpause 9, unpause 42"
    );
}

#[test]
fn the_report_names_the_image_that_boots_and_its_digest() {
    let approved = approved("images = [{ name = \"old\", kernel = \"k-old\" }]");
    let mut plan = approved.plan.clone();
    plan.domains[1].kernel = "k-old".into();
    let mut report = Report::new(Path::new("launch.toml"));
    report.begin("config");
    report.loaded(&approved.measured.loaded);
    report.digests(&approved.measured);
    report.planned(&plan, &approved.measured);
    let kernel = |report: &mut Report, name| {
        let file = &report.domain(name).unwrap().kernel;
        (file.path.clone(), file.sha256.clone())
    };
    let old = Digest::of(Bank::Sha256, b"k-old").to_string();
    assert_eq!(kernel(&mut report, "net"), ("k-old".to_owned(), old));
    assert_eq!(kernel(&mut report, "store").0, "k");
}

#[test]
fn what_domain_0_has_not_needs_no_withholding() {
    let fake = Fake {
        keeps: Range::iomem("fed40,1"),
        ..Fake::default()
    };
    withhold(&[fake.keeps.unwrap()], &fake).unwrap();
    assert_eq!(fake.steps(), "withhold iomem fed40,1");
}

#[test]
fn what_domain_0_still_has_is_not_withheld_although_xen_says_nothing() {
    let fake = Fake {
        keeps: Range::iomem("fed40,1"),
        is_silent: true,
        ..Fake::default()
    };
    let error = withhold(&[fake.keeps.unwrap()], &fake).unwrap_err();
    assert!(hint(&error).is_some_and(|hint| hint.contains("loglvl=")));
}

#[test]
fn what_flask_keeps_domain_0_from_losing_ends_the_launch() {
    let fake = Fake {
        keeps: Range::iomem("fed40,1"),
        flask_denies: Some("remove_iomem"),
        ..Fake::default()
    };
    let error = withhold(&[fake.keeps.unwrap()], &fake).unwrap_err();
    let told = chain(&error);
    assert_eq!(told[0], "keep domain 0 from iomem fed40,1");
    assert_eq!(
        hint(&error).as_deref(),
        Some("the policy in force lacks: allow domb_t iomem_t:resource remove_iomem;")
    );
}

#[test]
fn what_flask_does_not_let_the_boot_domain_give_is_told_with_the_rule() {
    let fake = Fake {
        keeps: Range::iomem("fed40,1"),
        flask_denies: Some("add_iomem"),
        ..Fake::default()
    };
    let approved = approved("iomem = [\"fed40,1\"]");
    let (_, cause) = cause(built(&fake, &approved));
    assert_eq!(
        hint(&cause).as_deref(),
        Some("the policy in force lacks: allow domb_t iomem_t:resource add_iomem;")
    );
}

#[test]
fn what_a_domain_that_is_left_out_would_have_is_not_withheld() {
    let fake = Fake {
        fail_create: RefCell::new(BTreeMap::from([(9, 1)])),
        ..Fake::default()
    };
    let approved = approved("on_failure = \"skip\"\nioports = [\"70\"]");
    let built = built(&fake, &approved).unwrap();
    assert!(built.withheld().is_empty());
}

/// Hands over from a domain 0 labelled `u:r:domb_t`, whose configuration
/// names this label.
fn labelled_hand_off(fake: &Fake, written: Option<&str>) -> Result<Option<Given>, handoff::Error> {
    *fake.own_label.borrow_mut() = Some("u:r:domb_t".to_owned());
    let control = written.map(|label| Control {
        ramdisk: None,
        init: "/sbin/init".to_owned(),
        args: Vec::new(),
        seclabel: Some(label.to_owned()),
    });
    let next = NextLabel::of(control.as_ref());
    let approved = approved("");
    let built = built(fake, &approved).unwrap();
    Ok(hand_off(built, Some(&next), &mut Told::default())?.own_label)
}

#[test]
fn the_boot_domain_gives_its_label_up_when_all_run() {
    let fake = Fake {
        known: &[CONTROL_LABEL],
        ..Fake::default()
    };
    let given = labelled_hand_off(&fake, None).unwrap();
    assert_eq!(given, Some(Given::Up(CONTROL_LABEL.to_owned())));
    assert!(
        fake.steps()
            .ends_with("unpause 42, become system_u:system_r:dom0_t")
    );
}

#[test]
fn a_boot_domain_that_cannot_give_its_label_up_hands_nothing_over() {
    let fake = Fake {
        deny_relabel: true,
        ..Fake::default()
    };
    let error = labelled_hand_off(&fake, None).unwrap_err();
    assert_eq!(error.to_string(), "label domain 0 system_u:system_r:dom0_t");
    assert!(fake.there.borrow().is_empty());
}

#[test]
fn a_written_label_that_the_policy_does_not_have_is_refused_and_no_other() {
    let fake = Fake::default();
    let error = labelled_hand_off(&fake, Some("u:r:ctrl_t")).unwrap_err();
    assert!(matches!(
        error,
        handoff::Error::OwnLabel(own_label::Error::Unknown { .. })
    ));
    assert!(fake.there.borrow().is_empty());
    let fake = Fake::default();
    let given = labelled_hand_off(&fake, None).unwrap();
    assert_eq!(given, Some(Given::Kept("u:r:domb_t".to_owned())));
}

#[test]
fn a_label_of_domain_0_that_nothing_enforces_builds_nothing() {
    let fake = Fake::default();
    let mut approved = approved("");
    approved.plan.control = Some(Control {
        ramdisk: None,
        init: "/sbin/init".to_owned(),
        args: Vec::new(),
        seclabel: Some("u:r:ctrl_t".to_owned()),
    });
    let result = build(&approved, &fake, &mut Told::default());
    assert!(matches!(
        result,
        Err(Error::Control(Cause::LabelNotEnforced { .. }))
    ));
    assert_eq!(fake.steps(), "");
}

const GATE: &str = "ready = { xenstore = \"data/ready\", timeout = \"100ms\" }";
const PATIENT: &str = "ready = { xenstore = \"data/ready\", timeout = \"1h\" }";
const NEVER: u32 = u32::MAX;

/// Domains that are looked at so often before they are ready.
fn silent(all: &[(u16, &[u32])]) -> Fake {
    let all = all
        .iter()
        .map(|(domid, looks)| (*domid, looks.iter().copied().collect()));
    Fake {
        silent: RefCell::new(all.collect()),
        ..Fake::default()
    }
}

#[test]
fn a_domain_waits_until_the_one_before_it_is_ready_and_others_do_not() {
    let fake = silent(&[(7, &[3])]);
    let domains = [
        domain("store", 7, PATIENT),
        domain("net", 9, "after = [\"store\"]"),
        domain("apart", 42, ""),
    ];
    let (told, result) = launched(&fake, &approved_with(&domains.concat(), None));
    let handed_off = result.unwrap();
    assert_eq!(handed_off.domains, 3);
    let order: Vec<&str> = handed_off
        .shutdown_order
        .iter()
        .map(DomainName::as_str)
        .collect();
    assert_eq!(order, ["net", "apart", "store"]);
    assert_eq!(
        fake.steps(),
        "create 7, create 9, create 42, unpause 7, unpause 42, unpause 9"
    );
    assert_eq!(told, ["store is ready"]);
}

#[test]
fn a_timeout_leads_to_what_on_failure_says() {
    for (on_failure, told, ends, steps) in [
        (
            "stop",
            vec!["net 1 timeout: stop"],
            Err("start domain net (domid 9)"),
            "destroy 42, destroy 9, destroy 7",
        ),
        (
            "skip",
            vec!["net 1 timeout: skip", "measured: 2 0 0"],
            Ok(1),
            "destroy 9, destroy 42",
        ),
        (
            "retry 1",
            vec!["net 1 timeout: retry", "measured: 0 1 0", "net is ready"],
            Ok(3),
            "destroy 9, create 9, unpause 9, unpause 42",
        ),
    ] {
        let fake = silent(&[(9, &[NEVER, 0])]);
        let approved = approved(&format!("on_failure = \"{on_failure}\"\n{GATE}"));
        let (said, result) = launched(&fake, &approved);
        assert_eq!(said, told, "{on_failure}");
        let result = result.map(|handed_off| handed_off.domains);
        assert_eq!(result, ends.map_err(str::to_owned), "{on_failure}");
        let built = "create 7, create 9, create 42, unpause 7, unpause 9, ";
        assert_eq!(fake.steps(), format!("{built}{steps}"), "{on_failure}");
    }
}

#[test]
fn a_timeout_can_be_no_more_than_a_warning() {
    let fake = silent(&[(9, &[NEVER])]);
    let gate =
        "ready = { xenstore = \"data/ready\", timeout = \"100ms\", on_timeout = \"continue\" }";
    let (told, result) = launched(&fake, &approved(gate));
    assert_eq!(
        (told, result.unwrap().domains),
        (vec!["net is late".to_owned()], 3)
    );
}

#[test]
fn a_domain_that_is_built_anew_is_told_so() {
    let fake = Fake {
        crash: RefCell::new(BTreeMap::from([(9, 1)])),
        ..Fake::default()
    };
    let (told, result) = launched(&fake, &approved("on_failure = \"retry 2\""));
    assert_eq!(result.unwrap().domains, 3);
    assert_eq!(told, ["net 1 ended: retry", "measured: 0 1 0"]);
    let nodes = fake.nodes.borrow();
    assert_eq!(nodes["/local/domain/9/domb/attempt"], "2");
    // web was started after net, so it starts again after it.
    assert!(fake.steps().ends_with(
        "unpause 42, destroy 42, destroy 9, create 9, create 42, unpause 9, unpause 42"
    ));
}

#[test]
fn a_substitute_is_built_when_it_is_needed_and_not_before() {
    let fake = silent(&[(9, &[NEVER])]);
    let domains = [
        domain(
            "net",
            9,
            &format!("on_failure = \"substitute spare\"\n{GATE}"),
        ),
        domain("spare", 10, "standby = true"),
        domain("web", 42, "after = [\"net\"]"),
    ];
    let (told, result) = launched(&fake, &approved_with(&domains.concat(), None));
    assert_eq!(result.unwrap().domains, 2);
    assert_eq!(told, ["net 1 timeout: substitute spare", "measured: 0 0 1"]);
    assert_eq!(
        fake.steps(),
        "create 9, create 42, unpause 9, destroy 9, create 10, unpause 10, unpause 42"
    );
}

#[test]
fn a_script_decides_about_a_failure_within_what_can_be() {
    let domains = [domain("net", 9, ""), domain("web", 42, "after = [\"net\"]")].concat();
    let run = |hook: &str| {
        let fake = Fake {
            crash: RefCell::new(BTreeMap::from([(9, 2)])),
            ..Fake::default()
        };
        let script = format!("fn launch(facts, plan) {{ plan.allow_all(); plan }}\n{hook}");
        let (told, result) = launched(&fake, &approved_with(&domains, Some(&script)));
        (told, result.map(|handed_off| handed_off.domains).ok())
    };
    let hook = |body: &str| format!("fn on_failed(domain, attempt, reason) {{ {body} }}");
    let (told, domains) = run(&hook(
        "log(reason); if attempt < 3 { \"retry\" } else { \"skip\" }",
    ));
    assert_eq!(domains, Some(2));
    assert_eq!(told[1], "net 1 ended: retry");
    assert!(
        told[0].starts_with("ended: it was unpaused and is now"),
        "{told:?}"
    );
    assert_eq!(run(&hook("\"skip\"")).1, Some(0));
    for body in [
        "()",
        "\"stop\"",
        "\"substitute web\"",
        "\"recover\"",
        "\"?\"",
        "loop {}",
        "throw 1",
        "7",
    ] {
        assert_eq!(run(&hook(body)).1, None, "{body}");
    }
}

#[test]
fn a_script_can_refuse_what_says_it_is_ready() {
    let fake = Fake::default();
    let script = "fn launch(facts, plan) { plan.allow_all(); plan }\n\
                  fn on_ready(domain) { `${domain.name} is not to be trusted` }";
    let approved = approved_with(&domain("net", 9, PATIENT), Some(script));
    let (told, result) = launched(&fake, &approved);
    assert_eq!(told, ["net is ready", "net 1 refused: stop"]);
    assert_eq!(result.unwrap_err(), "start domain net (domid 9)");
    assert_eq!(fake.steps(), "create 9, unpause 9, destroy 9");
}

#[test]
fn the_recovery_domain_starts_alone_and_finds_out_why() {
    let fake = silent(&[(9, &[NEVER])]);
    let domains = [
        domain("net", 9, GATE),
        domain("web", 42, ""),
        domain("rescue", 99, "roles = [\"recovery\"]"),
    ];
    let approved = approved_with(&domains.concat(), None);
    let mut told = Told::default();
    let built = build(&approved, &fake, &mut told).unwrap();
    let error = launch::Error::from(hand_off(built, None, &mut told).unwrap_err());
    assert_eq!(told.0, ["net 1 timeout: recover"]);
    assert!(error.recovers());
    assert!(fake.there.borrow().is_empty());
    let mut report = Report::new(Path::new("launch.toml"));
    report.told(&Err(error));
    let nowhere = Path::new("/nonexistent/libxl.log");
    let recovered = recovery::start(&approved, &fake, nowhere, &mut report).unwrap();
    assert_eq!(recovered.domid.value(), 99);
    assert!(
        fake.steps()
            .ends_with("destroy 42, destroy 9, create 99, unpause 99")
    );
    let nodes = fake.nodes.borrow();
    let node = |name: &str| nodes[&format!("/local/domain/99/domb/{name}")].as_str();
    assert_eq!((node("exit_code"), node("domain")), ("9", "net"));
    assert!(
        node("cause").contains("not ready within 100ms: node data/ready"),
        "{}",
        node("cause")
    );
    assert_eq!(node("console/0000"), "last words of 9");
    let report: String = (0..node("report/count").parse::<u32>().unwrap())
        .map(|piece| node(&format!("report/{piece:04}")))
        .collect();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["failure"]["domain"], "net");
    assert_eq!(fake.there.borrow().len(), 1, "it is left alone");
}

#[test]
fn the_xenstore_domain_stays_for_the_recovery_domain() {
    let fake = Fake {
        store: Some(1),
        ..silent(&[(9, &[NEVER])])
    };
    let domains = [
        domain("store", 1, "roles = [\"xenstore\"]").replace("ramdisk", "# ramdisk"),
        domain("net", 9, GATE),
        domain("rescue", 99, "roles = [\"recovery\"]"),
    ];
    let approved = approved_with(&domains.concat(), None);
    let mut told = Told::default();
    let built = build(&approved, &fake, &mut told).unwrap();
    let error = launch::Error::from(hand_off(built, None, &mut told).unwrap_err());
    let mut report = Report::new(Path::new("launch.toml"));
    report.loaded(&approved.measured.loaded);
    report.told(&Err(error));
    let nowhere = Path::new("/nonexistent/libxl.log");
    assert!(recovery::start(&approved, &fake, nowhere, &mut report).is_some());
    assert!(
        fake.steps().ends_with("destroy 9, create 99, unpause 99"),
        "{}",
        fake.steps()
    );
    assert_eq!(report.domains[0].name, "store");
    assert_eq!(report.domains[0].state, DomainState::Running);
    assert_eq!(report.owners.xenstore, 1);
}

#[test]
fn a_recovery_domain_that_cannot_be_built_is_said_and_leaves_nothing() {
    let fake = Fake {
        fail_create: RefCell::new(BTreeMap::from([(99, 1)])),
        ..Fake::default()
    };
    let approved = approved_with(&domain("rescue", 99, "roles = [\"recovery\"]"), None);
    let error = build(&approved, &fake, &mut Told::default()).err().unwrap();
    assert!(matches!(error, Error::OnlyReserves { recover: true }));
    let mut report = Report::new(Path::new("launch.toml"));
    let nowhere = Path::new("/nonexistent/libxl.log");
    assert_eq!(
        recovery::start(&approved, &fake, nowhere, &mut report),
        None
    );
    let reason = report.recovery.unwrap().reason.unwrap();
    assert!(reason.starts_with("libxl says no"), "{reason}");
    assert!(fake.there.borrow().is_empty());
}
