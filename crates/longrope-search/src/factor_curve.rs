//! Rescale factors as curves over the rotary pairs, to plot.

use longrope_rope::{Method, Result, RopeSpec};

/// The rescale factors of one RoPE.
#[derive(Clone, Debug, PartialEq)]
pub struct FactorCurve {
    /// What a legend calls it.
    pub name: &'static str,
    /// (index of the rotary pair, factor that divides its frequency), fastest pair first.
    pub points: Vec<(f64, f64)>,
}

/// The factors of a RoPE at its longest context, and those of PI, NTK and YaRN for the same context to compare with.
///
/// The first curve is the given RoPE's and is called `name`, the others are called by [`Method::name`].
///
/// # Errors
/// The errors of [`Method::spec`].
pub fn factor_curves(name: &'static str, spec: &RopeSpec) -> Result<Vec<FactorCurve>> {
    let (base, context) = (spec.plain(), spec.max_context());
    let plain = base.resolve(context);
    let curve = |name, spec: &RopeSpec| {
        let scaled = spec.resolve(context);
        let pairs = plain.inv_freq().iter().zip(scaled.inv_freq());
        let factors = pairs.map(|(plain, scaled)| plain / scaled);
        FactorCurve {
            name,
            points: factors
                .enumerate()
                .map(|(pair, factor)| (pair as f64, factor))
                .collect(),
        }
    };
    let mut curves = vec![curve(name, spec)];
    for method in [Method::Pi, Method::Ntk, Method::Yarn] {
        curves.push(curve(method.name(), &method.spec(&base, context)?));
    }
    Ok(curves)
}

#[cfg(test)]
mod tests {
    use longrope_rope::{AttentionScale, FactorSet, RescaleFactors, RopeScaling};

    use super::*;

    #[test]
    fn curves_are_the_factors_at_the_longest_context() {
        let set = |max_context, factors: [f64; 4]| FactorSet {
            max_context,
            start_tokens: 0,
            factors: RescaleFactors::new(factors.to_vec()).expect("positive"),
            attention: None,
        };
        let scaling = RopeScaling::LongRope {
            sets: vec![set(256, [1.0; 4]), set(1024, [1.0, 1.5, 3.0, 4.0])],
            attention: AttentionScale::Su {},
        };
        let spec = RopeSpec::new(8, 1e4, 256, scaling).expect("valid");
        let curves = factor_curves("searched", &spec).expect("valid");
        let names: Vec<_> = curves.iter().map(|curve| curve.name).collect();
        assert_eq!(names, ["searched", "pi", "ntk", "yarn"]);
        let close = |curve: &FactorCurve, expected: [f64; 4]| {
            let points = curve.points.iter().zip(expected).enumerate();
            for (index, ((pair, factor), expected)) in points {
                assert!((pair - index as f64).abs() < f64::EPSILON);
                assert!((factor - expected).abs() < 1e-9, "{factor} {expected}");
            }
        };
        close(&curves[0], [1.0, 1.5, 3.0, 4.0]);
        close(&curves[1], [4.0; 4]);
    }
}
