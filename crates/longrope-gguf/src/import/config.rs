//! Keys to a `config.json`.

use longrope_rope::rotated_share;
use serde_json::{Map, Value as Json, json};

use super::fields::Fields;
use super::rope::{add_rope, rotary_dim};
use super::windows::Windows;
use crate::error::{Error, Result};
use crate::format::Value;
use crate::model::Architecture;
use crate::tokenizer::END_KEYS;

/// The `config.json` of a model.
pub(super) fn config(fields: &Fields, architecture: Architecture) -> Result<Json> {
    let n_layers = fields.count("block_count")?;
    check_layers(fields, n_layers)?;
    check_computed(fields)?;
    let n_heads = fields.count_of_layers("attention.head_count", n_layers)?;
    let n_kv_heads = match fields.get("attention.head_count_kv") {
        None => n_heads,
        Some(_) => fields.count_of_layers("attention.head_count_kv", n_layers)?,
    };
    let hidden = fields.count("embedding_length")?;
    let head_dim = fields.count_or("attention.key_length", hidden / n_heads.max(1))?;
    let rotary_dim = rotary_dim(fields, architecture, head_dim)?;
    let windows = Windows::of(fields, architecture, n_layers)?;
    let model_type = match windows {
        Some(_) => "olmo3",
        None => model_type(fields, architecture),
    };
    let vocab_size = vocab_size(fields)?;
    let special = Fields {
        file: fields.file,
        prefix: "tokenizer.ggml",
    };
    let mut config = json!({
        // Empty, as earlier versions wrote it: another value would change the fingerprint of the model. Exports name the
        // class.
        "architectures": [],
        "model_type": model_type,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "intermediate_size": fields.count_of_layers("feed_forward_length", n_layers)?,
        "num_hidden_layers": n_layers,
        "num_attention_heads": n_heads,
        "num_key_value_heads": n_kv_heads,
        "head_dim": head_dim,
        "vocab_size": vocab_size,
        "rms_norm_eps": fields.number("attention.layer_norm_rms_epsilon")?,
        "max_position_embeddings": fields.count("context_length")?,
        "tie_word_embeddings": !fields.file.tensors().contains_key("output.weight"),
        "bos_token_id": special.token("bos_token_id", vocab_size)?,
        "eos_token_id": end_tokens(&special, vocab_size)?,
    });
    if let Some(keys) = config.as_object_mut() {
        if rotary_dim != head_dim {
            let size = |dims: u64| usize::try_from(dims).unwrap_or(usize::MAX);
            let share = rotated_share(size(head_dim), size(rotary_dim));
            keys.insert("partial_rotary_factor".to_owned(), json!(share));
        }
        add_own_keys(keys, fields, architecture, n_layers, head_dim)?;
        if let Some(windows) = &windows {
            windows.add_to(keys);
        }
        add_rope(keys, fields, architecture, rotary_dim, windows.is_some())?;
    }
    Ok(config)
}

/// Refuses a file that lacks whole layers, or has more of them than it states. So the number of layers is no more than that
/// of the tensors.
fn check_layers(fields: &Fields, n_layers: u64) -> Result<()> {
    let tensors = fields.file.tensors();
    for layer in 0..n_layers {
        let prefix = format!("blk.{layer}.");
        let next = tensors.range(prefix.clone()..).next();
        if !next.is_some_and(|(name, _)| name.starts_with(&prefix)) {
            return Err(fields.model_error(format!(
                "it has no tensors of layer {layer}, expected {n_layers} layers"
            )));
        }
    }
    let is_beyond = |name: &&String| layer_of(name).is_some_and(|layer| layer >= n_layers);
    match tensors.keys().find(is_beyond) {
        None => Ok(()),
        Some(name) => Err(fields.model_error(format!(
            "tensor `{name}` is of a layer beyond the {n_layers} that key `{}` states",
            fields.name("block_count")
        ))),
    }
}

/// The layer that a tensor is of, from 0.
fn layer_of(name: &str) -> Option<u64> {
    let (layer, _) = name.strip_prefix("blk.")?.split_once('.')?;
    layer.parse().ok()
}

