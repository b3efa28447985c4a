//! Settings of an export to GGUF.

use longrope_gguf::{Sets, TensorType, Value};

use crate::export::should_stop::ShouldStop;

/// Settings of an export to GGUF.
#[derive(Clone, Copy, Debug)]
pub struct GgufOptions<'a> {
    /// Longest text that the file is for, in tokens.
    pub target_context: usize,
    /// Which factor sets the file holds.
    pub sets: Sets,
    /// Type of the matrices; `None` keeps the stored type of each. Normalizations, biases and factors are F32.
    pub dtype: Option<TensorType>,
    /// Whether an existing GGUF file may be replaced.
    pub overwrite: bool,
    /// Whether weights may be NaN or infinite.
    pub allow_non_finite: bool,
    /// Name of the source on the Hugging Face hub.
    pub hub_name: Option<&'a str>,
    /// Keys of the GGUF file that the source was unpacked from, which stay as they are: see
    /// [`origin_keys`](longrope_gguf::origin_keys).
    pub origin: &'a [(String, Value)],
    /// Whether texts begin with the beginning-of-text token.
    pub adds_bos: bool,
    /// The RoPE as JSON, with its provenance. The file holds it beside the keys that llama.cpp reads.
    pub rope_json: &'a str,
    /// Whether to stop before the file is complete.
    pub should_stop: ShouldStop<'a>,
}
