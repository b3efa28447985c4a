//! `longrope export`

use anyhow::{Context, Result};
use longrope_model::{ExportOptions, FloatType, ModelConfig, ShardSize, export_hf};
use longrope_rope::{Provenance, RopeArtifact};

use crate::input::rope_arg::RopeArg;
use crate::run_dir;
use crate::settings::args::{Export, Format, WeightType};
use crate::show::output;

pub(crate) fn run(args: &Export) -> Result<()> {
    let Format::Hf = args.format;
    let dtype = match args.dtype {
        WeightType::Keep => None,
        WeightType::F32 => Some(FloatType::F32),
        WeightType::F16 => Some(FloatType::F16),
        WeightType::Bf16 => Some(FloatType::BF16),
    };
    let shard_size = args
        .max_shard_size
        .as_ref()
        .map(|text| text.parse::<ShardSize>());
    let shard_size = shard_size.transpose().context("reading --max-shard-size")?;
    let model = ModelConfig::from_folder(&args.model)
        .with_context(|| format!("reading model `{}`", args.model.display()))?;
    let wanted = args.target.unwrap_or(model.max_context);
    let rope = RopeArg::parse(&args.rope, &model, wanted)?;
    let spec = rope.spec(wanted)?;
    let target_context = args.target.unwrap_or_else(|| spec.max_context());
    let options = ExportOptions {
        target_context,
        overwrite: args.force,
        dtype,
        shard_size,
    };
    let warnings = export_hf(&args.model, &args.out, &spec, options)
        .with_context(|| format!("exporting to `{}`", args.out.display()))?;
    // What config.json cannot express is kept beside it.
    let artifact = RopeArtifact::from_spec(&spec, provenance(&args.rope));
    run_dir::write_atomically(&args.out.join("rope.json"), &artifact.to_json_pretty())?;
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let weights = match (dtype, shard_size) {
        (Some(dtype), _) => format!("weights as {dtype}"),
        (None, Some(_)) => "weights in new files".to_owned(),
        (None, None) => "weights unchanged".to_owned(),
    };
    output::line(format!(
        "wrote {}: {} tokens, RoPE {}, {weights}",
        args.out.display(),
        output::grouped(target_context),
        spec.scaling.name()
    ))
}

/// The provenance of a `rope.json` goes along with it.
fn provenance(rope: &str) -> Provenance {
    fs_err::read_to_string(rope)
        .ok()
        .and_then(|text| RopeArtifact::from_json(&text).ok())
        .map(|artifact| artifact.provenance)
        .unwrap_or_default()
}
