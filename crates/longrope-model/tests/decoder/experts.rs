//! Layers with experts: which experts take part, what they write, and which files are refused.

use std::path::{Path, PathBuf};

use longrope_model::{
    Decoder, Error, ModelConfig, Recompute, Trained, TrainingBatch, WeightProblem,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use safetensors::Dtype;

use crate::support::{device, export_rewritten, losses, store, stored};

/// The families with experts.
const SPARSE: [&str; 5] = ["mixtral", "qwen3_moe", "qwen2_moe", "phimoe", "gpt_oss"];

fn folder(family: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/decoders");
    root.join(family)
}

fn config(family: &str) -> ModelConfig {
    ModelConfig::from_folder(&folder(family)).unwrap()
}

/// A decoder with random weights, 16 experts, and two of them for each token.
fn with_many_experts(family: &str) -> Decoder {
    let mut config = config(family);
    config.layout.experts.as_mut().unwrap().n_experts = 16;
    config.init(&device(), &mut ChaCha8Rng::seed_from_u64(3))
}

/// Index of the expert to which a parameter belongs.
fn expert_of(name: &str) -> Option<usize> {
    let (_, rest) = name.split_once(".experts.")?;
    rest.split('.').next()?.parse().ok()
}

#[test]
fn experts_without_tokens_have_no_gradient() {
    for family in ["mixtral", "phimoe", "qwen3_moe", "gpt_oss"] {
        let decoder = with_many_experts(family);
        let rotary = decoder.rotary(&decoder.config().rope.resolve(3), 3);
        let batch = TrainingBatch {
            tokens: vec![vec![5, 9, 30]],
            ..TrainingBatch::default()
        };
        let result = decoder.loss_gradients(&batch, &rotary, Trained::All, Recompute::Layers);
        let gradients = result.unwrap().gradients;
        let mut used = vec![0; 2];
        for (name, values) in gradients.iter() {
            let layer = usize::from(name.contains(".layers.1."));
            let values: Vec<f32> = values.clone().into_data().iter::<f32>().collect();
            if name.ends_with("experts.down_proj") {
                let experts = values.chunks(values.len() / 16);
                used[layer] = experts.filter(|e| e.iter().any(|x| *x != 0.0)).count();
            } else if expert_of(name).is_some() && name.contains("down") | name.contains("w2") {
                used[layer] += usize::from(values.iter().any(|x| *x != 0.0));
            }
        }
        // three tokens with two experts each; the first layer of one family has no experts
        let expected = if family == "qwen3_moe" { 0..=0 } else { 2..=6 };
        assert!(expected.contains(&used[0]), "{family}: {used:?}");
        assert!((2..=6).contains(&used[1]), "{family}: {used:?}");
    }
}

#[test]
fn experts_that_are_not_chosen_do_not_run() {
    let mut decoder = with_many_experts("mixtral");
    let spec = decoder.config().rope.clone();
    let tokens = [5, 9, 30];
    let expected = losses(&decoder, &spec, &tokens);
    let rotary = decoder.rotary(&spec.resolve(3), 3);
    let batch = TrainingBatch {
        tokens: vec![tokens.to_vec()],
        ..TrainingBatch::default()
    };
    let result = decoder.loss_gradients(&batch, &rotary, Trained::All, Recompute::Nothing);
    let gradients = result.unwrap().gradients;
    let used: Vec<String> = gradients.iter().map(|(name, _)| name.to_owned()).collect();
    let mut n_poisoned = 0;
    decoder.for_each_parameter(|mut parameter| {
        if expert_of(&parameter.name).is_some() && !used.contains(&parameter.name) {
            let poison = parameter.flat() * f32::NAN;
            parameter.set_flat(poison);
            n_poisoned += 1;
        }
    });
    // at least 10 of 16 experts in two layers, three matrices each
    assert!(n_poisoned >= 60, "{n_poisoned}");
    assert_eq!(losses(&decoder, &spec, &tokens), expected);
}

#[test]
fn random_experts_can_be_made_in_memory() {
    for family in SPARSE {
        let config = config(family);
        let decoder = config.init(&device(), &mut ChaCha8Rng::seed_from_u64(1));
        let found = losses(&decoder, &config.rope, &[1, 2, 3, 4, 5, 6]);
        let uniform = (config.vocab_size as f32).ln();
        assert!(
            found.iter().all(|nll| (nll - uniform).abs() < 0.5),
            "{family}: {found:?}"
        );
        let n_values = |mut decoder: Decoder| {
            let mut n = 0;
            decoder
                .for_each_parameter(|parameter| n += parameter.shape().iter().product::<usize>());
            n
        };
        assert_eq!(n_values(decoder), config.n_parameters(), "{family}");
    }
}

#[test]
fn written_and_exported_weights_have_the_names_shapes_and_values_of_the_file() {
    for family in SPARSE {
        let source = folder(family);
        let decoder = Decoder::load(&source, device()).unwrap();
        let target = tempfile::tempdir().unwrap();
        decoder
            .write_weights(&target.path().join("model.safetensors"))
            .unwrap();
        assert!(stored(target.path()) == stored(&source), "{family}");
        for rewrite in [false, true] {
            let target = tempfile::tempdir().unwrap();
            let exported = target.path().join("model");
            export_rewritten(&source, &exported, rewrite);
            assert!(stored(&exported) == stored(&source), "{family}");
            let again = Decoder::load(&exported, device()).unwrap();
            for n_tokens in [20, 60] {
                let tokens: Vec<u32> = (0..n_tokens).map(|i| i % 60).collect();
                let losses = |of: &Decoder| losses(of, &of.config().rope, &tokens);
                assert_eq!(losses(&again), losses(&decoder), "{family}");
            }
        }
    }
}

#[test]
fn packed_weights_are_refused_by_name() {
    let target = tempfile::tempdir().unwrap();
    fs_err::copy(
        folder("gpt_oss").join("config.json"),
        target.path().join("config.json"),
    )
    .unwrap();
    let mut tensors = stored(&folder("gpt_oss"));
    let stacked: Vec<String> = tensors
        .keys()
        .filter(|name| {
            name.ends_with("experts.gate_up_proj") || name.ends_with("experts.down_proj")
        })
        .cloned()
        .collect();
    for name in &stacked {
        let (_, shape, _) = tensors.remove(name).unwrap();
        let n_bytes = shape.iter().product::<usize>() / 2;
        let packed = (
            Dtype::U8,
            vec![shape[0], n_bytes / shape[0]],
            vec![0; n_bytes],
        );
        tensors.insert(format!("{name}_blocks"), packed);
        tensors.insert(format!("{name}_scales"), (Dtype::U8, vec![4], vec![0; 4]));
    }
    store(target.path(), &tensors);
    let Error::Weights { report, .. } = Decoder::load(target.path(), device()).unwrap_err() else {
        panic!("a weight report")
    };
    let expected: Vec<WeightProblem> = stacked
        .into_iter()
        .map(|name| WeightProblem::Packed { name })
        .collect();
    assert_eq!(report.problems, expected, "{report}");
    assert!(report.to_string().contains("MXFP4"), "{report}");
}
