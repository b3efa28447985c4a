//! Finding weight files and reading their headers.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use safetensors::tensor::Metadata;
use serde::Deserialize;

use super::stored::StoredTensor;
use crate::error::{Error, Result};

/// The file that maps tensors to shards, if there are several weight files.
pub(crate) const INDEX_FILE: &str = "model.safetensors.index.json";

/// The content of [`INDEX_FILE`].
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The weight files of a folder: the shards that the index lists, or the single file if there is no index.
pub(super) fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let index_path = folder.join(INDEX_FILE);
    if !index_path.is_file() {
        let single = folder.join("model.safetensors");
        if single.is_file() {
            return Ok(vec![single]);
        }
        return Err(Error::FileMissing {
            folder: folder.to_owned(),
            file: "model.safetensors".to_owned(),
        });
    }
    let text = fs_err::read_to_string(&index_path)?;
    let index: Index = serde_json::from_str(&text).map_err(|source| Error::Json {
        path: index_path,
        source,
    })?;
    let mut shards: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (tensor, shard) in &index.weight_map {
        shards.entry(shard).or_default().push(tensor);
    }
    let mut files = Vec::new();
    for (shard, tensors) in shards {
        let path = folder.join(shard);
        if !path.is_file() {
            return Err(Error::ShardMissing {
                folder: folder.to_owned(),
                shard: shard.to_owned(),
                n_tensors: tensors.len(),
                tensor: tensors[0].to_owned(),
            });
        }
        files.push(path);
    }
    Ok(files)
}

/// Largest header that is accepted; real headers are much smaller.
const MAX_HEADER_BYTES: u64 = 100 << 20;

/// Reads the tensors of one file, and checks that the file has the length that its header describes.
pub(super) fn read_header(path: &Path, file_idx: usize) -> Result<Vec<(String, StoredTensor)>> {
    let damaged = |problem: String| Error::Damaged {
        path: path.to_owned(),
        problem,
    };
    let mut file = fs_err::File::open(path)?;
    let found = file.metadata()?.len();
    let mut length = [0; 8];
    if found < 8 {
        return Err(damaged(format!(
            "it has {found} bytes, expected at least 8"
        )));
    }
    file.read_exact(&mut length)?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > MAX_HEADER_BYTES || 8 + header_bytes > found {
        return Err(damaged(format!(
            "its first bytes announce a header of {header_bytes} bytes, but the file has {found}"
        )));
    }
    let mut header = Vec::new();
    (&mut file).take(header_bytes).read_to_end(&mut header)?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|error| damaged(format!("its header cannot be parsed ({error})")))?;

    let start = 8 + header_bytes;
    let mut tensors = Vec::new();
    let mut end = 0;
    for (name, info) in metadata.tensors() {
        let (from, to) = info.data_offsets;
        end = end.max(to);
        let stored = StoredTensor {
            shape: info.shape.clone(),
            dtype: info.dtype,
            file_idx,
            offset: start + from as u64,
            n_bytes: to - from,
        };
        tensors.push((name, stored));
    }
    let expected = start + end as u64;
    if found != expected {
        return Err(damaged(format!(
            "it has {found} bytes, but its header describes {expected}"
        )));
    }
    Ok(tensors)
}
