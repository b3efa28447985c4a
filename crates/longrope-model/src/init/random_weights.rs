//! Random weights: a decoder in memory, or a checkpoint folder to train from.

use std::collections::HashMap;
use std::convert::Infallible;
use std::f64::consts::TAU;
use std::io;
use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData};
use longrope_rope::NormKind;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use super::llama_shape::{INITIALIZER_RANGE, LlamaShape};
use crate::config::ModelConfig;
use crate::config::module_names::module_of;
use crate::decoder::Decoder;
use crate::decoder::builder::{Builder, TensorSource};
use crate::decoder::placement::Placed;
use crate::error::{Error, Result};
use crate::modules::experts::shapes::down_names;
use crate::modules::weights::Weights;

impl ModelConfig {
    /// Makes a decoder of this configuration with random `f32` weights, in memory.
    ///
    /// Matrices are drawn from a normal distribution with standard deviation 0.02. Matrices that write into the
    /// residual stream (the outputs of attention and MLP) are scaled down by `sqrt(2 * n_layers)`, so that the stream does not
    /// grow with depth (Radford et al., GPT-2, §2.3). Biases are zero, and normalizations only normalize.
    ///
    /// All random numbers come from `rng`, in the order of [`Self::tensors`]: the same configuration and generator
    /// state give the same weights on every machine. With `ChaCha8Rng::seed_from_u64(seed)` they are the weights that
    /// [`write_random_llama`] writes for `seed`.
    pub fn init(&self, device: &Device, rng: &mut impl Rng) -> Decoder {
        let tensors = random_tensors(self, rng).map(|tensor| (tensor.name.clone(), tensor));
        let mut builder = Builder {
            config: self,
            source: Random {
                tensors: tensors.collect(),
                device,
            },
        };
        let Ok(weights) = build(&mut builder);
        Decoder::new(weights, self.clone(), Placed::new(device.into(), self))
    }
}

fn build(builder: &mut Builder<'_, Random<'_>>) -> Result<Weights, Infallible> {
    let layers = (0..builder.config.n_layers).map(|layer_idx| builder.layer(layer_idx));
    let layers = layers.collect::<Result<_, _>>()?;
    builder.weights(layers)
}

/// Tensors that have been drawn and not been used yet.
struct Random<'a> {
    tensors: HashMap<String, RandomTensor>,
    device: &'a Device,
}

impl TensorSource for Random<'_> {
    type Error = Infallible;

    fn tensor<const D: usize>(&mut self, name: &str) -> Result<Tensor<D>, Infallible> {
        let tensor = self.tensors.remove(name);
        let RandomTensor { shape, values, .. } =
            tensor.expect("the configuration lists every tensor that the builder asks for, once");
        let data = TensorData::new(values, shape);
        Ok(Tensor::from_data(data, (self.device, DType::F32)))
    }
}

