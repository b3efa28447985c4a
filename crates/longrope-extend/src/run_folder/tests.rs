use serde_json::json;

use super::*;

fn settings(seed: u64) -> RunSettings<'static> {
    RunSettings {
        text: "seed = 1\n",
        fixed: json!({ "seed": seed }),
    }
}

fn open(root: &Path, kind: RunKind, mode: RunMode) -> Result<RunFolder> {
    RunFolder::open(root, kind, mode, &settings(1))
}

#[test]
fn a_folder_holds_one_kind_of_run() {
    let here = tempfile::tempdir().unwrap();
    let root = here.path().join("deep/run");
    let refused = open(&root, RunKind::Search, RunMode::Resume);
    assert!(matches!(refused, Err(Error::NoRun { .. })));
    assert!(!root.exists(), "a refused run makes no folder");
    drop(open(&root, RunKind::Search, RunMode::New).unwrap());
    assert_eq!(
        fs_err::read_to_string(root.join("config.toml")).unwrap(),
        "seed = 1\n"
    );
    let refused = open(&root, RunKind::Search, RunMode::New);
    assert!(matches!(refused, Err(Error::RunExists { .. })));
    for mode in [RunMode::New, RunMode::Resume, RunMode::Part] {
        let refused = open(&root, RunKind::Finetune, mode);
        assert!(matches!(refused, Err(Error::OtherKind { .. })), "{mode:?}");
    }
    // Evaluations may be added.
    drop(RunFolder::open_for_results(&root).unwrap());
    drop(open(&root, RunKind::Search, RunMode::Resume).unwrap());
}

#[test]
fn one_run_at_a_time_works_in_a_folder() {
    let here = tempfile::tempdir().unwrap();
    let run = open(here.path(), RunKind::Finetune, RunMode::New).unwrap();
    for mode in [RunMode::Resume, RunMode::Part] {
        let refused = open(here.path(), RunKind::Finetune, mode);
        assert!(
            matches!(refused, Err(Error::FolderInUse { .. })),
            "{mode:?}"
        );
    }
    let refused = RunFolder::open_for_results(here.path());
    assert!(matches!(refused, Err(Error::FolderInUse { .. })));
    // A part has a lock of its own.
    let part = here.path().join("part");
    drop(open(&part, RunKind::Search, RunMode::Part).unwrap());
    drop(run);
    assert!(open(here.path(), RunKind::Finetune, RunMode::Resume).is_ok());
}

#[test]
fn a_run_that_has_saved_nothing_resumes_with_its_own_settings() {
    let here = tempfile::tempdir().unwrap();
    let root = here.path();
    drop(open(root, RunKind::Finetune, RunMode::New).unwrap());
    // As after a kill between the two files.
    fs_err::remove_file(root.join("config.toml")).unwrap();
    RunFolder::check(root, RunKind::Finetune, RunMode::Resume).unwrap();
    assert!(root.join("config.toml").is_file());
    let refused = RunFolder::open(root, RunKind::Finetune, RunMode::Resume, &settings(2));
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("`seed` was 1 and is 2"), "{message}");
    let run = open(root, RunKind::Finetune, RunMode::Resume).unwrap();
    assert!(!run.has_work());
    drop(run);
    let goes_on = |mode| RunFolder::goes_on(root, RunKind::Finetune, mode).unwrap();
    let modes = [RunMode::New, RunMode::Resume, RunMode::Part];
    assert_eq!(modes.map(goes_on), [false, true, false]);
    // A part that has saved nothing may begin with other settings.
    drop(RunFolder::open(root, RunKind::Finetune, RunMode::Part, &settings(2)).unwrap());
    assert!(open(root, RunKind::Finetune, RunMode::Resume).is_err());
    fs_err::create_dir(root.join("step-000001")).unwrap();
    assert_eq!(modes.map(goes_on), [false, true, true]);
    assert!(!RunFolder::goes_on(root, RunKind::Search, RunMode::Part).unwrap());
}

#[test]
fn a_part_goes_on_from_a_state_that_was_being_replaced() {
    let here = tempfile::tempdir().unwrap();
    let root = here.path();
    drop(open(root, RunKind::Finetune, RunMode::Part).unwrap());
    // A process was killed after it had moved its only state away, and before the new one was there.
    let hash = longrope_data::sha256_hex(&[b"step-000001"]);
    let temporary = root.join(format!(".saving-{}-1", &hash[..8]));
    for name in ["old", "new"] {
        fs_err::create_dir_all(temporary.join(name)).unwrap();
    }
    fs_err::write(temporary.join("lock"), "").unwrap();
    let state = json!({
        "format": "longrope-training-state", "version": 1, "n_steps": 1, "optimizer_steps": 1, "data": null,
        "settings": null,
    });
    fs_err::write(temporary.join("new/state.json"), state.to_string()).unwrap();
    assert!(RunFolder::goes_on(root, RunKind::Finetune, RunMode::Part).unwrap());
    assert!(temporary.exists(), "this only looks");
    let refused = RunFolder::open(root, RunKind::Finetune, RunMode::Part, &settings(2));
    assert!(matches!(refused, Err(Error::OtherSettings { .. })));
    assert!(root.join("step-000001/state.json").is_file() && !temporary.exists());
    drop(open(root, RunKind::Finetune, RunMode::Part).unwrap());
}

