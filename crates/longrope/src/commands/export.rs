//! `longrope export`

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use longrope_data::write_atomically;
use longrope_model::{ExportOptions, FloatType, ModelConfig, ShardSize, export_hf};
use longrope_rope::{Method, Provenance, RopeArtifact, RopeScaling, RopeSpec};

use super::export_gguf;
use crate::hint::Hint;
use crate::input::hub;
use crate::input::rope_arg::{RopeArg, check_expressible, missing_context};
use crate::next_steps;
use crate::settings::args::{Export, Format, WeightType};
use crate::settings::bounds::{MOST_TOKENS, check_flag};
use crate::show::output;

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

/// A RoPE for an export.
pub(super) struct Chosen {
    pub(super) spec: RopeSpec,
    /// Context that the exported model claims, in tokens.
    pub(super) context: usize,
    /// The RoPE as `rope.json` holds it, with its provenance.
    pub(super) artifact: RopeArtifact,
}

/// The RoPE that `--rope` and `--target` name, for the model in a folder.
pub(super) fn choose(folder: &Path, name: &str, target: Option<usize>) -> Result<Chosen> {
    if let Some(target) = target {
        check_flag("--target", target, 1, MOST_TOKENS)?;
    }
    let model = ModelConfig::from_folder(folder)
        .with_context(|| format!("reading model `{}`", folder.display()))?;
    let window = model.rope.original_context;
    if let Some(target) = target
        && target < window
    {
        return Err(anyhow!(
            "`--target` is {target}, shorter than the {window} tokens that the model was trained for"
        )
        .context(Hint("leave out --target to keep the context of the model".to_owned())));
    }
    let wanted = target.unwrap_or(model.max_context);
    let rope = RopeArg::parse(name, &model, wanted)?;
    if target.is_none() && matches!(rope, RopeArg::File(_)) && rope.needs_context() {
        let original = model.rope.original_context;
        return Err(missing_context(name, "--target", original));
    }
    let spec = rope.spec(wanted)?;
    check_scaling(name, &rope, &spec, wanted)?;
    check_expressible(
        name,
        &spec,
        "exported: no key of a config.json groups positions",
    )?;
    let longest = match &rope {
        RopeArg::Checkpoint(spec) => spec.max_context().max(model.max_context),
        RopeArg::Method(..) | RopeArg::AnyContext(_) => wanted,
        RopeArg::File(spec) => spec.max_context(),
    };
    let context = target.unwrap_or(longest);
    check_target(name, context, longest)?;
    let artifact =
        RopeArtifact::from_spec(&spec, provenance(name)).with_local(model.local_rope.as_ref());
    Ok(Chosen {
        spec,
        context,
        artifact,
    })
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

/// Prints what was written.
pub(super) fn show(out: &Path, context: usize, spec: &RopeSpec, weights: &str) -> Result<()> {
    output::line(format!(
        "wrote {}: {} tokens, RoPE {}, {weights}",
        output::path(out),
        output::grouped(context),
        spec.scaling.name()
    ))
}

/// Checks that a method scales something at the context it is made for.
fn check_scaling(name: &str, rope: &RopeArg, spec: &RopeSpec, context: usize) -> Result<()> {
    let RopeArg::Method(method, base) = rope else {
        return Ok(());
    };
    if *method == Method::None || spec.scaling != (RopeScaling::None {}) {
        return Ok(());
    }
    let original = base.original_context;
    Err(anyhow!(
        "RoPE `{name}` changes nothing at {context} tokens, within the original context of {original}"
    )
    .context(Hint(format!(
        "give the context to extend to, for example --target {}",
        original.saturating_mul(4)
    ))))
}

/// Checks that the RoPE was made for the context that the exported model claims.
fn check_target(name: &str, target: usize, longest: usize) -> Result<()> {
    if target <= longest {
        return Ok(());
    }
    Err(anyhow!(
        "`--target` is {target}, but RoPE `{name}` was made for at most {longest} tokens"
    )
    .context(Hint(format!(
        "leave out --target, give at most {longest}, or search for a RoPE with --target {target}"
    ))))
}

/// The provenance in a `rope.json`, which the export keeps; empty for other RoPEs.
fn provenance(rope: &str) -> Provenance {
    fs_err::read_to_string(rope)
        .ok()
        .and_then(|text| RopeArtifact::from_json(&text).ok())
        .map(|artifact| artifact.provenance)
        .unwrap_or_default()
}
