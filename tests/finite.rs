//! Numbers that are not finite never pass as results.

use serde_json::Value;

use crate::support::{TINY_SEARCH, Workplace};

/// Puts a value that is not finite into a weight of a checkpoint, at an index in row-major order.
fn spoil(here: &Workplace, checkpoint: &str, tensor: &str, index: usize, value: f32) {
    let path = here.path(checkpoint).join("model.safetensors");
    let mut bytes = fs_err::read(&path).unwrap();
    let header_bytes = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let header: Value = serde_json::from_slice(&bytes[8..8 + header_bytes]).unwrap();
    let entry = &header[tensor];
    let offset = usize::try_from(entry["data_offsets"][0].as_u64().unwrap()).unwrap();
    // The upper half of an f32 is a bf16.
    let n = if entry["dtype"] == "F32" { 4 } else { 2 };
    let at = 8 + header_bytes + offset + n * index;
    bytes[at..at + n].copy_from_slice(&value.to_le_bytes()[4 - n..]);
    fs_err::write(path, bytes).unwrap();
}

const TENSOR: &str = "model.layers.1.mlp.gate_proj.weight";

/// A workplace whose model `m` has one weight that is not a number.
fn spoilt() -> Workplace {
    let here = Workplace::with_model();
    spoil(&here, "m", TENSOR, 2 * 32 + 5, f32::NAN);
    here
}

/// The message of a command that ends with exit code 1, with the warnings before it.
fn message_of(here: &Workplace, line: &str) -> String {
    let outcome = here.run(line);
    assert_eq!(outcome.code, Some(1), "{line}\n{}", outcome.stderr);
    outcome.stderr
}

/// Asserts that a command ends with exit code 1, names the weight, and has a hint.
fn names_the_weight(here: &Workplace, line: &str) -> String {
    let message = message_of(here, line);
    for part in ["error: ", TENSOR, "[2, 5]", "NaN", "hint: "] {
        assert!(message.contains(part), "{line}: {part} in {message}");
    }
    message
}

#[test]
fn losses_and_answers_of_spoilt_weights_are_errors_that_name_the_weight() {
    let here = spoilt();
    let ppl = "eval ppl --model m --tokens tokens.json --contexts 32 --json";
    let message = names_the_weight(&here, ppl);
    assert!(message.contains("window 0"), "{message}");
    assert!(message.contains("position 1 is NaN"), "{message}");
    names_the_weight(
        &here,
        "compare --model m --tokens tokens.json --contexts 32",
    );
}

#[test]
fn every_weight_that_is_not_finite_is_noticed() {
    let maps = ["q_proj", "k_proj", "v_proj", "o_proj"].map(|map| format!("self_attn.{map}"));
    let norms = ["input_layernorm", "post_attention_layernorm", "mlp.up_proj"];
    let names = maps.into_iter().chain(norms.map(str::to_owned));
    for (name, value) in names.flat_map(|name| [(name.clone(), f32::NAN), (name, f32::INFINITY)]) {
        let here = Workplace::with_model();
        let tensor = format!("model.layers.0.{name}.weight");
        spoil(&here, "m", &tensor, 0, value);
        let line = "eval ppl --model m --tokens tokens.json --contexts 32 --windows 1";
        let message = message_of(&here, line);
        assert!(message.contains(&tensor), "{tensor} {value}: {message}");
    }
}

#[test]
fn tasks_with_spoilt_weights_do_not_score_zero() {
    let here = Workplace::with_tokenizer();
    let name = "model.layers.0.input_layernorm.weight";
    spoil(&here, "t", name, 7, f32::NAN);
    let tasks = [
        "eval passkey --model t --contexts 256 --trials 2",
        "eval passkey --model t --contexts 256 --trials 2 --set passkey.protocol=generated",
    ];
    for line in tasks {
        let message = here.fails(line);
        assert!(message.contains(name), "{line}: {message}");
        assert!(message.contains("hint: "), "{line}: {message}");
    }
    let line = "eval needle --model t --contexts 256 --trials 1 --depths 0.5 --out needles";
    let message = here.fails(line);
    assert!(message.contains(name), "{message}");
    assert!(!here.path("needles/eval/needle.json").exists());
    let line = "eval ruler --model t --contexts 512 --tasks niah_single_1 --samples 1 --out ruler";
    let message = here.fails(line);
    assert!(message.contains(name), "{message}");
    assert!(!here.path("ruler/eval/ruler.json").exists());
    let message = here.fails("generate --model t --prompt hello --max-new-tokens 3");
    assert!(message.contains(name), "{message}");
}

