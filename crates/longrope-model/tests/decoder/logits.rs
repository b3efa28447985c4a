//! The logits of all positions against the losses and against generation.

use burn::tensor::{Int, Tensor, TensorData};
use longrope_model::Decoder;

use crate::support::{CHECKPOINTS, FAMILIES, load, losses};

/// Tolerance for f32 rounding, which differs when rows share matrix products.
const SAME: f64 = 1e-5;

fn tokens(n: usize) -> Vec<u32> {
    (0..n)
        .map(|i| u32::try_from((i * 31 + i * i * 7 + 5) % 90).unwrap())
        .collect()
}

/// Logits of each position of each sequence, `[batch][seq][vocab]`.
fn logits(decoder: &Decoder, sequences: &[&[u32]]) -> Vec<Vec<Vec<f64>>> {
    let (batch, seq) = (sequences.len(), sequences[0].len());
    let ids: Vec<i64> = sequences.concat().into_iter().map(i64::from).collect();
    let data = TensorData::new(ids, [batch, seq]);
    let tokens = Tensor::<2, Int>::from_data(data, decoder.device());
    let rotary = decoder.rotary(&decoder.config().rope.resolve(seq), seq);
    let logits = decoder.forward(tokens, &rotary).unwrap();
    let [_, _, vocab] = logits.dims();
    assert_eq!(logits.dims(), [batch, seq, decoder.config().vocab_size]);
    let flat: Vec<f64> = logits.into_data().iter::<f64>().collect();
    let rows: Vec<Vec<f64>> = flat.chunks(vocab).map(<[f64]>::to_vec).collect();
    rows.chunks(seq).map(<[Vec<f64>]>::to_vec).collect()
}

fn nll(logits: &[f64], token: u32) -> f64 {
    let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
    total.ln() - logits[token as usize]
}

#[test]
fn losses_from_logits_are_those_of_evaluation() {
    for name in CHECKPOINTS
        .into_iter()
        .chain(FAMILIES.map(|family| family.0))
    {
        let decoder = load(name);
        let sequence = tokens(50);
        let expected = losses(&decoder, &decoder.config().rope, &sequence);
        let found = logits(&decoder, &[&sequence]).remove(0);
        for (t, expected) in expected.iter().enumerate() {
            let found = nll(&found[t], sequence[t + 1]);
            assert!(
                (found - f64::from(*expected)).abs() < SAME,
                "{name}, token {t}: {found} is not {expected}"
            );
        }
    }
}

#[test]
fn a_sequence_longer_than_a_chunk_has_its_rows_in_order() {
    let decoder = load("llama-gqa-tied");
    let (first, second) = (tokens(1200), tokens(1201)[1..].to_vec());
    // 2 x 1200 rows are more than go through a layer at once.
    let found = logits(&decoder, &[&first, &second]);
    for (sequence, found) in [&first, &second].into_iter().zip(&found) {
        let expected = losses(&decoder, &decoder.config().rope, sequence);
        for (t, expected) in expected.iter().enumerate() {
            let found = nll(&found[t], sequence[t + 1]);
            assert!(
                (found - f64::from(*expected)).abs() < SAME,
                "token {t}: {found} is not {expected}"
            );
        }
    }
}

#[test]
fn logits_are_those_of_step_by_step_generation() {
    for name in [
        "llama-gqa-tied",
        "mistral-window",
        "phi3-window",
        "qwen2-layers",
    ] {
        let decoder = load(name);
        let sequence = tokens(40);
        let all = logits(&decoder, &[&sequence]).remove(0);
        let mut cache = decoder.kv_cache(40, &decoder.config().rope.resolve(40));
        for (t, token) in sequence.iter().enumerate() {
            let step = decoder.next_logits(&[*token], &mut cache).unwrap();
            assert_eq!(step.len(), all[t].len());
            for (x, y) in step.iter().zip(&all[t]) {
                assert!(
                    (f64::from(*x) - y).abs() < SAME,
                    "{name}, token {t}: {x} is not {y}"
                );
            }
        }
    }
}

#[test]
#[should_panic(expected = "2 tokens, but angles for 1 positions only")]
fn angles_have_to_cover_the_sequence() {
    let decoder = load("llama-gqa-tied");
    let tokens = Tensor::<2, Int>::from_data([[1, 2]], decoder.device());
    let rotary = decoder.rotary(&decoder.config().rope.resolve(1), 1);
    let _ = decoder.forward(tokens, &rotary);
}
