//! Different ways to compute the same losses.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use longrope_model::{
    Decoder, Error, LayerHook, Precision, Recompute, TokenBatch, Trained, TrainingBatch,
};
use longrope_rope::{RopeScaling, RopeSpec};

use crate::support::{device, fixture, load, losses};

/// Tolerance for f32 rounding, which differs when rows share matrix products.
const SAME: f32 = 1e-5;

/// Tolerance for attention over near and far keys that is merged, against attention over all keys: every layer rounds once more
/// per row. The largest difference seen is 1.0e-5, of a loss of 7.28 on ndarray; a key that counts twice or never moves losses
/// by more than 1e-3.
const MERGED: f32 = 5e-5;

fn tokens(n: usize, seed: u32) -> Vec<u32> {
    let mut state = seed;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % 97
        })
        .collect()
}

fn assert_same(found: &[f32], expected: &[f32]) {
    assert_within(SAME, found, expected);
}

fn assert_within(tolerance: f32, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (x, y) in found.iter().zip(expected) {
        assert!((x - y).abs() < tolerance, "{x} is not {y}");
    }
}

/// Whether several chunks of rows are computed in seconds. How rows are divided into chunks does not depend on the device.
fn is_quick() -> bool {
    device() == burn::tensor::Device::flex()
}

#[test]
fn a_batch_is_its_sequences_one_by_one() {
    let decoder = load("llama-gqa-tied");
    let spec = &decoder.config().rope;
    let sequences = [tokens(50, 1), tokens(50, 2), tokens(50, 3)];
    let slices: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    let rotary = decoder.rotary(&spec.resolve(50), 50);
    let batch = TokenBatch {
        sequences: &slices,
        score_from: 1,
    };
    let together = decoder.token_nll(batch, &rotary).unwrap();
    for (sequence, found) in sequences.iter().zip(&together) {
        assert_same(found, &losses(&decoder, spec, sequence));
    }
}

#[test]
fn scoring_from_later_on_gives_the_end_of_scoring_all() {
    if !is_quick() {
        return;
    }
    let decoder = load("llama-sharded-bf16");
    // More rows than go through a layer at once, so there are several chunks.
    let sequence = tokens(2500, 4);
    let spec = &decoder.config().rope;
    let all = losses(&decoder, spec, &sequence);
    let rotary = decoder.rotary(&spec.resolve(2500), 2500);
    for score_from in [2, 1024, 1025, 2499] {
        let batch = TokenBatch {
            sequences: &[&sequence],
            score_from,
        };
        let found = decoder.token_nll(batch, &rotary).unwrap().remove(0);
        assert_same(&found, &all[score_from - 1..]);
    }
}

#[test]
fn later_tokens_do_not_change_earlier_losses() {
    let decoder = load("llama-f16");
    let mut sequence = tokens(60, 5);
    let spec = decoder.config().rope.plain();
    let before = losses(&decoder, &spec, &sequence);
    sequence[40] = (sequence[40] + 1) % 97;
    let after = losses(&decoder, &spec, &sequence);
    assert_same(&after[..39], &before[..39]);
    assert!(
        (after[39] - before[39]).abs() > 1e-3,
        "the changed token costs something else"
    );
}

#[test]
fn the_same_question_has_the_same_bits() {
    let decoder = load("llama-gqa-tied");
    let sequence = tokens(100, 6);
    let spec = &decoder.config().rope;
    let (first, second) = (
        losses(&decoder, spec, &sequence),
        losses(&decoder, spec, &sequence),
    );
    let bits = |losses: Vec<f32>| losses.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    assert_eq!(bits(first), bits(second));
}

#[test]
fn streamed_layers_compute_what_resident_ones_do() {
    for name in ["llama-sharded-bf16", "phi3-window", "qwen2-layers"] {
        let resident = load(name);
        let n_read = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&n_read);
        let hook: LayerHook = Arc::new(move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let streamed = Decoder::stream(&fixture(name), device(), Precision::F32, hook).unwrap();
        let sequence = tokens(100, 7);
        let spec = &resident.config().rope;
        assert_eq!(
            losses(&streamed, spec, &sequence),
            losses(&resident, spec, &sequence),
            "{name}"
        );
        assert_eq!(n_read.load(Ordering::Relaxed), resident.config().n_layers);
    }
}

#[test]
fn what_cannot_be_scored_is_an_error() {
    let decoder = load("llama-gqa-tied");
    let rotary = decoder.rotary(&decoder.config().rope.resolve(4), 4);
    let nll = |sequences: &[&[u32]], score_from| {
        decoder.token_nll(
            TokenBatch {
                sequences,
                score_from,
            },
            &rotary,
        )
    };
    assert!(matches!(
        nll(&[&[1]], 1),
        Err(Error::NothingToScore { found: 1, .. })
    ));
    assert!(matches!(
        nll(&[&[1, 2]], 0),
        Err(Error::NothingToScore { score_from: 0, .. })
    ));
    assert!(matches!(
        nll(&[&[1, 2], &[1]], 1),
        Err(Error::UnequalLengths { index: 1, .. })
    ));
    let outside = nll(&[&[1, 97]], 1);
    assert!(matches!(
        outside,
        Err(Error::TokenOutOfVocabulary {
            token: 97,
            index: 1,
            ..
        })
    ));
    assert!(nll(&[], 1).unwrap().is_empty());
}

