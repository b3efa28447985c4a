//! Other RoPEs as factor sets.

use longrope_rope::{AttentionScale, FactorSet, RescaleFactors, RopeScaling, RopeSpec};

/// Attention scales that differ by less are the same. They are near 1, and the error of their formulas is near 1e-16.
pub(crate) const SAME_SCALE: f64 = 1e-12;

/// The set with which LongRoPE does what `rope` does in a sequence of `context` tokens. `None` if factors cannot: they do not
/// say how positions are grouped, and a pair that does not turn has none.
pub(crate) fn set_at(rope: &RopeSpec, context: usize) -> Option<FactorSet> {
    let (start_tokens, factors) = match rope.factor_set(context) {
        Some(set) => (set.start_tokens, set.factors.clone()),
        None if rope.scaling.is_expressible() => (0, rescaled(rope, context)?),
        None => return None,
    };
    Some(FactorSet {
        max_context: context,
        start_tokens,
        factors,
        attention: Some(constant(rope.attention_scale(context))),
    })
}

/// The factors that divide the plain frequencies.
fn rescaled(rope: &RopeSpec, context: usize) -> Option<RescaleFactors> {
    let (plain, scaled) = (rope.plain().resolve(context), rope.resolve(context));
    let pairs = plain.inv_freq().iter().zip(scaled.inv_freq());
    RescaleFactors::new(pairs.map(|(plain, scaled)| plain / scaled).collect()).ok()
}

/// The policy with this attention scale at every length.
fn constant(value: f64) -> AttentionScale {
    if (value - 1.0).abs() < SAME_SCALE {
        AttentionScale::None {}
    } else {
        AttentionScale::Constant { value }
    }
}

/// The sets that do within the original context what `rope` does there; a plain one if factors cannot.
pub(crate) fn short_sets(rope: &RopeSpec) -> Vec<FactorSet> {
    let original = rope.original_context;
    let mut sets = fixed_sets(rope);
    sets.retain(|set| set.max_context < original);
    sets.push(set_at(rope, original).unwrap_or_else(|| FactorSet {
        max_context: original,
        start_tokens: 0,
        factors: RescaleFactors::ones(rope.n_pairs()),
        attention: Some(AttentionScale::None {}),
    }));
    sets
}

/// The sets of a RoPE, each with its own attention-scale policy, so that other sets can be added without changing them.
pub(crate) fn fixed_sets(spec: &RopeSpec) -> Vec<FactorSet> {
    let RopeScaling::LongRope { sets, attention } = &spec.scaling else {
        return Vec::new();
    };
    let largest = spec.max_context();
    let fixed = sets.iter().map(|set| {
        let policy = set.attention.unwrap_or(if set.max_context == largest {
            *attention
        } else {
            AttentionScale::Constant {
                value: spec.attention_scale(set.max_context),
            }
        });
        FactorSet {
            attention: Some(policy),
            ..set.clone()
        }
    });
    fixed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(scaling: RopeScaling) -> RopeSpec {
        RopeSpec::new(8, 1e4, 256, scaling).unwrap()
    }

    /// A RoPE with these sets.
    fn of_sets(sets: Vec<FactorSet>) -> RopeSpec {
        let attention = AttentionScale::None {};
        rope(RopeScaling::LongRope { sets, attention })
    }

    fn yarn() -> RopeSpec {
        rope(RopeScaling::Yarn {
            scale: 4.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            truncate: true,
            attention: AttentionScale::Yarn {},
        })
    }

    fn set(max_context: usize, factor: f64) -> FactorSet {
        FactorSet {
            max_context,
            start_tokens: 4,
            factors: RescaleFactors::new(vec![factor; 4]).unwrap(),
            attention: None,
        }
    }

    #[test]
    fn short_sets_do_what_the_rope_does_within_its_original_context() {
        let llama3 = rope(RopeScaling::Llama3 {
            scale: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
        });
        let attention = AttentionScale::Su {};
        let sets = vec![set(64, 1.1), set(256, 1.2), set(1024, 3.0)];
        let long_rope = rope(RopeScaling::LongRope { sets, attention });
        for own in [yarn(), llama3, long_rope] {
            let short = of_sets(short_sets(&own));
            for length in [10, 64, 65, 256] {
                let (found, expected) = (short.resolve(length), own.resolve(length));
                let scale = found.attention_scale() - expected.attention_scale();
                assert!(scale.abs() < SAME_SCALE, "{own:?} at {length}");
                assert_eq!(found.start_tokens(), expected.start_tokens());
                for (found, expected) in found.inv_freq().iter().zip(expected.inv_freq()) {
                    assert!(
                        (found / expected - 1.0).abs() < 1e-12,
                        "{own:?} at {length}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_short_set_of_a_plain_rope_is_plain() {
        let plain = FactorSet {
            max_context: 256,
            start_tokens: 0,
            factors: RescaleFactors::ones(4),
            attention: Some(AttentionScale::None {}),
        };
        assert_eq!(short_sets(&rope(RopeScaling::None {})), [plain]);
    }

    #[test]
    fn a_rope_that_factors_cannot_express_has_no_set() {
        let without = rope(RopeScaling::Drope { sharpening: 0.1 });
        let grouped = rope(RopeScaling::SelfExtend {
            group: 2,
            window: 8,
        });
        assert_eq!(set_at(&without, 1024), None);
        assert_eq!(set_at(&grouped, 1024), None);
        assert!(set_at(&yarn(), 1024).is_some());
    }
}
