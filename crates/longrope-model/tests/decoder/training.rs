//! Gradients: with recompute against a single tape, and a single tape against differences of the loss.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{DType, Tensor, TensorData};
use longrope_kernels::Documents;
use longrope_model::{
    Decoder, LoraConfig, LossGradients, Recompute, Rotary, TokenBatch, Trained, TrainingBatch,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::{FAMILIES, load, losses};

/// Tolerance for another order of `f64` sums.
const F64_TOLERANCE: f64 = 1e-9;

pub(crate) fn rotary(decoder: &Decoder, seq: usize) -> Rotary {
    let rope = decoder.config().rope.resolve(seq);
    decoder.rotary(&rope, seq)
}

pub(crate) fn batch(decoder: &Decoder, seq: usize) -> TrainingBatch {
    let vocab_size = u32::try_from(decoder.config().vocab_size).unwrap();
    let tokens = |row: u32| {
        (0..u32::try_from(seq).unwrap())
            .map(|t| (t * 7 + row * 31 + t * t) % vocab_size)
            .collect()
    };
    TrainingBatch {
        tokens: (0..2).map(tokens).collect(),
        loss_weights: vec![vec![1.0; seq], (0..seq).map(|t| (t % 3) as f32).collect()],
        documents: None,
    }
}

pub(crate) fn run(
    decoder: &Decoder,
    batch: &TrainingBatch,
    trained: Trained,
    recompute: Recompute,
) -> LossGradients {
    let rotary = rotary(decoder, batch.tokens[0].len());
    decoder
        .loss_gradients(batch, &rotary, trained, recompute)
        .unwrap()
}

pub(crate) fn values(result: &LossGradients) -> BTreeMap<String, Vec<f64>> {
    let gradients = result.gradients.iter();
    gradients
        .map(|(name, values)| {
            let data = values.clone().into_data();
            (name.to_owned(), data.iter::<f64>().collect())
        })
        .collect()
}

pub(crate) fn assert_same(found: &LossGradients, expected: &LossGradients, tolerance: f64) {
    assert!((found.loss - expected.loss).abs() <= tolerance * expected.loss.abs());
    let (found, expected) = (values(found), values(expected));
    assert!(found.keys().eq(expected.keys()), "{:?}", found.keys());
    for (name, expected) in expected {
        let largest = expected.iter().fold(0.1, |a: f64, b| a.max(b.abs()));
        for (found, expected) in found[&name].iter().zip(expected) {
            let difference = (found - expected).abs();
            assert!(
                difference <= tolerance * largest,
                "{name}: {found} {expected}"
            );
        }
    }
}

#[test]
fn recomputed_gradients_equal_those_of_one_tape() {
    for name in [
        "llama-gqa-tied",
        "phi3-longrope",
        "qwen2-biases",
        "mistral-window",
    ] {
        let decoder = load(name).cast(DType::F64);
        let batch = batch(&decoder, 40);
        let layers = run(&decoder, &batch, Trained::All, Recompute::Layers);
        let whole = run(&decoder, &batch, Trained::All, Recompute::Nothing);
        assert_same(&layers, &whole, F64_TOLERANCE);
        let mut n_parameters = 0;
        decoder.clone().for_each_parameter(|_| n_parameters += 1);
        assert_eq!(layers.gradients.iter().count(), n_parameters, "{name}");
    }
}
#[test]
fn gradients_of_micro_batches_add_up_to_the_same_bits_as_merged_ones() {
    for name in ["llama-gqa-tied", "phi3-longrope"] {
        let decoder = load(name);
        let batches = [batch(&decoder, 24), batch(&decoder, 17)];
        for recompute in [Recompute::Layers, Recompute::Offloaded, Recompute::Nothing] {
            let [mut first, second] =
                [0, 1].map(|i| run(&decoder, &batches[i], Trained::All, recompute));
            let before = first.gradients.clone();
            let rotary = rotary(&decoder, 17);
            let result =
                decoder.add_gradients(before, &batches[1], None, &rotary, Trained::All, recompute);
            let added = result.unwrap();
            assert_eq!(added.loss.to_bits(), second.loss.to_bits(), "{name}");
            first.gradients.merge(second.gradients);
            assert_eq!(values(&added), values(&first), "{name}, {recompute:?}");
        }
    }
}

#[test]
fn the_loss_is_that_of_evaluation() {
    for name in FAMILIES.map(|(name, _)| name) {
        let decoder = load(name);
        let mut batch = batch(&decoder, 33);
        batch.loss_weights.clear();
        let result = run(&decoder, &batch, Trained::All, Recompute::Nothing);
        let sequences: Vec<&[u32]> = batch.tokens.iter().map(Vec::as_slice).collect();
        let scored = TokenBatch {
            sequences: &sequences,
            score_from: 1,
        };
        let losses = decoder.token_nll(scored, &rotary(&decoder, 33)).unwrap();
        let sum: f64 = losses.iter().flatten().map(|nll| f64::from(*nll)).sum();
        assert_eq!(result.n_tokens, 64);
        // Sums of `f32` losses whose rounding differs with the size of the pieces.
        assert!((result.loss - sum).abs() < 1e-4 * sum, "{name}");
    }
}

#[test]
fn gradients_are_the_slopes_of_the_loss() {
    let mut decoder = load("llama-gqa-tied").cast(DType::F64);
    let batch = batch(&decoder, 24);
    let result = run(&decoder, &batch, Trained::All, Recompute::Layers);
    let gradients = values(&result);
    assert_slopes(&mut decoder, &gradients, |decoder| {
        run(decoder, &batch, Trained::All, Recompute::Nothing).loss
    });
}

/// Compares some of the gradients with differences of the loss.
pub(crate) fn assert_slopes(
    decoder: &mut Decoder,
    gradients: &BTreeMap<String, Vec<f64>>,
    loss: impl Fn(&Decoder) -> f64,
) {
    let step = 1e-5;
    for (name, index) in [
        ("model.embed_tokens.weight", 5),
        ("model.layers.0.self_attn.k_proj.weight", 17),
        ("model.layers.1.mlp.down_proj.weight", 3),
        ("model.norm.weight", 2),
    ] {
        let mut at = |offset: f64| {
            nudge(decoder, name, index, offset);
            let loss = loss(decoder);
            nudge(decoder, name, index, -offset);
            loss
        };
        let slope = (at(step) - at(-step)) / (2.0 * step);
        let found = gradients[name][index];
        // The error of a central difference is about the square of the step, plus the rounding error of the loss
        // divided by the step.
        assert!((found - slope).abs() < 1e-5, "{name}: {found} {slope}");
    }
}

pub(crate) fn nudge(decoder: &mut Decoder, name: &str, index: usize, offset: f64) {
    decoder.for_each_parameter(|mut parameter| {
        if parameter.name == name {
            let values = parameter.flat();
            let (device, [n]) = (values.device(), values.dims());
            let mut change = vec![0.0; n];
            change[index] = offset;
            let change = TensorData::new(change, [n]);
            let change = Tensor::<1>::from_data(change, (&device, DType::F64));
            parameter.set_flat(values + change);
        }
    });
}

#[test]
fn documents_are_blind_to_each_other() {
    let decoder = load("llama-gqa-tied").cast(DType::F64);
    let mut packed = batch(&decoder, 40);
    packed.tokens.truncate(1);
    packed.loss_weights = vec![vec![1.0; 40]];
    // The first token of the second document is not predicted.
    packed.loss_weights[0][16] = 0.0;
    packed.documents = Some(Documents::from_lengths(&[vec![16, 24]]));
    let together = run(&decoder, &packed, Trained::All, Recompute::Layers);
    let mut apart = 0.0;
    for range in [0..16, 16..40] {
        let alone = TrainingBatch {
            tokens: vec![packed.tokens[0][range].to_vec()],
            ..TrainingBatch::default()
        };
        apart += run(&decoder, &alone, Trained::All, Recompute::Layers).loss;
    }
    // Angles are `f32`, and the second document has larger positions when it is packed.
    assert!(
        (together.loss - apart).abs() < 1e-4 * apart,
        "{} {apart}",
        together.loss
    );
}

#[test]
fn adapters_train_alone_and_merge_without_a_trace() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let config = LoraConfig {
        rank: 4,
        alpha: 8.0,
        target_modules: ["q_proj", "o_proj", "down_proj"]
            .map(str::to_owned)
            .to_vec(),
        modules_to_save: Vec::new(),
    };
    let mut decoder = load("llama-gqa-tied").cast(DType::F64);
    let batch = batch(&decoder, 24);
    let plain = run(&decoder, &batch, Trained::All, Recompute::Layers).loss;
    decoder.add_adapters(&config, &mut rng).unwrap();
    let result = run(&decoder, &batch, Trained::Adapters, Recompute::Layers);
    assert!(
        (result.loss - plain).abs() < 1e-9,
        "they do nothing at first"
    );
    assert!(
        result
            .gradients
            .iter()
            .all(|(name, _)| name.contains("lora_"))
    );
    let whole = run(&decoder, &batch, Trained::Adapters, Recompute::Nothing);
    assert_same(&result, &whole, F64_TOLERANCE);

    // Any values work here.
    decoder.for_each_parameter(|mut parameter| {
        if parameter.name.contains("lora_B") {
            let values = parameter.flat();
            parameter.set_flat(values + 0.01);
        }
    });
    let with = run(&decoder, &batch, Trained::All, Recompute::Layers).loss;
    assert!((with - plain).abs() > 1e-3, "they do something now");
    let folder = tempfile::tempdir().unwrap();
    decoder
        .write_adapters(folder.path(), &config, folder.path())
        .unwrap();
    let mut again = load("llama-gqa-tied").cast(DType::F64);
    assert_eq!(again.read_adapters(folder.path()).unwrap().rank, 4);
    let read = run(&again, &batch, Trained::All, Recompute::Layers).loss;
    assert!((read - with).abs() < 1e-9 * with);
    decoder.merge_adapters();
    let merged = run(&decoder, &batch, Trained::All, Recompute::Layers).loss;
    assert!((merged - with).abs() < 1e-9 * with, "{merged} {with}");
}

