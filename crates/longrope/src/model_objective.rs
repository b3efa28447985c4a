//! What a search asks, answered by a model on one or more devices.

use std::sync::Arc;

use anyhow::Result;
use longrope_rope::RopeSpec;
use longrope_search::{BlockLosses, Job, Objective, Outcome, TargetRope};

use crate::calibration::{Calibration, CalibrationSample};
use crate::retrieval::{self, MethodLoss, NamedSpec};
use crate::search_run::SearchSetting;
use crate::show::search_view::SearchView;
use crate::signals::Interrupt;
use crate::workers::{Measure, ScoreJob, Workers, WorkersError, explain};

/// Tokens that devices are compared on before a search.
const PROBE_TOKENS: usize = 128;

/// Scores candidates by the loss of a frozen model on samples of the target length.
pub(crate) struct ModelObjective {
    workers: Workers,
    rope: TargetRope,
    samples: Vec<CalibrationSample>,
    interrupt: Interrupt,
    pub(crate) view: SearchView,
}

impl ModelObjective {
    /// Starts the workers. With several kinds of devices, warns if they give different numbers.
    pub(crate) fn start(
        setting: &SearchSetting,
        interrupt: Interrupt,
        view: SearchView,
    ) -> Result<Self> {
        let workers = Workers::start(setting.models)?;
        let mut objective = Self::new(workers, setting, interrupt, view);
        if setting.models.differ() {
            objective.compare_devices().map_err(explain)?;
        }
        Ok(objective)
    }

    /// Scores with these workers.
    pub(crate) fn new(
        workers: Workers,
        setting: &SearchSetting,
        interrupt: Interrupt,
        view: SearchView,
    ) -> Self {
        Self {
            workers,
            rope: setting.rope.clone(),
            samples: setting.calibration.samples.clone(),
            interrupt,
            view,
        }
    }

    fn compare_devices(&mut self) -> Result<(), WorkersError> {
        let Some(sample) = self.samples.first() else {
            return Ok(());
        };
        let tokens = sample.tokens();
        let tokens = tokens[..tokens.len().min(PROBE_TOKENS)].to_vec();
        let probe = ScoreJob {
            score_from: 1,
            rope: self.rope.base().resolve(tokens.len()),
            sequences: Arc::from([tokens]),
            measure: Measure::Nats,
        };
        self.workers.compare(probe, &self.interrupt)?;
        Ok(())
    }

    /// Losses on samples, each under a RoPE.
    fn score(&mut self, asked: &[(usize, &RopeSpec)]) -> Result<Vec<BlockLosses>, WorkersError> {
        let jobs = asked.iter();
        let jobs = jobs.map(|(sample, spec)| self.samples[*sample].job(Measure::Nats, spec));
        let jobs = jobs.collect();
        let view = &mut self.view;
        let answers = self.workers.score(jobs, &self.interrupt, &mut |status| {
            view.tick(status, true);
        })?;
        let answers = asked.iter().zip(&answers);
        Ok(answers
            .map(|((sample, _), answer)| self.samples[*sample].blocks(&answer.value))
            .collect())
    }

    /// Measures RoPEs aside of the search.
    pub(crate) fn measure(
        &mut self,
        calibration: &Calibration,
        ropes: &[NamedSpec],
    ) -> Result<Vec<MethodLoss>, WorkersError> {
        let view = &mut self.view;
        retrieval::measure(
            &mut self.workers,
            calibration,
            ropes,
            &self.interrupt,
            &mut |status| view.tick(status, false),
        )
    }
}

impl Objective for ModelObjective {
    type Error = WorkersError;

    fn n_samples(&self) -> usize {
        self.samples.len()
    }

    fn evaluate(&mut self, jobs: &[Job<'_>]) -> Result<Vec<Outcome>, WorkersError> {
        let specs = jobs.iter();
        let specs: Vec<_> = specs
            .map(|job| self.rope.candidate_spec(job.candidate))
            .collect();
        let asked = jobs.iter().zip(&specs);
        let asked = asked.filter_map(|(job, spec)| Some((job.sample, spec.as_ref().ok()?)));
        let mut losses = self.score(&asked.collect::<Vec<_>>())?.into_iter();
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
    use crate::models::Models;
    use crate::run_dir::RunDir;
    use crate::search_run::{SearchResult, run_search_on};
    use crate::settings::config::ObjectiveSetting;

    const TARGET: usize = 64;

    /// Text, needles and passkeys.
    fn calibration() -> Calibration {
        let sample = |index: u32, score_from| {
            let tokens = (0..64).map(|i| (i * i + 31 * index) % 97).collect();
            CalibrationSample::new(tokens, score_from)
        };
        let text: Vec<_> = (0..3).map(|index| sample(index, 1)).collect();
        Calibration {
            samples: text.clone(),
            text,
            needles: (3..5).map(|index| sample(index, 60)).collect(),
            passkeys: (5..7).map(|index| sample(index, 63)).collect(),
            needle_share: 0.0,
        }
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
        let rope = TargetRope::factors(&models.decoder().config().rope, TARGET);
        Search::new(rope.problem(), config, 7).expect("it is valid")
    }

    /// A search in `folder` on these workers.
    fn run(folder: &Path, models: &Models, workers: Workers) -> Result<SearchResult> {
        let run = RunDir::create(folder)?;
        let calibration = calibration();
        let rope = TargetRope::factors(&models.decoder().config().rope, TARGET);
        let setting = SearchSetting {
            run: &run,
            models,
            calibration: &calibration,
            rope: &rope,
            profile: "paper",
            objective: ObjectiveSetting::Perplexity,
            model_fingerprint: String::new(),
            text_fingerprint: String::new(),
            tui: false,
        };
        let search = search(models);
        let view = SearchView::hidden(&setting, &search);
        let objective = ModelObjective::new(workers, &setting, Interrupt::default(), view);
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
        let expected = run(&alone, &models, Workers::start(&models).unwrap()).unwrap();

        let many = Models::tiny(&["flex", "flex", "flex"]);
        let one_dies = Workers::start_mortal(&models, &[usize::MAX, 20]).unwrap();
        let most_die = Workers::start_mortal(&models, &[5, usize::MAX, 0, 33]).unwrap();
        for (name, workers) in [
            ("three", Workers::start(&many).unwrap()),
            ("one dies", one_dies),
            ("most die", most_die),
        ] {
            let folder = here.path().join(name);
            let result = run(&folder, &models, workers).unwrap();
            assert_eq!(result.searched, expected.searched, "{name}");
            assert_eq!(result.baselines, expected.baselines, "{name}");
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
