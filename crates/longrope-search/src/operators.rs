//! Mutation and crossover: pure functions of their parents and a random number generator.

use rand::{Rng, RngExt};

use crate::candidate::Candidate;
use crate::config::SearchConfig;
use crate::space::Space;

/// Windows of a mutation, in pairs to either side.
///
/// Wide windows find the rough shape, narrow ones refine it. On analytic objectives with 64 pairs and the default
/// settings, a widest window of 4 ends at up to three times the excess loss of this list.
const REACHES: [usize; 5] = [1, 2, 4, 8, 16];

/// On a plateau the range of a draw is halved up to this many times.
const MAX_HALVINGS: u32 = 7;

/// Probability that a crossover changes parents after a pair.
///
/// Neighbouring factors belong together: runs of about six pairs reach a lower loss than a new choice for every pair.
const SWITCH_PROB: f64 = 0.15;

/// A neighbour of `parent`: each gene is redrawn with probability `mutation_prob`.
///
/// The factor of pair `i` is drawn from the grid points between the factors of the pairs `w` to its left and right
/// (the bounds of the space beyond the ends), and the pairs in between follow where they would break the order; `w` is
/// drawn from 1, 2, 4, 8 and 16, once per mutant. So the result is always valid, and the size of a change fits the slope
/// around it. If the factors at both ends of the window are equal, the window grows until they differ, and the draw stays
/// within a random distance of the old value. So plateaus, which every seed has, can move without breaking up.
///
/// Start tokens are redrawn from their list, as is the attention policy if it is a gene.
///
/// # Reference
/// LongRoPE, arXiv 2402.13753, algorithm 1 names a monotone mutation but gives no details; these are not from the paper.
pub fn mutate<R: Rng>(
    parent: &Candidate,
    space: &Space,
    config: &SearchConfig,
    rng: &mut R,
) -> Candidate {
    let mut child = parent.clone();
    redraw_some(&mut child.steps, space.bounds(), config.mutation_prob, rng);
    if chance(config.mutation_prob, rng) {
        child.start_tokens = *pick(space.start_tokens(), rng);
    }
    if config.attention.is_gene() && chance(config.mutation_prob, rng) {
        child.attention = *pick(space.attention(), rng);
    }
    child
}

/// Redraws each of some factors with a probability, in a window of one drawn size.
pub(crate) fn redraw_some<R: Rng>(
    steps: &mut [u32],
    bounds: (u32, u32),
    probability: f64,
    rng: &mut R,
) {
    let (n_pairs, reach) = (steps.len(), *pick(&REACHES, rng));
    // A pair redrawn early limits later ones, so a fixed direction would drift.
    let rising = chance(0.5, rng);
    for k in 0..n_pairs {
        let pair = if rising { k } else { n_pairs - 1 - k };
        if chance(probability, rng) {
            redraw(steps, pair, reach, bounds, rng);
        }
    }
}

/// A mixture of two parents.
///
/// Factors are taken in runs from either parent, in rising or falling order of the pairs. Where only one parent keeps the
/// factors in order, its factor is taken (there is always at least one). If the result equals a parent `max_retries`
/// times, the head of `a` and the tail of `b` are joined, raising factors that would decrease; if that equals a parent
/// too, `a` is mutated. If the parents are equal, so is the child.
pub fn crossover<R: Rng>(
    a: &Candidate,
    b: &Candidate,
    space: &Space,
    config: &SearchConfig,
    rng: &mut R,
) -> Candidate {
    if a == b {
        return a.clone();
    }
    for attempt in 0..=config.max_retries {
        let last = attempt == config.max_retries;
        let steps = if last {
            join(&a.steps, &b.steps, rng)
        } else {
            mix(&a.steps, &b.steps, rng)
        };
        let start_tokens = *either(&a.start_tokens, &b.start_tokens, rng);
        let attention = *either(&a.attention, &b.attention, rng);
        let child = Candidate {
            steps,
            start_tokens,
            attention,
            ..a.clone()
        };
        if child != *a && child != *b {
            return child;
        }
    }
    mutate(a, space, config, rng)
}

