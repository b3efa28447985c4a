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
        assert_eq!(
            report["contexts"][index]["kept"],
            of("after_nats") < of("before_nats")
        );
    }
    // Up to the window, the known RoPE is plain, as the first method of the search is.
    let found = here.read_json("r/context-16/search/result.json");
    assert_eq!(found["baselines"][0]["method"], "none");
    let plain = number(&found, "/baselines/0/nll_nats");
    let before = number(&report, "/contexts/0/before_nats");
    assert!((before - plain).abs() < 1e-6, "{before} {plain}");
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
fn a_recovery_that_is_resumed_with_more_contexts_has_the_sets_of_all() {
    let here = workplace();
    recover(&here, "--contexts 64,128 --out r");
    assert_eq!(contexts_of_sets(&here, "r"), [32, 64, 128]);
    let resumed = recover(&here, "--contexts 48,64,128 --out r --resume");
    let whole = recover(&here, "--contexts 48,64,128 --out whole");
    assert_eq!(whole["contexts"][0]["kept"], true, "{whole}");
    assert_eq!(resumed, whole);
    assert_eq!(contexts_of_sets(&here, "r"), [32, 48, 64, 128]);
    assert_eq!(here.read("r/rope.json"), here.read("whole/rope.json"));
}
