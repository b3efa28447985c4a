//! What can go wrong with a checkpoint.

use std::path::PathBuf;

use crate::checkpoint::report::WeightReport;
use crate::export::float_type::FloatType;
use crate::lora_error::LoraError;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, with which file or tensor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model path is not a folder.
    #[error("model `{}` is not a folder", path.display())]
    NotAFolder {
        /// The path given.
        path: PathBuf,
    },
    /// A file of the checkpoint is not there.
    #[error("model folder `{}` has no `{file}`", folder.display())]
    FileMissing {
        /// The checkpoint folder.
        folder: PathBuf,
        /// The file that was looked for.
        file: String,
    },
    /// A shard that the index lists is not there.
    #[error("shard `{shard}` of `{}` is missing, it holds {n_tensors} tensors such as `{tensor}`", folder.display())]
    ShardMissing {
        /// The checkpoint folder.
        folder: PathBuf,
        /// The shard's file name.
        shard: String,
        /// How many tensors the index places there.
        n_tensors: usize,
        /// One of them.
        tensor: String,
    },
    /// Weights could not be written.
    #[error("writing `{}`: {problem}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        problem: String,
    },
    /// Adapters do not fit the model or their files.
    #[error("low-rank adapters: {0}")]
    Lora(LoraError),
    /// A model whose layers stay in their files was to be trained.
    #[error("a model with streamed weights cannot be trained, its layers are not in memory")]
    StreamedTraining,
    /// A file could not be read or written; the source names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A JSON file does not parse.
    #[error("`{}` is not valid JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's complaint, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// A key of `config.json` is missing or has the wrong type.
    #[error("`{}` has no usable key `{key}`, expected {expected}", path.display())]
    ConfigKey {
        /// The configuration file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// The configuration asks for something the decoder does not do.
    #[error("`{}` has `{key}` = {found}, supported: {supported}", path.display())]
    Unsupported {
        /// The configuration file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// The values that work.
        supported: String,
    },
    /// The RoPE part of `config.json` is wrong.
    #[error("`{}` has a RoPE that cannot be used", path.display())]
    Rope {
        /// The configuration file.
        path: PathBuf,
        /// Which key, and why.
        #[source]
        source: Box<longrope_rope::Error>,
    },
    /// A safetensors file is damaged.
    #[error("`{}` is not a readable safetensors file: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// Tensors are missing, unexpected or of the wrong shape.
    #[error("the tensors of `{}` do not fit its config.json\n{report}", folder.display())]
    Weights {
        /// The checkpoint folder.
        folder: PathBuf,
        /// Every tensor that does not fit.
        report: WeightReport,
    },
    /// Token ids outside the vocabulary.
    #[error("token {token} at index {index} is outside the vocabulary of {vocab_size}")]
    TokenOutOfVocabulary {
        /// The id.
        token: u32,
        /// Its place in the window.
        index: usize,
        /// Size of the vocabulary.
        vocab_size: usize,
    },
    /// The sequences of a batch have different lengths.
    #[error("sequence {index} of the batch has {found} tokens, expected {expected}")]
    UnequalLengths {
        /// Which sequence.
        index: usize,
        /// Its length.
        found: usize,
        /// The length of the first one.
        expected: usize,
    },
    /// A prompt without tokens.
    #[error("the prompt has no tokens, expected at least one")]
    EmptyPrompt,
    /// More tokens than a cache was made for.
    #[error("the cache has room for {capacity} tokens, the sequence needs {needed}")]
    CacheFull {
        /// Tokens of the sequence.
        needed: usize,
        /// Room in the cache.
        capacity: usize,
    },
    /// A sequence too short to predict anything.
    #[error(
        "a window has {found} tokens and scores from {score_from}, expected at least one scored token after the first"
    )]
    NothingToScore {
        /// Length of the sequence.
        found: usize,
        /// First scored token.
        score_from: usize,
    },
    /// A weight does not fit the type it is to be written in.
    #[error("tensor `{tensor}` holds {value}, the largest {dtype} is {}", dtype.largest())]
    WeightOverflow {
        /// The tensor.
        tensor: String,
        /// The weight.
        value: f64,
        /// The type.
        dtype: FloatType,
    },
    /// The size of weight files is no size.
    #[error(
        "the shard size is `{text}`, expected a whole number of bytes, kB, MB, GB, TB, KiB, MiB, GiB or TiB"
    )]
    ShardSize {
        /// What was given.
        text: String,
    },
    /// The export folder is there already.
    #[error("`{}` exists already", path.display())]
    OutputExists {
        /// The folder.
        path: PathBuf,
    },
}

impl From<LoraError> for Error {
    fn from(error: LoraError) -> Self {
        Self::Lora(error)
    }
}
