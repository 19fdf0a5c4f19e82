// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tests that an integrator writes into a launch script: functions named
//! `test_…` that run `launch` on sets of facts and say what they expect.
//!
//! They run in the same sandbox as the script itself. A test passes only if it
//! expected something and all of it held; a failed expectation stays failed
//! even if the script catches the error.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use rhai::{Array, Dynamic, EvalAltResult, NativeCallContext, Position};

use super::draft::{Plan, no_domain};
use super::engine::{self, Count, on_own_stack};
use super::error::{Error, Raised, plain};
use super::explain::from_run;
use super::facts::Facts;
use super::hooks::{self, Said};
use super::json::{from_json, to_json};
use super::library::show;
use super::limits::{Limit, Limits};
use super::script::Script;
use super::table::{Row, Table, rows};
use super::verdict::{Outcome, Verdict};
use super::view::View;
use super::watch::Watch;

/// What became of one test of a launch script.
#[derive(Clone, PartialEq, Debug)]
pub struct Tested {
    /// The function's name.
    pub name: String,
    /// Why it failed, if it did.
    pub result: Result<(), Error>,
}

/// Runs every function of `script` whose name begins with `test_`, in the
/// order of the script. `sets` are the facts they can ask for by name, and
/// `watch` makes a watch for each run.
///
/// # Errors
/// The script does not compile, or has no tests.
pub fn rehearse<W: Watch + 'static>(
    script: &Script,
    sets: &BTreeMap<String, Facts>,
    limits: &Limits,
    watch: impl Fn() -> W + Send + Sync + Clone + 'static,
) -> Result<Vec<Tested>, Error> {
    on_own_stack(script, || {
        let names = tests_of(script, limits)?;
        let test = |name: String| Tested {
            result: run(&name, script, sets, limits, &watch),
            name,
        };
        Ok(names.into_iter().map(test).collect())
    })
}

/// The names of the tests, in the order of the script.
fn tests_of(script: &Script, limits: &Limits) -> Result<Vec<String>, Error> {
    script.fits(limits)?;
    let (mut engine, _) = engine::sandbox(limits, &Plan::new(Rc::default(), 0));
    let ast = engine::compiled(&mut engine, script, limits)?;
    let mut names: Vec<String> = ast
        .iter_functions()
        .filter(|function| function.name.starts_with("test_"))
        .map(|function| function.name.to_owned())
        .collect();
    names.sort_by_key(|name| script.text().find(&format!("fn {name}")));
    names.dedup();
    if names.is_empty() {
        return Err(Error::NoTests {
            script: script.name().to_owned(),
        });
    }
    Ok(names)
}

fn run<W: Watch + 'static>(
    name: &str,
    script: &Script,
    sets: &BTreeMap<String, Facts>,
    limits: &Limits,
    watch: &(impl Fn() -> W + Clone + 'static),
) -> Result<(), Error> {
    let plan = Plan::new(Rc::default(), limits.size(Limit::LogLines));
    let (mut engine, _) = engine::sandbox(limits, &plan);
    register(&mut Table::new(&mut engine));
    let count = Count::up_to(limits.of(Limit::Operations));
    engine::count_operations(&mut engine, &count, watch());
    let ast = engine::compiled(&mut engine, script, limits)?;
    let launch = {
        let (script, limits, watch) = (script.clone(), limits.clone(), watch.clone());
        move |facts: &Facts| engine::launch(&script, facts, &limits, watch())
    };
    let on_failed = {
        let (script, limits, watch) = (script.clone(), limits.clone(), watch.clone());
        move |facts: &Facts, asked: (&str, u32, &str)| {
            hooks::failed(&script, facts, asked, &limits, watch())
        }
    };
    let on_ready = {
        let (script, limits, watch) = (script.clone(), limits.clone(), watch.clone());
        move |facts: &Facts, name: &str| hooks::ready(&script, facts, name, &limits, watch())
    };
    let test = Test(Rc::new(State {
        sets: sets.clone(),
        launch: Box::new(launch),
        on_failed: Box::new(on_failed),
        on_ready: Box::new(on_ready),
        expected: Cell::new(0),
        failed: RefCell::default(),
    }));
    let called = engine::call(&engine, &ast, name, (test.clone(),));
    if let Some((raised, position)) = test.0.failed.take() {
        return Err(Error::failed(script, raised, position));
    }
    // What a test returns means nothing.
    called
        .map(drop)
        .map_err(|error| from_run(script, limits, &error))?;
    match test.0.expected.get() {
        0 => Err(Error::NothingExpected {
            script: script.name().to_owned(),
            test: name.to_owned(),
        }),
        _ => Ok(()),
    }
}

type Launch = Box<dyn Fn(&Facts) -> Result<Verdict, Error>>;
type OnFailed = Box<dyn Fn(&Facts, (&str, u32, &str)) -> Result<Said, Error>>;
type OnReady = Box<dyn Fn(&Facts, &str) -> Result<Said, Error>>;

