// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The sandbox: a bare Rhai engine with every limit set, on a stack of its own.
//!
//! It trusts nothing of the script. No module, no `eval`, no output, no clock
//! and no source of chance is reachable; the limits hold while the script is
//! compiled and while it runs; what it can call is in `library`, `view` and `draft`.

use std::cell::Cell;
use std::rc::Rc;

use rhai::{AST, CallFnOptions, Dynamic, Engine, EvalAltResult, FuncArgs, Module, Scope};

use super::draft::{self, Plan};
use super::error::{Error, Fault, Raised};
use super::explain::from_run;
use super::facts::Facts;
use super::hooks;
use super::library;
use super::limits::{Limit, Limits};
use super::script::Script;
use super::signature;
use super::size;
use super::table::{Row, Table};
use super::verdict::Verdict;
use super::view::{self, View};
use super::watch::Watch;

/// Stack for the interpreter. Rhai recurses with the nesting of a script and
/// of its values; the limits keep that below a tenth of this in any build.
const STACK: usize = 32 << 20;

/// The function every launch script defines.
const ENTRY: &str = "launch";

/// Does `work` on a stack of its own, so that a script's depth cannot be ours.
pub(super) fn on_own_stack<T: Send>(
    script: &Script,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    let start = |what: &str| Error::Start {
        script: script.name().to_owned(),
        what: what.to_owned(),
    };
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("launch script".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, work)
            .map_err(|error| start(&error.to_string()))?
            .join()
            .map_err(|_| start("the interpreter broke off"))?
    })
}

/// What `launch` of the script answers to the facts.
pub(super) fn launch(
    script: &Script,
    facts: &Facts,
    limits: &Limits,
    watch: impl Watch + 'static,
) -> Result<Verdict, Error> {
    let count = Count::up_to(limits.of(Limit::Operations));
    attempt(script, facts, limits, &count, watch).map_err(|mut error| {
        if let Some(fault) = error.fault().filter(|fault| fault.place.line == 0) {
            place(fault, script, facts, limits, &count);
        }
        error
    })
}

/// Finds about where a run was stopped by a limit: Rhai puts the place of the
/// outermost call on such an error, and that call is ours. A second run is the
/// same run, so an error at the variable that was used last tells the place.
fn place(fault: &mut Fault, script: &Script, facts: &Facts, limits: &Limits, count: &Count) {
    let stop = Count {
        most: count.most,
        stop_at: count.uses.get(),
        ..Count::default()
    };
    if let Err(mut error) = attempt(script, facts, limits, &stop, || false)
        && let Some(found) = error.fault().filter(|found| found.message == LAST_USE)
    {
        fault.place = found.place.clone();
        fault.calls = std::mem::take(&mut found.calls);
    }
}

/// The message of the error that only tells a place.
const LAST_USE: &str = "the last use of a variable";

fn attempt(
    script: &Script,
    facts: &Facts,
    limits: &Limits,
    count: &Count,
    watch: impl Watch + 'static,
) -> Result<Verdict, Error> {
    script.fits(limits)?;
    let plan = Plan::new(Rc::new(facts.clone()), limits.size(Limit::LogLines));
    let (mut engine, _) = sandbox(limits, &plan);
    count_operations(&mut engine, count, watch);
    let ast = compiled(&mut engine, script, limits)?;
    has_entry(script, &ast)?;
    let unseen = |what| Error::Facts {
        script: script.name().to_owned(),
        what,
    };
    let view = View::new(facts).map_err(unseen)?;
    let returned = call(&engine, &ast, ENTRY, (view, plan.clone()))
        .map_err(|error| from_run(script, limits, &error))?;

    let same = plan.is(&returned);
    let draft = plan.draft();
    if let Some((wrong, position)) = draft.wrong {
        return Err(Error::failed(script, wrong, position));
    }
    if !same {
        let returned = match returned.is_unit() {
            true => "nothing".to_owned(),
            false => format!(
                "a value of type {}",
                engine.map_type_name(returned.type_name())
            ),
        };
        return Err(Error::NotThePlan {
            script: script.name().to_owned(),
            returned,
        });
    }
    Ok(draft.finish())
}

/// Does all that comes before the first call of the script.
pub(super) fn entry(
    script: &Script,
    limits: &Limits,
    watch: impl Watch + 'static,
) -> Result<(), Error> {
    script.fits(limits)?;
    let (mut engine, _) = sandbox(limits, &Plan::new(Rc::default(), 0));
    let count = Count::up_to(limits.of(Limit::Operations));
    count_operations(&mut engine, &count, watch);
    has_entry(script, &compiled(&mut engine, script, limits)?)
}

