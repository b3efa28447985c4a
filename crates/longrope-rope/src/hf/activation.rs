//! Activations of MLPs, by their names in transformers.

/// The activation of an MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x / (1 + exp(-x))`.
    Silu,
    /// `x · Φ(x)`, with the distribution function of the normal distribution.
    Gelu,
    /// Its approximation `x/2 · (1 + tanh(sqrt(2/π) · (x + 0.044715 x³)))`.
    GeluTanh,
    /// `max(x, 0)²`.
    ReluSquared,
}

impl Activation {
    /// The names that are known, several for one function.
    pub const NAMES: [&str; 7] = [
        "silu",
        "swish",
        "gelu",
        "gelu_pytorch_tanh",
        "gelu_new",
        "gelu_fast",
        "relu2",
    ];

    /// The activation with this name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "silu" | "swish" => Self::Silu,
            "gelu" => Self::Gelu,
            "gelu_pytorch_tanh" | "gelu_new" | "gelu_fast" => Self::GeluTanh,
            "relu2" => Self::ReluSquared,
            _ => return None,
        })
    }
}
