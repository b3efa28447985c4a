//! `longrope finetune`: runs, resumption, adapters, wrong input.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Workplace, two_sets};

/// A run with two windows per step, under a RoPE for twice the window.
const FINETUNE: &str = "finetune --model m --tokens tokens.json --rope yarn --context 64 --steps 8 \
    --dashboard off --set train.batch=2 --set train.learning-rate=1e-3 --set train.warmup-steps=2 \
    --set train.save-every=3 --set train.recompute=false";

/// Lines of `metrics.jsonl` without values that depend on the machine.
fn metrics(here: &Workplace, run: &str) -> Vec<Value> {
    here.training_metrics(&format!("{run}/metrics.jsonl"))
}

fn weights(here: &Workplace, run: &str) -> Vec<u8> {
    fs_err::read(here.path(run).join("model/model.safetensors")).unwrap()
}

#[test]
fn a_trained_model_is_a_complete_checkpoint() {
    let here = Workplace::with_model();
    let shown = here.run(&format!("{FINETUNE} --out run")).worked();
    assert!(shown.contains("8 steps, 1,024 tokens"), "{shown}");
    let losses: Vec<f64> = metrics(&here, "run")
        .iter()
        .map(|line| line["nll_nats"].as_f64().unwrap())
        .collect();
    assert_eq!(losses.len(), 8);
    assert!(losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
    let ppl = "eval ppl --tokens tokens.json --contexts 64 --rope yarn --json --model";
    let of = |model: &str| {
        let report = here.run(&format!("{ppl} {model}")).worked();
        let report: Value = serde_json::from_str(&report).unwrap();
        report["results"][0]["ppl"].as_f64().unwrap()
    };
    assert!(of("run/model") < of("m"), "it has learnt the text");
    assert!(everybody_may_read(&here.path("run/model")));
    here.run("finetune --model m --tokens tokens.json --out run")
        .refused_with("already holds a training run");
}

#[test]
fn a_killed_run_resumes_to_the_same_bytes() {
    let here = Workplace::with_model();
    here.run(&format!("{FINETUNE} --out whole")).worked();
    for n_lines in [1, 5] {
        let out = format!("killed-{n_lines}");
        let mut run = here.start(&format!("{FINETUNE} --out {out}"));
        let started = Instant::now();
        let path = here.path(&out).join("metrics.jsonl");
        // The header is a line too.
        let has =
            |n: usize| fs_err::read_to_string(&path).is_ok_and(|text| text.lines().count() > n);
        while !has(n_lines) {
            assert!(started.elapsed() < Duration::from_mins(1), "no progress");
            std::thread::sleep(Duration::from_millis(1));
        }
        run.kill().unwrap();
        run.wait().unwrap();
        here.run(&format!("finetune --resume --out {out} --dashboard off"))
            .worked();
        assert_eq!(metrics(&here, "whole"), metrics(&here, &out));
        assert!(weights(&here, "whole") == weights(&here, &out));
    }
}

/// Whether the files of a folder have ordinary permissions, not those of temporary files.
fn everybody_may_read(folder: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mut files = fs_err::read_dir(folder).unwrap();
        files.all(|file| file.unwrap().metadata().unwrap().permissions().mode() & 0o444 == 0o444)
    }
    #[cfg(not(unix))]
    true
}

#[test]
fn several_devices_train_to_the_same_bytes_as_one_also_when_a_run_changes_them() {
    let here = Workplace::with_model();
    let run = format!("{FINETUNE} --set train.accumulate=3");
    here.run(&format!("{run} --out one --device flex")).worked();
    let two = "--device flex --device flex";
    here.run(&format!("{run} --out two {two}")).worked();
    here.run(&format!("{run} --out three {two} --device flex"))
        .worked();
    for other in ["two", "three"] {
        assert!(weights(&here, "one") == weights(&here, other), "{other}");
        assert_eq!(metrics(&here, "one"), metrics(&here, other));
    }
    let source = &here.read_json_lines("two/metrics.jsonl")[0]["source"];
    assert_eq!(source["devices"], serde_json::json!(["flex", "flex"]));

    fs_err::remove_dir_all(here.path("two/step-000008")).unwrap();
    fs_err::remove_dir_all(here.path("two/model")).unwrap();
    here.run("finetune --resume --out two --dashboard off --device flex")
        .worked();
    assert!(weights(&here, "one") == weights(&here, "two"), "resumed");
}

#[test]
fn devices_without_work_are_warned_of() {
    let here = Workplace::with_model();
    let line = format!("{FINETUNE} --device flex --device flex");
    for (accumulate, is_said) in [(1, true), (2, false)] {
        let outcome = here.run(&format!(
            "{line} --set train.accumulate={accumulate} --out run-{accumulate}"
        ));
        let expected = "`train.accumulate` is 1, so only 1 of 2 devices has work";
        assert_eq!(
            outcome.stderr.contains(expected),
            is_said,
            "{}",
            outcome.stderr
        );
        outcome.worked();
    }
}

