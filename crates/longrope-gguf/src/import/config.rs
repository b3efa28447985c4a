//! Keys to a `config.json`.

use longrope_rope::AttentionScale;
use serde_json::{Map, Value as Json, json};

use super::fields::Fields;
use crate::error::{Error, Result};
use crate::format::Value;
use crate::model::Architecture;

/// What llama.cpp takes for the base of frequencies if a file states none.
const DEFAULT_THETA: f64 = 10_000.0;
/// More pairs than a head has.
const MAX_PAIRS: usize = 1 << 16;

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
    let rotary_dim = rotary_dim(fields, architecture, head_dim)?;
    let vocab_size = vocab_size(fields)?;
    let special = Fields {
        file: fields.file,
        prefix: "tokenizer.ggml",
    };
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
        "vocab_size": vocab_size,
        "rms_norm_eps": fields.number("attention.layer_norm_rms_epsilon")?,
        "max_position_embeddings": fields.count("context_length")?,
        "tie_word_embeddings": !has("output.weight"),
        "bos_token_id": special.token("bos_token_id", vocab_size)?,
        "eos_token_id": end_tokens(&special, vocab_size)?,
    });
    if let Some(keys) = config.as_object_mut() {
        if rotary_dim != head_dim {
            let share = rotary_dim as f64 / head_dim as f64;
            keys.insert("partial_rotary_factor".to_owned(), json!(share));
        }
        add_own_keys(keys, fields, architecture, n_layers, head_dim)?;
        add_rope(keys, fields, architecture, rotary_dim)?;
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

/// The tokens that end a text, as in llama.cpp: the end of a text, of a turn and of a message.
fn end_tokens(special: &Fields, vocab_size: u64) -> Result<Json> {
    let mut ids = Vec::new();
    for key in ["eos_token_id", "eot_token_id", "eom_token_id"] {
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

/// The number of rotated dimensions of a head: all of them, except in Phi-3. Configs of the other families have no key for
/// fewer.
fn rotary_dim(fields: &Fields, architecture: Architecture, head_dim: u64) -> Result<u64> {
    const KEY: &str = "rope.dimension_count";
    if architecture == Architecture::Phi3 || fields.get(KEY).is_none() {
        return fields.count_or(KEY, head_dim);
    }
    let expected = "the width of a head: a rotated part of it is read for phi3 only";
    fields.needed(KEY, expected, |value| {
        value.as_u64().filter(|width| *width == head_dim)
    })
}

/// The RoPE that llama.cpp computes.
///
/// A file without a type scales positions linearly. The scale divides positions whatever the type is, beside factor tensors
/// too, unless the type is `none`. Factor tensors count whatever the type is, if the architecture reads them; `rope_freqs`
/// holds factors for all lengths.
///
/// # Reference
/// `load_hparams` and the constructor of `llama_context` in llama.cpp.
fn add_rope(
    keys: &mut Map<String, Json>,
    fields: &Fields,
    architecture: Architecture,
    rotary_dim: u64,
) -> Result<()> {
    let theta = fields.number_or("rope.freq_base", DEFAULT_THETA)?;
    keys.insert("rope_theta".to_owned(), json!(theta));
    let context = fields.count("context_length")?;
    let original = fields.count_or("rope.scaling.original_context_length", context)?;
    let scaling = scaling_type(fields)?;
    let scale = match scaling {
        "none" => 1.0,
        _ => position_scale(fields)?,
    };
    let attention = fields.number_or("rope.scaling.attn_factor", 1.0)?;
    let long_rope = |short: &[f64], long: &[f64]| {
        let scaled =
            |factors: &[f64]| -> Vec<f64> { factors.iter().map(|it| it * scale).collect() };
        json!({
            "rope_type": "longrope",
            "short_factor": scaled(short),
            "long_factor": scaled(long),
            "original_max_position_embeddings": original,
            "attention_factor": attention,
        })
    };
    let factors = factor_tensors(fields, architecture)?;
    let section = match (factors, scaling) {
        (Some(_), "yarn") => {
            return Err(fields.model_error(
                "it has factors of frequencies beside the scaling `yarn`, which are not read together"
                    .to_owned(),
            ));
        }
        (Some((short, long)), _) => long_rope(&short, &long),
        (None, "yarn") => json!({
            "rope_type": "yarn",
            "factor": scale,
            "original_max_position_embeddings": original,
            // llama.cpp multiplies by it beside its own rule.
            "attention_factor": attention * AttentionScale::Yarn {}.value(scale, 2),
        }),
        (None, _) if is_not_one(attention) => {
            let n_pairs = usize::try_from(rotary_dim / 2).unwrap_or(MAX_PAIRS);
            let ones = vec![1.0; n_pairs.min(MAX_PAIRS)];
            long_rope(&ones, &ones)
        }
        (None, _) if is_not_one(scale) => json!({ "rope_type": "linear", "factor": scale }),
        (None, _) => return Ok(()),
    };
    if original != context {
        let key = "original_max_position_embeddings".to_owned();
        keys.insert(key, original.into());
    }
    keys.insert("rope_scaling".to_owned(), section);
    Ok(())
}

fn is_not_one(number: f64) -> bool {
    (number - 1.0).abs() > 0.0
}

/// The type of scaling; llama.cpp ends with an assertion at others than these.
fn scaling_type<'a>(fields: &Fields<'a>) -> Result<&'a str> {
    const KEY: &str = "rope.scaling.type";
    if fields.get(KEY).is_none() {
        return Ok("linear");
    }
    fields.needed(KEY, "none, linear, yarn or longrope", |value| {
        let known = |name: &&str| ["none", "linear", "yarn", "longrope"].contains(name);
        value.as_str().filter(known)
    })
}

/// What positions are divided by. llama.cpp takes 0 as not stated.
fn position_scale(fields: &Fields) -> Result<f64> {
    let key = if fields.get("rope.scaling.factor").is_some() {
        "rope.scaling.factor"
    } else {
        // Its name in older files.
        "rope.scale_linear"
    };
    let scale = fields.number_or(key, 1.0)?;
    Ok(if scale.abs() > 0.0 { scale } else { 1.0 })
}

/// The short and the long factors, if the file has some.
fn factor_tensors(
    fields: &Fields,
    architecture: Architecture,
) -> Result<Option<(Vec<f64>, Vec<f64>)>> {
    let read = |name: &str| -> Result<Option<Vec<f64>>> {
        if !fields.file.tensors().contains_key(name) {
            return Ok(None);
        }
        if !architecture.takes_factors() {
            return Err(fields.model_error(format!(
                "tensor `{name}` has factors of frequencies, which llama.cpp does not load for its architecture `{}`",
                architecture.name()
            )));
        }
        let factors = fields.file.read(name)?;
        Ok(Some(factors.into_iter().map(f64::from).collect()))
    };
    let all = read("rope_freqs.weight")?;
    let long = read("rope_factors_long.weight")?.or_else(|| all.clone());
    let short = read("rope_factors_short.weight")?.or(all);
    match (short, long) {
        (Some(short), Some(long)) => Ok(Some((short, long))),
        (None, None) => Ok(None),
        _ => Err(fields.model_error(
            "it has only one of the tensors rope_factors_long and rope_factors_short".to_owned(),
        )),
    }
}
