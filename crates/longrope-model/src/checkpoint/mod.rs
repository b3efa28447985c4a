//! The weight files of a checkpoint: listing tensors and reading them.
//!
//! Headers are read when the checkpoint is opened, and tensors one at a time when they are requested. Files are read
//! rather than mapped into memory: if a file is truncated or replaced while it is in use, reading returns an error,
//! where a mapping would crash the process.

mod compare;
pub(crate) mod report;
mod shards;
mod stored;

pub use report::{WeightProblem, WeightReport};
pub(crate) use shards::INDEX_FILE;
pub use stored::StoredTensor;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Tensor, TensorData};
use half::{bf16, f16};
use safetensors::Dtype;
use sha2::{Digest, Sha256};

use crate::config::ModelConfig;
use crate::error::{Error, Result};

/// A checkpoint folder whose headers have been read.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    files: Vec<PathBuf>,
    tensors: BTreeMap<String, StoredTensor>,
}

impl Checkpoint {
    /// Reads the headers of `model.safetensors`, or of the shards that `model.safetensors.index.json` lists.
    ///
    /// # Errors
    /// If a file is missing, truncated, or not a safetensors file.
    pub fn open(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Error::NotAFolder {
                path: folder.to_owned(),
            });
        }
        let files = shards::weight_files(folder)?;
        let mut tensors = BTreeMap::new();
        for (file_idx, path) in files.iter().enumerate() {
            for (name, tensor) in shards::read_header(path, file_idx)? {
                tensors.insert(name, tensor);
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            files,
            tensors,
        })
    }

    /// Opens a single safetensors file.
    ///
    /// # Errors
    /// If the file is missing or damaged.
    pub fn open_file(path: &Path) -> Result<Self> {
        let tensors = shards::read_header(path, 0)?;
        Ok(Self {
            folder: path.parent().map(Path::to_owned).unwrap_or_default(),
            files: vec![path.to_owned()],
            tensors: tensors.into_iter().collect(),
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The weight files, sorted by name.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The weight file that holds a tensor of this checkpoint.
    pub fn file_of(&self, stored: &StoredTensor) -> &Path {
        &self.files[stored.file_idx]
    }

    /// All stored tensors, by name.
    pub fn tensors(&self) -> &BTreeMap<String, StoredTensor> {
        &self.tensors
    }

    /// Total size of the stored tensors in bytes.
    pub fn n_bytes(&self) -> u64 {
        self.tensors.values().map(|t| t.n_bytes as u64).sum()
    }

    /// Checks that the stored tensors match `config`.
    ///
    /// # Errors
    /// If any tensor is missing, is unexpected, or has the wrong shape or type; the error lists all of them.
    pub fn check(&self, config: &ModelConfig) -> Result<()> {
        let report = compare::compare(config, &self.tensors);
        if report.is_clean() {
            return Ok(());
        }
        Err(Error::Weights {
            folder: self.folder.clone(),
            report,
        })
    }

    /// Reads one tensor to a device and converts it to `dtype`. `D` must be the rank of the stored tensor.
    ///
    /// # Errors
    /// If the tensor is missing or its file cannot be read.
    pub fn tensor<const D: usize>(
        &self,
        name: &str,
        device: &Device,
        dtype: DType,
    ) -> Result<Tensor<D>> {
        let stored = self.tensors.get(name).ok_or_else(|| Error::FileMissing {
            folder: self.folder.clone(),
            file: name.to_owned(),
        })?;
        let bytes = self.bytes(name, stored)?;
        let shape = stored.shape.clone();
        let data = match stored.dtype {
            Dtype::F32 => TensorData::new(decode(&bytes, f32::from_le_bytes), shape),
            Dtype::F64 => TensorData::new(decode(&bytes, f64::from_le_bytes), shape),
            Dtype::F16 => {
                TensorData::new(decode(&bytes, |b| f16::from_le_bytes(b).to_f32()), shape)
            }
            Dtype::BF16 => {
                TensorData::new(decode(&bytes, |b| bf16::from_le_bytes(b).to_f32()), shape)
            }
            other => {
                return Err(Error::Damaged {
                    path: self.files[stored.file_idx].clone(),
                    problem: format!(
                        "tensor `{name}` is stored as {other:?}, expected F32, F64, F16 or BF16"
                    ),
                });
            }
        };
        Ok(Tensor::from_data(data, (device, dtype)))
    }

    fn bytes(&self, name: &str, stored: &StoredTensor) -> Result<Vec<u8>> {
        let mut file = self.seek(stored)?;
        let mut bytes = vec![0; stored.n_bytes];
        let read = file.read_exact(&mut bytes);
        read.map_err(|error| self.cut_off(name, stored, error))?;
        Ok(bytes)
    }

    /// Reads one tensor in order and calls `consume` with pieces of at most `chunk_bytes`.
    pub(crate) fn read_chunks(
        &self,
        name: &str,
        stored: &StoredTensor,
        chunk_bytes: usize,
        mut consume: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut file = self.seek(stored)?;
        let mut chunk = vec![0; chunk_bytes.min(stored.n_bytes)];
        let mut left = stored.n_bytes;
        while left > 0 {
            let n_bytes = left.min(chunk.len());
            let read = file.read_exact(&mut chunk[..n_bytes]);
            read.map_err(|error| self.cut_off(name, stored, error))?;
            consume(&chunk[..n_bytes])?;
            left -= n_bytes;
        }
        Ok(())
    }

    /// Opens the file of a tensor at the first byte of the tensor.
    fn seek(&self, stored: &StoredTensor) -> Result<fs_err::File> {
        let mut file = fs_err::File::open(&self.files[stored.file_idx])?;
        file.seek(SeekFrom::Start(stored.offset))?;
        Ok(file)
    }

    /// The error for a failed read. The header was valid when the checkpoint was opened, but the file may have changed.
    fn cut_off(&self, name: &str, stored: &StoredTensor, error: io::Error) -> Error {
        if error.kind() != io::ErrorKind::UnexpectedEof {
            return error.into();
        }
        Error::Damaged {
            path: self.files[stored.file_idx].clone(),
            problem: format!("it ends within tensor `{name}`"),
        }
    }

    /// SHA-256 that identifies the checkpoint, in hexadecimal.
    ///
    /// It covers `config.json`, the name, shape and type of every tensor, and the bytes of every tensor. Of tensors
    /// above 1 MiB only the first and last half MiB are read, so that large checkpoints take seconds.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn fingerprint(&self) -> Result<String> {
        const HALF: u64 = 512 << 10;
        let mut hash = Sha256::new();
        hash.update(fs_err::read(self.folder.join("config.json"))?);
        for (name, stored) in &self.tensors {
            hash.update(format!("{name} {:?} {:?}\n", stored.shape, stored.dtype));
            let n_bytes = stored.n_bytes as u64;
            let mut file = fs_err::File::open(&self.files[stored.file_idx])?;
            let spans = if n_bytes <= 2 * HALF {
                vec![(0, n_bytes)]
            } else {
                vec![(0, HALF), (n_bytes - HALF, HALF)]
            };
            for (start, n) in spans {
                file.seek(SeekFrom::Start(stored.offset + start))?;
                let mut bytes = Vec::new();
                (&mut file).take(n).read_to_end(&mut bytes)?;
                hash.update(&bytes);
            }
        }
        let mut text = String::new();
        for byte in hash.finalize() {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Ok(text)
    }
}

fn decode<const N: usize, T>(bytes: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (elements, _) = bytes.as_chunks::<N>();
    elements.iter().map(|element| from(*element)).collect()
}
