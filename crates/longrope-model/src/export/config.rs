//! The `config.json` of a checkpoint that is written.

use std::path::Path;

use longrope_rope::{RopeSpec, Warning, read_hf_config, remove_mscales, write_hf_rope};
use serde_json::{Map, Value};

use super::float_type::FloatType;
use crate::config::{ModelConfig, read_config_json};
use crate::error::{Error, Result};

/// What changes in a `config.json`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConfigChanges<'a> {
    /// Another RoPE, and the context that the model claims with it, in tokens.
    pub rope: Option<(&'a RopeSpec, usize)>,
    /// Whether the RoPE is written without `short_mscale` and `long_mscale`, of which transformers warns.
    pub without_mscales: bool,
    /// Another type of the weights.
    pub dtype: Option<FloatType>,
}

/// The `config.json` in the folder `source` with some changes, as text, and warnings about what it cannot express.
///
/// `model` is its configuration. If the model has a head of its own although the file, or the default of its class, ties the
/// head to the embeddings, the result does not tie it. Without anything to change, the text is the file's.
///
/// # Errors
/// If the file cannot be read, is not a JSON object, or cannot express the RoPE at all.
pub fn changed_config(
    source: &Path,
    model: &ModelConfig,
    changes: ConfigChanges<'_>,
) -> Result<(String, Vec<Warning>)> {
    let path = source.join("config.json");
    let Value::Object(mut map) = read_config_json(&path)? else {
        let found = "no object";
        return Err(Error::config(
            &path,
            longrope_rope::Error::NotAnObject { found },
        ));
    };
    let mut warnings = Vec::new();
    let before = map.clone();
    if let Some((spec, context)) = changes.rope {
        warnings = write_hf_rope(&mut map, spec, context).map_err(|source| Error::Rope {
            path,
            source: Box::new(source),
        })?;
        if changes.without_mscales {
            remove_mscales(&mut map);
        }
    }
    if let Some(dtype) = changes.dtype {
        // The keys of transformers 5 and 4. If a key is missing, readers look at the weights.
        for key in ["dtype", "torch_dtype"] {
            if let Some(value) = map.get_mut(key) {
                *value = dtype.config_name().into();
            }
        }
    }
    if !model.tied_embeddings {
        untie(&mut map);
    }
    name_class(&mut map);
    if changes.rope.is_none() && map == before {
        return Ok((
            fs_err::read_to_string(source.join("config.json"))?,
            warnings,
        ));
    }
    Ok((format!("{:#}\n", Value::Object(map)), warnings))
}

/// Names the class of transformers that loads a model, if its config has none, as one that was read from a GGUF file. Other
/// runtimes go by it.
fn name_class(map: &mut Map<String, Value>) {
    let has_none = |classes: &Value| classes.as_array().is_some_and(Vec::is_empty);
    let class = map
        .get("model_type")
        .and_then(Value::as_str)
        .and_then(class_of);
    if let (true, Some(class)) = (map.get("architectures").is_some_and(has_none), class) {
        map.insert("architectures".to_owned(), serde_json::json!([class]));
    }
}

/// The class of a family that is read from GGUF files.
fn class_of(model_type: &str) -> Option<&'static str> {
    Some(match model_type {
        "granite" => "GraniteForCausalLM",
        "llama" => "LlamaForCausalLM",
        "olmo2" => "Olmo2ForCausalLM",
        "olmo3" => "Olmo3ForCausalLM",
        "phi3" => "Phi3ForCausalLM",
        "qwen2" => "Qwen2ForCausalLM",
        "qwen3" => "Qwen3ForCausalLM",
        "seed_oss" => "SeedOssForCausalLM",
        "smollm3" => "SmolLM3ForCausalLM",
        _ => return None,
    })
}

/// Writes that the head is not tied to the embeddings, also where only the default of the class says that it is.
fn untie(map: &mut Map<String, Value>) {
    const TIED: &str = "tie_word_embeddings";
    if read_hf_config(&Value::Object(map.clone())).is_ok_and(|read| read.tied_embeddings) {
        map.insert(TIED.to_owned(), false.into());
    }
    let inner = map
        .get_mut("text_config")
        .and_then(|text| text.get_mut(TIED));
    if let Some(flag) = inner
        && *flag == true
    {
        *flag = false.into();
    }
}
