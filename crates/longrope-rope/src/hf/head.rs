//! The family of a config and the size of its heads.

use serde_json::{Map, Value};

use super::fields::Fields;
use crate::Result;

/// The size of one attention head.
pub(super) fn head_dim(config: &Map<String, Value>) -> Result<usize> {
    let mut top = Fields::new("", config);
    match top.count("head_dim")? {
        Some(head_dim) => Ok(head_dim),
        None => {
            Ok(top.needed_count("hidden_size")? / top.needed_count("num_attention_heads")?.max(1))
        }
    }
}

/// Whether this is a Phi-3 config. These load only the type longrope, and call it by older names.
pub(super) fn is_phi3(config: &Map<String, Value>) -> bool {
    config
        .get("model_type")
        .and_then(Value::as_str)
        .is_some_and(|model_type| model_type.starts_with("phi3"))
}

/// `int(head_dim * partial)`, as every runtime computes it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a size is rounded down"
)]
pub(super) fn rotary_dim(head_dim: usize, partial: f64) -> usize {
    (head_dim as f64 * partial) as usize
}
