use std::path::PathBuf;

use super::*;
use crate::json_files::read_json;
use crate::recipe::RecipeError;

/// A stage of a recipe in a folder, with some of its settings.
fn stage(run: &Path, number: usize, name: &str, verb: Verb, settings: &str) -> PlannedStage<()> {
    let folder = run.join(format!("{number:02}-{name}"));
    let settings = settings.replace("RUN", &run.display().to_string());
    PlannedStage {
        name: name.to_owned(),
        verb,
        settings: format!("out = \"{}\"\n{settings}\n", folder.display()),
        folder,
        locate,
        work: (),
    }
}

/// The place of a model: what follows `hf:`, as of one that is fetched from a hub when it is needed.
fn locate(model: &str) -> Option<PathBuf> {
    let path = PathBuf::from(model.strip_prefix("hf:").unwrap_or(model));
    path.exists().then_some(path)
}

/// A search, two measurements of its factors, one of something else, and a page.
fn recipe(run: &Path) -> Vec<PlannedStage<()>> {
    let rope = "rope = [\"none\", \"RUN/01-find/rope.json\"]";
    vec![
        stage(run, 1, "find", Verb::Search, "search.target = 64"),
        stage(run, 2, "measure", Verb::Ppl, rope),
        stage(run, 3, "other", Verb::Ppl, "rope = [\"yarn\"]"),
        stage(run, 4, "again", Verb::Passkey, rope),
        stage(run, 5, "page", Verb::Report, rope),
    ]
}

/// Runs what is not done, with a search that finds `factor`; the names of the stages that ran.
fn run_all(stages: &[PlannedStage<()>], factor: f64) -> (Vec<String>, Result<()>) {
    let mut ran = Vec::new();
    let done = run(stages, |stage, _turn| {
        ran.push(stage.name.clone());
        if stage.verb == Verb::Search {
            let rope = format!("{{\"factors\": [{factor}]}}");
            fs_err::write(stage.folder.join("rope.json"), rope)?;
        }
        Ok::<_, Error>(())
    });
    (ran, done.map(|_| ()))
}

fn remove(stage: &PlannedStage<()>) {
    fs_err::remove_dir_all(&stage.folder).unwrap();
}

/// The stage, the input and the folders that an error names.
fn refused(result: Result<()>) -> (String, PathBuf, Vec<PathBuf>) {
    match result {
        Err(Error::Recipe(RecipeError::OtherInput {
            stage,
            input,
            folders,
        })) => (stage, input, folders),
        other => panic!("{other:?}"),
    }
}

#[test]
fn stages_run_once_and_a_failed_one_runs_again() {
    let here = tempfile::tempdir().unwrap();
    let planned: Vec<PlannedStage<usize>> = (0..3)
        .map(|work| PlannedStage {
            name: format!("s{work}"),
            verb: Verb::Ppl,
            folder: here.path().join(format!("s{work}")),
            settings: format!("seed = {work}\n"),
            locate,
            work,
        })
        .collect();
    let mut ran = Vec::new();
    let first = run(&planned, |stage, turn| {
        ran.push((stage.work, turn.has_begun));
        let failed = std::io::Error::other("no power");
        if stage.work == 1 {
            Err(Error::from(failed))
        } else {
            Ok(())
        }
    });
    assert!(first.is_err());
    let done = run::<_, Error>(&planned, |stage, turn| {
        ran.push((stage.work, turn.has_begun));
        Ok(())
    });
    assert_eq!(done.unwrap().len(), 3);
    assert_eq!(ran, [(0, false), (1, false), (1, true), (2, false)]);
}

