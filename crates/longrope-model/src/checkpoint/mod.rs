//! The weight files of a checkpoint: listing tensors and reading them.
//!
//! Headers are read when the checkpoint is opened, and tensors one at a time when they are requested. Files are read
//! rather than mapped into memory: if a file is truncated or replaced while it is in use, reading returns an error,
//! where a mapping would crash the process.

mod compare;
pub(crate) mod damage;
mod head;
mod header;
mod index;
mod nested;
pub(crate) mod non_finite;
pub(crate) mod report;
mod shards;
mod stored;
mod unique_keys;
pub(crate) mod write;

pub use damage::Damage;
pub(crate) use index::INDEX_FILE;
pub use report::{WeightProblem, WeightReport};
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
    /// The same files, relative to the folder.
    file_names: Vec<PathBuf>,
    has_index: bool,
    tensors: BTreeMap<String, StoredTensor>,
    /// Tensors that are not in the file that the index names, and that file.
    absent: BTreeMap<String, PathBuf>,
    /// The tensors of the language model by their names in it, if it is a part of the checkpoint.
    language: Option<BTreeMap<String, StoredTensor>>,
}

impl Checkpoint {
    /// Reads the headers of `model.safetensors` or, if there is none, of the shards that `model.safetensors.index.json`
    /// lists. With an index, a tensor is read from the file that the index names, whatever other files hold.
    ///
    /// # Errors
    /// If a file is missing, truncated, or not a safetensors file, or the index does not describe its files or leaves
    /// the folder.
    pub fn open(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Error::no_folder(folder));
        }
        let weights = shards::weights(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            files: weights.files.iter().map(|file| folder.join(file)).collect(),
            file_names: weights.files,
            has_index: weights.has_index,
            tensors: weights.tensors,
            absent: weights.absent,
            language: None,
        })
    }

    /// Opens a checkpoint together with its `config.json`, and checks that they match.
    ///
    /// A head of its own beside `tie_word_embeddings: true` is compared with the embeddings. If they differ, the head is
    /// part of the model, and the configuration returned says that it is not tied, as in transformers 5.
    ///
    /// # Errors
    /// Those of [`ModelConfig::from_folder`], [`Self::open`] and [`Self::check`].
    pub fn open_model(folder: &Path) -> Result<(ModelConfig, Self)> {
        let mut config = ModelConfig::from_folder(folder)?;
        let checkpoint = Self::open_for(folder, &config)?;
        if checkpoint.untie_own_head(&mut config)? {
            tracing::warn!(
                "`lm_head.weight` of `{}` differs from the embeddings, although config.json ties them: it is used as a head \
                 of its own, as in transformers 5",
                folder.display()
            );
        }
        checkpoint.check(&config)?;
        if let Some((tensor, file)) = checkpoint.absent.first_key_value() {
            tracing::warn!(
                "the index of `{}` places tensor `{tensor}` in `{}`, which does not have it; the model does not need it",
                folder.display(),
                file.display()
            );
        }
        Ok((config, checkpoint))
    }

    /// Like [`Self::open`], for a model with this configuration: if it is a part of the checkpoint, its tensors are found
    /// there.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_for(folder: &Path, config: &ModelConfig) -> Result<Self> {
        let mut checkpoint = Self::open(folder)?;
        if config.is_nested {
            checkpoint.language = Some(nested::language_tensors(&checkpoint.tensors));
        }
        Ok(checkpoint)
    }

    /// If `config` ties the head to the embeddings, but a head is stored that differs from them, unties it in `config`.
    /// Returns whether it did.
    ///
    /// # Errors
    /// If the weights cannot be read.
    pub fn untie_own_head(&self, config: &mut ModelConfig) -> Result<bool> {
        let unties = config.tied_embeddings && head::differs(self)?;
        if unties {
            config.tied_embeddings = false;
        }
        Ok(unties)
    }

    /// Opens a single safetensors file.
    ///
    /// # Errors
    /// If the file is missing or damaged.
    pub fn open_file(path: &Path) -> Result<Self> {
        let tensors = header::read_header(path, 0)?;
        Ok(Self {
            has_index: false,
            absent: BTreeMap::new(),
            language: None,
            folder: path.parent().map(Path::to_owned).unwrap_or_default(),
            files: vec![path.to_owned()],
            file_names: path.file_name().map(PathBuf::from).into_iter().collect(),
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

    /// The weight files relative to the folder, in the same order.
    pub(crate) fn file_names(&self) -> &[PathBuf] {
        &self.file_names
    }

    /// Whether an index says which file holds which tensor.
    pub(crate) fn has_index(&self) -> bool {
        self.has_index
    }

    /// The weight file that holds a tensor of this checkpoint.
    pub fn file_of(&self, stored: &StoredTensor) -> &Path {
        &self.files[stored.file_idx]
    }

    /// All stored tensors, by name.
    pub fn tensors(&self) -> &BTreeMap<String, StoredTensor> {
        &self.tensors
    }

    /// The tensors of the language model, by their names in it.
    pub(crate) fn model_tensors(&self) -> &BTreeMap<String, StoredTensor> {
        self.language.as_ref().unwrap_or(&self.tensors)
    }

    /// Whether the checkpoint holds more than a language model.
    pub(crate) fn is_nested(&self) -> bool {
        self.language.is_some()
    }

    /// The names of the stored tensors that are not of the language model, of a checkpoint that holds more.
    pub(crate) fn other_parts(&self) -> Vec<&str> {
        if !self.is_nested() {
            return Vec::new();
        }
        let names = self.tensors.keys().map(String::as_str);
        let is_other = |name: &&str| nested::name_in_language(name).is_none();
        names.filter(is_other).collect()
    }

    /// Total size of the stored tensors in bytes.
    pub fn n_bytes(&self) -> u64 {
        self.tensors.values().map(|t| t.n_bytes as u64).sum()
    }

    /// Checks that the stored tensors match `config`. Tensors beside the decoder, such as the head of a classifier, only cause
    /// a warning.
    ///
    /// # Errors
    /// If any tensor of the decoder is missing, is unexpected, or has the wrong shape or type; the error lists all of them.
    pub fn check(&self, config: &ModelConfig) -> Result<()> {
        let report = compare::compare(config, self.model_tensors(), &self.absent);
        if report.is_clean() {
            if let Some(first) = report.unused.first() {
                tracing::warn!(
                    "`{}` has {} tensor(s) beside the model, such as `{first}`: they are not read, as in transformers",
                    self.folder.display(),
                    report.unused.len()
                );
            }
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
        let stored = self
            .model_tensors()
            .get(name)
            .ok_or_else(|| Error::TensorMissing {
                folder: self.folder.clone(),
                tensor: name.to_owned(),
            })?;
        if stored.shape.len() != D {
            return Err(Error::Damaged {
                path: self.file_of(stored).to_owned(),
                damage: Damage::Tensor,
                problem: format!(
                    "tensor `{name}` has shape {:?}, expected {D} dimensions",
                    stored.shape
                ),
            });
        }
        let shape = stored.shape.clone();
        let data = match stored.dtype {
            // As they are, without a copy in `f32`, which is twice as large.
            Dtype::F16 if dtype == DType::F16 => {
                TensorData::new(self.values(name, stored, f16::from_le_bytes)?, shape)
            }
            Dtype::BF16 if dtype == DType::BF16 => {
                TensorData::new(self.values(name, stored, bf16::from_le_bytes)?, shape)
            }
            Dtype::F32 => TensorData::new(self.values(name, stored, f32::from_le_bytes)?, shape),
            Dtype::F64 => TensorData::new(self.values(name, stored, f64::from_le_bytes)?, shape),
            Dtype::F16 => {
                let wide = |bytes| f16::from_le_bytes(bytes).to_f32();
                TensorData::new(self.values(name, stored, wide)?, shape)
            }
            Dtype::BF16 => {
                let wide = |bytes| bf16::from_le_bytes(bytes).to_f32();
                TensorData::new(self.values(name, stored, wide)?, shape)
            }
            other => {
                return Err(Error::Damaged {
                    path: self.files[stored.file_idx].clone(),
                    damage: Damage::Tensor,
                    problem: format!(
                        "tensor `{name}` is stored as {other:?}, expected F32, F64, F16 or BF16"
                    ),
                });
            }
        };
        Ok(Tensor::from_data(data, (device, dtype)))
    }

    /// The elements of a tensor. Its bytes are read in pieces, so that they are not in memory as a whole beside the elements.
    fn values<const N: usize, T>(
        &self,
        name: &str,
        stored: &StoredTensor,
        from: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>> {
        /// Divisible by the size of every element.
        const CHUNK_BYTES: usize = 4 << 20;
        let mut values = Vec::with_capacity(stored.n_bytes / N);
        self.read_chunks(name, stored, CHUNK_BYTES, |bytes| {
            let (elements, _) = bytes.as_chunks::<N>();
            values.extend(elements.iter().map(|element| from(*element)));
            Ok(())
        })?;
        Ok(values)
    }

    /// Reads `n_bytes` of a tensor, from its byte `from` on.
    fn read_span(
        &self,
        name: &str,
        stored: &StoredTensor,
        from: u64,
        n_bytes: usize,
    ) -> Result<Vec<u8>> {
        let mut file = fs_err::File::open(self.file_of(stored))?;
        file.seek(SeekFrom::Start(stored.offset + from))?;
        let mut bytes = vec![0; n_bytes];
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
            damage: Damage::CutOff,
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
