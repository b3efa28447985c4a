//! Asking a model that remembers what it was asked last.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use burn::tensor::Device;
use longrope_data::{Bos, TokenDocument, Tokenizer, WindowProtocol, plan_windows};
use longrope_eval::{
    LanguageModel, Passkey, PasskeyConfig, PerplexityRun, Protocol, Scorer, Task, TaskRun, Trial,
    perplexity,
};
use longrope_model::{Decoder, GenerateOptions};
use longrope_rope::{Method, RopeSpec};

/// Rows share matrix products with others; f32 rounding only.
const SAME: f32 = 1e-5;

fn decoder() -> Decoder {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/models/llama-gqa-tied");
    Decoder::load(&folder, Device::flex()).unwrap()
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

/// The model that comes with the program, and its tokenizer.
fn bundled() -> (Decoder, Tokenizer) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../longrope/assets/tiny-llama-256");
    let decoder = Decoder::load(&folder, Device::flex()).unwrap();
    (decoder, Tokenizer::from_model_dir(&folder).unwrap())
}

fn passkeys(depths: &[f64], trials: usize, protocol: Protocol) -> PasskeyConfig {
    PasskeyConfig {
        trials,
        depths: depths.to_vec(),
        protocol,
    }
}

/// All trials of a task, with one model for all of them.
fn run(task: &dyn Task, decoder: &Decoder, rope: &RopeSpec) -> Vec<Trial> {
    let mut scorer = Scorer::new(decoder);
    let mut run = TaskRun::new(task, "rope", rope);
    while run.step(&mut scorer).unwrap() > 0 {}
    run.result().trials
}

#[test]
fn one_forward_finds_the_passkeys_that_generation_finds() {
    let (decoder, tokenizer) = bundled();
    let (mut n_found, mut n_missed) = (0, 0);
    for (method, context) in [
        (Method::None, 256),
        (Method::None, 600),
        (Method::Yarn, 1024),
    ] {
        let rope = method.spec(&decoder.config().rope, context).unwrap();
        let found = |protocol, context| -> Vec<f64> {
            let config = passkeys(&[], 4, protocol);
            let task = Passkey::new(&tokenizer, &config, context, 42).unwrap();
            let trials = run(&task, &decoder, &rope);
            trials.into_iter().map(|trial| trial.scores[0]).collect()
        };
        let generated = found(Protocol::Generated, context);
        // Ten tokens are generated, but an answer has six. The prompts are the same.
        let forced = found(Protocol::TeacherForced, context - 4);
        assert_eq!(forced, generated, "{method:?} at {context}");
        n_found += generated.iter().filter(|score| **score > 0.5).count();
        n_missed += generated.iter().filter(|score| **score < 0.5).count();
    }
    assert!(n_found > 3 && n_missed > 1, "{n_found} of 12 found");
}

#[test]
fn trials_of_a_grid_do_not_depend_on_those_before_them() {
    let (decoder, tokenizer) = bundled();
    let context = 4096; // from here on, beginnings are cached
    let rope = Method::Yarn.spec(&decoder.config().rope, context).unwrap();
    let config = passkeys(&[0.3, 1.0], 1, Protocol::TeacherForced);
    let task = Passkey::new(&tokenizer, &config, context, 42).unwrap();
    assert_eq!(task.order(), [1, 0], "the deepest first");
    let trials = run(&task, &decoder, &rope);
    let alone = task.run(0..1, &mut Scorer::new(&decoder), &rope).unwrap();
    assert_eq!((trials[0].trial, trials[1].trial), (0, 1));
    assert_eq!(trials[0], alone[0]);
}

#[test]
fn a_grid_continues_after_trials_that_were_run_by_number_or_in_its_order() {
    let (_, tokenizer) = bundled();
    let config = passkeys(&[0.0, 0.5, 1.0], 1, Protocol::TeacherForced);
    let task = Passkey::new(&tokenizer, &config, 4096, 42).unwrap();
    let spec = decoder().config().rope.clone();
    let kept = |numbers: &[usize]| {
        let trials = numbers.iter().map(|trial| Trial {
            trial: *trial,
            scores: vec![1.0],
            details: serde_json::Map::new(),
        });
        let run = TaskRun::new(&task, "rope", &spec).with_trials(trials.collect(), 1.0);
        run.map(|run| run.progress())
    };
    for numbers in [&[][..], &[0], &[0, 1], &[0, 1, 2], &[2], &[2, 1]] {
        assert_eq!(kept(numbers).unwrap(), (numbers.len(), 3), "{numbers:?}");
    }
    for numbers in [&[1][..], &[2, 0], &[0, 2], &[2, 2]] {
        assert!(kept(numbers).is_err(), "{numbers:?}");
    }
}
