//! What a search asks, answered by a model on one or more devices.

use std::sync::Arc;

use anyhow::Result;
use longrope_data::Sample;
use longrope_rope::RopeSpec;
use longrope_search::{BlockLosses, Job, Objective, Outcome};

use crate::interrupt::Interrupt;
use crate::models::Models;
use crate::search_run::candidate_spec;
use crate::search_view::SearchView;
use crate::workers::{Losses, ScoreJob, Workers, WorkersError, explain};

/// Blocks of positions that a sample's loss is reported in. Enough for a test of paired differences, and few enough to be
/// kept in the state for every candidate that may be compared with.
const BLOCKS_PER_SAMPLE: usize = 16;

/// Tokens that devices are compared on before a search.
const PROBE_TOKENS: usize = 128;

/// Scores candidates by the loss of a frozen model on samples of the target length.
pub(crate) struct ModelObjective {
    workers: Workers,
    base: RopeSpec,
    target: usize,
    /// A sequence each.
    samples: Vec<Arc<[Vec<u32>]>>,
    interrupt: Interrupt,
    pub(crate) view: SearchView,
}

impl ModelObjective {
    /// Starts the workers. With several kinds of devices, warns if they give different numbers.
    pub(crate) fn start(
        models: &Models,
        samples: &[Sample],
        target: usize,
        interrupt: Interrupt,
        view: SearchView,
    ) -> Result<Self> {
        let workers = Workers::start(models)?;
        let base = models.decoder().config().rope.plain();
        let mut objective = Self::new(workers, base, samples, target, interrupt, view);
        if models.differ() {
            objective.compare_devices().map_err(explain)?;
        }
        Ok(objective)
    }

    /// Scores with these workers.
    pub(crate) fn new(
        workers: Workers,
        base: RopeSpec,
        samples: &[Sample],
        target: usize,
        interrupt: Interrupt,
        view: SearchView,
    ) -> Self {
        let sequence = |sample: &Sample| Arc::from([sample.tokens.clone()]);
        Self {
            workers,
            base,
            target,
            samples: samples.iter().map(sequence).collect(),
            interrupt,
            view,
        }
    }

    fn compare_devices(&mut self) -> Result<(), WorkersError> {
        let Some(tokens) = self.samples.first().map(|sample| &sample[0]) else {
            return Ok(());
        };
        let tokens = tokens[..tokens.len().min(PROBE_TOKENS)].to_vec();
        let probe = ScoreJob {
            score_from: 1,
            rope: self.base.resolve(tokens.len()),
            sequences: Arc::from([tokens]),
        };
        self.workers.compare(probe, &self.interrupt)?;
        Ok(())
    }

    fn job(&self, spec: &RopeSpec, sample: usize) -> ScoreJob {
        let sequences = Arc::clone(&self.samples[sample]);
        ScoreJob {
            score_from: 1,
            rope: spec.resolve(sequences[0].len()),
            sequences,
        }
    }

    /// Losses for jobs, which are part of what the search has planned or aside of it.
    fn score(
        &mut self,
        jobs: Vec<ScoreJob>,
        planned: bool,
    ) -> Result<Vec<BlockLosses>, WorkersError> {
        let view = &mut self.view;
        let answers = self.workers.score(jobs, &self.interrupt, &mut |status| {
            view.tick(status, planned);
        })?;
        Ok(answers.iter().map(|it| blocks(&it.value)).collect())
    }

    /// Mean loss over all samples under each RoPE, nats per token.
    pub(crate) fn mean_losses(&mut self, specs: &[RopeSpec]) -> Result<Vec<f64>, WorkersError> {
        let n_samples = self.samples.len();
        let jobs = specs
            .iter()
            .flat_map(|spec| (0..n_samples).map(move |sample| (spec, sample)))
            .map(|(spec, sample)| self.job(spec, sample))
            .collect();
        let losses = self.score(jobs, false)?;
        let mean = |losses: &[BlockLosses]| {
            losses.iter().map(BlockLosses::mean).sum::<f64>() / n_samples as f64
        };
        Ok(losses.chunks(n_samples).map(mean).collect())
    }
}

/// Loss of the only sequence of a job, by blocks of positions.
fn blocks(losses: &Losses) -> BlockLosses {
    let losses = losses.first().map_or(&[][..], Vec::as_slice);
    BlockLosses::of_tokens(losses, BLOCKS_PER_SAMPLE)
}

impl Objective for ModelObjective {
    type Error = WorkersError;

