//! Whether there is anything to extend: at all in a model, and at a context.

use anyhow::{Result, anyhow};
use longrope_model::ModelConfig;

use crate::failure::Hint;

/// Refuses a model in which only layers with a sliding window rotate: other factors change nothing far away.
///
/// # Errors
/// If it is such a model, and `rope-layers` is not `all`.
pub(crate) fn check_model(model: &ModelConfig) -> Result<()> {
    if model.has_extendable_rope() {
        return Ok(());
    }
    Err(anyhow!(
        "no layer that sees all tokens rotates its keys: there is nothing to extend in a `{}` model like this one",
        model.family.model_type()
    )
    .context(Hint(
        "measure it at longer contexts as it is, with eval ppl or compare".to_owned(),
    )))
}

/// Refuses a target at which there is nothing to extend.
///
/// # Errors
/// As [`check_model`], and if the target is within the context that the model was trained for.
pub(crate) fn check_target(model: &ModelConfig, target: usize) -> Result<()> {
    check_model(model)?;
    let original = model.rope.original_context;
    if target > original {
        return Ok(());
    }
    Err(anyhow!(
        "`--target` is {target}, and the model was trained for {original} tokens: there is nothing to extend"
    )
    .context(Hint(format!(
        "choose a target above {original}, for example --target {}",
        original.saturating_mul(4)
    ))))
}
