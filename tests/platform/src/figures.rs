// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Figures: boots the example some times and prints what a release notes has
//! to say about size and time. Times under emulation are worth comparing only
//! with others of the same machine.

use std::fs;
use std::time::Duration;

use crate::bench::Bench;
use crate::boot::{Boot, End};
use crate::cases::example;
use crate::error::{Error, Result};
use crate::root;

/// Boots `runs` times, one after another, and prints median and range of each
/// moment.
pub fn run(bench: &Bench, runs: usize) -> Result<()> {
    let mut moments: Vec<(&'static str, Vec<Duration>)> = Vec::new();
    for number in 1..=runs {
        let outcome = boot().run_twice(bench, None)?;
        example::stand(bench, &outcome)?;
        for (position, (name, at)) in example::milestones(&outcome).into_iter().enumerate() {
            if moments.len() == position {
                moments.push((name, Vec::new()));
            }
            moments[position].1.push(at);
        }
        eprintln!(
            "boot {number} of {runs}: {:.1} s",
            last(&moments, number).as_secs_f32()
        );
    }
    println!(
        "{:>8} {:>8} {:>8}  seconds since Xen's first line, {runs} boots",
        "median", "least", "most"
    );
    for (name, times) in &mut moments {
        times.sort();
        let [median, least, most] =
            [times.len() / 2, 0, times.len() - 1].map(|at| times[at].as_secs_f32());
        println!("{median:8.2} {least:8.2} {most:8.2}  {name}");
    }
    println!("{:>8}  bytes: domb, static, stripped", size(&bench.domb)?);
    let dir = bench.work.join(NAME);
    println!(
        "{:>8}  bytes: the example's image, of which",
        size(&dir.join("domb.img"))?
    );
    let said = dir.join("image.txt");
    print!(
        "{}",
        fs::read_to_string(&said).map_err(Error::file("read", &said))?
    );
    Ok(())
}

fn boot() -> Boot {
    let prepare = |bench: &Bench, name: &str, steps: &[root::Step]| {
        example::prepare_with(bench, name, &root::control_root(steps)?)
    };
    Boot {
        name: NAME,
        prepare,
        end: End::PowerOff,
        cases: Vec::new(),
    }
}

fn last(moments: &[(&'static str, Vec<Duration>)], number: usize) -> Duration {
    moments
        .iter()
        .filter_map(|(_, times)| times.get(number - 1))
        .max()
        .copied()
        .unwrap_or_default()
}

fn size(path: &std::path::Path) -> Result<u64> {
    fs::metadata(path)
        .map(|file| file.len())
        .map_err(Error::file("read", path))
}

const NAME: &str = "figures";
