// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb explain`: what a code means, with cause, example and remedy. The
//! same text, all of it, is `domb/ERRORS.md`.
//!
//! Faults of a configuration have codes of their own (`C020`), and so have
//! the failures of a launch (`L0803`); everything else that ends domb has an
//! exit code, which is the step that failed.

mod failures;

use std::fmt::Write as _;

use clap::Args;
use domb_core::explain::{Code, Explanation, all};

use crate::exit::Exit;
use crate::output;

/// What `domb explain` is asked for.
#[derive(Args)]
pub struct Options {
    /// A fault's code such as C020, a failure's such as L0803, or an exit code such as 8; without it, all are listed
    code: Option<String>,
}

/// Prints the explanation.
#[must_use]
pub fn command(options: &Options) -> Exit {
    let Some(asked) = &options.code else {
        return output::write(&list(), Exit::Success);
    };
    let exit = asked
        .parse()
        .ok()
        .and_then(|code: u8| EXITS.iter().find(|e| e.code() == code));
    match (Code::parse(asked), failures::find(asked), exit) {
        (Some(code), ..) => output::write(&fault(code.explanation()), Exit::Success),
        (None, Some(entry), _) => output::write(&failure(entry), Exit::Success),
        (None, None, Some(exit)) => output::write(&exit_code(*exit), Exit::Success),
        (None, None, None) => {
            eprintln!(
                "error: there is no code {}",
                domb_core::diagnostic::escape(asked)
            );
            eprintln!("hint: `domb explain` lists them all");
            Exit::Usage
        }
    }
}

/// Every code with its title.
fn list() -> String {
    let mut out = String::from("faults of a launch configuration and its files\n");
    for Explanation { code, title, .. } in all() {
        line(&mut out, format_args!("  {code}  {title}"));
    }
    out.push_str("\nfailures of a launch\n");
    for failures::Explanation { code, title, .. } in failures::TABLE {
        line(&mut out, format_args!("  {code}  {title}"));
    }
    out.push_str("\nexit codes\n");
    for exit in EXITS {
        line(
            &mut out,
            format_args!("  {:>4}  {}", exit.code(), about(*exit).0),
        );
    }
    out
}

fn fault(entry: &Explanation) -> String {
    let Explanation {
        code,
        title,
        cause,
        wrong,
        right,
        remedy,
    } = entry;
    let mut out = format!("{code}: {title}\n\n{}\n", wrap(cause));
    for (what, example) in [("wrong", wrong), ("right", right)] {
        line(&mut out, format_args!("{what}:\n"));
        for text in example.lines() {
            line(&mut out, format_args!("    {text}"));
        }
        out.push('\n');
    }
    out.push_str(&wrap(remedy));
    out
}

fn failure(entry: &failures::Explanation) -> String {
    format!(
        "{}: {}\n\n{}\nexample:\n\n    {}\n\n{}\nThe exit code is {}.\n",
        entry.code,
        entry.title,
        wrap(entry.cause),
        entry.example.replace('\n', "\n    "),
        wrap(entry.remedy),
        entry.code.exit().code()
    )
}

fn exit_code(exit: Exit) -> String {
    let (title, cause, example, remedy) = about(exit);
    format!(
        "exit code {}: {title}\n\n{}\nexample:\n\n    {}\n\n{}",
        exit.code(),
        wrap(cause),
        example.replace('\n', "\n    "),
        wrap(remedy)
    )
}

/// All explanations as Markdown: `domb/ERRORS.md`.
#[cfg(feature = "generate")]
pub fn document() -> String {
    let mut out = String::from(
        "# Codes\n\n\
         Made by `domb generate errors`; `domb explain CODE` prints a single one.\n\n\
         ## Faults of a launch configuration and its files\n",
    );
    for Explanation {
        code,
        title,
        cause,
        wrong,
        right,
        remedy,
    } in all()
    {
        line(&mut out, format_args!("\n### {code}: {title}\n\n{cause}\n"));
        for (what, example) in [("Wrong", wrong), ("Right", right)] {
            line(&mut out, format_args!("{what}:\n"));
            for text in example.lines() {
                line(&mut out, format_args!("    {text}"));
            }
            out.push('\n');
        }
        line(&mut out, format_args!("{remedy}"));
    }
    out.push_str(
        "\n## Failures of a launch\n\n\
         The first two digits are the exit code.\n",
    );
    for entry in failures::TABLE {
        line(
            &mut out,
            format_args!(
                "\n### {}: {}\n\n{}\n\n    {}\n\n{}",
                entry.code,
                entry.title,
                entry.cause,
                entry.example.replace('\n', "\n    "),
                entry.remedy
            ),
        );
    }
    out.push_str("\n## Exit codes\n");
    for exit in EXITS {
        let (title, cause, example, remedy) = about(*exit);
        let example = example.replace('\n', "\n    ");
        line(
            &mut out,
            format_args!(
                "\n### {}: {title}\n\n{cause}\n\n    {example}\n\n{remedy}",
                exit.code()
            ),
        );
    }
    // A line of blanks only is none to Markdown's tools.
    out.lines()
        .map(|text| text.trim_end().to_owned() + "\n")
        .collect()
}

