//! Rewriting weights in another type, or in files of another size.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::float_type::FloatType;
use super::plan::{PlannedFile, PlannedTensor, plan};
use super::shard_size::ShardSize;
use super::should_stop::ShouldStop;
use crate::checkpoint::{Checkpoint, INDEX_FILE};
use crate::config::ModelConfig;
use crate::error::{Error, Result};

/// Number of bytes read at once, a multiple of every element size. Memory does not depend on the sizes of tensors.
const CHUNK_BYTES: usize = 4 << 20;

/// How weights are rewritten.
#[derive(Clone, Copy, Debug)]
pub(super) struct WeightOptions<'a> {
    pub(super) dtype: Option<FloatType>,
    pub(super) size: ShardSize,
    /// Whether a weight beyond the range of the type may become infinite.
    pub(super) allow_overflow: bool,
    pub(super) should_stop: ShouldStop<'a>,
}

/// Writes the tensors that `config` needs to `folder`, in the order of computation: as `model.safetensors` if they fit
/// into one file, otherwise as numbered files with an index.
pub(super) fn write_weights(
    source: &Checkpoint,
    config: &ModelConfig,
    folder: &Path,
    options: WeightOptions<'_>,
) -> Result<()> {
    // Of a model of text and images, everything is written.
    let needed: Vec<String> = if source.is_nested() {
        source.tensors().keys().cloned().collect()
    } else {
        let needed = config.tensors().into_iter();
        needed.map(|(name, _)| name).collect()
    };
    let tensors = needed.iter().filter_map(|name| {
        let stored = source.tensors().get(name)?;
        Some(PlannedTensor::new(name, stored, options.dtype))
    });
    let files = plan(tensors.collect(), options.size);
    for file in &files {
        write_file(source, file, &folder.join(&file.name), options)?;
        tracing::debug!(
            file = file.name,
            n_tensors = file.tensors.len(),
            "wrote weights"
        );
    }
    if files.len() > 1 {
        write_index(&files, &folder.join(INDEX_FILE))?;
    }
    Ok(())
}

fn write_file(
    source: &Checkpoint,
    planned: &PlannedFile,
    path: &Path,
    options: WeightOptions<'_>,
) -> Result<()> {
    let mut file = fs_err::File::create(path)?;
    file.write_all(&header(planned))?;
    for tensor in &planned.tensors {
        let mut converted = Vec::new();
        let mut overflow = None;
        let mut n_written = 0;
        source.read_chunks(tensor.name, tensor.source, CHUNK_BYTES, |chunk| {
            options.should_stop.check()?;
            let Some((from, dtype)) = tensor.convert else {
                n_written += chunk.len() as u64;
                return Ok(file.write_all(chunk)?);
            };
            converted.clear();
            if let Some(value) = dtype.convert(from, chunk, &mut converted) {
                let error = Error::WeightOverflow {
                    tensor: tensor.name.to_owned(),
                    value,
                    dtype,
                };
                if !options.allow_overflow {
                    return Err(error);
                }
                overflow.get_or_insert(error);
            }
            n_written += converted.len() as u64;
            Ok(file.write_all(&converted)?)
        })?;
        check_size(tensor, n_written, path)?;
        if let Some(overflow) = overflow {
            tracing::warn!("exported as infinity: {overflow}");
        }
    }
    // Some systems only report here that the disk is full.
    file.sync_all()?;
    Ok(())
}

/// Refuses a tensor of another size than the header of its file states: all tensors after it would be read wrongly.
fn check_size(tensor: &PlannedTensor<'_>, n_written: u64, path: &Path) -> Result<()> {
    let expected = tensor.n_bytes();
    if n_written == expected {
        return Ok(());
    }
    Err(Error::WrittenSize {
        path: path.to_owned(),
        tensor: tensor.name.to_owned(),
        found: n_written,
        expected,
    })
}

/// The header of a safetensors file: its length, then the description of the tensors, padded so that the tensors start
/// at a multiple of eight.
fn header(file: &PlannedFile) -> Vec<u8> {
    let mut entries = Map::new();
    // transformers refuses files without this entry.
    entries.insert("__metadata__".to_owned(), json!({"format": "pt"}));
    let mut offset = 0;
    for tensor in &file.tensors {
        let end = offset + tensor.n_bytes();
        let entry = json!({
            "dtype": tensor.dtype(),
            "shape": tensor.source.shape,
            "data_offsets": [offset, end],
        });
        entries.insert(tensor.name.to_owned(), entry);
        offset = end;
    }
    let mut text = Value::Object(entries).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    bytes
}

fn write_index(files: &[PlannedFile], path: &Path) -> Result<()> {
    let mut total_size = 0;
    let mut weight_map = Map::new();
    for file in files {
        for tensor in &file.tensors {
            total_size += tensor.n_bytes();
            weight_map.insert(tensor.name.to_owned(), file.name.clone().into());
        }
    }
    weight_map.sort_keys();
    let index = json!({"metadata": {"total_size": total_size}, "weight_map": weight_map});
    fs_err::write(path, format!("{index:#}\n"))?;
    Ok(())
}