#[test]
fn what_depends_on_a_stage_that_was_run_again_is_refused() {
    let here = tempfile::tempdir().unwrap();
    let stages = recipe(here.path());
    let all = ["find", "measure", "other", "again", "page"];
    assert_eq!(run_all(&stages, 2.0).0, all);
    assert_eq!(run_all(&stages, 2.0).0, [""; 0]);
    remove(&stages[0]);
    // Nothing is known yet.
    check(&stages).unwrap();
    let (ran, result) = run_all(&stages, 3.0);
    assert_eq!(ran, ["find"]);
    let folders = vec![stages[1].folder.clone(), stages[3].folder.clone()];
    let rope = stages[0].folder.join("rope.json");
    let expected = ("measure".to_owned(), rope, folders);
    assert_eq!(refused(result), expected);
    assert_eq!(refused(check(&stages)), expected);
    remove(&stages[1]);
    remove(&stages[3]);
    let (ran, result) = run_all(&stages, 3.0);
    assert_eq!(ran, ["measure", "again", "page"]);
    result.unwrap();
}

#[test]
fn what_a_stage_named_before_it_was_made_is_known_to_those_after_it() {
    let here = tempfile::tempdir().unwrap();
    // A key for all measurements: the first of them names factors that are not found yet.
    let settings =
        |rope: &str| format!("rope = [\"{rope}\"]\neval.reference = \"RUN/02-find/rope.json\"");
    let found = settings("RUN/02-find/rope.json");
    let stages = vec![
        stage(here.path(), 1, "base", Verb::Ppl, &settings("none")),
        stage(here.path(), 2, "find", Verb::Search, "search.target = 64"),
        stage(here.path(), 3, "measure", Verb::Ppl, &found),
    ];
    run_all(&stages, 2.0).1.unwrap();
    remove(&stages[1]);
    let (ran, result) = run_all(&stages, 3.0);
    assert_eq!(ran, ["find"]);
    let rope = stages[1].folder.join("rope.json");
    let folders = vec![stages[2].folder.clone()];
    assert_eq!(refused(result), ("measure".to_owned(), rope, folders));
}

#[test]
fn a_stage_that_makes_the_same_again_changes_nothing_but_the_page() {
    let here = tempfile::tempdir().unwrap();
    let stages = recipe(here.path());
    run_all(&stages, 2.0).1.unwrap();
    remove(&stages[0]);
    let (ran, result) = run_all(&stages, 2.0);
    assert_eq!(ran, ["find", "page"]);
    result.unwrap();
}

#[test]
fn what_a_stage_makes_itself_is_none_of_its_inputs() {
    let here = tempfile::tempdir().unwrap();
    let mut stages = recipe(here.path());
    stages[1] = stage(
        here.path(),
        2,
        "measure",
        Verb::Ppl,
        "rope = [\"RUN/01-find/rope.json\", \"RUN/02-measure/rope.json\"]",
    );
    // As a stage that was stopped may have left it.
    fs_err::create_dir_all(&stages[1].folder).unwrap();
    fs_err::write(stages[1].folder.join("rope.json"), "{}").unwrap();
    run_all(&stages, 2.0).1.unwrap();
    let path = stages[1].folder.join(DONE_FILE);
    let mut done: DoneStage = read_json(&path).unwrap();
    let taken: Vec<&String> = done.inputs.keys().collect();
    assert_eq!(taken, ["01-find/rope.json"]);
    // Earlier versions noted it.
    let own = "02-measure/rope.json".to_owned();
    done.inputs.insert(own, "other".to_owned());
    write_json(&path, &done).unwrap();
    check(&stages).unwrap();
}

