//! What is wrong with a weight file.

/// How a safetensors file is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The end is missing.
    CutOff,
    /// There are more bytes than tensors.
    TooLong,
    /// The header cannot be read.
    Header,
    /// A tensor has a type or a shape that is not read.
    Tensor,
    /// A tensor has a type of quantized weights.
    Quantized,
}
