//! `longrope export`

mod adapter;
mod choice;
mod for_runtime;
mod gguf;
mod notes;
mod source;

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use longrope_data::write_atomically;
use longrope_model::{ExportOptions, FloatType, ShardSize, ShouldStop, export_hf};

use self::choice::{Chosen, check_out, choose, show};
use self::for_runtime::Written;
use self::notes::notes;
use self::source::{run_of, source};
use crate::failure::Hint;
use crate::input::{hub, local_folder};
use crate::next_steps;
use crate::settings::args::{Export, Format, RuntimeName, WeightType};
use crate::terminal::signals;

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
    /// Whether only keys that transformers knows are written.
    pub(crate) for_transformers: bool,
    /// Whether weights may be NaN or infinite.
    pub(crate) allow_non_finite: bool,
}

pub(crate) fn run(args: &Export) -> Result<()> {
    check_measured_flags(args)?;
    check_name(args)?;
    if args.adapter {
        return adapter::run(args);
    }
    match format(args) {
        Format::Hf => run_hf(args),
        Format::Gguf => gguf::run(args),
    }
}

/// Refuses flags of a measurement if nothing is measured.
fn check_measured_flags(args: &Export) -> Result<()> {
    if args.runtime.is_some() || args.single_set {
        return Ok(());
    }
    let measured = &args.measured;
    let flags = [
        ("--text", !measured.text.text.is_empty()),
        ("--tokens", measured.text.tokens.is_some()),
        ("--set", !measured.set.is_empty()),
        ("--samples", measured.samples.is_some()),
        ("--context", measured.context.is_some()),
        ("--seed", measured.seed.is_some()),
        ("--device", !measured.device.is_empty()),
    ];
    match flags.into_iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((flag, _)) => Err(anyhow!(
            "{flag} is given, but nothing is measured without --for or --single-set"
        )
        .context(Hint(format!(
            "leave {flag} out, or give --for RUNTIME to choose the closest RoPE that a runtime takes"
        )))),
    }
}

/// Refuses the name of a GGUF file for a folder, unless the format was asked for.
fn check_name(args: &Export) -> Result<()> {
    let extension = args.out.extension();
    let is_gguf = extension.is_some_and(|it| it.eq_ignore_ascii_case("gguf"));
    if !is_gguf || args.format.is_some() || format(args) == Format::Gguf {
        return Ok(());
    }
    let found = args.out.display();
    let (what, hint) = if args.adapter {
        ("low-rank adapters", "choose the name of a folder")
    } else {
        (
            "a Hugging Face checkpoint",
            "add --format gguf, or choose the name of a folder",
        )
    };
    let error = anyhow!("`--out` is `{found}`, but {what} would be a folder");
    Err(error.context(Hint(hint.to_owned())))
}

/// The format that was asked for, else that of the runtime.
fn format(args: &Export) -> Format {
    args.format.unwrap_or(match args.runtime {
        Some(RuntimeName::LlamaCpp) => Format::Gguf,
        _ => Format::Hf,
    })
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
    let source = source(args.model.required()?, args.rope.as_deref())?;
    check_out(&args.out, &source.model, args.force)?;
    let folder = local_folder(&source.model)?;
    let chosen = choose(&folder, &source.rope, args.target)?;
    let as_chosen = chosen.spec.clone();
    let chosen = for_runtime::adjusted(args, &source.model, &folder, chosen, Written::Config)?;
    let notes = if chosen.spec == as_chosen {
        notes(source.run.as_deref(), &chosen.artifact.provenance)
    } else {
        String::new()
    };
    let exported = Exported {
        model: &folder,
        hub_name: hub::name(&source.model),
        rope: &source.rope,
        out: &args.out,
        target: args.target,
        dtype,
        shard_size: shard_size.transpose().context("reading --max-shard-size")?,
        overwrite: args.force,
        for_transformers: args.runtime == Some(RuntimeName::Transformers),
        allow_non_finite: args.force,
    };
    write(&exported, &chosen, &notes)?;
    next_steps::after_export(&args.out).show();
    Ok(())
}

/// Writes the checkpoint with its new RoPE and prints what was written.
pub(crate) fn export(export: &Exported) -> Result<()> {
    let chosen = choose(export.model, export.rope, export.target)?;
    let run = run_of(export.rope);
    let notes = notes(run.as_deref(), &chosen.artifact.provenance);
    write(export, &chosen, &notes)
}

fn write(export: &Exported, chosen: &Chosen, card_notes: &str) -> Result<()> {
    let Chosen {
        spec,
        context,
        artifact,
    } = chosen;
    let interrupt = signals::listen()?;
    let is_asked = || interrupt.requested();
    let options = ExportOptions {
        target_context: *context,
        overwrite: export.overwrite,
        without_mscales: export.for_transformers,
        dtype: export.dtype,
        shard_size: export.shard_size,
        allow_non_finite: export.allow_non_finite,
        hub_name: export.hub_name,
        card_notes,
        should_stop: ShouldStop::when(&is_asked),
    };
    let warnings = export_hf(export.model, export.out, spec, options)
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
    show(export.out, *context, spec, &weights)
}
