//! The JSON formats that other programs read: keys, their order and the kinds of their values.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::{TINY_SEARCH, Workplace};

/// One line per key of a JSON value with the kind of its value, or the value if it identifies a format. A list is
/// described by its first item.
fn shape(value: &Value) -> String {
    let mut lines = Vec::new();
    describe("", value, &mut lines);
    lines.join("\n")
}

fn describe(path: &str, value: &Value, lines: &mut Vec<String>) {
    let text = match value {
        Value::Object(object) => {
            for (key, value) in object {
                let dot = if path.is_empty() { "" } else { "." };
                describe(&format!("{path}{dot}{key}"), value, lines);
            }
            return;
        }
        Value::Array(items) => {
            match items.first() {
                Some(item) => describe(&format!("{path}[]"), item, lines),
                None => lines.push(format!("{path}: empty")),
            }
            return;
        }
        _ if matches!(path, "format" | "version" | "scaling.type") => value.to_string(),
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "boolean".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Number(number) if number.is_f64() => "real".to_owned(),
        Value::Number(_) => "whole".to_owned(),
    };
    lines.push(format!("{path}: {text}"));
}

#[test]
fn inspection() {
    let here = Workplace::with_model();
    assert_snapshot!(shape(&here.inspection("m")), @r#"
    format: "longrope-inspection"
    version: 1
    model: string
    family: string
    n_parameters: whole
    n_layers: whole
    hidden_size: whole
    intermediate_size: whole
    n_heads: whole
    n_kv_heads: whole
    head_dim: whole
    vocab_size: whole
    tied_embeddings: boolean
    dtypes[]: string
    n_files: whole
    n_bytes: whole
    max_context: whole
    windows[]: null
    rope.rotary_dim: whole
    rope.theta: real
    rope.original_context: whole
    rope.scaling.type: string
    attention_scale: real
    fingerprint: string
    published_factors: empty
    warnings: empty
    "#);
}

#[test]
fn evaluation() {
    let here = Workplace::with_model();
    let json = here.compute_json(
        "eval ppl --model m --tokens tokens.json --contexts 32 --per-token tokens.jsonl --json",
    );
    assert_snapshot!(shape(&json), @r#"
    format: "longrope-eval"
    version: 1
    source.tool_version: string
    source.model: string
    source.model_fingerprint: string
    source.text_fingerprint: string
    source.texts[]: string
    source.seed: whole
    source.devices[]: string
    source.precision: string
    results[].task: string
    results[].rope: string
    results[].rope_fingerprint: string
    results[].context: whole
    results[].stride: whole
    results[].n_windows: whole
    results[].n_tokens: whole
    results[].nll_nats: real
    results[].stderr_nats: real
    results[].ppl: real
    results[].ppl_window_mean: real
    results[].bos: string
    results[].protocol: string
    results[].windows.document[]: whole
    results[].windows.start[]: whole
    results[].windows.n_tokens[]: whole
    results[].windows.nll_nats[]: real
    results[].elapsed_secs: real
    "#);
    assert_snapshot!(shape(&here.read_json_lines("tokens.jsonl")[0]), @r"
    rope: string
    context: whole
    document: whole
    source: string
    window: whole
    window_start: whole
    position: whole
    token: whole
    nll_nats: real
    ");
}

#[test]
fn files_of_a_search() {
    let here = Workplace::with_model();
    let flags = "--set search.generations=1 --target 128 --out run --json";
    let printed = here.compute_json(&format!("{TINY_SEARCH} {flags}"));
    assert_eq!(printed, here.read_json("run/search/result.json"));
    assert_snapshot!(shape(&printed), @r#"
    format: "longrope-search-result"
    version: 1
    source.tool_version: string
    source.model: string
    source.model_fingerprint: string
    source.text_fingerprint: string
    source.texts[]: string
    source.seed: whole
    source.devices[]: string
    source.precision: string
    target_context: whole
    best_nats: real
    best_ppl: real
    start_tokens: whole
    attention_scale: real
    evaluations: whole
    token_evaluations: whole
    token_evaluations_saved: whole
    failures: whole
    objective: string
    objective_choice.objective: string
    objective_choice.reason: string
    searched.method: string
    searched.rope_fingerprint: string
    searched.nll_nats: real
    searched.text_nats[]: real
    baselines[].method: string
    baselines[].rope_fingerprint: string
    baselines[].nll_nats: real
    baselines[].text_nats[]: real
    baselines[].difference.reference: string
    baselines[].difference.value: real
    baselines[].difference.stderr: real
    baselines[].difference.interval[]: real
    baselines[].difference.n: whole
    baselines[].difference.method: string
    baselines[].difference.distinguishable: boolean
    verdict.context: whole
    verdict.held_out.text_fingerprint: string
    verdict.held_out.n_tokens: whole
    verdict.held_out.n_windows: whole
    verdict.searched.method: string
    verdict.searched.rope_fingerprint: string
    verdict.searched.nll_nats: real
    verdict.searched.text_nats[]: real
    verdict.baselines[].method: string
    verdict.baselines[].rope_fingerprint: string
    verdict.baselines[].nll_nats: real
    verdict.baselines[].text_nats[]: real
    verdict.baselines[].difference.reference: string
    verdict.baselines[].difference.value: real
    verdict.baselines[].difference.stderr: real
    verdict.baselines[].difference.interval[]: real
    verdict.baselines[].difference.n: whole
    verdict.baselines[].difference.method: string
    verdict.baselines[].difference.distinguishable: boolean
    verdict.recommended: string
    verdict.lines[]: string
    elapsed_secs: real
    "#);
}

#[test]
fn files_of_a_search_beside_its_result() {
    let here = Workplace::with_model();
    let flags = "--set search.generations=1 --target 128 --out run";
    here.compute(&format!("{TINY_SEARCH} {flags}"));
    let metrics = here.read_json_lines("run/metrics.jsonl");
    assert_snapshot!(metrics[0], @r#"{"format":"longrope-metrics","version":1,"kind":"search"}"#);
    assert_snapshot!(shape(&metrics[1]), @r"
    generation: whole
    best_nats: real
    generation_best_nats: real
    median_nats: real
    evaluations: whole
    memo_hits: whole
    sample_evaluations: whole
    dropped: whole
    failures: whole
    ");
    assert_snapshot!(shape(&here.read_json("run/rope.json")), @r#"
    format: "longrope-rope"
    version: 1
    rotary_dim: whole
    theta: real
    original_context: whole
    scaling.type: "long-rope"
    scaling.sets[].max_context: whole
    scaling.sets[].start_tokens: whole
    scaling.sets[].factors[]: real
    scaling.sets[].attention.type: string
    scaling.attention.type: string
    provenance.tool_version: string
    provenance.model_fingerprint: string
    provenance.text_fingerprint: string
    provenance.seed: whole
    provenance.profile: string
    provenance.objective: string
    provenance.score_nats: real
    provenance.evaluations: whole
    provenance.target_context: whole
    "#);
    let state = here.read_json("run/search/state.json");
    assert_eq!(state["format"], "longrope-search-state");
    assert_eq!(state["version"], 2);
}

#[test]
fn diagnosis() {
    let here = Workplace::new();
    let config = serde_json::json!({
        "model_type": "llama", "hidden_size": 32, "num_attention_heads": 4,
        "max_position_embeddings": 1024, "original_max_position_embeddings": 256, "rope_theta": 10000.0,
        "rope_scaling": {
            "type": "longrope", "short_factor": [1.0, 1.0, 1.0, 1.0], "long_factor": [1.0, 2.0, 3.0, 4.0],
        },
    });
    here.write("config.json", config.to_string());
    let printed = here.run("doctor config.json --json").worked();
    assert_snapshot!(shape(&serde_json::from_str(&printed).unwrap()), @r#"
    format: "longrope-doctor"
    version: 1
    model: string
    model_type: string
    rope: string
    original_context: whole
    max_context: whole
    runtimes[].runtime: string
    runtimes[].version: string
    runtimes[].source: string
    runtimes[].outcome: string
    runtimes[].theta: real
    runtimes[].factors[].name: string
    runtimes[].factors[].first: real
    runtimes[].factors[].last: real
    runtimes[].factors[].attention_scale: real
    runtimes[].switch.type: string
    runtimes[].switch.border: whole
    runtimes[].switch.recomputes_cache: boolean
    runtimes[].default_context: null
    conflict: null
    disagreements[].topics[]: string
    disagreements[].runtimes[]: string
    disagreements[].what: string
    disagreements[].consequence: string
    advice[].runtimes: empty
    advice[].text: string
    "#);
}

#[test]
fn list_of_an_export() {
    let here = Workplace::with_model();
    here.run("export --model m --rope yarn --target 64 --out x")
        .worked();
    assert_snapshot!(shape(&here.read_json("x/longrope-export.json")), @r#"
    format: "longrope-export"
    version: 1
    files[]: string
    "#);
}
