//! The programs that run models.

use serde::Serialize;

/// A program that runs models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Runtime {
    /// Hugging Face transformers before 5.
    #[serde(rename = "transformers-4")]
    Transformers4,
    /// Hugging Face transformers 5.
    #[serde(rename = "transformers-5")]
    Transformers5,
    /// vLLM.
    Vllm,
    /// SGLang.
    Sglang,
    /// llama.cpp, from a GGUF made by its own converter.
    #[serde(rename = "llama.cpp")]
    LlamaCpp,
    /// mlx-lm.
    MlxLm,
    /// exllamav3.
    Exllamav3,
    /// mistral.rs.
    #[serde(rename = "mistral.rs")]
    MistralRs,
    /// candle.
    Candle,
    /// ONNX Runtime GenAI, from a model made by its own builder.
    OnnxruntimeGenai,
    /// This project.
    Longrope,
}

impl Runtime {
    /// All runtimes, this project last.
    pub const ALL: [Self; 11] = [
        Self::Transformers4,
        Self::Transformers5,
        Self::Vllm,
        Self::Sglang,
        Self::LlamaCpp,
        Self::MlxLm,
        Self::Exllamav3,
        Self::MistralRs,
        Self::Candle,
        Self::OnnxruntimeGenai,
        Self::Longrope,
    ];

    /// The name to display.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transformers4 => "transformers 4",
            Self::Transformers5 => "transformers 5",
            Self::Vllm => "vLLM",
            Self::Sglang => "SGLang",
            Self::LlamaCpp => "llama.cpp",
            Self::MlxLm => "mlx-lm",
            Self::Exllamav3 => "exllamav3",
            Self::MistralRs => "mistral.rs",
            Self::Candle => "candle",
            Self::OnnxruntimeGenai => "ONNX Runtime GenAI",
            Self::Longrope => "longrope",
        }
    }
}

/// The names of runtimes, separated by commas.
pub(super) fn names(runtimes: &[Runtime]) -> String {
    let names: Vec<&str> = runtimes.iter().map(|runtime| runtime.name()).collect();
    names.join(", ")
}
