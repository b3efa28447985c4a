//! What a recovery measures and keeps.

use serde_json::{Value, json};

use crate::support::{Workplace, number, two_sets};

const RECOVER: &str = "recover --model m --tokens tokens.json --rope known.json --samples 2 --json \
    --set search.population=8 --set search.parents=4 --set search.mutations=3 --set search.crossovers=3 \
    --set search.generations=1";

/// A folder with the model `m`, whose window is 32, and a RoPE that is plain up to there and bad up to 128.
fn workplace() -> Workplace {
    let here = Workplace::with_model();
    let known = two_sets([1.0, 16.0], 0, &json!({"type": "none"}));
    here.write("known.json", known);
    here
}

fn recover(here: &Workplace, more: &str) -> Value {
    let line = format!("{RECOVER} {more}");
    serde_json::from_str(&here.run(&line).worked()).unwrap()
}

fn contexts_of_sets(here: &Workplace, run: &str) -> Vec<u64> {
    let rope = here.read_json(&format!("{run}/rope.json"));
    let sets = rope["scaling"]["sets"].as_array().unwrap().iter();
    sets.map(|set| set["max_context"].as_u64().unwrap())
        .collect()
}

#[test]
fn losses_before_and_after_a_recovery_are_of_the_same_samples() {
    let here = workplace();
    let report = recover(&here, "--contexts 16,64 --out r");
    for (index, context) in [16, 64].into_iter().enumerate() {
        let found = here.read_json(&format!("r/context-{context}/search/result.json"));
        let of = |field: &str| number(&report, &format!("/contexts/{index}/{field}"));
        let after = number(&found, "/searched/nll_nats");
        assert!((of("after_nats") - after).abs() < 1e-9, "{context}");
        let difference = of("difference/value");
        assert!((of("after_nats") - of("before_nats") - difference).abs() < 1e-9);
    }
    // Up to the window, the known RoPE is plain, as the first method of the search is.
    let found = here.read_json("r/context-16/search/result.json");
    assert_eq!(found["baselines"][0]["method"], "none");
    let plain = number(&found, "/baselines/0/nll_nats");
    let before = number(&report, "/contexts/0/before_nats");
    assert!((before - plain).abs() < 1e-6, "{before} {plain}");
}

#[test]
fn another_rope_is_named_as_it_was_given() {
    let here = workplace();
    recover(&here, "--contexts 16 --out r");
    here.write(
        "other.json",
        two_sets([1.0, 8.0], 0, &json!({"type": "none"})),
    );
    let message = here.fails("recover --resume --out r --rope other.json");
    let words = "the run in `r` has other settings: `rope` was known.json and is other.json\n";
    assert!(message.contains(words), "{message}");
    assert!(message.contains("hint: resume without --rope"), "{message}");
    // At the same path.
    here.write("known.json", here.read("other.json"));
    let message = here.fails("recover --resume --out r");
    assert!(
        message.contains("other settings: `rope` is another one\n"),
        "{message}"
    );
}

#[test]
fn the_samples_of_a_recovery_are_as_long_as_its_contexts() {
    let here = workplace();
    let line = format!("{RECOVER} --contexts 128 --set search.sample-context=40 --out r");
    here.run(&line)
        .refused_with("`search.sample-context` is 40, expected no such key in a recovery");
    assert!(!here.path("r").exists());
}

#[test]
fn a_recovery_starts_from_the_rope_as_it_was_with_its_attention_scale() {
    let here = workplace();
    // On the grid and within the bounds at both contexts.
    let known = two_sets([1.0, 2.75], 0, &json!({"type": "su"}));
    here.write("known.json", known);
    let report = recover(&here, "--contexts 16,64 --out r");
    for (index, context) in [16, 64].into_iter().enumerate() {
        let state = here.read_json(&format!("r/context-{context}/search/state.json"));
        let seeds = state["seeds"].as_array().unwrap();
        let init = seeds.last().unwrap();
        assert_eq!(init["name"], "init-0");
        let before = number(&report, &format!("/contexts/{index}/before_nats"));
        let score = number(init, "/score");
        assert!((score - before).abs() < 1e-9, "{context}: {score} {before}");
        assert_eq!(init["attention"]["type"], "constant");
    }
    // Within the window nothing else is a RoPE of its own.
    let state = here.read_json("r/context-16/search/state.json");
    let words = |seed: &Value| {
        let of = |value: &Value| value.as_str().unwrap().to_owned();
        of(&seed["name"]) + " " + &of(&seed["attention"]["type"])
    };
    let starts: Vec<String> = state["seeds"]
        .as_array()
        .unwrap()
        .iter()
        .map(words)
        .collect();
    assert_eq!(starts, ["none none", "none constant", "init-0 constant"]);
}

