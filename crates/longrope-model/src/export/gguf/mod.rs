//! Exporting a checkpoint as a GGUF file, for llama.cpp and the programs that use it.

mod computed;
mod exported;
mod keys;
mod options;
mod shape;
mod weights;

pub use computed::gguf_rope;
pub use exported::ExportedGguf;
pub use options::GgufOptions;

use std::io::{BufWriter, ErrorKind, Write};
use std::path::Path;

use longrope_data::{STAGED_PREFIX, StagedFile};
use longrope_gguf::{
    Architecture, Loss, Metadata, Writer, map_tensors, model_keys, rope_keys, rope_tensors,
};
use longrope_rope::RopeSpec;

use super::finite_weights::check_finite;
use super::manifest::is_free;
use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use keys::{general_keys, own_keys, tokenizer};
use shape::shape;
use weights::{Weight, write_weight};

/// Writes the checkpoint in `source` as the GGUF file `target`, with the RoPE `spec`.
///
/// A model becomes the architecture of llama.cpp that computes the same, rescale factors become short and long tensors,
/// and a `tokenizer.json` the keys of its tokenizer. The file appears as a whole or not at all. No more than a few MiB of
/// weights are in memory. What a killed export to the same file has left beside it is removed. Returns the context of the
/// file, and what the format cannot express.
///
/// # Errors
/// If the model, the RoPE or the tokenizer cannot be expressed ([`Error::Gguf`]), `target` exists and may not be replaced,
/// the source is not a valid checkpoint, a weight is not finite or does not fit into the type, or the file cannot be written.
/// [`Error::Stopped`] if it was asked to stop. Nothing is left of it then.
pub fn export_gguf(
    source: &Path,
    target: &Path,
    spec: &RopeSpec,
    options: GgufOptions<'_>,
) -> Result<ExportedGguf> {
    check_place(target, options.overwrite)?;
    longrope_data::remove_leftovers(target, STAGED_PREFIX);
    let (model, checkpoint) = Checkpoint::open_model(source)?;
    let shape = shape(&model);
    let architecture = Architecture::of(&shape)?;
    let mut losses = Vec::new();
    losses.extend(lost_parts(&checkpoint));
    losses.extend(lost_window(&model, options.target_context));
    let rope = rope_keys(
        architecture,
        spec,
        options.target_context,
        options.sets,
        &mut losses,
    )?;
    let mapped = map_tensors(architecture, &shape, &model.tensors())?;
    let weights: Vec<Weight> = mapped
        .into_iter()
        .map(|it| Weight::new(&checkpoint, it, options.dtype, &mut losses))
        .collect::<Result<_>>()?;
    let allows = options.allow_non_finite;
    check_finite(&checkpoint, &model, true, allows, options.should_stop)?;

    let factors = rope.factors.as_ref().map(rope_tensors).unwrap_or_default();
    let mut metadata = general_keys(architecture, source, &options, &weights);
    metadata.extend(model_keys(architecture, &shape, &rope));
    let name = name_in(&metadata).to_owned();
    let keys = tokenizer(source, &model, &name, &options, &mut losses)?;
    put(&mut metadata, keys);
    metadata.extend(own_keys(&checkpoint, &factors, &options)?);

    let planned = factors.iter().map(|(planned, _)| planned.clone());
    let planned: Vec<_> = planned.chain(weights.iter().map(Weight::planned)).collect();
    let staged = StagedFile::new(target)?;
    let mut writer = Writer::new(BufWriter::new(staged), &metadata, &planned)?;
    for (_, bytes) in &factors {
        writer.write(bytes)?;
    }
    for weight in &weights {
        write_weight(&checkpoint, weight, &options, &mut writer)?;
    }
    let mut buffer = writer.finish()?;
    buffer.flush()?;
    let staged = buffer
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)?;
    publish(staged, target, options.overwrite)?;
    Ok(ExportedGguf {
        context: rope.context,
        losses,
    })
}

/// Puts keys into the place of those with the same names.
fn put(metadata: &mut Metadata, keys: Metadata) {
    metadata.retain(|(name, _)| !keys.iter().any(|(key, _)| key == name));
    metadata.extend(keys);
}

/// The name of the model.
fn name_in(metadata: &Metadata) -> &str {
    let mut named = metadata.iter().filter(|(key, _)| key == "general.name");
    named
        .next()
        .and_then(|(_, value)| value.as_str())
        .unwrap_or_default()
}

/// Puts a file that is written in its place.
fn publish(staged: StagedFile, target: &Path, overwrite: bool) -> Result<()> {
    if overwrite {
        check_place(target, true)?;
        return staged.publish().map_err(Error::from);
    }
    match staged.publish_new() {
        // Another process has written the file in the meantime.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(Error::OutputExists {
            path: target.to_owned(),
        }),
        published => published.map_err(Error::from),
    }
}

/// Checks that the file may be written: there is none or, with `overwrite`, it is GGUF.
fn check_place(target: &Path, overwrite: bool) -> Result<()> {
    if is_free(target, overwrite)? {
        return Ok(());
    }
    let kept = |problem: &str| Error::OutputKept {
        path: target.to_owned(),
        problem: problem.to_owned(),
    };
    if !target.is_file() {
        return Err(kept("it is not a file"));
    }
    match longrope_gguf::GgufFile::open(target) {
        Err(longrope_gguf::Error::NotGguf { .. }) => Err(kept("it is not a GGUF file")),
        _ => Ok(()),
    }
}

/// The parts beside the language model.
fn lost_parts(checkpoint: &Checkpoint) -> Option<Loss> {
    let names = checkpoint.other_parts();
    let first = (*names.first()?).to_owned();
    Some(Loss::OtherParts {
        n_tensors: names.len(),
        first,
    })
}

/// The sliding windows that texts of this length do not fit into.
fn lost_window(model: &ModelConfig, context: usize) -> Option<Loss> {
    let narrow = model.windows.iter().flatten().copied();
    let narrow: Vec<usize> = narrow.filter(|window| *window < context).collect();
    let window = narrow.iter().copied().min()?;
    Some(Loss::Window {
        window,
        n_layers: narrow.len(),
    })
}