#[test]
fn behind_a_cached_beginning_scores_are_those_of_the_whole() {
    if !is_quick() {
        return;
    }
    let decoder = load("llama-sharded-bf16");
    let spec = &decoder.config().rope;
    // More rows than go through a layer at once, so there are several chunks.
    let first = tokens(2500, 4);
    let mut second = first.clone();
    second[700..].copy_from_slice(&tokens(1800, 5));
    let rope = spec.resolve(2500);
    let rotary = decoder.rotary(&rope, 2500);
    let mut cache = decoder.kv_cache(2500, &rope);
    for (sequence, n_kept) in [(&first, 0), (&second, 700), (&first, 640)] {
        cache.truncate(n_kept);
        let batch = TokenBatch {
            sequences: &[sequence],
            score_from: 701,
        };
        let losses = decoder.token_nll(batch, &rotary).unwrap().remove(0);
        let found = decoder.token_nll_cached(sequence, 701, &mut cache).unwrap();
        assert_same(&found, &losses);
        assert_eq!(cache.n_tokens(), 2499, "the last token predicts nothing");
        cache.truncate(n_kept);
        let likeliest = decoder.greedy_tokens(batch, &rotary).unwrap().remove(0);
        let found = decoder
            .greedy_tokens_cached(sequence, 701, &mut cache)
            .unwrap();
        assert_eq!(found, likeliest);
    }
    let full = decoder.token_nll_cached(&first, 2400, &mut cache);
    assert!(
        matches!(full, Err(Error::NothingToScore { .. })),
        "2499 of them are cached"
    );
}

fn grouped(decoder: &Decoder, group: usize, window: usize) -> RopeSpec {
    let scaling = RopeScaling::SelfExtend { group, window };
    RopeSpec {
        scaling,
        ..decoder.config().rope.plain()
    }
}

#[test]
fn groups_of_one_position_are_plain_rope() {
    // 2,500 tokens are more rows than go through a layer at once.
    for (fixture, n_tokens, windows) in [
        ("llama-gqa-tied", 300, vec![1, 7, 31]),
        (
            "llama-sharded-bf16",
            if is_quick() { 2500 } else { 400 },
            vec![7],
        ),
    ] {
        let decoder = load(fixture);
        let plain = decoder.config().rope.plain();
        let sequence = tokens(n_tokens, 6);
        let expected = losses(&decoder, &plain, &sequence);
        for window in windows {
            let found = losses(&decoder, &grouped(&decoder, 1, window), &sequence);
            assert_within(MERGED, &found, &expected);
        }
        let found = losses(&decoder, &grouped(&decoder, 4, 7), &sequence);
        assert_same(&found[..6], &expected[..6]);
        assert!(
            found
                .iter()
                .zip(&expected)
                .any(|(x, y)| (x - y).abs() > 1e-3)
        );
    }
}

#[test]
fn grouped_positions_give_the_same_with_a_cache() {
    let decoder = load("llama-gqa-tied");
    let spec = grouped(&decoder, 4, 7);
    let sequence = tokens(300, 7);
    let expected = losses(&decoder, &spec, &sequence);
    let resolved = spec.resolve(300);
    for mut cache in [
        decoder.kv_cache(300, &resolved),
        decoder.whole_kv_cache(300, &resolved),
    ] {
        let first = decoder
            .token_nll_cached(&sequence[..120], 1, &mut cache)
            .unwrap();
        assert_same(&first, &expected[..119]);
        cache.truncate(100);
        let rest = decoder
            .token_nll_cached(&sequence, 120, &mut cache)
            .unwrap();
        assert_same(&rest, &expected[119..]);
    }
}

#[test]
fn grouped_positions_cannot_be_trained() {
    let decoder = load("llama-gqa-tied");
    let rotary = decoder.rotary(&grouped(&decoder, 4, 7).resolve(16), 16);
    let batch = TrainingBatch {
        tokens: vec![tokens(16, 8)],
        ..TrainingBatch::default()
    };
    let error = decoder.loss_gradients(&batch, &rotary, Trained::All, Recompute::Layers);
    assert!(matches!(error, Err(Error::GroupedTraining)));
}

/// Losses are equal: bit for bit on flex, up to rounding on other devices.
fn assert_bits(found: &[f32], expected: &[f32], what: &str) {
    if device() != burn::tensor::Device::flex() {
        return assert_same(found, expected);
    }
    let bits = |losses: &[f32]| losses.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(found), bits(expected), "{what}");
}

