//! Adapters: defaults by family and mode, modules trained beside them, what is refused.

use serde_json::{Value, json};

use crate::support::Workplace;

/// Adapters for a few steps, at the default rate.
const LORA: &str = "finetune --model m --tokens tokens.json --rope yarn --context 64 --steps 4 --lora \
    --dashboard off --set train.batch=2 --set train.warmup-steps=0 --set train.save-every=2";

fn adapter(here: &Workplace, run: &str) -> Value {
    here.read_json(&format!("{run}/step-000004/adapter/adapter_config.json"))
}

fn first_rate(here: &Workplace, run: &str) -> f64 {
    let lines = here.training_metrics(&format!("{run}/metrics.jsonl"));
    lines[0]["learning_rate"].as_f64().unwrap()
}

#[test]
fn targets_are_the_maps_of_attention_that_the_family_has() {
    for (fixture, maps) in [
        (
            "llama-gqa-tied",
            json!(["q_proj", "k_proj", "v_proj", "o_proj"]),
        ),
        ("../families/phi3-window", json!(["qkv_proj", "o_proj"])),
        (
            "../families/qwen2-biases",
            json!(["q_proj", "k_proj", "v_proj", "o_proj"]),
        ),
    ] {
        let here = Workplace::new();
        here.checkpoint(fixture, "m");
        here.tokens("tokens.json", 600);
        let vocab = here.read_json("m/config.json")["vocab_size"]
            .as_u64()
            .unwrap();
        assert!(vocab >= 97, "{fixture}");
        here.run(&format!("{LORA} --out run").replace("--rope yarn --context 64", "--context 32"))
            .worked();
        assert_eq!(adapter(&here, "run")["target_modules"], maps, "{fixture}");
        let config: toml::Table = here.read("run/config.toml").parse().unwrap();
        assert_eq!(config["train"]["learning-rate"].as_float(), Some(2e-4));
    }
}

#[test]
fn the_hint_names_the_maps_of_this_model() {
    let here = Workplace::new();
    here.checkpoint("../families/phi3-window", "m");
    here.tokens("tokens.json", 600);
    let lora = LORA.replace(" --rope yarn", "");
    let message = here.fails(&format!(
        "{lora} --out run --set train.lora.target-modules=[\"q_proj\"]"
    ));
    let hint = message.lines().last().unwrap();
    for name in ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"] {
        assert!(hint.contains(&format!("\"{name}\"")), "{message}");
    }
    assert!(!hint.contains("\"q_proj\""), "{message}");
    for (set, words) in [
        (
            "train.modules-to-save=[\"embeddings\"]",
            "module to save `embeddings`",
        ),
        (
            "train.modules-to-save=[\"o_proj\"]",
            "o_proj` is a target module",
        ),
        ("train.lora.target-modules=[]", "no target module"),
        ("train.lora.rank=0", "`train.lora.rank` is 0"),
    ] {
        here.run(&format!("{lora} --out run --set {set}"))
            .refused_with(words);
    }
}

#[test]
fn the_rate_of_adapters_is_higher_unless_it_is_given() {
    let here = Workplace::with_model();
    here.run(&format!("{LORA} --out default")).worked();
    here.run(&format!(
        "{LORA} --out given --set train.learning-rate=2e-5"
    ))
    .worked();
    here.run(&format!("{} --out full", LORA.replace("--lora", "")))
        .worked();
    let rate = |run: &str| first_rate(&here, run);
    assert_eq!(
        (rate("default"), rate("given"), rate("full")),
        (2e-4, 2e-5, 2e-5)
    );
}

#[test]
fn modules_trained_beside_adapters_are_saved_resumed_and_merged() {
    let here = Workplace::with_model();
    for precision in ["f32", "bf16"] {
        let line = format!(
            "{LORA} --set train.precision=\"{precision}\" --set train.modules-to-save=[\"embed_tokens\",\"norm\"]"
        );
        let run = format!("run-{precision}");
        here.run(&format!("{line} --out {run}")).worked();
        // The head of this model is tied to the embeddings.
        let saved = adapter(&here, &run);
        assert_eq!(
            saved["modules_to_save"],
            json!(["embed_tokens", "norm", "lm_head"])
        );

        let weights =
            |run: &str| fs_err::read(here.path(run).join("model/model.safetensors")).unwrap();
        let (trained, metrics) = (
            weights(&run),
            here.training_metrics(&format!("{run}/metrics.jsonl")),
        );
        fs_err::remove_dir_all(here.path(&format!("{run}/step-000004"))).unwrap();
        fs_err::remove_dir_all(here.path(&format!("{run}/model"))).unwrap();
        here.run(&format!("finetune --resume --out {run} --dashboard off"))
            .worked();
        assert!(weights(&run) == trained, "resumed as if never interrupted");
        assert_eq!(
            here.training_metrics(&format!("{run}/metrics.jsonl")),
            metrics
        );
    }
    // Whoever loads the result gets the trained embeddings.
    here.run(&format!("{LORA} --out plain")).worked();
    let ppl = |model: &str| {
        let line = "eval ppl --tokens tokens.json --contexts 64 --rope yarn --json --model";
        let report = here.run(&format!("{line} {model}")).worked();
        let report: Value = serde_json::from_str(&report).unwrap();
        report["results"][0]["ppl"].as_f64().unwrap()
    };
    assert!(ppl("run-f32/model") < ppl("plain/model"));
}
