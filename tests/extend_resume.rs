//! What `longrope extend --resume` keeps, runs again and refuses.

use crate::support::Workplace;

/// A search, a training under its factors, and a measurement and a checkpoint of both.
const RECIPE: &str = r#"
model = "m"
tokens = "tokens.json"
out = "run"

[search]
samples = 1
population = 5
parents = 2
mutations = 2
crossovers = 2
generations = 0

[train]
batch = 2
steps = 2
warmup-steps = 1
learning-rate = 1e-3

[[stage]]
name = "find"
verb = "search"
search = { target = 64 }

[[stage]]
name = "train"
verb = "finetune"
train = { context = 64 }

[[stage]]
name = "measure"
verb = "ppl"
contexts = [32, 64]
eval = { windows = 1 }

[[stage]]
verb = "export"
"#;

/// Measurements of a second, and a page.
const MEASURED: &str = r#"
tokens = "tokens.json"
contexts = [32]
rope = ["none"]

[[stage]]
name = "first"
verb = "ppl"

[[stage]]
verb = "report"
"#;

const RESUME: &str = "extend --config recipe.toml --resume";

/// A folder with a recipe.
fn with(recipe: &str) -> Workplace {
    let here = Workplace::with_model();
    here.write("recipe.toml", recipe);
    here
}

fn remove(here: &Workplace, folder: &str) {
    fs_err::remove_dir_all(here.path(folder)).unwrap();
}

/// The message of a command that fails after it has begun.
fn failed(here: &Workplace, line: &str) -> String {
    let outcome = here.run(line);
    assert_eq!(outcome.code, Some(1), "{line}\n{}", outcome.stderr);
    outcome.stderr
}

#[test]
fn results_of_a_stage_that_was_run_again_are_not_kept() {
    let here = with(RECIPE);
    here.run("extend --config recipe.toml").worked();
    let done = here.read_json("run/03-measure/done.json");
    let inputs = done["inputs"].as_object().unwrap();
    assert!(inputs.contains_key("01-find/rope.json") && inputs.contains_key("02-train/model"));
    assert_eq!(here.read_json("run/01-find/done.json").get("inputs"), None);
    let measured = || {
        let results = here.read_json("run/03-measure/eval/ppl.json");
        results["results"][1]["rope_fingerprint"].clone()
    };
    let before = measured();
    // As the guide says to run a stage again, with other factors.
    here.write("recipe.toml", RECIPE.replace("target = 64", "target = 96"));
    remove(&here, "run/01-find");
    let message = failed(&here, RESUME);
    for words in [
        "finished stages take something from stages that run now",
        "stage `train` is done, but not with the `run/01-find/rope.json` that is there now",
        "hint: remove `run/02-train`, `run/03-measure` and `run/04-export`, and --resume runs",
    ] {
        assert!(message.contains(words), "{words} in {message}");
    }
    assert_eq!(measured(), before);
    // Now before anything runs.
    here.run(RESUME).refused_with("stage `train` is done, but");
    remove(&here, "run/02-train");
    let message = failed(&here, RESUME);
    let words = "hint: remove `run/03-measure` and `run/04-export`, and";
    assert!(message.contains(words), "{message}");
    remove(&here, "run/03-measure");
    remove(&here, "run/04-export");
    let shown = here.run(RESUME).worked();
    assert!(
        shown.contains("stage 2 of 4") && !shown.contains("stage 1 of 4"),
        "{shown}"
    );
    assert_ne!(measured(), before);
}

#[test]
fn a_recipe_does_not_go_on_with_another_model_at_the_same_path() {
    let here = with(RECIPE);
    here.run("extend --config recipe.toml").worked();
    for folder in ["run/02-train", "run/03-measure", "run/04-export"] {
        remove(&here, folder);
    }
    let config = here.read("m/config.json");
    here.edit_config("m", |config| config["rms_norm_eps"] = 1e-3.into());
    for dry_run in ["", "--dry-run"] {
        let message = here.fails(&format!("{RESUME} {dry_run}"));
        for words in [
            "stage `find` is done, but not with the model that is in `m` now",
            "hint: restore the model, or remove `run/01-find`, and --resume runs",
        ] {
            assert!(message.contains(words), "{words} in {message}");
        }
    }
    assert!(!here.path("run/02-train").exists());
    here.write("m/config.json", config);
    // Other text alone is no reason to refuse.
    here.tokens("tokens.json", 601);
    let resumed = here.run(RESUME);
    let words = "stage `find` is done and is not run again, but these files have changed since: `tokens.json`";
    assert!(resumed.stderr.contains(words), "{}", resumed.stderr);
    resumed.worked();
}