/// Refuses what llama.cpp computes in all architectures and we do not.
fn check_computed(fields: &Fields) -> Result<()> {
    let mut names = fields.file.tensors().keys();
    if names.any(|name| name.contains(".ffn_gate_inp.")) {
        return Err(fields.model_error("it has experts, which are not read from GGUF".to_owned()));
    }
    if fields.flag("attention.causal")? == Some(false) {
        return Err(Error::Key {
            path: fields.file.path().to_owned(),
            key: fields.name("attention.causal"),
            found: "false".to_owned(),
            expected: "true: models whose tokens see later ones are not read",
        });
    }
    Ok(())
}

fn has_bias(fields: &Fields, module: &str) -> bool {
    let name = format!("blk.0.{module}.bias");
    fields.file.tensors().contains_key(&name)
}

/// The family that has these biases.
fn model_type(fields: &Fields, architecture: Architecture) -> &'static str {
    let (input, output) = (has_bias(fields, "attn_q"), has_bias(fields, "attn_output"));
    match architecture {
        Architecture::Llama | Architecture::Qwen2 if input == output => "llama",
        Architecture::Llama | Architecture::Qwen2 if has_bias(fields, "ffn_down") => "seed_oss",
        Architecture::Llama | Architecture::Qwen2 if output => "seed_oss",
        Architecture::Llama | Architecture::Qwen2 => "qwen2",
        other => other.name(),
    }
}

/// The keys that only some families have.
fn add_own_keys(
    keys: &mut Map<String, Json>,
    fields: &Fields,
    architecture: Architecture,
    n_layers: u64,
    head_dim: u64,
) -> Result<()> {
    let mut add = |key: &str, value: Json| keys.insert(key.to_owned(), value);
    if matches!(
        architecture,
        Architecture::Llama | Architecture::Qwen2 | Architecture::Granite | Architecture::SmolLm3
    ) {
        add("attention_bias", has_bias(fields, "attn_q").into());
        add("attention_out_bias", has_bias(fields, "attn_output").into());
        add("mlp_bias", has_bias(fields, "ffn_down").into());
    }
    match architecture {
        Architecture::Granite => {
            if fields.flag("rope.scaling.finetuned")? == Some(false) {
                // llama.cpp does not rotate then.
                return Err(Error::Key {
                    path: fields.file.path().to_owned(),
                    key: "granite.rope.scaling.finetuned".to_owned(),
                    found: "false".to_owned(),
                    expected: "true: models without a RoPE are not read",
                });
            }
            // llama.cpp takes 0 as not stated.
            let number_or = |key: &str, default: f64| -> Result<f64> {
                let number = fields.number_or(key, default)?;
                Ok(if number.abs() > 0.0 { number } else { default })
            };
            let scale = number_or("attention.scale", 1.0 / (head_dim as f64).sqrt())?;
            add("attention_multiplier", json!(scale));
            for (key, in_file) in [
                ("embedding_multiplier", "embedding_scale"),
                ("residual_multiplier", "residual_scale"),
                ("logits_scaling", "logit_scale"),
            ] {
                add(key, json!(number_or(in_file, 1.0)?));
            }
        }
        Architecture::SmolLm3 => {
            // llama.cpp has this pattern built in.
            let rotates = (1..=n_layers).map(|layer| u8::from(!layer.is_multiple_of(4)));
            add("no_rope_layers", rotates.collect());
        }
        _ => {}
    }
    Ok(())
}

/// The number of tokens: of the vocabulary or, without one, of the key.
fn vocab_size(fields: &Fields) -> Result<u64> {
    match fields.file.get("tokenizer.ggml.tokens") {
        Some(Value::Array(tokens)) => Ok(tokens.len() as u64),
        _ => fields.count("vocab_size"),
    }
}

/// The tokens that end a text by their keys: the end of a text, of a turn and of a message.
fn end_tokens(special: &Fields, vocab_size: u64) -> Result<Json> {
    let mut ids = Vec::new();
    for key in END_KEYS {
        if let Some(id) = special.token(key, vocab_size)?
            && !ids.contains(&id)
        {
            ids.push(id);
        }
    }
    Ok(match ids.as_slice() {
        [] => Json::Null,
        [id] => json!(id),
        ids => json!(ids),
    })
}
