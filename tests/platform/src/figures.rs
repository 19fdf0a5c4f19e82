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
    let mut moments = Moments::default();
    for number in 1..=runs {
        let outcome = boot().run_twice(bench, None)?;
        example::stand(bench, &outcome)?;
        let last = moments.add(example::milestones(&outcome));
        eprintln!("boot {number} of {runs}: {:.1} s", last.as_secs_f32());
    }
    moments.print();
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

/// The moments of several boots, each with its time in every one of them.
#[derive(Default)]
pub struct Moments(Vec<(&'static str, Vec<Duration>)>);

impl Moments {
    /// Adds a boot's, and returns the last of them.
    pub fn add(&mut self, boot: Vec<(&'static str, Duration)>) -> Duration {
        let last = boot.iter().map(|(_, at)| *at).max().unwrap_or_default();
        for (name, at) in boot {
            match self.0.iter_mut().find(|(known, _)| *known == name) {
                Some((_, times)) => times.push(at),
                None => self.0.push((name, vec![at])),
            }
        }
        last
    }

    /// Prints median and range of each.
    pub fn print(&mut self) {
        let boots = self.0.iter().map(|(_, times)| times.len()).max();
        println!(
            "{:>8} {:>8} {:>8}  seconds since Xen's first line, {} boots",
            "median",
            "least",
            "most",
            boots.unwrap_or_default()
        );
        for (name, times) in &mut self.0 {
            times.sort();
            let [median, least, most] =
                [times.len() / 2, 0, times.len() - 1].map(|at| times[at].as_secs_f32());
            println!("{median:8.2} {least:8.2} {most:8.2}  {name}");
        }
    }
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

fn size(path: &std::path::Path) -> Result<u64> {
    fs::metadata(path)
        .map(|file| file.len())
        .map_err(Error::file("read", path))
}

const NAME: &str = "figures";
