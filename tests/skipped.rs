//! Positions that skip: `finetune` with `train.positions = "skipped"`, and longer windows among the others.

use serde_json::{Value, json};

use crate::support::{Workplace, two_sets};

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
fn a_run_keeps_the_angles_that_it_began_with() {
    let here = Workplace::with_model();
    // One set for windows of 32 tokens, another for those of 64.
    here.write(
        "two.json",
        two_sets([1.0, 4.0], 0, &json!({"type": "none"})),
    );
    here.run(
        "finetune --model m --tokens tokens.json --rope two.json --context 32 --steps 4 --dashboard off --out run \
         --set train.warmup-steps=0 --set train.save-every=2 --set train.long={context=64,share=0.5}",
    )
    .worked();
    let metrics = || here.training_metrics("run/metrics.jsonl");
    let resume = || {
        for name in ["model", "step-000004"] {
            fs_err::remove_dir_all(here.path("run").join(name)).unwrap();
        }
        here.run("finetune --resume --out run --dashboard off")
            .worked();
    };
    let whole = metrics();
    resume();
    assert_eq!(metrics(), whole);
    // As an earlier version began: with one set for all windows.
    for (file, settings) in [
        ("run/run.json", "fixed"),
        ("run/step-000002/state.json", "settings"),
    ] {
        let mut json = here.read_json(file);
        let settings = json[settings].as_object_mut().unwrap();
        assert!(settings.remove("window-angles").is_some(), "{file}");
        here.write(file, json.to_string());
    }
    resume();
    let before = metrics();
    assert_eq!(before[..2], whole[..2]);
    assert_ne!(before[2..], whole[2..]);
}

#[test]
fn a_missing_context_is_asked_for_where_it_is_missing() {
    let here = Workplace::with_model();
    let line = "finetune --model m --tokens tokens.json --steps 1 --set train.warmup-steps=0 --dashboard off --rope yarn --out run \
        --set train.long={context=128,share=0.5}";
    for (positions, expected) in [
        ("all", "but `--context` is missing"),
        ("skipped", "but `train.skipped.targets` is missing"),
    ] {
        here.run(&format!("{line} --set train.positions={positions}"))
            .refused_with(expected);
    }
}

/// Half of the windows are compared with the original model: 3 of 8 as short text, 1 of 8 at skipped positions.
const DISTILLED: &str =
    "--set train.distill.short=0.75 --set train.distill.far=0.25 --set train.distill.layers=[1,2]";

#[test]
fn a_run_that_is_compared_with_the_original_resumes_to_the_same_bytes() {
    let here = Workplace::with_model();
    for mode in ["full", "lora"] {
        let line = format!("{SKIPPED} {DISTILLED} --set train.mode={mode}");
        here.run(&format!("{line} --out {mode}")).worked();
        let whole = here.training_metrics(&format!("{mode}/metrics.jsonl"));
        let bytes = weights(&here, mode);
        // What a kill after step 6 leaves.
        fs_err::remove_dir_all(here.path(mode).join("model")).unwrap();
        fs_err::remove_dir_all(here.path(mode).join("step-000008")).unwrap();
        here.run(&format!("finetune --resume --out {mode} --dashboard off"))
            .worked();
        assert!(whole == here.training_metrics(&format!("{mode}/metrics.jsonl")));
        assert!(bytes == weights(&here, mode), "{mode}");
        let with_distance = whole
            .iter()
            .filter(|line| line["distill"].is_number() && line["nll_nats"].is_number())
            .count();
        assert_eq!(
            with_distance, 8,
            "each step has two batches, one of them is compared"
        );
    }
}

#[test]
fn comparing_keeps_hidden_states_near_those_of_the_original() {
    let here = Workplace::with_model();
    let distances = |weight: &str, run: &str| -> Vec<f64> {
        let weight = format!("--set train.distill.short-weight={weight}");
        let fast = "--set train.learning-rate=1e-2";
        let line = format!("{SKIPPED} {fast} --set train.distill.short=1 {weight} --out {run}");
        here.run(&line).worked();
        let metrics = here.training_metrics(&format!("{run}/metrics.jsonl"));
        metrics
            .iter()
            .filter_map(|line| line["distill"].as_f64())
            .collect()
    };
    // A weight of nearly nothing only measures.
    let [free, kept] = [distances("1e-9", "free"), distances("5", "kept")];
    let (free, kept) = (free[7] / 1e-9, kept[7] / 5.0);
    assert!(kept < 0.9 * free, "{kept} {free}");
}

