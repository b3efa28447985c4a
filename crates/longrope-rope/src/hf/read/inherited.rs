//! The values that a rope section may leave to the top level of the config or to the defaults of its class.

use super::conflicts::conflict;
use super::top::Top;
use crate::hf::attention::same;
use crate::hf::bounds;
use crate::hf::fields::Fields;
use crate::hf::keys::{ORIGINAL_POSITION, THETA};
use crate::{Error, Result, Warning};

/// A number of the section, else the one at the top level.
pub(super) fn number(
    fields: &mut Fields,
    key: &'static str,
    bound: &bounds::Number,
    top: Option<f64>,
    warnings: &mut Vec<Warning>,
) -> Result<Option<f64>> {
    let inner = fields.number(key, bound)?;
    if let (Some(inner), Some(outer)) = (inner, top)
        && !same(inner, outer)
    {
        warnings.push(conflict(
            (fields.path(key), inner.to_string()),
            (key.to_owned(), outer.to_string()),
        ));
    }
    Ok(inner.or(top))
}

/// The base: of the section, of the top level, or the default of the class.
pub(super) fn theta(top: &Top, fields: &mut Fields, warnings: &mut Vec<Warning>) -> Result<f64> {
    if let Some(theta) = number(fields, THETA, &bounds::THETA, top.theta, warnings)? {
        return Ok(theta);
    }
    let Some(used) = top.rules.map(|rules| rules.theta) else {
        return Err(Error::MissingKey {
            key: THETA.to_owned(),
        });
    };
    if top.theta_is_null || fields.has(THETA) {
        warnings.push(Warning::NullTheta { used });
    }
    Ok(used)
}

/// The context before the extension: from the top level, else from the section, else the whole context.
///
/// A class with a default for it has it at the top level. That of a section in parts does not read the top level.
pub(super) fn original_context(
    top: &Top,
    fields: &mut Fields,
    warnings: &mut Vec<Warning>,
) -> Result<usize> {
    let inner = fields.loose_count(ORIGINAL_POSITION, &bounds::CONTEXT)?;
    if top.has_local_rope() {
        let used = inner.unwrap_or(top.max_context);
        let default = if inner.is_none() {
            " (the default)"
        } else {
            ""
        };
        if let Some(outer) = top.original_context
            && outer != used
        {
            warnings.push(conflict(
                (fields.path(ORIGINAL_POSITION), format!("{used}{default}")),
                (ORIGINAL_POSITION.to_owned(), outer.to_string()),
            ));
        }
        return Ok(used);
    }
    let default = top.rules.and_then(|rules| rules.original_context);
    let outer = top.original_context.or(default);
    if let (Some(inner), Some(outer)) = (inner, outer)
        && inner != outer
    {
        let is_default = top.original_context.is_none();
        let default = if is_default { " (the default)" } else { "" };
        warnings.push(conflict(
            (ORIGINAL_POSITION.to_owned(), format!("{outer}{default}")),
            (fields.path(ORIGINAL_POSITION), inner.to_string()),
        ));
    }
    Ok(outer.or(inner).unwrap_or(top.max_context))
}
