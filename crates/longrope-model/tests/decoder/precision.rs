//! Weights in half precision, widened where they are multiplied.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::DType;
use longrope_model::{
    Decoder, ExportOptions, FactorChoice, FloatType, GenerateOptions, Generation, LoraConfig,
    ModelConfig, Precision, Recompute, Trained, export_hf,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::families::{assert_near, each_family};
use crate::support::{device, fixture, losses};
use crate::training::{assert_same, batch, run};

/// Tolerance for another order of `f32` sums, relative to the largest gradient.
const F32_TOLERANCE: f64 = 1e-4;

/// Types in half precision that the device under test has.
fn halves() -> Vec<(FloatType, DType)> {
    let mut types = vec![(FloatType::BF16, DType::BF16), (FloatType::F16, DType::F16)];
    types.retain(|(_, dtype)| device().supports_dtype(*dtype));
    types
}

fn load(folder: &Path, precision: Precision) -> Decoder {
    Decoder::load_as(folder, device(), precision).unwrap()
}

/// A copy whose weights have another type, and are the same numbers in every precision that holds them.
fn rounded(source: &Path, target: &Path, dtype: FloatType) {
    let config = ModelConfig::from_folder(source).unwrap();
    let options = ExportOptions {
        dtype: Some(dtype),
        ..ExportOptions::new(config.max_context)
    };
    export_hf(source, target, &config.rope, options).unwrap();
}

#[test]
fn every_family_computes_the_same_with_halves_as_with_the_same_numbers_in_f32() {
    each_family(|name, folder, golden| {
        let target = tempfile::tempdir().unwrap();
        for (stored, dtype) in halves() {
            let copy = target.path().join(stored.to_string());
            rounded(folder, &copy, stored);
            let exact = load(&copy, Precision::F32);
            let halves = load(&copy, Precision::widened(dtype));
            let hook = Arc::new(|_, _| {});
            let streamed =
                Decoder::stream(&copy, device(), Precision::widened(dtype), hook).unwrap();
            assert_eq!(halves.dtype(), DType::F32);
            let rope = &exact.config().rope;
            let expected = losses(&exact, rope, &golden.tokens);
            for decoder in [&halves, &streamed] {
                let found = losses(decoder, rope, &golden.tokens);
                assert_near(&found, &expected, &format!("{name}, {dtype:?}"));
            }
        }
    });
}

#[test]
fn greedy_text_is_that_of_the_same_numbers_in_f32() {
    if halves().is_empty() {
        return;
    }
    let folder = fixture("llama-sharded-bf16");
    let greedy = |decoder: &Decoder| -> Vec<Vec<u32>> {
        let options = GenerateOptions {
            max_new_tokens: 12,
            factors: FactorChoice::Total,
            ..GenerateOptions::default()
        };
        let rope = decoder.config().rope.clone();
        let prompts: [&[u32]; 2] = [&[5, 17, 3, 60], &[9, 2]];
        let mut generation = Generation::new(decoder, &rope, &prompts, options, 0).unwrap();
        while generation.step().unwrap().is_some() {}
        let tokens = generation.new_tokens().into_iter();
        tokens.map(<[u32]>::to_vec).collect()
    };
    assert_eq!(
        greedy(&load(&folder, Precision::widened(DType::BF16))),
        greedy(&load(&folder, Precision::F32)),
    );
}

/// Adapters are trained in `f32` on top of a model whose weights are halves.
#[test]
fn adapters_have_the_same_gradients_with_halves() {
    if halves().is_empty() {
        return;
    }
    let config = LoraConfig {
        rank: 4,
        alpha: 8.0,
        target_modules: ["q_proj", "down_proj"].map(str::to_owned).to_vec(),
        modules_to_save: Vec::new(),
    };
    let result = |precision: Precision| {
        let mut decoder = load(&fixture("llama-sharded-bf16"), precision);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        decoder.add_adapters(&config, &mut rng).unwrap();
        let batch = batch(&decoder, 24);
        run(&decoder, &batch, Trained::Adapters, Recompute::Layers)
    };
    let (found, expected) = (
        result(Precision::widened(DType::BF16)),
        result(Precision::F32),
    );
    assert_same(&found, &expected, F32_TOLERANCE);
}
