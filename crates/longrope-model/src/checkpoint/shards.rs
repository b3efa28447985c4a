//! Finding the weight files of a folder, and the tensors of each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::header::read_header;
use super::index::{INDEX_FILE, read_index};
use super::stored::StoredTensor;
use crate::error::{Error, Result};

/// The weights of a folder in one file.
const SINGLE_FILE: &str = "model.safetensors";

/// The weight files of a folder and their tensors.
pub(super) struct Weights {
    /// Paths relative to the folder, sorted.
    pub(super) files: Vec<PathBuf>,
    pub(super) tensors: BTreeMap<String, StoredTensor>,
    /// Tensors that are not in the file that the index names, and that file.
    pub(super) absent: BTreeMap<String, PathBuf>,
    /// Whether an index says which file holds which tensor.
    pub(super) has_index: bool,
}

/// Reads the headers of a folder's weight files.
///
/// A whole `model.safetensors` is used alone, as in transformers, even beside an index.
pub(super) fn weights(folder: &Path) -> Result<Weights> {
    let single = folder.join(SINGLE_FILE);
    if single.is_file() {
        return Ok(Weights {
            tensors: read_header(&single, 0)?.into_iter().collect(),
            files: vec![PathBuf::from(SINGLE_FILE)],
            absent: BTreeMap::new(),
            has_index: false,
        });
    }
    let index = folder.join(INDEX_FILE);
    if index.is_file() {
        return indexed(folder, index);
    }
    Err(Error::FileMissing {
        folder: folder.to_owned(),
        file: SINGLE_FILE.to_owned(),
    })
}

/// Reads the headers of the shards that an index lists.
///
/// Each tensor is taken from the file that the index names, whatever other files hold. Tensors that the index does not list
/// are taken from the one file that has them.
fn indexed(folder: &Path, index_path: PathBuf) -> Result<Weights> {
    let index = read_index(&index_path)?;
    let mut shards: BTreeMap<&Path, Vec<&str>> = BTreeMap::new();
    for (tensor, file) in &index {
        shards.entry(file).or_default().push(tensor);
    }
    let mut tensors = BTreeMap::new();
    let mut files: Vec<PathBuf> = Vec::with_capacity(shards.len());
    for (file_idx, (file, listed)) in shards.iter().enumerate() {
        let path = folder.join(file);
        if !path.is_file() {
            return Err(Error::ShardMissing {
                folder: folder.to_owned(),
                shard: file.display().to_string(),
                n_tensors: listed.len(),
                tensor: listed[0].to_owned(),
            });
        }
        for (name, tensor) in read_header(&path, file_idx)? {
            match index.get(&name) {
                Some(place) if place != file => continue,
                Some(_) => {}
                None => {
                    if let Some(StoredTensor { file_idx, .. }) = tensors.get(&name) {
                        return Err(Error::Index {
                            path: index_path,
                            problem: format!(
                                "it does not list tensor `{name}`, which is in `{}` and in `{}`",
                                files[*file_idx].display(),
                                file.display()
                            ),
                        });
                    }
                }
            }
            tensors.insert(name, tensor);
        }
        files.push(file.to_path_buf());
    }
    let absent = index
        .into_iter()
        .filter(|(name, _)| !tensors.contains_key(name))
        .collect();
    Ok(Weights {
        files,
        tensors,
        absent,
        has_index: true,
    })
}
