//! Reading the header of a safetensors file.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::path::Path;

use longrope_data::counted;
use safetensors::tensor::Metadata;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::damage::Damage;
use super::stored::StoredTensor;
use super::unique_keys::UniqueKeys;
use crate::error::{Error, Result};

/// Largest header that is accepted; real headers are much smaller.
const MAX_HEADER_BYTES: u64 = 100 << 20;

/// What a file in the place of a large file of Git LFS begins with, if only its pointer was downloaded.
const LFS_POINTER: &[u8] = b"version https://git-lfs";

/// Types of numbers that are not quantized, whether they are read or not.
const PLAIN: [&str; 14] = [
    "BOOL", "U8", "I8", "U16", "I16", "F16", "BF16", "U32", "I32", "F32", "U64", "I64", "F64",
    "C64",
];

/// What the names of other types have in them: numbers of 4, 6 and 8 bits.
const NARROW: [&str; 8] = ["F4", "F6", "F8", "FP4", "FP6", "FP8", "I4", "INT4"];

/// What is wrong with a header that cannot be parsed, if a tensor has a type of quantized weights. Their numbers may be packed,
/// so that sizes do not fit shapes, and not all types have a name in the format.
fn quantized(header: &[u8]) -> Option<String> {
    let entries: BTreeMap<String, Value> = serde_json::from_slice(header).ok()?;
    let mut tensors = entries.iter().filter(|(name, _)| *name != "__metadata__");
    tensors.find_map(|(name, entry)| {
        let dtype = entry.get("dtype")?.as_str()?;
        let is_narrow = NARROW.iter().any(|part| dtype.contains(part));
        (is_narrow && !PLAIN.contains(&dtype))
            .then(|| format!("tensor `{name}` has type {dtype}, expected F32, F16 or BF16"))
    })
}

/// Reads the tensors of one file, and checks that the file has the length that its header describes.
pub(super) fn read_header(path: &Path, file_idx: usize) -> Result<Vec<(String, StoredTensor)>> {
    let mut file = fs_err::File::open(path)?;
    let found = file.metadata()?.len();
    refuse_pointer(&mut file, path)?;
    let header = header_bytes(&mut file, found, path)?;
    let metadata = parsed(&header, path)?;

    let start = 8 + header.len() as u64;
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
        return Err(damaged(path, damage, problem));
    }
    Ok(tensors)
}

fn damaged(path: &Path, damage: Damage, problem: String) -> Error {
    Error::Damaged {
        path: path.to_owned(),
        damage,
        problem,
    }
}

/// Refuses a file that only points to the weights. Leaves the file at its start.
fn refuse_pointer(file: &mut fs_err::File, path: &Path) -> Result<()> {
    let mut begin = Vec::new();
    file.by_ref()
        .take(LFS_POINTER.len() as u64)
        .read_to_end(&mut begin)?;
    if begin == LFS_POINTER {
        return Err(Error::LfsPointer {
            path: path.to_owned(),
        });
    }
    file.rewind()?;
    Ok(())
}

/// The header of a file of `found` bytes, which is at its start.
fn header_bytes(file: &mut fs_err::File, found: u64, path: &Path) -> Result<Vec<u8>> {
    if found < 8 {
        let problem = format!(
            "it has {}, expected at least 8",
            counted(usize::try_from(found).unwrap_or(usize::MAX), "byte")
        );
        return Err(damaged(path, Damage::CutOff, problem));
    }
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let n_bytes = u64::from_le_bytes(length);
    if n_bytes > MAX_HEADER_BYTES || 8 + n_bytes > found {
        let problem = format!(
            "its first bytes announce a header of {n_bytes} bytes, but the file has {found}"
        );
        // No file has such a header, so its first bytes are wrong.
        let damage = if n_bytes > MAX_HEADER_BYTES {
            Damage::Header
        } else {
            Damage::CutOff
        };
        return Err(damaged(path, damage, problem));
    }
    let mut header = Vec::new();
    file.take(n_bytes).read_to_end(&mut header)?;
    Ok(header)
}

/// The header as the library reads it, which checks that tensors follow each other without gaps and have the bytes of their
/// shapes.
fn parsed(header: &[u8], path: &Path) -> Result<Metadata> {
    let unreadable = |error: serde_json::Error| {
        let problem = format!("its header cannot be parsed ({error})");
        damaged(path, Damage::Header, problem)
    };
    serde_json::from_slice::<UniqueKeys<IgnoredAny>>(header).map_err(unreadable)?;
    serde_json::from_slice(header).map_err(|error| match quantized(header) {
        Some(problem) => damaged(path, Damage::Quantized, problem),
        None => unreadable(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damage(dtype: &str) -> (Damage, String) {
        let header =
            format!(r#"{{"a":{{"dtype":"{dtype}","shape":[24,16],"data_offsets":[0,48]}}}}"#);
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + 48, 0);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        fs_err::write(&path, bytes).unwrap();
        match read_header(&path, 0) {
            Err(Error::Damaged {
                damage, problem, ..
            }) => (damage, problem),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn packed_and_unknown_types_are_quantized_rather_than_damaged() {
        for dtype in ["F4", "F8_E4M3", "NVFP4", "F6_E2M3"] {
            let (damage, problem) = damage(dtype);
            assert_eq!(damage, Damage::Quantized, "{dtype}");
            assert!(
                problem.contains(&format!("`a` has type {dtype}")),
                "{problem}"
            );
        }
        for dtype in ["F32", "F64", "BOOL", "X"] {
            assert_eq!(damage(dtype).0, Damage::Header, "{dtype}");
        }
    }
}
