// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What holds for every file, good, bad or hostile.

use proptest::prelude::*;

use super::*;
use crate::diagnostic::{render, to_json};

const GOOD: &str = include_str!("../../../../tests/config/good-everything.toml");

/// Reads `bytes` the way `domb check` does, up to what is printed.
fn check(bytes: &[u8]) -> (Option<Config>, Vec<Diagnostic>, String) {
    let (config, faults) = Config::check("launch.toml", bytes);
    let text = String::from_utf8_lossy(bytes);
    let shown = render(&faults, &text);
    let json = to_json(&faults, &text);
    assert_eq!(json.as_array().map(Vec::len), Some(faults.len()));
    (config, faults, shown)
}

/// Either a configuration or an error, never both or neither; faults in the
/// file's order; nothing in the text that a terminal would act on.
fn hold(bytes: &[u8]) {
    let (config, faults, shown) = check(bytes);
    let refused = faults.iter().any(|fault| fault.severity == Severity::Error);
    assert_eq!(config.is_some(), !refused, "{shown}");
    let starts: Vec<usize> = faults
        .iter()
        .map(|fault| fault.span.as_ref().map_or(0, |span| span.start))
        .collect();
    assert!(starts.is_sorted() || faults.len() > 50, "{shown}");
    let bad = shown
        .chars()
        .find(|c| c.is_control() && *c != '\n' || *c == '\u{202e}');
    assert_eq!(bad, None, "{shown}");
    if let Some(config) = config {
        assert_eq!(config.start_order().len(), config.domains.len());
        assert_eq!(config.bytes, bytes);
    }
}

/// A good file with a few bytes changed, taken out or put in, or a few of its
/// lines moved.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        any::<u8>(),
        0..4u8,
    );
    prop::collection::vec(change, 1..6).prop_map(|changes| {
        let mut bytes = GOOD.as_bytes().to_vec();
        for (at, other, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, byte),
                _ => {
                    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
                    let (a, b) = (at % lines.len(), other.index(lines.len()));
                    lines.swap(a, b);
                    bytes = lines.concat();
                }
            }
        }
        bytes
    })
}

/// A file of known and unknown keys with values of all types.
fn shuffled() -> impl Strategy<Value = String> {
    let keys = "name|domid|type|kernel|ramdisk|cmdline|memory|maxmem|vcpus|uuid|seclabel|after\
                |on_failure|libxl|script|exit|tpm|pcr|init|args|data|domain|control|measure|initrd";
    let values = r#""(a|b|7|pv|process|1G|256|/|\\u0000|\\u001b)"|-?[0-9]{1,20}|[0-9]\.5|true|\["a", 1\]|\{ a = 1 \}|1979-05-27"#;
    let heading = r"\[\[domain\]\]|\[measure\]|\[control\]|\[data\]|\[domain.libxl.b_info\]|";
    let line = (heading, keys, values).prop_map(|(h, k, v)| format!("{h}\n{k} = {v}\n"));
    prop::collection::vec(line, 0..24).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        hold(&bytes);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC*|[\\[\\]{}=.\"'#\\n a-c0-9]{0,200}") {
        hold(text.as_bytes());
    }

    #[test]
    fn a_mutated_file_is_read_or_refused(bytes in mutated()) {
        hold(&bytes);
    }

    #[test]
    fn keys_and_values_in_any_combination_are_read_or_refused(text in shuffled()) {
        hold(text.as_bytes());
    }

    #[test]
    fn start_order_obeys_after_and_otherwise_the_file(
        needs in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), 1..20),
        places in Just(()).prop_perturb(|(), mut rng| {
            let mut places: Vec<usize> = (0..20).collect();
            for at in (1..20).rev() {
                places.swap(at, rng.random_range(0..=at));
            }
            places
        }),
    ) {
        // Domain i may need only domains before it, so there is no circle;
        // the file has them in another order.
        let mut tables = vec![String::new(); 20];
        for (i, needs) in needs.iter().enumerate() {
            let after: Vec<String> = match i {
                0 => Vec::new(),
                _ => needs.iter().map(|need| format!("\"d{}\"", need.index(i))).collect(),
            };
            tables[places[i]] = format!(
                "[[domain]]\nname = \"d{i}\"\ndomid = {}\ntype = \"pv\"\nkernel = \"k\"\nmemory = \"1M\"\nafter = [{}]\n",
                i + 1,
                after.join(", "),
            );
        }
        let config = Config::check("t", tables.concat().as_bytes()).0.unwrap();
        let mut started: Vec<&DomainName> = Vec::new();
        for domain in config.start_order() {
            let may_start = |other: &&DomainConfig| {
                !started.contains(&&other.name) && other.after.iter().all(|n| started.contains(&n))
            };
            let first = config.domains.iter().find(may_start).unwrap();
            prop_assert_eq!(&first.name, &domain.name);
            started.push(&domain.name);
        }
        prop_assert_eq!(started.len(), config.domains.len());
    }
}

