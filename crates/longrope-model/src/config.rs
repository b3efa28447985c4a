//! Reading the configuration of a model from Hugging Face's `config.json`.

use std::path::Path;

use longrope_rope::{RopeSpec, Warning, read_hf_rope};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::family::Family;

/// All sizes and constants of a decoder, with defaults filled in.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent property of a checkpoint"
)]
pub struct ModelConfig {
    /// The model family.
    pub family: Family,
    /// Number of tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Number of decoder layers.
    pub n_layers: usize,
    /// Number of query heads.
    pub n_heads: usize,
    /// Number of key and value heads; divides [`Self::n_heads`].
    pub n_kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Constant that is added to the mean square in normalizations.
    pub rms_norm_eps: f64,
    /// Whether the output head shares the embedding matrix.
    pub tied_embeddings: bool,
    /// Whether the query, key and value projections have biases.
    pub qkv_bias: bool,
    /// Whether the output projection of the attention has a bias.
    pub output_bias: bool,
    /// Whether the MLP projections have biases.
    pub mlp_bias: bool,
    /// Sliding window of each layer: how many tokens a query sees, including itself. `None` means all earlier tokens.
    pub windows: Vec<Option<usize>>,
    /// The RoPE of the checkpoint.
    pub rope: RopeSpec,
    /// The context window of the checkpoint, `max_position_embeddings`.
    pub max_context: usize,
    /// Token that starts a document, if there is one.
    pub bos_token: Option<u32>,
    /// Tokens that end a text.
    pub eos_tokens: Vec<u32>,
    /// Parts of the RoPE configuration that are unusual but valid.
    pub warnings: Vec<Warning>,
}

impl ModelConfig {
    /// Reads `config.json` of a checkpoint folder.
    ///
    /// # Errors
    /// If the file is missing or is not JSON, a size is missing, or the decoder does not support the model.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Error::NotAFolder {
                path: folder.to_owned(),
            });
        }
        let path = folder.join("config.json");
        if !path.is_file() {
            return Err(Error::FileMissing {
                folder: folder.to_owned(),
                file: "config.json".to_owned(),
            });
        }
        let text = fs_err::read_to_string(&path)?;
        let json = serde_json::from_str(&text).map_err(|source| Error::Json {
            path: path.clone(),
            source,
        })?;
        Self::from_json(&json, &path)
    }

    /// Resolves the content of a `config.json`; `path` is only used in error messages.
    ///
    /// # Errors
    /// The same as [`Self::from_folder`], apart from reading the file.
    pub fn from_json(json: &Value, path: &Path) -> Result<Self> {
        let keys = Keys { json, path };
        let model_type = keys.text("model_type")?;
        let family = Family::from_model_type(model_type).ok_or_else(|| {
            keys.unsupported(
                "model_type",
                &Family::ALL.map(Family::model_type).join(", "),
            )
        })?;
        if let Some(activation) = json.get("hidden_act")
            && activation != "silu"
        {
            return Err(keys.unsupported("hidden_act", "silu"));
        }
        let hidden_size = keys.size("hidden_size")?;
        let n_layers = keys.size("num_hidden_layers")?;
        let attention_bias = keys.flag("attention_bias");
        let n_heads = keys.size("num_attention_heads")?;
        let n_kv_heads = keys.size_or("num_key_value_heads", n_heads)?;
        if !n_heads.is_multiple_of(n_kv_heads) {
            return Err(keys.unsupported(
                "num_key_value_heads",
                &format!("a divisor of num_attention_heads = {n_heads}"),
            ));
        }
        let rope = read_hf_rope(json).map_err(|source| Error::Rope {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        Ok(Self {
            family,
            vocab_size: keys.size("vocab_size")?,
            hidden_size,
            intermediate_size: keys.size("intermediate_size")?,
            n_layers,
            n_heads,
            n_kv_heads,
            head_dim: keys.size_or("head_dim", hidden_size / n_heads)?,
            rms_norm_eps: json
                .get("rms_norm_eps")
                .and_then(Value::as_f64)
                .ok_or_else(|| keys.missing("rms_norm_eps", "a number"))?,
            tied_embeddings: keys.flag("tie_word_embeddings"),
            qkv_bias: attention_bias || family.always_has_qkv_bias(),
            output_bias: attention_bias,
            mlp_bias: keys.flag("mlp_bias"),
            windows: family.windows(json, n_layers),
            rope: rope.spec,
            max_context: rope.max_context,
            bos_token: keys.tokens("bos_token_id").first().copied(),
            eos_tokens: keys.tokens("eos_token_id"),
            warnings: rope.warnings,
        })
    }

    /// Name and shape of every tensor that a checkpoint must contain, in the order of computation.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        let (query, key) = (
            self.n_heads * self.head_dim,
            self.n_kv_heads * self.head_dim,
        );
        let mut list = vec![(
            "model.embed_tokens.weight".to_owned(),
            vec![self.vocab_size, hidden],
        )];
        for layer in 0..self.n_layers {
            let mut linear = |name: &str, shape: [usize; 2], bias: bool| {
                list.push((
                    format!("model.layers.{layer}.{name}.weight"),
                    shape.to_vec(),
                ));
                if bias {
                    list.push((format!("model.layers.{layer}.{name}.bias"), vec![shape[0]]));
                }
            };
            if self.family.fused_projections() {
                linear(
                    "self_attn.qkv_proj",
                    [query + 2 * key, hidden],
                    self.qkv_bias,
                );
                linear("self_attn.o_proj", [hidden, query], self.output_bias);
                linear("mlp.gate_up_proj", [2 * inner, hidden], self.mlp_bias);
            } else {
                linear("self_attn.q_proj", [query, hidden], self.qkv_bias);
                linear("self_attn.k_proj", [key, hidden], self.qkv_bias);
                linear("self_attn.v_proj", [key, hidden], self.qkv_bias);
                linear("self_attn.o_proj", [hidden, query], self.output_bias);
                linear("mlp.gate_proj", [inner, hidden], self.mlp_bias);
                linear("mlp.up_proj", [inner, hidden], self.mlp_bias);
            }
            linear("mlp.down_proj", [hidden, inner], self.mlp_bias);
            for norm in ["input_layernorm", "post_attention_layernorm"] {
                list.push((format!("model.layers.{layer}.{norm}.weight"), vec![hidden]));
            }
        }
        list.push(("model.norm.weight".to_owned(), vec![hidden]));
        if !self.tied_embeddings {
            list.push(("lm_head.weight".to_owned(), vec![self.vocab_size, hidden]));
        }
        list
    }

    /// Total number of parameters.
    pub fn n_parameters(&self) -> usize {
        self.tensors()
            .iter()
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum()
    }
}

