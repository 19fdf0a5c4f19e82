// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Courses that are run on a desk: a few that are told step by step, and many
//! at random against a model that knows nothing of how a course decides.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::measure::{Artefact, Artefacts, DomainArtefacts};
use crate::policy::{Facts, Limits, PlatformFacts, Script, decide, effective};

fn domain(name: &str, domid: usize, more: &str) -> String {
    format!(
        "[[domain]]\nname = \"{name}\"\ndomid = {domid}\ntype = \"pv\"\nkernel = \"k\"\n\
         memory = \"96M\"\n{more}\n"
    )
}

fn config(domains: &[(&str, &str)]) -> Config {
    config_with("process", domains, "")
}

fn config_with(exit: &str, domains: &[(&str, &str)], more: &str) -> Config {
    let domains = domains.iter().enumerate();
    let domains = domains.map(|(at, (name, more))| domain(name, at + 1, more));
    let text = format!("exit = \"{exit}\"\n{}{more}", domains.collect::<String>());
    Config::parse("launch.toml", text.as_bytes()).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

fn name(text: &str) -> DomainName {
    DomainName(text.to_owned())
}

fn names(names: &[DomainName]) -> Vec<&str> {
    names.iter().map(DomainName::as_str).collect()
}

/// Builds what is to be built; gives it in order.
fn build(course: &mut Course) -> Vec<DomainName> {
    let mut built = Vec::new();
    while let Some(next) = course.next_to_build().cloned() {
        course.built(&next);
        built.push(next);
    }
    built
}

/// Starts what can be started; gives it in order.
fn start(course: &mut Course, now: Duration) -> Vec<DomainName> {
    let mut started = Vec::new();
    while let Some(next) = course.next_to_start().cloned() {
        course.started(&next, now);
        started.push(next);
    }
    started
}

const SECOND: Duration = Duration::from_secs(1);
const GATE: &str = "ready = { xenstore = \"data/ready\", timeout = \"10s\" }";

#[test]
fn a_gate_holds_back_those_behind_it_and_no_others() {
    let mut course = Course::new(&config(&[
        ("store", GATE),
        ("net", "after = [\"store\"]"),
        ("web", "after = [\"net\"]"),
        ("apart", ""),
    ]));
    assert_eq!(
        names(&build(&mut course)),
        ["store", "net", "web", "apart"],
        "all are built early"
    );
    assert_eq!(names(&start(&mut course, SECOND)), ["store", "apart"]);
    assert_eq!(names(&course.awaited()), ["store"]);
    assert!(!course.has_arrived());
    course.opened(&name("store"));
    assert_eq!(names(&start(&mut course, SECOND)), ["net", "web"]);
    assert!(course.has_arrived());
    assert_eq!(
        names(&course.shutdown_order()),
        ["web", "net", "apart", "store"]
    );
    assert_eq!(course.came(), Came::default());
}

/// A platform without domain 0, with these tables beside its domains.
fn departed(guests: &[(&str, &str)], more: &str) -> Course {
    let [store, control, hardware] = ["xenstore", "control", "hardware"]
        .map(|role| format!("roles = [\"{role}\"]\nseclabel = \"u:r:{role}\""));
    let mut domains = vec![
        ("store", store.as_str()),
        ("control", &control),
        ("hardware", &hardware),
    ];
    domains.extend(guests);
    Course::new(&config_with("domain", &domains, more))
}

#[test]
fn the_launch_does_not_go_on_without_those_that_all_rely_on() {
    let rescue = (
        "rescue",
        "roles = [\"recovery\"]\nseclabel = \"u:r:rescue\"",
    );
    let course = departed(&[("net", ""), rescue], "");
    let read = |of: &str, text: &str| course.read(&name(of), text);
    for of in ["store", "control", "hardware"] {
        for text in ["skip", "retry"] {
            let refused = read(of, text).unwrap_err();
            assert!(
                refused.contains("every other domain relies on"),
                "{refused}"
            );
        }
        assert_eq!(read(of, "stop"), Ok(Decision::Stop));
    }
    assert_eq!(read("control", "recover"), Ok(Decision::Recover));
    assert!(read("store", "recover").is_err());
    assert_eq!(course.configured(&name("store")), Decision::Stop);
    assert_eq!(read("net", "skip"), Ok(Decision::Skip));
}

#[test]
fn nothing_goes_on_that_would_have_to_be_measured_where_nothing_can_be() {
    for (mode, goes_on) in [("required", false), ("optional", true), ("off", true)] {
        let more = format!("[measure]\ntpm = \"{mode}\"\n");
        let mut course = departed(&[("net", "on_failure = \"skip\"")], &more);
        build(&mut course);
        assert_eq!(course.configured(&name("net")), Decision::Skip);
        course.build_hardware();
        build(&mut course);
        assert_eq!(
            course.read(&name("net"), "retry").is_ok(),
            goes_on,
            "{mode}"
        );
        let configured = course.configured(&name("net"));
        assert_eq!(configured == Decision::Skip, goes_on, "{mode}");
    }
}

#[test]
fn the_hardware_domain_is_shut_down_last_and_what_serves_it_ends_with_it() {
    let mut course = departed(&[("net", ""), ("web", "after = [\"net\"]")], "");
    build(&mut course);
    for service in course.services() {
        course.started(&service, SECOND);
    }
    course.build_hardware();
    build(&mut course);
    start(&mut course, SECOND);
    assert_eq!(names(&course.shutdown_order()), ["web", "net", "hardware"]);
}

#[test]
fn the_deadline_counts_from_the_start_of_the_domain() {
    let mut course = Course::new(&config(&[
        ("first", GATE),
        ("second", &format!("after = [\"first\"]\n{GATE}")),
    ]));
    build(&mut course);
    start(&mut course, SECOND);
    assert_eq!(course.late(SECOND * 10), []);
    assert_eq!(course.late(SECOND * 11), [(name("first"), OnTimeout::Fail)]);
    course.opened(&name("first"));
    start(&mut course, SECOND * 11);
    assert_eq!(course.late(SECOND * 20), []);
    assert_eq!(course.late(SECOND * 21).len(), 1);
}

#[test]
fn a_domain_that_is_skipped_takes_those_that_need_it() {
    let mut course = Course::new(&config(&[
        ("net", &format!("on_failure = \"skip\"\n{GATE}")),
        ("web", "after = [\"net\"]"),
        ("shop", "after = [\"web\"]"),
        ("apart", ""),
    ]));
    build(&mut course);
    start(&mut course, SECOND);
    let net = name("net");
    assert_eq!(course.configured(&net), Decision::Skip);
    let gone = course.failed(&net, "timeout", &Decision::Skip);
    assert_eq!(names(&gone), ["net", "web", "shop"]);
    assert!(course.has_arrived());
    let left_out = course.came().left_out;
    assert_eq!(left_out[&net], "timeout");
    assert_eq!(left_out[&name("shop")], "it needs web, which was left out");
    assert_eq!(names(&course.shutdown_order()), ["apart"]);
}

#[test]
fn retries_are_counted_and_then_the_launch_has_failed() {
    let mut course = Course::new(&config(&[("net", "on_failure = \"retry 2\"")]));
    let net = name("net");
    for attempt in 1..=2 {
        assert_eq!(course.attempt(&net), attempt);
        assert_eq!(course.configured(&net), Decision::Retry);
        assert_eq!(course.failed(&net, "build", &Decision::Retry), []);
        assert_eq!(course.next_to_build(), Some(&net));
    }
    assert_eq!(course.came().retried[&net], 2);
    assert_eq!(course.configured(&net), Decision::Stop);
    let with_recovery = config(&[
        ("net", "on_failure = \"retry 1\""),
        ("rescue", "roles = [\"recovery\"]"),
    ]);
    let mut course = Course::new(&with_recovery);
    course.failed(&net, "build", &Decision::Retry);
    assert_eq!(course.configured(&net), Decision::Recover);
}

#[test]
fn those_that_were_started_after_a_domain_start_again_after_it() {
    let mut course = Course::new(&config(&[
        ("net", "on_failure = \"retry 1\""),
        ("web", "after = [\"net\"]"),
        ("apart", ""),
    ]));
    build(&mut course);
    start(&mut course, SECOND);
    let gone = course.failed(&name("net"), "ended", &Decision::Retry);
    assert_eq!(names(&gone), ["web", "net"]);
    assert_eq!(names(&build(&mut course)), ["net", "web"]);
    assert_eq!(names(&start(&mut course, SECOND)), ["net", "web"]);
    assert_eq!(
        course.came().retried.len(),
        1,
        "web did not fail: {:?}",
        course.came()
    );
}

#[test]
fn a_substitute_is_waited_for_in_the_place_it_takes() {
    let mut course = Course::new(&config(&[
        ("web", "after = [\"net\"]"),
        ("net", &format!("on_failure = \"substitute spare\"\n{GATE}")),
        ("spare", &format!("standby = true\n{GATE}")),
    ]));
    assert_eq!(names(&build(&mut course)), ["net", "web"]);
    start(&mut course, SECOND);
    let net = name("net");
    let decision = course.configured(&net);
    assert_eq!(decision, Decision::Substitute(name("spare")));
    assert_eq!(names(&course.failed(&net, "timeout", &decision)), ["net"]);
    assert_eq!(names(&build(&mut course)), ["spare"]);
    assert_eq!(names(&start(&mut course, SECOND)), ["spare"]);
    course.opened(&name("spare"));
    assert_eq!(names(&start(&mut course, SECOND)), ["web"]);
    let came = course.came();
    assert_eq!(came.substituted[&net], name("spare"));
    assert!(came.left_out.is_empty() && came.retried.is_empty());
}

#[test]
fn a_scripts_decision_is_read_only_if_it_can_be_carried_out() {
    let plan = config(&[
        ("net", "on_failure = \"substitute spare\""),
        ("spare", "standby = true\nafter = [\"apart\"]"),
        ("apart", ""),
    ]);
    let course = Course::new(&plan);
    let read = |of: &str, text: &str| course.read(&name(of), text);
    assert_eq!(read("apart", "skip"), Ok(Decision::Skip));
    assert_eq!(read("apart", " retry "), Ok(Decision::Retry));
    assert_eq!(
        read("net", "substitute spare"),
        Ok(Decision::Substitute(name("spare")))
    );
    for (of, text) in [
        ("apart", "substitute spare"), // which starts after it
        ("apart", "substitute net"),
        ("apart", "substitute nobody"),
        ("apart", "recover"),
        ("apart", "retry 2"),
        ("apart", ""),
        ("apart", "go on"),
    ] {
        assert!(read(of, text).is_err(), "{of} {text}");
    }
}

#[test]
fn no_domain_is_tried_without_end() {
    let mut course = Course::new(&config(&[("net", "")]));
    let net = name("net");
    for _ in 1..Course::MAX_ATTEMPTS {
        let decision = course.read(&net, "retry").unwrap();
        course.failed(&net, "again", &decision);
    }
    assert!(course.read(&net, "retry").is_err());
}

#[test]
fn a_recovery_domain_is_no_part_of_the_course() {
    let course = Course::new(&config(&[("rescue", "roles = [\"recovery\"]")]));
    assert!(!course.has_work() && course.next_to_build().is_none());
}

/// One domain at random: which earlier ones it starts after, whether it has a
/// gate, what its failure means.
type Traits = (Vec<bool>, bool, u8);

fn any_traits() -> impl Strategy<Value = Vec<Traits>> {
    let traits = (
        prop::collection::vec(prop::bool::weighted(0.3), 8),
        any::<bool>(),
        0..5_u8,
    );
    prop::collection::vec(traits, 1..8)
}

/// A configuration with these domains, d0 and on; s0 and on are on standby.
fn random(traits: &[Traits], recovery: bool) -> Config {
    let mut text = String::new();
    let mut domid = 0;
    let mut add = |name: &str, more: &str| {
        domid += 1;
        text += &domain(name, domid, more);
    };
    for (at, (after, gate, failure)) in traits.iter().enumerate() {
        let after: Vec<String> = (0..at)
            .filter(|other| after[*other])
            .map(|other| format!("\"d{other}\""))
            .collect();
        let mut more = format!("after = [{}]\n", after.join(", "));
        if *gate {
            writeln!(more, "{GATE}").unwrap();
        }
        match failure {
            0 => more += "on_failure = \"stop\"",
            1 => more += "on_failure = \"skip\"",
            2 => more += "on_failure = \"retry 2\"",
            3 => {
                writeln!(more, "on_failure = \"substitute s{at}\"").unwrap();
                let standby = format!(
                    "standby = true\non_failure = \"skip\"\nafter = [{}]",
                    after.join(", ")
                );
                add(&format!("s{at}"), &standby);
            }
            _ => {}
        }
        add(&format!("d{at}"), &more);
    }
    if recovery {
        add("rescue", "roles = [\"recovery\"]");
    }
    Config::parse("launch.toml", text.as_bytes()).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

/// What is really there, kept by whoever carries out a course.
#[derive(Default)]
struct Model {
    paused: BTreeSet<DomainName>,
    running: BTreeSet<DomainName>,
    ready: BTreeSet<DomainName>,
    ever_built: BTreeSet<DomainName>,
    failures: usize,
}

impl Model {
    /// Everything that `name` starts after, as it is now.
    fn needs(plan: &Config, course: &Course, name: &DomainName) -> Vec<DomainName> {
        let substituted = course.came().substituted;
        let domain = plan.domain(name.as_str()).unwrap();
        let place = |need: &DomainName| {
            let mut place = need.clone();
            while let Some(by) = substituted.get(&place) {
                place = by.clone();
            }
            place
        };
        domain.after.iter().map(place).collect()
    }

    /// False: the launch has failed.
    fn fail(&mut self, course: &mut Course, name: &DomainName) -> bool {
        self.failures += 1;
        let decision = course.configured(name);
        let gone = course.failed(name, "why", &decision);
        if !decision.goes_on() {
            assert!(gone.is_empty());
            return false;
        }
        for name in gone {
            assert!(
                self.paused.remove(&name) | self.running.remove(&name),
                "{name} is destroyed and was not there"
            );
            self.ready.remove(&name);
        }
        assert!(!self.paused.contains(name) && !self.running.contains(name));
        true
    }

    /// Runs the course to its end. `dice` decides what happens.
    fn run(&mut self, plan: &Config, mut dice: impl FnMut(u32) -> u32) -> Course {
        let mut course = Course::new(plan);
        let mut now = Duration::ZERO;
        for _ in 0..100_000 {
            for name in &self.running {
                for need in Model::needs(plan, &course, name) {
                    assert!(self.running.contains(&need), "{name} runs without {need}");
                }
            }
            if let Some(name) = course.next_to_build().cloned() {
                if dice(8) == 0 {
                    if !self.fail(&mut course, &name) {
                        return course;
                    }
                    continue;
                }
                course.built(&name);
                assert!(self.paused.insert(name.clone()));
                self.ever_built.insert(name);
            } else if let Some(name) = course.next_to_start().cloned() {
                for need in Model::needs(plan, &course, &name) {
                    assert!(self.ready.contains(&need), "{name} starts before {need}");
                }
                assert!(self.paused.remove(&name));
                course.started(&name, now);
                if plan.domain(name.as_str()).unwrap().ready.is_none() {
                    self.ready.insert(name.clone());
                }
                self.running.insert(name);
            } else {
                let unpaused = course.unpaused();
                assert_eq!(
                    unpaused.iter().cloned().collect::<BTreeSet<_>>(),
                    self.running
                );
                let awaited = course.awaited();
                if course.has_arrived() && dice(4) > 0 {
                    assert!(awaited.is_empty());
                    return course;
                }
                let pick = |all: &[DomainName], dice: u32| all.get(dice as usize).cloned();
                match dice(4) {
                    0 => {
                        let at = dice(8);
                        if let Some(name) = pick(&unpaused, at)
                            && !self.fail(&mut course, &name)
                        {
                            return course;
                        }
                    }
                    1 => now += SECOND * 4,
                    _ => {
                        let at = dice(u32::try_from(awaited.len()).unwrap().max(1));
                        if let Some(name) = pick(&awaited, at) {
                            course.opened(&name);
                            self.ready.insert(name);
                        }
                    }
                }
                for (name, _) in course.late(now) {
                    if course.awaited().contains(&name) && !self.fail(&mut course, &name) {
                        return course;
                    }
                }
            }
        }
        panic!("the course does not end");
    }
}

/// Dice that are thrown beforehand; all ones when they are used up.
fn dice(mut thrown: Vec<u32>) -> impl FnMut(u32) -> u32 {
    move |sides| thrown.pop().map_or(1, |number| number % sides.max(1))
}

fn facts(config: &Config) -> Facts {
    let file = |path: &str| Artefact {
        path: path.to_owned(),
        bytes: 1,
        digests: crate::measure::Digests::of(&[crate::measure::Bank::Sha256], b"x"),
        original: None,
    };
    let artefacts = Artefacts {
        domains: config
            .domains
            .iter()
            .map(|domain| DomainArtefacts {
                name: domain.name.clone(),
                kernel: file("k"),
                ramdisk: None,
                images: BTreeMap::new(),
            })
            .collect(),
        ..Artefacts::default()
    };
    Facts::gather(config, &artefacts, PlatformFacts::default(), None).unwrap()
}

proptest! {
    #[test]
    fn no_domain_starts_before_its_gates_whatever_fails(
        traits in any_traits(),
        recovery in any::<bool>(),
        thrown in prop::collection::vec(any::<u32>(), 0..200),
    ) {
        let plan = random(&traits, recovery);
        let mut model = Model::default();
        let course = model.run(&plan, dice(thrown));
        prop_assert!(model.failures <= plan.domains.len() * 10);
        prop_assert!(!model.ever_built.iter().any(|name| name.as_str() == "rescue"));
        for name in course.shutdown_order() {
            prop_assert!(model.running.contains(&name));
        }
    }

    #[test]
    fn what_a_script_denied_is_never_built_nor_what_needs_it(
        traits in any_traits(),
        denied in prop::collection::btree_set(0..8_usize, 0..3),
        thrown in prop::collection::vec(any::<u32>(), 0..200),
    ) {
        let config = random(&traits, true);
        let denied: Vec<String> = denied
            .into_iter()
            .flat_map(|at| [format!("d{at}"), format!("s{at}")])
            .filter(|name| config.domain(name).is_some())
            .collect();
        let mut text = "fn launch(facts, plan) {\nplan.allow_all();\n".to_owned();
        for name in &denied {
            writeln!(text, "plan.deny(\"{name}\", \"no\");").unwrap();
        }
        text += "plan }";
        let script = Script::new("launch.rhai", text.as_bytes()).unwrap();
        let verdict = decide(Some(&script), &facts(&config), &Limits::default(), || false).unwrap();
        let Ok(approval) = verdict.approve() else { return Ok(()) };
        let plan = effective(&config, &approval, "launch.rhai").unwrap_or_else(|e| panic!("{e}")).config;
        let mut model = Model::default();
        model.run(&plan, dice(thrown));
        for name in &model.ever_built {
            prop_assert!(!denied.iter().any(|denied| denied == name.as_str()));
            for need in &config.domain(name.as_str()).unwrap().after {
                prop_assert!(!denied.iter().any(|denied| denied == need.as_str()), "{} needs {}", name, need);
            }
        }
    }
}
