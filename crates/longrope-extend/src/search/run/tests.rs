use std::path::Path;

use longrope_search::SearchConfig;

use super::*;
use crate::scoring::tests::tiny;
use crate::scoring::{Measurer, Models, Scoring, Workers};
use crate::search::calibration::sample::CalibrationSample;

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
        adaptation: None,
    }
}

fn search(target: &TargetRope) -> Search {
    let config = SearchConfig {
        population: 8,
        parents: 4,
        mutations: 4,
        crossovers: 4,
        generations: 3,
        ..SearchConfig::default()
    };
    Search::new(target.problem(), config, 7).expect("it is valid")
}

/// A search in `folder` on these workers.
fn run(folder: &Path, models: &Models, scoring: Scoring<'_>) -> Result<SearchOutcome> {
    let settings = crate::run_folder::RunSettings::default();
    let kind = crate::run_folder::RunKind::Search;
    let run = RunFolder::open(folder, kind, crate::run_folder::RunMode::Part, &settings)?;
    let calibration = calibration();
    let target = TargetRope::factors(&models.decoder().config().rope, TARGET);
    let setting = SearchRun {
        run: &run,
        calibration: &calibration,
        unseen: None,
        target: &target,
        local_rope: None,
        profile: "paper",
        objective: ObjectiveKind::Perplexity,
        choice: None,
        source: ResultSource::default(),
        text_fingerprint: String::new(),
        methods_first: false,
    };
    let objective = ModelObjective::new(scoring, &target, calibration.samples.clone());
    setting.finish_search(search(&target), objective)
}

fn workers(workers: Result<Workers>) -> Scoring<'static> {
    Scoring::Workers(workers.unwrap())
}

fn read(folder: &Path, name: &str) -> String {
    fs_err::read_to_string(folder.join(name)).expect("it is written")
}

#[test]
fn results_do_not_depend_on_the_number_of_workers_nor_on_their_health() {
    let here = tempfile::tempdir().unwrap();
    let alone = here.path().join("alone");
    let models = tiny(&["flex"]);
    let expected = run(&alone, &models, workers(Workers::start(&models))).unwrap();
    let expected = expected.result;

    let many = tiny(&["flex", "flex", "flex"]);
    let on_this_thread = Scoring::Here(Box::new(Measurer::new(models.decoder())));
    for (name, scoring) in [
        ("three", workers(Workers::start(&many))),
        (
            "one dies",
            workers(Workers::start_mortal(&models, &[usize::MAX, 20])),
        ),
        (
            "most die",
            workers(Workers::start_mortal(&models, &[5, usize::MAX, 0, 33])),
        ),
        ("none", on_this_thread),
    ] {
        let folder = here.path().join(name);
        let result = run(&folder, &models, scoring).unwrap().result;
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
    let models = tiny(&["flex"]);
    let scoring = workers(Workers::start_mortal(&models, &[30, 12]));
    let error = run(here.path(), &models, scoring).unwrap_err();
    assert!(matches!(error, Error::NoDeviceLeft { .. }), "{error:?}");
    assert!(error.to_string().contains("the connection was closed"));
    assert!(!here.path().join("rope.json").exists());
    assert!(here.path().join(TIME_FILE).is_file());
    let state = read(here.path(), "search/state.json");
    let state = longrope_search::SearchState::from_json(&state).unwrap();
    assert!(Search::resume(state).is_ok());
}
