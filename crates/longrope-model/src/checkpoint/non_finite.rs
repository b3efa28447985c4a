//! Looking for weights that are not finite, which explain a loss that is not a number.

use std::fmt;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::Dtype;

use super::Checkpoint;
use super::stored::StoredTensor;
use crate::error::Result;

/// Number of bytes read at once, a multiple of every element size.
const CHUNK_BYTES: usize = 4 << 20;

/// A stored weight that is NaN or infinite.
#[derive(Clone, Debug)]
pub struct NonFiniteWeight {
    /// The weight file.
    pub file: PathBuf,
    /// Name of the tensor.
    pub tensor: String,
    /// Place in the tensor, one index per dimension, from 0.
    pub index: Vec<usize>,
    /// The weight: NaN or an infinity.
    pub value: f64,
}

impl fmt::Display for NonFiniteWeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tensor `{}` in `{}` holds {} at index {:?}",
            self.tensor,
            self.file.display(),
            self.value,
            self.index
        )
    }
}

/// The first weight of a checkpoint folder that is NaN or infinite, in the order of tensor names; `None` if all weights
/// are finite.
///
/// Reads all weights once, a few MiB at a time. Tensors of other types than F32, F64, F16 and BF16 are left out.
///
/// # Errors
/// If the checkpoint cannot be opened or read.
pub fn first_non_finite(folder: &Path) -> Result<Option<NonFiniteWeight>> {
    first_of(&Checkpoint::open(folder)?, |_| true, || Ok(()))
}

/// The first weight that is NaN or infinite of every tensor that has one, in the order of tensor names. See
/// [`first_non_finite`].
///
/// # Errors
/// If a file cannot be read.
pub fn non_finite_tensors(checkpoint: &Checkpoint) -> Result<Vec<NonFiniteWeight>> {
    let tensors = checkpoint.tensors().iter();
    tensors
        .filter_map(|(name, stored)| first_in(checkpoint, name, stored, || Ok(())).transpose())
        .collect()
}

/// As [`first_non_finite`], for those tensors of a checkpoint whose names are `wanted`. Calls `go_on` before every few MiB.
///
/// # Errors
/// If a file cannot be read; the error of `go_on`.
pub(crate) fn first_of(
    checkpoint: &Checkpoint,
    wanted: impl Fn(&str) -> bool,
    go_on: impl Fn() -> Result<()>,
) -> Result<Option<NonFiniteWeight>> {
    for (name, stored) in checkpoint.tensors() {
        if wanted(name)
            && let Some(found) = first_in(checkpoint, name, stored, &go_on)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The first weight of a tensor that is NaN or infinite.
fn first_in(
    checkpoint: &Checkpoint,
    name: &str,
    stored: &StoredTensor,
    go_on: impl Fn() -> Result<()>,
) -> Result<Option<NonFiniteWeight>> {
    let Some(find) = finder(stored.dtype) else {
        return Ok(None);
    };
    let element_bytes = stored.dtype.bitsize() / 8;
    let (mut before, mut found) = (0, None);
    checkpoint.read_chunks(name, stored, CHUNK_BYTES, |chunk| {
        go_on()?;
        if found.is_none() {
            found = find(chunk).map(|(offset, value)| (before + offset, value));
            before += chunk.len() / element_bytes;
        }
        Ok(())
    })?;
    Ok(found.map(|(flat, value)| NonFiniteWeight {
        file: checkpoint.file_of(stored).to_owned(),
        tensor: name.to_owned(),
        index: place(flat, &stored.shape),
        value,
    }))
}

/// Finds the first number in some bytes that is not finite: its index and its value.
type Finder = fn(&[u8]) -> Option<(usize, f64)>;

/// The finder for a type; `None` for types that are no floating-point numbers we read.
fn finder(dtype: Dtype) -> Option<Finder> {
    Some(match dtype {
        Dtype::F32 => |bytes| find(bytes, |b| f32::from_le_bytes(b).into()),
        Dtype::F64 => |bytes| find(bytes, f64::from_le_bytes),
        Dtype::F16 => |bytes| find(bytes, |b| f16::from_le_bytes(b).into()),
        Dtype::BF16 => |bytes| find(bytes, |b| bf16::from_le_bytes(b).into()),
        _ => return None,
    })
}

fn find<const N: usize>(bytes: &[u8], decode: impl Fn([u8; N]) -> f64) -> Option<(usize, f64)> {
    let (elements, _) = bytes.as_chunks::<N>();
    let mut numbers = elements.iter().map(|element| decode(*element)).enumerate();
    numbers.find(|(_, number)| !number.is_finite())
}

/// The index per dimension of an element, given its index in row-major order.
fn place(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (axis, size) in shape.iter().enumerate().rev() {
        let size = (*size).max(1);
        index[axis] = flat % size;
        flat /= size;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/models/llama-gqa-tied")
    }

    #[test]
    fn the_first_weight_that_is_not_finite_is_named_with_its_place() {
        assert!(first_non_finite(&model()).unwrap().is_none());

        let folder = tempfile::tempdir().unwrap();
        let source = Checkpoint::open(&model()).unwrap();
        let name = "model.layers.1.mlp.gate_proj.weight";
        let stored = &source.tensors()[name];
        let mut bytes = fs_err::read(source.file_of(stored)).unwrap();
        let columns = stored.shape[1];
        for (row, column, value) in [(2, 5, f32::NAN), (3, 1, f32::INFINITY)] {
            let at = usize::try_from(stored.offset()).unwrap() + 4 * (row * columns + column);
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        fs_err::write(folder.path().join("model.safetensors"), bytes).unwrap();
        let found = first_non_finite(folder.path()).unwrap().unwrap();
        assert_eq!(
            (found.tensor.as_str(), found.index.clone()),
            (name, vec![2, 5])
        );
        assert!(found.value.is_nan());
        assert!(found.file.ends_with("model.safetensors"));
        let all = non_finite_tensors(&Checkpoint::open(folder.path()).unwrap()).unwrap();
        let all: Vec<_> = all.iter().map(|it| (&it.tensor, &it.index)).collect();
        assert_eq!(all, [(&found.tensor, &found.index)]);
    }

    #[test]
    fn all_types_of_floating_point_numbers_are_looked_at() {
        let infinite = [
            (
                Dtype::F32,
                [0.0f32, f32::INFINITY].map(f32::to_le_bytes).concat(),
            ),
            (Dtype::F64, [0.0, f64::NAN].map(f64::to_le_bytes).concat()),
            (
                Dtype::F16,
                [f16::ZERO, f16::NEG_INFINITY]
                    .map(f16::to_le_bytes)
                    .concat(),
            ),
            (
                Dtype::BF16,
                [bf16::ZERO, bf16::NAN].map(bf16::to_le_bytes).concat(),
            ),
        ];
        for (dtype, bytes) in infinite {
            let find = finder(dtype).unwrap();
            assert_eq!(find(&bytes).unwrap().0, 1, "{dtype:?}");
        }
        assert!(finder(Dtype::I64).is_none());
    }

    #[test]
    fn places_are_counted_row_by_row() {
        assert_eq!(place(7, &[2, 5]), [1, 2]);
        assert_eq!(place(3, &[4]), [3]);
        assert_eq!(place(0, &[]), Vec::<usize>::new());
    }
}
