//! SmolLM3, as `SmolLM3Config` reads it: some layers do not rotate.

use serde_json::Value;

use super::super::bounds;
use super::super::fields::Fields;
use super::super::layout::{Layout, Rotation};
use super::super::windows::{SLIDING_WINDOW, USE_SLIDING_WINDOW, listed};
use super::rules::{ByLayerType, Defaults, LLAMA, LLAMA_ROPE, RopeRules, Rules, Sizes, Windows};
use crate::{Error, Result};

const NO_ROPE: &str = "no_rope_layers";
const INTERVAL: &str = "no_rope_layer_interval";

pub(super) const RULES: Rules = Rules {
    model_type: "smollm3",
    defaults: Defaults {
        vocab_size: 128_256,
        hidden_size: 2048,
        n_layers: 36,
        n_heads: 16,
        n_kv_heads: Some(4),
        max_context: 32_768,
        tied: true,
        bos_token: Some(128_000),
        eos_tokens: &[128_001],
        ..LLAMA
    },
    rope: RopeRules {
        theta: 2_000_000.0,
        by_layer_type: ByLayerType::Same,
        ..LLAMA_ROPE
    },
    ignored: &[],
    windows,
    layout,
};

/// Whether each layer rotates: by the list, in which 1 stands for layers that do, else all but every fourth.
fn rotates(top: &mut Fields, sizes: &Sizes) -> Result<Vec<bool>> {
    let flag = |value: &Value| match value.as_u64()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    };
    let flags = |value: &Value| value.as_array()?.iter().map(flag).collect();
    let list: Option<Vec<bool>> = top.typed(NO_ROPE, "null or a list of 0 and 1", flags)?;
    let interval = top.count_or(INTERVAL, &bounds::LAYERS, 4)?;
    let Some(mut list) = list else {
        return Ok((1..=sizes.n_layers)
            .map(|layer| !layer.is_multiple_of(interval))
            .collect());
    };
    // The class takes a longer list.
    if list.len() < sizes.n_layers {
        return Err(Error::ListLength {
            key: NO_ROPE.to_owned(),
            found: list.len(),
            expected: sizes.n_layers,
        });
    }
    list.truncate(sizes.n_layers);
    Ok(list)
}

/// The window is used in the layers that `layer_types` lists or, without that key and only if `use_sliding_window` is true,
/// in those that do not rotate.
fn windows(top: &mut Fields, sizes: &Sizes) -> Result<Windows> {
    let window = top.count(SLIDING_WINDOW, &bounds::WINDOW)?;
    let is_used = top.switch(USE_SLIDING_WINDOW)?;
    let rotates = rotates(top, sizes)?;
    let listed = listed(top, sizes.n_layers)?;
    let window = window.filter(|window| *window > 0);
    let by_rotation = |layer: usize| is_used && !rotates[layer];
    let is_sliding = |layer: usize| {
        let list = listed.as_ref();
        list.map_or_else(|| by_rotation(layer), |list| list[layer])
    };
    let layers = 0..sizes.n_layers;
    Ok(layers
        .map(|layer| window.filter(|_| is_sliding(layer)))
        .collect())
}

fn layout(top: &mut Fields, sizes: &Sizes, windows: &Windows) -> Result<Layout> {
    let rotates = rotates(top, sizes)?.into_iter();
    Ok(Layout {
        rotations: rotates
            .map(|rotates| {
                if rotates {
                    Rotation::Main
                } else {
                    Rotation::None
                }
            })
            .collect(),
        ..super::llama::layout(top, sizes, windows)?
    })
}
