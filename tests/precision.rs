//! `precision`: weights in half precision, for every verb that measures or generates.

use burn::tensor::{DType, Device};
use longrope_data::Tokenizer;
use longrope_model::{Decoder, Precision, TokenBatch};
use serde_json::Value;

use crate::support::{Workplace, device, number, repository};

/// bf16 has 8 bits of mantissa; losses are about ln 97.
const BF16: f64 = 0.02;

/// Mean difference of the bundled model's losses, nats per token, if activations are in halves too, as on a GPU.
const WHOLE: f64 = 2e-3;

const PPL: &str = "eval ppl m --tokens tokens.json --contexts 64,128 --rope yarn --json";

fn losses(report: &Value) -> Vec<f64> {
    let places = ["/results/0/nll_nats", "/results/1/nll_nats"];
    places.map(|at| number(report, at)).to_vec()
}

#[test]
fn weights_in_halves_are_near_and_results_say_so() {
    if device() == "ndarray" {
        return;
    }
    let here = Workplace::with_model();
    let plain = here.compute_json(PPL);
    assert_eq!(plain["source"]["precision"], "f32");
    let given = here.compute_json(&format!("{PPL} --set precision=f32"));
    assert_eq!(losses(&given), losses(&plain));
    for name in ["bf16", "f16"] {
        let halves = here.compute_json(&format!("{PPL} --set precision={name}"));
        assert_eq!(halves["source"]["precision"], name);
        assert_ne!(losses(&halves), losses(&plain), "{name}");
        for (found, expected) in losses(&halves).iter().zip(losses(&plain)) {
            assert!(
                (found - expected).abs() < BF16,
                "{name}: {found}, {expected}"
            );
        }
        let streamed = format!("{PPL} --set precision={name} --set weights=streamed");
        assert_eq!(losses(&here.compute_json(&streamed)), losses(&halves));
    }
}

#[test]
fn the_mean_loss_with_activations_in_halves_is_that_in_f32() {
    let folder = repository().join("crates/longrope/assets/tiny-llama-256");
    let tokenizer = Tokenizer::from_model_dir(&folder).unwrap();
    let text =
        fs_err::read_to_string(repository().join("crates/longrope-rope/src/angles.rs")).unwrap();
    let tokens = tokenizer.encode(&text, false).unwrap();
    let windows: Vec<&[u32]> = tokens.chunks_exact(256).take(8).collect();
    let mean = |precision: Precision| -> f64 {
        let decoder = Decoder::load_as(&folder, Device::flex(), precision).unwrap();
        let rotary = decoder.rotary(&decoder.config().rope.resolve(256), 256);
        let batch = TokenBatch {
            sequences: &windows,
            score_from: 1,
        };
        let losses = decoder.token_nll(batch, &rotary).unwrap().concat();
        losses.iter().copied().map(f64::from).sum::<f64>() / losses.len() as f64
    };
    let exact = mean(Precision::F32);
    for dtype in [DType::BF16, DType::F16] {
        let difference = (mean(Precision::whole(dtype)) - exact).abs();
        // Not the same bits: activations are rounded.
        assert!(
            difference > 0.0 && difference < WHOLE,
            "{dtype:?}: {difference}"
        );
    }
}

#[test]
fn every_verb_that_measures_takes_it() {
    if device() == "ndarray" {
        return;
    }
    let here = Workplace::with_model();
    for line in [
        "compare m --tokens tokens.json --contexts 64,128",
        "search m --tokens tokens.json --target 128 --samples 1 --out a --set search.population=4 \
         --set search.parents=2 --set search.mutations=1 --set search.crossovers=1 --set search.generations=1",
    ] {
        here.compute(&format!("{line} --set precision=bf16"));
    }
    let with_tokenizer = Workplace::with_tokenizer();
    for line in [
        "eval passkey t --contexts 256 --set passkey.trials=1",
        "generate t --prompt once --max-new-tokens 3",
    ] {
        with_tokenizer.compute(&format!("{line} --set precision=f16"));
    }
    let inputs = here.read_json("a/search/inputs.json");
    assert_eq!(inputs["precision"], "bf16");
    here.run("search --resume --out a --set precision=f32")
        .refused_with("precision");
}

