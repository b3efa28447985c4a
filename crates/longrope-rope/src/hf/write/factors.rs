//! Scalings that are written as LongRoPE factors, because the config cannot hold them as they are.

use serde_json::{Map, Value};

use crate::hf::keys::MODEL_TYPE;
use crate::{Error, RescaleFactors, Result, RopeScaling, RopeSpec, Warning};

/// Factor of every pair of a RoPE that does not rotate.
///
/// transformers computes `1 / (factor · θ^(2i/d))` and the angles in f32. With this factor, the product stays finite for
/// `θ` up to 1e13, and the angle of position 10,000,000 is at most 1e-18. Its cosine is 1, and its sine times one
/// dimension changes the other by far less than f32 resolves.
const DROPPED: f64 = 1e25;

/// The same frequencies as LongRoPE factors, in a config that cannot hold other scalings; `None` if the scaling stays as
/// it is.
pub(super) fn as_long_rope(
    config: &Map<String, Value>,
    spec: &RopeSpec,
    target_context: usize,
    warnings: &mut Vec<Warning>,
) -> Result<Option<RopeSpec>> {
    if !needs_factors(config, spec)? {
        return Ok(None);
    }
    let factors = if let RopeScaling::Drope { sharpening } = spec.scaling {
        warnings.push(Warning::WrittenAsHugeFactors { factor: DROPPED });
        if sharpening > 0.0 {
            warnings.push(Warning::SharpeningFixed { target_context });
        }
        RescaleFactors::new(vec![DROPPED; spec.n_pairs()])?
    } else {
        let scaling = spec.scaling.name();
        warnings.push(Warning::WrittenAsLongRope { scaling });
        spec.factors_at(target_context)?
    };
    spec.with_equal_sets(target_context, &factors, 0).map(Some)
}

/// Whether a scaling takes the form of factors.
///
/// # Errors
/// [`Error::NotWritable`] for a scaling whose frequencies change with every length.
fn needs_factors(config: &Map<String, Value>, spec: &RopeSpec) -> Result<bool> {
    match spec.scaling {
        RopeScaling::None {}
        | RopeScaling::Theta { .. }
        | RopeScaling::SelfExtend { .. }
        | RopeScaling::NtkAware { .. }
        | RopeScaling::LongRope { .. } => Ok(false),
        RopeScaling::Drope { .. }
        | RopeScaling::Linear { .. }
        | RopeScaling::Yarn { .. }
        | RopeScaling::Llama3 { .. } => Ok(true),
        RopeScaling::DynamicNtk { .. } => {
            let model_type = config.get(MODEL_TYPE).and_then(Value::as_str);
            Err(Error::NotWritable {
                scaling: spec.scaling.name(),
                model_type: model_type.unwrap_or_default().to_owned(),
            })
        }
    }
}
