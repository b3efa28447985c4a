//! An interrupted search ends with the same bytes as an uninterrupted one.

use longrope_search::{
    AttentionSearch, Candidate, FnObjective, Generation, Job, Objective, Outcome, Search,
    SearchConfig, SearchState, StepError,
};

use crate::analytic::{SMALL, loss, small_config};

#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
struct Interrupted;

/// Measures a number of batches, then stops once.
struct Flaky {
    left: usize,
    calls: usize,
}

impl Objective for Flaky {
    type Error = Interrupted;

    fn n_samples(&self) -> usize {
        2
    }

    fn evaluate(&mut self, jobs: &[Job<'_>]) -> Result<Vec<Outcome>, Interrupted> {
        self.left = self.left.checked_sub(1).ok_or(Interrupted)?;
        self.calls += jobs.len();
        Ok(jobs.iter().map(answer).collect())
    }
}

/// Some losses fail, so that failures have to survive as well.
fn answer(job: &Job<'_>) -> Outcome {
    match job.candidate.steps[7] % 11 {
        0 => Outcome::Failed(format!("sample {} would not fit", job.sample)),
        1 => Outcome::Loss(f64::NAN),
        _ => Outcome::Loss(loss(job.candidate, 4.0) / (job.sample + 3) as f64),
    }
}

fn config() -> SearchConfig {
    SearchConfig {
        attention: AttentionSearch::Gene {},
        batch_candidates: 1,
        ..small_config()
    }
}

fn new_search() -> Search {
    Search::new(SMALL, config(), 42).expect("valid")
}

fn json(search: &Search) -> String {
    search.state().to_json().expect("plain data")
}

fn reload(search: &Search) -> Search {
    Search::resume(SearchState::from_json(&json(search)).expect("own output")).expect("own output")
}

fn objective() -> FnObjective<impl FnMut(&Candidate, usize) -> Outcome> {
    FnObjective::new(2, |candidate: &Candidate, sample| {
        answer(&Job { candidate, sample })
    })
}

fn uninterrupted() -> (String, Vec<Generation>) {
    let mut search = new_search();
    let mut generations = Vec::new();
    while !search.is_done() {
        generations.push(
            search
                .step(&mut objective())
                .expect("a formula cannot stop"),
        );
    }
    (json(&search), generations)
}

#[test]
fn reloading_before_every_generation_changes_nothing() {
    let (expected, generations) = uninterrupted();
    let mut search = reload(&new_search());
    let mut reports = Vec::new();
    while !search.is_done() {
        reports.push(
            search
                .step(&mut objective())
                .expect("a formula cannot stop"),
        );
        search = reload(&search);
    }
    assert_eq!(json(&search), expected);
    assert_eq!(reports, generations);
    assert_eq!(search.state().history(), generations);
}

#[test]
fn stopping_anywhere_inside_a_generation_changes_nothing() {
    let (expected, _) = uninterrupted();
    let total = new_search().planned_evaluations();
    for stop_after in 0..total {
        let mut search = new_search();
        let mut flaky = Flaky {
            left: stop_after,
            calls: 0,
        };
        while !search.is_done() {
            let before = search.state().clone();
            match search.step(&mut flaky) {
                Ok(_) => {}
                Err(StepError::Objective { generation, .. }) => {
                    assert_eq!(generation, before.history().len());
                    assert_eq!(
                        search.state().history(),
                        before.history(),
                        "stopped after {stop_after}"
                    );
                    assert_eq!(search.best(), before.best());
                    assert_eq!(
                        search.state().scored().len(),
                        stop_after,
                        "finished candidates stay known"
                    );
                    search = reload(&search);
                    flaky.left = usize::MAX;
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(json(&search), expected, "stopped after {stop_after}");
        assert_eq!(
            flaky.calls,
            2 * search.progress().evaluations,
            "nothing is measured twice"
        );
    }
}

#[test]
fn stopping_after_every_single_candidate_changes_nothing() {
    let (expected, _) = uninterrupted();
    let mut search = new_search();
    while !search.is_done() {
        // One candidate per process.
        if search.step(&mut Flaky { left: 1, calls: 0 }).is_err() {
            search = reload(&search);
        }
    }
    assert_eq!(json(&search), expected);
}

#[test]
fn batches_change_only_what_an_interruption_loses() {
    let (_, generations) = uninterrupted();
    let mut search = Search::new(
        SMALL,
        SearchConfig {
            batch_candidates: 4,
            ..config()
        },
        42,
    )
    .expect("valid");
    let stopped = search.step(&mut Flaky { left: 1, calls: 0 });
    assert!(matches!(
        stopped,
        Err(StepError::Objective { generation: 0, .. })
    ));
    assert_eq!(search.state().scored().len(), 4, "a batch");
    while !search.is_done() {
        search
            .step(&mut objective())
            .expect("a formula cannot stop");
    }
    assert_eq!(search.state().history(), generations);
}