/// Checkpoints without sliding windows, with one in all layers, and with one in some.
const KINDS: [&str; 3] = ["llama-gqa-tied", "mistral-window", "qwen2-layers"];

/// All kinds on flex. Which rows are left out does not depend on the device, and others are slow: the first kind there.
fn kinds() -> &'static [&'static str] {
    if device() == burn::tensor::Device::flex() {
        &KINDS
    } else {
        &KINDS[..1]
    }
}

#[test]
fn rows_that_are_asked_have_the_bits_of_a_full_pass() {
    // Attention divides the rows of a chunk into bands. A last band of a few rows may be rounded differently.
    const N: usize = 2048 + 492;
    if !is_quick() {
        // Other devices may also round differently, and the families are compared at their ends there.
        return;
    }
    for name in KINDS {
        let decoder = load(name);
        // More rows than go through a layer at once, so there are several chunks.
        let sequence = tokens(N, 4);
        let spec = &decoder.config().rope;
        let rope = spec.resolve(N);
        let rotary = decoder.rotary(&rope, N);
        let whole = |score_from| {
            let batch = TokenBatch {
                sequences: &[&sequence],
                score_from,
            };
            decoder.token_nll(batch, &rotary).unwrap().remove(0)
        };
        let cached = |score_from| {
            // All keys are kept. After dropped ones, tiles of keys begin elsewhere, which is rounded differently.
            let mut cache = decoder.whole_kv_cache(N, &rope);
            let losses = decoder.token_nll_cached(&sequence, score_from, &mut cache);
            assert_eq!(cache.n_tokens(), N - 1, "those before as well");
            losses.unwrap()
        };
        let (all, all_cached) = (whole(1), cached(1));
        // The head divides its rows into blocks of 256. The last ones of a block may be rounded differently, so whole
        // blocks are left out here.
        for score_from in [1025, 2305] {
            let what = format!("{name} from {score_from}");
            assert_bits(&whole(score_from), &all[score_from - 1..], &what);
            let expected = &all_cached[score_from - 1..];
            assert_bits(&cached(score_from), expected, &format!("{what}, cached"));
        }
        for score_from in [2310, 2490] {
            assert_same(&whole(score_from), &all[score_from - 1..]);
            assert_same(&cached(score_from), &all[score_from - 1..]);
        }
    }
}

#[test]
fn rows_that_are_asked_of_a_batch_have_the_bits_of_a_full_pass() {
    let decoder = load("llama-gqa-tied");
    let sequences = [tokens(700, 1), tokens(700, 2), tokens(700, 3)];
    let slices: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    let rotary = decoder.rotary(&decoder.config().rope.resolve(700), 700);
    let nll = |score_from| {
        let batch = TokenBatch {
            sequences: &slices,
            score_from,
        };
        decoder.token_nll(batch, &rotary).unwrap()
    };
    let all = nll(1);
    for score_from in [300, 600, 694] {
        for (found, all) in nll(score_from).iter().zip(&all) {
            assert_bits(found, &all[score_from - 1..], &format!("from {score_from}"));
        }
    }
}

#[test]
fn a_cached_beginning_of_whole_blocks_gives_the_bits_of_the_whole() {
    let decoder = load("llama-sharded-bf16");
    let spec = &decoder.config().rope;
    let sequence = tokens(2500, 4);
    let rope = spec.resolve(2500);
    let mut cache = decoder.whole_kv_cache(2500, &rope);
    let expected = decoder
        .token_nll_cached(&sequence, 2490, &mut cache)
        .unwrap();
    for n_kept in [2304, 2048, 1792, 768, 256] {
        cache.truncate(n_kept);
        let found = decoder
            .token_nll_cached(&sequence, 2490, &mut cache)
            .unwrap();
        assert_bits(&found, &expected, &format!("after {n_kept} cached tokens"));
    }
}

#[test]
fn a_prompt_has_the_next_logits_of_its_last_row_alone_or_with_others() {
    for name in kinds() {
        let decoder = load(name);
        let prompt = tokens(1300, 8);
        let rope = decoder.config().rope.resolve(1300);
        let mut cache = decoder.kv_cache(1300, &rope);
        let logits = decoder.next_logits(&prompt, &mut cache).unwrap();
        let batch = TokenBatch {
            sequences: &[&[prompt.as_slice(), &[0]].concat()],
            score_from: 1300,
        };
        let rotary = decoder.rotary(&rope, 1301);
        let loss = decoder.token_nll(batch, &rotary).unwrap()[0][0];
        let total: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
        let expected = total.ln() - f64::from(logits[0]);
        assert!(
            (f64::from(loss) - expected).abs() < f64::from(SAME),
            "{name}"
        );
    }
}
