//! Candidates that cannot be measured are reported and have no descendants.

use longrope_rope::AttentionScale;
use longrope_search::{Candidate, Error, FnObjective, Outcome, Search, SearchConfig, StepError};

use crate::analytic::{SMALL, loss, small_config};

/// Fails wherever the last factor is small, in both possible ways.
fn fragile(candidate: &Candidate, sample: usize) -> Outcome {
    match (candidate.factors()[7] < 3.0, sample) {
        (true, 0) => Outcome::Loss(f64::NAN),
        (true, _) => Outcome::Failed("device lost".to_owned()),
        (false, _) => Outcome::Loss(loss(candidate, 4.0)),
    }
}

#[test]
fn failures_score_infinity_and_are_reported() {
    let mut search = Search::new(SMALL, small_config(), 0).expect("valid");
    let first = search
        .step(&mut FnObjective::new(2, fragile))
        .expect("a formula cannot stop");
    // The seed `none` fails, on both samples, with each policy.
    let unscaled: Vec<_> = first
        .failures
        .iter()
        .filter(|failure| failure.candidate.steps == [100; 8])
        .map(|f| &*f.reason)
        .collect();
    assert!(
        unscaled
            .iter()
            .filter(|&&reason| reason == "loss is NaN")
            .count()
            >= 3
    );
    assert!(
        unscaled
            .iter()
            .filter(|&&reason| reason == "device lost")
            .count()
            >= 3
    );
    let none: Vec<_> = search
        .seeds()
        .iter()
        .filter(|seed| seed.name == "none")
        .collect();
    assert!(none.len() == 3 && none.iter().all(|seed| seed.score.is_infinite()));
    assert!(first.best.score.is_finite());
}

#[test]
fn failed_candidates_have_no_descendants() {
    // One seed fails and one does not. With mutation off, the good one has only itself as child; the other as second
    // parent would give mixtures.
    let config = SearchConfig {
        mutation_prob: 0.0,
        seeds: vec![longrope_search::Seed::None, longrope_search::Seed::Pi],
        ..small_config()
    };
    let mut search = Search::new(SMALL, config, 0).expect("valid");
    let mut objective = FnObjective::new(2, fragile);
    while !search.is_done() {
        let generation = search.step(&mut objective).expect("a formula cannot stop");
        let new = if generation.index == 0 { 6 } else { 0 };
        assert_eq!(
            generation.evaluations, new,
            "generation {}",
            generation.index
        );
        assert!((generation.median - generation.best.score).abs() < f64::EPSILON);
    }
}

#[test]
fn a_search_in_which_all_fails_still_ends() {
    let mut search = Search::new(SMALL, small_config(), 0).expect("valid");
    let mut objective = FnObjective::new(1, |_: &Candidate, _| {
        Outcome::Failed("out of memory".to_owned())
    });
    while !search.is_done() {
        let generation = search
            .step(&mut objective)
            .expect("failures do not stop a search");
        assert_eq!(generation.failures.len(), generation.evaluations);
    }
    assert!(search.best().expect("finished").score.is_infinite());
    let json = search.state().to_json().expect("plain data");
    assert!(!json.contains("null"), "an infinite score is no field");
    let back = longrope_search::SearchState::from_json(&json).expect("own output");
    assert_eq!(back.to_json().expect("plain data"), json);
}

#[test]
fn the_number_of_samples_may_not_change() {
    let mut search = Search::new(SMALL, small_config(), 0).expect("valid");
    let none = search.step(&mut FnObjective::new(0, fragile));
    assert!(matches!(none, Err(StepError::SampleCount { found: 0, .. })));
    search
        .step(&mut FnObjective::new(2, fragile))
        .expect("a formula cannot stop");
    let other = search.step(&mut FnObjective::new(3, fragile));
    assert!(matches!(
        other,
        Err(StepError::SampleCount { found: 3, .. })
    ));
}

#[test]
fn searches_that_cannot_start_say_why() {
    let crowded = SearchConfig {
        population: 3,
        parents: 2,
        ..small_config()
    };
    let result = Search::new(SMALL, crowded, 0);
    assert!(matches!(
        result,
        Err(Error::InvalidConfig {
            key: "population",
            ..
        })
    ));

    let space = small_config().space(&SMALL).expect("valid");
    let mut outside = space
        .nearest(&[2.0; 8], 0, AttentionScale::Su {})
        .expect("finite");
    outside.steps[3] = 300;
    let result = Search::with_init(SMALL, small_config(), vec![outside], 0);
    let message = result.expect_err("the factors fall").to_string();
    assert_eq!(
        message,
        "initial candidate 0 has a factor that decreases after pair 3, expected factors that never decrease"
    );
}
