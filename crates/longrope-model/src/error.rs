//! Errors of this crate.

use std::path::{Path, PathBuf};

use longrope_data::counted;

use crate::checkpoint::damage::Damage;
use crate::checkpoint::report::WeightReport;
use crate::export::float_type::FloatType;
use crate::lora::LoraError;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

const MIB: u64 = 1 << 20;

/// What went wrong, and with which file or tensor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model path is not a folder.
    #[error("model `{}` is not a folder", path.display())]
    NotAFolder {
        /// The path given.
        path: PathBuf,
    },
    /// There is nothing at the model path.
    #[error("model `{}` does not exist", path.display())]
    ModelNotFound {
        /// The path given.
        path: PathBuf,
    },
    /// A file of the checkpoint is missing.
    #[error("model folder `{}` has no `{file}`", folder.display())]
    FileMissing {
        /// The checkpoint folder.
        folder: PathBuf,
        /// The file that was looked for.
        file: String,
    },
    /// A shard that the index lists is missing.
    #[error("shard `{shard}` of `{}` is missing; it holds {} such as `{tensor}`", folder.display(), counted(*n_tensors, "tensor"))]
    ShardMissing {
        /// The checkpoint folder.
        folder: PathBuf,
        /// The shard's file name.
        shard: String,
        /// Number of tensors that the index places in the shard.
        n_tensors: usize,
        /// One of them.
        tensor: String,
    },
    /// `model.safetensors.index.json` cannot be used.
    #[error("`{}` cannot be used: {problem}", path.display())]
    Index {
        /// The index.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A weight file is a pointer of Git LFS instead of the file.
    #[error("`{}` is a pointer of Git LFS, expected the weights themselves", path.display())]
    LfsPointer {
        /// The file.
        path: PathBuf,
    },
    /// A tensor that is needed is not in the weight files.
    #[error("the weights in `{}` have no tensor `{tensor}`", folder.display())]
    TensorMissing {
        /// The folder of the weights.
        folder: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// Weights could not be written.
    #[error("writing `{}`: {problem}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The message of the system.
        problem: String,
    },
    /// A weight has become another number of bytes than the header of its file states, which is a fault of this crate.
    #[error("writing `{}`: tensor `{tensor}` has become {found} bytes, expected {expected}", path.display())]
    WrittenSize {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Number of bytes that were written.
        found: u64,
        /// Number of bytes that the header states.
        expected: u64,
    },
    /// A tensor is larger than the largest buffer of its device.
    #[error(
        "tensor `{tensor}` takes {} MiB as {dtype}, but the largest buffer of its device has {} MiB",
        bytes.div_ceil(MIB), limit / MIB
    )]
    TensorTooLarge {
        /// The tensor.
        tensor: String,
        /// Its size in bytes.
        bytes: u64,
        /// Its type on the device.
        dtype: &'static str,
        /// Size of the largest buffer in bytes.
        limit: u64,
    },
    /// Adapters do not fit the model or their files.
    #[error("low-rank adapters: {0}")]
    Lora(LoraError),
    /// A model with streamed layers cannot be trained.
    #[error("a model with streamed weights cannot be trained: its layers are not in memory")]
    StreamedTraining,
    /// A RoPE with grouped positions cannot be trained.
    #[error(
        "a RoPE that groups the positions of far keys cannot be trained: its attention has no gradients"
    )]
    GroupedTraining,
    /// A file could not be read or written; the source names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A JSON file does not parse.
    #[error("`{}` is not valid JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The error of the parser, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// A key of `config.json` is missing or wrong.
    #[error("`{}` cannot be used", path.display())]
    Config {
        /// The configuration file.
        path: PathBuf,
        /// Which key is wrong, and why.
        #[source]
        source: Box<longrope_rope::Error>,
    },
    /// The configuration asks for something that the decoder does not support.
    #[error("`{}` has `{key}` = {found}, supported: {supported}", path.display())]
    Unsupported {
        /// The configuration file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// The supported values.
        supported: String,
    },
    /// A RoPE cannot be written to `config.json`.
    #[error("`{}` has a RoPE that cannot be used", path.display())]
    Rope {
        /// The configuration file.
        path: PathBuf,
        /// Which key is invalid, and why.
        #[source]
        source: Box<longrope_rope::Error>,
    },
    /// `generation_config.json` cannot be used.
    #[error("`{}` cannot be used: {problem}", path.display())]
    GenerationConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A safetensors file is damaged.
    #[error("`{}` is not a readable safetensors file: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The kind of damage.
        damage: Damage,
        /// What is wrong.
        problem: String,
    },
    /// Tensors are missing, unexpected, or have the wrong shape or type.
    #[error("the tensors of `{}` do not fit its config.json\n{report}", folder.display())]
    Weights {
        /// The checkpoint folder.
        folder: PathBuf,
        /// All tensors that do not match.
        report: WeightReport,
    },
    /// A token id is outside the vocabulary.
    #[error("token {token} at index {index} is outside the vocabulary of {vocab_size}")]
    TokenOutOfVocabulary {
        /// The id.
        token: u32,
        /// Its index in the sequence.
        index: usize,
        /// Size of the vocabulary.
        vocab_size: usize,
    },
    /// The model computed a number that is NaN or infinite.
    #[error("the {what} at position {position} is {value}, expected a finite number")]
    NotFinite {
        /// What was computed: `loss` or `logit`.
        what: &'static str,
        /// Position of the token that it is about, from 0.
        position: usize,
        /// The number.
        value: f32,
    },
    /// The sequences of a batch have different lengths.
    #[error("sequence {index} of the batch has {found} tokens, expected {expected}")]
    UnequalLengths {
        /// Index of the sequence.
        index: usize,
        /// Its length.
        found: usize,
        /// The length of the first one.
        expected: usize,
    },
    /// A prompt has no tokens.
    #[error("the prompt has no tokens, expected at least one")]
    EmptyPrompt,
    /// The sequence does not fit into the cache.
    #[error("the cache has room for {capacity} tokens, but the sequence needs {needed}")]
    CacheFull {
        /// Tokens in the whole sequence.
        needed: usize,
        /// Tokens that fit into the cache.
        capacity: usize,
    },
    /// No token of the sequence would be scored.
    #[error(
        "a window has {found} tokens and scores from {score_from}, expected at least one scored token after the first"
    )]
    NothingToScore {
        /// Length of the sequence.
        found: usize,
        /// First scored token.
        score_from: usize,
    },
    /// A weight is too large for the type that it should be written in.
    #[error("tensor `{tensor}` holds {value}, the largest {dtype} is {}", dtype.largest())]
    WeightOverflow {
        /// The tensor.
        tensor: String,
        /// The weight.
        value: f64,
        /// The type.
        dtype: FloatType,
    },
    /// A GGUF file cannot be read or written.
    #[error(transparent)]
    Gguf(#[from] longrope_gguf::Error),
    /// A weight that should be exported is NaN or infinite.
    #[error("{found}, expected a finite number")]
    WeightNotFinite {
        /// The tensor, its file, the place and the number, as a sentence.
        found: String,
    },
    /// The maximum size of weight files cannot be parsed.
    #[error(
        "the shard size is `{text}`, expected a whole number of bytes, kB, MB, GB, TB, KiB, MiB, GiB or TiB"
    )]
    ShardSize {
        /// The text given.
        text: String,
    },
    /// An export was asked to stop. Nothing of it is left.
    #[error("interrupted")]
    Stopped,
    /// The export folder exists, and an export may not replace it.
    #[error("`{}` is not replaced: {problem}", path.display())]
    OutputKept {
        /// The folder.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// The export folder already exists.
    #[error("`{}` exists already", path.display())]
    OutputExists {
        /// The folder.
        path: PathBuf,
    },
}

impl Error {
    /// The error for a model path without a folder.
    pub(crate) fn no_folder(path: &Path) -> Self {
        let path = path.to_owned();
        if path.exists() {
            Self::NotAFolder { path }
        } else {
            Self::ModelNotFound { path }
        }
    }

    /// What is wrong with a `config.json`.
    pub(crate) fn config(path: &Path, source: longrope_rope::Error) -> Self {
        let path = path.to_owned();
        match source {
            longrope_rope::Error::Json { source, .. } => Self::Json { path, source },
            longrope_rope::Error::UnknownFamily { found, expected } => Self::Unsupported {
                path,
                key: "model_type".to_owned(),
                found: format!("{found:?}"),
                supported: expected.0.join(", "),
            },
            longrope_rope::Error::UnknownActivation {
                key,
                found,
                expected,
            } => Self::Unsupported {
                path,
                key: key.to_owned(),
                found: format!("{found:?}"),
                supported: expected.0.join(", "),
            },
            source => Self::Config {
                path,
                source: Box::new(source),
            },
        }
    }
}

impl From<LoraError> for Error {
    fn from(error: LoraError) -> Self {
        Self::Lora(error)
    }
}
