// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is measured on a real TPM: the log explains the PCR and tpm2-tools
//! agrees, a tampered byte is named, and a TPM that is not as it should be
//! has the documented outcome under each setting.
//!
//! The launches of these steps deny everything and boot tiny kernels, so that
//! nothing but the measurement takes time.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{by_hand, ensure};
use crate::archive::Archive;
use crate::bench::Bench;
use crate::boot::{Boot, Case, End};
use crate::error::{Error, Result};
use crate::machine::Tpm;
use crate::outcome::Outcome;
use crate::root::Step;

/// Cases for the example's boot: its own log, and launches from its domain 0.
#[must_use]
pub fn cases() -> Vec<Case> {
    vec![
        Case::of_step("tpm2-tools-replay-the-boots-log", boots_log, replayed),
        Case::of_step("one-tampered-byte-is-named", tamper, named),
        Case::of_step(
            "a-pcr-that-is-not-at-its-start-is-refused",
            extended,
            refused,
        ),
    ]
}

/// A machine without a TPM: each setting of `[measure] tpm`.
#[must_use]
pub fn without_tpm() -> Boot {
    Boot {
        name: "no-tpm",
        prepare: |bench, name, steps| with_tpm(bench, name, steps, Tpm::Absent),
        end: End::PowerOff,
        cases: vec![Case::of_step(
            "without-a-tpm-each-setting-does-as-documented",
            each_setting,
            no_tpm,
        )],
    }
}

/// A TPM whose only active bank is SHA-384.
#[must_use]
pub fn one_bank() -> Boot {
    Boot {
        name: "sha384-only",
        prepare: |bench, name, steps| with_tpm(bench, name, steps, Tpm::Banks("sha384")),
        end: End::PowerOff,
        cases: vec![
            Case::of_step(
                "without-a-sha256-bank-each-setting-does-as-documented",
                one_bank_step,
                one_bank_extended,
            ),
            Case::of_step(
                "a-launch-that-cannot-be-loaded-closes-the-pcr",
                unloadable,
                closed,
            ),
        ],
    }
}

fn with_tpm(
    bench: &Bench,
    name: &str,
    steps: &[Step],
    tpm: Tpm,
) -> Result<crate::machine::MachineSpec> {
    let mut machine = by_hand::prepare(bench, name, steps)?;
    machine.tpm = tpm;
    Ok(machine)
}

const DENY: &str = "fn launch(facts, plan) { plan.deny_all(\"only measured\"); plan }\n";

/// A launch that measures into `pcr` and then denies everything. `measure` is
/// further TOML of `[measure]`.
fn config(pcr: u8, measure: &str) -> String {
    format!(
        r#"script = "launch.rhai"

[measure]
pcr = {pcr}
{measure}

[[domain]]
name = "web"
domid = 201
type = "pv"
kernel = "tiny.elf"
ramdisk = "web.bin"
cmdline = "console=hvc0"
memory = "96M"
"#
    )
}

fn with_files(step: Step) -> Result<Step> {
    let kernel = fixture("kernel/tiny.elf");
    let kernel = fs::read(&kernel).map_err(Error::file("read", &kernel))?;
    Ok(step
        .with("tiny.elf", kernel)
        .with("web.bin", "a ramdisk of a format nobody knows")
        .with("launch.rhai", DENY))
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures")
        .join(name)
}

/// The log that the boot wrote, for tpm2-tools on the host.
fn boots_log(_: &Bench) -> Result<Step> {
    Ok(Step::new(
        "boots-log",
        "domb log verify /run/domb/eventlog --tpm /dev/tpmrm0 || exit 1\n\
         base64 /run/domb/eventlog | sed 's/^/eventlog: /'\n",
    ))
}

