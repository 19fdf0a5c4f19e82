// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Build and hand-off against a toolstack that fails on demand: what is left
//! of a platform when one step of it goes wrong.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use domb_core::config::{Config, Control, DomainConfig, Range};
use domb_core::flask::CONTROL_LABEL;
use domb_core::measure::Bank;
use domb_core::policy::{Facts, Flask, Limits, PlatformFacts, decide};
use domb_core::units::Domid;

use crate::build::{Built, Cause, Error, build};
use crate::handoff::{self, hand_off};
use crate::launch::{Approved, Measured};
use crate::load::{Artefact, DomainArtefacts, Loaded};
use crate::own_label::{self, Given, NextLabel};
use crate::sealed::Sealed;
use crate::toolstack::{self, State, Toolstack};
use crate::withhold::withhold;

/// Builds what it is asked but what it is told not to, and writes it down.
#[derive(Default)]
struct Fake {
    steps: RefCell<Vec<String>>,
    there: RefCell<BTreeMap<u16, State>>,
    fail_create: Option<u16>,
    fail_unpause: Option<u16>,
    crash: Option<u16>,
    free_mib: Option<u64>,
    flask: Option<Flask>,
    real_label: Option<&'static str>,
    own_label: RefCell<Option<String>>,
    /// The labels that domain 0 may take.
    known: &'static [&'static str],
    deny_relabel: bool,
    messages: RefCell<String>,
    keeps: Option<Range>,
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
        if self.fail_create == Some(domain.domid.value()) {
            self.messages.borrow_mut().push_str(DENIED);
            return Err(refusal());
        }
        self.note("create", domain.domid);
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
        let state = if self.crash == Some(domid.value()) {
            State::Shutdown("crash".to_owned())
        } else {
            State::Running
        };
        self.there.borrow_mut().insert(domid.value(), state);
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

    fn holds(&self, range: &Range) -> Result<bool, toolstack::Error> {
        Ok(self.keeps != Some(*range))
    }

    fn withhold(&self, range: &Range) -> Result<(), toolstack::Error> {
        self.steps.borrow_mut().push(format!("withhold {range}"));
        Ok(())
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

/// store (7), net (9, needs store), web (42, needs net); `extra` goes into
/// net's table.
fn approved(extra: &str) -> Approved {
    let domain = |name: &str, domid: u16, more: &str| {
        format!(
            "[[domain]]\nname = \"{name}\"\ndomid = {domid}\ntype = \"pv\"\n\
             kernel = \"k\"\nmemory = \"96M\"\n{more}\n"
        )
    };
    let text = [
        domain("store", 7, ""),
        domain("net", 9, &format!("after = [\"store\"]\n{extra}")),
        domain("web", 42, "after = [\"net\"]"),
    ]
    .concat();
    let config = Config::parse("launch.toml", text.as_bytes()).unwrap();
    let kernel = Rc::new(Artefact {
        written: "k".into(),
        sealed: Rc::new(Sealed::new("k", b"kernel").unwrap()),
        original: None,
        entries: None,
        promised_sha256: None,
    });
    let domains = config
        .domains
        .iter()
        .map(|domain| {
            let files = DomainArtefacts {
                kernel: Rc::clone(&kernel),
                ramdisk: None,
            };
            (domain.name.clone(), files)
        })
        .collect();
    let loaded = Loaded {
        config,
        script: None,
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
    Approved {
        measured: Measured { loaded, artefacts },
        approval,
        plan,
    }
}

fn built<'t>(fake: &'t Fake, extra: &str) -> Result<Built<'t>, Error> {
    build(&approved(extra), fake, |_, _| {})
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
    let built = built(&fake, "").unwrap();
    let handed_off = hand_off(built, &fake, None, |_, _| {}).unwrap();
    assert_eq!(handed_off.domains, 3);
    assert_eq!(
        fake.steps(),
        "create 7, create 9, create 42, unpause 7, unpause 9, unpause 42"
    );
}

