//! `longrope export --format gguf`

use anyhow::{Context, Result, anyhow};
use longrope_data::Tokenizer;
use longrope_gguf::{Sets, TensorType};
use longrope_model::{GgufOptions, export_gguf};

use super::export_choice::{Chosen, choose, show};
use crate::hint::Hint;
use crate::input::hub;
use crate::next_steps;
use crate::settings::args::{Export, FactorSets, WeightType};

pub(super) fn run(args: &Export) -> Result<()> {
    check(args)?;
    let name = args.model.required()?;
    let folder = hub::model_folder(name)?;
    let Chosen {
        spec,
        context,
        artifact,
    } = choose(&folder, &args.rope, args.target)?;
    let dtype = match args.dtype {
        WeightType::Keep => None,
        WeightType::F32 => Some(TensorType::F32),
        WeightType::F16 => Some(TensorType::F16),
        WeightType::Bf16 => Some(TensorType::BF16),
        WeightType::Q8_0 => Some(TensorType::Q8_0),
    };
    let sets = match args.sets.unwrap_or(FactorSets::Both) {
        FactorSets::Both => Sets::Both,
        FactorSets::Long => Sets::Long,
        FactorSets::Short => Sets::Short,
    };
    let adds_bos = if folder.join("tokenizer.json").is_file() {
        Tokenizer::from_model_dir(&folder)?.adds_bos()
    } else {
        false
    };
    let options = GgufOptions {
        target_context: context,
        sets,
        dtype,
        overwrite: args.force,
        allow_non_finite: args.force,
        hub_name: hub::name(name),
        adds_bos,
        rope_json: &artifact.to_json_pretty(),
    };
    let losses = export_gguf(&folder, &args.out, &spec, options)
        .with_context(|| format!("exporting to `{}`", args.out.display()))?;
    for loss in &losses {
        tracing::warn!("{loss}");
    }
    let weights = dtype.map_or_else(
        || "weights in their types".to_owned(),
        |dtype| format!("weights as {dtype}"),
    );
    show(&args.out, context, &spec, &weights)?;
    next_steps::after_gguf(&args.out).show();
    Ok(())
}

/// Checks flags that only mean something in the other format.
fn check(args: &Export) -> Result<()> {
    let extension = args.out.extension();
    if extension.is_none_or(|it| !it.eq_ignore_ascii_case("gguf")) {
        return Err(anyhow!(
            "--out is `{}`, expected a file name that ends in .gguf",
            args.out.display()
        )
        .context(Hint("for example --out model.gguf".to_owned())));
    }
    if args.max_shard_size.is_some() {
        return Err(anyhow!("--max-shard-size is for --format hf")
            .context(Hint("leave it out: a GGUF file is one file".to_owned())));
    }
    Ok(())
}
