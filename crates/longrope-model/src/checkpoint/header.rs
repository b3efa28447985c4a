//! Reading the header of a safetensors file.

use std::io::{Read, Seek};
use std::path::Path;

use longrope_data::counted;
use safetensors::tensor::Metadata;
use serde::de::IgnoredAny;

use super::damage::Damage;
use super::stored::StoredTensor;
use crate::error::{Error, Result};
use crate::unique_keys::UniqueKeys;

/// Largest header that is accepted; real headers are much smaller.
const MAX_HEADER_BYTES: u64 = 100 << 20;

/// What a file in the place of a large file of Git LFS begins with, if only its pointer was downloaded.
const LFS_POINTER: &[u8] = b"version https://git-lfs";

/// Reads the tensors of one file, and checks that the file has the length that its header describes.
pub(super) fn read_header(path: &Path, file_idx: usize) -> Result<Vec<(String, StoredTensor)>> {
    let damaged = |damage, problem: String| Error::Damaged {
        path: path.to_owned(),
        damage,
        problem,
    };
    let mut file = fs_err::File::open(path)?;
    let found = file.metadata()?.len();
    let mut begin = Vec::new();
    (&mut file)
        .take(LFS_POINTER.len() as u64)
        .read_to_end(&mut begin)?;
    if begin == LFS_POINTER {
        return Err(Error::LfsPointer {
            path: path.to_owned(),
        });
    }
    file.rewind()?;
    let mut length = [0; 8];
    if found < 8 {
        let problem = format!(
            "it has {}, expected at least 8",
            counted(usize::try_from(found).unwrap_or(usize::MAX), "byte")
        );
        return Err(damaged(Damage::CutOff, problem));
    }
    file.read_exact(&mut length)?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > MAX_HEADER_BYTES || 8 + header_bytes > found {
        let problem = format!(
            "its first bytes announce a header of {header_bytes} bytes, but the file has {found}"
        );
        // No file has such a header, so its first bytes are wrong.
        let damage = if header_bytes > MAX_HEADER_BYTES {
            Damage::Header
        } else {
            Damage::CutOff
        };
        return Err(damaged(damage, problem));
    }
    let mut header = Vec::new();
    (&mut file).take(header_bytes).read_to_end(&mut header)?;
    let unreadable = |error: serde_json::Error| {
        damaged(
            Damage::Header,
            format!("its header cannot be parsed ({error})"),
        )
    };
    serde_json::from_slice::<UniqueKeys<IgnoredAny>>(&header).map_err(unreadable)?;
    // The library checks that tensors follow each other without gaps and have the bytes of their shapes.
    let metadata: Metadata = serde_json::from_slice(&header).map_err(unreadable)?;

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
            offset: start.saturating_add(from as u64),
            n_bytes: to - from,
        };
        tensors.push((name, stored));
    }
    let expected = start.saturating_add(end as u64);
    if found != expected {
        let damage = if found < expected {
            Damage::CutOff
        } else {
            Damage::TooLong
        };
        let problem = format!("it has {found} bytes, but its header describes {expected}");
        return Err(damaged(damage, problem));
    }
    Ok(tensors)
}
