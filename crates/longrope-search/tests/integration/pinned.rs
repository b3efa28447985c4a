//! The numbers of one seeded search. They change with the algorithm and with the random numbers of a dependency.

use longrope_search::{Candidate, FnObjective, Outcome, Search};

use crate::analytic::{SMALL, loss, small_config};

/// Best score, median and evaluations of each generation.
const HISTORY: [(f64, f64, usize); 7] = [
    (0.144_457_733_743_029_7, 0.621_072_953_584_845_8, 24),
    (0.119_830_563_996_004_42, 0.201_775_407_895_814_55, 10),
    (0.094_831_683_726_663_05, 0.176_973_265_755_897_22, 10),
    (0.065_904_833_180_842_03, 0.135_152_065_938_180_13, 10),
    (0.065_904_833_180_842_03, 0.118_601_310_326_334_06, 10),
    (0.051_110_039_743_190_44, 0.128_143_598_108_847_1, 10),
    (0.051_110_039_743_190_44, 0.092_226_750_343_408_12, 10),
];

/// Sums in another order would differ by this much at most.
const ROUNDING: f64 = 1e-12;

#[test]
fn the_history_of_seed_7_is_pinned() {
    let mut search = Search::new(SMALL, small_config(), 7).expect("valid");
    let mut objective = FnObjective::new(1, |candidate: &Candidate, _| {
        Outcome::Loss(loss(candidate, 4.0))
    });
    let mut history = Vec::new();
    while !search.is_done() {
        let generation = search.step(&mut objective).expect("a formula cannot stop");
        history.push((
            generation.best.score,
            generation.median,
            generation.evaluations,
        ));
    }
    let close = |a: f64, b: f64| (a - b).abs() < ROUNDING;
    let same = history
        .iter()
        .zip(HISTORY)
        .all(|(&(best, median, evaluations), expected)| {
            close(best, expected.0) && close(median, expected.1) && evaluations == expected.2
        });
    assert!(same && history.len() == HISTORY.len(), "{history:?}");
    let best = &search.best().expect("finished").candidate;
    assert_eq!(best.steps, [116, 123, 130, 130, 221, 370, 370, 378]);
    assert_eq!(best.start_tokens, 8);
}
