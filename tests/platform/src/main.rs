// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `platform run [filter]` boots and judges; `platform list` names the cases;
//! `platform demo` shows the example to a person; `platform bench [RUNS]`
//! prints figures.

use std::env;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use platform::{Bench, Boot, Error, Result, boot, cases, demo, figures, host};

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["run"] => run(""),
        ["run", filter] => run(filter),
        ["list"] => Ok(list()),
        ["demo"] => demonstrate(),
        ["bench"] => measure("5"),
        ["bench", runs] => measure(runs),
        _ => {
            eprintln!("usage: platform run [FILTER] | list | demo | bench [RUNS]");
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

fn demonstrate() -> Result<bool> {
    let work: &Path = &host::work();
    eprintln!(
        "preparing the image and the domains' ramdisks in {}",
        work.display()
    );
    demo::run(&Bench::prepare(work)?).map(|()| true)
}

fn measure(runs: &str) -> Result<bool> {
    match runs.parse() {
        Ok(runs @ 1..=1000) => figures::run(&Bench::prepare(&host::work())?, runs).map(|()| true),
        _ => Err(Error::Untrue(format!(
            "{runs} is not a number of boots from 1 to 1000"
        ))),
    }
}

fn selected(filter: &str) -> Vec<Boot> {
    let mut boots = cases::all();
    for boot in &mut boots {
        let name = boot.name;
        boot.cases
            .retain(|case| format!("{name}/{}", case.name).contains(filter));
    }
    boots.retain(|boot| !boot.cases.is_empty());
    boots
}
