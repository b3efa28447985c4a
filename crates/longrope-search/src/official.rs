//! The operators of the code that was released with LongRoPE, as that code runs, not as the paper describes it.
//!
//! - Mutation sweeps over the pairs until the result is in order and new; changes of all sweeps add up. The ranges
//!   sometimes end a step late, which disturbs plateaus; it takes dozens of sweeps until they are in order again, and most
//!   mutants have little in common with their parent.
//! - Crossover stops at the first valid new vector, so most children have one factor of the second parent. If 20
//!   attempts find none, there is no child.
//!
//! Only the statistics are reproduced, not the random numbers: see `examples/official_operators.rs` in the repository.
//!
//! # Reference
//! github.com/microsoft/LongRoPE, `evolution/algorithms/dim_mono.py` and `dim_piece_mono.py`.

use rand::{Rng, RngExt};

use crate::candidate::{Candidate, Shape, to_u32};
use crate::config::SearchConfig;
use crate::operators::{chance, normal};
use crate::space::Space;

/// Sweeps after which a mutation returns its parent. Plateaus of hundreds of steps take a few hundred.
const MAX_SWEEPS: usize = 10_000;

/// Standard deviation of a step of the two borders of `dim_piece_mono`, pairs.
const BORDER_DRIFT: f64 = 2.0;

/// A mutant, and the number of sweeps it took.
///
/// Each sweep redraws every factor with probability `mutation_prob` from the list that begins at the factor before it
/// and ends at the one after it, in steps of `config.step`; the last factor's list ends at `1 + scale`. With
/// [`Shape::Piece`] a sweep first moves one of the borders and sets the factors outside of them. If 10,000 sweeps give
/// nothing new, the parent is returned.
pub fn mutate<R: Rng>(
    parent: &Candidate,
    space: &Space,
    config: &SearchConfig,
    scale: f64,
    rng: &mut R,
    known: impl Fn(&Candidate) -> bool,
) -> (Candidate, usize) {
    let lists = Lists::new(space, config, scale);
    let mut child = parent.clone();
    for n_sweeps in 0..MAX_SWEEPS {
        if child.steps.is_sorted() && !known(&child) {
            return (child, n_sweeps);
        }
        lists.sweep(&mut child, config.mutation_prob, rng);
    }
    (parent.clone(), MAX_SWEEPS)
}

/// A child of two parents, the better one first; `None` if `max_retries` attempts fail.
///
/// Every gene is visited with probability `mutation_prob`. Half of the visits take the value of the second parent, and
/// after each visit the child is returned if it is in order and new.
pub fn crossover<R: Rng>(
    first: &Candidate,
    second: &Candidate,
    config: &SearchConfig,
    rng: &mut R,
    known: impl Fn(&Candidate) -> bool,
) -> Option<Candidate> {
    if first == second {
        return None;
    }
    let mut child = first.clone();
    let n_borders = match child.shape {
        Shape::Piece { .. } => 2,
        Shape::Free | Shape::Critical { .. } => 0,
    };
    for _ in 0..config.max_retries {
        for gene in 0..n_borders + child.steps.len() {
            if !chance(config.mutation_prob, rng) {
                continue;
            }
            if chance(0.5, rng) {
                match gene.checked_sub(n_borders) {
                    Some(pair) => child.steps[pair] = second.steps[pair],
                    None => child.shape = second.shape,
                }
            }
            if child.steps.is_sorted() && !known(&child) {
                return Some(child);
            }
        }
    }
    None
}

/// The lists that factors are drawn from, with the floating-point ends of the original.
struct Lists {
    /// Grid steps of a candidate per unit.
    per_unit: f64,
    step: f64,
    scale: f64,
    /// Where the list of the last pair ends.
    stop: f64,
    bounds: (u32, u32),
}

impl Lists {
    fn new(space: &Space, config: &SearchConfig, scale: f64) -> Self {
        let step = config.step;
        let whole = count(1.0, 1.0 + scale + step, step);
        Self {
            per_unit: f64::from(space.grid().steps_per_unit()),
            step,
            scale,
            stop: place(1.0, whole.saturating_sub(1), step) + step,
            bounds: space.bounds(),
        }
    }

    fn sweep<R: Rng>(&self, child: &mut Candidate, probability: f64, rng: &mut R) {
        let n_pairs = child.steps.len();
        let Shape::Piece { from, to } = child.shape else {
            for pair in 0..n_pairs {
                if chance(probability, rng) {
                    self.redraw(&mut child.steps, pair, rng);
                }
            }
            return;
        };
        let (from, to) = drift(from, to, n_pairs - 1, rng);
        child.shape = Shape::Piece { from, to };
        // The original leaves out the last two pairs, where the seed has the scale.
        for pair in 0..n_pairs.saturating_sub(2) {
            if pair <= from {
                child.steps[pair] = self.grid_step(1.0);
            } else if pair > to {
                child.steps[pair] = self.grid_step(self.scale);
            } else if chance(probability, rng) {
                self.redraw(&mut child.steps, pair, rng);
            }
        }
    }