/// One tensor of a checkpoint with its values in row-major order.
struct RandomTensor {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// The tensors of a model, drawn one after the other.
fn random_tensors(config: &ModelConfig, rng: &mut impl Rng) -> impl Iterator<Item = RandomTensor> {
    let residual_std = INITIALIZER_RANGE / (2.0 * config.n_layers as f64).sqrt();
    let names = config.layout.names;
    let experts = config.layout.experts.iter().flat_map(down_names);
    let outputs: Vec<&str> = [names.output, names.down]
        .into_iter()
        .chain(experts)
        .collect();
    let norm_weight = match config.layout.norm {
        NormKind::RmsPlusOne => 0.0,
        NormKind::Rms | NormKind::Layer { .. } => 1.0,
    };
    config.tensors().into_iter().map(move |(name, shape)| {
        let n_elements: usize = shape.iter().product();
        let module = module_of(&name);
        let values = if shape.len() == 1 && name.ends_with("norm.weight") {
            vec![norm_weight; n_elements]
        } else if shape.len() == 1 || name.ends_with("_bias") {
            vec![0.0; n_elements] // biases
        } else {
            let mut ends = outputs.iter();
            let writes_residual = ends.any(|map| module.ends_with(map) || name.ends_with(map));
            let std = if writes_residual {
                residual_std
            } else {
                INITIALIZER_RANGE
            };
            #[expect(clippy::cast_possible_truncation, reason = "rounded to f32")]
            let draw = || (std * normal(rng)) as f32;
            std::iter::repeat_with(draw).take(n_elements).collect()
        };
        RandomTensor {
            name,
            shape,
            values,
        }
    })
}

/// Writes `config.json`, `generation_config.json` and `model.safetensors` of a LLaMA model with random `f32` weights,
/// and returns the configuration.
///
/// The weights are those of [`ModelConfig::init`] with `ChaCha8Rng::seed_from_u64(seed)`. `special_tokens` are the ids
/// of the BOS and EOS tokens.
///
/// # Errors
/// If no model has this shape, or a file cannot be written.
pub fn write_random_llama(
    folder: &Path,
    shape: &LlamaShape,
    special_tokens: (u32, u32),
    seed: u64,
) -> Result<ModelConfig> {
    write_random_model(folder, shape.config_json(), special_tokens, seed)
}

/// Like [`write_random_llama`], for a model of any family: `json` is its `config.json` without special tokens.
///
/// # Errors
/// If `json` describes no model that the decoder supports, or a file cannot be written.
pub fn write_random_model(
    folder: &Path,
    mut json: Value,
    special_tokens: (u32, u32),
    seed: u64,
) -> Result<ModelConfig> {
    let (bos_token, eos_token) = special_tokens;
    if let Value::Object(keys) = &mut json {
        keys.insert("bos_token_id".to_owned(), bos_token.into());
        keys.insert("eos_token_id".to_owned(), eos_token.into());
        // Readers load the weights in the type that is named.
        for key in ["dtype", "torch_dtype"] {
            if let Some(dtype) = keys.get_mut(key) {
                *dtype = "float32".into();
            }
        }
    }
    let config = ModelConfig::from_json(&json, &folder.join("config.json"))?;
    fs_err::create_dir_all(folder)?;

    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = random_tensors(&config, &mut rng)
        .map(
            |RandomTensor {
                 name,
                 shape,
                 values,
             }| {
                let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
                (name, shape, bytes)
            },
        )
        .collect();
    let mut views = Vec::with_capacity(tensors.len());
    let failed = |error: safetensors::SafeTensorError| Error::Io(io::Error::other(error));
    for (name, shape, bytes) in &tensors {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(failed)?;
        views.push((name, view));
    }
    // transformers refuses files without this entry.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(failed)?;
    fs_err::write(folder.join("model.safetensors"), bytes)?;
    let generation = json!({ "bos_token_id": bos_token, "eos_token_id": eos_token });
    fs_err::write(
        folder.join("generation_config.json"),
        format!("{generation:#}\n"),
    )?;
    // Written last: a folder without it is not a checkpoint.
    fs_err::write(folder.join("config.json"), format!("{json:#}\n"))?;
    Ok(config)
}

/// A standard normal number (Box and Muller).
fn normal(rng: &mut impl Rng) -> f64 {
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
    fn the_config_names_the_type_of_the_weights() {
        let dir = tempfile::tempdir().unwrap();
        let mut json = shape().config_json();
        json["torch_dtype"] = "bfloat16".into();
        write_random_model(dir.path(), json, (0, 1), 5).unwrap();
        let text = fs_err::read_to_string(dir.path().join("config.json")).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["torch_dtype"], "float32");
        assert!(json.get("dtype").is_none(), "{json}");
    }

    #[test]
    fn numbers_are_normal() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let numbers: Vec<f64> = (0..20_000).map(|_| normal(&mut rng)).collect();
        let moment =
            |power: i32| numbers.iter().map(|x| x.powi(power)).sum::<f64>() / numbers.len() as f64;
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
