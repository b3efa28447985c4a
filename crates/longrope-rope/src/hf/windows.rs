//! The sliding windows of the layers.

use serde_json::Value;

use super::bounds;
use super::family::{Sizes, Windows};
use super::fields::Fields;
use super::layout::Rotation;
use crate::{Error, Result};

/// The keys that describe windows.
pub(super) const SLIDING_WINDOW: &str = "sliding_window";
pub(super) const USE_SLIDING_WINDOW: &str = "use_sliding_window";
pub(super) const MAX_WINDOW_LAYERS: &str = "max_window_layers";
pub(super) const LAYER_TYPES: &str = "layer_types";

/// `max_window_layers` of a Qwen config that has none.
const DEFAULT_WINDOW_LAYERS: usize = 28;

/// `sliding_window`: a query sees itself and the `window - 1` tokens before it. `null` and 0 are no window.
pub(super) fn sliding_window(top: &mut Fields, default: Option<usize>) -> Result<Option<usize>> {
    let written = top.count(SLIDING_WINDOW, &bounds::WINDOW)?;
    let window = if top.has(SLIDING_WINDOW) {
        written
    } else {
        default
    };
    Ok(window.filter(|window| *window > 0))
}

/// The same window in every layer.
pub(super) fn every_layer(
    top: &mut Fields,
    sizes: &Sizes,
    default: Option<usize>,
) -> Result<Windows> {
    Ok(vec![sliding_window(top, default)?; sizes.n_layers])
}

/// The windows of Qwen2 and Qwen3, only if `use_sliding_window` is true: in the layers that `layer_types` lists or,
/// without that key, in all layers from `max_window_layers` on.
pub(super) fn from_a_layer_on(top: &mut Fields, sizes: &Sizes) -> Result<Windows> {
    let window = sliding_window(top, Some(4096))?;
    let is_used = top.switch(USE_SLIDING_WINDOW)?;
    let first = top.count_or(
        MAX_WINDOW_LAYERS,
        &bounds::FIRST_LAYER,
        DEFAULT_WINDOW_LAYERS,
    )?;
    let window = window.filter(|_| is_used);
    listed_or(top, sizes, window, |layer| layer >= first)
}

/// A window in all layers but every `n`th one, unless `layer_types` says otherwise.
pub(super) fn every_nth_full(
    top: &mut Fields,
    sizes: &Sizes,
    default: usize,
    n: usize,
) -> Result<Windows> {
    let window = sliding_window(top, Some(default))?;
    listed_or(top, sizes, window, |layer| !(layer + 1).is_multiple_of(n))
}

/// The window in the layers that `layer_types` lists or, without that key, in those that are `sliding` by their index.
pub(super) fn listed_or(
    top: &mut Fields,
    sizes: &Sizes,
    window: Option<usize>,
    sliding: impl Fn(usize) -> bool,
) -> Result<Windows> {
    let listed = listed(top, sizes.n_layers)?;
    let is_sliding = |layer: usize| {
        let by_index = || sliding(layer);
        listed.as_ref().map_or_else(by_index, |list| list[layer])
    };
    let layers = 0..sizes.n_layers;
    Ok(layers
        .map(|layer| window.filter(|_| is_sliding(layer)))
        .collect())
}

/// Layers with a window have a rope of their own.
pub(super) fn local_in_windows(windows: &Windows) -> Vec<Rotation> {
    let rotation = |window: &Option<usize>| match window {
        Some(_) => Rotation::Local,
        None => Rotation::Main,
    };
    windows.iter().map(rotation).collect()
}

/// Only layers with a window rotate.
pub(super) fn rotated_in_windows(windows: &Windows) -> Vec<Rotation> {
    let rotation = |window: &Option<usize>| match window {
        Some(_) => Rotation::Main,
        None => Rotation::None,
    };
    windows.iter().map(rotation).collect()
}

/// Whether each layer has a window, by `layer_types`.
pub(super) fn listed(top: &mut Fields, n_layers: usize) -> Result<Option<Vec<bool>>> {
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
