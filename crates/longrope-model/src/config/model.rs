//! Reading the configuration of a model from Hugging Face's `config.json`.

use std::path::Path;

use longrope_rope::{Family, Layout, RopeSpec, Warning, read_hf_config};
use serde_json::Value;

use super::file::read_config_json;
use crate::error::{Error, Result};

/// All sizes and constants of a decoder, with defaults filled in.
#[derive(Clone, Debug, PartialEq)]
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
    /// Constant that is added to the mean square, or the variance, in normalizations.
    pub norm_eps: f64,
    /// Whether the output head shares the embedding matrix.
    pub tied_embeddings: bool,
    /// What the decoder computes besides.
    pub layout: Layout,
    /// Sliding window of each layer: how many tokens a query sees, including itself. `None` means all earlier tokens.
    pub windows: Vec<Option<usize>>,
    /// The RoPE of the checkpoint.
    pub rope: RopeSpec,
    /// The RoPE of layers with a sliding window, if they have one of their own. An extension does not change it.
    pub local_rope: Option<RopeSpec>,
    /// Whether an extension is for layers with a sliding window as well; see [`Self::with_shared_rope`].
    pub shares_rope: bool,
    /// The context window of the checkpoint, `max_position_embeddings`.
    pub max_context: usize,
    /// Token that starts a document, if there is one.
    pub bos_token: Option<u32>,
    /// Tokens that end a text.
    pub eos_tokens: Vec<u32>,
    /// Whether this is the language model of a model of text and images.
    pub is_nested: bool,
    /// Parts of the RoPE configuration that are unusual but valid.
    pub warnings: Vec<Warning>,
}

impl ModelConfig {
    /// Reads `config.json` of a checkpoint folder.
    ///
    /// # Errors
    /// If the file is missing or is not JSON, a key is wrong, or the decoder does not support the model.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Error::no_folder(folder));
        }
        let path = folder.join("config.json");
        if !path.is_file() {
            return Err(Error::FileMissing {
                folder: folder.to_owned(),
                file: "config.json".to_owned(),
            });
        }
        Self::from_json(&read_config_json(&path)?, &path)
    }

    /// Resolves the content of a `config.json`; `path` is only used in error messages.
    ///
    /// Missing keys have the defaults of [`read_hf_config`]. They, and keys without a meaning in the family, are told as
    /// `tracing` events at info level.
    ///
    /// # Errors
    /// The same as [`Self::from_folder`], apart from reading the file.
    pub fn from_json(json: &Value, path: &Path) -> Result<Self> {
        let read = read_hf_config(json).map_err(|source| Error::config(path, source))?;
        let (file, family) = (path.display(), read.family.model_type());
        for key in &read.ignored {
            tracing::info!("`{key}` of `{file}` has no meaning for {family} and is not used");
        }
        for key in &read.defaulted {
            tracing::info!("`{file}` has no `{key}`: the default of {family} is used");
        }
        let has_sparse = json.get("sparse_config").is_some_and(Value::is_object);
        if read.family == Family::MiniCpm && has_sparse {
            tracing::warn!(
                "`sparse_config` of `{file}` is not used: attention is dense here at every length"
            );
        }
        Ok(Self {
            family: read.family,
            vocab_size: read.vocab_size,
            hidden_size: read.hidden_size,
            intermediate_size: read.intermediate_size,
            n_layers: read.n_layers,
            n_heads: read.n_heads,
            n_kv_heads: read.n_kv_heads,
            head_dim: read.head_dim,
            norm_eps: read.norm_eps,
            tied_embeddings: read.tied_embeddings,
            layout: read.layout,
            windows: read.windows,
            rope: read.rope.spec,
            local_rope: read.rope.local,
            shares_rope: false,
            max_context: read.rope.max_context,
            bos_token: read.bos_token,
            eos_tokens: read.eos_tokens,
            is_nested: read.is_nested,
            warnings: read.rope.warnings,
        })
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
        let error = config(|json| json["model_type"] = "rwkv".into()).unwrap_err();
        assert!(matches!(&error, Error::Unsupported { key, .. } if key == "model_type"));
        let message = error.to_string();
        assert!(
            message.contains("supported: llama, mistral, phi3, qwen2"),
            "{message}"
        );
        let error = config(|json| json["hidden_act"] = "mish".into()).unwrap_err();
        assert!(matches!(&error, Error::Unsupported { key, .. } if key == "hidden_act"));
        let names = |key: &str| config(|json| json["hidden_act"] = key.into()).is_ok();
        assert!(names("silu") && names("swish"));
    }

    #[test]
    fn a_wrong_key_is_named_in_the_cause() {
        let message = |key: &str, value: Value| {
            let Err(Error::Config { source, .. }) = config(|json| json[key] = value) else {
                panic!("an error about a key")
            };
            source.to_string()
        };
        for (key, value) in [
            ("vocab_size", Value::Null),
            ("attention_bias", "true".into()),
            ("rope_theta", "1e4".into()),
        ] {
            let message = message(key, value);
            assert!(message.starts_with(&format!("`{key}` of")), "{message}");
        }
        assert!(message("num_key_value_heads", 3.into()).contains("multiple of"));
    }

    #[test]
    fn sizes_at_the_ends_of_their_ranges_can_be_counted() {
        let config = config(|json| {
            for (key, value) in [
                ("vocab_size", 16_777_216),
                ("intermediate_size", 16_777_216),
                ("hidden_size", 1_048_576),
                ("num_hidden_layers", 16_384),
                ("num_attention_heads", 65_536),
                ("num_key_value_heads", 65_536),
                ("head_dim", 256),
            ] {
                json[key] = value.into();
            }
            json["tie_word_embeddings"] = false.into();
        });
        let config = config.unwrap();
        // three matrices of the MLP, four of the attention
        assert!(config.n_parameters() > 16_384 * 7 * (16_777_216 * 1_048_576));
        assert!(config.n_parameters() < usize::MAX);
        let more = ModelConfig {
            vocab_size: usize::MAX,
            ..config
        };
        assert_eq!(more.n_parameters(), usize::MAX);
    }
}
