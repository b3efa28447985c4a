//! Weights on their way into the file: read in pieces, reordered, converted.

use std::io::Write;

use longrope_gguf::{
    Loss, MappedTensor, Planned, TensorType, Writer, interleave_rows, quantize_q8_0,
};

use super::options::GgufOptions;
use crate::checkpoint::{Checkpoint, StoredTensor, WeightProblem, WeightReport};
use crate::error::{Error, Result};
use crate::export::float_type::{FloatType, StoredFloat};

/// Number of bytes read at once, a multiple of 32 numbers of every type.
const CHUNK_BYTES: usize = 4 << 20;

/// A weight to write.
pub(super) struct Weight {
    mapped: MappedTensor,
    stored: StoredTensor,
    from: StoredFloat,
    ty: TensorType,
}

impl Weight {
    /// The weight of a tensor of the file.
    ///
    /// # Errors
    /// If the checkpoint does not have it as floating-point numbers.
    pub(super) fn new(
        checkpoint: &Checkpoint,
        mapped: MappedTensor,
        dtype: Option<TensorType>,
        losses: &mut Vec<Loss>,
    ) -> Result<Self> {
        let name = &mapped.source;
        let stored = checkpoint.model_tensors().get(name);
        let stored = stored.cloned().ok_or_else(|| Error::TensorMissing {
            folder: checkpoint.folder().to_owned(),
            tensor: name.clone(),
        })?;
        let from = StoredFloat::of(stored.dtype).ok_or_else(|| Error::Weights {
            folder: checkpoint.folder().to_owned(),
            report: WeightReport {
                problems: vec![WeightProblem::WrongType {
                    name: name.clone(),
                    found: stored.dtype,
                }],
                ..WeightReport::default()
            },
        })?;
        let kept = match from {
            StoredFloat::F16 => TensorType::F16,
            StoredFloat::BF16 => TensorType::BF16,
            StoredFloat::F32 | StoredFloat::F64 => TensorType::F32,
        };
        let wanted = dtype.unwrap_or(kept);
        let row = mapped.shape.last().copied().unwrap_or(0);
        let ty = if mapped.stays_f32() {
            TensorType::F32
        } else if row.is_multiple_of(wanted.block_len()) {
            wanted
        } else {
            losses.push(Loss::UnevenRows {
                tensor: mapped.name.clone(),
                row: row as u64,
            });
            TensorType::F32
        };
        Ok(Self {
            mapped,
            stored,
            from,
            ty,
        })
    }

    pub(super) fn ty(&self) -> TensorType {
        self.ty
    }

    /// Whether it is a matrix.
    pub(super) fn is_matrix(&self) -> bool {
        !self.mapped.stays_f32()
    }

    pub(super) fn planned(&self) -> Planned {
        Planned {
            name: self.mapped.name.clone(),
            shape: self.mapped.shape.iter().map(|dim| *dim as u64).collect(),
            ty: self.ty,
        }
    }

    /// Bytes of the rows that change places with each other, if there are any.
    fn head_bytes(&self) -> Option<usize> {
        let head_dim = self.mapped.interleaved?;
        let n_rows = *self.mapped.shape.first()?;
        let n_bytes = self.mapped.shape.iter().product::<usize>() * self.stored.dtype.bitsize() / 8;
        Some(n_bytes / n_rows.max(1) * head_dim)
    }
}

/// Writes a weight in its type.
pub(super) fn write_weight(
    checkpoint: &Checkpoint,
    weight: &Weight,
    options: &GgufOptions<'_>,
    writer: &mut Writer<impl Write>,
) -> Result<()> {
    let head_bytes = weight.head_bytes();
    let chunk_bytes = match head_bytes {
        Some(head) => (CHUNK_BYTES / head).max(1) * head,
        None => CHUNK_BYTES,
    };
    let head_dim = weight.mapped.interleaved.unwrap_or(1);
    let (mut ordered, mut converted) = (Vec::new(), Vec::new());
    let source = &weight.mapped.source;
    checkpoint.read_chunks(source, &weight.stored, chunk_bytes, |chunk| {
        options.should_stop.check()?;
        let mut bytes = chunk;
        if let Some(head) = head_bytes {
            ordered.clear();
            for rows in chunk.chunks(head) {
                interleave_rows(rows, head_dim, &mut ordered);
            }
            bytes = &ordered;
        }
        converted.clear();
        if let Err(overflow) = convert(weight, bytes, &mut converted) {
            if !options.allow_non_finite {
                return Err(overflow);
            }
            tracing::warn!("exported as it is: {overflow}");
        }
        Ok(writer.write(&converted)?)
    })
}

/// Appends numbers in the type of the file. Numbers beyond its range become infinite, and the first is the error.
fn convert(weight: &Weight, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let overflow = |value: f64, dtype| Error::WeightOverflow {
        tensor: weight.mapped.source.clone(),
        value,
        dtype,
    };
    let from = weight.from;
    let dtype = match weight.ty {
        TensorType::F16 => FloatType::F16,
        TensorType::BF16 => FloatType::BF16,
        _ => FloatType::F32,
    };
    if weight.ty != TensorType::Q8_0 {
        return match dtype.convert(from, bytes, out) {
            Some(value) => Err(overflow(value, dtype)),
            None => Ok(()),
        };
    }
    let mut floats = Vec::new();
    if let Some(value) = dtype.convert(from, bytes, &mut floats) {
        return Err(overflow(value, dtype));
    }
    let (floats, _) = floats.as_chunks::<4>();
    let numbers: Vec<f32> = floats.iter().map(|it| f32::from_le_bytes(*it)).collect();
    quantize_q8_0(&numbers, out).map_err(|bad| overflow(bad.0.into(), FloatType::F16))
}