#[test]
fn lists_of_devices_are_answered_with_the_two_ways_to_give_several() {
    let here = Workplace::with_model();
    for name in ["flex+", "+flex", "flex++flex", "flex,flex"] {
        let message = here.fails(&format!("{FINETUNE} --out run --device {name}"));
        assert!(message.contains(&format!("device `{name}` ")), "{message}");
        assert!(message.contains("--device A --device B"), "{message}");
        assert!(message.contains("--device A+B"), "{message}");
    }
}

/// bf16 has 8 bits of mantissa; losses are about ln 97.
const BF16: f64 = 0.02;

#[test]
fn bf16_weights_learn_as_f32_weights_do() {
    let here = Workplace::with_model();
    let mut losses = ["f32", "bf16"].map(|precision| {
        let run = format!("{FINETUNE} --out {precision} --set train.precision={precision}");
        here.run(&run).worked();
        let lines = metrics(&here, precision);
        let losses = lines.iter().map(|line| line["nll_nats"].as_f64().unwrap());
        losses.collect::<Vec<f64>>()
    });
    let [all, half] = &mut losses;
    assert_ne!(all, half, "they are rounded");
    for (a, b) in all.iter().zip(half) {
        assert!((a - *b).abs() < BF16, "{b} is not {a}");
    }
    // The masters are part of a state.
    let before = metrics(&here, "bf16");
    fs_err::remove_dir_all(here.path("bf16/step-000008")).unwrap();
    here.run("finetune --resume --out bf16 --dashboard off")
        .worked();
    assert_eq!(metrics(&here, "bf16"), before);
}

#[test]
fn a_trained_model_names_the_type_of_its_weights() {
    let here = Workplace::with_model();
    here.checkpoint("llama-f16", "m16");
    let line = "finetune --tokens tokens.json --context 32 --steps 1 --dashboard off --set train.warmup-steps=0";
    for (model, precision, key, expected) in [
        ("m16", "f32", "torch_dtype", "float32"),
        ("m", "f32", "dtype", "float32"),
        ("m", "bf16", "dtype", "bfloat16"),
    ] {
        let run = format!("{model}-{precision}");
        here.run(&format!(
            "{line} --model {model} --set train.precision={precision} --out {run}"
        ))
        .worked();
        for saved in ["model", "step-000001/model"] {
            let config = here.read_json(&format!("{run}/{saved}/config.json"));
            assert_eq!(config[key], expected, "{run}/{saved}");
        }
    }
}

#[test]
fn adapters_are_saved_in_the_peft_format_and_merged_at_the_end() {
    let here = Workplace::with_model();
    let lora = FINETUNE.replace("1e-3", "1e-2");
    here.run(&format!("{lora} --lora --out run")).worked();
    let config = here.read_json("run/step-000008/adapter/adapter_config.json");
    assert_eq!(
        (&config["r"], &config["peft_type"]),
        (&8.into(), &"LORA".into())
    );
    assert!(
        here.path("run/step-000008/adapter/adapter_model.safetensors")
            .is_file()
    );
    assert!(!here.path("run/step-000008/model").exists());
    let base = fs_err::read(here.path("m/model.safetensors")).unwrap();
    assert!(weights(&here, "run") != base, "adapters are in the weights");
}

#[test]
fn short_documents_keep_the_original_rope() {
    let here = Workplace::with_model();
    here.write(
        "two.json",
        two_sets([1.0, 4.0], 0, &json!({"type": "none"})),
    );
    // A method for one context is another RoPE for short texts too, as programs read it.
    for (rope, is_other) in [("yarn", true), ("two.json", false)] {
        let line = FINETUNE.replace("yarn", rope);
        let outcome = here.run(&format!(
            "{line} --set train.data.short=1.0 --out run-{rope}"
        ));
        let is_said = outcome.stderr.contains("does not use what they teach");
        assert_eq!(is_said, is_other, "{rope}: {}", outcome.stderr);
        outcome.worked();
        assert_eq!(metrics(&here, &format!("run-{rope}")).len(), 8);
    }
}

