//! Keys to a `config.json`.

use longrope_rope::AttentionScale;
use serde_json::{Map, Value as Json, json};

use super::fields::Fields;
use crate::error::Result;
use crate::format::Value;
use crate::model::Architecture;

/// What llama.cpp takes for the base of frequencies if a file states none.
const DEFAULT_THETA: f64 = 10_000.0;

/// The `config.json` of a model.
pub(super) fn config(fields: &Fields, architecture: Architecture) -> Result<Json> {
    let n_layers = fields.count("block_count")?;
    let n_heads = fields.count("attention.head_count")?;
    let hidden = fields.count("embedding_length")?;
    let has = |name: &str| fields.file.tensors().contains_key(name);
    if has("blk.0.ffn_gate_inp.weight") {
        return Err(fields.model_error("it has experts, which are not read from GGUF".to_owned()));
    }
    let head_dim = fields.count_or("attention.key_length", hidden / n_heads.max(1))?;
    let rotary_dim = fields.count_or("rope.dimension_count", head_dim)?;
    let mut config = json!({
        "architectures": [],
        "model_type": model_type(fields, architecture),
        "hidden_act": "silu",
        "hidden_size": hidden,
        "intermediate_size": fields.count("feed_forward_length")?,
        "num_hidden_layers": n_layers,
        "num_attention_heads": n_heads,
        "num_key_value_heads": fields.count_or("attention.head_count_kv", n_heads)?,
        "head_dim": head_dim,
        "vocab_size": vocab_size(fields)?,
        "rms_norm_eps": fields.number("attention.layer_norm_rms_epsilon")?,
        "max_position_embeddings": fields.count("context_length")?,
        "tie_word_embeddings": !has("output.weight"),
        "bos_token_id": token(fields, "bos_token_id"),
        "eos_token_id": token(fields, "eos_token_id"),
    });
    if let Some(keys) = config.as_object_mut() {
        if rotary_dim != head_dim {
            let share = rotary_dim as f64 / head_dim as f64;
            keys.insert("partial_rotary_factor".to_owned(), json!(share));
        }
        add_own_keys(keys, fields, architecture, n_layers)?;
        add_rope(keys, fields)?;
    }
    Ok(config)
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
            let head_dim = fields.count_or("attention.key_length", 1)?;
            let scale = 1.0 / (head_dim as f64).sqrt();
            let scale = fields.number_or("attention.scale", scale)?;
            add("attention_multiplier", json!(scale));
            for (key, in_file) in [
                ("embedding_multiplier", "embedding_scale"),
                ("residual_multiplier", "residual_scale"),
                ("logits_scaling", "logit_scale"),
            ] {
                add(key, json!(fields.number_or(in_file, 1.0)?));
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

fn token(fields: &Fields, key: &str) -> Option<u64> {
    fields.file.get(&format!("tokenizer.ggml.{key}"))?.as_u64()
}

/// The RoPE that llama.cpp computes.
///
/// Factor tensors count whatever the type is, as long as the architecture reads them. `rope_freqs` holds factors for all
/// lengths.
fn add_rope(keys: &mut Map<String, Json>, fields: &Fields) -> Result<()> {
    let theta = fields.number_or("rope.freq_base", DEFAULT_THETA)?;
    keys.insert("rope_theta".to_owned(), json!(theta));
    let context = fields.count("context_length")?;
    let original = fields.count_or("rope.scaling.original_context_length", context)?;
    let scaling = fields.get("rope.scaling.type").and_then(Value::as_str);
    let factor = fields.number_or("rope.scaling.factor", 1.0)?;
    let attention = fields.number_or("rope.scaling.attn_factor", 1.0)?;
    let factors = |name: &str| {
        let has = fields.file.tensors().contains_key(name);
        has.then(|| fields.file.read(name)).transpose()
    };
    let all = factors("rope_freqs.weight")?;
    let long = factors("rope_factors_long.weight")?.or_else(|| all.clone());
    let short = factors("rope_factors_short.weight")?.or(all);
    let section = match (short, long, scaling) {
        (Some(short), Some(long), _) => json!({
            "rope_type": "longrope",
            "short_factor": short,
            "long_factor": long,
            "original_max_position_embeddings": original,
            "attention_factor": attention,
        }),
        (None, None, Some("linear")) => json!({ "rope_type": "linear", "factor": factor }),
        (None, None, Some("yarn")) => json!({
            "rope_type": "yarn",
            "factor": factor,
            "original_max_position_embeddings": original,
            // llama.cpp multiplies by it beside its own rule.
            "attention_factor": attention * AttentionScale::Yarn {}.value(factor, 2),
        }),
        // A type without factors has no effect: plain RoPE.
        (None, None, _) => return Ok(()),
        _ => {
            return Err(fields.model_error(
                "it has only one of the tensors rope_factors_long and rope_factors_short"
                    .to_owned(),
            ));
        }
    };
    if original != context {
        let key = "original_max_position_embeddings".to_owned();
        keys.insert(key, original.into());
    }
    keys.insert("rope_scaling".to_owned(), section);
    Ok(())
}