#[test]
fn files_in_the_folder_of_a_stage_are_none_that_it_was_given() {
    let (here, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let given = outside.path().join("given.txt");
    fs_err::write(&given, "one").unwrap();
    // Under another name than the settings have for the folder of the run.
    let run_name = here.path().file_name().unwrap();
    let beside = outside.path().join("..").join(run_name);
    let own = beside.join("01-measure/own.txt");
    let text = format!("text = [\"{}\", \"{}\"]", own.display(), given.display());
    let measure = stage(here.path(), 1, "measure", Verb::Ppl, &text);
    fs_err::create_dir_all(&measure.folder).unwrap();
    fs_err::write(measure.folder.join("own.txt"), "one").unwrap();
    let done = run(std::slice::from_ref(&measure), |_, _| Ok::<_, Error>(())).unwrap();
    let files: Vec<&String> = done[0].files.keys().collect();
    assert_eq!(files, [&given.display().to_string()]);
}

#[test]
fn stages_of_earlier_versions_are_kept() {
    let here = tempfile::tempdir().unwrap();
    let stages = recipe(here.path());
    run_all(&stages, 2.0).1.unwrap();
    for stage in &stages[1..] {
        let path = stage.folder.join(DONE_FILE);
        let mut done: DoneStage = read_json(&path).unwrap();
        done.inputs.clear();
        write_json(&path, &done).unwrap();
        assert!(!fs_err::read_to_string(&path).unwrap().contains("inputs"));
    }
    remove(&stages[0]);
    let (ran, result) = run_all(&stages, 3.0);
    assert_eq!(ran, ["find", "page"]);
    result.unwrap();
}

#[test]
fn inputs_that_were_removed_to_save_space_are_no_others() {
    let here = tempfile::tempdir().unwrap();
    let stages = recipe(here.path());
    run_all(&stages, 2.0).1.unwrap();
    fs_err::remove_file(stages[0].folder.join("rope.json")).unwrap();
    let (ran, result) = run_all(&stages, 2.0);
    assert_eq!(ran, [""; 0]);
    result.unwrap();
}

#[test]
fn a_stage_that_was_done_with_another_verb_is_refused() {
    let here = tempfile::tempdir().unwrap();
    let mut stages = recipe(here.path());
    run_all(&stages, 2.0).1.unwrap();
    stages[2].verb = Verb::Compare;
    for result in [check(&stages), run_all(&stages, 2.0).1] {
        let message = result.unwrap_err().to_string();
        let expected = "holds stage `other` with the verb `ppl`, expected `compare`";
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn settings_of_a_stage_that_has_begun_stay_until_others_are_accepted() {
    let here = tempfile::tempdir().unwrap();
    let begun = stage(here.path(), 1, "train", Verb::Finetune, "seed = 1");
    let changed = stage(here.path(), 1, "train", Verb::Finetune, "seed = 2");
    let saved = || fs_err::read_to_string(begun.folder.join(SETTINGS_FILE)).unwrap();
    for planned in [&begun, &changed] {
        let failed = run(std::slice::from_ref(planned), |_, _| {
            Err(Error::from(std::io::Error::other("refused")))
        });
        assert!(failed.is_err());
        assert_eq!(saved(), begun.settings);
    }
    run(std::slice::from_ref(&changed), |_, _| Ok::<_, Error>(())).unwrap();
    assert_eq!(saved(), changed.settings);
}

#[test]
fn what_was_done_with_another_model_is_refused() {
    let (here, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let [model, text] = ["m.gguf", "book.txt"].map(|name| outside.path().join(name));
    fs_err::write(&model, "one").unwrap();
    fs_err::write(&text, "one").unwrap();
    let given = format!(
        "model = \"{}\"\ntext = [\"{}\"]",
        model.display(),
        text.display()
    );
    let rope = "rope = [\"RUN/01-find/rope.json\"]";
    let stages = vec![
        stage(here.path(), 1, "find", Verb::Search, &given),
        stage(
            here.path(),
            2,
            "measure",
            Verb::Ppl,
            &format!("{rope}\n{given}"),
        ),
        stage(here.path(), 3, "page", Verb::Report, &given),
    ];
    run_all(&stages, 2.0).1.unwrap();
    let done = read_done(&stages[0]).unwrap().unwrap();
    assert_eq!((done.model.is_some(), done.files.len()), (true, 1));
    // Other text is no reason to refuse, nor is a model that is not there any more.
    fs_err::write(&text, "other").unwrap();
    fs_err::remove_file(&model).unwrap();
    assert_eq!(run_all(&stages, 2.0).0, [""; 0]);
    fs_err::write(&model, "other").unwrap();
    remove(&stages[1]);
    for result in [check(&stages), run_all(&stages, 2.0).1] {
        let error = result.unwrap_err();
        let Error::Recipe(RecipeError::OtherModel { stage, folders, .. }) = error else {
            panic!("{error:?}");
        };
        assert_eq!(stage, "find");
        assert_eq!(folders, [stages[0].folder.clone()]);
    }
    // A stage of an earlier version does not say its model.
    let path = stages[0].folder.join(DONE_FILE);
    write_json(
        &path,
        &DoneStage {
            model: None,
            ..done
        },
    )
    .unwrap();
    assert_eq!(run_all(&stages, 2.0).0, ["measure", "page"]);
}

#[test]
fn a_model_that_a_stage_fetches_is_known_afterwards() {
    let (here, hub) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fetched = hub.path().join("m.gguf");
    let settings = format!("model = \"hf:{}\"", fetched.display());
    let stages = [stage(here.path(), 1, "measure", Verb::Ppl, &settings)];
    let done = run(&stages, |_, _| {
        fs_err::write(&fetched, "one").unwrap();
        Ok::<_, Error>(())
    });
    assert!(done.unwrap()[0].model.is_some());
    check(&stages).unwrap();
    // A revision that has moved on.
    fs_err::write(&fetched, "other").unwrap();
    let refused = check(&stages);
    assert!(
        matches!(refused, Err(Error::Recipe(RecipeError::OtherModel { .. }))),
        "{refused:?}"
    );
}

#[test]
fn a_stage_that_got_another_number_is_kept_when_its_folder_is_renamed() {
    let here = tempfile::tempdir().unwrap();
    let before = recipe(here.path());
    run_all(&before, 2.0).1.unwrap();
    let rope = "rope = [\"none\", \"RUN/02-find/rope.json\"]";
    let stages = vec![
        stage(here.path(), 1, "first", Verb::Ppl, "rope = [\"none\"]"),
        stage(here.path(), 2, "find", Verb::Search, "search.target = 64"),
        stage(here.path(), 3, "measure", Verb::Ppl, rope),
        stage(here.path(), 4, "other", Verb::Ppl, "rope = [\"yarn\"]"),
        stage(here.path(), 5, "again", Verb::Passkey, rope),
        stage(here.path(), 6, "page", Verb::Report, rope),
    ];
    let expected: Vec<(PathBuf, PathBuf)> = before
        .iter()
        .zip(&stages[1..])
        .map(|(before, now)| (before.folder.clone(), now.folder.clone()))
        .collect();
    for result in [check(&stages), run_all(&stages, 2.0).1] {
        let error = result.unwrap_err();
        let message = error.to_string();
        assert!(message.contains("and 4 other stages have"), "{message}");
        let Error::Recipe(RecipeError::OtherPlace { moves }) = error else {
            panic!("{error:?}");
        };
        assert_eq!(moves, expected);
    }
    for (from, to) in expected {
        fs_err::rename(from, to).unwrap();
    }
    check(&stages).unwrap();
    let (ran, result) = run_all(&stages, 2.0);
    assert_eq!(ran, ["first", "page"]);
    result.unwrap();
    // What they took is still known.
    let rope = stages[1].folder.join("rope.json");
    fs_err::write(&rope, "{\"factors\": [3.0]}").unwrap();
    let (stage, input, _) = refused(check(&stages));
    assert_eq!((stage.as_str(), input), ("measure", rope));
}

#[test]
fn the_time_of_an_interrupted_stage_counts() {
    let here = tempfile::tempdir().unwrap();
    let stages = [stage(here.path(), 1, "train", Verb::Finetune, "seed = 1")];
    let time = stages[0].folder.join(TIME_FILE);
    let stopped = run(&stages, |_, _| {
        Err(Error::from(std::io::Error::other("stopped")))
    });
    assert!(stopped.is_err() && time.is_file());
    let saved = r#"{"format": "longrope-time", "version": 1, "elapsed_secs": 500.0}"#;
    fs_err::write(&time, saved).unwrap();
    let done = run(&stages, |_, _| Ok::<_, Error>(())).unwrap();
    assert!((500.0..600.0).contains(&done[0].elapsed_secs), "{done:?}");
    assert!(!time.exists());
}
