//! Every family against transformers: losses on both sides of the original window, greedy tokens across it, gradients and
//! adapters; and against itself: whole, in a cache, in a batch and streamed.
//!
//! `tests/fixtures/decoders/generate.py` made the checkpoints and the numbers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longrope_model::{
    Decoder, FactorChoice, GenerateOptions, Generation, Precision, Recompute, TokenBatch, Trained,
    TrainingBatch,
};
use serde::Deserialize;

use crate::support::{Nearness, assert_losses, device, losses, precision};

/// Another order of f32 sums changes these losses by up to 2e-5 nats. A wrong part changes them by 1e-2 or more.
const TOLERANCE_NATS: f32 = 1e-4;

/// Gradients of sums of 47 losses, relative to the largest element: f32 against f64.
const TOLERANCE_GRADIENT: f64 = 1e-4;

#[derive(Deserialize)]
pub(crate) struct Golden {
    pub(crate) tokens: Vec<u32>,
    /// By the number of tokens of the pass.
    losses: BTreeMap<usize, Vec<f32>>,
    greedy: Greedy,
    /// If the tokens differ where transformers keeps the keys of the prompt after a change of factors.
    greedy_without_cache: Option<Greedy>,
    gradients: BTreeMap<String, Vec<f64>>,
    lora_losses: Option<Vec<f32>>,
}

#[derive(Deserialize)]
struct Greedy {
    prompt: usize,
    tokens: Vec<u32>,
}

/// Calls `check` with the name, folder and numbers of every family, and fails if any of them fails.
pub(crate) fn each_family(check: impl Fn(&str, &Path, &Golden)) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/decoders");
    let entries = fs_err::read_dir(root).unwrap().map(|e| e.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    assert!(folders.len() >= 15, "{} families", folders.len());
    let failed: Vec<String> = folders
        .into_iter()
        .filter_map(|folder| {
            let name = folder.file_name()?.to_str()?.to_owned();
            let text = fs_err::read_to_string(folder.join("golden.json")).unwrap();
            let golden: Golden = serde_json::from_str(&text).unwrap();
            let run = std::panic::AssertUnwindSafe(|| check(&name, &folder, &golden));
            std::panic::catch_unwind(run).is_err().then_some(name)
        })
        .collect();
    assert!(failed.is_empty(), "failed: {failed:?}");
}

fn load(folder: &Path) -> Decoder {
    Decoder::load(folder, device()).unwrap()
}

pub(crate) fn assert_near(found: &[f32], expected: &[f32], what: &str) {
    assert_losses(Nearness::Tokens, TOLERANCE_NATS, found, expected, what);
}

#[test]
fn losses_are_those_of_transformers() {
    let (precision, nearness) = precision();
    each_family(|name, folder, golden| {
        let decoder = Decoder::load_as(folder, device(), precision).unwrap();
        for (n_tokens, expected) in &golden.losses {
            let found = losses(
                &decoder,
                &decoder.config().rope,
                &golden.tokens[..*n_tokens],
            );
            let what = format!("{name}, {n_tokens} tokens");
            assert_losses(nearness, TOLERANCE_NATS, &found, expected, &what);
        }
    });
}

#[test]
fn greedy_tokens_are_those_of_transformers() {
    each_family(|name, folder, golden| {
        let decoder = load(folder);
        let greedy = golden.greedy_without_cache.as_ref();
        let greedy = greedy.unwrap_or(&golden.greedy);
        let options = GenerateOptions {
            max_new_tokens: greedy.tokens.len(),
            factors: FactorChoice::Length,
            ..GenerateOptions::default()
        };
        let prompt = &golden.tokens[..greedy.prompt];
        let rope = decoder.config().rope.clone();
        let mut generation = Generation::new(&decoder, &rope, &[prompt], options, 0).unwrap();
        while generation.step().unwrap().is_some() {}
        assert_eq!(
            generation.new_tokens(),
            [greedy.tokens.as_slice()],
            "{name}"
        );
    });
}

#[test]
fn gradients_are_those_of_autograd() {
    each_family(|name, folder, golden| {
        let decoder = load(folder);
        let n_tokens = 48;
        let rotary = decoder.rotary(&decoder.config().rope.resolve(n_tokens), n_tokens);
        let batch = TrainingBatch {
            tokens: vec![golden.tokens[..n_tokens].to_vec()],
            ..TrainingBatch::default()
        };
        for recompute in [Recompute::Layers, Recompute::Nothing] {
            let result = decoder.loss_gradients(&batch, &rotary, Trained::All, recompute);
            let found: BTreeMap<String, Vec<f64>> = result
                .unwrap()
                .gradients
                .iter()
                .map(|(name, values)| {
                    let values = values.clone().into_data();
                    (name.to_owned(), values.iter::<f64>().collect())
                })
                .collect();
            for (stored, expected) in &golden.gradients {
                // Inside a model of text and images, names begin with this.
                let parameter = stored.trim_start_matches("language_model.");
                let found = &found[parameter];
                let largest = expected.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
                assert!(largest > 0.0, "{name}, {parameter}");
                assert_eq!(found.len(), expected.len(), "{name}, {parameter}");
                for (x, y) in found.iter().zip(expected) {
                    let difference = (x - y).abs() / largest;
                    assert!(
                        difference < TOLERANCE_GRADIENT,
                        "{name}, {parameter}: {x} is not {y}"
                    );
                }
            }
        }
    });
}

