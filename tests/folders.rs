//! Run folders: one kind of run and one process each, nothing of another run overwritten, and a resume that works from
//! the first instant.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::resume::{SEARCH, assert_same};
use crate::support::{TINY_SEARCH, Workplace};

/// A training run of seconds, measured and saved at every second step.
const FINETUNE: &str = "finetune --model t --text text.txt --rope yarn --context 64 --set contexts=[64] --steps 6 \
    --dashboard off --set train.batch=1 --set train.learning-rate=1e-3 --set train.warmup-steps=1 \
    --set train.eval-every=2 --set train.save-every=2 --set train.eval-windows=1 \
    --set train.eval-text=[\"held.txt\"]";

/// A pretraining of seconds.
const PRETRAIN: &str = r#"
[pretrain]
model = { layers = 1, hidden = 32, heads = 2, kv-heads = 1, intermediate = 48, vocab = 300, window = 64 }

[[pretrain.phases]]
name = "only"
steps = 2
batch = 2
window = 48
learning-rate = 1e-2
shares = { copying = 1.0 }
"#;

/// A recipe of seconds.
const RECIPE: &str = r#"
model = "t"
text = ["text.txt"]
out = "recipe"

[[stage]]
name = "keys"
verb = "passkey"
rope = ["none"]
contexts = [128]
passkey = { trials = 40 }

[[stage]]
name = "table"
verb = "compare"
contexts = [64]
eval = { windows = 1 }
compare = { methods = ["none", "yarn"] }
"#;

/// A folder with the models `m` and `t`, tokens, texts, and the configurations above.
fn workplace() -> Workplace {
    let here = Workplace::with_tokenizer();
    here.checkpoint("llama-gqa-tied", "m");
    here.tokens("tokens.json", 600);
    here.rust_text();
    here.write("pretrain.toml", PRETRAIN);
    here.write("recipe.toml", RECIPE);
    here
}

/// The names and contents of all files in a folder.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs_err::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs_err::read(&path).unwrap();
                found.push((path.display().to_string(), bytes));
            }
        }
    }
    found.sort();
    found
}

/// Waits until something is so.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_mins(1), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn kill(mut process: Child) {
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn no_verb_writes_into_the_folder_of_another() {
    let here = workplace();
    here.run(&format!(
        "{TINY_SEARCH} --target 64 --set search.generations=1 --out search"
    ))
    .worked();
    here.run(&format!("{FINETUNE} --out finetune")).worked();
    here.run("pretrain --config pretrain.toml --text text.txt --json --out pretrain")
        .worked();
    here.run("recover --model m --tokens tokens.json --rope search/rope.json --contexts 16 --samples 1 \
         --set search.population=6 --set search.parents=2 --set search.mutations=1 --set search.crossovers=1 \
         --set search.generations=1 --out recover")
        .worked();
    here.run("extend --config recipe.toml").worked();
    let runs = ["search", "finetune", "pretrain", "recover", "recipe"];
    let before = runs.map(|run| contents(&here.path(run)));
    for run in runs {
        for line in [
            &format!("{TINY_SEARCH} --target 64"),
            FINETUNE,
            "pretrain --config pretrain.toml --text text.txt",
            "recover --model m --tokens tokens.json --rope search/rope.json --contexts 16",
            "extend --config recipe.toml",
        ] {
            let verb = line.split(' ').next().unwrap();
            here.run(&format!("{line} --out {run}"))
                .refused_with("holds a");
            let is_own = verb == run || (verb, run) == ("extend", "recipe");
            if !is_own {
                here.run(&format!("{line} --resume --out {run}"))
                    .refused_with("expected a");
            }
        }
    }
    assert!(
        runs.map(|run| contents(&here.path(run))) == before,
        "refused runs change nothing"
    );
    // Evaluations may be added to any run.
    here.run("eval ppl --model m --tokens tokens.json --contexts 32 --windows 1 --out search")
        .worked();
}