/// Draws a new value for one pair and lets the pairs in its window follow.
fn redraw<R: Rng>(
    steps: &mut [u32],
    pair: usize,
    mut reach: usize,
    (min, max): (u32, u32),
    rng: &mut R,
) {
    let old = steps[pair];
    let window = |reach: usize| {
        let low = pair.checked_sub(reach).map_or(min, |left| steps[left]);
        let high = steps.get(pair + reach).copied().unwrap_or(max);
        (low, high)
    };
    let (mut low, mut high) = window(reach);
    if low == high {
        while low == high && reach < steps.len() {
            reach *= 2;
            (low, high) = window(reach);
        }
        // A plateau has no slope that shows how far to go, so the distance is drawn on all scales.
        let span = ((high - low) >> rng.random_range(0..=MAX_HALVINGS)).max(1);
        low = low.max(old.saturating_sub(span));
        high = high.min(old.saturating_add(span));
    }
    let new = rng.random_range(low..=high);
    steps[pair] = new;
    for left in &mut steps[(pair + 1).saturating_sub(reach)..pair] {
        *left = new.min(*left);
    }
    let right_end = (pair + reach).min(steps.len());
    for right in &mut steps[pair + 1..right_end] {
        *right = new.max(*right);
    }
}

/// Crossover in runs that keeps the order.
///
/// The next value of the parent that the last value came from never breaks the order, so there is always a valid choice.
/// Going up favours large values, going down small ones; the direction is random to balance this.
pub(crate) fn mix<R: Rng>(a: &[u32], b: &[u32], rng: &mut R) -> Vec<u32> {
    let rising = chance(0.5, rng);
    let mut from_a = chance(0.5, rng);
    let mut child = vec![0; a.len()];
    let mut last = if rising { 0 } else { u32::MAX };
    for k in 0..a.len() {
        let pair = if rising { k } else { a.len() - 1 - k };
        from_a ^= chance(SWITCH_PROB, rng);
        let (first, second) = if from_a {
            (a[pair], b[pair])
        } else {
            (b[pair], a[pair])
        };
        let keeps_order = if rising { first >= last } else { first <= last };
        last = if keeps_order { first } else { second };
        child[pair] = last;
    }
    child
}

/// The head of `a` and the tail of `b`, raised where it would be below the head.
fn join<R: Rng>(a: &[u32], b: &[u32], rng: &mut R) -> Vec<u32> {
    let cut = rng.random_range(0..=a.len());
    let floor = cut.checked_sub(1).map_or(0, |last| a[last]);
    a[..cut]
        .iter()
        .copied()
        .chain(b[cut..].iter().map(|&step| step.max(floor)))
        .collect()
}

/// True with the given probability; never panics, whatever the number.
pub(crate) fn chance<R: Rng>(probability: f64, rng: &mut R) -> bool {
    rng.random::<f64>() < probability
}

/// A standard normal number, by Box and Muller.
pub(crate) fn normal<R: Rng>(rng: &mut R) -> f64 {
    let (radius, turn) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * turn).cos()
}

/// One of two, evenly.
pub(crate) fn either<'a, T, R: Rng>(a: &'a T, b: &'a T, rng: &mut R) -> &'a T {
    if chance(0.5, rng) { a } else { b }
}

/// One of a list that is not empty, evenly.
pub(crate) fn pick<'a, T, R: Rng>(list: &'a [T], rng: &mut R) -> &'a T {
    &list[rng.random_range(0..list.len())]
}