fn replayed(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("boots-log")?;
    ensure(step.exit == Some(0), || step.lines.join("\n"))?;
    let encoded: String = step
        .lines
        .iter()
        .filter_map(|line| line.strip_prefix("eventlog: "))
        .collect();
    let path = outcome.directory.join("eventlog.base64");
    fs::write(&path, encoded).map_err(Error::file("write", &path))?;
    let log = outcome.directory.join("eventlog");
    let decode = format!("base64 -d {} > {}", path.display(), log.display());
    said(Command::new("sh").args(["-c", &decode]))?;
    let replay = said(Command::new("tpm2_eventlog").arg(&log))?;
    ensure(!replay.to_lowercase().contains("warn"), || replay.clone())?;
    for (bank, value) in outcome
        .pcrs
        .iter()
        .filter_map(|((bank, pcr), value)| (*pcr == 13).then_some((bank, value)))
    {
        ensure(replay.contains(&format!("13 : 0x{value}")), || {
            format!("tpm2_eventlog does not give {bank}:{value}\n{replay}")
        })?;
    }
    ensure(outcome.banks(13).len() == 4, || {
        format!("{:?}", outcome.banks(13))
    })
}

/// What a program said on both streams, or an error if it failed.
fn said(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output = command.output().map_err(|source| Error::Start {
        program: shown.clone(),
        source,
    })?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    ensure(output.status.success(), || format!("{shown}: {text}"))?;
    Ok(text)
}

