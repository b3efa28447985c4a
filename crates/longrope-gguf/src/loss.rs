//! What a GGUF file cannot express.

use std::fmt;

/// A part of a model that is lost, or changed, in a GGUF file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Loss {
    /// The first positions are scaled like the others.
    StartTokens {
        /// Their number.
        start_tokens: usize,
    },
    /// Factor sets beyond a short and a long one.
    Sets {
        /// Their contexts.
        max_contexts: Vec<usize>,
    },
    /// Short and long factors have one attention scale.
    ShortAttention {
        /// That of the short set.
        short: f64,
        /// That of the long set, which is used for both.
        long: f64,
    },
    /// Frequencies that change with the length of a text are fixed.
    FixedLength {
        /// The scaling.
        scaling: &'static str,
        /// The length.
        context: usize,
    },
    /// No rotation is written as factors that leave next to no angle.
    HugeFactors {
        /// The factor of every pair.
        factor: f64,
    },
    /// Layers with a sliding window see all tokens.
    Window {
        /// The narrowest window, in tokens.
        window: usize,
        /// Number of layers with a window below the context.
        n_layers: usize,
    },
    /// There is no tokenizer in the folder.
    NoTokenizer,
    /// Texts are not normalized before they are tokenized.
    Normalization {
        /// The normalizer.
        normalizer: String,
    },
    /// Pieces may be merged in another order than the tokenizer does.
    MergeOrder,
    /// A tensor has another type than asked for.
    UnevenRows {
        /// The tensor.
        tensor: String,
        /// Length of its rows.
        row: u64,
    },
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StartTokens { start_tokens } => write!(
                f,
                "a GGUF file cannot leave the first {start_tokens} positions unscaled: they are scaled"
            ),
            Self::Sets { max_contexts } => write!(
                f,
                "the factor sets for contexts {max_contexts:?} are left out: a GGUF file holds one short and one long set"
            ),
            Self::ShortAttention { short, long } => write!(
                f,
                "the short set has attention scale {short}, the long set {long}: a GGUF file has one, {long} is used for both"
            ),
            Self::FixedLength { scaling, context } => write!(
                f,
                "llama.cpp cannot let the `{scaling}` scaling follow the length of a text: it is as at {context} tokens"
            ),
            Self::HugeFactors { factor } => write!(
                f,
                "a GGUF file has no key for no rotation: it has factors of {factor:e}, which leave angles too small for f32"
            ),
            Self::Window { window, n_layers } => write!(
                f,
                "the sliding window of {window} tokens in {n_layers} layer(s) is lost: in llama.cpp they see all tokens"
            ),
            Self::NoTokenizer => f.write_str(
                "the model folder has no tokenizer.json: the file holds no tokenizer, and programs can only give it token ids",
            ),
            Self::Normalization { normalizer } => write!(
                f,
                "llama.cpp does not normalize texts to {normalizer}: texts in another form get other tokens"
            ),
            Self::MergeOrder => f.write_str(
                "llama.cpp merges every pair that is in the vocabulary, but the tokenizer has no rule for some: a few texts \
                 get other tokens",
            ),
            Self::UnevenRows { tensor, row } => write!(
                f,
                "rows of tensor `{tensor}` have {row} numbers, no multiple of 32: it is written as F32"
            ),
        }
    }
}
