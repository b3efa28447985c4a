use burn::backend::Flex;
use burn::tensor::{DType, TensorData};
use burn_flex::FlexTensor;

use super::*;
use crate::attention::config::AttentionConfig;
use crate::attention::documents::Documents;
use crate::composed::ops::Float;

/// Rounding of sums in `f32`.
const TOLERANCE: f64 = 1e-6;
/// Rounding of weights to the 8 bits of `bf16`, relative to the largest gradient.
const HALF_TOLERANCE: f64 = 1e-2;

const SEQ: usize = 40;
/// One block holds everything.
const WHOLE: usize = 1 << 20;
/// Blocks of 5 queries and 5 or 6 keys of two sequences of 4 heads.
const SMALL: usize = 4 * 2 * 4 * 30;

fn heads(n_heads: usize, seq: usize) -> Float<Flex> {
    let count = 2 * n_heads * seq * 4;
    let values = (0..count).map(|i| ((i * 37 + n_heads) % 101) as f32 / 50.0 - 1.0);
    let data = TensorData::new(values.collect::<Vec<f32>>(), [2, n_heads, seq, 4]);
    Float(FlexTensor::from_data(data))
}

fn numbers(x: &Float<Flex>) -> Vec<f64> {
    x.0.clone().into_data().iter::<f64>().collect()
}

fn assert_close(found: &Float<Flex>, expected: &Float<Flex>, tolerance: f64) {
    let (found, expected) = (numbers(found), numbers(expected));
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.1, |max: f64, x| max.max(x.abs()));
    for (x, y) in found.iter().zip(&expected) {
        assert!((x - y).abs() < tolerance * largest, "{x} is not {y}");
    }
}

fn configs() -> Vec<AttentionConfig> {
    let plain = AttentionConfig::causal(4);
    let documents = Documents::from_lengths(&[vec![13, 20, 7], vec![40]]);
    vec![
        plain.clone(),
        AttentionConfig {
            window: Some(7),
            softcap: Some(2.0),
            ..plain.clone()
        },
        AttentionConfig {
            documents: Some(documents),
            ..plain
        },
    ]
}

fn sinks() -> Float<Flex> {
    let data = TensorData::new(vec![0.5f32, -1.0, 2.0, 0.0], [4]);
    Float(FlexTensor::from_data(data))
}

#[test]
fn blocks_of_any_size_give_the_same() {
    for config in configs() {
        for seq_q in [SEQ, 1, 9] {
            if config.documents.is_some() && seq_q != SEQ {
                continue;
            }
            let inputs = [heads(4, seq_q), heads(2, SEQ), heads(2, SEQ)];
            for sinks in [None, Some(sinks())] {
                let run = |bytes| attention(inputs.clone(), sinks.clone(), &config, bytes);
                let ((output, sums), (found, found_sums)) = (run(WHOLE), run(SMALL));
                assert_close(&found, &output, TOLERANCE);
                assert_close(&found_sums, &sums, TOLERANCE);

                let outputs = [output, sums, heads(4, seq_q)];
                let run = |block_bytes| {
                    let products = Products {
                        block_bytes,
                        dtype: DType::F32,
                    };
                    let (inputs, outputs) = (inputs.clone(), outputs.clone());
                    attention_backward(inputs, sinks.clone(), outputs, &config, products)
                };
                let ((expected, of_sinks), (found, found_of_sinks)) = (run(WHOLE), run(SMALL));
                for (found, expected) in found.iter().zip(&expected) {
                    assert_close(found, expected, TOLERANCE);
                }
                if let (Some(found), Some(expected)) = (found_of_sinks, of_sinks) {
                    assert_close(&found, &expected, TOLERANCE);
                }
            }
        }
    }
}

#[test]
fn gradients_in_halves_are_near_those_in_f32() {
    let inputs = [heads(4, SEQ), heads(2, SEQ), heads(2, SEQ)];
    let config = AttentionConfig::causal(4);
    let (output, sums) = attention(inputs.clone(), None, &config, WHOLE);
    let run = |dtype| {
        let products = Products {
            block_bytes: SMALL,
            dtype,
        };
        let outputs = [output.clone(), sums.clone(), heads(4, SEQ)];
        attention_backward(inputs.clone(), None, outputs, &config, products).0
    };
    for (found, expected) in run(DType::BF16).iter().zip(&run(DType::F32)) {
        assert_close(found, expected, HALF_TOLERANCE);
        assert_ne!(numbers(found), numbers(expected));
    }
}