struct State {
    sets: BTreeMap<String, Facts>,
    launch: Launch,
    on_failed: OnFailed,
    on_ready: OnReady,
    expected: Cell<u32>,
    failed: RefCell<Option<(Raised, Position)>>,
}

/// The parameter of a test.
#[derive(Clone)]
struct Test(Rc<State>);

/// What `launch` answered.
#[derive(Clone)]
struct Answer {
    facts: Rc<Facts>,
    result: Rc<Result<Verdict, Error>>,
}

type Raises<T> = Result<T, Box<EvalAltResult>>;

fn register(table: &mut Table<'_>) {
    table.on::<Test>("Test");
    rows! { table;
        /// The facts of that name among those the test run was given.
        function "facts(test, name)" -> "Facts" = Test::facts;
        /// What `launch` of this script makes of the facts.
        function "launch(test, facts)" -> "Answer" = Test::launch;
        /// What `on_failed` of this script says about the domain of that name when
        /// an attempt at it failed; `()` for what the configuration says.
        function "on_failed(test, facts, name, attempt, reason)" -> "string or ()" = Test::on_failed;
        /// What `on_ready` of this script says about the domain of that name.
        function "on_ready(test, facts, name)" -> "string or ()" = Test::on_ready;
        /// Fails the test, with this remark, unless the condition is true.
        function "expect(test, condition, remark)" -> "()" = |c: NativeCallContext, t: &mut Test, condition: bool, remark: &str| t.expect(&c, condition, || plain(remark, 400));
        /// Fails the test unless both values are shown the same.
        function "same(test, found, wanted)" -> "()" = |c: NativeCallContext, t: &mut Test, found: Dynamic, wanted: Dynamic| {
            let (found, wanted) = (show(&found), show(&wanted));
            t.expect(&c, found == wanted, || format!("found {}, wanted {}", plain(&found, 200), plain(&wanted, 200)))
        };
    }
    table.about("Facts in a test");
    rows! { table;
        /// The same facts with another value at this path, an array
        /// of keys. A domain is reached by its name.
        function "having(facts, path, value)" -> "Facts" = |v: &mut View, path: Array, value: Dynamic| changed(v, &path, Some(&value));
        /// The same facts without what is at this path.
        function "lacking(facts, path)" -> "Facts" = |v: &mut View, path: Array| changed(v, &path, None);
    }
    table.on::<Answer>("Answer");
    rows! { table;
        /// Whether the domain is launched.
        function "allows(answer, name)" -> "bool" = |a: &mut Answer, name: &str| a.outcome(name).map(|outcome| outcome == Some(Outcome::Allow));
        /// Why the domain is not launched; empty if it is.
        function "reason(answer, name)" -> "string" = Answer::reason;
        /// The new value of a domain's key, as `launch.toml` has it; `()` if it is not changed.
        function "changed(answer, name, key)" -> "value or ()" = Answer::changed;
        /// Names of the resources that the script keeps from the hardware domain.
        property "withheld" -> "array of string" = |a: &mut Answer| -> Array {
            let names = a.result.iter().flat_map(Verdict::withheld);
            names.map(|name| name.as_str().into()).collect()
        };
        /// Why the whole launch is refused; `()` if it is not.
        property "refused" -> "string or ()" = |a: &mut Answer| match &*a.result {
            Ok(verdict) => verdict.refused().map_or(Dynamic::UNIT, Into::into),
            Err(_) => Dynamic::UNIT,
        };
        /// Why there is no answer; `()` if there is one.
        property "error" -> "string or ()" = |a: &mut Answer| match &*a.result {
            Ok(_) => Dynamic::UNIT,
            Err(error) => error.to_string().into(),
        };
        /// The lines written with `log`.
        property "log" -> "array of string" = |a: &mut Answer| -> Array {
            let log = a.result.iter().flat_map(Verdict::log);
            log.map(|line| line.as_str().into()).collect()
        };
    }
}

/// What a test can use besides what a launch script can.
pub(super) fn table() -> Vec<Row> {
    let mut engine = rhai::Engine::new_raw();
    let mut table = Table::new(&mut engine);
    register(&mut table);
    table.finish()
}

