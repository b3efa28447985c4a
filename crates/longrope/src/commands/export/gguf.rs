//! `longrope export --format gguf`

use anyhow::{Context, Result, anyhow};
use longrope_data::Tokenizer;
use longrope_gguf::{Sets, TensorType};
use longrope_model::{GgufOptions, ShouldStop, export_gguf};

use super::choice::{Chosen, check_out, choose, show};
use super::for_runtime::{self, Written};
use super::source::source;
use crate::failure::Hint;
use crate::input::{gguf, hub, local_folder};
use crate::next_steps;
use crate::settings::args::{Export, FactorSets, RuntimeName, WeightType};
use crate::terminal::signals;

pub(super) fn run(args: &Export) -> Result<()> {
    check(args)?;
    let source = source(args.model.required()?, args.rope.as_deref())?;
    check_out(&args.out, &source.model, args.force)?;
    let folder = local_folder(&source.model)?;
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
    let chosen = choose(&folder, &source.rope, args.target)?;
    let Chosen {
        spec,
        context,
        artifact,
    } = for_runtime::adjusted(args, &source.model, &folder, chosen, Written::Gguf { sets })?;
    let adds_bos = if folder.join("tokenizer.json").is_file() {
        Tokenizer::from_model_dir(&folder)?.adds_bos()
    } else {
        false
    };
    let origin = gguf::origin(&source.model)?;
    let interrupt = signals::listen()?;
    let is_asked = || interrupt.requested();
    let options = GgufOptions {
        target_context: context,
        sets,
        dtype,
        overwrite: args.force,
        allow_non_finite: args.force,
        hub_name: hub::name(&source.model),
        origin: &origin,
        adds_bos,
        rope_json: &artifact.to_json_pretty(),
        should_stop: ShouldStop::when(&is_asked),
    };
    let exported = export_gguf(&folder, &args.out, &spec, options)
        .with_context(|| format!("exporting to `{}`", args.out.display()))?;
    for loss in &exported.losses {
        tracing::warn!("{loss}");
    }
    let weights = dtype.map_or_else(
        || "weights in their types".to_owned(),
        |dtype| format!("weights as {dtype}"),
    );
    show(&args.out, exported.context, &spec, &weights)?;
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
    if args.runtime.is_some_and(|it| it != RuntimeName::LlamaCpp) {
        return Err(
            anyhow!("--format gguf is for --for llama.cpp").context(Hint(
                "leave out --format: other runtimes read a folder".to_owned(),
            )),
        );
    }
    if args.max_shard_size.is_some() {
        return Err(anyhow!("--max-shard-size is for --format hf")
            .context(Hint("leave it out: a GGUF file is one file".to_owned())));
    }
    Ok(())
}
