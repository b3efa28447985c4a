//! Racing saves work, hardly ever changes the winner, and survives interruptions.

use longrope_search::{
    BlockLoss, BlockLosses, Candidate, FnObjective, Job, Objective, Outcome, Search, SearchConfig,
    SearchState, StepError,
};

use crate::analytic::{SMALL, loss, small_config};

const N_SAMPLES: usize = 5;
const N_BLOCKS: usize = 12;

/// What racing may cost: a hundredth of the spread of losses in a first population, nats.
const TOLERANCE: f64 = 0.005;

/// Numbers that look random and depend on their arguments only, from -1 to 1.
fn noise(parts: &[u64]) -> f64 {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for part in parts {
        state = (state ^ part).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state ^= state >> 29;
    }
    (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// A formula's loss with the variation that text causes: blocks that are easy or hard for all candidates, and a small
/// deviation for every candidate and block.
fn losses(candidate: &Candidate, sample: usize) -> BlockLosses {
    let steps: Vec<u64> = candidate
        .steps
        .iter()
        .map(|step| u64::from(*step))
        .collect();
    let block = |block: usize| {
        let place = [sample as u64, block as u64];
        let own = noise(&[&steps[..], &place, &[candidate.start_tokens as u64]].concat());
        let nats = loss(candidate, 4.0) + 2.0 + noise(&place) + 0.03 * own;
        BlockLoss {
            sum_nats: 64.0 * nats,
            n_tokens: 64,
        }
    };
    BlockLosses::new((0..N_BLOCKS).map(block).collect())
}

fn objective() -> FnObjective<impl FnMut(&Candidate, usize) -> Outcome> {
    FnObjective::new(N_SAMPLES, |candidate: &Candidate, sample| {
        Outcome::Losses(losses(candidate, sample))
    })
}

/// The mean over all samples, including those that the search did not measure.
fn full_score(candidate: &Candidate) -> f64 {
    let sum: f64 = (0..N_SAMPLES).map(|s| losses(candidate, s).mean()).sum();
    sum / N_SAMPLES as f64
}

fn config(strictness: f64) -> SearchConfig {
    SearchConfig {
        racing_strictness: strictness,
        ..small_config()
    }
}

fn finished(strictness: f64, seed: u64) -> Search {
    let mut search = Search::new(SMALL, config(strictness), seed).expect("valid");
    while !search.is_done() {
        search
            .step(&mut objective())
            .expect("a formula cannot stop");
    }
    search
}

#[test]
fn the_winner_loses_no_more_than_the_tolerance_and_work_is_saved() {
    let (mut worst, mut same, mut raced, mut whole) = (f64::MIN, 0, 0, 0);
    for seed in 0..20 {
        let (with, without) = (finished(3.0, seed), finished(0.0, seed));
        let score = |search: &Search| full_score(&search.best().expect("finished").candidate);
        worst = worst.max(score(&with) - score(&without));
        same += usize::from(
            with.best().map(|best| &best.candidate) == without.best().map(|best| &best.candidate),
        );
        raced += with.progress().sample_evaluations;
        whole += without.progress().sample_evaluations;
    }
    assert!(worst <= TOLERANCE, "{worst}");
    assert!(same >= 18, "the same winner {same} times of 20");
    assert!(raced * 4 <= whole * 3, "{raced} of {whole} samples");
}

#[test]
fn without_a_race_everyone_is_scored_in_full_and_no_losses_are_kept() {
    let search = finished(0.0, 1);
    for entry in search.state().scored() {
        assert_eq!(entry.n_samples, N_SAMPLES);
        assert!(!entry.dropped && entry.losses.is_empty());
        assert!((entry.score - full_score(&entry.candidate)).abs() < 1e-12);
    }
}

#[test]
fn elites_are_scored_in_full_and_the_dropped_have_no_descendants() {
    let search = finished(2.0, 2);
    let scored = search.state().scored();
    let dropped: Vec<_> = scored.iter().filter(|entry| entry.dropped).collect();
    assert!(!dropped.is_empty());
    for entry in &dropped {
        assert!(entry.n_samples < N_SAMPLES && entry.losses.is_empty());
        assert!(entry.score.is_finite(), "an estimate");
    }
    let best = search.best().expect("finished");
    assert_eq!(best.n_samples, N_SAMPLES);
    assert!(
        scored
            .iter()
            .all(|entry| entry.dropped || best.score <= entry.score)
    );
    let counts = search.state().history();
    let n_dropped: usize = counts.iter().map(|generation| generation.dropped).sum();
    assert_eq!(n_dropped, dropped.len());
}

/// The last sample is of another kind than those before.
struct LastIsOther;

impl Objective for LastIsOther {
    type Error = std::convert::Infallible;

    fn n_samples(&self) -> usize {
        N_SAMPLES
    }

    fn kind(&self, sample: usize) -> usize {
        usize::from(sample + 1 == N_SAMPLES)
    }

    fn evaluate(&mut self, jobs: &[Job<'_>]) -> Result<Vec<Outcome>, Self::Error> {
        let answer = |job: &Job| Outcome::Losses(losses(job.candidate, job.sample));
        Ok(jobs.iter().map(answer).collect())
    }
}

#[test]
fn no_candidate_is_dropped_before_every_kind_of_sample_was_seen() {
    let mut search = Search::new(SMALL, config(2.0), 2).expect("valid");
    while !search.is_done() {
        search
            .step(&mut LastIsOther)
            .expect("a formula cannot stop");
    }
    // With samples of one kind, some are: `elites_are_scored_in_full_and_the_dropped_have_no_descendants`.
    assert!(search.state().scored().iter().all(|entry| !entry.dropped));
}

/// Every sample is harder than the one before, by far more than candidates differ.
fn rising(candidate: &Candidate, sample: usize) -> Outcome {
    let blocks = losses(candidate, sample).blocks().to_vec();
    let harder = blocks.into_iter().map(|block| BlockLoss {
        sum_nats: block.sum_nats + (block.n_tokens * sample) as f64,
        ..block
    });
    Outcome::Losses(BlockLosses::new(harder.collect()))
}

#[test]
fn scores_of_dropped_candidates_are_estimates_of_full_scores() {
    let mean_rise = (N_SAMPLES - 1) as f64 / 2.0;
    let mut n_dropped = 0;
    for seed in 0..5 {
        let mut search = Search::new(SMALL, config(2.0), seed).expect("valid");
        let mut objective = FnObjective::new(N_SAMPLES, rising);
        while !search.is_done() {
            let generation = search.step(&mut objective).expect("a formula cannot stop");
            assert!(generation.best.score <= generation.generation_best);
            assert!(generation.generation_best <= generation.median);
        }
        let best = search.best().expect("finished").score;
        for entry in search.state().scored().iter().filter(|one| one.dropped) {
            n_dropped += 1;
            let error = entry.score - (full_score(&entry.candidate) + mean_rise);
            let stderr = entry.score_stderr.expect("an estimate has one");
            assert!(error.abs() < 6.0 * stderr + 0.01, "{error} at {stderr}");
            assert!(entry.score >= best, "no estimate is better than the best");
        }
    }
    assert!(n_dropped > 50, "{n_dropped}");
}

#[test]
fn a_surrogate_with_estimates_finds_what_one_with_full_scores_finds() {
    let finished = |strictness, seed| {
        let config = SearchConfig {
            surrogate_pool: 8,
            smooth_share: 0.5,
            difference_share: 0.5,
            ..config(strictness)
        };
        let mut search = Search::new(SMALL, config, seed).expect("valid");
        let mut objective = FnObjective::new(N_SAMPLES, rising);
        while !search.is_done() {
            search.step(&mut objective).expect("a formula cannot stop");
        }
        search.best().expect("finished").score
    };
    let differences: Vec<f64> = (0..20)
        .map(|seed| finished(3.0, seed) - finished(0.0, seed))
        .collect();
    let mean = differences.iter().sum::<f64>() / differences.len() as f64;
    assert!(mean < TOLERANCE, "{mean} from {differences:?}");
}

#[test]
fn dropped_candidates_of_version_0_1_are_kept_out() {
    let mut search = Search::new(SMALL, config(2.0), 2).expect("valid");
    for _ in 0..3 {
        search
            .step(&mut objective())
            .expect("a formula cannot stop");
    }
    let old = |score: f64| {
        let mut state = serde_json::to_value(search.state()).expect("plain data");
        state["config"]["surrogate-pool"] = 8.into();
        for entry in state["memo"].as_array_mut().expect("candidates") {
            if entry["dropped"] == true {
                entry
                    .as_object_mut()
                    .expect("fields")
                    .remove("score_stderr");
                entry["score"] = score.into();
            }
        }
        let state = SearchState::from_json(&state.to_string()).expect("an old state");
        let mut search = Search::resume(state).expect("an old state");
        search
            .step(&mut objective())
            .expect("a formula cannot stop")
    };
    let (good, bad) = (old(0.5), old(9.0));
    assert_eq!(
        good.generation_best.to_bits(),
        bad.generation_best.to_bits()
    );
    assert_eq!(good.best.candidate, bad.best.candidate);
    assert_eq!(good.median.to_bits(), bad.median.to_bits());
}

#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
struct Interrupted;

/// Stops after a number of calls.
struct Mortal(usize);

impl Objective for Mortal {
    type Error = Interrupted;

    fn n_samples(&self) -> usize {
        N_SAMPLES
    }

    fn evaluate(&mut self, jobs: &[Job<'_>]) -> Result<Vec<Outcome>, Interrupted> {
        self.0 = self.0.checked_sub(1).ok_or(Interrupted)?;
        let answer = |job: &Job| Outcome::Losses(losses(job.candidate, job.sample));
        Ok(jobs.iter().map(answer).collect())
    }
}

#[test]
fn a_race_that_is_killed_anywhere_ends_as_one_that_was_not() {
    let config = || SearchConfig {
        batch_candidates: 3,
        ..config(2.0)
    };
    let new = || Search::new(SMALL, config(), 4).expect("valid");
    let mut whole = new();
    while !whole.is_done() {
        whole.step(&mut objective()).expect("a formula cannot stop");
    }
    let expected = whole.state().to_json().expect("plain data");
    for lifetime in 1..40 {
        let mut search = new();
        let mut mortal = Mortal(lifetime);
        while !search.is_done() {
            match search.step(&mut mortal) {
                Ok(_) => {}
                Err(StepError::Objective { .. }) => {
                    let saved = search.state().to_json().expect("plain data");
                    let state = SearchState::from_json(&saved).expect("own output");
                    search = Search::resume(state).expect("own output");
                    mortal = Mortal(lifetime);
                }
                Err(error) => panic!("{error}"),
            }
        }
        let found = search.state().to_json().expect("plain data");
        assert!(found == expected, "killed after every {lifetime} calls");
    }
}

/// Records its calls.
struct Rounds(Vec<Vec<usize>>);

impl Objective for Rounds {
    type Error = std::convert::Infallible;

    fn n_samples(&self) -> usize {
        N_SAMPLES
    }

    fn evaluate(&mut self, jobs: &[Job<'_>]) -> Result<Vec<Outcome>, Self::Error> {
        self.0.push(jobs.iter().map(|job| job.sample).collect());
        let answer = |job: &Job| Outcome::Losses(losses(job.candidate, job.sample));
        Ok(jobs.iter().map(answer).collect())
    }
}

#[test]
fn a_round_is_one_call_with_all_who_are_left() {
    let mut search = Search::new(SMALL, config(2.0), 5).expect("valid");
    let mut rounds = Rounds(Vec::new());
    search.step(&mut rounds).expect("a formula cannot stop");
    let (seeds, races) = rounds.0.split_first().expect("calls");
    assert_eq!(
        seeds.len(),
        15 * N_SAMPLES,
        "five seeds with three policies"
    );
    assert_eq!(races.len(), N_SAMPLES);
    for (sample, round) in races.iter().enumerate() {
        assert!(round.iter().all(|job| *job == sample));
        assert!(round.len() <= races[0].len());
    }
    assert!(races[N_SAMPLES - 1].len() < races[0].len());
}
