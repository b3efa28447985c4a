//! Frequencies, attention factors and angles against transformers; `tests/fixtures/rope/generate.py` made the numbers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use longrope_rope::{AnglePrecision, ResolvedRope, read_hf_rope};
use serde::Deserialize;
use serde_json::Value;

/// transformers computes frequencies in f32: the exponent, the power, its reciprocal and the division by a factor are
/// each rounded (6e-8), the first of them multiplied by up to `ln θ` = 14. `yarn` and `llama3` add a blend whose f32 weight
/// is off by 1e-7 of a frequency up to `s` = 16 times the result.
const F32_FREQUENCIES: f64 = 2.5e-6;

/// The power functions of torch and Rust differ in the last bit, dynamic NTK has two of them, and rounding goes on from
/// there.
const LAST_BITS: f64 = 3.0 * f32::EPSILON as f64;

/// Share of frequencies that must be equal bit for bit in `CompatF32`; the rest differ by [`LAST_BITS`].
const EQUAL_SHARE: f64 = 0.9;

/// The attention factor is an f64 in transformers too; logarithms and roots may differ in the last digit.
const F64_ROUNDING: f64 = 1e-15;

/// cos and sin in f32, times a scale of up to 1.4 in f32.
const F32_COSINE: f64 = 2.5e-7;

#[derive(Deserialize)]
struct Golden<T> {
    cases: Vec<T>,
}

#[derive(Deserialize)]
struct FrequencyCase {
    name: String,
    config: Value,
    results: Vec<Frequencies>,
}

#[derive(Deserialize)]
struct Frequencies {
    total_tokens: usize,
    attention_factor: f64,
    inv_freq: Vec<f64>,
}

#[derive(Deserialize)]
struct AngleCase {
    name: String,
    config: Value,
    total_tokens: usize,
    positions: Vec<usize>,
    inv_freq: Vec<f64>,
    cos: Vec<Vec<f32>>,
    sin: Vec<Vec<f32>>,
}

fn frequency_cases() -> Vec<FrequencyCase> {
    let golden: Golden<_> =
        serde_json::from_str(include_str!("../../../tests/fixtures/rope/golden.json")).unwrap();
    golden.cases
}

fn angle_cases() -> Vec<AngleCase> {
    let golden: Golden<_> =
        serde_json::from_str(include_str!("../../../tests/fixtures/rope/angles.json")).unwrap();
    golden.cases
}

fn relative(found: f64, expected: f64) -> f64 {
    (found / expected - 1.0).abs()
}

#[test]
fn frequencies_and_attention_factors_are_those_of_transformers() {
    for case in frequency_cases() {
        let rope = read_hf_rope(&case.config).unwrap();
        for expected in &case.results {
            let found = rope.spec.resolve(expected.total_tokens);
            let what = format!("{} at {} tokens", case.name, expected.total_tokens);
            assert_eq!(found.n_pairs(), expected.inv_freq.len(), "{what}");
            for (pair, (found, expected)) in
                found.inv_freq().iter().zip(&expected.inv_freq).enumerate()
            {
                let off = relative(*found, *expected);
                assert!(
                    off < F32_FREQUENCIES,
                    "{what}: pair {pair} is {found}, expected {expected}, off {off:e}"
                );
            }
            let off = relative(found.attention_scale(), expected.attention_factor);
            assert!(
                off < F64_ROUNDING,
                "{what}: attention scale is {}",
                found.attention_scale()
            );
        }
    }
}

#[test]
fn compat_frequencies_are_those_of_transformers_to_the_last_bits() {
    let (mut n_equal, mut n_all) = (0_usize, 0_usize);
    for case in frequency_cases() {
        let rope = read_hf_rope(&case.config).unwrap();
        for expected in &case.results {
            let found = rope
                .spec
                .resolve_with(expected.total_tokens, AnglePrecision::CompatF32);
            for (pair, (found, expected)) in
                found.inv_freq().iter().zip(&expected.inv_freq).enumerate()
            {
                let off = relative(*found, *expected);
                assert!(
                    off < LAST_BITS,
                    "{}: pair {pair} is {found}, expected {expected}, off {off:e}",
                    case.name
                );
                n_equal += usize::from(off == 0.0);
                n_all += 1;
            }
        }
    }
    let share = n_equal as f64 / n_all as f64;
    assert!(
        share > EQUAL_SHARE,
        "{n_equal} of {n_all} frequencies are equal"
    );
}

/// Compares a table with the golden one; `angle_error` bounds how far an angle may be off.
fn assert_angles(case: &AngleCase, rope: &ResolvedRope, angle_error: impl Fn(f64, usize) -> f64) {
    for (row, &position) in case.positions.iter().enumerate() {
        let angles = rope.angles(position..position + 1);
        for pair in 0..rope.n_pairs() {
            let bound = rope.attention_scale() * angle_error(position as f64, pair) + F32_COSINE;
            for (found, expected) in [(&angles.cos, &case.cos), (&angles.sin, &case.sin)] {
                let (found, expected) = (f64::from(found[pair]), f64::from(expected[row][pair]));
                assert!(
                    (found - expected).abs() <= bound,
                    "{} at position {position}, pair {pair}: {found}, expected {expected} within {bound:e}",
                    case.name
                );
            }
        }
    }
}

#[test]
fn compat_angles_are_those_of_transformers() {
    for case in angle_cases() {
        let spec = read_hf_rope(&case.config).unwrap().spec;
        let rope = spec.resolve_with(case.total_tokens, AnglePrecision::CompatF32);
        // Equal frequencies leave only the last bit of cos and sin; others turn their difference into angle.
        let inv_freq = rope.inv_freq().to_vec();
        assert_angles(&case, &rope, |position, pair| {
            let off = (inv_freq[pair] - case.inv_freq[pair]).abs();
            // The f32 product may then round to another neighbour.
            let rounding = if off == 0.0 {
                0.0
            } else {
                f64::from(f32::EPSILON) * position * inv_freq[pair]
            };
            position * off + rounding
        });
    }
}

#[test]
fn exact_angles_differ_from_transformers_by_its_rounding_only() {
    for case in angle_cases() {
        let rope = read_hf_rope(&case.config)
            .unwrap()
            .spec
            .resolve(case.total_tokens);
        let inv_freq = rope.inv_freq().to_vec();
        assert_angles(&case, &rope, |position, pair| {
            position * inv_freq[pair] * (F32_FREQUENCIES + f64::from(f32::EPSILON))
        });
    }
}
