//! Damaged files: thousands of mutated inputs go through every reader, the same ones in every run.
//!
//! The fuzz targets in `fuzz/` do the same without a bound.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    unreachable_pub,
    reason = "the fuzz targets use the readers as a library"
)]

mod commands;
mod mutate;
#[path = "../../fuzz/readers.rs"]
mod readers;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use peak_alloc::PeakAlloc;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use mutate::Mutator;
use readers::{Reader, Scratch};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Inputs of each reader; there are eight.
const INPUTS: usize = 2_500;

/// Memory that readers may use at the same time, MiB. The inputs have at most 60 KiB; reading a damaged file may not
/// cost more because of a number in it.
const MAX_MEMORY: f32 = 256.0;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

fn mutator(reader: Reader) -> Mutator {
    Mutator::new(ChaCha8Rng::seed_from_u64(20_260), reader.n_kinds() > 1)
}

/// Sends mutated inputs through a reader, and checks that it answers each of them.
fn survive(reader: Reader) {
    let scratch = Scratch::new(&fixtures()).unwrap();
    let seeds = reader.seeds(&fixtures());
    assert!(
        seeds.iter().all(|seed| seed.len() > 1),
        "a fixture is missing"
    );
    let mut mutator = mutator(reader);
    let mut answers: BTreeMap<&str, usize> = BTreeMap::new();
    for index in 0..INPUTS {
        let seed = &seeds[index % seeds.len()];
        // The sound inputs come first.
        let input = if index < seeds.len() {
            seed.clone()
        } else {
            mutator.mutate(seed)
        };
        let answer = catch_unwind(AssertUnwindSafe(|| reader.read(&input, &scratch)));
        let Ok(answer) = answer else {
            panic!(
                "{} panics at input {index}: {}",
                reader.name(),
                String::from_utf8_lossy(&input)
            );
        };
        if index < seeds.len() {
            assert_eq!(
                answer,
                Ok(()),
                "a sound input of {} is refused",
                reader.name()
            );
        }
        if let Err(message) = &answer {
            assert!(
                !message.trim().is_empty(),
                "{} gives an error without words",
                reader.name()
            );
        }
        *answers
            .entry(if answer.is_ok() { "read" } else { "refused" })
            .or_default() += 1;
    }
    // Inputs that are all refused, or all read, would not test much.
    assert!(
        answers.values().all(|&n| n > INPUTS / 100) && answers.len() == 2,
        "{answers:?}"
    );
    let peak = MEMORY.peak_usage_as_mb();
    assert!(peak < MAX_MEMORY, "{} needed {peak} MiB", reader.name());
}

#[test]
fn every_reader_has_a_test_here() {
    let tests = include_str!("main.rs");
    for reader in Reader::ALL {
        assert!(tests.contains(&format!("survive(Reader::{reader:?})")));
    }
}

#[test]
fn damaged_configurations_of_models_are_answered() {
    survive(Reader::ConfigJson);
}

#[test]
fn damaged_weights_are_answered() {
    survive(Reader::Weights);
}

#[test]
fn damaged_rope_files_are_answered() {
    survive(Reader::RopeJson);
}

#[test]
fn damaged_factor_tables_are_answered() {
    survive(Reader::FactorCsv);
}

#[test]
fn damaged_states_of_searches_are_answered() {
    survive(Reader::SearchState);
}

#[test]
fn damaged_states_of_training_are_answered() {
    survive(Reader::TrainingState);
}

#[test]
fn damaged_tokenizers_are_answered() {
    survive(Reader::Tokenizer);
}

#[test]
fn damaged_texts_are_answered() {
    survive(Reader::Text);
}
