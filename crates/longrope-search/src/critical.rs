//! Operators of LongRoPE2: the genes are the critical pair and the factors from there on.

use rand::{Rng, RngExt};

use crate::candidate::{Candidate, Shape};
use crate::config::SearchConfig;
use crate::operators::{chance, either, mix, pick, redraw_some};
use crate::space::{CriticalSpace, Space};

/// A member of the first population as in the paper: the critical pairs are used in turn, with one factor from there on.
///
/// Everything except the factors is copied from `template`.
pub(crate) fn draw<R: Rng>(
    template: &Candidate,
    index: usize,
    space: &Space,
    critical: CriticalSpace,
    rng: &mut R,
) -> Candidate {
    let pair = critical.first + index % (critical.last - critical.first + 1);
    let (_, max) = space.bounds();
    let step = rng.random_range(critical.min_step..=max);
    let mut candidate = template.clone();
    candidate.steps[pair..].fill(step);
    critical.with_closed_form(candidate, pair)
}

/// Redraws factors from the critical pair on, as [`mutate`](crate::mutate) does; the others follow in closed form.
pub(crate) fn mutate<R: Rng>(
    parent: &Candidate,
    space: &Space,
    critical: CriticalSpace,
    config: &SearchConfig,
    rng: &mut R,
) -> Candidate {
    let mut child = parent.clone();
    let pair = critical_pair(parent, critical);
    let (_, max) = space.bounds();
    redraw_some(
        &mut child.steps[pair..],
        (critical.min_step, max),
        config.mutation_prob,
        rng,
    );
    if config.attention.is_gene() && chance(config.mutation_prob, rng) {
        child.attention = *pick(space.attention(), rng);
    }
    critical.with_closed_form(child, pair)
}

/// The critical pair of one parent, and a mixture of the factors from there on.
pub(crate) fn crossover<R: Rng>(
    a: &Candidate,
    b: &Candidate,
    critical: CriticalSpace,
    rng: &mut R,
) -> Candidate {
    let pairs = [a, b].map(|parent| critical_pair(parent, critical));
    let pair = *either(&pairs[0], &pairs[1], rng);
    // Before its own critical pair, a parent contributes the factor at its critical pair.
    let tail = |parent: &Candidate, own: usize| -> Vec<u32> {
        let at_own = parent.steps[own.max(pair)];
        let tail = parent.steps[pair..].iter().enumerate();
        tail.map(|(k, &step)| if pair + k < own { at_own } else { step })
            .collect()
    };
    let mut child = a.clone();
    let mixed = mix(&tail(a, pairs[0]), &tail(b, pairs[1]), rng);
    child.steps[pair..].copy_from_slice(&mixed);
    child.attention = *either(&a.attention, &b.attention, rng);
    critical.with_closed_form(child, pair)
}

fn critical_pair(candidate: &Candidate, critical: CriticalSpace) -> usize {
    match candidate.shape {
        Shape::Critical { pair, .. } => pair,
        Shape::Free | Shape::Piece { .. } => critical.last,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::problem::SearchProblem;

    #[test]
    fn descendants_stay_inside() {
        let problem = SearchProblem {
            rotary_dim: 64,
            theta: 1e4,
            original_context: 256,
            target_context: 2048,
        };
        let config = SearchConfig::v2();
        let space = config.space(&problem).expect("valid");
        let critical = space.critical().expect("v2 has critical pairs");
        assert_eq!((critical.first, critical.last), (5, 13));
        let template = space
            .nearest(&[1.0; 32], 0, config.policies()[0])
            .expect("finite");
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut family: Vec<Candidate> = (0..20)
            .map(|index| draw(&template, index, &space, critical, &mut rng))
            .collect();
        for index in 0..200 {
            let (a, b) = (&family[index], &family[index / 2]);
            let child = if index % 2 == 0 {
                mutate(a, &space, critical, &config, &mut rng)
            } else {
                crossover(a, b, critical, &mut rng)
            };
            family.push(child);
        }
        for candidate in &family {
            assert!(space.contains(candidate), "{candidate:?}");
        }
    }
}
