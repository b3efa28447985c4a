//! What llama.cpp computes for a RoPE in a GGUF file.

use longrope_gguf::{Architecture, Sets, rope_keys};
use longrope_rope::RopeSpec;

use super::shape::shape;
use crate::config::ModelConfig;
use crate::error::Result;

/// The RoPE that llama.cpp computes from the file that [`export_gguf`](crate::export_gguf) writes for `spec` and `context`
/// tokens, with a context allocated for the length of the text.
///
/// # Errors
/// If the model or the RoPE cannot be expressed.
pub fn gguf_rope(
    model: &ModelConfig,
    spec: &RopeSpec,
    context: usize,
    sets: Sets,
) -> Result<RopeSpec> {
    let architecture = Architecture::of(&shape(model))?;
    let keys = rope_keys(architecture, spec, context, sets, &mut Vec::new())?;
    Ok(keys.computed(&model.rope.plain())?)
}
