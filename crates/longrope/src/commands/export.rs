//! `longrope export`

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use longrope_data::write_atomically;
use longrope_model::{ExportOptions, FloatType, ShardSize, export_hf};

use super::export_choice::{Chosen, choose, show};
use super::export_gguf;
use crate::hint::Hint;
use crate::input::hub;
use crate::next_steps;
use crate::settings::args::{Export, Format, WeightType};

/// What to export, and how.
pub(crate) struct Exported<'a> {
    pub(crate) model: &'a Path,
    /// The model's name on the hub, if that is how it was given.
    pub(crate) hub_name: Option<&'a str>,
    /// The RoPE, as in `--rope`.
    pub(crate) rope: &'a str,
    pub(crate) out: &'a Path,
    /// Context that the exported model claims, in tokens.
    pub(crate) target: Option<usize>,
    pub(crate) dtype: Option<FloatType>,
    pub(crate) shard_size: Option<ShardSize>,
    pub(crate) overwrite: bool,
    /// Whether weights may be NaN or infinite.
    pub(crate) allow_non_finite: bool,
}

pub(crate) fn run(args: &Export) -> Result<()> {
    match args.format {
        Format::Hf => run_hf(args),
        Format::Gguf => export_gguf::run(args),
    }
}

fn run_hf(args: &Export) -> Result<()> {
    if args.sets.is_some() {
        return Err(anyhow!("--sets is for --format gguf").context(Hint(
            "leave it out: a Hugging Face folder holds short and long factors".to_owned(),
        )));
    }
    let dtype = match args.dtype {
        WeightType::Keep => None,
        WeightType::F32 => Some(FloatType::F32),
        WeightType::F16 => Some(FloatType::F16),
        WeightType::Bf16 => Some(FloatType::BF16),
        WeightType::Q8_0 => {
            return Err(anyhow!("--dtype q8_0 is for --format gguf").context(Hint(
                "give --format gguf, or another --dtype, for example bf16".to_owned(),
            )));
        }
    };
    let shard_size = args
        .max_shard_size
        .as_ref()
        .map(|text| text.parse::<ShardSize>());
    let model = args.model.required()?;
    export(&Exported {
        model: &hub::model_folder(model)?,
        hub_name: hub::name(model),
        rope: &args.rope,
        out: &args.out,
        target: args.target,
        dtype,
        shard_size: shard_size.transpose().context("reading --max-shard-size")?,
        overwrite: args.force,
        allow_non_finite: args.force,
    })?;
    next_steps::after_export(&args.out).show();
    Ok(())
}

/// Writes the checkpoint with its new RoPE and prints what was written.
pub(crate) fn export(export: &Exported) -> Result<()> {
    let Chosen {
        spec,
        context,
        artifact,
    } = choose(export.model, export.rope, export.target)?;
    let options = ExportOptions {
        target_context: context,
        overwrite: export.overwrite,
        dtype: export.dtype,
        shard_size: export.shard_size,
        allow_non_finite: export.allow_non_finite,
        hub_name: export.hub_name,
    };
    let warnings = export_hf(export.model, export.out, &spec, options)
        .with_context(|| format!("exporting to `{}`", export.out.display()))?;
    // config.json cannot express everything that rope.json can.
    let path = export.out.join("rope.json");
    write_atomically(&path, artifact.to_json_pretty().as_bytes())?;
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let weights = match (export.dtype, export.shard_size) {
        (Some(dtype), _) => format!("weights as {dtype}"),
        (None, Some(_)) => "weights in new files".to_owned(),
        (None, None) => "weights unchanged".to_owned(),
    };
    show(export.out, context, &spec, &weights)
}
