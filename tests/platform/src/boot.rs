// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Boots and the cases that share them. Each case says what must be true of a
//! boot; some bring a step that the control domain runs after the hand-off. A
//! boot that fails fails all its cases. At most two machines run at a time.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::error::Result;
use crate::machine::{Machine, MachineSpec};
use crate::outcome::Outcome;
use crate::root::Step;
use crate::serial::lost_by_emulator;

/// One start of a machine.
pub struct Boot {
    /// Names the boot, its directory and its log.
    pub name: &'static str,
    /// Makes what is booted, in a directory of its own. It is given the
    /// cases' steps, for the control domain.
    pub prepare: fn(&Bench, &str, &[Step]) -> Result<MachineSpec>,
    /// How the boot ends when all goes well.
    pub end: End,
    /// What must be true of it.
    pub cases: Vec<Case>,
}

/// How a boot ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// The control domain switches the machine off after the last step.
    PowerOff,
    /// A line with this text is the last thing the machine has to say.
    Line(&'static str),
}

/// One statement about a boot.
pub struct Case {
    /// A sentence without spaces; a filter on the command line matches it.
    pub name: &'static str,
    /// What the control domain runs for it.
    pub step: Option<fn(&Bench) -> Result<Step>>,
    /// Whether it is true.
    pub check: fn(&Bench, &Outcome) -> Result<()>,
}

/// What became of one case.
#[derive(Debug)]
pub struct Verdict {
    /// Boot and case, with a slash between them.
    pub name: String,
    /// Why it failed.
    pub failure: Option<String>,
}

impl Case {
    /// A case about what the boot itself did.
    #[must_use]
    pub fn of_boot(name: &'static str, check: fn(&Bench, &Outcome) -> Result<()>) -> Case {
        Case {
            name,
            step: None,
            check,
        }
    }

    /// A case about a step in the control domain.
    #[must_use]
    pub fn of_step(
        name: &'static str,
        step: fn(&Bench) -> Result<Step>,
        check: fn(&Bench, &Outcome) -> Result<()>,
    ) -> Case {
        Case {
            name,
            step: Some(step),
            check,
        }
    }
}

impl Boot {
    /// Prepares, boots and follows the machine to its end.
    fn run(
        &self,
        bench: &Bench,
        cpus: Option<u8>,
        echo: Option<fn(&str) -> bool>,
    ) -> Result<Outcome> {
        let steps = self.cases.iter().filter_map(|case| case.step);
        let steps: Vec<Step> = steps.map(|step| step(bench)).collect::<Result<_>>()?;
        let mut spec = (self.prepare)(bench, self.name, &steps)?;
        spec.cpus = cpus.unwrap_or(spec.cpus);
        let mut machine = spec.start(&bench.work)?;
        if let Some(wanted) = echo {
            machine.serial.echo(wanted);
        }
        follow(&mut machine, self.end, steps.len())?;
        Ok(Outcome::read(
            machine.serial.lines(),
            &bench.work.join(self.name),
        ))
    }

    /// Prepares, boots and follows the machine on one CPU: slower, and no PVH domain
    /// was ever lost there (see [`lost_by_emulator`]).
    pub fn run_on_one_cpu(&self, bench: &Bench) -> Result<Outcome> {
        self.run(bench, Some(1), None)
    }

    /// Prepares, boots and follows the machine to its end, and once more, on one CPU,
    /// when the emulator itself lost a PVH domain (see [`lost_by_emulator`]). It is said
    /// aloud, and a second loss counts.
    pub fn run_twice(&self, bench: &Bench, echo: Option<fn(&str) -> bool>) -> Result<Outcome> {
        let outcome = self.run(bench, None, echo);
        let log = bench.work.join(self.name).join("serial.log");
        // Without a log there was no machine, and the outcome says why.
        let text = fs::read(&log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let Some(line) = text.lines().find(|line| lost_by_emulator(line)) else {
            return outcome;
        };
        println!(
            "AGAIN   {}: the emulator lost a PVH domain: {}",
            self.name,
            line.trim()
        );
        self.run(bench, Some(1), echo)
    }

    /// Runs the boot and judges each of its cases.
    fn judge(&self, bench: &Bench) -> Vec<Verdict> {
        let began = Instant::now();
        let log = bench.work.join(self.name).join("serial.log");
        let outcome = self.run_twice(bench, None);
        println!(
            "{:-<60} {:.1} s",
            format!("{} ", self.name),
            began.elapsed().as_secs_f32()
        );
        let judged = self.cases.iter().map(|case| {
            let result = match &outcome {
                Ok(outcome) => (case.check)(bench, outcome).map_err(|error| error.chain()),
                Err(_) => Err(format!("the boot {} failed", self.name)),
            };
            let name = format!("{}/{}", self.name, case.name);
            match &result {
                Ok(()) => println!("ok      {name}"),
                Err(why) => println!("FAILED  {name}\n    {}", why.replace('\n', "\n    ")),
            }
            Verdict {
                name,
                failure: result.err(),
            }
        });
        let verdicts: Vec<Verdict> = judged.collect();
        if let Err(error) = &outcome {
            println!("the boot {} failed: {}", self.name, error.chain());
        } else if verdicts.iter().any(|verdict| verdict.failure.is_some()) {
            println!("whole log: {}", log.display());
        }
        verdicts
    }
}

/// Waits for the end; every step moves the deadline, so that many steps get
/// the time they need and one that hangs does not get it all.
pub(crate) fn follow(machine: &mut Machine, end: End, steps: usize) -> Result<()> {
    match end {
        End::Line(text) => {
            machine.serial.wait_for(text, BOOT)?;
        }
        End::PowerOff => {
            let mut deadline = machine.serial.wait_for("control: up", BOOT)?.at + STEP;
            for _ in 0..steps {
                deadline = machine
                    .serial
                    .wait("a step's end", deadline, step_ended)?
                    .at
                    + STEP;
            }
            let done = machine.serial.wait_for("control: done", deadline)?;
            machine.wait_exit(done.at + STEP)?;
        }
    }
    Ok(())
}

fn step_ended(line: &str) -> bool {
    line.starts_with("STEP ") && line.contains(" exit=")
}

/// Runs the boots, two at a time, printing each as it ends.
pub fn run_all(bench: &Bench, boots: &[Boot]) -> Vec<Verdict> {
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..MACHINES.min(boots.len()) {
            scope.spawn(|| {
                while let Some(boot) = boots.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let judged = boot.judge(bench);
                    let mut all = verdicts
                        .lock()
                        .expect("no thread panics while it holds the list");
                    all.extend(judged);
                }
            });
        }
    });
    verdicts
        .into_inner()
        .expect("no thread panics while it holds the list")
}

/// Machines at a time: each has two emulated CPUs.
const MACHINES: usize = 2;

/// From the start of QEMU to the control domain's init; usually 10 to 40 s.
const BOOT: Duration = Duration::from_secs(600);

/// For one step; usually under 10 s.
const STEP: Duration = Duration::from_secs(600);