/// Calls a function of the script; its top level was evaluated before.
pub(super) fn call(
    engine: &Engine,
    ast: &AST,
    name: &str,
    arguments: impl FuncArgs,
) -> Result<Dynamic, Box<EvalAltResult>> {
    let options = CallFnOptions::new().eval_ast(false);
    engine.call_fn_with_options(options, &mut Scope::new(), ast, name, arguments)
}

/// An engine that can do what `library`, `view` and `draft` register and nothing else,
/// and the rows that describe it.
pub(super) fn sandbox(limits: &Limits, plan: &Plan) -> (Engine, Vec<Row>) {
    let mut engine = Engine::new_raw();
    engine
        .set_max_call_levels(limits.size(Limit::CallLevels))
        .set_max_expr_depths(
            limits.size(Limit::ExpressionDepth),
            limits.size(Limit::ExpressionDepth),
        )
        .set_max_variables(limits.size(Limit::Variables))
        .set_max_functions(limits.size(Limit::Functions))
        .set_max_string_size(limits.size(Limit::StringBytes))
        .set_max_array_size(limits.size(Limit::ArrayItems))
        .set_max_map_size(limits.size(Limit::MapItems))
        .set_strict_variables(true)
        .set_fail_on_invalid_map_property(true);
    for symbol in [
        "eval",
        "debug",
        "Fn",
        "this",
        "is_shared",
        "is_def_var",
        "is_def_fn",
    ] {
        engine.disable_symbol(symbol);
    }
    check_variables(&mut engine, &Count::default());
    let mut table = Table::new(&mut engine);
    view::register(&mut table);
    draft::register(&mut table, plan);
    library::register(&mut table);
    signature::register(&mut table);
    let rows = table.finish();
    (engine, rows)
}

/// What is counted in a run: operations, because Rhai's own count starts again
/// in each function that a function of ours calls back, and uses of variables.
#[derive(Default)]
pub(super) struct Count {
    most: u64,
    operations: Rc<Cell<u64>>,
    uses: Rc<Cell<u64>>,
    /// The use of a variable that ends the run; 0 for none.
    stop_at: u64,
}

impl Count {
    pub(super) fn up_to(most: u64) -> Count {
        Count {
            most,
            ..Count::default()
        }
    }
}

/// Counts every operation of the run, and asks the watch before it.
pub(super) fn count_operations(engine: &mut Engine, count: &Count, watch: impl Watch + 'static) {
    let (most, operations) = (count.most, count.operations.clone());
    engine.on_progress(move |_| {
        operations.set(operations.get() + 1);
        let used_up = (operations.get() > most).then_some(Limit::Operations);
        used_up.or_else(|| watch.used_up()).map(Dynamic::from)
    });
    check_variables(engine, count);
}

/// Looks at the size of a variable whenever it is used (see [`size`]).
#[expect(
    deprecated,
    reason = "Rhai marks what may change in a later version as deprecated"
)]
fn check_variables(engine: &mut Engine, count: &Count) {
    let (uses, stop_at) = (count.uses.clone(), count.stop_at);
    engine.on_var(move |name, _, context| {
        uses.set(uses.get() + 1);
        if uses.get() == stop_at {
            return Err(Raised::new(LAST_USE, None).raise());
        }
        if let Some(value) = context.scope().get(name) {
            size::check(context.engine(), value)?;
        }
        Ok(None)
    });
}

/// The script, compiled within the limits.
pub(super) fn compiled(
    engine: &mut Engine,
    script: &Script,
    limits: &Limits,
) -> Result<AST, Error> {
    compile(engine, script).map_err(|error| from_run(script, limits, &error))
}

/// Compiles the script, evaluates its constants, and compiles it again with
/// those known, so that functions can use them and a misspelt name is found
/// before anything runs.
fn compile(engine: &mut Engine, script: &Script) -> Result<AST, Box<EvalAltResult>> {
    engine.set_strict_variables(false);
    let first = engine.compile(script.text())?;
    engine.set_strict_variables(true);
    let mut outer = Scope::new();
    engine.run_ast_with_scope(&mut outer, &first)?;

    let mut constants = Module::new();
    let mut known = Scope::new();
    for (name, constant, value) in outer.iter() {
        if constant {
            constants.set_var(name, value.clone());
            known.push_constant_dynamic(name, value);
        }
    }
    engine.register_global_module(Rc::new(constants));
    Ok(engine.compile_with_scope(&known, script.text())?)
}

fn has_entry(script: &Script, ast: &AST) -> Result<(), Error> {
    hooks::check(script, ast)?;
    let mut found = String::new();
    for function in ast
        .iter_functions()
        .filter(|function| function.name == ENTRY)
    {
        match function.params.len() {
            2 => return Ok(()),
            1 => found = ", only one with 1 parameter".to_owned(),
            n => found = format!(", only one with {n} parameters"),
        }
    }
    Err(Error::NoLaunch {
        script: script.name().to_owned(),
        found,
    })
}

#[cfg(test)]
mod tests;
