//! Choosing the numbers of a form.

use longrope_rope::RopeSpec;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::form::Form;
use super::goal::Goal;

/// By how much a number is first varied, and at last. Most numbers are logarithms, so these are shares.
const FIRST_STEP: f64 = 0.4;
const LAST_STEP: f64 = 0.005;
/// Rounds of a fit at most, each of which varies every number up and down.
const MOST_ROUNDS: usize = 60;
/// By how much the numbers of the farthest neighbour differ at most.
const REACH: f64 = 0.3;

/// A form with its numbers, and what the runtime computes for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The form.
    pub form: Form,
    /// The RoPE that is written.
    pub written: RopeSpec,
    /// The RoPE that the runtime computes.
    pub computed: RopeSpec,
    numbers: Vec<f64>,
}

/// What a runtime computes for a RoPE that is written; `None` if it does not take it.
pub type Takes<'a> = &'a dyn Fn(&RopeSpec) -> Option<RopeSpec>;

/// What is fitted.
#[derive(Clone, Copy)]
pub struct Aim<'a> {
    /// What the fits should come close to.
    pub goal: &'a Goal,
    /// The RoPE as it is.
    pub rope: &'a RopeSpec,
    /// What the runtime computes for a RoPE.
    pub takes: Takes<'a>,
}

/// The numbers of a form with the smallest [distance](Goal::distance) of what the runtime computes: least squares of the
/// logarithms of the frequencies, by pattern search (Hooke and Jeeves 1961). `None` if the runtime takes no such RoPE.
pub fn fit(form: Form, aim: Aim<'_>) -> Option<Fit> {
    let Aim { goal, rope, takes } = aim;
    let distance = |numbers: &[f64]| {
        let computed = form
            .spec(goal, rope, numbers)
            .ok()
            .and_then(|it| takes(&it));
        computed.map_or(f64::INFINITY, |computed| goal.distance(&computed))
    };
    let mut best = form.start(goal);
    let mut least = distance(&best);
    let (mut step, mut rounds) = (FIRST_STEP, 0);
    while step > LAST_STEP && rounds < MOST_ROUNDS && least.is_finite() {
        rounds += 1;
        let before = least;
        for index in 0..best.len() {
            for sign in [1.0, -1.0] {
                let mut other = best.clone();
                other[index] += sign * step;
                let found = distance(&other);
                if found < least {
                    (best, least) = (other, found);
                    break;
                }
            }
        }
        if least >= before {
            step /= 2.0;
        }
    }
    of_numbers(form, aim, best)
}

/// The fits of all forms that the runtime takes, without those that compute the same as one before.
pub fn fits(aim: Aim<'_>) -> Vec<Fit> {
    let mut found: Vec<Fit> = Vec::new();
    for form in Form::ALL {
        let fit = fit(form, aim);
        let is_new = |fit: &Fit| found.iter().all(|known| known.computed != fit.computed);
        found.extend(fit.filter(is_new));
    }
    found
}

/// Up to `n` RoPEs of the same form with other numbers, nearer ones first. The same seed gives the same neighbours.
pub fn neighbours(fit: &Fit, aim: Aim<'_>, n: usize, seed: u64) -> Vec<Fit> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut found: Vec<Fit> = Vec::new();
    for index in 0..n {
        let reach = REACH * (index + 1) as f64 / n as f64;
        let numbers = fit.numbers.iter();
        let numbers = numbers.map(|number| number + rng.random_range(-reach..=reach));
        let other = of_numbers(fit.form, aim, numbers.collect());
        let is_new = |other: &Fit| {
            let mut known = found.iter().chain([fit]);
            known.all(|known| known.computed != other.computed)
        };
        found.extend(other.filter(is_new));
    }
    found
}

fn of_numbers(form: Form, aim: Aim<'_>, numbers: Vec<f64>) -> Option<Fit> {
    let written = form.spec(aim.goal, aim.rope, &numbers).ok()?;
    let computed = (aim.takes)(&written)?;
    Some(Fit {
        form,
        written,
        computed,
        numbers,
    })
}
