// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What launch scripts can say, and how they fail.

use super::super::{Error, Facts, Limits, Outcome, Script, UNDECIDED, Verdict, decide};
use crate::policy::facts::tests::facts;

fn three() -> Facts {
    facts(&[("store", &[]), ("net", &["store"]), ("web", &["net"])])
}

fn ask(text: &str) -> Result<Verdict, Error> {
    let script = Script::new("launch.rhai", text.as_bytes())?;
    decide(Some(&script), &three(), &Limits::default(), || false)
}

fn launch(body: &str) -> Result<Verdict, Error> {
    ask(&format!("fn launch(facts, plan) {{\n{body}\nplan\n}}"))
}

fn outcomes(body: &str) -> Vec<Outcome> {
    let verdict = launch(body).unwrap_or_else(|error| panic!("{error}"));
    verdict
        .domains()
        .iter()
        .map(|decision| decision.outcome.clone())
        .collect()
}

fn deny(reason: &str) -> Outcome {
    Outcome::Deny {
        reason: reason.to_owned(),
    }
}

fn skipped(needs: &str) -> Outcome {
    Outcome::Skipped {
        needs: needs.to_owned(),
    }
}

#[test]
fn what_the_script_allows_is_launched_and_nothing_else() {
    assert_eq!(
        outcomes(r#"plan.allow("store");"#),
        [Outcome::Allow, deny(UNDECIDED), deny(UNDECIDED)]
    );
    assert_eq!(
        outcomes("plan.allow_all();"),
        [Outcome::Allow, Outcome::Allow, Outcome::Allow]
    );
    assert_eq!(
        outcomes(""),
        [deny(UNDECIDED), deny(UNDECIDED), deny(UNDECIDED)]
    );
}

#[test]
fn a_deny_is_final_and_its_dependents_are_skipped() {
    let expected = [Outcome::Allow, deny("old"), skipped("net")];
    assert_eq!(
        outcomes(r#"plan.allow_all(); plan.deny("net", "old");"#),
        expected
    );
    assert_eq!(
        outcomes(r#"plan.deny("net", "old"); plan.allow_all();"#),
        expected
    );
    assert_eq!(
        outcomes(r#"plan.deny("net", "old"); plan.allow_all(); plan.deny("net", "x");"#),
        expected
    );
}

#[test]
fn refusing_the_launch_denies_every_domain() {
    let verdict = launch(r#"plan.allow_all(); plan.deny_all("not here");"#).expect("an answer");
    assert_eq!(verdict.refused(), Some("not here"));
    assert!(verdict.approve().is_err());
}

#[test]
fn a_helper_function_answers_through_the_same_plan() {
    let verdict = ask(r#"
        const WANTED = ["store", "net"];
        fn pick(plan, name) { if name in WANTED { plan.allow(name); } }
        fn launch(facts, plan) {
            for domain in facts.domains { pick(plan, domain.name); }
            plan
        }"#);
    let verdict = verdict.unwrap_or_else(|error| panic!("{error}"));
    assert!(verdict.allows("store") && verdict.allows("net") && !verdict.allows("web"));
}

mod attacks {
    use std::fs;

    use super::*;
    use crate::policy::Limit;

    /// More processor time than any of these takes, by a factor of ten on a
    /// slow machine: what costs more grows with the square of the script.
    const TICKS: u64 = 60 * 100;

    /// Processor time of this thread, user and system, in ticks of 10 ms
    /// (`stat` in proc(5)): unlike the clock's it does not grow because others
    /// use the machine.
    fn ticks() -> u64 {
        let stat = fs::read_to_string("/proc/thread-self/stat").expect("Linux says it");
        let (_, after_name) = stat.rsplit_once(") ").expect("a name in brackets");
        let fields = after_name.split(' ').skip(11).take(2);
        fields.map(|field| field.parse::<u64>().unwrap()).sum()
    }

    /// Runs a hostile script; it must end in an error, without much work.
    fn refused(text: &str) -> Error {
        let begun = ticks();
        let few = Limits::default()
            .lowered_to("operations", 100_000)
            .expect("100 000 is lower");
        let script = Script::new("launch.rhai", text.as_bytes()).expect("the script is text");
        let error = decide(Some(&script), &three(), &few, || false)
            .expect_err("a hostile script reached a verdict");
        let spent = ticks() - begun;
        assert!(spent < TICKS, "took {spent} ticks: {error}");
        error
    }

    fn exhausts(limit: Limit, body: &str) {
        let error = refused(&format!("fn launch(facts, plan) {{\n{body}\nplan }}"));
        match &error {
            Error::Exhausted { limit: which, .. } => assert_eq!(*which, limit, "{error}"),
            other => panic!("not stopped by {limit:?}: {other}"),
        }
    }

    fn fails(body: &str, message: &str) {
        let error = refused(&format!("fn launch(facts, plan) {{\n{body}\nplan }}")).to_string();
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn nothing_outside_can_be_reached() {
        for body in [
            r#"eval("1");"#,
            r#"import "x" as x;"#,
            r#"debug("x");"#,
            "let x = 1.5;",
            "let f = Fn(\"launch\");",
            "export x;",
            "let x = 1; let f = || x + 1;",
        ] {
            let error = refused(&format!("fn launch(facts, plan) {{\n{body}\nplan }}"));
            assert!(matches!(error, Error::Syntax(_)), "{body}: {error}");
        }
        for call in [
            "sleep(1)",
            "timestamp()",
            "rand()",
            "open_file(\"/etc/passwd\")",
            "exit()",
            "parse_json(\"{}\")",
            "get_fn_metadata_list()",
            "blob(1)",
            "[].pad(9223372036854775807, 0)",
            "[3, 1].sort(|a, b| 1)",
            "\"x\".pad(9223372036854775807, \"y\")",
            "facts.domains.drain(0, 1)",
        ] {
            fails(&format!("{call};"), "no function ");
        }
    }

    #[test]
    fn facts_cannot_be_changed() {
        fails("facts.domains[0].name = \"x\";", "");
        fails("facts.data = #{};", "");
    }

    #[test]
    fn arithmetic_fails_instead_of_wrapping() {
        fails("let x = 9223372036854775807 + 1;", "overflow");
        fails("let x = 1 / 0;", "zero");
        fails("let x = -9223372036854775807 - 2;", "overflow");
        fails("let x = (-9223372036854775807 - 1) / -1;", "overflow");
        fails("let x = 2 ** 64;", "");
    }

    #[test]
    fn endless_loops_end() {
        exhausts(Limit::Operations, "loop { }");
        exhausts(Limit::Operations, "while true { let x = 1; }");
        exhausts(Limit::Operations, "for i in 0..9223372036854775807 { }");
    }
    #[test]
    fn memory_bombs_end() {
        exhausts(Limit::StringBytes, r#"let s = "x"; loop { s += s; }"#);
        exhausts(
            Limit::StringBytes,
            r#"let s = "xxxxxxxx"; loop { s = `${s}${s}`; }"#,
        );
        exhausts(
            Limit::StringBytes,
            r#"let s = "x"; for i in 0..16 { s += s; } s = s.replaced("x", s);"#,
        );
        exhausts(
            Limit::StringBytes,
            r#"let s = "x"; for i in 0..16 { s += s; } let l = []; loop { l.push(s); }"#,
        );
        exhausts(
            Limit::StringBytes,
            r#"let s = "x"; for i in 0..10 { s += s; } let l = s.split("x"); let t = l.join(s);"#,
        );
        exhausts(Limit::ArrayItems, "let l = []; loop { l.push(1); }");
        exhausts(Limit::ArrayItems, "let l = [1]; loop { l += l; }");
        exhausts(Limit::ArrayItems, "let l = [1]; loop { l = l + l; }");
        exhausts(Limit::ArrayItems, "let l = []; loop { l = [l, l]; }");
        exhausts(Limit::ArrayItems, "let l = []; loop { l = [l]; }");
        exhausts(
            Limit::ArrayItems,
            r#"let s = "x,"; for i in 0..14 { s += s; } let l = s.split(",");"#,
        );
        exhausts(
            Limit::ArrayItems,
            r#"let s = "x "; for i in 0..14 { s += s; } let l = s.words();"#,
        );
        exhausts(
            Limit::MapItems,
            "let m = #{}; let i = 0; loop { m[`k${i}`] = i; i += 1; }",
        );
        exhausts(
            Limit::StringBytes,
            r#"let s = "x"; for i in 0..16 { s += s; } let m = #{}; for i in 0..2000 { m[`${s}${i}`] = i; }"#,
        );
        exhausts(
            Limit::StringBytes,
            r#"let s = "x"; for i in 0..16 { s += s; } let l = []; for i in 0..2000 { l.push(0); } for i in 0..2000 { l[i] = `${s}${i}`; }"#,
        );
        exhausts(
            Limit::ArrayItems,
            "let l = []; for i in 0..2000 { l.push(0); } let m = l; for i in 0..2000 { m[i] = l; }",
        );
        exhausts(
            Limit::ArrayItems,
            "let l = []; let m = #{ a: [] }; for i in 0..2000 { l.push(0); } loop { m.a.push(l); }",
        );
        exhausts(
            Limit::ArrayItems,
            "const L = []; let m = #{ a: [] }; for i in 0..3000 { m.a.push(i); }",
        );
        exhausts(
            Limit::MapItems,
            "let m = #{}; loop { m = #{ a: m, b: m }; }",
        );
        exhausts(
            Limit::Operations,
            "let l = []; for i in 0..1000 { l.push(i); } loop { let a = l.map(|x| x).filter(|x| true); }",
        );
    }

    #[test]
    fn recursion_ends() {
        let error = refused("fn f(n) { f(n + 1) } fn launch(facts, plan) { f(0); plan }");
        assert!(
            matches!(
                error,
                Error::Exhausted {
                    limit: Limit::CallLevels,
                    ..
                }
            ),
            "{error}"
        );
        let error = refused("fn launch(facts, plan) { launch(facts, plan) }");
        assert!(
            matches!(
                error,
                Error::Exhausted {
                    limit: Limit::CallLevels,
                    ..
                }
            ),
            "{error}"
        );
        let error = refused("fn f(x) { [x].map(|x| f(x)) } fn launch(facts, plan) { f(1); plan }");
        assert!(
            matches!(
                error,
                Error::Exhausted {
                    limit: Limit::CallLevels,
                    ..
                }
            ),
            "{error}"
        );
    }

    /// As deep as the limits allow: values in values, and calls in expressions
    /// in functions called back.
    #[test]
    fn depth_is_borne() {
        let deep = "let l = []; for i in 0..2000 { l = [l]; }";
        launch(&format!("{deep} log(l); let m = l; let n = #{{ a: l }};")).expect("2000 fit");
        fails(&format!("{deep} let same = l == l;"), "too deep");
        fails(&format!("{deep} throw l;"), "a value of type array");
        for (open, close) in [
            ("(1 + ", ")"),
            ("[", "]"),
            ("#{ a: ", " }"),
            ("if true { ", " }"),
            ("[n].map(|n| ", ")"),
            ("switch 1 { 1 => ", " }"),
            ("`${", "}`"),
            ("try { ", " } catch { }"),
            ("for i in 0..1 { ", " }"),
        ] {
            let at_depth = |depth: usize| {
                let inner = format!("{}f(n + 1){}", open.repeat(depth), close.repeat(depth));
                let text = format!("fn f(n) {{ if n > 1000 {{ return n; }} {inner} }}");
                refused(&format!("{text} fn launch(facts, plan) {{ f(1); plan }}"))
            };
            let stopped_by = |error: &Error| match error {
                Error::Exhausted { limit, .. } => Some(*limit),
                _ => None,
            };
            let errors = (1..=32).rev().map(at_depth);
            let mut deepest = errors.map(|error| stopped_by(&error));
            let deepest = deepest.find(|limit| *limit != Some(Limit::ExpressionDepth));
            assert_eq!(deepest, Some(Some(Limit::CallLevels)), "{open}");
        }
    }

    #[test]
    fn too_many_variables_and_functions_are_refused() {
        let body: String = (0..40).map(|i| format!("let v{i} = {i}; ")).collect();
        exhausts(Limit::Variables, &body);
        let functions: String = (0..65).map(|i| format!("fn f{i}() {{}} ")).collect();
        let error = refused(&functions);
        assert!(
            matches!(
                error,
                Error::Exhausted {
                    limit: Limit::Functions,
                    ..
                }
            ),
            "{error}"
        );
    }

    /// Sources that nest something as deep as their length allows.
    fn towers() -> Vec<String> {
        let around = |open: &str, middle: &str, close: &str| {
            let times = 60_000 / (open.len() + close.len());
            format!("{}{middle}{}", open.repeat(times), close.repeat(times))
        };
        vec![
            around("(", "1", ")"),
            around("[", "1", "]"),
            around("#{a:", "1", "}"),
            around("{", "1", "}"),
            around("-", "1", ""),
            around("!", "true", ""),
            around("if true {", "", "}"),
            around("if true {} else ", "{}", ""),
            around("while true {", "", "}"),
            around("do {", "", "} while true"),
            around("for x in 0..1 {", "", "}"),
            around("try {", "", "} catch {}"),
            around("switch 1 { 1 => ", "1", "}"),
            around("|x| ", "x", ""),
            around("f(", "1", ")"),
            around("1 + ", "1", ""),
            around("1 ** ", "1", ""),
            around("1 == ", "1", ""),
            around("true && ", "true", ""),
            around("() ?? ", "1", ""),
            around("x = ", "1", ""),
            around("return ", "1", ""),
            around("let x = ", "1", ""),
            around("x.a", "", "").replacen("xx", "x", 1),
            format!("facts{}", ".a".repeat(30_000)),
            format!("facts{}", "[0]".repeat(20_000)),
            format!("facts{}", ".f()".repeat(15_000)),
            format!("facts{}", "?.a".repeat(20_000)),
            around("`${", "1", "}`"),
            around("/*", "", "*/"),
            around("1;", "", ""),
            around("\"a\"+", "1", ""),
            format!("[{}]", "1,".repeat(30_000)),
            format!("f({})", "1,".repeat(30_000)),
            format!(
                "switch 1 {{ {} }}",
                (0..5000).map(|i| format!("{i} => 1,")).collect::<String>()
            ),
            format!("let x = \"{}\";", "x".repeat(60_000)),
            "a".repeat(60_000),
            "1".repeat(60_000),
            "\u{0}".repeat(60_000),
            "/".repeat(60_000),
            "\n".repeat(60_000),
        ]
    }

    #[test]
    fn towers_of_syntax_neither_break_the_stack_nor_take_long() {
        for tower in towers() {
            let head: String = tower.chars().take(30).collect();
            for text in [
                tower.clone(),
                format!("const A = {tower};\nfn launch(facts, plan) {{ plan }}"),
                format!("fn launch(facts, plan) {{\n{tower}\n;plan }}"),
                format!("fn launch(facts, plan) {{ let x = {tower}\n;plan }}"),
            ] {
                let begun = ticks();
                let result = ask(&text);
                let spent = ticks() - begun;
                assert!(spent < TICKS, "{head} took {spent} ticks: {result:?}");
            }
        }
    }
}

mod anything {
    use proptest::prelude::*;

    use super::*;

    /// Pieces of scripts, right and wrong, put together at random.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("plan.allow_all();"),
            Just("plan.allow(\"net\");"),
            Just("plan.deny(\"net\", \"why\");"),
            Just("plan.deny_all(\"why\");"),
            Just("plan"),
            Just("facts.domains"),
            Just(".map(|x| x.name)"),
            Just(".filter(|x| true)"),
            Just("let l = [1, \"a\", #{ a: () }];"),
            Just("l.push(l); l[0] = l; l += l;"),
            Just("l == l;"),
            Just("log(l);"),
            Just("log(facts);"),
            Just("`${l}${plan}${facts.domains}`"),
            Just("l.join(\",\").split(\",\").sorted()"),
            Just("for i in 0..100 {"),
            Just("for d in facts.domains {"),
            Just("while true {"),
            Just("try {"),
            Just("} catch (e) { log(e); throw e; }"),
            Just("if plan == facts {"),
            Just("switch l { [] => 1, _ => 2 };"),
            Just("}"),
            Just("return"),
            Just(";"),
            Just("-9223372036854775808"),
            Just(" - "),
            Just(" << "),
            Just(" in "),
            Just("(1..=9223372036854775807)"),
            Just("l[-1]"),
            Just("l[0..5]"),
            Just("5[1..70]"),
            Just("\"abc\"[1]"),
            Just("\"äöü\".sub_string(1, 9)"),
            Just("parse_int(\"zz\", 36).to_hex()"),
            Just("l.a.b.c = 1;"),
            Just("f(1)"),
            Just("facts.platform.cpus"),
            Just("|x| x"),
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    /// What of a verdict people get to see, as it is.
    fn shown(verdict: &Verdict) -> String {
        let reasons = verdict
            .domains()
            .iter()
            .map(|decision| match &decision.outcome {
                Outcome::Allow => "",
                Outcome::Deny { reason } | Outcome::LeftOut { reason } => reason,
                Outcome::Skipped { needs } => needs,
            });
        let refused = verdict.refused().into_iter();
        let log = verdict.log().iter().map(String::as_str);
        reasons
            .chain(refused)
            .chain(log)
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn twice(text: &str) {
        let few = Limits::default()
            .lowered_to("operations", 20_000)
            .expect("20 000 is lower");
        let Ok(script) = Script::new("launch.rhai", text.as_bytes()) else {
            return;
        };
        let ask = || decide(Some(&script), &three(), &few, || false);
        let first = ask();
        assert!(
            !matches!(first, Err(Error::Start { .. })),
            "{first:?}\n{text}"
        );
        assert_eq!(first, ask(), "{text}");
        let shown = first.map_or_else(|error| error.to_string(), |verdict| shown(&verdict));
        assert!(
            shown.chars().all(|c| c == '\n' || !c.is_control()),
            "{shown:?}"
        );
    }

    /// One answer about one of the domains.
    fn answer() -> impl Strategy<Value = String> {
        let name = prop_oneof![Just("store"), Just("net"), Just("web")];
        let say = prop_oneof![
            Just("allow(\"%\")"),
            Just("deny(\"%\", \"no\")"),
            Just("leave_out(\"%\", \"not now\")"),
            Just("allow_all()"),
            Just("start_after(\"%\", \"web\")"),
            Just("set_memory(\"%\", 64)"),
        ];
        (name, say).prop_map(|(name, say)| format!("plan.{};\n", say.replace('%', name)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn what_is_denied_or_lacks_what_it_needs_is_never_launched(answers in proptest::collection::vec(answer(), 0..8)) {
            let body = answers.concat();
            if let Ok(verdict) = launch(&body) {
                for domain in &three().domains {
                    if verdict.allows(&domain.name) {
                        let denied = format!("deny(\"{}\"", domain.name);
                        let left = format!("leave_out(\"{}\"", domain.name);
                        prop_assert!(!body.contains(&denied) && !body.contains(&left));
                        prop_assert!(domain.after.iter().all(|need| verdict.allows(need)));
                        let after = format!("start_after(\"{}\"", domain.name);
                        prop_assert!(!body.contains(&after) || verdict.allows("web"));
                    }
                }
            }
        }

        #[test]
        fn any_text_gives_the_same_answer_twice(text in any::<String>()) {
            twice(&text);
        }

        #[test]
        fn any_body_gives_the_same_answer_twice(body in pieces()) {
            twice(&format!("fn f(x) {{ [x] }}\nfn launch(facts, plan) {{ let l = [];\n{body}\nplan }}"));
        }
    }
}

mod rehearsals {
    use std::collections::BTreeMap;

    use super::*;
    use crate::policy::{Tested, rehearse};

    fn tested(text: &str) -> Result<Vec<Tested>, Error> {
        let script = Script::new("launch.rhai", text.as_bytes())?;
        let sets = BTreeMap::from([("three".to_owned(), three())]);
        rehearse(&script, &sets, &Limits::default(), || || false)
    }

    const LAUNCH: &str = r#"
        fn launch(facts, plan) {
            for d in facts.domains {
                if d.memory_mib > 64 { plan.allow(d.name); } else { plan.deny(d.name, "too small"); }
            }
            plan.set_vcpus("store", 2);
            log("asked");
            plan
        }"#;

    fn one(body: &str) -> Result<(), Error> {
        let mut tests = tested(&format!("{LAUNCH}\nfn test_it(t) {{\n{body}\n}}"))?;
        assert_eq!(tests.len(), 1);
        tests.remove(0).result
    }

    #[test]
    fn a_test_sees_what_the_hooks_say() {
        const HOOKS: &str = r#"
            fn on_failed(domain, attempt, reason) { if attempt < 3 { "retry" } else { "skip" } }
            fn test_it(t) {
                let facts = t.facts("three");
                t.same(t.on_failed(facts, "net", 1, "timeout: late"), "retry");
                t.same(t.on_failed(facts, "net", 3, "timeout: late"), "skip");
                t.same(t.on_ready(facts, "net"), ());
            }"#;
        let tests = tested(&format!("{LAUNCH}\n{HOOKS}")).unwrap();
        assert_eq!(tests[0].result, Ok(()));
        let nobody = "let a = t.on_failed(t.facts(\"three\"), \"nobody\", 1, \"\");";
        let hook = "fn on_failed(d, a, r) { \"skip\" }";
        let tests = tested(&format!("{LAUNCH}\n{hook}\nfn test_it(t) {{ {nobody} }}")).unwrap();
        assert!(tests[0].result.is_err());
    }

    #[test]
    fn a_test_sees_what_launch_answers() {
        let result = one(r#"
            let a = t.launch(t.facts("three"));
            t.expect(a.allows("web"), "web is launched");
            t.same(a.reason("web"), "");
            t.same(a.changed("store", "vcpus"), 2);
            t.same(a.changed("web", "vcpus"), ());
            t.same(a.log, ["asked"]);
            t.same(a.error, ());
            t.same(a.refused, ());
            let facts = t.facts("three").having(["domains", "net", "memory_mib"], 32);
            let a = t.launch(facts);
            t.same([a.reason("net"), a.reason("web")], ["too small", "it needs net"]);
            let facts = t.facts("three").lacking(["domains", "net"]);
            t.same(facts.domains.len, 2);
            let facts = facts.having(["data", "a.b"], #{ c: [1, true] });
            t.same(facts.data["a.b"].c, [1, true]);"#);
        result.unwrap_or_else(|error| panic!("{error}"));
    }

    #[test]
    fn a_test_that_does_not_hold_fails_with_its_line() {
        let error = one("t.expect(false, \"nothing holds\");").expect_err("it does not hold");
        assert!(
            error.to_string().contains("not as expected: nothing holds"),
            "{error}"
        );
        let caught = one("try { t.same(1, 2); } catch { }").expect_err("it was caught");
        assert!(caught.to_string().contains("found 1, wanted 2"), "{caught}");
    }

    #[test]
    fn a_test_that_cannot_fail_fails() {
        assert!(matches!(
            one("let x = 1;"),
            Err(Error::NothingExpected { .. })
        ));
        assert!(matches!(tested(LAUNCH), Err(Error::NoTests { .. })));
        assert!(one("t.launch(t.facts(\"four\"));").is_err());
        assert!(one("t.expect(t.launch(t.facts(\"three\")).allows(\"wbe\"), \"\");").is_err());
        assert!(one("t.facts(\"three\").having([\"domains\", \"net\", \"ram\"], 1);").is_err());
        assert!(one("t.facts(\"three\").lacking([\"domains\", \"net\", \"name\"]);").is_err());
    }

    #[test]
    fn a_launch_that_fails_is_an_answer_a_test_can_look_at() {
        let text = "fn launch(facts, plan) { loop {} }
            fn test_it(t) { t.expect(\"more than\" in t.launch(t.facts(\"three\")).error, \"it ends\"); }";
        let tests = tested(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(tests[0].result, Ok(()));
    }

    #[test]
    fn a_launch_has_none_of_what_tests_have() {
        let error =
            launch("facts.having([\"domains\"], []);").expect_err("only tests change facts");
        assert!(error.to_string().contains("no function having"), "{error}");
    }
}
