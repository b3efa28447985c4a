//! Exporting a checkpoint with another RoPE, in the format of transformers and compatible programs, or as GGUF.

mod card;
mod card_text;
mod companions;
mod config;
mod copy;
mod finite_weights;
pub(crate) mod float_type;
mod front_matter;
mod gguf;
mod manifest;
mod plan;
mod shard_size;
mod should_stop;
mod weights;

pub use companions::{copy_companions, is_companion};
pub use config::{ConfigChanges, changed_config};
pub use float_type::FloatType;
pub use gguf::{ExportedGguf, GgufOptions, export_gguf, gguf_rope};
pub use manifest::is_replaceable;
pub use shard_size::ShardSize;
pub use should_stop::ShouldStop;

use std::path::Path;

use longrope_rope::{RopeSpec, Warning};

use self::finite_weights::check_finite;
use self::weights::WeightOptions;
use crate::checkpoint::{Checkpoint, INDEX_FILE};
use crate::config::ModelConfig;
use crate::error::{Error, Result};

/// How the name of an exported folder begins while it is written.
pub const EXPORT_PREFIX: &str = ".longrope-export-";

/// Settings of an export.
#[derive(Clone, Copy, Debug)]
pub struct ExportOptions<'a> {
    /// Context window of the exported model.
    pub target_context: usize,
    /// Whether a folder that an earlier export has written may be replaced.
    pub overwrite: bool,
    /// Whether the keys `short_mscale` and `long_mscale` are left out: vLLM and SGLang read them, transformers warns of
    /// them.
    pub without_mscales: bool,
    /// Type of the written weights; `None` keeps the stored type of each tensor.
    pub dtype: Option<FloatType>,
    /// Maximum size of a weight file. With `None`, files are copied unchanged, or limited to [`ShardSize::DEFAULT`] if
    /// there is a `dtype`.
    pub shard_size: Option<ShardSize>,
    /// Whether weights may be NaN or infinite in the export: those that are so in the source, and those that are beyond the
    /// range of `dtype`.
    pub allow_non_finite: bool,
    /// Name of the source on the Hugging Face hub, for the model card.
    pub hub_name: Option<&'a str>,
    /// Markdown that is added to the model card: how the model was extended and measured.
    pub card_notes: &'a str,
    /// Whether to stop before the export is complete.
    pub should_stop: ShouldStop<'a>,
}

impl ExportOptions<'_> {
    /// Copies weight files byte for byte, to a folder that must not exist yet.
    pub fn new(target_context: usize) -> Self {
        Self {
            target_context,
            overwrite: false,
            without_mscales: false,
            dtype: None,
            shard_size: None,
            allow_non_finite: false,
            hub_name: None,
            card_notes: "",
            should_stop: ShouldStop::default(),
        }
    }

    /// Whether weight files are rewritten rather than copied.
    fn rewrites_weights(self) -> bool {
        self.dtype.is_some() || self.shard_size.is_some()
    }
}

/// Writes the checkpoint in `source` to `target` with the RoPE `spec` in its `config.json`.
///
/// Weight files are copied byte for byte, because rescaling RoPE does not change weights, unless `options` ask for
/// another type or file size. Tokenizer, chat templates, licences and the like are copied, a model card is written, and
/// `longrope-export.json` lists the files. The folder is created atomically. Returns warnings about settings that the
/// format cannot express.
///
/// With `overwrite`, only a folder that is empty or has such a list is replaced. Files in it that are not in the list
/// stay. What a killed export to the same folder has left beside it is removed.
///
/// # Errors
/// If `target` exists and may not be replaced, the source is not a valid checkpoint, a weight is not finite or does not fit
/// into the requested type, or a file cannot be written. [`Error::Stopped`] if it was asked to stop. Nothing is left of it
/// then.
pub fn export_hf(
    source: &Path,
    target: &Path,
    spec: &RopeSpec,
    options: ExportOptions<'_>,
) -> Result<Vec<Warning>> {
    // First, because it ends an export that was killed when all was written.
    longrope_data::remove_leftovers(target, EXPORT_PREFIX);
    let place = manifest::check_place(target, source, options.overwrite)?;
    let (model, checkpoint) = Checkpoint::open_model(source)?;
    let context = options.target_context;
    let changes = ConfigChanges {
        rope: Some((spec, context)),
        without_mscales: options.without_mscales,
        dtype: options.dtype,
    };
    let (config, warnings) = changed_config(source, &model, changes)?;
    let (rewrites, allows) = (options.rewrites_weights(), options.allow_non_finite);
    check_finite(&checkpoint, &model, rewrites, allows, options.should_stop)?;
    let card = card::text(card::CardFacts {
        source,
        hub_name: options.hub_name,
        model: &model,
        spec,
        target_context: context,
        config: &config,
        notes: options.card_notes,
    });

    let write = |staging: &Path| -> Result<()> {
        fs_err::write(staging.join("config.json"), config)?;
        fs_err::write(staging.join(card::CARD_FILE), card)?;
        put_weights(&checkpoint, &model, staging, options)?;
        copy_companions(source, staging, Some(context))?;
        options.should_stop.check()?;
        manifest::complete(&place, staging)
    };
    let folder = &place.folder;
    let written = if options.overwrite {
        longrope_data::replace_folder(folder, EXPORT_PREFIX, write)
    } else {
        longrope_data::create_folder(folder, EXPORT_PREFIX, write)
    };
    match written {
        // There was no folder. Another process has written one in the meantime.
        Err(Error::Io(_) | Error::OutputKept { .. }) if !options.overwrite && folder.exists() => {
            Err(Error::OutputExists {
                path: target.to_owned(),
            })
        }
        written => written.map(|()| warnings),
    }
}

/// Writes the weights to `folder`, rewritten or as they are.
fn put_weights(
    checkpoint: &Checkpoint,
    model: &ModelConfig,
    folder: &Path,
    options: ExportOptions<'_>,
) -> Result<()> {
    if !options.rewrites_weights() {
        return copy_weights(checkpoint, folder, options.should_stop);
    }
    let how = WeightOptions {
        dtype: options.dtype,
        size: options.shard_size.unwrap_or(ShardSize::DEFAULT),
        allow_overflow: options.allow_non_finite,
        should_stop: options.should_stop,
    };
    weights::write_weights(checkpoint, model, folder, how)
}

/// Copies the weight files to the same places in `folder`, subfolders included.
fn copy_weights(checkpoint: &Checkpoint, folder: &Path, should_stop: ShouldStop<'_>) -> Result<()> {
    for (file, name) in checkpoint.files().iter().zip(checkpoint.file_names()) {
        should_stop.check()?;
        let to = folder.join(name);
        if let Some(parent) = to.parent() {
            fs_err::create_dir_all(parent)?;
        }
        copy::copy(file, &to, should_stop)?;
    }
    if checkpoint.has_index() {
        fs_err::copy(
            checkpoint.folder().join(INDEX_FILE),
            folder.join(INDEX_FILE),
        )?;
    }
    Ok(())
}
