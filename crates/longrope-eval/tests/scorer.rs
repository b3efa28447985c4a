//! Asking a model that remembers what it was asked last.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use burn::tensor::Device;
use longrope_data::{Bos, TokenDocument, WindowProtocol, plan_windows};
use longrope_eval::{LanguageModel, PerplexityRun, Scorer, perplexity};
use longrope_model::{Decoder, GenerateOptions};
use longrope_rope::RopeSpec;

/// Rows share matrix products with others; f32 rounding only.
const SAME: f32 = 1e-5;

fn decoder() -> Decoder {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/models/llama-gqa-tied");
    Decoder::load(&folder, &Device::flex()).unwrap()
}

#[test]
fn a_perplexity_in_one_call_is_that_of_its_steps() {
    let decoder = decoder();
    let spec = &decoder.config().rope;
    let document = TokenDocument {
        source: String::new(),
        tokens: (0..200).map(|i| (i * 7 + 3) % 97).collect(),
    };
    let windows = plan_windows(&[document], 64, WindowProtocol::spread(3), Bos::Document).unwrap();
    let found = perplexity(&decoder, &windows, spec).unwrap();

    let mut run = PerplexityRun::new(&windows, spec);
    let mut scorer = Scorer::new(&decoder);
    while !run.step(&mut scorer).unwrap().is_empty() {}
    assert_eq!(found, run.sum());
    assert_eq!((found.n_windows, found.n_tokens), (3, 3 * 63));
    assert!(found.ppl() > 1.0);
}

/// A question with four answers, more than half of it the same.
fn choices(seed: u32) -> Vec<Vec<u32>> {
    let question: Vec<u32> = (0..60).map(|i| (i * 7 + 3) % 97).collect();
    let own = (0..20).map(|i| (i * 11 + seed) % 97);
    let question: Vec<u32> = question.into_iter().chain(own).collect();
    (0..4)
        .map(|choice| [question.as_slice(), &[choice, 90 - choice, 5]].concat())
        .collect()
}

#[test]
fn choices_are_scored_as_if_each_were_run_whole() {
    let decoder = decoder();
    let rope = decoder.config().rope.resolve(83);
    let mut scorer = Scorer::new(&decoder);
    for seed in [1, 2, 1] {
        let choices = choices(seed);
        let sequences: Vec<&[u32]> = choices.iter().map(Vec::as_slice).collect();
        let together = scorer.token_nll(&sequences, 80, &rope).unwrap();
        for (sequence, found) in sequences.iter().zip(together) {
            let alone = Scorer::new(&decoder)
                .token_nll(&[sequence], 80, &rope)
                .unwrap()
                .remove(0);
            assert_eq!(found.len(), 3);
            for (a, b) in found.iter().zip(&alone) {
                assert!((a - b).abs() < SAME, "{a} is not {b}");
            }
        }
    }
}

#[test]
fn what_is_generated_does_not_depend_on_what_was_before() {
    let decoder = decoder();
    let spec: &RopeSpec = &decoder.config().rope;
    let options = GenerateOptions {
        max_new_tokens: 8,
        ..GenerateOptions::default()
    };
    let mut scorer = Scorer::new(&decoder);
    for prompt in choices(1).iter().chain(&choices(2)) {
        let found = scorer.generate(&[prompt], &options, spec).unwrap();
        let alone = Scorer::new(&decoder)
            .generate(&[prompt], &options, spec)
            .unwrap();
        assert_eq!(found, alone);
    }
}