#[test]
fn refused_settings_write_nothing() {
    let here = workplace();
    here.run(&format!(
        "{TINY_SEARCH} --target 64 --set search.generations=1 --out known"
    ))
    .worked();
    let recover = "recover --model m --tokens tokens.json --rope known/rope.json";
    for line in [
        &format!("{TINY_SEARCH} --target 16"),
        &format!("{TINY_SEARCH} --target 64 --set search.population=2"),
        &format!("{TINY_SEARCH} --target 60000"),
        &format!("{FINETUNE} --set train.learning-rate=0"),
        &format!("{FINETUNE} --set train.warmup-steps=7"),
        &format!("{FINETUNE} --set train.data.text=0"),
        &format!("{FINETUNE} --set train.optimizer.beta1=2"),
        &format!("{FINETUNE} --lora --set train.lora.target-modules=[\"query\"]"),
        "pretrain --text text.txt",
        "pretrain --text nothere.txt --config pretrain.toml",
        &format!("{recover} --contexts 100000"),
        &format!("{recover} --contexts 16 --set search.population=1 --set search.parents=1"),
        "extend --config pretrain.toml",
        "eval ppl --model m --tokens tokens.json --contexts 100000",
        "eval ppl --model m --tokens nothere.json --contexts 32",
        "eval passkey --model t --contexts 3",
        "compare --model m --contexts 32",
    ] {
        here.run(&format!("{line} --out refused")).refused();
        assert!(!here.path("refused").exists(), "{line}");
    }
}

#[test]
fn refused_settings_leave_a_run_resumable() {
    let here = workplace();
    here.run(&format!("{FINETUNE} --out run")).worked();
    let before = contents(&here.path("run"));
    for flags in [
        "--set train.learning-rate=0",
        "--set train.learning-rate=0.5",
        "--seed 7",
    ] {
        here.run(&format!(
            "finetune --resume --out run --dashboard off {flags}"
        ))
        .refused();
    }
    assert!(contents(&here.path("run")) == before);
    here.run("finetune --resume --out run --dashboard off")
        .worked();
}

#[test]
fn a_folder_without_a_run_cannot_be_resumed() {
    let here = workplace();
    fs_err::create_dir(here.path("empty")).unwrap();
    for out in ["typo", "empty"] {
        for line in [
            "search",
            "recover",
            "finetune",
            "pretrain",
            "extend --config recipe.toml",
            "eval passkey --model t --contexts 128",
        ] {
            let message = here.fails(&format!("{line} --resume --out {out}"));
            assert!(message.contains("check --out"), "{message}");
        }
    }
    assert!(!here.path("typo").exists());
    assert_eq!(contents(&here.path("empty")), []);
}

#[test]
fn results_of_another_model_or_text_are_kept() {
    let here = workplace();
    here.checkpoint("llama-gqa-tied", "other");
    here.edit_config("other", |config| config["rms_norm_eps"] = 0.5.into());
    here.tokens("more.json", 700);
    for (verb, name) in [("eval ppl", "ppl"), ("compare", "compare")] {
        let line = |model: &str, tokens: &str| {
            format!("{verb} --model {model} --tokens {tokens} --contexts 32 --windows 1 --out run")
        };
        here.run(&line("m", "tokens.json")).worked();
        let file = format!("run/eval/{name}.json");
        let source = here.read_json(&file)["source"].clone();
        assert_eq!(source["model"], "m", "{source}");
        assert_eq!(source["text_fingerprint"].as_str().unwrap().len(), 64);
        let before = here.read(&file);
        here.run(&line("other", "tokens.json"))
            .refused_with("results of another model, `m`");
        here.run(&line("m", "more.json"))
            .refused_with("results of another text");
        assert_eq!(here.read(&file), before);
        // The same measurement may be repeated.
        here.run(&line("m", "tokens.json")).worked();
        let old = before.replace("\"source\"", "\"unknown\"");
        here.write(&file, old);
        here.run(&line("m", "tokens.json"))
            .refused_with("does not say which model");
    }
    let passkey = "eval passkey --contexts 128 --trials 1 --out run --model";
    here.run(&format!("{passkey} t")).worked();
    fs_err::rename(here.path("t"), here.path("moved")).unwrap();
    here.run(&format!("{passkey} moved")).worked();
    here.edit_config("moved", |config| config["rms_norm_eps"] = 0.5.into());
    here.run(&format!("{passkey} moved"))
        .refused_with("results of another model");
}

#[test]
fn one_process_at_a_time_works_in_a_folder() {
    let here = workplace();
    let line = format!("{SEARCH} --set search.generations=2000 --out run");
    let search = here.start(&line);
    wait_until("a generation", || {
        here.path("run/search/state.json").is_file()
    });
    for line in [
        "search --resume --out run",
        "eval ppl --model m --tokens tokens.json --contexts 32 --windows 1 --out run",
    ] {
        here.run(line)
            .refused_with("another process works in `run`");
    }
    kill(search);
    // The lock ends with the process.
    here.run("eval ppl --model m --tokens tokens.json --contexts 32 --windows 1 --out run")
        .worked();
}