#[test]
fn a_search_without_a_finite_candidate_is_an_error_without_results() {
    let here = spoilt();
    let line = format!("{TINY_SEARCH} --set search.generations=2 --target 128 --out run");
    let message = names_the_weight(&here, &line);
    assert!(message.contains("candidates failed"), "{message}");
    assert!(message.contains("position 1 is NaN"), "{message}");
    for file in ["rope.json", "search/result.json", "history.svg"] {
        assert!(!here.path("run").join(file).exists(), "{file}");
    }
    for file in ["run/metrics.jsonl", "run/search/state.json"] {
        assert!(!here.read(file).contains("null"), "{}", here.read(file));
    }
    // It can be read back, and fails again at once.
    let again = message_of(&here, "search --resume --out run");
    assert!(again.contains("candidates failed"), "{again}");
    let lines = here.read_json_lines("run/metrics.jsonl");
    assert_eq!(lines.len(), 2, "a header and one generation");
}

#[test]
fn a_training_without_a_step_that_changes_the_weights_is_an_error() {
    let here = spoilt();
    let line = "finetune --model m --tokens tokens.json --rope yarn --context 64 --dashboard off \
                --set train.warmup-steps=0 --set train.batch=2 --set train.eval-windows=0";
    for steps in [1, 4] {
        let message = names_the_weight(&here, &format!("{line} --steps {steps} --out run-{steps}"));
        assert!(message.contains("finite"), "{message}");
        assert!(!here.path(&format!("run-{steps}/model")).exists());
        assert!(
            !here
                .read(&format!("run-{steps}/metrics.jsonl"))
                .contains("\"loss\":null")
        );
    }
}

#[test]
fn finite_losses_so_large_that_perplexities_overflow_are_numbers() {
    let here = Workplace::with_model();
    spoil(&here, "m", "model.norm.weight", 0, 1e6);
    let line = "eval ppl --model m --tokens tokens.json --contexts 32 --out run --json";
    let report = here.compute_json(line);
    assert!(report["results"][0]["nll_nats"].is_number(), "{report}");
    assert!(report["results"][0]["ppl"].is_number(), "{report}");
    here.run("report run").worked();
}

#[test]
fn a_benchmark_with_spoilt_weights_has_no_score() {
    let here = Workplace::with_model();
    here.checkpoint("../bench/checkpoint", "b");
    here.checkpoint("../bench/data", "data");
    let name = "model.layers.0.input_layernorm.weight";
    spoil(&here, "b", name, 3, f32::NAN);
    let line = "eval bench --model b --bench mmlu --data data/mmlu-test.parquet \
        --fewshot data/mmlu-dev.jsonl --out run";
    let message = here.fails(line);
    assert!(message.contains(name), "{message}");
    assert!(!here.path("run/eval/bench-mmlu.json").exists());
}

#[test]
fn a_pretraining_that_begins_with_spoilt_weights_is_an_error() {
    let here = Workplace::new();
    here.rust_text();
    here.write(
        "pretrain.toml",
        r#"
[pretrain]
model = { layers = 1, hidden = 32, heads = 2, kv-heads = 1, intermediate = 48, vocab = 300, window = 64 }
[[pretrain.phases]]
name = "only"
steps = 3
batch = 1
window = 48
learning-rate = 1e-2
shares = { text = 1.0 }
"#,
    );
    here.run("pretrain --config pretrain.toml --text text.txt --json --out run")
        .worked();
    // As after a kill before the first saved state.
    for name in ["run/model", "run/1-only"] {
        fs_err::remove_dir_all(here.path(name)).unwrap();
    }
    // As of a version without checksums, which would name the changed file.
    fs_err::remove_file(here.path("run/start/checksums.json")).unwrap();
    let name = "model.layers.0.mlp.up_proj.weight";
    spoil(&here, "run/start", name, 1, f32::NAN);
    let message = message_of(&here, "pretrain --resume --out run --json");
    for part in [name, "not finite", "hint: "] {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert!(!here.path("run/model").exists());
}

#[test]
fn weights_that_are_not_finite_are_exported_by_force_only() {
    let here = spoilt();
    let export = "export --model m --rope yarn --target 128 --out x";
    for flags in ["", "--dtype bf16", "--max-shard-size 20kB"] {
        let message = here.fails(&format!("{export} {flags}"));
        for part in [TENSOR, "NaN", "--force"] {
            assert!(message.contains(part), "{part} in {message}");
        }
        assert!(!here.path("x").exists());
    }
    let forced = here.run(&format!("{export} --force"));
    assert!(forced.stderr.contains(TENSOR), "{}", forced.stderr);
    forced.worked();
}

#[test]
fn weights_beyond_the_range_of_f16_are_exported_as_infinity_by_force_only() {
    let here = Workplace::with_model();
    spoil(&here, "m", TENSOR, 3, 1e6);
    let export = "export --model m --rope yarn --target 128 --out x --dtype f16";
    let message = here.fails(export);
    for part in [TENSOR, "1000000", "--dtype bf16"] {
        assert!(message.contains(part), "{part} in {message}");
    }
    let forced = here.run(&format!("{export} --force"));
    assert!(
        forced.stderr.contains("exported as infinity"),
        "{}",
        forced.stderr
    );
    assert!(forced.stderr.contains(TENSOR), "{}", forced.stderr);
    forced.worked();
    here.run(&export.replace("--out x --dtype f16", "--out y --dtype bf16"))
        .worked();
}
