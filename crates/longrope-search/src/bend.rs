//! Operators that move all factors at once and keep the shape of their curve.

use rand::{Rng, RngExt};

use crate::candidate::Candidate;
use crate::operators::{chance, normal};
use crate::space::Space;

/// How often the width and the height of a bend are halved at most.
const WIDTH_HALVINGS: i32 = 3;
const HEIGHT_HALVINGS: i32 = 5;

/// Standard deviation of the height before halving, in the logarithm of a factor.
const HEIGHT: f64 = 0.5;

/// A mutant whose factors are multiplied by a smooth bump: a bell over the pairs, of any place, width and sign.
///
/// A single factor has little effect, because its neighbours turn at nearly the same speed. Few numbers describe the
/// rough shape of a good curve, and a bend changes those.
pub fn bend<R: Rng>(parent: &Candidate, space: &Space, rng: &mut R) -> Candidate {
    let n_pairs = parent.steps.len();
    let centre = rng.random::<f64>() * n_pairs as f64;
    let halved = |most: i32, rng: &mut R| 0.5_f64.powi(rng.random_range(0..=most));
    let width = n_pairs as f64 / 4.0 * halved(WIDTH_HALVINGS, rng);
    let height = HEIGHT * normal(rng) * halved(HEIGHT_HALVINGS, rng);
    // Half of the bends are steps: all slower pairs move along.
    let is_step = chance(0.5, rng);
    let bump = |pair: usize| {
        let away = (pair as f64 - centre) / width;
        if is_step && away > 0.0 {
            1.0
        } else {
            (-0.5 * away * away).exp()
        }
    };
    let bent = parent
        .steps
        .iter()
        .enumerate()
        .map(|(pair, &step)| f64::from(step) * (height * bump(pair)).exp());
    with_factors(parent, bent.collect(), space)
}

/// A child that differs from `base` as `a` differs from `b`, times a number from 0.3 to 1.
///
/// The differences within a population show which factors change together and how far, which covariance adaptation
/// would have to estimate.
///
/// # Reference
/// Differential evolution: Storn and Price, Journal of Global Optimization 11 (1997).
pub fn difference<R: Rng>(
    base: &Candidate,
    a: &Candidate,
    b: &Candidate,
    space: &Space,
    rng: &mut R,
) -> Candidate {
    let weight = rng.random_range(0.3..1.0);
    let moved = (0..base.steps.len()).map(|pair| {
        let ln = |one: &Candidate| f64::from(one.steps[pair].max(1)).ln();
        (ln(base) + weight * (ln(a) - ln(b))).exp()
    });
    with_factors(base, moved.collect(), space)
}

/// `candidate` with other factors, in grid steps: on the grid, inside the bounds, and in order.
///
/// Where factors would decrease, the result is the middle between raising the later and lowering the earlier ones.
fn with_factors(candidate: &Candidate, mut steps: Vec<f64>, space: &Space) -> Candidate {
    let (min, max) = space.bounds();
    for step in &mut steps {
        *step = step.clamp(f64::from(min), f64::from(max));
    }
    let mut raised = steps.clone();
    for pair in 1..raised.len() {
        raised[pair] = raised[pair].max(raised[pair - 1]);
    }
    let mut lowered = steps;
    for pair in (1..lowered.len()).rev() {
        lowered[pair - 1] = lowered[pair - 1].min(lowered[pair]);
    }
    let middle = raised.iter().zip(&lowered);
    let steps = middle
        .map(|(a, b)| crate::candidate::to_u32(f64::midpoint(*a, *b).round()))
        .collect();
    Candidate {
        steps,
        ..candidate.clone()
    }
}

#[cfg(test)]
mod tests {
    use longrope_rope::AttentionScale;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::config::SearchConfig;
    use crate::problem::SearchProblem;

    fn space() -> Space {
        let problem = SearchProblem {
            rotary_dim: 32,
            theta: 1e4,
            original_context: 256,
            target_context: 2048,
        };
        SearchConfig::default().space(&problem).expect("valid")
    }

    fn member() -> impl Strategy<Value = Candidate> {
        prop::collection::vec(0.5..12.0_f64, 16).prop_map(|factors| {
            space()
                .nearest(&factors, 4, AttentionScale::None {})
                .expect("finite")
        })
    }

    proptest! {
        #[test]
        fn children_stay_inside(a in member(), b in member(), c in member(), seed: u64) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            prop_assert!(space().contains(&bend(&a, &space(), &mut rng)));
            prop_assert!(space().contains(&difference(&a, &b, &c, &space(), &mut rng)));
        }

        #[test]
        fn equal_parents_make_no_difference(a in member(), b in member(), seed: u64) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            prop_assert_eq!(&difference(&a, &b, &b, &space(), &mut rng), &a);
        }
    }
}