#[test]
fn every_value_of_a_good_file_arrives() {
    let config = Config::parse("launch.toml", GOOD.as_bytes()).unwrap();
    assert_eq!(
        config.script.as_deref(),
        Some(std::path::Path::new("launch.rhai"))
    );
    assert_eq!(
        (config.exit, config.after_failure),
        (Exit::Process, AfterFailure::Continue)
    );
    assert_eq!((config.tpm, config.pcr.value()), (TpmMode::Optional, 12));
    assert_eq!(config.platform_memory, Some(Mib(4096)));
    let control = config.control.as_ref().unwrap();
    assert_eq!((control.init.as_str(), control.args.len()), ("/init", 2));
    assert_eq!(config.data["ports"]["web"], 443);
    assert_eq!(config.data["built"], "2026-11-20");
    let net = config.domain("net").unwrap();
    assert_eq!(
        (net.domid.value(), net.kind, net.vcpus),
        (7, DomainType::Pv, 2)
    );
    assert_eq!((net.memory, net.maxmem), (Mib(256), Mib(1024)));
    assert_eq!(net.uuid.to_string(), "1b4e28ba-2fa1-11d2-883f-0016d3cca427");
    assert_eq!(net.seclabel.as_deref(), Some("system_u:system_r:driver_t"));
    assert_eq!(net.on_failure, OnFailure::Skip);
    assert_eq!(net.libxl["b_info"]["type.pv"]["e820_host"], true);
    assert_eq!(net.libxl["nics"][0]["mac"], "00:16:3e:00:00:01");
    let store = config.domain("store").unwrap();
    assert_eq!(store.maxmem, store.memory);
    assert_eq!(store.uuid, Uuid::derive(&store.name, store.domid));
}

#[test]
fn each_artefact_points_at_the_place_it_is_named_at() {
    let config = Config::parse("launch.toml", GOOD.as_bytes()).unwrap();
    let named: Vec<(&str, &str)> = config
        .artefacts
        .iter()
        .map(|artefact| (artefact.key.as_str(), &GOOD[artefact.span.clone()]))
        .collect();
    assert_eq!(
        named,
        [
            ("script", "\"launch.rhai\""),
            ("flask_policy", "\"xenpolicy\""),
            ("control.ramdisk", "\"net.cpio\""),
            ("domain[0].kernel", "\"vmlinuz\""),
            ("domain[0].ramdisk", "\"net.cpio\""),
            ("domain[0].images[0].kernel", "\"vmlinuz-pv\""),
            ("domain[0].images[0].ramdisk", "\"net.cpio\""),
            ("domain[1].kernel", "\"vmlinuz-pvh\""),
            ("domain[2].kernel", "\"vmlinuz-pv\""),
        ]
    );
}

#[test]
fn a_long_list_of_faults_is_cut_off_and_still_refused() {
    let different: String = (0..20_000).map(|n| format!("y{n} = 1\n")).collect();
    let text = ["x = 1\n".repeat(20_000), different].concat();
    hold(text.as_bytes());
    let text: String = (0..20_000).map(|n| format!("y{n} = 1\n")).collect();
    let (_, faults, shown) = check(text.as_bytes());
    assert_eq!(faults.len(), 51);
    assert!(shown.contains("further faults are not listed"), "{shown}");
}

#[test]
fn many_warnings_do_not_become_an_error() {
    let again = "\"store\", ".repeat(100);
    let text = GOOD.replace("after = [\"store\"]", &format!("after = [{again}]"));
    let (config, faults, _) = check(text.as_bytes());
    assert!(config.is_some());
    assert_eq!(faults.len(), 51);
}

#[test]
fn hostile_nesting_and_repetition_end_in_a_fault() {
    for text in [
        "[".repeat(500_000),
        format!("a = {}", "[".repeat(500_000)),
        format!("a = {}", "{a=".repeat(300_000)),
        format!("{}a = 1\n", "a.".repeat(400_000)),
        format!("[{}a]\n", "a.".repeat(400_000)),
        "=".repeat(250_000),
        "\"".repeat(250_000),
        "[a]\n".repeat(50_000),
        "[[domain]]\n".repeat(25_000),
        format!("domain = [{}]", "1,".repeat(120_000)),
        format!(
            "[[domain]]\nname = \"a\"\nafter = [{}]\n",
            "\"b\",".repeat(200_000)
        ),
        format!("[[domain]]\nname = \"{}\"\n", "\\u001b".repeat(150_000)),
    ] {
        hold(text.as_bytes());
    }
}
