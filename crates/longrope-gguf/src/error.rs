//! Errors of this crate.

use std::path::{Path, PathBuf};

use crate::format::TensorType;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, and where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system could not read or write a file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file has no content.
    #[error("`{}` is empty, expected a GGUF file", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is not GGUF.
    #[error("`{}` is not a GGUF file: it begins with {found:?}, expected \"GGUF\"", path.display())]
    NotGguf {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        found: String,
    },
    /// The file has a version of the format that is not read.
    #[error("`{}` has version {found} of GGUF, expected 2 or 3, in little-endian order", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version.
        found: u32,
    },
    /// The file ends before its content does.
    #[error("`{}` is truncated: {problem}", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// What is cut off.
        problem: String,
    },
    /// The content of the file contradicts itself.
    #[error("`{}` is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A key is missing, or its value is of another type or outside its range.
    #[error("`{}`: key `{key}` is {found}, expected {expected}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value, or "missing".
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A tensor is stored in a type that is not read.
    #[error("`{}`: tensor `{tensor}` has type {found}, expected one of {}", path.display(), TensorType::names())]
    TensorType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The name of the type, or its number.
        found: String,
    },
    /// The file is one of several that hold a model together.
    #[error("`{}` is one of {count} files that hold a model together, expected a file with a whole model", path.display())]
    Split {
        /// The file.
        path: PathBuf,
        /// Number of the files.
        count: u64,
    },
    /// The model in a file is one that we do not read.
    #[error("`{}` cannot be read as a model: {problem}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// llama.cpp cannot compute this model.
    #[error("a `{family}` model cannot be written as GGUF: {reason}")]
    Unsupported {
        /// The family.
        family: String,
        /// What llama.cpp lacks.
        reason: String,
    },
    /// A RoPE that GGUF cannot hold.
    #[error("the `{scaling}` scaling cannot be written as GGUF: {reason}")]
    Rope {
        /// The scaling.
        scaling: &'static str,
        /// Why.
        reason: String,
    },
    /// A tokenizer that llama.cpp does not have.
    #[error("the tokenizer cannot be written as GGUF: {problem}")]
    Tokenizer {
        /// What is not supported.
        problem: String,
    },
}

impl Error {
    pub(crate) fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }

    pub(crate) fn truncated(path: &Path, problem: impl Into<String>) -> Self {
        Self::Truncated {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }
}