#[test]
fn a_domain_that_cannot_be_built_takes_the_others_down_last_first() {
    let fake = Fake {
        fail_create: Some(42),
        ..Fake::default()
    };
    let (name, cause) = cause(built(&fake, ""));
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
        fail_create: Some(9),
        ..Fake::default()
    };
    let built = built(&fake, "on_failure = \"skip\"").unwrap();
    let left_out: Vec<&str> = built
        .left_out
        .keys()
        .map(domb_core::config::DomainName::as_str)
        .collect();
    assert_eq!(left_out, ["net", "web"]);
    assert_eq!(hand_off(built, &fake, None, |_, _| {}).unwrap().domains, 1);
    assert_eq!(fake.steps(), "create 7, unpause 7");
}

#[test]
fn a_built_platform_that_is_dropped_is_destroyed() {
    let fake = Fake::default();
    drop(built(&fake, "").unwrap());
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
    let built = built(&fake, "").unwrap();
    let error = hand_off(built, &fake, None, |_, _| {}).unwrap_err();
    assert_eq!(error.to_string(), "start domain net (domid 9)");
    assert!(
        fake.steps()
            .ends_with("unpause 7, destroy 42, destroy 9, destroy 7")
    );
}

#[test]
fn a_domain_that_crashes_at_once_is_a_failure_with_its_last_words() {
    let fake = Fake {
        crash: Some(42),
        ..Fake::default()
    };
    let built = built(&fake, "").unwrap();
    let Err(handoff::Error::Domain { name, console, .. }) = hand_off(built, &fake, None, |_, _| {})
    else {
        panic!("it was handed over");
    };
    assert_eq!(name.as_str(), "web");
    assert_eq!(console, ["last words of 42"]);
    assert!(fake.there.borrow().is_empty());
}

#[test]
fn a_domid_that_is_in_use_is_refused_and_its_owner_left_alone() {
    let fake = Fake::default();
    fake.there.borrow_mut().insert(9, State::Running);
    let (name, cause) = cause(built(&fake, ""));
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
    let (name, cause) = cause(built(&fake, ""));
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
        let (name, cause) = cause(built(&fake, "seclabel = \"system_u:system_r:guest_t\""));
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
    let (_, cause) = cause(built(&fake, "seclabel = \"system_u:system_r:guest_t\""));
    assert!(matches!(cause, Cause::OtherLabel { .. }));
    assert_eq!(fake.steps(), "create 7, create 9, destroy 9, destroy 7");
}

#[test]
fn a_range_that_cannot_be_given_away_is_refused_before_libxl_is_asked() {
    let fake = Fake {
        keeps: Range::iomem("fed40,1"),
        ..Fake::default()
    };
    let (name, cause) = cause(built(&fake, "ioports = [\"70\"]\niomem = [\"fed40,1\"]"));
    assert_eq!(name, "net");
    assert!(matches!(cause, Cause::NotHeld(range) if Some(range) == fake.keeps));
    assert_eq!(fake.steps(), "create 7, destroy 7");
}

#[test]
fn what_was_given_is_withheld_after_all_is_built_and_before_anything_runs() {
    let fake = Fake::default();
    let built = built(&fake, "ioports = [\"70\"]\niomem = [\"fed40,1\"]").unwrap();
    withhold(&built, &fake).unwrap();
    hand_off(built, &fake, None, |_, _| {}).unwrap();
    assert_eq!(
        fake.steps(),
        "create 7, create 9, create 42, withhold iomem fed40,1, withhold ioports 70, \
         unpause 7, unpause 9, unpause 42"
    );
}

#[test]
fn what_a_domain_that_is_left_out_would_have_is_not_withheld() {
    let fake = Fake {
        fail_create: Some(9),
        ..Fake::default()
    };
    let built = built(&fake, "on_failure = \"skip\"\nioports = [\"70\"]").unwrap();
    assert!(built.withheld.is_empty());
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
    let built = built(fake, "").unwrap();
    Ok(hand_off(built, fake, Some(&next), |_, _| {})?.own_label)
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
    let result = build(&approved, &fake, |_, _| {});
    assert!(matches!(
        result,
        Err(Error::Control(Cause::LabelNotEnforced { .. }))
    ));
    assert_eq!(fake.steps(), "");
}