#[test]
fn what_killed_processes_left_is_removed() {
    let here = workplace();
    here.run(&format!("{FINETUNE} --out run")).worked();
    for name in ["run/.saving-abc/new/model", "run/eval"] {
        fs_err::create_dir_all(here.path(name)).unwrap();
    }
    here.write("run/.saving-abc/new/model/model.safetensors", "half");
    here.write("run/eval/.writing-def", "half");
    here.write("run/notes", "mine");
    here.run("finetune --resume --out run --dashboard off")
        .worked();
    assert!(!here.path("run/.saving-abc").exists());
    assert!(!here.path("run/eval/.writing-def").exists());
    assert!(here.path("run/notes").exists());
}

#[test]
fn a_training_killed_before_its_first_state_resumes() {
    let here = workplace();
    here.run(&format!("{FINETUNE} --out whole")).worked();
    here.run(&format!("{FINETUNE} --out run")).worked();
    for name in ["step-000004", "step-000006", "model"] {
        fs_err::remove_dir_all(here.path("run").join(name)).unwrap();
    }
    for name in ["config.toml", "metrics.jsonl"] {
        fs_err::remove_file(here.path("run").join(name)).unwrap();
    }
    here.run("finetune --resume --out run --dashboard off --seed 3")
        .refused_with("`seed` was 42 and is 3");
    here.run("finetune --resume --out run --dashboard off")
        .worked();
    assert_trained_alike(&here, "whole", "run");
}

/// Compares weights and metrics.
fn assert_trained_alike(here: &Workplace, one: &str, other: &str) {
    let metrics = |run: &str| here.training_metrics(&format!("{run}/metrics.jsonl"));
    assert_eq!(metrics(one), metrics(other));
    let weights = |run: &str| fs_err::read(here.path(run).join("model/model.safetensors")).unwrap();
    assert!(weights(one) == weights(other));
}

#[test]
fn a_damaged_state_is_left_out_for_the_one_before() {
    let here = workplace();
    here.run(&format!("{FINETUNE} --out whole")).worked();
    here.run(&format!("{FINETUNE} --out run")).worked();
    let path = here.path("run/step-000006/optimizer.safetensors");
    let bytes = fs_err::read(&path).unwrap();
    fs_err::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let resumed = here.run("finetune --resume --out run --dashboard off");
    assert!(
        resumed.stderr.contains("is not whole"),
        "{}",
        resumed.stderr
    );
    resumed.worked();
    assert_trained_alike(&here, "whole", "run");
}

#[test]
fn a_measurement_that_a_kill_cut_is_taken_again() {
    let here = workplace();
    here.run(&format!("{FINETUNE} --out whole")).worked();
    // The measurement after the last step is cut in the middle of its line.
    here.run(&format!("{FINETUNE} --out run")).worked();
    let text = here.read("run/metrics.jsonl");
    let lines: Vec<&str> = text.lines().collect();
    let (last, before) = lines.split_last().unwrap();
    assert!(last.contains("\"eval\""), "{last}");
    here.write(
        "run/metrics.jsonl",
        before.join("\n") + "\n" + &last[..last.len() / 2],
    );
    here.run("finetune --resume --out run --dashboard off")
        .worked();
    assert_trained_alike(&here, "whole", "run");
}

#[test]
fn a_training_resumes_with_its_own_text_only() {
    let here = workplace();
    here.run(&format!("{FINETUNE} --out run")).worked();
    let text = here.read("text.txt");
    here.write("text.txt", text.replace("number", "rebmun"));
    here.run("finetune --resume --out run --dashboard off")
        .refused_with("`text` is another one");
}

#[test]
fn a_recovery_resumes_with_its_own_settings_only() {
    let here = workplace();
    here.run(&format!(
        "{TINY_SEARCH} --target 64 --set search.generations=1 --out found"
    ))
    .worked();
    let line = "recover --model m --tokens tokens.json --rope found/rope.json --contexts 16 --samples 1 \
         --set search.population=6 --set search.parents=2 --set search.mutations=1 --set search.crossovers=1 \
         --set search.generations=1";
    here.run(&format!("{line} --out run")).worked();
    here.run("recover --resume --out run --seed 7")
        .refused_with("`seed` was 42 and is 7");
    here.run(&format!(
        "{TINY_SEARCH} --target 64 --seed 5 --set search.generations=1 --out other"
    ))
    .worked();
    here.run("recover --resume --out run --rope other/rope.json")
        .refused_with("other settings");
    here.run("recover --resume --out run").worked();
}

