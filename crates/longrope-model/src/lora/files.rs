//! Reading and writing adapters in the format of PEFT: `adapter_config.json` and `adapter_model.safetensors`.

use std::path::Path;

use burn::tensor::{DType, Device, Tensor};
use serde_json::{Value, json};

use super::config::LoraConfig;
use super::error::LoraError;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::write::{TensorEntry, write_safetensors};
use crate::config::module_names::{EMBEDDING, HEAD, HEAD_WEIGHT, last_part};
use crate::decoder::Decoder;
use crate::error::{Error, Result};
use crate::hub_name::name_in_hub_cache;
use crate::parameters::{ParameterKind, Trained, linears_mut};

const CONFIG_FILE: &str = "adapter_config.json";
const WEIGHTS_FILE: &str = "adapter_model.safetensors";

/// Prefix of tensor names in PEFT files, which wrap the model twice.
const KEY_PREFIX: &str = "base_model.model.";

/// Keys that change what adapters compute, or where they are, in a way that this crate does not know. `null`, `false` and
/// nothing in a list or object stand for none of it, and `"none"` for no biases.
const UNSUPPORTED: &[&str] = &[
    "use_dora",
    "use_rslora",
    "use_qalora",
    "fan_in_fan_out",
    "bias",
    "lora_bias",
    "alpha_pattern",
    "rank_pattern",
    "exclude_modules",
    "layers_to_transform",
    "layers_pattern",
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "arrow_config",
];

/// Whether a key is not used.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text == "none",
        Value::Array(list) => list.is_empty(),
        Value::Object(keys) => keys.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

impl LoraConfig {
    /// Reads `adapter_config.json` of a PEFT folder.
    ///
    /// # Errors
    /// If the file is missing, or describes something other than plain low-rank adapters.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(CONFIG_FILE);
        let text = fs_err::read_to_string(&path)?;
        let json: Value = serde_json::from_str(&text).map_err(|source| Error::Json {
            path: path.clone(),
            source,
        })?;
        if json["peft_type"] != "LORA" {
            let found = json["peft_type"].to_string();
            return Err(LoraError::PeftType { path, found }.into());
        }
        let mut unsupported = UNSUPPORTED.iter().copied();
        if let Some(key) = unsupported.find(|key| !is_off(&json[*key])) {
            return Err(LoraError::UnsupportedKey { path, key }.into());
        }
        let wrong = |key, expected| LoraError::ConfigKey {
            path: path.clone(),
            key,
            expected,
        };
        let rank = json["r"]
            .as_u64()
            .and_then(|rank| usize::try_from(rank).ok());
        let targets = json["target_modules"]
            .as_array()
            .ok_or_else(|| wrong("target_modules", "a list"))?;
        let mut target_modules = targets
            .iter()
            .map(|name| name.as_str().map(str::to_owned))
            .collect::<Option<Vec<String>>>()
            .ok_or_else(|| wrong("target_modules", "a list of strings"))?;
        target_modules.sort();
        Ok(Self {
            rank: rank.ok_or_else(|| wrong("r", "a whole number"))?,
            alpha: json["lora_alpha"]
                .as_f64()
                .ok_or_else(|| wrong("lora_alpha", "a number"))?,
            target_modules,
            modules_to_save: match &json["modules_to_save"] {
                Value::Null => Vec::new(),
                Value::Array(names) => names
                    .iter()
                    .map(|name| name.as_str().map(str::to_owned))
                    .collect::<Option<_>>()
                    .ok_or_else(|| wrong("modules_to_save", "a list of strings"))?,
                _ => return Err(wrong("modules_to_save", "a list of strings").into()),
            },
        })
    }
}

