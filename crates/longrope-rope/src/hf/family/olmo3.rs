//! OLMo 3, as `Olmo3Config` reads it: OLMo 2 with a sliding window and a plain rope in three of four layers.

use super::super::fields::Fields;
use super::super::layout::Layout;
use super::super::windows::{every_nth_full, local_in_windows};
use super::rules::{ByLayerType, Defaults, LLAMA_ROPE, RopeRules, Rules, Sizes, Windows};
use crate::Result;

/// The base of all ropes of a config that has none.
const THETA: f64 = 500_000.0;

pub(super) const RULES: Rules = Rules {
    model_type: "olmo3",
    defaults: Defaults {
        ..super::olmo2::RULES.defaults
    },
    rope: RopeRules {
        theta: THETA,
        // The class takes its own default for these layers, whatever `rope_theta` says.
        by_layer_type: ByLayerType::Local {
            key: None,
            theta: THETA,
        },
        ..LLAMA_ROPE
    },
    ignored: &[],
    windows: |top, sizes| every_nth_full(top, sizes, 4096, 4),
    layout,
};

fn layout(top: &mut Fields, sizes: &Sizes, windows: &Windows) -> Result<Layout> {
    Ok(Layout {
        rotations: local_in_windows(windows),
        ..super::olmo2::layout(top, sizes, windows)?
    })
}
