//! Writing tensors of a device to a safetensors file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use burn::tensor::{DType, Tensor};
use safetensors::tensor::{Dtype, View};

use crate::decoder::Decoder;
use crate::error::{Error, Result};
use crate::parameters::ParameterKind;

/// A tensor to write.
#[derive(Clone, Debug)]
pub struct TensorEntry {
    /// Its name in the file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values in row-major order, `[elements]`.
    pub values: Tensor<1>,
}

/// Writes tensors to a safetensors file, and waits until they are on the disk.
///
/// Tensors are copied from the device one at a time. The file is not replaced atomically: write it to a folder that is
/// renamed when it is complete.
///
/// # Errors
/// If the file cannot be written, for instance because the disk is full.
///
/// # Panics
/// If a tensor is not of type `f32`, `f64`, `f16` or `bf16`.
pub fn write_safetensors(path: &Path, entries: Vec<TensorEntry>) -> Result<()> {
    let views = entries.into_iter().map(|entry| (entry.name.clone(), entry));
    // transformers refuses files without this entry.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(views, Some(metadata), path).map_err(|error| Error::Write {
        path: path.to_owned(),
        problem: error.to_string(),
    })?;
    let file = fs_err::File::open(path)?;
    // The library makes the file readable by its owner only; give it ordinary permissions.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    // Some systems only report here that the disk is full.
    file.sync_all()?;
    Ok(())
}

impl View for TensorEntry {
    fn dtype(&self) -> Dtype {
        match self.values.dtype() {
            DType::F32 | DType::Flex32 => Dtype::F32,
            DType::F64 => Dtype::F64,
            DType::F16 => Dtype::F16,
            DType::BF16 => Dtype::BF16,
            other => unreachable!("a parameter of type {other:?}"),
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.values.clone().into_data().as_bytes().to_vec())
    }

    fn data_len(&self) -> usize {
        let elements: usize = self.shape.iter().product();
        elements * self.dtype().bitsize() / 8
    }
}

impl Decoder {
    /// Writes all weights except adapters to one safetensors file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_weights(&self, path: &Path) -> Result<()> {
        let mut entries = Vec::new();
        self.clone().for_each_parameter(|parameter| {
            if parameter.kind != ParameterKind::Adapter {
                entries.push(TensorEntry {
                    shape: parameter.shape(),
                    values: parameter.flat(),
                    name: parameter.name,
                });
            }
        });
        write_safetensors(path, entries)
    }
}