#[test]
fn adapters_of_unknown_modules_are_refused() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let config = LoraConfig {
        rank: 4,
        alpha: 8.0,
        target_modules: vec!["query".to_owned()],
        modules_to_save: Vec::new(),
    };
    let error = load("llama-gqa-tied")
        .add_adapters(&config, &mut rng)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`query`") && error.contains("q_proj"),
        "{error}"
    );
}

#[test]
fn adapters_of_peft_give_the_losses_of_peft() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/adapters/peft");
    let mut decoder = load("llama-gqa-tied");
    decoder.read_adapters(&folder).unwrap();
    let vocab_size = u32::try_from(decoder.config().vocab_size).unwrap();
    let tokens: Vec<u32> = (0..40).map(|t| (t * 7 + t * t) % vocab_size).collect();
    let text = fs_err::read_to_string(folder.join("expected.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected = json["nll_nats"].as_array().unwrap();
    let spec = decoder.config().rope.clone();
    let adapted = losses(&decoder, &spec, &tokens);
    decoder.merge_adapters();
    let merged = losses(&decoder, &spec, &tokens);
    assert_eq!(adapted.len(), expected.len());
    for ((adapted, merged), expected) in adapted.iter().zip(&merged).zip(expected) {
        let expected = expected.as_f64().unwrap();
        // Another order of `f32` sums.
        assert!(
            (f64::from(*adapted) - expected).abs() < 1e-4,
            "{adapted} {expected}"
        );
        assert!(
            (adapted - merged).abs() < 1e-5 * adapted.max(1.0),
            "{adapted} {merged}"
        );
    }
}
