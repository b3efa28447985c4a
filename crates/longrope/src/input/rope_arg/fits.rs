//! Whether a RoPE is for the model that it is used with.

use anyhow::{Result, anyhow};
use longrope_model::ModelConfig;
use longrope_rope::{RopeScaling, RopeSpec};

use crate::failure::Hint;
use crate::show::output::significant;

/// Checks that the factors are for this model: the number alone does not tell.
pub(super) fn check_fits(spec: &RopeSpec, model: &ModelConfig) -> Result<()> {
    if spec.rotary_dim != model.rope.rotary_dim {
        return Err(anyhow!(
            "its `rotary_dim` is {}, that of the model is {}",
            spec.rotary_dim,
            model.rope.rotary_dim
        )
        .context(Hint(
            "the RoPE is for a model with another head size".to_owned(),
        )));
    }
    #[expect(
        clippy::float_cmp,
        reason = "both are the number in a configuration file"
    )]
    if spec.theta != model.rope.theta && is_relative(&spec.scaling) {
        return Err(anyhow!(
            "its theta is {}, that of the model is {}",
            significant(spec.theta),
            significant(model.rope.theta)
        )
        .context(Hint("the RoPE is for another model".to_owned())));
    }
    Ok(())
}

/// Checks the RoPE that a file has for layers with a sliding window. The model keeps its own there, so another one is only a
/// sign that the file was made for another model.
pub(super) fn check_local(found: Option<&RopeSpec>, model: &ModelConfig) -> Result<()> {
    let Some(found) = found else {
        return Ok(());
    };
    let Some(expected) = &model.local_rope else {
        if model.shares_rope && model.family.has_local_rope() {
            tracing::warn!(
                "the RoPE that the file has for layers with a sliding window is not used, because `rope-layers` is `all`"
            );
            return Ok(());
        }
        return Err(anyhow!(
            "it has a RoPE of its own for `sliding_attention` layers, expected one RoPE for all layers, as a `{}` model has",
            model.family.model_type()
        )
        .context(Hint("the RoPE is for a model of another family".to_owned())));
    };
    if found.rotary_dim != expected.rotary_dim {
        return Err(anyhow!(
            "the `rotary_dim` of its `sliding_attention` layers is {}, that of the model is {}",
            found.rotary_dim,
            expected.rotary_dim
        )
        .context(Hint(
            "the RoPE is for a model with another head size".to_owned(),
        )));
    }
    if (found.theta, &found.scaling) != (expected.theta, &expected.scaling) {
        tracing::warn!(
            "the RoPE of layers with a sliding window is {} with theta {} in the file, and {} with theta {} in the model, \
             which keeps its own",
            found.scaling.name(),
            found.theta,
            expected.scaling.name(),
            expected.theta
        );
    }
    Ok(())
}

/// Whether a scaling changes the frequencies of the model, instead of replacing them.
fn is_relative(scaling: &RopeScaling) -> bool {
    !matches!(scaling, RopeScaling::None {}) && !scaling.is_for_any_context()
}

/// Warns about a base below that of the model, which helps nothing at longer contexts unless the model is trained for it.
pub(super) fn warn_of_smaller_base(name: &str, spec: &RopeSpec, model: &ModelConfig) {
    let own = model.rope.theta;
    if let RopeScaling::Theta { theta } = spec.scaling
        && theta < own
    {
        tracing::warn!("RoPE `{name}` lowers the base, which is {own} in the model");
    }
}

/// Warns about a RoPE that was made for a model with another original context. It may still be meant: models that differ
/// in nothing else are compared this way.
pub(super) fn warn_of_other_original(name: &str, spec: &RopeSpec, model: &ModelConfig) {
    let (found, expected) = (spec.original_context, model.rope.original_context);
    if found != expected && is_relative(&spec.scaling) {
        tracing::warn!(
            "RoPE `{name}` was made for an original context of {found} tokens, that of the model is {expected}"
        );
    }
}