#[test]
fn a_stage_that_is_put_before_others_does_not_run_them_again() {
    let here = with(MEASURED);
    here.run("extend m --config recipe.toml --out run").worked();
    let first = "[[stage]]\nname = \"before\"\nverb = \"ppl\"\n\n[[stage]]";
    here.write("recipe.toml", MEASURED.replacen("[[stage]]", first, 1));
    let resume = format!("{RESUME} --out run");
    let message = here.fails(&resume);
    for words in [
        "`run/01-first` holds the stage that the recipe has in `run/02-first` now, and another stage has another number too",
        "hint: to keep what is there, rename `run/01-first` to `run/02-first` and `run/02-report` to `run/03-report`; to run",
    ] {
        assert!(message.contains(words), "{words} in {message}");
    }
    assert!(!here.path("run/01-before").exists());
    for (from, to) in [("02-report", "03-report"), ("01-first", "02-first")] {
        let [from, to] = [from, to].map(|name| here.path("run").join(name));
        fs_err::rename(from, to).unwrap();
    }
    let resumed = here.run(&resume);
    assert!(
        !resumed.stderr.contains("other settings"),
        "{}",
        resumed.stderr
    );
    let shown = resumed.worked();
    assert!(
        shown.contains("stage 1 of 3") && !shown.contains("stage 2 of 3"),
        "{shown}"
    );
}

#[test]
fn a_stage_that_finds_the_same_again_changes_nothing() {
    let here = with(RECIPE);
    here.run("extend --config recipe.toml").worked();
    remove(&here, "run/01-find");
    let shown = here.run(RESUME).worked();
    assert!(
        shown.contains("stage 1 of 4") && !shown.contains("stage 2 of 4"),
        "{shown}"
    );
}

#[test]
fn a_stage_that_is_done_keeps_its_verb() {
    let here = with(MEASURED);
    here.run("extend m --config recipe.toml --out run").worked();
    let before = here.read("run/recipe.toml");
    here.write("recipe.toml", MEASURED.replace("\"ppl\"", "\"compare\""));
    for dry_run in ["", "--dry-run"] {
        here.run(&format!("{RESUME} --out run {dry_run}"))
            .refused_with(
                "`run/01-first` holds stage `first` with the verb `ppl`, expected `compare`",
            );
    }
    assert_eq!(here.read("run/recipe.toml"), before);
}

#[test]
fn settings_that_are_refused_are_not_saved() {
    let here = with(RECIPE);
    here.run("extend --config recipe.toml").worked();
    fs_err::remove_file(here.path("run/02-train/done.json")).unwrap();
    let saved = here.read("run/02-train/stage.toml");
    here.write("recipe.toml", RECIPE.replace("steps = 2", "steps = 3"));
    let message = failed(&here, RESUME);
    assert!(
        message.contains("other settings: `train.steps`"),
        "{message}"
    );
    assert_eq!(here.read("run/02-train/stage.toml"), saved);
}

