//! The rope of a Hugging Face `config.json`, in and out.
//!
//! transformers 4 spreads it over `rope_theta`, `partial_rotary_factor`, `original_max_position_embeddings` and
//! `rope_scaling`; transformers 5 has one object, `rope_parameters`. Hugging Face's words are used in this module and
//! in `doctor`, nowhere else.

mod fields;
mod long_rope;
mod read;
mod write;

pub(crate) use read::PHI3_ORIGINAL;
pub use read::{HfRope, read_hf_rope};
pub use write::write_hf_rope;

use serde_json::{Map, Value};

use crate::{AttentionScale, Result};
use fields::Fields;

pub(crate) const ROPE_SCALING: &str = "rope_scaling";
pub(crate) const ROPE_PARAMETERS: &str = "rope_parameters";
const MAX_POSITION: &str = "max_position_embeddings";
pub(crate) const ORIGINAL_POSITION: &str = "original_max_position_embeddings";
const PARTIAL: &str = "partial_rotary_factor";
pub(crate) const THETA: &str = "rope_theta";

/// Relative difference below which two numbers of a config mean the same: far above rounding, far below any effect.
const SAME: f64 = 1e-12;

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= SAME * a.abs().max(b.abs())
}

/// The size of one attention head.
fn head_dim(config: &Map<String, Value>) -> Result<usize> {
    let mut top = Fields::new("", config);
    match top.count("head_dim")? {
        Some(head_dim) => Ok(head_dim),
        None => {
            Ok(top.needed_count("hidden_size")? / top.needed_count("num_attention_heads")?.max(1))
        }
    }
}

/// Phi-3 configs differ from the others: they load no type but longrope, and call it by older names.
fn is_phi3(config: &Map<String, Value>) -> bool {
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
fn rotary_dim(head_dim: usize, partial: f64) -> usize {
    (head_dim as f64 * partial) as usize
}

/// The policy that gives `value`: the default of the type if it does, so that a number in a config stays a rule.
fn attention_policy(
    value: f64,
    default: AttentionScale,
    scale: f64,
    original_context: usize,
) -> AttentionScale {
    if same(value, default.value(scale, original_context)) {
        default
    } else if same(value, 1.0) {
        AttentionScale::None {}
    } else {
        AttentionScale::Constant { value }
    }
}