/// Typed access to the keys of a configuration.
struct Keys<'a> {
    json: &'a Value,
    path: &'a Path,
}

impl<'a> Keys<'a> {
    fn missing(&self, key: &str, expected: &'static str) -> Error {
        Error::ConfigKey {
            path: self.path.to_owned(),
            key: key.to_owned(),
            expected,
        }
    }

    fn unsupported(&self, key: &str, supported: &str) -> Error {
        Error::Unsupported {
            path: self.path.to_owned(),
            key: key.to_owned(),
            found: self
                .json
                .get(key)
                .map_or_else(|| "nothing".to_owned(), Value::to_string),
            supported: supported.to_owned(),
        }
    }

    fn text(&self, key: &str) -> Result<&'a str> {
        self.json
            .get(key)
            .and_then(Value::as_str)
            .ok_or_else(|| self.missing(key, "a string"))
    }

    fn size(&self, key: &str) -> Result<usize> {
        self.json
            .get(key)
            .and_then(Value::as_u64)
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| *n > 0)
            .ok_or_else(|| self.missing(key, "a positive integer"))
    }

    fn size_or(&self, key: &str, default: usize) -> Result<usize> {
        match self.json.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(_) => self.size(key),
        }
    }

    fn flag(&self, key: &str) -> bool {
        self.json.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The token ids of a key that holds one id or a list of ids.
    fn tokens(&self, key: &str) -> Vec<u32> {
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        match self.json.get(key) {
            Some(Value::Array(list)) => list.iter().filter_map(id).collect(),
            Some(value) => id(value).into_iter().collect(),
            None => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(edit: impl FnOnce(&mut Value)) -> Result<ModelConfig> {
        let mut json = serde_json::json!({
            "model_type": "llama", "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "vocab_size": 100, "rms_norm_eps": 1e-5, "max_position_embeddings": 256,
            "rope_theta": 10000.0, "tie_word_embeddings": true, "bos_token_id": [3, 4],
        });
        edit(&mut json);
        ModelConfig::from_json(&json, Path::new("config.json"))
    }

    #[test]
    fn sizes_are_resolved() {
        let config = config(|_| {}).unwrap();
        assert_eq!(config.head_dim, 16);
        assert_eq!(config.rope.rotary_dim, 16);
        assert_eq!(config.bos_token, Some(3));
        // embedding 6400; a layer: 4096·2 + 2048·2 + 6144·3 + 128; the last norm 64
        assert_eq!(
            config.n_parameters(),
            6400 + 2 * (8192 + 4096 + 18432 + 128) + 64
        );
    }

    #[test]
    fn biases_and_a_head_of_its_own_add_tensors() {
        let plain = config(|_| {}).unwrap().tensors().len();
        let more = config(|json| {
            json["attention_bias"] = true.into();
            json["mlp_bias"] = true.into();
            json["tie_word_embeddings"] = false.into();
        });
        assert_eq!(more.unwrap().tensors().len(), plain + 2 * 7 + 1);
    }

    #[test]
    fn what_is_not_supported_says_what_is() {
        let error = config(|json| json["model_type"] = "mamba".into()).unwrap_err();
        assert!(matches!(&error, Error::Unsupported { key, .. } if key == "model_type"));
        let message = error.to_string();
        assert!(
            message.ends_with("supported: llama, mistral, phi3, qwen2"),
            "{message}"
        );
        let error = config(|json| json["hidden_act"] = "gelu".into()).unwrap_err();
        assert!(matches!(&error, Error::Unsupported { key, .. } if key == "hidden_act"));
        let error = config(|json| json["num_key_value_heads"] = 3.into()).unwrap_err();
        assert!(matches!(&error, Error::Unsupported { key, .. } if key == "num_key_value_heads"));
    }

    #[test]
    fn a_missing_size_is_named() {
        let error = config(|json| json["vocab_size"] = Value::Null).unwrap_err();
        assert!(matches!(&error, Error::ConfigKey { key, .. } if key == "vocab_size"));
        let error = config(|json| json["rope_theta"] = Value::Null).unwrap_err();
        assert!(matches!(&error, Error::Rope { .. }));
    }
}