/// One launch as it is, then one for each kind of tampering.
fn tamper(_: &Bench) -> Result<Step> {
    let script = r#"
measured() { launch >/dev/null 2>&1; [ $? = 7 ] || { cat report.json; exit 1; }; mv eventlog "$1.log"; }
flip() { printf '\001' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null; }
tampered() {
    measured "$1"
    domb log diff base.log "$1.log" | sed "s/^/tampered $1: /"
    cp kept/* .
}
mkdir kept && cp launch.toml launch.rhai tiny.elf web.bin control.cpio kept/
measured base
flip tiny.elf 8831; tampered kernel
flip web.bin 3; tampered ramdisk
cp other.cpio control.cpio; tampered control
echo '// one more line' >>launch.rhai; tampered script
echo '# one more line' >>launch.toml; tampered configuration
sed 's/console=hvc0/console=hvc1/' kept/launch.toml >launch.toml; tampered cmdline
sed 's/96M/97M/' kept/launch.toml >launch.toml; tampered domain
"#;
    let config = config(14, "").replace(
        "[[domain]]",
        "[control]\nramdisk = \"control.cpio\"\ninit = \"/init\"\n\n[[domain]]",
    );
    let root = |init: &str| Archive::new().file("init", 0o755, init).bytes();
    let step = Step::new("tamper", script)
        .with("launch.toml", config)
        .with("control.cpio", root("one")?)
        .with("other.cpio", root("two")?);
    with_files(step)
}

fn named(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("tamper")?;
    ensure(step.exit == Some(0), || step.lines.join("\n"))?;
    for (kind, expected) in [
        ("kernel", &["domain web: kernel"][..]),
        ("ramdisk", &["domain web: ramdisk"]),
        ("control", &["control ramdisk"]),
        ("script", &["launch script"]),
        ("configuration", &["launch configuration"]),
        ("cmdline", &["launch configuration", "domain web: cmdline"]),
        (
            "domain",
            &["launch configuration", "domain web: domain configuration"],
        ),
    ] {
        let prefix = format!("tampered {kind}: ");
        let found: Vec<&str> = step
            .lines
            .iter()
            .filter_map(|line| Some(line.strip_prefix(&prefix)?.split_once(" changed (")?.0))
            .collect();
        ensure(found == expected, || {
            format!("{kind}: {found:?}\n{}", step.lines.join("\n"))
        })?;
        println!("        {kind}: {}", found.join(", "));
    }
    Ok(())
}

/// The PCR is at its start value once only.
fn extended(_: &Bench) -> Result<Step> {
    let script = "launch; first=$?\nlaunch; second=$?\n\
                  sed -i 's/^pcr = 15/pcr = 15\\ntpm = \"optional\"/' launch.toml\nlaunch; third=$?\n\
                  echo \"codes: $first $second $third\"\n";
    with_files(
        Step::new("extended", script).with("launch.toml", config(15, "expect_initial = \"zero\"")),
    )
}

fn refused(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("extended")?;
    // Denied; not measured; denied, with a warning.
    step.find(&["codes: 7 5 7"])?;
    step.find(&["NOT MEASURED"])?;
    step.find(&["PCR 15"]).map(drop)
}

/// `required`, `optional`, `off`, each with the code of its end.
fn each_setting(_: &Bench) -> Result<Step> {
    let script = "
for tpm in required optional off; do
    sed \"s/^pcr = 13/pcr = 13\\ntpm = \\\"$tpm\\\"/\" given.toml >launch.toml
    launch
    echo \"$tpm ends with $?\"
done
";
    with_files(Step::new("no-tpm-settings", script).with("given.toml", config(13, "")))
}

fn no_tpm(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("no-tpm-settings")?;
    for line in [
        "required ends with 5",
        "optional ends with 7",
        "off ends with 7",
    ] {
        step.find(&[line])?;
    }
    step.find(&["NOT MEASURED", "/dev/tpm"]).map(drop)
}

/// `required`, `optional` and `off`, each with a PCR of its own. What is
/// extended is what was predicted; what is not extended cannot be verified.
fn one_bank_step(_: &Bench) -> Result<Step> {
    let script = r#"
pcr=13
for tpm in required optional off; do
    sed "s/^pcr = .*/pcr = $pcr\ntpm = \"$tpm\"/" given.toml >launch.toml
    launch
    echo "$tpm ends with $?"
    sed -n "/\"values\": {/,/}/s/^ *\"\(sha[0-9]*\)\": \"[0-9a-f]\{40,\}\",*\$/$tpm has a value of \1/p" report.json
    domb predict --bank sha384 --json launch.toml >prediction.json || exit 1
    domb log verify eventlog --tpm /dev/tpmrm0 --prediction prediction.json --outcome refused
    echo "$tpm is verified with $?"
    rm -f eventlog*
    pcr=$((pcr + 1))
done
"#;
    with_files(Step::new("one-bank", script).with("given.toml", config(13, "")))
}

fn one_bank_extended(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("one-bank")?;
    let said: Vec<&str> = step
        .lines
        .iter()
        .map(String::as_str)
        .filter(|line| {
            ["ends with", "has a value", "is verified"]
                .iter()
                .any(|words| line.contains(words))
        })
        .collect();
    let expected = [
        "required ends with 7",
        "required has a value of sha384",
        "required is verified with 0",
        "optional ends with 7",
        "optional has a value of sha384",
        "optional is verified with 0",
        "off ends with 7",
        "off is verified with 14",
    ];
    ensure(said == expected, || {
        format!("{said:?}\n{}", step.lines.join("\n"))
    })
}

/// The ramdisk is gone by the time of the launch; the PCR is not at its start
/// any more. A configuration that is no configuration begins no launch.
fn unloadable(_: &Bench) -> Result<Step> {
    let script = "
domb predict --bank sha384 --json launch.toml >prediction.json || exit 1
rm web.bin
launch
echo \"the launch ends with $?\"
domb log verify eventlog --tpm /dev/tpmrm0 --prediction prediction.json --outcome unloaded || exit 2
echo 'pcr = 12' >launch.toml
launch
echo \"without a configuration it ends with $?\"
[ -e eventlog.1 ] && exit 3
exit 0
";
    with_files(Step::new("unloadable", script).with("launch.toml", config(12, "")))
}

fn closed(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("unloadable")?;
    ensure(step.exit == Some(0), || step.lines.join("\n"))?;
    step.find(&["the launch ends with 4"])?;
    step.find(&["measure", "PCR 12 is closed"])?;
    step.find(&["without a configuration it ends with 3"])
        .map(drop)
}