#[test]
fn a_scaled_checkpoint_is_its_own_original() {
    let here = Workplace::with_model();
    here.run("export m --rope yarn --target 128 --out scaled")
        .worked();
    let line = "finetune --model scaled --tokens tokens.json --context 32 --steps 1 --set train.warmup-steps=0 --dashboard off";
    let compared = "--set train.data.text=0 --set train.distill.short=1";
    here.run(&format!("{line} {compared} --out compared"))
        .worked();
    let first = &here.training_metrics("compared/metrics.jsonl")[0];
    // The first step has the weights and the RoPE of the checkpoint; what is left is rounding.
    assert!(first["distill"].as_f64().unwrap().abs() < 1e-5, "{first}");
    // Short windows are under the RoPE of the checkpoint as well.
    let short = "--set train.data.text=0 --set train.data.short=1";
    here.run(&format!("{line} {short} --out short")).worked();
    let nll =
        |run: &str| here.training_metrics(&format!("{run}/metrics.jsonl"))[0]["nll_nats"].clone();
    let windows = "--set train.data.text=1";
    here.run(&format!("{line} {windows} --out text")).worked();
    let (short, text) = (
        nll("short").as_f64().unwrap(),
        nll("text").as_f64().unwrap(),
    );
    assert!((short - text).abs() < 1e-5, "{short} {text}");
}

#[test]
fn targets_of_a_scaled_checkpoint_are_the_context_that_it_claims() {
    let here = Workplace::with_model();
    here.run("export m --rope yarn --target 128 --out scaled")
        .worked();
    let line = "finetune --model scaled --tokens tokens.json --context 32 --steps 1 --set train.warmup-steps=0 --dashboard off \
        --set train.positions=skipped";
    for rope in ["", "--rope checkpoint"] {
        here.run(&format!("{line} {rope} --out run")).worked();
        assert_eq!(
            here.read_json("run/model/config.json")["max_position_embeddings"],
            128
        );
        fs_err::remove_dir_all(here.path("run")).unwrap();
    }
    for (setting, expected) in [
        (
            "train.skipped.targets=[256]",
            "`train.skipped.targets` is 256, but RoPE `checkpoint` is for up to 128",
        ),
        (
            "train.long={context=256,share=0.5}",
            "`train.long.context` is 256, but RoPE `checkpoint` is for up to 128",
        ),
    ] {
        here.run(&format!("{line} --out run --set {setting}"))
            .refused_with(expected);
    }
    // A model that is not scaled has no longer texts of its own.
    let plain = line.replace("--model scaled", "--model m");
    here.run(&format!("{plain} --out run"))
        .refused_with("`train.skipped.targets` is missing");
}

#[test]
fn models_that_see_no_far_positions_are_refused() {
    // All layers of the first have a sliding window; those of the second that see all tokens do not rotate.
    for family in ["starcoder2", "cohere2"] {
        let here = Workplace::of_family(family);
        here.run(
            "finetune --model m --context 32 --tokens tokens.json --steps 1 --set train.warmup-steps=0 --dashboard off --out run \
             --set train.positions=skipped --set train.skipped.targets=[128]",
        )
        .refused_with("no far positions can be trained");
        assert!(!here.path("run").exists(), "{family}");
    }
}

