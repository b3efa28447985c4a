//! Pre-tokenizers of llama.cpp that cut texts as those of Hugging Face do.

/// How a text is cut before merging, by the name that llama.cpp has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PreTokenizer {
    /// The regular expression of GPT-2.
    Gpt2,
    /// Each digit, then as GPT-2.
    SmolLm,
    /// The regular expression of LLaMA 3; whole words are looked up first.
    Llama3,
    /// The same without looking up whole words.
    Dbrx,
    /// The regular expression of Qwen2.
    Qwen2,
}

impl PreTokenizer {
    pub(crate) const ALL: &[Self] = &[
        Self::Gpt2,
        Self::SmolLm,
        Self::Llama3,
        Self::Dbrx,
        Self::Qwen2,
    ];

    /// The value of `tokenizer.ggml.pre`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gpt2 => "gpt-2",
            Self::SmolLm => "smollm",
            Self::Llama3 => "llama-bpe",
            Self::Dbrx => "dbrx",
            Self::Qwen2 => "qwen2",
        }
    }

    /// The pre-tokenizer with this name, or with another name for it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "gpt-2" | "olmo" | "mpt" => Self::Gpt2,
            "smollm" | "starcoder" | "refact" | "command-r" => Self::SmolLm,
            "llama-bpe" | "llama3" | "llama-v3" | "falcon3" | "pixtral" => Self::Llama3,
            "dbrx" | "smaug-bpe" => Self::Dbrx,
            "qwen2" | "stablelm2" | "deepseek-r1-qwen" | "megrez" => Self::Qwen2,
            _ => return None,
        })
    }

    /// Whether words that are tokens as a whole are not merged.
    pub(crate) fn ignores_merges(self) -> bool {
        self == Self::Llama3
    }
}

/// The regular expression of a pre-tokenizer that is not that of GPT-2, as tokenizers of Hugging Face write it.
pub(crate) fn split_pattern(pre: PreTokenizer) -> Option<&'static str> {
    match pre {
        PreTokenizer::Gpt2 | PreTokenizer::SmolLm => None,
        PreTokenizer::Llama3 | PreTokenizer::Dbrx => Some(LLAMA3),
        PreTokenizer::Qwen2 => Some(QWEN2),
    }
}

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
