//! Files with a RoPE: a `rope.json`, a Hugging Face `config.json`, or a list of factors.

use std::path::Path;

use anyhow::{Result, anyhow};
use longrope_model::ModelConfig;
use longrope_rope::{
    AttentionScale, FactorSet, RopeArtifact, RopeScaling, RopeSpec, factors_from_csv, read_hf_rope,
};

use crate::failure::Hint;
use crate::failure::search_folder::search_folder;

/// What a file has.
pub(super) struct FileRope {
    pub(super) spec: RopeSpec,
    /// The RoPE of layers with a sliding window, if they have one of their own.
    pub(super) local: Option<RopeSpec>,
}

/// Reads a file, or the `config.json` of a folder. `target` is the context of a list of factors.
pub(super) fn read_file(path: &Path, model: &ModelConfig, target: usize) -> Result<FileRope> {
    let path = if path.is_dir() {
        if let Some(hint) = search_folder(path) {
            return Err(anyhow!("the folder has no `config.json`").context(Hint(hint)));
        }
        path.join("config.json")
    } else {
        path.to_owned()
    };
    let text = fs_err::read_to_string(&path)?;
    if path
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        return from_json(&text);
    }
    let factors = factors_from_csv(&text)?;
    if let Some(pair) = factors.first_decrease() {
        tracing::warn!("factors of `{}` decrease at pair {pair}", path.display());
    }
    let base = model.rope.plain();
    let set = FactorSet {
        max_context: target.max(base.original_context),
        start_tokens: 0,
        factors,
        attention: None,
    };
    let scaling = RopeScaling::LongRope {
        sets: vec![set],
        attention: AttentionScale::Su {},
    };
    Ok(FileRope {
        spec: RopeSpec { scaling, ..base }.validated()?,
        local: None,
    })
}

/// Reads a `rope.json` or a `config.json`.
fn from_json(text: &str) -> Result<FileRope> {
    let json: serde_json::Value = serde_json::from_str(text)?;
    if json.get("format").is_some() {
        let artifact = RopeArtifact::from_json(text)?;
        return Ok(FileRope {
            spec: artifact.spec(),
            local: artifact.local().cloned(),
        });
    }
    if !json.is_object() {
        return Err(anyhow!(
            "the file is not a JSON object, expected a rope.json or a config.json"
        )
        .context(Hint(
            "give a plain list of factors as a CSV file, one per line".to_owned(),
        )));
    }
    if json.get("model_type").is_none() {
        return Err(anyhow!(
            "the file has neither the `format` of a rope.json nor the `model_type` of a config.json"
        )
        .context(Hint(
            "give the rope.json of a search, the config.json of a model, or a plain list of factors as a CSV file"
                .to_owned(),
        )));
    }
    let rope = read_hf_rope(&json)?;
    for warning in &rope.warnings {
        tracing::warn!("{warning}");
    }
    Ok(FileRope {
        spec: rope.spec,
        local: rope.local,
    })
}