#[test]
fn adapters_of_peft_give_the_losses_of_peft() {
    each_family(|name, folder, golden| {
        let Some(expected) = &golden.lora_losses else {
            return;
        };
        let mut decoder = load(folder);
        decoder.read_adapters(&folder.join("lora")).unwrap();
        let spec = decoder.config().rope.clone();
        let tokens = &golden.tokens[..=expected.len()];
        let found = losses(&decoder, &spec, tokens);
        assert_near(&found, expected, &format!("{name} with adapters"));
        decoder.merge_adapters();
        let found = losses(&decoder, &spec, tokens);
        assert_near(&found, expected, &format!("{name} with merged adapters"));
    });
}

#[test]
fn whole_step_by_step_in_a_batch_and_streamed_are_the_same() {
    each_family(|name, folder, golden| {
        let decoder = load(folder);
        let tokens = &golden.tokens;
        let n_tokens = tokens.len();
        let rope = decoder.config().rope.resolve(n_tokens);
        let rotary = decoder.rotary(&rope, n_tokens);
        let whole = losses(&decoder, &decoder.config().rope, tokens);

        // Token by token after a prompt; layers with a window forget what they no longer need.
        let (first, mut cache) = (20, decoder.kv_cache(n_tokens, &rope));
        decoder.next_logits(&tokens[..first], &mut cache).unwrap();
        let mut stepwise = Vec::new();
        for end in first + 2..=n_tokens {
            let scored = decoder.token_nll_cached(&tokens[..end], end - 1, &mut cache);
            stepwise.extend(scored.unwrap());
        }
        assert_near(&stepwise, &whole[first..], &format!("{name} in a cache"));

        let mut other = tokens.clone();
        other.reverse();
        let batch = TokenBatch {
            sequences: &[&other, tokens],
            score_from: 1,
        };
        let both = decoder.token_nll(batch, &rotary).unwrap();
        assert_near(&both[1], &whole, &format!("{name} in a batch"));

        let streamed =
            Decoder::stream(folder, device(), Precision::F32, Arc::new(|_, _| {})).unwrap();
        let found = losses(&streamed, &decoder.config().rope, tokens);
        assert_near(&found, &whole, &format!("{name} streamed"));
    });
}

#[test]
fn losses_at_the_end_are_those_of_a_full_pass() {
    // Which rows are left out does not depend on the device: three kinds of layers are enough on slow ones.
    let is_fast = device() == burn::tensor::Device::flex();
    each_family(|name, folder, golden| {
        if !is_fast && !["granite", "gpt_oss", "olmo3"].contains(&name) {
            return;
        }
        let decoder = load(folder);
        // Enough that the last layer leaves rows out.
        let tokens: Vec<u32> = golden.tokens.iter().copied().cycle().take(420).collect();
        let spec = &decoder.config().rope;
        let rope = spec.resolve(tokens.len());
        let rotary = decoder.rotary(&rope, tokens.len());
        let from = 410;
        let whole = losses(&decoder, spec, &tokens);
        let end = &whole[from - 1..];

        let batch = TokenBatch {
            sequences: &[&tokens, &tokens],
            score_from: from,
        };
        let both = decoder.token_nll(batch, &rotary).unwrap();
        assert_near(&both[1], end, &format!("{name} in a batch"));

        let mut cache = decoder.kv_cache(tokens.len(), &rope);
        let found = decoder.token_nll_cached(&tokens, from, &mut cache);
        assert_near(&found.unwrap(), end, &format!("{name} in a cache"));

        let mut cache = decoder.kv_cache(tokens.len(), &rope);
        decoder.next_logits(&tokens[..from], &mut cache).unwrap();
        let found = decoder.token_nll_cached(&tokens, from + 1, &mut cache);
        assert_near(
            &found.unwrap(),
            &end[1..],
            &format!("{name} after a prompt"),
        );

        let streamed =
            Decoder::stream(folder, device(), Precision::F32, Arc::new(|_, _| {})).unwrap();
        let batch = TokenBatch {
            sequences: &[&tokens],
            score_from: from,
        };
        let found = streamed.token_nll(batch, &rotary).unwrap();
        assert_near(&found[0], end, &format!("{name} streamed"));
    });
}
