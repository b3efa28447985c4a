//! The numbers of one seeded search. They change with the algorithm and with the random numbers of a dependency.

use longrope_search::{Candidate, FnObjective, Outcome, Search, SearchConfig, Seed};

use crate::analytic::{SMALL, loss, small_config};

/// Best score, median and evaluations of each generation.
const HISTORY: [(f64, f64, usize); 7] = [
    (0.144_457_733_743_029_7, 0.616_072_953_584_845_9, 24),
    (0.119_830_563_996_004_42, 0.198_880_285_421_677_96, 10),
    (0.114_831_683_726_663_05, 0.179_896_940_732_306_7, 10),
    (0.085_904_833_180_842_04, 0.135_152_065_938_180_13, 10),
    (0.085_904_833_180_842_04, 0.134_930_915_624_062_45, 10),
    (0.085_904_833_180_842_04, 0.175_050_898_763_536_55, 10),
    (0.085_904_833_180_842_04, 0.127_695_959_653_179_04, 10),
];

/// Sums in another order would differ by this much at most.
const ROUNDING: f64 = 1e-12;

#[test]
fn the_history_of_seed_7_is_pinned() {
    let config = SearchConfig {
        seeds: vec![Seed::Pi, Seed::Ntk, Seed::Yarn, Seed::None],
        ..small_config()
    };
    let mut search = Search::new(SMALL, config, 7).expect("valid");
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
    assert_eq!(best.steps, [100, 122, 130, 130, 221, 432, 432, 433]);
    assert_eq!(best.start_tokens, 12);
}
