//! Positions that skip: `finetune` with `train.positions = "skipped"`, and longer windows among the others.

use serde_json::Value;

use crate::support::Workplace;

/// Windows of 32 tokens with the distances of 128, under a RoPE for 128 tokens.
const SKIPPED: &str = "finetune --model m --tokens tokens.json --rope yarn --context 32 --steps 8 --dashboard off \
    --set train.positions=skipped --set train.skipped.targets=[64,128] --set train.skipped.share=0.75 \
    --set train.batch=2 --set train.accumulate=2 --set train.learning-rate=1e-3 --set train.warmup-steps=2 \
    --set train.save-every=3";

fn weights(here: &Workplace, run: &str) -> Vec<u8> {
    fs_err::read(here.path(run).join("model/model.safetensors")).unwrap()
}

#[test]
fn a_killed_run_resumes_to_the_same_bytes() {
    let here = Workplace::with_model();
    here.run(&format!("{SKIPPED} --out whole")).worked();
    let mut run = here.start(&format!("{SKIPPED} --out killed"));
    let path = here.path("killed/metrics.jsonl");
    let started = std::time::Instant::now();
    let has = |n: usize| fs_err::read_to_string(&path).is_ok_and(|text| text.lines().count() > n);
    while !has(5) {
        assert!(started.elapsed().as_secs() < 60, "no progress");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    here.run("finetune --resume --out killed --dashboard off")
        .worked();
    let metrics = |run: &str| here.training_metrics(&format!("{run}/metrics.jsonl"));
    assert_eq!(metrics("whole"), metrics("killed"));
    assert!(weights(&here, "whole") == weights(&here, "killed"));
}

#[test]
fn the_model_is_for_the_target_and_the_cost_that_of_the_window() {
    let here = Workplace::with_model();
    let shown = here.run(&format!("{SKIPPED} --out run")).worked();
    // 8 steps of 2 × 2 windows of 32 tokens.
    assert!(shown.contains("8 steps, 1,024 tokens"), "{shown}");
    let config = here.read_json("run/model/config.json");
    assert_eq!(config["max_position_embeddings"], 128);
    // Other positions are another training.
    let all = SKIPPED
        .replace("--set train.positions=skipped", "")
        .replace("--rope yarn", "--rope yarn@128");
    here.run(&format!("{all} --out all")).worked();
    assert!(weights(&here, "run") != weights(&here, "all"));
}

#[test]
fn targets_follow_from_the_rope() {
    let here = Workplace::with_model();
    let defaults = SKIPPED.replace("--set train.skipped.targets=[64,128]", "");
    // A method has no length of its own.
    let message = here.run(&format!("{defaults} --out run")).refused();
    assert!(message.contains("train.skipped.targets"), "{message}");
    here.run(&format!("{SKIPPED} --out run")).worked();
    let of_file = defaults.replace("--rope yarn", "--rope run/model/config.json");
    here.run(&format!("{of_file} --out file")).worked();
    let config = here.read_json("file/model/config.json");
    assert_eq!(config["max_position_embeddings"], 128);
    // A window of the model's original context is the default.
    let without = of_file.replace("--context 32", "");
    let shown = here.run(&format!("{without} --out window")).worked();
    assert!(shown.contains("8 steps, 1,024 tokens"), "{shown}");
}

#[test]
fn longer_windows_have_their_share() {
    let here = Workplace::with_model();
    let long = format!("{SKIPPED} --set train.long.context=64 --set train.long.share=0.25");
    let shown = here.run(&format!("{long} --out run")).worked();
    // A quarter of the 16 batches has 64 tokens per window.
    assert!(shown.contains("8 steps, 1,280 tokens"), "{shown}");
    let metrics: Vec<Value> = here.training_metrics("run/metrics.jsonl");
    assert_eq!(
        metrics
            .iter()
            .filter(|line| line["nll_nats"].is_number())
            .count(),
        8
    );
}

#[test]
fn settings_without_a_meaning_are_errors() {
    let here = Workplace::with_model();
    for (setting, expected) in [
        (
            "train.skipped.targets=[32]",
            "expected more tokens than a window has",
        ),
        (
            "train.skipped.targets=[128,64]",
            "expected lengths in ascending order",
        ),
        ("train.skipped.pieces=1", "train.skipped.pieces"),
        ("train.skipped.share=0.0", "train.skipped.share"),
        ("train.skipped.shares=0.5", "share"),
        ("train.positions=none", "skipped"),
    ] {
        let line = format!("{SKIPPED} --out run --set {setting}");
        here.run(&line).refused_with(expected);
        assert!(!here.path("run").exists(), "{setting}");
    }
    let long = format!("{SKIPPED} --out run --set train.long.share=0.5 --set train.long.context");
    here.run(&format!("{long}=32"))
        .refused_with("train.long.context");
}