impl Decoder {
    /// Writes the adapters to a folder that PEFT can load; `base` is the path of the base model.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write_adapters(&self, folder: &Path, config: &LoraConfig, base: &Path) -> Result<()> {
        let mut entries = Vec::new();
        let selection = self.selection(Trained::Adapters);
        let mut modules_to_save = config.modules_to_save.clone();
        // PEFT does not know that the head is tied to trained embeddings: it gets a copy.
        let has_tied_head = self.config().tied_embeddings && selection.includes_embedding();
        if has_tied_head {
            modules_to_save = with_both(modules_to_save);
        }
        self.clone().for_each_parameter(|parameter| {
            if selection.includes(&parameter) {
                let entry = |name: &str| TensorEntry {
                    name: format!("{KEY_PREFIX}{name}"),
                    shape: parameter.shape(),
                    values: parameter.flat(),
                };
                entries.push(entry(&parameter.name));
                if has_tied_head && parameter.kind == ParameterKind::Embedding {
                    entries.push(entry(HEAD_WEIGHT));
                }
            }
        });
        write_safetensors(&folder.join(WEIGHTS_FILE), entries)?;
        // Others find a model of the hub by its name, not in the cache of this machine.
        let base =
            name_in_hub_cache(base).map_or_else(|| base.display().to_string(), |(name, _)| name);
        let json = json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base,
            "r": config.rank,
            "lora_alpha": config.alpha,
            "lora_dropout": 0.0,
            "target_modules": config.target_modules,
            "modules_to_save": (!modules_to_save.is_empty()).then_some(modules_to_save),
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
        });
        fs_err::write(folder.join(CONFIG_FILE), format!("{json:#}\n"))?;
        Ok(())
    }

    /// Loads the adapters of a PEFT folder, replacing existing adapters.
    ///
    /// # Errors
    /// If the adapters do not fit the model, or a file is missing or damaged.
    pub fn read_adapters(&mut self, folder: &Path) -> Result<LoraConfig> {
        let config = LoraConfig::read(folder)?;
        let file = Checkpoint::open_file(&folder.join(WEIGHTS_FILE))?;
        self.check_factors(&config, &file)?;
        // Shapes come from the model; the random values are overwritten below.
        let mut rng = <rand_chacha::ChaCha8Rng as rand::SeedableRng>::seed_from_u64(0);
        self.add_adapters(&config, &mut rng)?;
        let (mut problem, mut n_read) = (None, 0);
        let selection = self.selection(Trained::Adapters);
        self.for_each_parameter(|mut parameter| {
            if !selection.includes(&parameter) || problem.is_some() {
                return;
            }
            let key = format!("{KEY_PREFIX}{}", parameter.name);
            let found = file.tensors().get(&key).map(|stored| stored.shape.clone());
            let expected = parameter.shape();
            if found.as_ref() != Some(&expected) {
                let misfit = LoraError::Shape {
                    key,
                    found,
                    expected,
                };
                problem = Some(misfit.into());
                return;
            }
            let (device, dtype) = (parameter.device(), parameter.flat().dtype());
            match flat_tensor(&file, &key, &expected, &device, dtype) {
                Ok(values) => {
                    parameter.set_flat(values);
                    n_read += 1;
                }
                Err(error) => problem = Some(error),
            }
        });
        if let Some(error) = problem {
            return Err(error);
        }
        if self.config().tied_embeddings && selection.includes_embedding() {
            n_read += self.check_tied_head(&file, folder)?;
        }
        if n_read != file.tensors().len() {
            return Err(LoraError::UnusedTensors {
                path: folder.join(WEIGHTS_FILE),
                found: file.tensors().len(),
                used: n_read,
            }
            .into());
        }
        Ok(config)
    }

    /// Checks that the file has both factors of every target module in the shapes that fit the model, before memory is
    /// allocated for them.
    fn check_factors(&mut self, config: &LoraConfig, file: &Checkpoint) -> Result<()> {
        for layer in &mut self.weights.model.layers {
            for linear in linears_mut(layer) {
                let name = &linear.name;
                let short = last_part(name);
                if !config.target_modules.iter().any(|target| target == short) {
                    continue;
                }
                let [out, width] = linear.weight.dims();
                for (part, expected) in [
                    ("lora_A", vec![config.rank, width]),
                    ("lora_B", vec![out, config.rank]),
                ] {
                    let key = format!("{KEY_PREFIX}{name}.{part}.weight");
                    let found = file.tensors().get(&key).map(|stored| stored.shape.clone());
                    if found.as_ref() != Some(&expected) {
                        return Err(LoraError::Shape {
                            key,
                            found,
                            expected,
                        }
                        .into());
                    }
                }
            }
        }
        Ok(())
    }

    /// Checks that the head in a PEFT folder is the embedding matrix that was read. Returns the number of tensors used.
    fn check_tied_head(&self, file: &Checkpoint, folder: &Path) -> Result<usize> {
        let key = format!("{KEY_PREFIX}{HEAD_WEIGHT}");
        let own = self.weights.model.embed_tokens.weight.val();
        let is_same = match file.tensors().get(&key) {
            Some(stored) if stored.shape == own.dims() => {
                let head = file.tensor::<2>(&key, self.device(), own.dtype())?;
                head.into_data() == own.into_data()
            }
            _ => false,
        };
        if !is_same {
            let path = folder.join(WEIGHTS_FILE);
            return Err(LoraError::TiedHead { path }.into());
        }
        Ok(1)
    }
}

/// The values of a stored vector, matrix or stack of this shape, `[elements]`.
fn flat_tensor(
    file: &Checkpoint,
    key: &str,
    shape: &[usize],
    device: &Device,
    dtype: DType,
) -> Result<Tensor<1>> {
    let n_values = shape.iter().product::<usize>();
    match shape.len() {
        1 => file.tensor(key, device, dtype),
        2 => {
            let matrix = file.tensor::<2>(key, device, dtype)?;
            Ok(matrix.reshape([n_values]))
        }
        _ => {
            let stack = file.tensor::<3>(key, device, dtype)?;
            Ok(stack.reshape([n_values]))
        }
    }
}

/// The modules to save with embeddings and head, each by a name of its own.
fn with_both(mut names: Vec<String>) -> Vec<String> {
    for module in [EMBEDDING, HEAD] {
        if !names.iter().any(|name| module.ends_with(name.as_str())) {
            names.push(last_part(module).to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_change_the_adapters_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let read = |key: &str, value: Value| {
            let mut json = json!({
                "peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "bias": "none",
                "rank_pattern": {}, "use_dora": false, "layers_pattern": null,
            });
            json[key] = value;
            fs_err::write(folder.path().join(CONFIG_FILE), json.to_string()).unwrap();
            LoraConfig::read(folder.path())
        };
        assert!(read("alpha_pattern", json!({})).is_ok());
        for (key, value) in [
            ("alpha_pattern", json!({"q_proj": 8})),
            ("rank_pattern", json!({"q_proj": 8})),
            ("layers_to_transform", json!([1])),
            ("bias", json!("all")),
            ("use_rslora", json!(true)),
        ] {
            let error = read(key, value).unwrap_err().to_string();
            assert!(
                error.contains(&format!("`{key}` is not supported")),
                "{error}"
            );
        }
        let error = read("target_modules", json!(["q_proj", 3])).unwrap_err();
        assert!(error.to_string().contains("a list of strings"), "{error}");
    }
}
