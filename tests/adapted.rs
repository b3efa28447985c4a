//! A search that adapts the model to each candidate before it scores it.

use serde_json::Value;

use crate::resume;
use crate::support::{TINY_SEARCH, Workplace};

const ADAPT: &str = "--set search.adapt.steps=2 --set search.adapt.window=32 --set search.adapt.rank=2 \
    --set search.adapt.learning-rate=1e-2";
const SHORT: &str = "--set search.generations=1 --target 128 --json";

fn json(here: &Workplace, line: &str) -> Value {
    serde_json::from_str(&here.run(line).worked()).unwrap()
}

#[test]
fn every_output_says_what_was_adapted() {
    let here = Workplace::with_model();
    let line = format!("{TINY_SEARCH} {SHORT} {ADAPT}");
    let found = json(&here, &format!("{line} --out run"));
    let adapted = serde_json::json!({ "steps": 2, "window": 32, "target": 128, "tokens": 64 });
    assert_eq!(found["adapted"], adapted);
    assert_eq!(found["verdict"]["adapted"], adapted);
    assert_eq!(here.read_json("run/search/result.json"), found);
    let words = "adapted: 2 steps, window 32, positions skip to 128";
    let first = found["verdict"]["lines"][0].as_str().unwrap();
    assert!(
        first.starts_with(
            "after 2 steps of adaptation, on 2 windows of 32 tokens (positions skip to 128) that"
        ),
        "{first}"
    );
    let rope = here.read_json("run/rope.json");
    let objective = rope["provenance"]["objective"].as_str().unwrap();
    assert_eq!(objective, format!("mean loss per token; {words}"));
    // Each candidate was trained on two windows, and scored on two.
    let tokens = 4 * 32 * found["evaluations"].as_u64().unwrap();
    assert_eq!(found["token_evaluations"], tokens);
    let shown = here.run(&format!("{} --out shown", line.replace("--json", "")));
    assert!(shown.stderr.contains(words), "{}", shown.stderr);
    assert!(shown.worked().contains(words));
    here.run("report run").worked();
    assert!(here.read("run/report.html").contains(words));

    // The frozen model has other losses, on other samples.
    let frozen = json(&here, &format!("{TINY_SEARCH} {SHORT} --out frozen"));
    assert_eq!(frozen.get("adapted"), None);
    assert_eq!(frozen["verdict"].get("adapted"), None);
    assert!(!here.read("frozen/config.toml").contains("adapt"));
    assert_ne!(
        frozen["searched"]["nll_nats"],
        found["searched"]["nll_nats"]
    );
}

#[test]
fn the_same_seed_gives_the_same_bytes_killed_or_not_on_one_worker_or_two() {
    let here = Workplace::with_model();
    let line = format!("{} {ADAPT}", resume::SEARCH).replace("generations=24", "generations=4");
    here.run(&format!("{line} --out whole")).worked();
    here.run(&format!("{line} --device flex --device flex --out two"))
        .worked();
    resume::assert_same(&here, "whole", "two");
    let mut search = resume::start(&here, &line, "killed", 1);
    search.kill().unwrap();
    search.wait().unwrap();
    assert!(!here.path("killed/rope.json").exists(), "killed too late");
    let inputs = here.read_json("killed/search/inputs.json");
    assert_eq!(inputs["adapt"]["settings"]["steps"], 2);
    here.run("search --resume --out killed --set search.adapt.steps=3")
        .refused_with("the search was started with another `search.adapt`");
    here.run("search --resume --out killed --set search.adapt.steps=0")
        .refused_with("the search was started with another `search.adapt`");
    here.run("search --resume --out killed --set search.adapt.steps=2")
        .worked();
    resume::assert_same(&here, "whole", "killed");
    let verdict =
        |run: &str| here.read_json(&format!("{run}/search/result.json"))["verdict"].clone();
    assert_eq!(verdict("whole"), verdict("killed"));
}

#[test]
fn passkeys_at_the_target_are_tried_in_short_windows() {
    let here = Workplace::with_tokenizer();
    here.rust_text();
    let line = "search --model t --text text.txt --samples 1 --target 8192 --set search.population=4 \
        --set search.parents=2 --set search.mutations=1 --set search.crossovers=1 --set search.generations=0 \
        --set search.seeds=[\"none\"] --set search.attention={type=\"fixed\",policy={type=\"none\"}} \
        --set search-needle.samples=2 --set search.passkey-trials=2 --set search.adapt.steps=1 \
        --set search.adapt.window=192 --set search.adapt.data={text=0.5,passkey=0.5} --json --out run";
    let found = json(&here, line);
    assert_eq!(found["objective_choice"]["objective"], "combined");
    assert_eq!(found["adapted"]["target"], 8192);
    assert!(found["searched"]["answer_nats"].as_f64().unwrap() > 0.0);
    let verdict = &found["verdict"];
    assert_eq!(verdict["context"], 192);
    assert_eq!(
        verdict["searched"]["passkeys_found"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn what_cannot_be_adapted_is_refused_before_anything_is_measured() {
    let here = Workplace::with_model();
    let refuse = |keys: &str, words: &str| {
        here.run(&format!("{TINY_SEARCH} --target 128 --out x {keys}"))
            .refused_with(words);
        assert!(!here.path("x").exists(), "{keys}");
    };
    let on = "--set search.adapt.steps=2";
    refuse(
        &format!("{on} --set weights=streamed"),
        "cannot be adapted with streamed weights",
    );
    refuse(
        &format!("{on} --set search.adapt.window=128"),
        "`search.adapt.window` is 128",
    );
    refuse(
        &format!("{on} --set search.adapt.pieces=1"),
        "`search.adapt.pieces` is 1, expected 2 to",
    );
    refuse(
        &format!("{on} --set search.adapt.data={{text=0}}"),
        "`search.adapt.data` is [0.0",
    );
    refuse(
        &format!("{on} --set search.sample-context=64"),
        "`search.sample-context` is 64, expected no such key",
    );
    refuse(
        &format!("{on} --set search.adapt.data={{passkey=1}}"),
        "generated documents need a tokenizer",
    );
    refuse("--set search.adapt.step=2", "unknown field `step`");
    here.edit_config("m", |config| {
        config["model_type"] = "mistral".into();
        config["architectures"] = serde_json::json!(["MistralForCausalLM"]);
        config["sliding_window"] = 16.into();
    });
    refuse(on, "all layers of this model have a sliding window");
}
