//! Benchmarks against lm-evaluation-harness: `tests/fixtures/bench/expected.json` has what it made of the same files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use longrope_data::Tokenizer;
use longrope_eval::bench::{
    Bench, BenchTask, FEWSHOT_SEED, Prompts, Question, pooled_stderr, read_records, score,
    score_generated,
};
use longrope_eval::{Scorer, Task, mean, mean_stderr};
use longrope_model::Decoder;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Sums of a few f32 losses, in another order there.
const TOLERANCE_NATS: f64 = 1e-4;

#[derive(Deserialize)]
struct Expected {
    context: usize,
    benches: BTreeMap<String, ExpectedBench>,
}

#[derive(Deserialize)]
struct ExpectedBench {
    shots: usize,
    metrics: Vec<String>,
    values: Vec<f64>,
    stderrs: Vec<f64>,
    examples: Vec<ExpectedExample>,
}

#[derive(Deserialize)]
struct ExpectedExample {
    prompt_sha256: String,
    prompt: Option<String>,
    context_tokens: usize,
    #[serde(default)]
    answer_tokens: Vec<Vec<u32>>,
    #[serde(default)]
    log_likelihoods: Vec<f64>,
    /// The generated answer.
    answer: Option<String>,
    scores: Vec<f64>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/bench")
}

