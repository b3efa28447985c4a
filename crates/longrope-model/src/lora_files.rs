//! Reading and writing adapters in the format of PEFT: `adapter_config.json` and `adapter_model.safetensors`.

use std::path::Path;

use burn::tensor::Tensor;
use serde_json::{Value, json};

use crate::checkpoint::Checkpoint;
use crate::decoder::Decoder;
use crate::error::{Error, Result};
use crate::lora::LoraConfig;
use crate::lora_error::LoraError;
use crate::parameters::{ParameterKind, linears_mut};
use crate::write::{TensorEntry, write_safetensors};

const CONFIG_FILE: &str = "adapter_config.json";
const WEIGHTS_FILE: &str = "adapter_model.safetensors";

/// Prefix of tensor names in PEFT files, which wrap the model twice.
const KEY_PREFIX: &str = "base_model.model.";

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
        for key in ["use_dora", "use_rslora", "fan_in_fan_out"] {
            if json[key] == true {
                return Err(LoraError::UnsupportedKey { path, key }.into());
            }
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
        let mut target_modules: Vec<String> = targets
            .iter()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        target_modules.sort();
        Ok(Self {
            rank: rank.ok_or_else(|| wrong("r", "a whole number"))?,
            alpha: json["lora_alpha"]
                .as_f64()
                .ok_or_else(|| wrong("lora_alpha", "a number"))?,
            target_modules,
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
        self.clone().for_each_parameter(|parameter| {
            if parameter.kind == ParameterKind::Adapter {
                entries.push(TensorEntry {
                    name: format!("{KEY_PREFIX}{}", parameter.name),
                    shape: parameter.shape(),
                    values: parameter.flat(),
                });
            }
        });
        write_safetensors(&folder.join(WEIGHTS_FILE), entries)?;
        let json = json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base.display().to_string(),
            "r": config.rank,
            "lora_alpha": config.alpha,
            "lora_dropout": 0.0,
            "target_modules": config.target_modules,
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
        let (device, mut problem, mut n_read) = (self.device().clone(), None, 0);
        self.for_each_parameter(|mut parameter| {
            if parameter.kind != ParameterKind::Adapter || problem.is_some() {
                return;
            }
            let key = format!("{KEY_PREFIX}{}", parameter.name);
            let dtype = parameter.flat().dtype();
            match file.tensor::<2>(&key, &device, dtype) {
                Ok(values) => {
                    let [rows, columns] = values.dims();
                    let values: Tensor<1> = values.reshape([rows * columns]);
                    parameter.set_flat(values);
                    n_read += 1;
                }
                Err(error) => problem = Some(error),
            }
        });
        if let Some(error) = problem {
            return Err(error);
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
        for (layer_idx, layer) in self.weights.model.layers.iter_mut().enumerate() {
            for (name, linear) in linears_mut(layer) {
                let short = name.rsplit('.').next().unwrap_or(name);
                if !config.target_modules.iter().any(|target| target == short) {
                    continue;
                }
                let [out, width] = linear.weight.dims();
                for (part, expected) in [
                    ("lora_A", vec![config.rank, width]),
                    ("lora_B", vec![out, config.rank]),
                ] {
                    let key = format!("{KEY_PREFIX}model.layers.{layer_idx}.{name}.{part}.weight");
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
}
