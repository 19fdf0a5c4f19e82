// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the documents say is so: each link leads somewhere, each command of
//! domb has that verb and those options, each launch.toml is a good one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut wrong = Vec::new();
    for (path, text) in documents() {
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            if !target.exists() {
                wrong.push(format!("{}: {link}", path.display()));
            } else if !anchor.is_empty() {
                let headings = fs::read_to_string(&target).unwrap();
                let found = headings.lines().filter(|line| line.starts_with('#'));
                if !found.map(slug).any(|slug| slug == anchor) {
                    wrong.push(format!("{}: {link} has no such heading", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_of_domb_has_that_verb_and_those_options() {
    let mut helps = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (path, text) in documents() {
        for command in commands(&text) {
            let words: Vec<&str> = command.split_whitespace().skip(1).collect();
            let Some(verb) = words.first().filter(|word| !word.starts_with('-')) else {
                continue;
            };
            seen += 1;
            let inner = words
                .get(1)
                .filter(|word| word.chars().all(|c| c.is_ascii_lowercase()));
            let sub = matches!(*verb, "log" | "script" | "policy" | "generate")
                .then_some(inner)
                .flatten();
            let verbs: Vec<&str> = std::iter::once(*verb).chain(sub.copied()).collect();
            let help = helps.entry(verbs.join(" ")).or_insert_with(|| help(&verbs));
            let Some(help) = help else {
                wrong.push(format!("{}: no such verb: {command}", path.display()));
                continue;
            };
            for option in words
                .iter()
                .filter(|word| word.starts_with("--") && word.len() > 2)
            {
                let option = option.trim_end_matches([']', ',', ')', ';']);
                let option = option.split('=').next().unwrap_or(option);
                if !help.contains(option) {
                    wrong.push(format!("{}: no {option}: {command}", path.display()));
                }
            }
        }
    }
    assert!(seen >= 30, "only {seen} commands");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_launch_configuration_in_the_documents_is_a_good_one() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("launch.toml");
    let mut seen = 0;
    for (path, text) in documents() {
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap_or_default();
            if !block.contains("[[domain]]") {
                continue;
            }
            seen += 1;
            fs::write(&file, block).unwrap();
            let output = Command::new(env!("CARGO_BIN_EXE_domb"))
                .args(["check", "--json"])
                .arg(&file)
                .output()
                .unwrap();
            let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            // The files it names are not here.
            let faults = report["diagnostics"].as_array().unwrap();
            let others: Vec<_> = faults
                .iter()
                .filter(|fault| fault["code"] != "C060")
                .collect();
            assert!(others.is_empty(), "{}: {others:?}", path.display());
        }
    }
    assert!(seen >= 2, "only {seen} configurations");
}

/// The Markdown files of the repository.
fn documents() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    let mut waiting = vec![root];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                waiting.push(path);
            } else if name.ends_with(".md") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

fn links(text: &str) -> BTreeSet<String> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|link| !link.contains(char::is_whitespace))
        .map(str::to_owned)
        .collect()
}

/// Lines of code blocks, and words in backquotes, that run domb.
fn commands(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("    ").or(line.strip_prefix("$ ")));
    let quoted = text
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    lines
        .chain(quoted)
        .filter(|code| code.starts_with("domb "))
        // Comments and columns of explanation come after it.
        .map(|code| code.split(" #").next().unwrap_or(code))
        .map(|code| code.split("   ").next().unwrap_or(code).to_owned())
        .filter(|code| !code.starts_with("domb VERB") && !code.starts_with("domb chekc"))
        .collect()
}

/// The help of a verb; none if there is no such verb.
fn help(verbs: &[&str]) -> Option<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_domb"))
        .args(verbs)
        .arg("--help")
        .output()
        .unwrap();
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).unwrap())
}

/// The anchor of a heading, as GitHub makes it.
fn slug(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// Follows the page literally: blocks are the files it says, commands are run,
/// and the lines it shows come out of the command before.
#[test]
fn the_tutorial_of_launch_scripts_can_be_followed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("policy/launch/TUTORIAL.md")).unwrap();
    let directory = TempDir::new().unwrap();
    let at = |name: &str| directory.path().join(name);
    let fixtures = root.join("tests/fixtures");
    fs::copy(fixtures.join("kernel/tiny.bzimage"), at("vmlinuz")).unwrap();
    fs::copy(fixtures.join("ramdisk/tiny.cpio"), at("net.cpio")).unwrap();

    let mut said = String::new();
    let (mut ran, mut shown) = (0, 0);
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            match kind {
                "toml" => fs::write(at("launch.toml"), block.join("\n")).unwrap(),
                "rhai" => fs::write(at("launch.rhai"), block.join("\n")).unwrap(),
                "json" => fs::write(at("facts.json"), block.join("\n")).unwrap(),
                _ => {
                    shown += block.len();
                    for wanted in block {
                        assert!(said.contains(wanted), "{wanted:?} is not in\n{said}");
                    }
                }
            }
        } else if let Some(command) = line.strip_prefix("    domb ") {
            ran += 1;
            let (command, code) = command.split_once("# exit code ").unwrap_or((command, "0"));
            let (command, file) = command.split_once(" > ").unwrap_or((command, ""));
            let output = Command::new(env!("CARGO_BIN_EXE_domb"))
                .args(command.split_whitespace())
                .current_dir(directory.path())
                .output()
                .unwrap();
            let ended = output.status.code().map(|code| code.to_string());
            assert_eq!(ended.as_deref(), Some(code.trim()), "{command}: {output:?}");
            if !file.is_empty() {
                fs::write(at(file.trim()), &output.stdout).unwrap();
            }
            said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        }
    }
    assert!(ran >= 7 && shown >= 14, "{ran} commands, {shown} lines");
}