#[test]
fn the_kind_of_an_old_folder_shows_in_its_files() {
    let here = tempfile::tempdir().unwrap();
    for (kind, file) in [
        (RunKind::Search, "search/state.json"),
        (RunKind::Recover, "context-64/config.toml"),
        (RunKind::Finetune, "step-000002/state.json"),
        (RunKind::Pretrain, "corpus.json"),
        (RunKind::Extend, "recipe.toml"),
        (RunKind::Eval, "eval/ppl.json"),
    ] {
        let root = here.path().join(kind.verb());
        let path = root.join(file);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, "").unwrap();
        assert!(open(&root, kind, RunMode::Resume).is_ok(), "{kind}");
        assert!(matches!(
            open(&root, kind, RunMode::New),
            Err(Error::RunExists { .. })
        ));
        assert!(matches!(
            open(&root, RunKind::Demo, RunMode::Resume),
            Err(Error::OtherKind { .. })
        ));
    }
    // Only its settings tell that there was a run.
    let root = here.path().join("unknown");
    fs_err::create_dir(&root).unwrap();
    fs_err::write(root.join("config.toml"), "").unwrap();
    assert!(open(&root, RunKind::Recover, RunMode::New).is_err());
    assert!(open(&root, RunKind::Recover, RunMode::Resume).is_ok());
}

#[test]
fn other_files_are_no_run() {
    let here = tempfile::tempdir().unwrap();
    fs_err::write(here.path().join("notes.txt"), "").unwrap();
    fs_err::create_dir(here.path().join("step-by-step")).unwrap();
    assert!(open(here.path(), RunKind::Search, RunMode::New).is_ok());
}

#[test]
fn no_run_begins_among_the_files_of_others() {
    let folder = |files: &[&str]| {
        let here = tempfile::tempdir().unwrap();
        for file in files {
            let path = here.path().join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "x").unwrap();
        }
        here
    };
    for (files, named) in [
        (&["notes.txt"][..], "notes.txt"),
        (&["config.json", "model.safetensors"], "config.json"),
        (&[".git/HEAD"], ".git"),
        (&["src/main.rs"], "src"),
    ] {
        let here = folder(files);
        for result in [
            RunFolder::check(here.path(), RunKind::Finetune, RunMode::New),
            open(here.path(), RunKind::Finetune, RunMode::New).map(drop),
            RunFolder::check_for_results(here.path()),
        ] {
            assert!(
                matches!(&result, Err(Error::ForeignFolder { name, .. }) if name == named),
                "{files:?}: {result:?}"
            );
        }
        assert!(!here.path().join("run.json").exists());
    }
    // What a shell, a file browser or a killed process may have made.
    let here = folder(&["job.log", ".DS_Store", ".writing-a", ".saving-b/new/model"]);
    RunFolder::check_for_results(here.path()).unwrap();
    drop(open(here.path(), RunKind::Search, RunMode::New).unwrap());
    fs_err::write(here.path().join("mine.txt"), "x").unwrap();
    RunFolder::check_for_results(here.path()).unwrap();
    // A checkout with a folder that is called as that of results.
    let here = folder(&[".git/HEAD", "eval/task.py"]);
    assert!(RunFolder::check_for_results(here.path()).is_err());
    let here = folder(&["eval/task.py", "main.py"]);
    assert!(RunFolder::check_for_results(here.path()).is_err());
    let here = folder(&["eval/ppl.json"]);
    RunFolder::check_for_results(here.path()).unwrap();
}

#[test]
fn the_settings_of_another_program_are_no_run() {
    let site = tempfile::tempdir().unwrap();
    let write = |folder: &tempfile::TempDir, name: &str, text: &str| {
        fs_err::write(folder.path().join(name), text).unwrap();
    };
    let is_run = |folder: &tempfile::TempDir| RunFolder::is_run(folder.path()).unwrap();
    write(&site, "config.toml", "baseURL = 'https://example.org'\n");
    assert!(!is_run(&site));
    for result in [
        RunFolder::check(site.path(), RunKind::Search, RunMode::New),
        RunFolder::check_for_results(site.path()),
    ] {
        assert!(
            matches!(&result, Err(Error::ForeignFolder { name, .. }) if name == "config.toml"),
            "{result:?}"
        );
    }
    // Settings that could be of a run, among files that are not.
    let project = tempfile::tempdir().unwrap();
    write(&project, "config.toml", "model = 'm'\nseed = 1\n");
    assert!(is_run(&project), "killed before there was anything else");
    RunFolder::check_for_results(project.path()).unwrap();
    write(&project, "train.py", "import torch\n");
    assert!(!is_run(&project));
    assert!(RunFolder::check_for_results(project.path()).is_err());
}

#[test]
fn a_record_of_a_later_version_is_refused() {
    let here = tempfile::tempdir().unwrap();
    drop(open(here.path(), RunKind::Search, RunMode::New).unwrap());
    let path = here.path().join("run.json");
    let text = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, text.replace("\"version\": 1", "\"version\": 2")).unwrap();
    let refused = open(here.path(), RunKind::Search, RunMode::Resume);
    assert!(matches!(refused, Err(Error::RunVersion { version: 2, .. })));
    fs_err::write(&path, "{").unwrap();
    let refused = open(here.path(), RunKind::Search, RunMode::Resume);
    assert!(matches!(refused, Err(Error::ReadJson { .. })));
}

#[test]
fn files_are_replaced_and_nothing_else_is_left() {
    let here = tempfile::tempdir().unwrap();
    let run = open(here.path(), RunKind::Search, RunMode::New).unwrap();
    run.write("deep/a.json", "one").unwrap();
    run.write("deep/a.json", "two").unwrap();
    assert_eq!(
        fs_err::read_to_string(run.path("deep/a.json")).unwrap(),
        "two"
    );
    assert_eq!(fs_err::read_dir(run.path("deep")).unwrap().count(), 1);
}