#[test]
fn a_search_killed_in_its_first_generation_keeps_its_scores() {
    let here = workplace();
    // One generation with many samples.
    let line = "search --model m --tokens tokens.json --target 96 --samples 5 --set search.population=48 \
        --set search.parents=4 --set search.mutations=4 --set search.crossovers=4 --set search.generations=1";
    for racing in ["0", "1"] {
        let line = format!("{line} --set search.racing-strictness={racing}");
        let (whole, run) = (format!("whole{racing}"), format!("run{racing}"));
        here.run(&format!("{line} --out {whole}")).worked();
        let search = here.start(&format!("{line} --out {run}"));
        let scores = here.path(&run).join("search/scores.jsonl");
        let n_lines = || fs_err::read_to_string(&scores).map_or(0, |text| text.lines().count());
        wait_until("scores", || n_lines() > 6);
        kill(search);
        let n_known = n_lines() - 1;
        let state: Value = here.read_json(&format!("{run}/search/state.json"));
        assert_eq!(state["history"].as_array().unwrap().len(), 0);
        // A part of a line, as after a power failure.
        let text = fs_err::read_to_string(&scores).unwrap();
        fs_err::write(&scores, &text[..text.len() - 7]).unwrap();
        assert!(n_known >= 6);
        here.run(&format!("search --resume --out {run}")).worked();
        assert_same(&here, &whole, &run);
        assert!(!scores.exists(), "the scores are in the state now");
    }
}

/// Sets the trials of the one job of a saved evaluation.
fn edit_trials(here: &Workplace, edit: impl FnOnce(&mut Vec<Value>)) {
    let file = "run/eval/passkey.state.json";
    let mut state = here.read_json(file);
    edit(state["jobs"][0]["trials"].as_array_mut().unwrap());
    here.write(file, state.to_string());
}

#[test]
fn trials_are_kept_and_checked() {
    let here = workplace();
    let line = "eval passkey --model t --contexts 128 --rope none --trials 40";
    let state = here.path("run/eval/passkey.state.json");
    let n_trials = || -> usize {
        let text = fs_err::read_to_string(&state).unwrap_or_default();
        text.matches("\"scores\"").count()
    };
    let run = here.start(&format!("{line} --out run"));
    wait_until("trials", || n_trials() >= 3);
    kill(run);
    let kept = fs_err::read_to_string(&state).unwrap();
    let resume = format!("{line} --out run --resume");
    for (edit, words) in [
        (
            Box::new(|trials: &mut Vec<Value>| trials[1]["scores"] = Value::Array(Vec::new()))
                as Box<dyn FnOnce(&mut Vec<Value>)>,
            "trial 1 has 0 scores, expected 1",
        ),
        (
            Box::new(|trials| trials.swap(0, 2)),
            "trial 0 has the number 2",
        ),
        (
            Box::new(|trials| trials[0]["scores"] = Value::Null),
            "is not the state of an evaluation",
        ),
    ] {
        edit_trials(&here, edit);
        here.run(&resume).refused_with(words);
        here.write("run/eval/passkey.state.json", &kept);
    }
    here.run(&line.replace("40", "3")).worked();
    here.run(&resume).worked();
    assert!(!state.exists());
    // It is finished: there is nothing left to run.
    here.run(&resume).worked();
    assert!(!state.exists());
    here.run(&format!("{line} --out whole")).worked();
    let trials = |run: &str| {
        here.read_json(&format!("{run}/eval/passkey.json"))["results"][0]["trials"].clone()
    };
    assert_eq!(trials("run"), trials("whole"));
}

#[test]
fn a_recipe_killed_in_a_stage_resumes() {
    let here = workplace();
    let whole = "extend --config recipe.toml --out whole";
    here.run(whole).worked();
    let recipe = here.start("extend --config recipe.toml");
    let stage = here.path("recipe/01-keys/stage.toml");
    wait_until("the first stage", || stage.is_file());
    kill(recipe);
    let resume = "extend --config recipe.toml --resume";
    here.run(&format!("{resume} --out rceipe"))
        .refused_with("holds no run of a recipe to resume");
    // However the folder is named.
    let resumed = here.run(&format!("{resume} --out ./recipe"));
    assert!(
        !resumed.stderr.contains("other settings"),
        "{}",
        resumed.stderr
    );
    resumed.worked();
    let again = here.run(&format!("{resume} --out {}", here.path("recipe").display()));
    assert!(!again.stderr.contains("other settings"), "{}", again.stderr);
    again.worked();
    let trials = |run: &str| {
        here.read_json(&format!("{run}/01-keys/eval/passkey.json"))["results"][0]["trials"].clone()
    };
    assert_eq!(trials("recipe"), trials("whole"));
    assert!(here.path("recipe/02-table/eval/compare.json").is_file());
    // A file that a full disk has cut.
    here.write("recipe/02-table/done.json", "{\"format\":");
    here.run(resume).refused_with("done.json");
}

