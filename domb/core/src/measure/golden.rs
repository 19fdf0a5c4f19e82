// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The test vectors that the specification refers to
//! (`tests/golden/measure-*.json`): each file's `input` gives its `expected`.
//! `UPDATE_GOLDEN=1` writes `expected` anew; a change of it is a new version
//! of the format.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fixture::{log, name};
use super::*;
use crate::config::Config;

#[derive(Deserialize, Serialize)]
struct Input {
    description: String,
    configuration: String,
    files: serde_json::Map<String, Value>,
    banks: Vec<Bank>,
    allowed: Option<Vec<String>>,
    #[serde(default)]
    changes: serde_json::Map<String, Value>,
    #[serde(default)]
    withheld: Vec<String>,
    outcome: String,
    left_out: Vec<String>,
}

impl Input {
    fn artefact(&self, path: &Path) -> Artefact {
        let path = path.to_str().unwrap();
        let file = &self.files[path];
        let content = file["content"].as_str().unwrap().as_bytes();
        Artefact {
            path: path.to_owned(),
            bytes: content.len() as u64,
            digests: Digests::of(&Bank::ALL, content),
            original: file
                .get("original")
                .map(|original| serde_json::from_value(original.clone()).unwrap()),
        }
    }

    fn artefacts(&self, config: &Config) -> Artefacts {
        let one = |path: &PathBuf| self.artefact(path);
        let control = config.control.as_ref();
        let domains = config.domains.iter().map(|domain| DomainArtefacts {
            name: domain.name.clone(),
            kernel: one(&domain.kernel),
            ramdisk: domain.ramdisk.as_ref().map(one),
            images: domain
                .images
                .iter()
                .map(|image| {
                    let (kernel, ramdisk) = (one(&image.kernel), image.ramdisk.as_ref().map(one));
                    (image.name.clone(), ImageArtefacts { kernel, ramdisk })
                })
                .collect(),
        });
        Artefacts {
            script: config.script.as_ref().map(one),
            flask_policy: config.flask_policy.as_ref().map(one),
            control_ramdisk: control
                .and_then(|control| control.ramdisk.as_ref())
                .map(one),
            domains: domains.collect(),
        }
    }

    fn events(&self) -> Vec<Event> {
        let config = Config::parse("launch.toml", self.configuration.as_bytes()).unwrap();
        let mut events = launch_events(&config, &self.artefacts(&config), &self.banks).unwrap();
        if let Some(allowed) = &self.allowed {
            let verdict = VerdictRecord {
                allowed: allowed.iter().map(|text| name(text)).collect(),
                changes: self
                    .changes
                    .iter()
                    .map(|(text, keys)| (name(text), keys.as_object().unwrap().clone()))
                    .collect(),
                withheld: self.withheld.clone(),
            };
            events.push(verdict_event(&config, &verdict, &self.banks).unwrap());
        }
        let outcome = [Outcome::Launched, Outcome::Refused, Outcome::Failed]
            .into_iter()
            .find(|outcome| outcome.as_str() == self.outcome)
            .unwrap();
        let ending = Ending {
            left_out: self.left_out.iter().map(|text| name(text)).collect(),
            ..Ending::default()
        };
        events.push(final_event(&config, outcome, &ending, &self.banks).unwrap());
        events
    }
}

fn expected(input: &Input) -> Value {
    let events = input.events();
    let values = replay_all(
        events.iter().map(|event| &event.digests),
        &Digests::zero(&input.banks),
    )
    .unwrap();
    let data: Vec<Value> = events
        .iter()
        .map(|event| json!({"entry": event.entry, "digests": event.digests, "data": hex::encode(&event.data())}))
        .collect();
    json!({"events": data, "log": hex::encode(&log(&input.banks, &events)), "values": values})
}

#[test]
fn every_vector_gives_what_it_gave_when_it_was_made() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    let mut seen = 0;
    for file in fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let file_name = path.file_name().unwrap().to_str().unwrap();
        if !(file_name.starts_with("measure-") && file_name.ends_with(".json")) {
            continue;
        }
        seen += 1;
        let vector: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let input: Input = serde_json::from_value(vector["input"].clone()).unwrap();
        let expected = expected(&input);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            let vector = json!({"input": vector["input"], "expected": expected});
            fs::write(&path, format!("{vector:#}\n")).unwrap();
        } else {
            assert_eq!(vector["expected"], expected, "{file_name}");
        }
    }
    assert!(seen >= 3, "the vectors are in {}", folder.display());
}
