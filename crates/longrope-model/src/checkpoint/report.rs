//! The report on all tensors that do not match a configuration.

use std::fmt;
use std::path::PathBuf;

use safetensors::Dtype;

/// Number of problems that are listed; the others are only counted.
const LISTED: usize = 8;

/// What is wrong with one tensor.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum WeightProblem {
    /// The tensor is needed but not stored.
    Missing {
        /// Its name.
        name: String,
        /// Its shape according to the configuration.
        expected: Vec<usize>,
    },
    /// The tensor is needed but not in the file that the index names.
    NotInFile {
        /// Its name.
        name: String,
        /// The file, relative to the checkpoint folder.
        file: PathBuf,
    },
    /// The tensor is stored but not needed.
    Unexpected {
        /// Its name.
        name: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// The stored shape differs from the shape in the configuration.
    WrongShape {
        /// Its name.
        name: String,
        /// The stored shape.
        found: Vec<usize>,
        /// The shape according to the configuration.
        expected: Vec<usize>,
    },
    /// The tensor is stored as numbers of four bits in blocks (MXFP4), which is not read.
    Packed {
        /// Its name; the stored tensors have `_blocks` and `_scales` after it.
        name: String,
    },
    /// The stored type cannot be read.
    WrongType {
        /// Its name.
        name: String,
        /// The stored type.
        found: Dtype,
    },
}

impl fmt::Display for WeightProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name, expected } => {
                write!(f, "tensor `{name}` is missing, expected {expected:?}")
            }
            Self::NotInFile { name, file } => write!(
                f,
                "tensor `{name}` is not in `{}`, where the index places it",
                file.display()
            ),
            Self::Unexpected { name, found } => {
                write!(f, "tensor `{name}` {found:?} is not part of the model")
            }
            Self::WrongShape {
                name,
                found,
                expected,
            } => {
                write!(
                    f,
                    "tensor `{name}` has shape {found:?}, expected {expected:?}"
                )
            }
            Self::Packed { name } => write!(
                f,
                "tensor `{name}` is stored as MXFP4 (`{name}_blocks` and `{name}_scales`), expected F32, F64, F16 or BF16"
            ),
            Self::WrongType { name, found } => write!(
                f,
                "tensor `{name}` is stored as {found:?}, expected F32, F64, F16 or BF16"
            ),
        }
    }
}

/// The differences between a checkpoint and its configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WeightReport {
    /// Tensors that do not match, at least one for each layer up to the number of stored tensors.
    pub problems: Vec<WeightProblem>,
    /// Number of missing tensors of further layers.
    pub n_unlisted: usize,
    /// Names of the tensors that are not a part of the decoder, if all that are one match.
    pub unused: Vec<String>,
}

impl WeightReport {
    /// Whether all tensors of the decoder match.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty() && self.n_unlisted == 0
    }
}

impl fmt::Display for WeightReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().take(LISTED).enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "  {problem}")?;
        }
        let n_more = self.problems.len().saturating_sub(LISTED);
        let n_more = n_more.saturating_add(self.n_unlisted);
        if n_more > 0 {
            write!(f, "\n  and {n_more} more")?;
        }
        Ok(())
    }
}
