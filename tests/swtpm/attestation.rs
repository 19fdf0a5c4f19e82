// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a verifier and a sealed secret make of the predicted value, with
//! tpm2-tools only: the worked example of `domb/core/src/measure/ATTESTATION.md`.

use std::fs;

use domb_core::config::Config;
use domb_core::measure::{
    Artefacts, Bank, Digests, Outcome, VerdictRecord, check, launch_events, verdict_event,
};

use super::super::tests::{artefacts, config, read_log};
use super::server::{Swtpm, pcr_values, tool};
use super::{Measurer, close, launched};

const BANKS: [Bank; 1] = [Bank::Sha256];

/// A boot of `config` with these artefacts, its log in `log`.
fn boot(swtpm: &Swtpm, config: &Config, artefacts: &Artefacts, log: &str) -> Measurer {
    let mut measurer = Measurer::begin(config, &swtpm.folder().join(log), &swtpm.device()).unwrap();
    let mut events = launch_events(config, artefacts, &measurer.banks).unwrap();
    events.push(verdict_event(config, &VerdictRecord::allow_all(config), &measurer.banks).unwrap());
    measurer.record(events).unwrap();
    measurer.finish(Outcome::Launched).unwrap();
    measurer.tpm = None;
    measurer
}

fn tampered(config: &Config) -> Artefacts {
    let mut artefacts = artefacts(config);
    let ramdisk = artefacts
        .domains
        .iter_mut()
        .find_map(|files| files.ramdisk.as_mut())
        .unwrap();
    ramdisk.digests = Digests::of(&Bank::ALL, b"tampered");
    artefacts
}

/// What `domb predict --policy-pcr` writes.
fn write_policy_pcr(swtpm: &Swtpm, config: &Config) -> Digests {
    let predicted = launched(config, &BANKS);
    fs::write(
        swtpm.folder().join("pcr.bin"),
        predicted.bank(Bank::Sha256).unwrap().as_bytes(),
    )
    .unwrap();
    predicted
}

fn primary(swtpm: &Swtpm) {
    swtpm.tool("tpm2_createprimary", &["-C", "o", "-c", "primary.ctx"]);
    swtpm.unload();
}

fn unseal(swtpm: &Swtpm) -> Result<String, String> {
    primary(swtpm);
    swtpm.tool(
        "tpm2_load",
        &[
            "-C",
            "primary.ctx",
            "-u",
            "sealed.pub",
            "-r",
            "sealed.priv",
            "-c",
            "sealed.ctx",
        ],
    );
    swtpm.unload();
    let unsealed = swtpm.try_tool("tpm2_unseal", &["-c", "sealed.ctx", "-p", "pcr:sha256:13"]);
    swtpm.unload();
    unsealed.map(|output| output.stdout)
}

#[test]
fn a_secret_sealed_to_the_predicted_value_unseals_after_that_boot_only() {
    let mut swtpm = Swtpm::start();
    let config = config("required");
    write_policy_pcr(&swtpm, &config);
    fs::write(swtpm.folder().join("secret"), "the disk's key").unwrap();
    swtpm.tool("tpm2_startauthsession", &["-S", "session.ctx"]);
    let policy = [
        "-S",
        "session.ctx",
        "-l",
        "sha256:13",
        "-f",
        "pcr.bin",
        "-L",
        "policy.dat",
    ];
    swtpm.tool("tpm2_policypcr", &policy);
    swtpm.tool("tpm2_flushcontext", &["session.ctx"]);
    primary(&swtpm);
    let create = [
        "-C",
        "primary.ctx",
        "-L",
        "policy.dat",
        "-i",
        "secret",
        "-u",
        "sealed.pub",
        "-r",
        "sealed.priv",
    ];
    swtpm.tool("tpm2_create", &create);
    swtpm.unload();

    assert!(unseal(&swtpm).is_err(), "before any boot");

    swtpm.reset();
    boot(&swtpm, &config, &artefacts(&config), "good");
    assert_eq!(unseal(&swtpm).as_deref(), Ok("the disk's key"));

    swtpm.reset();
    boot(&swtpm, &config, &tampered(&config), "tampered");
    let refused = unseal(&swtpm).unwrap_err();
    assert!(refused.contains("policy check failed"), "{refused}");

    swtpm.reset();
    boot(&swtpm, &config, &artefacts(&config), "good-again");
    assert_eq!(unseal(&swtpm).as_deref(), Ok("the disk's key"));

    // Nothing could be loaded, and whoever runs next measures a good launch.
    swtpm.reset();
    close(
        config.tpm,
        config.pcr,
        &swtpm.folder().join("unloaded"),
        &swtpm.device(),
    );
    boot(&swtpm, &config, &artefacts(&config), "forged");
    let refused = unseal(&swtpm).unwrap_err();
    assert!(refused.contains("policy check failed"), "{refused}");
}

#[test]
fn a_quote_proves_the_log_and_the_prediction_to_somebody_else() {
    let mut swtpm = Swtpm::start();
    let config = config("required");
    let predicted = write_policy_pcr(&swtpm, &config);
    for (artefacts, log, good) in [
        (artefacts(&config), "good", true),
        (tampered(&config), "tampered", false),
    ] {
        swtpm.reset();
        let measurer = boot(&swtpm, &config, &artefacts, log);
        let quoted = quote(&swtpm);
        assert_eq!(quoted == predicted, good);
        // The log is the quoted one's in both cases: it says what was booted.
        let checks = check(&read_log(&measurer).events, &quoted, &Digests::default());
        assert!(checks.len() == 1 && checks[0].is_explained());
    }
}

/// Quotes PCR 13 with a fresh attestation key, and lets tpm2_checkquote say
/// what the quote proves.
fn quote(swtpm: &Swtpm) -> Digests {
    let path = |name: &str| swtpm.folder().join(name).to_str().unwrap().to_owned();
    swtpm.tool(
        "tpm2_createek",
        &["-c", "ek.ctx", "-G", "ecc", "-u", "ek.pub"],
    );
    swtpm.unload();
    let ak = [
        "-C", "ek.ctx", "-c", "ak.ctx", "-G", "ecc", "-g", "sha256", "-s", "ecdsa", "-u", "ak.pem",
        "-f", "pem",
    ];
    swtpm.tool("tpm2_createak", &ak);
    swtpm.unload();
    let nonce = "c0ffee00c0ffee00";
    let quote = [
        "-c",
        "ak.ctx",
        "-l",
        "sha256:13",
        "-q",
        nonce,
        "-m",
        "quote",
        "-s",
        "signature",
        "-o",
        "pcrs",
        "-g",
        "sha256",
    ];
    swtpm.tool("tpm2_quote", &quote);
    swtpm.unload();
    let (key, message, signature, pcrs) = (
        path("ak.pem"),
        path("quote"),
        path("signature"),
        path("pcrs"),
    );
    let arguments = [
        "-u", &key, "-m", &message, "-s", &signature, "-f", &pcrs, "-g", "sha256", "-q", nonce,
    ];
    let output = tool("tpm2_checkquote", &arguments);
    let (values, _) = output.stdout.split_once("sig:").unwrap();
    pcr_values(values, 13)
}
