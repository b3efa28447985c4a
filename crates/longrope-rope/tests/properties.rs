//! Properties of every model and every set of factors.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use longrope_rope::{
    AttentionScale, FactorSet, RescaleFactors, RopeArtifact, RopeScaling, RopeSpec,
};
use proptest::prelude::*;

/// f64 arithmetic in another order.
const CLOSE: f64 = 1e-12;

/// cos and sin are rounded to f32, then squared.
const F32_SQUARES: f64 = 3e-7;

fn models() -> impl Strategy<Value = RopeSpec> {
    (1_usize..=64, 100.0..1e7_f64, 2_usize..=8192).prop_map(|(n_pairs, theta, original_context)| {
        RopeSpec::new(2 * n_pairs, theta, original_context, RopeScaling::None {}).unwrap()
    })
}

fn with_sets(
    model: &RopeSpec,
    sets: Vec<(usize, usize, Vec<f64>)>,
    attention: AttentionScale,
) -> RopeSpec {
    let set = |(max_context, start_tokens, factors): (usize, usize, Vec<f64>)| FactorSet {
        max_context,
        start_tokens,
        factors: RescaleFactors::new(factors).unwrap(),
        attention: None,
    };
    let scaling = RopeScaling::LongRope {
        sets: sets.into_iter().map(set).collect(),
        attention,
    };
    RopeSpec {
        scaling,
        ..model.plain()
    }
    .validated()
    .unwrap()
}

fn searched() -> impl Strategy<Value = RopeSpec> {
    models().prop_flat_map(|model| {
        let factors = prop::collection::vec(0.5..64.0_f64, model.n_pairs());
        (Just(model), factors, 0_usize..64, 1.0..1.5_f64).prop_map(
            |(model, factors, start_tokens, value)| {
                let sets = vec![(16 * model.original_context, start_tokens, factors)];
                with_sets(&model, sets, AttentionScale::Constant { value })
            },
        )
    })
}

fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found / expected - 1.0).abs() < CLOSE,
            "{found}, expected {expected}"
        );
    }
}

proptest! {
    #[test]
    fn factors_of_one_are_plain_rope(model in models()) {
        let sets = vec![(1024, 0, vec![1.0; model.n_pairs()])];
        let scaled = with_sets(&model, sets, AttentionScale::None {});
        prop_assert_eq!(scaled.resolve(700), model.resolve(700));
    }

    #[test]
    fn equal_factors_are_linear_interpolation(model in models(), scale in 1.0..512.0_f64) {
        let sets = vec![(1024, 0, vec![scale; model.n_pairs()])];
        let scaled = with_sets(&model, sets, AttentionScale::None {});
        let linear = RopeSpec { scaling: RopeScaling::Linear { scale }, ..model };
        assert_close(scaled.resolve(700).inv_freq(), linear.resolve(700).inv_freq());
    }

    #[test]
    fn start_tokens_beyond_the_range_are_plain_rope(spec in searched(), start in 0_usize..50, n in 0_usize..50) {
        let RopeScaling::LongRope { sets, .. } = &spec.scaling else { unreachable!() };
        let sets = vec![(sets[0].max_context, start + n, sets[0].factors.as_slice().to_vec())];
        let scaled = with_sets(&spec, sets, AttentionScale::None {});
        let found = scaled.resolve(100).angles(start..start + n);
        prop_assert_eq!(found, spec.plain().resolve(100).angles(start..start + n));
    }

    #[test]
    fn rotation_keeps_norms_up_to_the_attention_scale(spec in searched(), start in 0_usize..3_000_000) {
        let rope = spec.resolve(start + 3);
        let angles = rope.angles(start..start + 3);
        let expected = rope.attention_scale() * rope.attention_scale();
        for (cos, sin) in angles.cos.iter().zip(&angles.sin) {
            let (cos, sin) = (f64::from(*cos), f64::from(*sin));
            prop_assert!(((cos * cos + sin * sin) / expected - 1.0).abs() < F32_SQUARES);
        }
    }

    #[test]
    fn artefacts_come_back_as_they_were(spec in searched()) {
        let artifact = RopeArtifact::from_spec(&spec, longrope_rope::Provenance::default());
        let text = artifact.to_json_pretty();
        let read = RopeArtifact::from_json(&text).unwrap();
        prop_assert_eq!(&read.spec(), &spec);
        prop_assert_eq!(read.to_json_pretty(), text);
        let json = serde_json::to_string(&spec).unwrap();
        prop_assert_eq!(serde_json::from_str::<RopeSpec>(&json).unwrap(), spec);
    }
}
