//! Keys about the file, its tokenizer and where it comes from.

use std::path::Path;

use longrope_data::sha256_hex;
use longrope_gguf::{
    Architecture, Loss, Metadata, Planned, TensorType, TokenizerSource, Value, tokenizer_keys,
};
use serde_json::Value as Json;

use super::options::GgufOptions;
use super::weights::Weight;
use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::export::card;
use crate::inference::stop_tokens;

/// The version of the rules of quantization, which files with quantized tensors state.
const QUANTIZATION_VERSION: u32 = 2;

/// The keys that begin with `general`.
pub(super) fn general_keys(
    architecture: Architecture,
    source: &Path,
    options: &GgufOptions<'_>,
    weights: &[Weight],
) -> Metadata {
    let base = card::base_model(source, options.hub_name);
    let folder = source.file_name().and_then(|name| name.to_str());
    let name = base.as_deref().and_then(|base| base.split('/').next_back());
    let name = name.or(folder).unwrap_or("model");
    let mut keys = Metadata::new();
    let mut add = |key: &str, value: Value| keys.push((format!("general.{key}"), value));
    add("architecture", architecture.name().into());
    add("type", "model".into());
    add("name", name.into());
    if let Some(licence) = card::licence(source) {
        add("license", licence.into());
    }
    if let Some((owner, name)) = base.as_deref().and_then(|base| base.split_once('/')) {
        add("base_model.count", Value::U32(1));
        add("base_model.0.name", name.into());
        add("base_model.0.organization", owner.into());
        let url = format!("https://huggingface.co/{owner}/{name}");
        add("base_model.0.repo_url", url.into());
    }
    let is_stated = |key: &str| options.origin.iter().any(|(stated, _)| stated == key);
    keys.retain(|(key, _)| !is_stated(key));
    keys.extend(options.origin.iter().cloned());
    let mut add = |key: &str, value: Value| keys.push((format!("general.{key}"), value));
    // The type of most matrices. All are alike, apart from those with uneven rows.
    let matrices = || weights.iter().filter(|it| it.is_matrix()).map(Weight::ty);
    let commonest = matrices().max_by_key(|ty| matrices().filter(|it| it == ty).count());
    let file_type = commonest.unwrap_or(TensorType::F32);
    add("file_type", Value::U32(file_type.file_type()));
    if matrices().any(|ty| ty == TensorType::Q8_0) {
        add("quantization_version", Value::U32(QUANTIZATION_VERSION));
    }
    keys
}

/// The keys of the tokenizer in the folder of a model that the file gives this name.
pub(super) fn tokenizer(
    source: &Path,
    model: &ModelConfig,
    name: &str,
    options: &GgufOptions<'_>,
    losses: &mut Vec<Loss>,
) -> Result<Metadata> {
    let end_tokens = match stop_tokens(source, model) {
        // Weights and RoPE do not depend on it. An export as a folder copies such a file as it is.
        Err(error @ (Error::GenerationConfig { .. } | Error::Json { .. })) => {
            tracing::warn!("only the tokens that config.json names end a text: {error}");
            model.eos_tokens.clone()
        }
        found => found?,
    };
    let tokenizer = json(&source.join("tokenizer.json"))?;
    let config = json(&source.join("tokenizer_config.json"))?;
    let template = source.join("chat_template.jinja");
    let template = if template.is_file() {
        Some(fs_err::read_to_string(template)?)
    } else {
        None
    };
    let of = TokenizerSource {
        tokenizer: tokenizer.as_ref(),
        config: config.as_ref(),
        chat_template: template.as_deref(),
        vocab_size: model.vocab_size,
        bos_token: model.bos_token,
        end_tokens: &end_tokens,
        adds_bos: options.adds_bos,
        model_name: name,
    };
    Ok(tokenizer_keys(&of, losses)?)
}

/// The content of a JSON file, if it exists.
fn json(path: &Path) -> Result<Option<Json>> {
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = fs_err::read(path)?;
    let parsed = serde_json::from_slice(&bytes);
    parsed.map(Some).map_err(|source| Error::Json {
        path: path.to_owned(),
        source,
    })
}

/// Keys that other programs do not read: the RoPE with its provenance, and fingerprints of the factors and of the source.
pub(super) fn own_keys(
    checkpoint: &Checkpoint,
    factors: &[(Planned, Vec<u8>)],
    options: &GgufOptions<'_>,
) -> Result<Metadata> {
    let mut keys = Metadata::new();
    let mut add = |key: &str, value: String| keys.push((format!("longrope.{key}"), value.into()));
    add("version", env!("CARGO_PKG_VERSION").to_owned());
    add("rope", options.rope_json.to_owned());
    add("source.fingerprint", checkpoint.fingerprint()?);
    if !factors.is_empty() {
        let parts: Vec<&[u8]> = factors.iter().map(|(_, bytes)| bytes.as_slice()).collect();
        add("factors.sha256", sha256_hex(&parts));
    }
    Ok(keys)
}
