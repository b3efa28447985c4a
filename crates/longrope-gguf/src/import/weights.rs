//! Tensors of a file to a safetensors file.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::Path;

use longrope_rope::{HfConfig, Pairs};
use serde_json::{Map, json};

use crate::error::{Error, Result};
use crate::format::{GgufFile, TensorType};
use crate::interleave::separate_rows;
use crate::model::{Architecture, is_rope_tensor, name_in_file};

/// A tensor on its way.
pub(super) struct Source {
    name: String,
    /// Its name in the checkpoint.
    target: String,
    /// Whether it makes queries or keys.
    is_rotated: bool,
    shape: Vec<u64>,
    ty: TensorType,
}

impl Source {
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
    sources: &[Source],
    architecture: Architecture,
    config: &HfConfig,
    path: &Path,
) -> Result<()> {
    let mut out = BufWriter::new(fs_err::File::create(path)?);
    out.write_all(&header(sources))?;
    let swaps = architecture.rotates_neighbours() && config.layout.attention.pairs == Pairs::Halves;
    for source in sources {
        let mut bytes = file.read_bytes(&source.name)?;
        if !matches!(
            source.ty,
            TensorType::F32 | TensorType::F16 | TensorType::BF16
        ) {
            let numbers = crate::dequantize(source.ty, &bytes);
            bytes = numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
        }
        if swaps && source.is_rotated {
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
            // The tensors that were asked for are not those of the config.
            out.extend(head);
        }
    }
    out
}

/// The tensors of a file in the place of those that its model `needed`, in the order in which they are written.
///
/// # Errors
/// [`Error::Model`] for tensors that are missing, of another shape or of no use, and [`Error::TensorType`].
pub(super) fn sources(
    file: &GgufFile,
    config: &HfConfig,
    needed: &[(String, Vec<usize>)],
) -> Result<Vec<Source>> {
    let wrong = |problem: String| Error::Model {
        path: file.path().to_owned(),
        problem,
    };
    let mut found = BTreeSet::new();
    let mut sources = Vec::new();
    for (target, shape) in needed {
        let named = name_in_file(&config.layout.names, target);
        let (name, is_rotated) =
            named.ok_or_else(|| wrong(format!("no tensor is known to hold `{target}`")))?;
        let stored = file.tensors().get(&name);
        let stored = stored.ok_or_else(|| wrong(format!("it has no tensor `{name}`")))?;
        let shape: Vec<u64> = shape.iter().map(|dim| *dim as u64).collect();
        if without_ones(&stored.shape) != without_ones(&shape) {
            let has = &stored.shape;
            return Err(wrong(format!(
                "tensor `{name}` has shape {has:?}, expected {shape:?} by the keys of the file"
            )));
        }
        // Its type is checked here, before anything is written.
        let ty = TensorType::from_id(stored.type_id).ok_or_else(|| Error::TensorType {
            path: file.path().to_owned(),
            tensor: name.clone(),
            found: TensorType::describe(stored.type_id),
        })?;
        found.insert(name.clone());
        sources.push(Source {
            name,
            target: target.clone(),
            is_rotated,
            shape,
            ty,
        });
    }
    let has_no_place = |name: &&String| !found.contains(*name) && !is_rope_tensor(name);
    if let Some(name) = file.tensors().keys().find(has_no_place) {
        return Err(wrong(format!(
            "tensor `{name}` has no place in a `{}` model",
            config.family.model_type()
        )));
    }
    // Wide types first, so that every tensor starts at a multiple of its element size.
    sources.sort_by_key(|source| std::cmp::Reverse(source.written().1));
    Ok(sources)
}

/// A shape, rows first, without the leading dimensions of 1 that a file may have.
fn without_ones(shape: &[u64]) -> &[u64] {
    let start = shape.iter().take_while(|dim| **dim == 1).count();
    &shape[start..]
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
        entries.insert(source.target.clone(), entry);
        offset = end;
    }
    let mut text = serde_json::Value::Object(entries).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    bytes
}