#[test]
fn a_training_that_has_saved_nothing_begins_again_with_what_is_set_now() {
    let (stages, _) = RECIPE.split_once("[[stage]]\nname = \"measure\"").unwrap();
    let here = with(stages);
    here.run("extend --config recipe.toml").worked();
    // As if it had been killed before its first state.
    fs_err::remove_file(here.path("run/02-train/done.json")).unwrap();
    for folder in ["run/02-train/model", "run/02-train/step-000002"] {
        remove(&here, folder);
    }
    // So it has begun with no less text than others.
    here.tokens("few.json", 40);
    let few = stages.replace("train = {", "tokens = \"few.json\"\ntrain = {");
    here.write("recipe.toml", few);
    let message = failed(&here, RESUME);
    let words = "the text has 40 tokens, expected at least one window of 64";
    assert!(message.contains(words), "{message}");
    // What everyone does after such a loss.
    here.write(
        "recipe.toml",
        stages.replace("steps = 2", "steps = 2\nsave-every = 1"),
    );
    here.run(RESUME).worked();
    let metrics = here.training_metrics("run/02-train/metrics.jsonl");
    let steps = metrics.iter().filter(|line| line["event"] == "step");
    assert_eq!(steps.count(), 2);
    // States that were there are not forgotten, whatever is set now.
    fs_err::remove_file(here.path("run/02-train/done.json")).unwrap();
    remove(&here, "run/02-train/model");
    let move_states = |from: &str, to: &str| {
        for name in ["step-000001", "step-000002"] {
            let folder = here.path(from).join(name);
            if folder.is_dir() {
                fs_err::rename(folder, here.path(to).join(name)).unwrap();
            }
        }
    };
    fs_err::create_dir(here.path("elsewhere")).unwrap();
    move_states("run/02-train", "elsewhere");
    let saving_each = here.read("recipe.toml");
    here.write("recipe.toml", stages);
    let begun = here.read("run/02-train/run.json");
    let message = failed(&here, RESUME);
    let words = "`run/02-train/metrics.jsonl` has 2 steps, and the first state is saved after 1";
    assert!(message.contains(words), "{message}");
    // Nothing has changed, so they can be put back, as the hint says.
    assert_eq!(here.read("run/02-train/run.json"), begun);
    move_states("elsewhere", "run/02-train");
    here.write("recipe.toml", saving_each);
    here.run(RESUME).worked();
}

#[test]
fn a_page_has_the_stages_of_the_recipe_only() {
    let here = with(MEASURED);
    here.run("extend m --config recipe.toml --out run").worked();
    here.write("recipe.toml", MEASURED.replace("first", "second"));
    // The page is about other stages now, so it is written again.
    here.run(&format!("{RESUME} --out run")).worked();
    let report = here.read_json("run/report.json");
    let stages = report["stages"].as_array().unwrap();
    let folders: Vec<&str> = stages.iter().filter_map(|it| it["run"].as_str()).collect();
    assert_eq!(folders, ["run/01-second"]);
    assert_eq!(report["former_stages"][0], "01-first");
    let page = here.read("run/report.html");
    let words = "the recipe has no such stages: 01-first.";
    assert!(page.contains(words), "{page}");
}

#[test]
fn a_recipe_goes_on_with_the_arguments_it_was_begun_with() {
    let here = with(MEASURED);
    here.checkpoint("llama-gqa-tied", "other");
    let begun = "extend m --config recipe.toml --set eval.windows=1 --out run";
    let shown = here.run(&format!("{begun} --dry-run"));
    let next = "longrope extend m --config recipe.toml --set eval.windows=1 --out run\n";
    assert!(shown.stderr.contains(next), "{}", shown.stderr);
    here.run(begun).worked();
    let windows = || {
        let measured = here.read_json("run/01-first/eval/ppl.json");
        measured["results"][0]["n_windows"].clone()
    };
    assert_eq!(windows(), 1);
    let recipe: toml::Table = here.read("run/recipe.toml").parse().unwrap();
    assert_eq!(recipe["model"].as_str(), Some("m"));
    assert_eq!(recipe["eval"]["windows"].as_integer(), Some(1));
    // Neither is in the recipe.
    remove(&here, "run/01-first");
    let resume = format!("{RESUME} --out run");
    for more in ["", "--device flex", "--set eval.windows=1 --model ./m"] {
        let resumed = here.run(&format!("{resume} {more}"));
        assert!(
            !resumed.stderr.contains("other settings"),
            "{}",
            resumed.stderr
        );
        resumed.worked();
        assert_eq!(windows(), 1);
    }
    for (more, words) in [
        (
            "--set eval.windows=2",
            "begun with `--set eval.windows=1`, and is resumed with `--set eval.windows=2`",
        ),
        (
            "--model other",
            "begun with `m`, and is resumed with `other`",
        ),
    ] {
        here.run(&format!("{resume} {more}")).refused_with(words);
    }
    // A run of an earlier version does not say what it was begun with.
    let mut record = here.read_json("run/run.json");
    record.as_object_mut().unwrap().remove("fixed");
    here.write("run/run.json", record.to_string());
    here.run(&resume).refused_with("the model is missing");
    here.run(&format!("{resume} m --set eval.windows=1"))
        .worked();
}