#[test]
fn wrong_training_input_is_refused() {
    let here = Workplace::with_model();
    for (line, message) in [
        (
            "finetune --tokens tokens.json --out run",
            "the model is missing",
        ),
        ("finetune --model m --out run", "windows of `text`"),
        (
            "finetune --model m --tokens tokens.json --out run --set train.learning-rate=0",
            "`train.learning-rate` is 0, expected a finite number above 0",
        ),
        (
            "finetune --model m --tokens tokens.json --out run --steps 3 --set train.warmup-steps=20",
            "`train.warmup-steps` is 20, expected at most the 3 steps",
        ),
        (
            "finetune --model m --tokens tokens.json --out run --set train.data.text=0",
            "leaves nothing to train on",
        ),
        (
            "finetune --model m --tokens tokens.json --out run --lora \
             --set train.lora.target-modules=[\"query\"]",
            "target module `query`",
        ),
        (
            "finetune --model m --tokens tokens.json --out run --lora --set train.lora.alpha=0.0",
            "`train.lora.alpha` is 0, expected a number above 0",
        ),
        (
            "finetune --model m --tokens tokens.json --out run --set train.optimizer.epsilon=inf",
            "`train.optimizer.epsilon` is inf, expected a number above 0",
        ),
        (
            "finetune --model m --tokens tokens.json --out run --set train.optimizer.beta1=2.0",
            "`train.optimizer.beta1` is 2, expected 0 or more, and below 1",
        ),
        (
            "finetune --model m --tokens tokens.json --out run --set weights=streamed",
            "cannot be trained",
        ),
    ] {
        here.run(line).refused_with(message);
    }
}

#[test]
fn a_run_resumes_only_with_its_original_settings() {
    let here = Workplace::with_model();
    here.run(&format!("{FINETUNE} --out run")).worked();
    let state = here.read_json("run/step-000008/state.json");
    assert_eq!(state["settings"]["rope"]["rotary_dim"], 16, "saved as JSON");
    here.run("finetune --resume --out run --dashboard off --set train.learning-rate=0.5")
        .refused_with("other settings");
}

#[test]
fn a_training_that_ends_with_infinite_weights_writes_no_model() {
    let here = Workplace::with_model();
    let line = "finetune --model m --tokens tokens.json --steps 1 --dashboard off --set train.warmup-steps=0 \
        --set train.learning-rate=1e39 --out";
    for mode in ["full", "lora"] {
        let outcome = here.run(&format!("{line} {mode} --set train.mode={mode}"));
        let message = outcome.stderr;
        assert_eq!(outcome.code, Some(1), "{message}");
        assert!(message.contains("after step 1, tensor `"), "{message}");
        assert!(message.contains("expected finite numbers"), "{message}");
        assert!(message.contains("a lower `learning-rate`"), "{message}");
        assert!(!message.contains("--resume"), "{message}");
        for name in ["model", "step-000001"] {
            assert!(!here.path(mode).join(name).exists(), "{mode}/{name}");
        }
    }
}

#[test]
fn too_little_text_is_refused_and_little_text_is_warned_of() {
    let here = Workplace::with_model();
    here.tokens("few.json", 30);
    here.tokens("some.json", 80);
    let line = "finetune --model m --rope yarn --context 64 --dashboard off --set train.batch=1 \
        --set train.accumulate=1 --set train.warmup-steps=1";
    here.run(&format!("{line} --steps 2 --tokens few.json --out few"))
        .refused_with("the text has 30 tokens, expected at least one window of 64");
    assert!(!here.path("few").exists());
    for (steps, is_much) in [(2, false), (26, true)] {
        let outcome = here.run(&format!(
            "{line} --steps {steps} --tokens some.json --out run-{steps}"
        ));
        let is_said = outcome.stderr.contains("is seen about 21 times");
        assert_eq!(is_said, is_much, "{}", outcome.stderr);
        outcome.worked();
    }
}

#[test]
fn documents_get_no_begin_token_that_their_tokenizer_does_not_write() {
    let here = Workplace::with_tokenizer();
    here.rust_text();
    let line = "finetune --model t --text text.txt --context 64 --steps 2 --dashboard off \
        --set train.warmup-steps=0";
    here.run(&format!("{line} --out with")).worked();
    let begun = |run: &str| here.read_json(&format!("{run}/run.json"));
    assert!(begun("with")["fixed"].get("without-bos").is_none());

    let mut tokenizer = here.read_json("t/tokenizer.json");
    tokenizer["post_processor"] = Value::Null;
    here.write("t/tokenizer.json", tokenizer.to_string());
    here.run(&format!("{line} --out run")).worked();
    assert_eq!(begun("run")["fixed"]["without-bos"], true);
    let resume = "finetune --resume --dashboard off --out run";
    here.run(resume).worked();
    // A run of an earlier version keeps what that version did.
    let forgotten = |file: &str, settings: &str| {
        let mut json = here.read_json(file);
        let removed = json[settings]
            .as_object_mut()
            .unwrap()
            .remove("without-bos");
        assert!(removed.is_some(), "{file}");
        here.write(file, json.to_string());
    };
    forgotten("run/run.json", "fixed");
    forgotten("run/step-000002/state.json", "settings");
    here.run(resume).worked();
}