#[test]
fn an_evaluation_is_not_continued_in_another_precision() {
    let here = Workplace::with_tokenizer();
    let line = "eval passkey t --contexts 128 --rope none --trials 400 --out run";
    let mut begun = here.start(line);
    let state = here.path("run/eval/passkey.state.json");
    while !fs_err::read_to_string(&state).is_ok_and(|text| text.contains("\"scores\"")) {
        assert!(begun.try_wait().unwrap().is_none(), "it is over already");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    begun.kill().unwrap();
    begun.wait().unwrap();
    let saved = here.read_json("run/eval/passkey.state.json");
    assert_eq!(saved["precision"], "f32");
    here.run(&format!("{line} --resume --set precision=bf16"))
        .refused_with("was begun in `f32`, it cannot be continued in `bf16`");
}

#[test]
fn an_unknown_precision_is_refused_with_those_that_exist() {
    let here = Workplace::with_model();
    here.run("eval ppl m --tokens tokens.json --set precision=int8")
        .refused_with("bf16");
    // Numbers are no words either.
    let trained = "`auto`, `f32`, `bf16`\n";
    for (set, words) in [
        (
            "precision=16",
            "expected one of `auto`, `f32`, `bf16`, `f16`",
        ),
        ("train.precision=16", trained),
        ("train.precision=true", trained),
    ] {
        let message = here.fails(&format!("eval ppl m --tokens tokens.json --set {set}"));
        assert!(message.contains(words), "{message}");
        assert!(
            message.contains("hint: give one of these words"),
            "{message}"
        );
    }
    here.write("a.toml", "seed = 1\n[train]\nprecision = 16\n");
    let message = here.fails("finetune m --tokens tokens.json --out run --config a.toml");
    assert!(message.contains("`a.toml`, line 3"), "{message}");
    assert!(message.contains(trained), "{message}");
    // Another type is no typing error.
    let message = here.fails("finetune m --tokens tokens.json --out run --set train.precision=f16");
    assert!(
        message.contains(trained) && !message.contains("did you mean"),
        "{message}"
    );
}

#[test]
fn a_device_without_a_type_says_so() {
    let here = Workplace::with_model();
    for line in [
        "eval ppl m --tokens tokens.json --contexts 64 --set precision=bf16",
        "finetune m --tokens tokens.json --rope yarn --context 64 --steps 1 --out run --dashboard off \
         --set train.warmup-steps=1 --set train.precision=bf16",
    ] {
        here.run(&format!("{line} --device ndarray"))
            .refused_with("device `ndarray` does not have `bf16`");
    }
    assert!(!here.path("run/model").exists());
}

#[test]
fn adapters_are_trained_in_f32_on_weights_in_bf16() {
    let here = Workplace::with_model();
    let train = "finetune m --tokens tokens.json --rope yarn --context 64 --steps 4 --lora --dashboard off \
        --set train.warmup-steps=1 --set train.learning-rate=1e-2";
    let losses = ["f32", "bf16"].map(|precision| {
        here.run(&format!(
            "{train} --out {precision} --set train.precision={precision}"
        ))
        .worked();
        let lines = here.training_metrics(&format!("{precision}/metrics.jsonl"));
        let nats = lines.iter().map(|line| line["nll_nats"].as_f64().unwrap());
        nats.collect::<Vec<f64>>()
    });
    assert_ne!(losses[0], losses[1], "the weights are rounded");
    for (exact, rounded) in losses[0].iter().zip(&losses[1]) {
        assert!((exact - rounded).abs() < BF16, "{exact}, {rounded}");
    }
}

#[test]
fn a_precision_that_a_training_does_not_use_is_warned_of() {
    let here = Workplace::with_model();
    let train = "finetune m --tokens tokens.json --rope yarn --context 64 --steps 1 --dashboard off \
        --set train.warmup-steps=1";
    for (precision, trained, is_said) in [
        ("bf16", "f32", true),
        ("f32", "f32", false),
        ("bf16", "bf16", false),
    ] {
        let outcome = here.run(&format!(
            "{train} --out {precision}-{trained} --set precision={precision} --set train.precision={trained}"
        ));
        let said = outcome
            .stderr
            .contains("`precision` is bf16, which has no effect on a training");
        assert_eq!(said, is_said, "{}", outcome.stderr);
        let advice = outcome.stderr.contains("`train.precision` to bf16");
        assert_eq!(advice, is_said, "{}", outcome.stderr);
        outcome.worked();
    }
}