    fn n_samples(&self) -> usize {
        self.samples.len()
    }

    fn evaluate(&mut self, jobs: &[Job<'_>]) -> Result<Vec<Outcome>, WorkersError> {
        let specs = jobs
            .iter()
            .map(|job| candidate_spec(&self.base, self.target, job.candidate));
        let specs: Vec<_> = specs.collect();
        let to_score = jobs.iter().zip(&specs).filter_map(|(job, spec)| {
            let spec = spec.as_ref().ok()?;
            Some(self.job(spec, job.sample))
        });
        let mut losses = self.score(to_score.collect(), true)?.into_iter();
        self.view.answered(jobs.len());
        let outcome = |spec| match spec {
            Ok(_) => losses.next().map_or_else(
                || Outcome::Failed("it was not measured".to_owned()),
                Outcome::Losses,
            ),
            Err(error) => Outcome::Failed(longrope_rope::Error::to_string(&error)),
        };
        Ok(specs.into_iter().map(outcome).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use longrope_search::{Search, SearchConfig};

    use super::*;
    use crate::failure;
    use crate::run_dir::RunDir;
    use crate::search_run::{SearchResult, SearchSetting, problem, run_search_on};

    const TARGET: usize = 64;

    fn samples() -> Vec<Sample> {
        let tokens = |sample: u32| (0..64).map(|i| (i * i + 31 * sample) % 97).collect();
        let sample = |index| Sample {
            source: String::new(),
            doc_idx: 0,
            start: 0,
            tokens: tokens(index),
        };
        (0..3).map(sample).collect()
    }

    fn search(models: &Models) -> Search {
        let config = SearchConfig {
            population: 8,
            parents: 4,
            mutations: 4,
            crossovers: 4,
            generations: 3,
            ..SearchConfig::default()
        };
        Search::new(problem(models.decoder(), TARGET), config, 7).expect("it is valid")
    }

    /// A search in `folder` on these workers.
    fn run(folder: &Path, models: &Models, workers: Workers) -> Result<SearchResult> {
        let run = RunDir::create(folder)?;
        let samples = samples();
        let setting = SearchSetting {
            run: &run,
            models,
            samples: &samples,
            target: TARGET,
            profile: "paper",
            model_fingerprint: String::new(),
            text_fingerprint: String::new(),
            tui: false,
        };
        let search = search(models);
        let view = SearchView::hidden(&setting, &search);
        let objective = ModelObjective::new(
            workers,
            setting.base(),
            &samples,
            TARGET,
            Interrupt::default(),
            view,
        );
        run_search_on(&setting, search, objective)
    }

    fn read(folder: &Path, name: &str) -> String {
        fs_err::read_to_string(folder.join(name)).expect("it is written")
    }

    #[test]
    fn results_do_not_depend_on_the_number_of_workers_nor_on_their_health() {
        let here = tempfile::tempdir().unwrap();
        let alone = here.path().join("alone");
        let models = Models::tiny(&["flex"]);
        run(&alone, &models, Workers::start(&models).unwrap()).unwrap();

        let many = Models::tiny(&["flex", "flex", "flex"]);
        let one_dies = Workers::start_mortal(&models, &[usize::MAX, 20]).unwrap();
        let most_die = Workers::start_mortal(&models, &[5, usize::MAX, 0, 33]).unwrap();
        for (name, workers) in [
            ("three", Workers::start(&many).unwrap()),
            ("one dies", one_dies),
            ("most die", most_die),
        ] {
            let folder = here.path().join(name);
            run(&folder, &models, workers).unwrap();
            for file in ["rope.json", "metrics.jsonl", "search/state.json"] {
                assert!(read(&folder, file) == read(&alone, file), "{name}: {file}");
            }
        }
    }

    #[test]
    fn when_all_workers_are_gone_the_search_is_saved_and_can_go_on() {
        let here = tempfile::tempdir().unwrap();
        let models = Models::tiny(&["flex"]);
        let workers = Workers::start_mortal(&models, &[30, 12]).unwrap();
        let error = run(here.path(), &models, workers).unwrap_err();
        assert!(failure::is_device_failure(&error), "{error:?}");
        assert!(error.to_string().contains("the connection was closed"));
        assert!(!here.path().join("rope.json").exists());
        let state = read(here.path(), "search/state.json");
        let state = longrope_search::SearchState::from_json(&state).unwrap();
        assert!(Search::resume(state).is_ok());
    }
}
