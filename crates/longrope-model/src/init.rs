//! A checkpoint of random weights, to train from.

use std::collections::HashMap;
use std::f64::consts::TAU;
use std::io;
use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::ModelConfig;
use crate::error::{Error, Result};

/// Spread of the normal distribution that weights are drawn from.
const STD: f64 = 0.02;

/// The sizes of a LLaMA.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct LlamaShape {
    /// Decoder layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of the gated part.
    pub intermediate: usize,
    /// Tokens of the vocabulary.
    pub vocab: usize,
    /// Window, tokens.
    pub window: usize,
    /// Base of the rotary embedding.
    pub theta: f64,
    /// Whether the head is the embedding.
    pub tied: bool,
}

impl Default for LlamaShape {
    /// 3.2 million parameters, window 256.
    fn default() -> Self {
        Self {
            layers: 4,
            hidden: 256,
            heads: 4,
            kv_heads: 2,
            intermediate: 688,
            vocab: 1024,
            window: 256,
            theta: 10_000.0,
            tied: true,
        }
    }
}

impl LlamaShape {
    /// `config.json` as transformers writes it.
    fn config_json(&self, bos_token: u32, eos_token: u32) -> Value {
        json!({
            "architectures": ["LlamaForCausalLM"],
            "attention_bias": false,
            "attention_dropout": 0.0,
            "bos_token_id": bos_token,
            "eos_token_id": eos_token,
            "head_dim": self.hidden / self.heads.max(1),
            "hidden_act": "silu",
            "hidden_size": self.hidden,
            "initializer_range": STD,
            "intermediate_size": self.intermediate,
            "max_position_embeddings": self.window,
            "mlp_bias": false,
            "model_type": "llama",
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
            "num_key_value_heads": self.kv_heads,
            "rms_norm_eps": 1e-5,
            // transformers 4 reads the one, transformers 5 the other.
            "rope_theta": self.theta,
            "rope_parameters": { "rope_theta": self.theta, "rope_type": "default" },
            "tie_word_embeddings": self.tied,
            "torch_dtype": "float32",
            "use_cache": true,
            "vocab_size": self.vocab,
        })
    }
}

/// Writes `config.json`, `generation_config.json` and `model.safetensors` of a LLaMA with random weights in f32, and
/// returns the configuration.
///
/// Matrices are normal with spread 0.02; those that write into the residual stream are smaller by `sqrt(2 layers)`, so
/// that the stream does not grow with depth (Radford et al., GPT-2, §2.3). Norms begin with ones. The same shape and
/// seed give the same weights everywhere.
///
/// # Errors
/// If the shape makes no model, or a file cannot be written.
pub fn write_random_llama(
    folder: &Path,
    shape: &LlamaShape,
    (bos_token, eos_token): (u32, u32),
    seed: u64,
) -> Result<ModelConfig> {
    let json = shape.config_json(bos_token, eos_token);
    let config = ModelConfig::from_json(&json, &folder.join("config.json"))?;
    fs_err::create_dir_all(folder)?;

    let residual_std = STD / (2.0 * shape.layers as f64).sqrt();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, sizes) in config.tensors() {
        let n_elements: usize = sizes.iter().product();
        let writes_residual = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
        let mut values = Vec::with_capacity(4 * n_elements);
        for _ in 0..n_elements {
            let value = if name.ends_with("norm.weight") {
                1.0
            } else if writes_residual {
                residual_std * normal(&mut rng)
            } else {
                STD * normal(&mut rng)
            };
            #[expect(clippy::cast_possible_truncation, reason = "rounded to f32")]
            values.extend((value as f32).to_le_bytes());
        }
        tensors.push((name, sizes, values));
    }
    let mut views = Vec::with_capacity(tensors.len());
    let failed = |error: safetensors::SafeTensorError| Error::Io(io::Error::other(error));
    for (name, sizes, values) in &tensors {
        let view = TensorView::new(Dtype::F32, sizes.clone(), values).map_err(failed)?;
        views.push((name, view));
    }
    // transformers refuses files that do not say this.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(failed)?;
    fs_err::write(folder.join("model.safetensors"), bytes)?;
    let generation = json!({ "bos_token_id": bos_token, "eos_token_id": eos_token });
    fs_err::write(
        folder.join("generation_config.json"),
        format!("{generation:#}\n"),
    )?;
    // Last: without it, the folder is no checkpoint.
    fs_err::write(folder.join("config.json"), format!("{json:#}\n"))?;
    Ok(config)
}

/// A standard normal number (Box and Muller).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let mut unit = || ((rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    let (radius, angle) = (unit(), unit());
    (-2.0 * radius.ln()).sqrt() * (TAU * angle).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Checkpoint;

    fn shape() -> LlamaShape {
        LlamaShape {
            layers: 2,
            hidden: 64,
            intermediate: 96,
            vocab: 300,
            ..LlamaShape::default()
        }
    }

    #[test]
    fn what_is_written_is_a_checkpoint_and_the_same_every_time() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| dir.path().join(name));
        let config = write_random_llama(&a, &shape(), (0, 1), 5).unwrap();
        let checkpoint = Checkpoint::open(&a).unwrap();
        checkpoint.check(&config).unwrap();
        assert_eq!((config.bos_token, config.max_context), (Some(0), 256));
        write_random_llama(&b, &shape(), (0, 1), 5).unwrap();
        write_random_llama(&c, &shape(), (0, 1), 6).unwrap();
        let weights = |folder: &Path| fs_err::read(folder.join("model.safetensors")).unwrap();
        assert_eq!(weights(&a), weights(&b));
        assert_ne!(weights(&a), weights(&c));
    }

    #[test]
    fn numbers_are_normal() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let numbers: Vec<f64> = (0..20_000).map(|_| normal(&mut rng)).collect();
        let moment = |power: i32| {
            numbers.iter().map(|it| it.powi(power)).sum::<f64>() / numbers.len() as f64
        };
        assert!(moment(1).abs() < 0.03, "{}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.05, "{}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.3, "{}", moment(4));
    }

    #[test]
    fn shapes_that_make_no_model_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let wrong = LlamaShape {
            kv_heads: 3,
            ..shape()
        };
        assert!(write_random_llama(dir.path(), &wrong, (0, 1), 5).is_err());
        assert!(!dir.path().join("config.json").exists());
    }
}
