//! Decoders with random weights: made in memory, and written as a checkpoint.

use longrope_model::{
    Decoder, DecoderConfig, DecoderSizes, LlamaShape, ModelConfig, write_random_llama,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::{device, fixture, losses};

fn shape(tied: bool) -> LlamaShape {
    LlamaShape {
        layers: 2,
        hidden: 64,
        intermediate: 96,
        vocab: 300,
        tied,
        ..LlamaShape::default()
    }
}

/// Name and values of every parameter.
fn parameters(mut decoder: Decoder) -> Vec<(String, Vec<f32>)> {
    let mut list = Vec::new();
    decoder.for_each_parameter(|parameter| {
        let values = parameter.flat().into_data().iter::<f32>().collect();
        list.push((parameter.name, values));
    });
    list
}

#[test]
fn weights_in_memory_are_those_of_a_written_checkpoint() {
    for tied in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        write_random_llama(folder.path(), &shape(tied), (0, 1), 5).unwrap();
        let written = Decoder::load(folder.path(), device()).unwrap();
        let made = DecoderConfig::from(shape(tied))
            .with_seed(5)
            .init(&device());
        let tokens: Vec<u32> = (0..30).map(|i| i * 9).collect();
        let spec = &written.config().rope;
        assert_eq!(made.config().rope, *spec);
        assert_eq!(
            losses(&made, spec, &tokens),
            losses(&written, spec, &tokens)
        );
        assert!(
            parameters(made) == parameters(written),
            "same names, order and bits"
        );
    }
}

/// One layer with this many query heads.
fn sizes(heads: usize) -> DecoderSizes {
    DecoderSizes {
        vocab: 50,
        hidden: 32,
        layers: 1,
        heads,
    }
}

#[test]
fn the_seed_decides_the_weights() {
    let config = DecoderConfig::new(sizes(2))
        .with_intermediate(48)
        .with_window(64)
        .with_theta(5e5);
    let init = |seed| parameters(config.with_seed(seed).init(&device()));
    assert!(init(1) == init(1));
    assert!(init(1) != init(2));
    let model = config.model_config().unwrap();
    assert_eq!(
        (model.n_kv_heads, model.intermediate_size, model.max_context),
        (2, 48, 64)
    );
    assert!((model.rope.theta - 5e5).abs() < 1e-9);
}

#[test]
fn every_family_can_be_made_in_memory() {
    for name in [
        "phi3-longrope",
        "qwen2-biases",
        "mistral-window",
        "llama-sharded-bf16",
    ] {
        let config = ModelConfig::from_folder(&fixture(name)).unwrap();
        let decoder = config.init(&device(), &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(*decoder.config(), config);
        let found = losses(&decoder, &config.rope, &[1, 2, 3, 4, 5, 6]);
        // Logits have a standard deviation of about 0.02 * sqrt(32) = 0.11, so tokens are about equally likely.
        let uniform = (config.vocab_size as f32).ln();
        assert!(
            found.iter().all(|nll| (nll - uniform).abs() < 0.5),
            "{name}: {found:?}"
        );
        for (name, values) in parameters(decoder) {
            if name.rsplit('.').next() == Some("bias") {
                assert!(values.iter().all(|x| x.to_bits() == 0), "{name}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "num_key_value_heads")]
fn sizes_that_do_not_fit_together_panic() {
    DecoderConfig::new(sizes(4))
        .with_kv_heads(3)
        .init(&device());
}
