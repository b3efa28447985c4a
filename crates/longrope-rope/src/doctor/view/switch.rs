//! How a runtime chooses between factor sets.

use std::fmt;

use serde::Serialize;

/// The rule that chooses between factor sets.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Switch {
    /// There is one set for all tokens.
    Never {},
    /// Each forward pass by the largest position in its batch.
    PerForward {
        /// Largest length of the first set, in tokens.
        border: usize,
        /// Whether the key-value cache is computed again at the border.
        recomputes_cache: bool,
    },
    /// There are two sets, but only the long one is ever used.
    AlwaysLong {},
    /// Once for all requests, by the length that the caller asks the runtime for.
    ByRequestedLength {
        /// Largest length for the first set, in tokens.
        border: usize,
    },
    /// Once for all requests, by the `max_model_len` of the server.
    AtLoad {
        /// Largest `max_model_len` for the first set.
        border: usize,
    },
    /// Once per context, by the number of tokens allocated for it.
    ByAllocation {
        /// Largest allocation for the first set, in tokens.
        border: usize,
    },
    /// Each token by its own position.
    ByPosition {
        /// First position of the second set.
        border: usize,
    },
    /// Once per sequence, by the length of its prompt and everything that may be generated.
    PerSequence {
        /// Largest length of the first set, in tokens.
        border: usize,
    },
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never {} => write!(f, "never"),
            Self::AlwaysLong {} => write!(f, "always long"),
            Self::ByRequestedLength { border } => {
                write!(f, "at load, length asked for above {border}")
            }
            Self::PerForward {
                border,
                recomputes_cache,
            } => {
                let cache = if *recomputes_cache {
                    ", cache recomputed"
                } else {
                    ", cache kept"
                };
                write!(f, "per forward above {border}{cache}")
            }
            Self::AtLoad { border } => write!(f, "at load, max_model_len above {border}"),
            Self::ByAllocation { border } => write!(f, "at load, n_ctx above {border}"),
            Self::ByPosition { border } => write!(f, "per token from position {border}"),
            Self::PerSequence { border } => write!(f, "per sequence above {border}"),
        }
    }
}
