use burn::backend::{Backend, Flex};
use burn::tensor::{DType, TensorData};

use super::*;
use crate::attention::config::AttentionConfig;
use crate::attention::documents::Documents;
use crate::composed::ops::Float;
use crate::composed::products::Products;
use crate::composed::steps::Steps;

/// Rounding of sums in `f32`.
const TOLERANCE: f64 = 1e-6;
/// Rounding of weights to the 8 bits of `bf16`, relative to the largest gradient.
const HALF_TOLERANCE: f64 = 1e-2;

const SEQ: usize = 40;
/// One block holds everything.
const WHOLE: usize = 1 << 20;
/// Blocks of 5 queries and 5 or 6 keys of two sequences of 4 heads.
const SMALL: usize = 4 * 2 * 4 * 30;

/// Multiples of 1/50, rounded to `f16` so that all types start from the same numbers.
fn heads<B: Backend>(n_heads: usize, seq: usize, dtype: DType, device: &B::Device) -> Float<B> {
    let count = 2 * n_heads * seq * 4;
    let values = (0..count).map(|i| ((i * 37 + n_heads) % 101) as f32 / 50.0 - 1.0);
    let data = TensorData::new(values.collect::<Vec<f32>>(), [2, n_heads, seq, 4]);
    let data = data.convert_dtype(DType::F16).convert_dtype(dtype);
    Float(B::float_from_data(data, device))
}

fn numbers<B: Backend>(x: &Float<B>) -> Vec<f64> {
    let data = burn::tensor::read_sync(B::float_into_data(x.0.clone()));
    data.expect("the device answers").iter::<f64>().collect()
}

fn assert_close<B: Backend, C: Backend>(found: &Float<B>, expected: &Float<C>, tolerance: f64) {
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

fn sinks<B: Backend>(dtype: DType, device: &B::Device) -> Float<B> {
    let data = TensorData::new(vec![0.5f32, -1.0, 2.0, 0.0], [4]);
    Float(B::float_from_data(data.convert_dtype(dtype), device))
}

/// Output and log-sum-exp, and gradients of queries, keys, values and sinks.
fn both_passes<B: Steps>(
    [seq_q, block_bytes]: [usize; 2],
    has_sinks: bool,
    config: &AttentionConfig,
    dtype: DType,
    device: &B::Device,
) -> Vec<Float<B>> {
    let heads = |n_heads, seq| heads::<B>(n_heads, seq, dtype, device);
    let inputs = [heads(4, seq_q), heads(2, SEQ), heads(2, SEQ)];
    let sinks = has_sinks.then(|| sinks(dtype, device));
    let (output, sums) = attention(inputs.clone(), sinks.clone(), config, block_bytes);
    let products = Products { block_bytes, dtype };
    let outputs = [output.clone(), sums.clone(), heads(4, seq_q)];
    let (gradients, d_sinks) = attention_backward(inputs, sinks, outputs, config, products);
    [output, sums]
        .into_iter()
        .chain(gradients)
        .chain(d_sinks)
        .collect()
}

/// Small blocks in this type give what the whole gives on flex in `f32`.
fn check_blocks<B: Steps>(dtype: DType, tolerance: f64, device: &B::Device) {
    for config in configs() {
        for seq_q in [SEQ, 1, 9] {
            if config.documents.is_some() && seq_q != SEQ {
                continue;
            }
            for has_sinks in [false, true] {
                let whole = [seq_q, WHOLE];
                let device_of_whole = burn_flex::FlexDevice;
                let expected =
                    both_passes::<Flex>(whole, has_sinks, &config, DType::F32, &device_of_whole);
                let found = both_passes::<B>([seq_q, SMALL], has_sinks, &config, dtype, device);
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(&expected) {
                    assert_close(found, expected, tolerance);
                }
            }
        }
    }
}

#[test]
fn blocks_of_any_size_give_the_same() {
    check_blocks::<Flex>(DType::F32, TOLERANCE, &burn_flex::FlexDevice);
}

/// The kernels of GPUs, over several blocks of keys.
#[cfg(feature = "cube")]
#[test]
#[ignore = "needs a GPU or a software driver, named by LONGROPE_DEVICE"]
#[expect(
    clippy::disallowed_methods,
    reason = "the environment selects the backend of this test"
)]
fn blocks_of_any_size_give_the_same_on_a_gpu() {
    use burn::backend::{Cube, DispatchDevice};
    use burn::tensor::{Device, DeviceKind};

    let device = match std::env::var("LONGROPE_DEVICE").as_deref() {
        #[cfg(feature = "wgpu")]
        Ok("wgpu:cpu") => Device::wgpu(DeviceKind::Cpu),
        #[cfg(feature = "vulkan")]
        Ok("vulkan:cpu") => Device::vulkan(DeviceKind::Cpu),
        #[cfg(feature = "cuda")]
        Ok("cuda") => Device::cuda(0),
        other => panic!("LONGROPE_DEVICE is {other:?}, but this test was built without it"),
    };
    let DispatchDevice::Cube(cube) = device.as_dispatch() else {
        panic!("{device:?} is no GPU");
    };
    // GPUs round exponentials and products of f32 more coarsely.
    for (dtype, tolerance) in [(DType::F32, 1e-4), (DType::F16, 5e-3), (DType::BF16, 4e-2)] {
        if device.supports_dtype(dtype) {
            check_blocks::<Cube>(dtype, tolerance, cube);
        }
    }
}

#[test]
fn gradients_in_halves_are_near_those_in_f32() {
    let heads = |n_heads| heads::<Flex>(n_heads, SEQ, DType::F32, &burn_flex::FlexDevice);
    let inputs = [heads(4), heads(2), heads(2)];
    let config = AttentionConfig::causal(4);
    let (output, sums) = attention(inputs.clone(), None, &config, WHOLE);
    let run = |dtype| {
        let products = Products {
            block_bytes: SMALL,
            dtype,
        };
        let outputs = [output.clone(), sums.clone(), heads(4)];
        attention_backward(inputs.clone(), None, outputs, &config, products).0
    };
    for (found, expected) in run(DType::BF16).iter().zip(&run(DType::F32)) {
        assert_close(found, expected, HALF_TOLERANCE);
        assert_ne!(numbers(found), numbers(expected));
    }
}
