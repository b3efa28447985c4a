//! The keys that describe experts.

use serde_json::Value;

use super::bounds;
use super::experts::ExpertKind;
use super::family::Sizes;
use super::fields::Fields;
use crate::Result;

pub(super) const LOCAL_EXPERTS: &str = "num_local_experts";
pub(super) const EXPERTS: &str = "num_experts";
pub(super) const PER_TOKEN: &str = "num_experts_per_tok";

/// The number of experts, by the first of the names that is there. Most classes read one name only.
pub(super) fn n_experts(
    top: &mut Fields,
    sizes: &Sizes,
    keys: &[&'static str],
    default: usize,
) -> Result<usize> {
    let written = keys.iter().find(|key| top.has(key));
    let key = written.or(keys.first()).copied().unwrap_or(EXPERTS);
    let n = top.count_or(key, &bounds::EXPERTS, default)?;
    if n.saturating_mul(sizes.n_layers) > bounds::ALL_EXPERTS {
        return Err(top.wrong(key, "at most 262144 experts in all layers together"));
    }
    Ok(n)
}

/// The number of experts that each token uses.
pub(super) fn per_token(top: &mut Fields, n_experts: usize, default: usize) -> Result<usize> {
    let n = top.count_or(PER_TOKEN, &bounds::EXPERTS, default)?;
    if n > n_experts {
        return Err(top.wrong(PER_TOKEN, "at most the number of experts"));
    }
    Ok(n)
}

/// The layers with experts: every `decoder_sparse_step`th one that `mlp_only_layers` does not list.
pub(super) fn sparse_layers(top: &mut Fields, sizes: &Sizes) -> Result<Vec<bool>> {
    let step = top.count_or("decoder_sparse_step", &bounds::LAYERS, 1)?;
    let layers = |value: &Value| value.as_array()?.iter().map(Value::as_u64).collect();
    let dense: Option<Vec<u64>> = top.typed(
        "mlp_only_layers",
        "null or a list of indices of layers",
        layers,
    )?;
    let dense = dense.unwrap_or_default();
    let is_sparse =
        |layer: usize| (layer + 1).is_multiple_of(step) && !dense.contains(&(layer as u64));
    Ok((0..sizes.n_layers).map(is_sparse).collect())
}

/// Experts of three matrices with the names of LLaMA.
pub(super) const LLAMA_EXPERTS: ExpertKind = ExpertKind::Separate {
    list: "mlp.experts",
    gate: "gate_proj",
    up: "up_proj",
    down: "down_proj",
};