#[test]
fn ropes_of_the_recipe_are_measured_beside_those_that_are_found() {
    let recipe = |rope: &str| {
        format!(
            "model = \"m\"\ntokens = \"tokens.json\"\nout = \"run\"\ncontexts = [64]\nrope = {rope}\n[search]\ntarget = 64\n\
             [[stage]]\nverb = \"search\"\n[[stage]]\nverb = \"ppl\"\n[[stage]]\nverb = \"export\"\n"
        )
    };
    let here = with(&recipe("[\"none\", \"yarn\"]"));
    let planned = here.run("extend --config recipe.toml --dry-run");
    let warning = "`rope` of the recipe is not for `export`";
    assert!(planned.stderr.contains(warning), "{}", planned.stderr);
    let shown = planned.worked();
    let measured = "none yarn run/01-search/rope.json";
    assert_eq!(shown.matches(measured).count(), 1, "{shown}");
    here.write("recipe.toml", recipe("[\"nowhere.json\"]"));
    let message = failed(&here, "extend --config recipe.toml --dry-run");
    assert!(message.contains("RoPE `nowhere.json`"), "{message}");
}

#[test]
fn a_dry_run_suggests_a_line_that_runs() {
    let here = with(MEASURED);
    let begin = "extend m --config recipe.toml --out run";
    here.run(begin).worked();
    let shown = here.run(&format!("{begin} --dry-run"));
    let next = "longrope extend m --resume --config recipe.toml --out run\n";
    assert!(shown.stderr.contains(next), "{}", shown.stderr);
    shown.worked();
    here.run(&format!("{begin} --dry-run --set eval.windows=1"))
        .refused_with("and is resumed with `--set eval.windows=1`");
    // Folders in which nothing can be begun or continued.
    fs_err::create_dir(here.path("site")).unwrap();
    here.write("site/index.md", "# Mine");
    let dry = "extend m --config recipe.toml --dry-run";
    here.run(&format!("{dry} --out site"))
        .refused_with("index.md");
    here.run(&format!("{dry} --out new --resume"))
        .refused_with("to resume");
}

#[test]
fn a_dry_run_refuses_what_a_stopped_stage_cannot_go_on_with() {
    let train = "[[stage]]\nname = \"train\"";
    let recover = "[[stage]]\nname = \"short\"\nverb = \"recover\"\ncontexts = [32]\n\n";
    let recipe = RECIPE.replace(train, &format!("{recover}{train}"));
    let here = with(&recipe);
    here.run("extend --config recipe.toml").worked();
    let dry = format!("{RESUME} --dry-run");
    for (folder, from, to, words) in [
        (
            "run/01-find",
            "population = 5",
            "population = 6",
            "`search.population` was 5 and is 6",
        ),
        (
            "run/02-short",
            "samples = 1",
            "samples = 2",
            "`search.samples` was 1 and is 2",
        ),
        (
            "run/03-train",
            "steps = 2",
            "steps = 3",
            "`train.steps` was 2 and is 3",
        ),
    ] {
        // As if it had been killed before its end.
        let done = format!("{folder}/done.json");
        let text = here.read(&done);
        fs_err::remove_file(here.path(&done)).unwrap();
        here.write("recipe.toml", recipe.replacen(from, to, 1));
        for line in [dry.as_str(), RESUME] {
            let message = failed(&here, line);
            // There were no flags to leave out.
            let hint = format!("hint: restore the old values in the recipe, or remove `{folder}`");
            for words in [words, hint.as_str()] {
                assert!(message.contains(words), "{words} in {message}");
            }
            assert!(!message.contains("resume without"), "{message}");
        }
        assert_eq!(here.read("run/recipe.toml"), recipe);
        here.write("recipe.toml", &recipe);
        here.run(&dry).worked();
        here.write(&done, text);
    }
}
