// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `platform run [filter]` boots and judges; `platform list` names the cases;
//! `platform demo [disaggregated]` shows an example to a person; `platform bench
//! [RUNS]` prints figures; `platform drill [PHASE]`, `platform recover [FAILURE]`,
//! `platform power-cut [PHASE]`, `platform store-starts N` and `platform soak N`
//! take long (`drill.rs`, `recovering.rs`, `power_cut.rs`).

use std::env;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use platform::{
    Bench, Boot, Error, Result, boot, cases, demo, demo_disaggregated, drill, figures, host,
    power_cut, recovering,
};

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["run"] => run(""),
        ["run", filter] => run(filter),
        ["list"] => Ok(list()),
        ["demo"] => demonstrate(demo::run),
        ["demo", "disaggregated"] => demonstrate(demo_disaggregated::run),
        ["drill"] => on_bench(|bench| drill::deaths(bench, "")),
        ["drill", phase] => on_bench(|bench| drill::deaths(bench, phase)),
        ["recover"] => on_bench(|bench| recovering::all(bench, "")),
        ["recover", filter] => on_bench(|bench| recovering::all(bench, filter)),
        ["power-cut"] => on_bench(|bench| power_cut::cuts(bench, "")),
        ["power-cut", phase] => on_bench(|bench| power_cut::cuts(bench, phase)),
        ["store-starts", count] => counted(count, drill::store_starts),
        ["soak", count] => counted(count, drill::soak),
        ["bench"] => measure("5"),
        ["bench", runs] => measure(runs),
        _ => {
            eprintln!(
                "usage: platform run [FILTER] | list | demo [disaggregated] | bench [RUNS] | drill [PHASE] | recover [FAILURE] | power-cut [PHASE] | store-starts N | soak N"
            );
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("platform: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}

/// Boots every case whose `boot/case` contains the filter.
fn run(filter: &str) -> Result<bool> {
    let began = Instant::now();
    let boots = selected(filter);
    if boots.is_empty() {
        eprintln!("platform: no case matches {filter:?}");
        return Ok(false);
    }
    let bench = Bench::prepare(&host::work())?;
    let verdicts = boot::run_all(&bench, &boots);
    let failed = verdicts
        .iter()
        .filter(|verdict| verdict.failure.is_some())
        .count();
    for verdict in verdicts.iter().filter(|verdict| verdict.failure.is_some()) {
        println!("failed: {}", verdict.name);
    }
    println!("platform: {:.1} s", began.elapsed().as_secs_f32());
    println!("{} passed, {failed} failed", verdicts.len() - failed);
    Ok(failed == 0)
}

fn list() -> bool {
    for boot in cases::all() {
        for case in boot.cases {
            println!("{}/{}", boot.name, case.name);
        }
    }
    true
}

fn demonstrate(show: fn(&Bench) -> Result<()>) -> Result<bool> {
    let work: &Path = &host::work();
    eprintln!(
        "preparing the image and the domains' ramdisks in {}",
        work.display()
    );
    show(&Bench::prepare(work)?).map(|()| true)
}

fn on_bench(act: impl FnOnce(&Bench) -> Result<bool>) -> Result<bool> {
    act(&Bench::prepare(&host::work())?)
}

fn counted(count: &str, act: fn(&Bench, u32) -> Result<bool>) -> Result<bool> {
    match count.parse() {
        Ok(count @ 1..=10_000) => on_bench(|bench| act(bench, count)),
        _ => Err(Error::Untrue(format!(
            "{count} is not a number from 1 to 10000"
        ))),
    }
}

fn measure(runs: &str) -> Result<bool> {
    match runs.parse() {
        Ok(runs @ 1..=1000) => figures::run(&Bench::prepare(&host::work())?, runs).map(|()| true),
        _ => Err(Error::Untrue(format!(
            "{runs} is not a number of boots from 1 to 1000"
        ))),
    }
}

/// `DOMB_LEAVE_OUT` names a boot that this machine has no parts for; whoever sets it
/// says so aloud.
fn selected(filter: &str) -> Vec<Boot> {
    let mut boots = cases::all();
    let left_out = env::var("DOMB_LEAVE_OUT").unwrap_or_default();
    boots.retain(|boot| boot.name != left_out);
    for boot in &mut boots {
        let name = boot.name;
        boot.cases
            .retain(|case| format!("{name}/{}", case.name).contains(filter));
    }
    boots.retain(|boot| !boot.cases.is_empty());
    boots
}