#[test]
fn a_gain_that_may_be_chance_is_not_kept() {
    let here = workplace();
    let report = recover(&here, "--contexts 48 --out r");
    let of = |field: &str| number(&report, &format!("/contexts/0/{field}"));
    assert!(of("after_nats") < of("before_nats"), "{report}");
    assert!(of("difference/interval/1") > 0.0, "{report}");
    assert_eq!(report["contexts"][0]["kept"], false);
    assert_eq!(contexts_of_sets(&here, "r"), [32, 128]);
    let shown = here.run("recover --resume --out r").worked();
    assert!(shown.contains(", not kept"), "{shown}");
    let line = "on the same 2 samples, ± half of the 95% interval (Student's t). Only factors whose interval is above 0 are kept";
    assert!(shown.contains(line), "{shown}");
}

#[test]
fn one_sample_keeps_no_factors() {
    let here = workplace();
    let line = RECOVER.replace("--samples 2", "--samples 1");
    let outcome = here.run(&format!("{line} --contexts 64 --out r"));
    let warning = "`search.samples` is 1, expected at least 2";
    assert!(outcome.stderr.contains(warning), "{}", outcome.stderr);
    let report: Value = serde_json::from_str(&outcome.worked()).unwrap();
    assert_eq!(report["contexts"][0]["kept"], false, "{report}");
    assert_eq!(report["contexts"][0]["difference"]["interval"], Value::Null);
}

/// A folder with a trained model `t`, its kind of text, and a RoPE that is bad at every length.
fn trained() -> Workplace {
    let here = Workplace::with_tokenizer();
    here.rust_text();
    let set = |max_context: usize| json!({"max_context": max_context, "start_tokens": 0, "factors": vec![64.0; 32]});
    let bad = json!({
        "format": "longrope-rope", "version": 1, "rotary_dim": 64, "theta": 10000.0, "original_context": 256,
        "scaling": {"type": "long-rope", "sets": [set(256), set(1024)], "attention": {"type": "none"}},
    });
    here.write("bad.json", bad.to_string());
    here
}

#[test]
fn a_recovery_that_is_resumed_with_more_contexts_has_the_sets_of_all() {
    let here = trained();
    let recover = |more: &str| -> Value {
        let line = format!(
            "recover --model t --text text.txt --rope bad.json --samples 3 --json --set search.population=4 \
             --set search.parents=2 --set search.mutations=1 --set search.crossovers=1 --set search.generations=0 \
             --set search.passkey-trials=0 {more}"
        );
        serde_json::from_str(&here.run(&line).worked()).unwrap()
    };
    recover("--contexts 64,128 --out r");
    assert_eq!(contexts_of_sets(&here, "r"), [64, 128, 256, 1024]);
    let resumed = recover("--contexts 48,64,128 --out r --resume");
    let whole = recover("--contexts 48,64,128 --out whole");
    assert_eq!(whole["contexts"][0]["kept"], true, "{whole}");
    assert_eq!(resumed, whole);
    assert_eq!(contexts_of_sets(&here, "r"), [48, 64, 128, 256, 1024]);
    assert_eq!(here.read("r/rope.json"), here.read("whole/rope.json"));
    // Those that are done stay if fewer are named, or, as in the run's config.toml, not the one that was added.
    for contexts in ["--contexts 128", "--contexts 64,128"] {
        assert_eq!(recover(&format!("{contexts} --out r --resume")), whole);
        assert_eq!(here.read("r/rope.json"), here.read("whole/rope.json"));
    }
}

#[test]
fn a_damaged_context_is_measured_again_or_named() {
    let here = workplace();
    let whole = recover(&here, "--contexts 16,64 --out r");
    let (state, result) = (
        "r/context-16/search/state.json",
        "r/context-16/search/result.json",
    );
    let kept = here.read(state);
    for damaged in [&b"{"[..], &b"\xff"[..]] {
        here.write(result, damaged);
        assert_eq!(recover(&here, "--contexts 16,64 --out r --resume"), whole);
    }
    for damaged in [Some(&b"{"[..]), Some(&b"\xff"[..]), None] {
        match damaged {
            Some(bytes) => here.write(state, bytes),
            None => fs_err::remove_file(here.path(state)).unwrap(),
        }
        let message = here.run("recover --resume --out r").stderr;
        let hint = "hint: restore the file from a copy, or remove `r/context-16` and resume";
        assert!(message.contains(hint), "{message}");
        assert_eq!(message.matches("hint: ").count(), 1, "{message}");
        here.write(state, &kept);
    }
    // As the hint says.
    here.write(state, "{");
    fs_err::remove_dir_all(here.path("r/context-16")).unwrap();
    assert_eq!(recover(&here, "--contexts 16,64 --out r --resume"), whole);
}