#[test]
fn longer_windows_than_the_rope_is_for_are_named() {
    let here = Workplace::with_model();
    let line = "finetune --model m --tokens tokens.json --context 32 --steps 1 --set train.warmup-steps=0 --dashboard off --rope yarn@128 --out run \
        --set train.long={context=256,share=0.5}";
    for positions in ["all", "skipped"] {
        here.run(&format!("{line} --set train.positions={positions}"))
            .refused_with(
                "`train.long.context` is 256, but RoPE `yarn@128` is for up to 128 tokens",
            );
    }
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
        ("train.data.passkey=-3", "train.data.passkey"),
        ("train.distill=0.5", "expected a table"),
        ("train.distill.far=.5", "expected a number, such as 0.5"),
        ("train.skipped.pieces=1", "train.skipped.pieces"),
        ("train.skipped.share=0.0", "train.skipped.share"),
        ("train.skipped.share=7", "train.skipped.share"),
        ("train.skipped.shares=0.5", "share"),
        ("train.positions=none", "skipped"),
    ] {
        let line = format!("{SKIPPED} --out run --set {setting}");
        here.run(&line).refused_with(expected);
        assert!(!here.path("run").exists(), "{setting}");
    }
    for setting in [
        "train.distill.short=-1",
        "train.distill.far-weight=0.0",
        "train.distill.layers=[3]",
        "train.distill.shorts=1",
    ] {
        let line = format!("{SKIPPED} --out run --set train.distill.far=0.5 --set {setting}");
        let key = setting.split(['=', '.']).nth(2).unwrap_or_default();
        here.run(&line).refused_with(key);
        assert!(!here.path("run").exists(), "{setting}");
    }
    let real = SKIPPED.replace("positions=skipped", "positions=all");
    here.run(&format!("{real} --out run --set train.skipped.share=7"))
        .refused_with("`train.skipped.share` is 7, expected above 0, and at most 1");
    here.run(&format!("{real} --out run --set train.distill.far=0.5"))
        .refused_with("train.positions");
    let long = format!("{SKIPPED} --out run --set train.long.share=0.5 --set train.long.context");
    here.run(&format!("{long}=32"))
        .refused_with("train.long.context");
}

#[test]
fn settings_without_an_effect_are_warned_of() {
    let here = Workplace::with_model();
    let line = "finetune --model m --tokens tokens.json --rope yarn --context 64 --steps 1 --dashboard off \
        --set train.warmup-steps=0";
    for (i, setting, said) in [
        (
            0,
            "train.skipped={targets=[128],pieces=3}",
            &[
                "`train.skipped.targets` has no effect without `train.positions=skipped`",
                "`train.skipped.pieces` has no effect without `train.positions=skipped`",
            ][..],
        ),
        (
            1,
            "train.distill.short-weight=99",
            &["`train.distill.short-weight` has no effect without `train.distill.short`"],
        ),
        (2, "train.skipped.pieces=4", &[]),
    ] {
        let outcome = here.run(&format!("{line} --set {setting} --out run-{i}"));
        for said in said {
            assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
        }
        let n_said = outcome.stderr.matches("has no effect").count();
        assert_eq!(n_said, said.len(), "{}", outcome.stderr);
        outcome.worked();
    }
}

#[test]
fn a_curriculum_that_does_not_reach_its_end_is_warned_of() {
    let here = Workplace::with_model();
    let line = SKIPPED
        .replace("--steps 8", "")
        .replace("[64,128]", "[64,96,128]");
    for (steps, is_said) in [(1, true), (2, true), (3, false)] {
        let warmup = "--set train.warmup-steps=0";
        let outcome = here.run(&format!(
            "{line} {warmup} --steps {steps} --out run-{steps}"
        ));
        let said = outcome
            .stderr
            .contains("`train.skipped.targets` ends with 128")
            && outcome.stderr.contains("needs at least 3");
        assert_eq!(said, is_said, "{}", outcome.stderr);
        outcome.worked();
    }
}

#[test]
fn a_rope_without_a_length_of_its_own_needs_a_target() {
    let here = Workplace::with_model();
    let line = SKIPPED.replace("--set train.skipped.targets=[64,128]", "");
    for rope in ["drope", "theta@5e6"] {
        let line = line.replace("--rope yarn", &format!("--rope {rope}"));
        here.run(&format!("{line} --out run"))
            .refused_with("is the same at every context, so that no length follows from it");
    }
}
