//! The sliding windows of the layers.

use serde_json::Value;

use super::bounds;
use super::family::{DEFAULT_WINDOW_LAYERS, Family};
use super::fields::Fields;
use crate::{Error, Result};

/// The keys that describe windows.
pub(super) const SLIDING_WINDOW: &str = "sliding_window";
pub(super) const USE_SLIDING_WINDOW: &str = "use_sliding_window";
pub(super) const MAX_WINDOW_LAYERS: &str = "max_window_layers";
pub(super) const LAYER_TYPES: &str = "layer_types";

/// The sliding window of each layer; `None` for layers where a query sees all earlier tokens.
///
/// A query sees itself and the `window - 1` tokens before it. Mistral and Phi-3 use `sliding_window` in every layer.
/// Qwen2 uses it only if `use_sliding_window` is true: in the layers that `layer_types` lists or, without that key, in
/// all layers from `max_window_layers` on.
pub(super) fn windows(
    family: Family,
    top: &mut Fields,
    n_layers: usize,
) -> Result<Vec<Option<usize>>> {
    if family == Family::Llama {
        return Ok(vec![None; n_layers]);
    }
    let written = top.count(SLIDING_WINDOW, &bounds::WINDOW)?;
    let default = family.defaults().sliding_window;
    let window = if top.has(SLIDING_WINDOW) {
        written
    } else {
        default
    };
    let window = window.filter(|window| *window > 0);
    if family != Family::Qwen2 {
        return Ok(vec![window; n_layers]);
    }
    let is_used = top.switch(USE_SLIDING_WINDOW)?;
    let first = top.count_or(
        MAX_WINDOW_LAYERS,
        &bounds::FIRST_LAYER,
        DEFAULT_WINDOW_LAYERS,
    )?;
    let listed = listed(top, n_layers)?;
    let window = window.filter(|_| is_used);
    let is_sliding = |layer: usize| listed.as_ref().map_or(layer >= first, |list| list[layer]);
    Ok((0..n_layers)
        .map(|layer| window.filter(|_| is_sliding(layer)))
        .collect())
}

/// Whether each layer has a window, by `layer_types`.
fn listed(top: &mut Fields, n_layers: usize) -> Result<Option<Vec<bool>>> {
    let kind = |value: &Value| match value.as_str()? {
        "sliding_attention" => Some(true),
        // The second is an old name.
        "full_attention" | "attention" => Some(false),
        _ => None,
    };
    let kinds = |value: &Value| value.as_array()?.iter().map(kind).collect();
    let expected = "null or a list of \"full_attention\" and \"sliding_attention\"";
    let Some(list): Option<Vec<bool>> = top.typed(LAYER_TYPES, expected, kinds)? else {
        return Ok(None);
    };
    if list.len() != n_layers {
        return Err(Error::ListLength {
            key: LAYER_TYPES.to_owned(),
            found: list.len(),
            expected: n_layers,
        });
    }
    Ok(Some(list))
}