/// Two different elements of a list of at least two.
pub(crate) fn pick_two<'a, T, R: Rng>(list: &'a [T], rng: &mut R) -> [&'a T; 2] {
    let places: Vec<usize> = (0..list.len()).collect();
    let first = *pick(&places, rng);
    let others: Vec<usize> = places.into_iter().filter(|&place| place != first).collect();
    [&list[first], &list[*pick(&others, rng)]]
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use longrope_rope::AttentionScale;
    use proptest::prelude::*;
    use rand::{SeedableRng, TryRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::config::AttentionSearch;
    use crate::problem::SearchProblem;

    const N_PAIRS: usize = 16;

    /// Counts how often random bits are asked for.
    struct Counting {
        rng: ChaCha8Rng,
        draws: usize,
    }

    impl Counting {
        fn new(seed: u64) -> Self {
            Self {
                rng: ChaCha8Rng::seed_from_u64(seed),
                draws: 0,
            }
        }
    }

    impl TryRng for Counting {
        type Error = Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            self.draws += 1;
            self.rng.try_next_u32()
        }
        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            self.draws += 1;
            self.rng.try_next_u64()
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            self.draws += 1;
            self.rng.try_fill_bytes(bytes)
        }
    }

    fn config(mutation_prob: f64) -> SearchConfig {
        SearchConfig {
            mutation_prob,
            attention: AttentionSearch::Gene {},
            ..SearchConfig::default()
        }
    }

    fn space() -> Space {
        let problem = SearchProblem {
            rotary_dim: 2 * N_PAIRS,
            theta: 10_000.0,
            original_context: 4096,
            target_context: 32_768,
        };
        config(0.3).space(&problem).expect("valid")
    }

    /// Members of the space, with plateaus of every length.
    fn member() -> impl Strategy<Value = Candidate> {
        let factors =
            prop::collection::vec(prop_oneof![Just(1.0), Just(8.0), 1.0..10.0_f64], N_PAIRS);
        (factors, 0_usize..300, 0_usize..3).prop_map(|(factors, start_tokens, policy)| {
            let space = space();
            space
                .nearest(&factors, start_tokens, space.attention()[policy])
                .expect("finite")
        })
    }

    proptest! {
        #[test]
        fn mutants_stay_inside(parent in member(), prob in 0.0..=1.0_f64, seed: u64) {
            let mut rng = Counting::new(seed);
            let child = mutate(&parent, &space(), &config(prob), &mut rng);
            prop_assert!(space().contains(&child), "{:?}", child);
            // At most four numbers per gene, and rejection within a draw is rare.
            prop_assert!(rng.draws <= 8 * (N_PAIRS + 2), "{} draws", rng.draws);
        }

        #[test]
        fn mutation_with_probability_zero_changes_nothing(parent in member(), seed: u64) {
            let child = mutate(&parent, &space(), &config(0.0), &mut Counting::new(seed));
            prop_assert_eq!(child, parent);
        }

        #[test]
        fn no_pair_is_frozen(parent in member(), pair in 0..N_PAIRS, reach in 1_usize..=16, seed: u64) {
            let mut rng = Counting::new(seed);
            let moved = (0..40).any(|_| {
                let mut steps = parent.steps.clone();
                redraw(&mut steps, pair, reach, space().bounds(), &mut rng);
                steps[pair] != parent.steps[pair]
            });
            prop_assert!(moved, "pair {} of {:?}", pair, parent.steps);
        }

        #[test]
        fn crossovers_stay_inside(a in member(), b in member(), seed: u64, retries in 0_usize..4) {
            let mut rng = Counting::new(seed);
            let config = SearchConfig { max_retries: retries, ..config(0.3) };
            let child = crossover(&a, &b, &space(), &config, &mut rng);
            prop_assert!(space().contains(&child), "{:?}", child);
            prop_assert!(rng.draws <= 8 * (N_PAIRS + 2) * (retries + 2), "{} draws", rng.draws);
        }

        #[test]
        fn mixtures_take_every_factor_from_a_parent(a in member(), b in member(), seed: u64) {
            let child = mix(&a.steps, &b.steps, &mut Counting::new(seed));
            prop_assert!(child.is_sorted(), "{:?}", child);
            for (pair, step) in child.iter().enumerate() {
                prop_assert!([a.steps[pair], b.steps[pair]].contains(step), "pair {}", pair);
            }
        }

        #[test]
        fn joins_keep_the_order(a in member(), b in member(), seed: u64) {
            let child = join(&a.steps, &b.steps, &mut Counting::new(seed));
            prop_assert!(child.is_sorted() && child.len() == N_PAIRS, "{:?}", child);
        }

        #[test]
        fn equal_parents_have_themselves_as_child(a in member(), seed: u64) {
            prop_assert_eq!(&crossover(&a, &a, &space(), &config(0.3), &mut Counting::new(seed)), &a);
        }
    }

    #[test]
    fn parents_that_mix_into_themselves_are_mutated() {
        // Factors alike but for one, and every other gene equal: no mixture exists.
        let a = space()
            .nearest(&[1.0; N_PAIRS], 0, AttentionScale::None {})
            .expect("finite");
        let mut b = a.clone();
        b.steps[N_PAIRS - 1] = 700;
        let child = crossover(&a, &b, &space(), &config(1.0), &mut Counting::new(1));
        assert!(child != a && child != b);
    }

    #[test]
    fn the_policy_mutates_only_where_it_is_a_gene() {
        let parent = space()
            .nearest(&[2.0; N_PAIRS], 0, AttentionScale::None {})
            .expect("finite");
        let policies = |config: &SearchConfig| {
            let mut rng = Counting::new(3);
            let mutants = (0..100).map(|_| mutate(&parent, &space(), config, &mut rng));
            mutants
                .filter(|child| child.attention != parent.attention)
                .count()
        };
        assert!(policies(&config(1.0)) > 30);
        assert_eq!(
            policies(&SearchConfig {
                attention: AttentionSearch::Seeds {},
                ..config(1.0)
            }),
            0
        );
    }
}
