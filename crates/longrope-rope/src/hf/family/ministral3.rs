//! Ministral 3, as `Ministral3Config` reads it: queries grow with their position.

use super::super::bounds;
use super::super::fields::Fields;
use super::super::keys::{ORIGINAL_POSITION, ROPE_PARAMETERS, ROPE_SCALING};
use super::super::layout::{AttentionLayout, Layout, QueryGrowth};
use super::super::windows::every_layer;
use super::rules::{Defaults, LLAMA, LLAMA_ROPE, RopeRules, Rules, Sizes, Windows};
use crate::Result;

const BETA: &str = "llama_4_scaling_beta";

/// The rope of a config that has none.
const MISSING: &str = r#"{"rope_type": "yarn", "rope_theta": 1000000.0, "factor": 16.0, "beta_fast": 32.0,
    "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "original_max_position_embeddings": 16384,
    "llama_4_scaling_beta": 0.1}"#;

pub(super) const RULES: Rules = Rules {
    model_type: "ministral3",
    defaults: Defaults {
        vocab_size: 131_072,
        intermediate_size: 14_336,
        n_layers: 34,
        n_kv_heads: Some(8),
        null_kv_heads: false,
        head_dim: Some(128),
        max_context: 262_144,
        norm_eps: ("rms_norm_eps", 1e-5),
        ..LLAMA
    },
    rope: RopeRules {
        other_keys: &[BETA, ORIGINAL_POSITION],
        missing: Some(MISSING),
        ..LLAMA_ROPE
    },
    ignored: super::mistral::IGNORED,
    windows: |top, sizes| every_layer(top, sizes, None),
    layout,
};

fn layout(top: &mut Fields, sizes: &Sizes, _: &Windows) -> Result<Layout> {
    let section = match top.object(ROPE_SCALING)?.filter(|keys| !keys.is_empty()) {
        Some(keys) => Some((ROPE_SCALING, keys)),
        None => top
            .object(ROPE_PARAMETERS)?
            .map(|keys| (ROPE_PARAMETERS, keys)),
    };
    let outer = top.loose_count(ORIGINAL_POSITION, &bounds::CONTEXT)?;
    let query_growth = match section {
        Some((name, keys)) => {
            let mut fields = Fields::new(name, keys);
            let beta = fields.needed_number(BETA, &bounds::NOT_NEGATIVE)?;
            // The class overwrites the context in the section of these types.
            let rope_type = fields.text("rope_type")?.or(fields.text("type")?);
            let is_scaled = matches!(rope_type, Some("llama3" | "yarn" | "longrope"));
            let context = match outer.filter(|_| is_scaled) {
                Some(outer) => outer,
                None => fields.needed_count(ORIGINAL_POSITION, &bounds::CONTEXT)?,
            };
            QueryGrowth { beta, context }
        }
        None => QueryGrowth {
            beta: 0.1,
            context: outer.unwrap_or(16_384),
        },
    };
    let base = sizes.llama();
    Ok(Layout {
        attention: AttentionLayout {
            query_growth: Some(query_growth),
            ..base.attention
        },
        ..base
    })
}
