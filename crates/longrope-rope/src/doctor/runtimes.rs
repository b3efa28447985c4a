//! The rules of each runtime, and for which families they were read.

use super::computed::Computed;
use super::facts::{Facts, Family};
use super::view::Runtime;
use super::{
    candle, exllamav3, llama_cpp, longrope, mistral_rs, mlx_lm, onnxruntime_genai, sglang,
};
use super::{transformers4, transformers5, vllm};

/// What a runtime computes, or why it does not load the config.
pub(super) fn computed_by(
    runtime: Runtime,
    facts: &Facts,
) -> std::result::Result<Computed, String> {
    match runtime {
        Runtime::Transformers4 => transformers4::rules(facts),
        Runtime::Transformers5 => transformers5::rules(facts),
        Runtime::Vllm => vllm::rules(facts),
        Runtime::Sglang => sglang::rules(facts),
        Runtime::LlamaCpp => llama_cpp::rules(facts),
        Runtime::MlxLm => mlx_lm::rules(facts),
        Runtime::Exllamav3 => exllamav3::rules(facts),
        Runtime::MistralRs => mistral_rs::rules(facts),
        Runtime::Candle => candle::rules(facts),
        Runtime::OnnxruntimeGenai => onnxruntime_genai::rules(facts),
        Runtime::Longrope => Ok(longrope::rules(facts)),
    }
}

/// Whether the rules of a runtime were read for this family. Those of transformers 5 and vLLM are shared by all families
/// whose class has none of its own.
pub(super) fn is_covered(runtime: Runtime, facts: &Facts) -> bool {
    const READ: [Family; 4] = [Family::Llama, Family::Mistral, Family::Phi3, Family::Qwen2];
    const SHARED: [Runtime; 2] = [Runtime::Transformers5, Runtime::Vllm];
    let is_own = facts.family.has_own_rope_rules();
    let is_short = facts.is_short_in_transformers() && runtime == Runtime::Transformers5;
    runtime == Runtime::Longrope
        || READ.contains(&facts.family)
        || (SHARED.contains(&runtime) && !is_own)
        || is_short
}