fn expected() -> Expected {
    let text = fs_err::read_to_string(fixtures().join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn questions(bench: Bench, file: &str) -> Vec<Question> {
    let records = read_records(&fixtures().join("data").join(file)).unwrap();
    let question = |record| Question::new(bench, record).unwrap();
    records.into_iter().map(question).collect()
}

fn prompts(bench: Bench, shots: usize) -> Prompts {
    let (file, examples) = match bench {
        Bench::ArcEasy | Bench::ArcChallenge => ("arc-test.jsonl", Some("arc-train.parquet")),
        Bench::HellaSwag => ("hellaswag-validation.jsonl", Some("hellaswag-train.jsonl")),
        Bench::Mmlu => ("mmlu-test.parquet", Some("mmlu-dev.jsonl")),
        Bench::TruthfulQaMc1 | Bench::TruthfulQaMc2 => ("truthfulqa.jsonl", None),
        Bench::LongBench2 => ("longbench2.json", None),
        Bench::BabiLong(_) => ("babilong.jsonl", None),
    };
    let examples = examples.map_or_else(Vec::new, |file| questions(bench, file));
    Prompts::new(bench, questions(bench, file), examples, shots, FEWSHOT_SEED).unwrap()
}

fn sha256(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let bytes: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.concat()
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_model_dir(&fixtures().join("checkpoint")).unwrap()
}

#[test]
fn prompts_and_token_borders_are_those_of_the_harness() {
    let (expected, tokenizer) = (expected(), tokenizer());
    for (name, golden) in &expected.benches {
        let prompts = prompts(name.parse().unwrap(), golden.shots);
        let task = BenchTask::new(prompts.clone(), &tokenizer, expected.context, FEWSHOT_SEED);
        assert_eq!(task.n_trials(), golden.examples.len(), "{name}");
        for (index, example) in golden.examples.iter().enumerate() {
            let prompt = prompts.context(index);
            if let Some(expected) = &example.prompt {
                assert_eq!(&prompt, expected, "{name}");
            }
            assert_eq!(sha256(&prompt), example.prompt_sha256, "{name} {index}");
            if example.answer.is_some() {
                let (tokens, n_tokens) = task.prompt(index, 16).unwrap();
                assert_eq!(n_tokens, example.context_tokens, "{name} {index}");
                assert_eq!(tokens.len(), n_tokens.min(expected.context - 16));
                continue;
            }
            let found = task.answers(index).unwrap();
            for (answer, tokens) in found.iter().zip(&example.answer_tokens) {
                assert_eq!(
                    &answer.tokens[answer.answer_from..],
                    tokens,
                    "{name} {index}"
                );
                let whole = example.context_tokens + tokens.len();
                assert_eq!(answer.tokens.len(), whole.min(expected.context + 1));
            }
            assert_eq!(found.len(), example.answer_tokens.len());
        }
    }
}

#[test]
fn scores_follow_from_log_likelihoods() {
    for (name, golden) in &expected().benches {
        let bench: Bench = name.parse().unwrap();
        let prompts = prompts(bench, golden.shots);
        let order: Vec<usize> = golden
            .metrics
            .iter()
            .map(|metric| {
                bench
                    .metrics()
                    .iter()
                    .position(|known| known.name == *metric)
                    .unwrap()
            })
            .collect();
        let mut scores = vec![Vec::new(); order.len()];
        let mut subjects: Vec<(Option<&str>, Vec<f64>)> = Vec::new();
        for (question, example) in prompts.questions().iter().zip(&golden.examples) {
            let found = match &example.answer {
                Some(answer) => vec![score_generated(question, answer)],
                None => score(bench, question, &example.log_likelihoods).0,
            };
            for ((metric, index), expected) in order.iter().enumerate().zip(&example.scores) {
                assert!((found[*index] - expected).abs() < 1e-6, "{name}");
                scores[metric].push(found[*index]);
            }
            let subject = question.subject.as_deref();
            match subjects.last_mut() {
                Some((last, scores)) if *last == subject => scores.push(found[order[0]]),
                _ => subjects.push((subject, vec![found[order[0]]])),
            }
        }
        for (metric, scores) in scores.iter().enumerate() {
            assert!(
                (mean(scores) - golden.values[metric]).abs() < 1e-9,
                "{name}"
            );
            if subjects.len() == 1 {
                let stderr = mean_stderr(scores).unwrap();
                assert!((stderr - golden.stderrs[metric]).abs() < 1e-9, "{name}");
            }
        }
        if subjects.len() > 1 {
            let parts: Vec<(f64, usize)> = subjects
                .iter()
                .map(|(_, scores)| (mean_stderr(scores).unwrap(), scores.len()))
                .collect();
            assert!((pooled_stderr(&parts).unwrap() - golden.stderrs[0]).abs() < 1e-9);
        }
    }
}

#[test]
fn log_likelihoods_are_those_of_the_harness() {
    let (expected, tokenizer) = (expected(), tokenizer());
    let decoder = Decoder::load(&fixtures().join("checkpoint"), Device::flex()).unwrap();
    let mut scorer = Scorer::new(&decoder);
    for (name, golden) in &expected.benches {
        if golden.examples[0].answer.is_some() {
            continue;
        }
        let prompts = prompts(name.parse().unwrap(), golden.shots);
        let task = BenchTask::new(prompts, &tokenizer, expected.context, FEWSHOT_SEED);
        let n = 12;
        let rope = &decoder.config().rope;
        let found = task.log_likelihoods(0..n, &mut scorer, rope).unwrap();
        for (index, (found, example)) in found.iter().zip(&golden.examples).enumerate() {
            assert_eq!(found.len(), example.log_likelihoods.len());
            for (x, y) in found.iter().zip(&example.log_likelihoods) {
                assert!(
                    (x - y).abs() < TOLERANCE_NATS,
                    "{name} {index}: {x} is not {y}"
                );
            }
        }
        // Asked in other parts, the same questions have the same answers.
        let again = task.log_likelihoods(3..5, &mut scorer, rope).unwrap();
        for (x, y) in again.concat().iter().zip(found[3..5].concat()) {
            assert!((x - y).abs() < TOLERANCE_NATS, "{name}");
        }
    }
}

#[test]
fn generated_answers_are_those_of_the_harness() {
    let (expected, tokenizer) = (expected(), tokenizer());
    let decoder = Decoder::load(&fixtures().join("checkpoint"), Device::flex()).unwrap();
    let mut scorer = Scorer::new(&decoder);
    let (mut n_tasks, mut n_right) = (0, 0);
    for (name, golden) in &expected.benches {
        if golden.examples[0].answer.is_none() {
            continue;
        }
        n_tasks += 1;
        let prompts = prompts(name.parse().unwrap(), golden.shots);
        let task = BenchTask::new(prompts, &tokenizer, expected.context, FEWSHOT_SEED);
        // Token 1 is the end of a text.
        let task = task.stopping_at(&[1]);
        // Every task once in full would take long without optimization.
        let n = if n_tasks == 1 {
            golden.examples.len()
        } else {
            2
        };
        let rope = &decoder.config().rope;
        let trials = task.run(0..n, &mut scorer, rope).unwrap();
        for (trial, example) in trials.iter().zip(&golden.examples) {
            let answer = trial.details["answer"].as_str();
            assert_eq!(answer, example.answer.as_deref(), "{name} {}", trial.trial);
            assert_eq!(trial.scores, example.scores, "{name} {}", trial.trial);
            n_right += usize::from(trial.scores[0] > 0.5);
        }
    }
    assert_eq!(n_tasks, 20);
    assert!(n_right > 0, "a score of nothing but zeros proves little");
}