#[test]
fn a_reader_that_leaves_does_not_end_the_work() {
    let here = workplace();
    let mut recipe = here
        .command("extend --config recipe.toml")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(recipe.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.starts_with("stage 1 of 2"), "{line}");
    // The reader is dropped here, and with it the pipe.
    let output = recipe.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(here.path("recipe/02-table/done.json").is_file());
    // The progress of a training goes to stderr.
    let mut training = here
        .command(&format!("{FINETUNE} --out run"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(training.stderr.take());
    assert_eq!(training.wait().unwrap().code(), Some(0));
    assert!(here.path("run/model/model.safetensors").is_file());
}

#[cfg(unix)]
#[test]
fn a_stopped_recipe_says_how_to_continue_the_recipe() {
    let here = workplace();
    here.write(
        "recipe.toml",
        RECIPE.replace("trials = 40", "trials = 4000"),
    );
    let recipe = here.start("extend --config recipe.toml");
    let state = here.path("recipe/01-keys/eval/passkey.state.json");
    wait_until("the first trials", || state.is_file());
    let asked = std::process::Command::new("kill")
        .args(["-INT", &recipe.id().to_string()])
        .status();
    assert!(asked.unwrap().success());
    let output = recipe.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @r"
    error: stage `keys`
      caused by: interrupted
    hint: what is done is saved; continue with: longrope extend --resume --config recipe.toml --out recipe
    ");
}

#[cfg(unix)]
#[test]
fn the_command_that_continues_a_recipe_has_its_arguments() {
    let here = workplace();
    let recipe = RECIPE.replace("model = \"t\"\n", "");
    here.write(
        "recipe.toml",
        recipe.replace("passkey = { trials = 40 }", ""),
    );
    let recipe = here.start("extend t --config recipe.toml --set passkey.trials=200");
    let state = here.path("recipe/01-keys/eval/passkey.state.json");
    wait_until("the first trials", || state.is_file());
    let asked = std::process::Command::new("kill")
        .args(["-INT", &recipe.id().to_string()])
        .status();
    assert!(asked.unwrap().success());
    let output = recipe.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let message = String::from_utf8(output.stderr).unwrap();
    let (_, command) = message.split_once("continue with: longrope ").unwrap();
    assert_eq!(
        command.trim_end(),
        "extend t --resume --config recipe.toml --set passkey.trials=200 --out recipe"
    );
    here.run(command).worked();
    let keys = here.read_json("recipe/01-keys/eval/passkey.json");
    assert_eq!(keys["results"][0]["n"], 200);
    // The run knows its arguments.
    let again = here.run("extend --resume --config recipe.toml");
    assert!(!again.stderr.contains("other settings"), "{}", again.stderr);
    again.worked();
}

#[test]
fn the_demo_removes_no_search_of_the_user() {
    let here = workplace();
    let before: Vec<_> = ["model", "search", "exported"]
        .into_iter()
        .map(|name| {
            let folder = format!("runs-{name}/{name}");
            fs_err::create_dir_all(here.path(&folder)).unwrap();
            here.write(&format!("{folder}/mine"), "text");
            here.run(&format!("demo --out runs-{name}"))
                .refused_with("is not of an earlier demo");
            contents(&here.path(&folder))
        })
        .collect();
    assert!(before.iter().all(|files| files.len() == 1));
}

#[test]
fn a_demo_that_cannot_read_its_text_leaves_nothing() {
    let here = Workplace::new();
    here.write("short.txt", "fn main() {}\n");
    for (text, words) in [
        ("nowhere.txt", "no such file or folder"),
        ("short.txt", "placing windows of 2048 tokens"),
    ] {
        here.run(&format!("demo --text {text} --out runs/demo"))
            .refused_with(words);
        assert!(!here.path("runs").exists(), "{text}");
    }
}

#[test]
fn missing_sources_have_one_hint() {
    let here = Workplace::new();
    here.write("p.toml", PRETRAIN);
    for line in ["demo --out runs/a", "pretrain --config p.toml --out runs/a"] {
        let mut command = here.command(line);
        command.env("CARGO_HOME", here.path("nothing"));
        let output = command.output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert_eq!(message.matches("hint: ").count(), 1, "{message}");
        assert!(message.contains("cargo fetch"), "{message}");
        assert!(!here.path("runs").exists());
    }
}