/// Adds a line; writing to a text cannot fail.
fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a text takes all that is written to it");
}

/// The text in lines of at most 80 characters, with a line end.
fn wrap(text: &str) -> String {
    let mut out = String::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > 80 {
            out.push('\n');
            width = 0;
        } else if width > 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += length;
    }
    out.push('\n');
    out
}

/// Every exit code in order.
const EXITS: &[Exit] = &[
    Exit::Success,
    Exit::Internal,
    Exit::Usage,
    Exit::Config,
    Exit::Load,
    Exit::Measure,
    Exit::Script,
    Exit::Denied,
    Exit::Build,
    Exit::HandOff,
    Exit::Leave,
    Exit::NoToolstack,
    Exit::Setup,
    Exit::Image,
    Exit::Log,
    Exit::Audit,
];

/// Title, cause, example and remedy of an exit code.
fn about(exit: Exit) -> (&'static str, &'static str, &'static str, &'static str) {
    match exit {
        Exit::Success => (
            "handed over, or nothing wrong",
            "The platform runs and was handed over; or a verb that stops earlier found no fault. \
             Warnings do not change it unless --deny-warnings is given.",
            "domb check launch.toml",
            "Nothing to do.",
        ),
        Exit::Internal => (
            "a fault in domb itself",
            "Something that cannot happen did, or standard output or a file that domb predict \
             writes could not be written.",
            "domb check --json launch.toml > /dev/full",
            "If it was not the output, please report it with the boot report and the console.",
        ),
        Exit::Usage => (
            "the command line could not be understood",
            "A verb, an option or its value is not one that domb knows or can follow, or a file \
             that domb convert or domb generate is to write cannot be written.",
            "domb chekc launch.toml",
            "domb --help lists the verbs, domb VERB --help its options.",
        ),
        Exit::Config => (
            "the launch configuration is wrong",
            "launch.toml cannot be read, or breaks a rule that can be checked without looking at \
             any other file. Nothing was loaded, measured or built. Each fault is shown with a \
             code of its own. Other verbs give it for what the rules do not allow: domb policy \
             compare for a policy that grants more than was accepted, domb policy label for a \
             label that the boot domain may not build, domb convert for a file that cannot be \
             converted or, with --strict, not as a whole, and domb audit on a platform with exit \
             = \"process\".",
            "domb check launch.toml   # with domid = 0",
            "Run domb check launch.toml on any host; it lists every fault at once, with a hint for \
             each, and domb explain has more about each code.",
        ),
        Exit::Load => (
            "an artefact cannot be read or is not what it should be",
            "A kernel, ramdisk, script or Flask policy is missing, damaged, not of the kind it \
             has to be, or not what the image's manifest promises; domb check finds that the \
             Flask policy does not allow what the configuration asks; or Xen enforces another \
             Flask policy than the one that was measured. Nothing was built. Other verbs give it \
             where a file they were told to read cannot be read or used, such as a report, facts \
             or a plan that was kept.",
            "domb check launch.toml   # with kernel = \"/boot/vmlinuz-of-another-machine\"",
            "Run domb check where the files are. If a boot says that a file is not what the \
             manifest promises, make the image again with domb image; if it was not changed on \
             purpose, find out who changed it.",
        ),
        Exit::Measure => (
            "the launch could not be measured",
            "With tpm = \"required\" there is no launch without a complete measurement: no TPM, \
             no active bank, an extend that failed, a log that cannot be written, a PCR that is \
             not at expect_initial before the first event or not what the events give after the \
             last one. Nothing runs: what was built by then was destroyed. domb log verify --tpm \
             gives it where the TPM does not answer.",
            "domb launch launch.toml --tpm /dev/tpm9",
            "Check that the machine has a TPM 2.0 and that the kernel shows /dev/tpm0 or \
             /dev/tpmrm0. tpm = \"optional\" launches without and says so; tpm = \"off\" does not \
             touch it.",
        ),
        Exit::Script => (
            "the launch script failed to decide",
            "It does not compile, stopped with an error, ran into one of its limits, or decided \
             something that breaks the rules of the configuration. That is not a decision, so \
             nothing may start. domb script test also gives it where a test fails.",
            "fn launch(facts, plan) { plan.allow(\"ne\"); plan }   # there is no domain ne",
            "The message has the line and column in the script. domb launch --dry-run runs it on \
             any host, without Xen and without a TPM.",
        ),
        Exit::Denied => (
            "the launch script lets nothing start",
            "The script decided: it denied every domain, or stopped the launch. A domain it does \
             not mention counts as denied.",
            "fn launch(facts, plan) { plan.deny_all(\"no TPM\"); plan }",
            "The report and the console give the script's own reason. Check that it ends in plan \
             and allows each domain.",
        ),
        Exit::Build => (
            "a domain could not be built",
            "libxl refused it: too little memory, a domid in use, a label that Xen does not know, \
             a device that is not there. Every domain built before it was destroyed again.",
            "memory = \"8G\"   # on a machine of 4 GiB",
            "The report has libxl's own lines, the console the first of them. Give domain 0 less \
             (dom0_mem on Xen's command line) or the domains less. on_failure = \"skip\" leaves a \
             domain out instead.",
        ),
        Exit::HandOff => (
            "a built domain could not be handed over",
            "A domain could not be unpaused, ended, was late or was refused; domain 0 could not \
             be kept from a range; or it could not give up the boot domain's Flask label. What \
             was built was destroyed. domb adopt gives it where it could not take over.",
            "a guest whose kernel panics before the hand-off is complete",
            "Read the report's failure and the last lines of the domain's console; the phases \
             before it went well.",
        ),
        Exit::Leave => (
            "PID 1 could not become the control domain's init",
            "The domains run. What failed is the last step: unpacking the control domain's \
             ramdisk, or running its init.",
            "[control]\nramdisk = \"control.cpio\"\ninit = \"/sbin/init\"   # which is not in it",
            "Check that init is in the ramdisk, executable, and has its interpreter and libraries \
             beside it.",
        ),
        Exit::NoToolstack => (
            "no toolstack",
            "This is not a privileged domain on Xen, xenstore does not answer, or this domb was \
             built without libxl.",
            "domb launch launch.toml   # on a laptop",
            "Use domb launch --dry-run, check or predict off Xen; build domb with scripts/build for \
             the boot domain.",
        ),
        Exit::Setup => (
            "the boot domain could not be set up",
            "As PID 1: a mount, a kernel module, xenstored or xenconsoled failed before the \
             configuration was read.",
            "an image made for another kernel than the one that boots",
            "Give Xen the kernel whose modules are in the image: domb image says which one.",
        ),
        Exit::Image => (
            "the image could not be made",
            "xenstored, xenconsoled, a library or the kernel modules were not found on this host, \
             or the image could not be written.",
            "domb image launch.toml -o /nowhere/domb.img",
            "Install xen-utils-4.17 and the kernel's package, or name other places with the \
             options of domb image --help.",
        ),
        Exit::Log => (
            "an event log or a plan is not what it was compared to",
            "An event log is damaged, does not replay to the PCR's value, or is another launch's; \
             or domb log diff or domb plan --diff found that something changed. That is an \
             answer, not a failure of domb: something is not as it was, or as it was predicted.",
            "domb log verify eventlog --pcrs values.txt",
            "domb log diff names the domain and the file that differ, domb plan --diff the steps.",
        ),
        Exit::Audit => (
            "the platform is not as it was planned",
            "domb audit found a domain that is missing or paused, was replaced or relabelled, a \
             domain 0 that is not reclaimed, a power that no role explains, or another Flask \
             policy in force. That is an answer, not a failure of domb.",
            "domb audit --flask-policy xenpolicy-with-one-rule-more",
            "Read the rows that say DIFFERS: a power is named by the rule it comes from.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_explained_in_order() {
        let codes: Vec<u8> = EXITS.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, (0..=15).collect::<Vec<u8>>());
    }

    #[test]
    fn wrapped_text_fits_a_terminal() {
        for Explanation { cause, remedy, .. } in all() {
            for text in [cause, remedy] {
                assert!(
                    wrap(text).lines().all(|line| line.chars().count() <= 80),
                    "{text}"
                );
            }
        }
    }
}