impl Test {
    fn facts(&mut self, name: &str) -> Raises<View> {
        let facts = self.0.sets.get(name).ok_or_else(|| {
            let names = self
                .0
                .sets
                .keys()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            let hint = format!("the facts are {}", plain(&names, 400));
            Raised::new(
                format!("no facts are called {:?}", plain(name, 80)),
                Some(&hint),
            )
            .raise()
        })?;
        view(facts)
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "Rhai hands objects over by value"
    )]
    fn launch(&mut self, facts: View) -> Answer {
        Answer {
            facts: facts.facts(),
            result: Rc::new((self.0.launch)(&facts.facts())),
        }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "Rhai hands objects over by value"
    )]
    fn on_failed(
        &mut self,
        facts: View,
        name: &str,
        attempt: i64,
        reason: &str,
    ) -> Raises<Dynamic> {
        let attempt = u32::try_from(attempt).map_err(|_| raise("an attempt is counted from 1"))?;
        said((self.0.on_failed)(&facts.facts(), (name, attempt, reason)))
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "Rhai hands objects over by value"
    )]
    fn on_ready(&mut self, facts: View, name: &str) -> Raises<Dynamic> {
        said((self.0.on_ready)(&facts.facts(), name))
    }

    fn expect(
        &self,
        context: &NativeCallContext<'_>,
        holds: bool,
        remark: impl FnOnce() -> String,
    ) -> Raises<()> {
        self.0.expected.set(self.0.expected.get().saturating_add(1));
        if holds {
            return Ok(());
        }
        let raised = Raised::new(format!("not as expected: {}", remark()), None);
        let place = context.call_position();
        self.0
            .failed
            .borrow_mut()
            .get_or_insert_with(|| (raised.clone(), place));
        Err(raised.raise())
    }
}

impl Answer {
    fn outcome(&self, name: &str) -> Raises<Option<Outcome>> {
        let names = self.facts.domains.iter().map(|domain| domain.name.as_str());
        if self.facts.domain(name).is_none() {
            return Err(no_domain(name, names).raise());
        }
        let decisions = self.result.iter().flat_map(Verdict::domains);
        Ok(decisions
            .into_iter()
            .find(|d| d.name == name)
            .map(|d| d.outcome.clone()))
    }

    fn reason(&mut self, name: &str) -> Raises<String> {
        Ok(match self.outcome(name)? {
            Some(Outcome::Allow) => String::new(),
            Some(Outcome::Deny { reason } | Outcome::LeftOut { reason }) => reason,
            Some(Outcome::Skipped { needs }) => format!("it needs {needs}"),
            None => "there is no answer".to_owned(),
        })
    }

    fn changed(&mut self, name: &str, key: &str) -> Raises<Dynamic> {
        self.outcome(name)?;
        let decisions = self.result.iter().flat_map(Verdict::domains);
        let changes = decisions
            .into_iter()
            .find(|d| d.name == name)
            .map(|d| &d.changes);
        match changes.and_then(|changes| changes.get(key)) {
            None => Ok(Dynamic::UNIT),
            Some(change) => from_json(key, &change.value).map_err(|what| raise(&what)),
        }
    }
}

/// What a hook answered; its failure is one of the test.
fn said(said: Result<Said, Error>) -> Raises<Dynamic> {
    match said {
        Ok(said) => Ok(said.answer.map_or(Dynamic::UNIT, Into::into)),
        Err(error) => Err(raise(&error.to_string())),
    }
}

/// The facts with `value` at `path`, or without what is there.
fn changed(view: &mut View, path: &Array, value: Option<&Dynamic>) -> Raises<View> {
    let keys: Vec<String> = path.iter().map(|key| show(key).to_string()).collect();
    let Some((last, parents)) = keys.split_last() else {
        return Err(raise("the path is empty"));
    };
    let mut root = serde_json::to_value(&*view.facts()).map_err(|e| raise(&e.to_string()))?;
    let missing = |key: &str| raise(&format!("there is nothing at {:?}", plain(key, 80)));
    let mut at = &mut root;
    for key in parents {
        at = step(at, key).ok_or_else(|| missing(key))?;
    }
    match (value, at) {
        (Some(value), serde_json::Value::Object(entries)) => {
            entries.insert(last.clone(), to_json(value).map_err(|what| raise(&what))?);
        }
        (Some(value), at) => {
            *step(at, last).ok_or_else(|| missing(last))? =
                to_json(value).map_err(|what| raise(&what))?;
        }
        (None, serde_json::Value::Object(entries)) => {
            entries.shift_remove(last).ok_or_else(|| missing(last))?;
        }
        (None, serde_json::Value::Array(items)) => {
            let index = position(items, last).ok_or_else(|| missing(last))?;
            items.remove(index);
        }
        (None, _) => return Err(missing(last)),
    }
    let facts: Facts =
        serde_json::from_value(root).map_err(|e| raise(&format!("not facts any more: {e}")))?;
    self::view(&facts)
}

fn step<'v>(at: &'v mut serde_json::Value, key: &str) -> Option<&'v mut serde_json::Value> {
    match at {
        serde_json::Value::Object(entries) => entries.get_mut(key),
        serde_json::Value::Array(items) => {
            let index = position(items, key)?;
            items.get_mut(index)
        }
        _ => None,
    }
}

/// The item of that name, or of that number.
fn position(items: &[serde_json::Value], key: &str) -> Option<usize> {
    let named = items
        .iter()
        .position(|item| item.get("name").is_some_and(|name| name == key));
    named.or_else(|| key.parse().ok().filter(|index| *index < items.len()))
}

fn view(facts: &Facts) -> Raises<View> {
    View::new(facts).map_err(|what| raise(&what))
}

fn raise(what: &str) -> Box<EvalAltResult> {
    Raised::new(plain(what, 400), None).raise()
}
