//! Tensors of a file to a safetensors file.

use std::io::{BufWriter, Write};
use std::path::Path;

use longrope_rope::{HfConfig, Pairs};
use serde_json::{Map, json};

use crate::error::{Error, Result};
use crate::format::{GgufFile, TensorType};
use crate::interleave::separate_rows;
use crate::model::{Architecture, is_rope_tensor, name_in_checkpoint};

/// A tensor on its way.
struct Source<'a> {
    name: &'a str,
    /// Its name in the checkpoint, and whether it makes queries or keys.
    target: (String, bool),
    shape: &'a [u64],
    ty: TensorType,
}

impl Source<'_> {
    /// The type in the checkpoint, and the size of a number in bytes.
    fn written(&self) -> (&'static str, u64) {
        match self.ty {
            TensorType::F16 => ("F16", 2),
            TensorType::BF16 => ("BF16", 2),
            _ => ("F32", 4),
        }
    }

    fn n_bytes(&self) -> u64 {
        self.shape.iter().product::<u64>() * self.written().1
    }
}

/// Writes the weights, one tensor in memory at a time.
pub(super) fn write(
    file: &GgufFile,
    architecture: Architecture,
    config: &HfConfig,
    path: &Path,
) -> Result<()> {
    let sources = sources(file, config)?;
    let mut out = BufWriter::new(fs_err::File::create(path)?);
    out.write_all(&header(&sources))?;
    let swaps = architecture.rotates_neighbours() && config.layout.attention.pairs == Pairs::Halves;
    for source in &sources {
        let mut bytes = file.read_bytes(source.name)?;
        if !matches!(
            source.ty,
            TensorType::F32 | TensorType::F16 | TensorType::BF16
        ) {
            let numbers = crate::dequantize(source.ty, &bytes);
            bytes = numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
        }
        if swaps && source.target.1 {
            bytes = separated(&bytes, source, config.head_dim);
        }
        out.write_all(&bytes)?;
    }
    out.flush()?;
    Ok(())
}

/// The rows of every head in the order of the checkpoint.
fn separated(bytes: &[u8], source: &Source, head_dim: usize) -> Vec<u8> {
    let n_rows = source.shape.first().map_or(1, |rows| (*rows).max(1));
    let row = bytes.len() / usize::try_from(n_rows).unwrap_or(1);
    let mut out = Vec::new();
    for head in bytes.chunks((row * head_dim).max(1)) {
        if head.len() == row * head_dim {
            separate_rows(head, head_dim, &mut out);
        } else {
            // The shape is wrong, which is found when the checkpoint is opened.
            out.extend(head);
        }
    }
    out
}

fn sources<'a>(file: &'a GgufFile, config: &HfConfig) -> Result<Vec<Source<'a>>> {
    check_layers(file, config.n_layers)?;
    let names = &config.layout.names;
    let mut sources = Vec::new();
    for (name, stored) in file.tensors() {
        if is_rope_tensor(name) {
            continue;
        }
        let target = name_in_checkpoint(names, name).ok_or_else(|| Error::Model {
            path: file.path().to_owned(),
            problem: format!(
                "tensor `{name}` has no place in a `{}` model",
                config.family.model_type()
            ),
        })?;
        // Its type is checked here, before anything is written.
        let ty = TensorType::from_id(stored.type_id).ok_or_else(|| Error::TensorType {
            path: file.path().to_owned(),
            tensor: name.clone(),
            found: TensorType::describe(stored.type_id),
        })?;
        sources.push(Source {
            name,
            target,
            shape: &stored.shape,
            ty,
        });
    }
    // Wide types first, so that every tensor starts at a multiple of its element size.
    sources.sort_by_key(|source| std::cmp::Reverse(source.written().1));
    Ok(sources)
}

/// Refuses a file that lacks whole layers, before anything of it is written.
fn check_layers(file: &GgufFile, n_layers: usize) -> Result<()> {
    for layer in 0..n_layers {
        let prefix = format!("blk.{layer}.");
        let next = file.tensors().range(prefix.clone()..).next();
        if !next.is_some_and(|(name, _)| name.starts_with(&prefix)) {
            return Err(Error::Model {
                path: file.path().to_owned(),
                problem: format!("it has no tensors of layer {layer}, expected {n_layers} layers"),
            });
        }
    }
    Ok(())
}

/// The header of a safetensors file, padded so that the tensors start at a multiple of eight.
fn header(sources: &[Source]) -> Vec<u8> {
    let mut entries = Map::new();
    entries.insert("__metadata__".to_owned(), json!({"format": "pt"}));
    let mut offset = 0;
    for source in sources {
        let end = offset + source.n_bytes();
        let entry = json!({
            "dtype": source.written().0, "shape": source.shape, "data_offsets": [offset, end],
        });
        entries.insert(source.target.0.clone(), entry);
        offset = end;
    }
    let mut text = serde_json::Value::Object(entries).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    bytes
}
