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
    /// Some tokens do not end a text.
    EndTokens {
        /// Their texts.
        tokens: Vec<String>,
    },
    /// Spaces beside added tokens are kept where the tokenizer leaves them out, or the other way round.
    Spaces {
        /// Number of these tokens.
        n_tokens: usize,
        /// The text of one.
        first: String,
    },
    /// The file names the model otherwise, so that llama.cpp loads it.
    Name {
        /// The name of the model.
        name: String,
        /// The name in the file.
        written: String,
        /// The token that is missing.
        token: &'static str,
    },
    /// A space is put not only before texts, but also after special tokens in them.
    SpaceAfterTokens,
    /// Pieces may be merged in another order than the tokenizer does.
    MergeOrder,
    /// Parts beside the language model, such as that for images, are left out.
    OtherParts {
        /// Number of their tensors.
        n_tensors: usize,
        /// The name of one.
        first: String,
    },
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
            Self::EndTokens { tokens } => write!(
                f,
                "texts do not end at {tokens:?} in llama.cpp: it does not take them for ends, and there are keys for two only"
            ),
            Self::Spaces { n_tokens, first } => write!(
                f,
                "no key says whether spaces beside added tokens are left out: for {n_tokens} token(s), such as {first:?}, \
                 llama.cpp does otherwise than the tokenizer"
            ),
            Self::Name { name, written, token } => write!(
                f,
                "the file names the model {written:?}: llama.cpp takes {name:?} for Phi-3, and does not load it without the \
                 token `{token}`"
            ),
            Self::SpaceAfterTokens => f.write_str(
                "llama.cpp puts a space after every special token in a text, the tokenizer only before the text",
            ),
            Self::MergeOrder => f.write_str(
                "llama.cpp merges every pair that is in the vocabulary, but the tokenizer has no rule for some: a few texts \
                 get other tokens",
            ),
            Self::OtherParts { n_tensors, first } => write!(
                f,
                "{n_tensors} tensor(s) beside the language model, such as `{first}`, are left out: llama.cpp reads images with \
                 the help of another file (mmproj), which its converter makes of the original model"
            ),
            Self::UnevenRows { tensor, row } => write!(
                f,
                "rows of tensor `{tensor}` have {row} numbers, no multiple of 32: it is written as F32"
            ),
        }
    }
}