    fn redraw<R: Rng>(&self, steps: &mut [u32], pair: usize, rng: &mut R) {
        let factor = |step: u32| f64::from(step) / self.per_unit;
        let (start, stop) = match (pair.checked_sub(1), steps.get(pair + 1)) {
            (None, Some(&next)) => (1.0, factor(next)),
            (None, None) => (1.0, self.stop),
            (Some(before), None) => (factor(steps[before]), self.stop),
            (Some(before), Some(&next)) => (factor(steps[before]), factor(next) + self.step),
        };
        let n_points = count(start, stop, self.step);
        if n_points > 0 {
            let drawn = place(start, rng.random_range(0..n_points), self.step);
            steps[pair] = self.grid_step(drawn);
        }
    }

    fn grid_step(&self, factor: f64) -> u32 {
        to_u32((factor * self.per_unit).round()).clamp(self.bounds.0, self.bounds.1)
    }
}

/// Number of points from `start` to `stop`, exclusive; one too many where the division rounds up.
fn count(start: f64, stop: f64, step: f64) -> usize {
    to_u32(((stop - start) / step).ceil().max(0.0)) as usize
}

fn place(start: f64, index: usize, step: f64) -> f64 {
    start + index as f64 * ((start + step) - start)
}

/// Moves the borders, a random one at a time, until they are in order.
fn drift<R: Rng>(from: usize, to: usize, last: usize, rng: &mut R) -> (usize, usize) {
    let (mut low, mut high) = (from as f64, to as f64);
    for _ in 0..MAX_SWEEPS {
        let border = if chance(0.5, rng) {
            &mut low
        } else {
            &mut high
        };
        *border = (*border + BORDER_DRIFT * normal(rng)).trunc();
        if 0.0 <= low && low < high && high <= last as f64 {
            return (to_u32(low) as usize, to_u32(high) as usize);
        }
    }
    (from, to)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::problem::SearchProblem;
    use crate::seed::Seed;

    const LLAMA2_128K: SearchProblem = SearchProblem {
        rotary_dim: 128,
        theta: 10_000.0,
        original_context: 4096,
        target_context: 131_072,
    };

    fn seed(config: &SearchConfig, shape: Shape) -> (Space, Candidate) {
        let space = config.space(&LLAMA2_128K).expect("valid");
        let factors = Seed::LinearRamp.factors(&LLAMA2_128K, config);
        let mut candidate = space
            .nearest(&factors, 0, config.policies()[0])
            .expect("finite");
        candidate.shape = shape;
        (space, candidate)
    }

    #[test]
    fn ranges_end_as_those_of_the_original() {
        assert_eq!(count(1.0, 1.0, 0.01), 0);
        assert_eq!(count(1.0, 1.5, 0.01), 50);
        // Equal neighbours leave one point, or two where a + 0.01 - a is rounded up: below 2 and from 16
        // to 32.
        let points = |low: f64| count(low, low + 0.01, 0.01);
        assert_eq!([1.05, 2.5, 9.7, 20.0].map(points), [2, 1, 1, 2]);
    }

    #[test]
    fn mutants_are_new_in_order_and_inside() {
        let config = SearchConfig::official(false);
        let (space, parent) = seed(&config, Shape::Free);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..20 {
            let (child, n_sweeps) = mutate(&parent, &space, &config, 32.0, &mut rng, |one| {
                *one == parent
            });
            assert!(space.contains(&child) && child != parent && n_sweeps > 0);
        }
    }

    #[test]
    fn pieces_are_one_below_and_the_scale_above_their_borders() {
        let config = SearchConfig::official(true);
        let (space, parent) = seed(&config, Shape::Piece { from: 0, to: 0 });
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..20 {
            let (child, _) = mutate(&parent, &space, &config, 32.0, &mut rng, |one| {
                *one == parent
            });
            let Shape::Piece { from, to } = child.shape else {
                panic!("a piece stays one: {child:?}");
            };
            assert!(from < to && to < 64 && space.contains(&child));
            let factors = child.factors();
            assert!(
                factors[..=from]
                    .iter()
                    .all(|factor| (factor - 1.0).abs() < 1e-9)
            );
            assert!(
                factors[to + 1..]
                    .iter()
                    .all(|factor| (factor - 32.0).abs() < 1e-9)
            );
        }
    }

    #[test]
    fn equal_parents_and_exhausted_attempts_have_no_child() {
        let config = SearchConfig::official(false);
        let (_, parent) = seed(&config, Shape::Free);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        assert_eq!(
            crossover(&parent, &parent, &config, &mut rng, |_| false),
            None
        );
        let mut other = parent.clone();
        other.steps[63] += 10_000;
        assert_eq!(
            crossover(&parent, &other, &config, &mut rng, |_| true),
            None
        );
    }
}
