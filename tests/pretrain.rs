//! `longrope pretrain`: a model from scratch.

use serde_json::Value;

use crate::support::{Workplace, number};

/// A tiny model and a run of seconds, saved after every second step.
const TINY: &str = r#"
[pretrain]
model = { layers = 1, hidden = 32, heads = 2, kv-heads = 1, intermediate = 48, vocab = 300, window = 64 }
held-out = ["held.txt"]
eval-every = 3
save-every = 2

[[pretrain.phases]]
name = "copying"
steps = 4
batch = 4
window = 48
learning-rate = 1e-2
warmup-steps = 2
shares = { copying = 1.0 }

[[pretrain.phases]]
name = "mix"
steps = 4
batch = 4
window = 64
learning-rate = 1e-2
decay = "linear"
shares = { text = 0.75, copying = 0.25 }
"#;

const PRETRAIN: &str = "pretrain --config tiny.toml --text text.txt --json";

fn workplace() -> Workplace {
    let here = Workplace::new();
    here.rust_text();
    here.write("tiny.toml", TINY);
    here
}

/// Lines of `metrics.jsonl` without times.
fn metrics(here: &Workplace, run: &str) -> Vec<Value> {
    here.training_metrics(&format!("{run}/metrics.jsonl"))
}

fn bytes(here: &Workplace, name: &str) -> Vec<u8> {
    fs_err::read(here.path(name)).unwrap()
}

#[test]
fn other_verbs_read_the_trained_model() {
    let here = workplace();
    let result = here.compute_json(&format!("{PRETRAIN} --out run"));
    assert_eq!(result["model"], "run/model");
    assert_eq!(result["steps"], 8);
    assert_eq!(result["source"]["model"], "run/start");
    assert_eq!(result["source"]["texts"][0], "text.txt");
    let header = here.read_json_lines("run/metrics.jsonl").swap_remove(0);
    assert_eq!(header["source"], result["source"]);
    assert_eq!(
        (&result["format"], &result["version"]),
        (&"longrope-pretraining".into(), &1.into())
    );
    let mut values = result.as_object().unwrap().values();
    assert!(values.all(|value| !value.is_null()), "{result}");
    // 300 tokens, and better than chance.
    let nll = number(&result, "/held_out_nll_nats");
    assert!(nll < 300_f64.ln(), "{nll}");

    let metrics = metrics(&here, "run");
    let steps = |phase: &str| -> Vec<u64> {
        let of_phase = metrics.iter().filter(|line| line["phase"] == phase);
        let steps = of_phase.filter(|line| line["event"] == "step");
        steps.map(|line| line["step"].as_u64().unwrap()).collect()
    };
    assert_eq!(steps("copying"), [1, 2, 3, 4]);
    assert_eq!(steps("mix"), [1, 2, 3, 4]);

    let inspection = here.inspection("run/model");
    assert_eq!(inspection["family"], "llama", "{inspection}");
    here.run("report run").worked();
    let report = here.read_json("run/report.json");
    assert_eq!(report["training"][0]["lines"][0]["phase"], "copying");
    let page = here.read("run/report.html");
    assert!(page.contains("Training made 8 steps in 2 phases"), "{page}");
    here.compute("eval ppl --model run/model --text held.txt --contexts 64 --windows 2");
    here.compute("generate --model run/model --prompt fn --max-new-tokens 3");
    assert!(here.read("run/model/README.md").contains("| mix | 4 |"));
}

#[test]
fn a_resumed_run_ends_like_an_uninterrupted_one() {
    let here = workplace();
    here.compute(&format!("{PRETRAIN} --out run"));
    let (model, whole) = (
        bytes(&here, "run/model/model.safetensors"),
        metrics(&here, "run"),
    );
    // As after a crash between two saved states: there are lines of steps after the last state.
    fs_err::remove_dir_all(here.path("run/model")).unwrap();
    fs_err::remove_dir_all(here.path("run/2-mix/step-000004")).unwrap();
    here.compute("pretrain --resume --out run --json");
    assert!(bytes(&here, "run/model/model.safetensors") == model);
    let mut resumed = metrics(&here, "run");
    // The order of a step's lines may differ.
    let key = |line: &Value| line.to_string();
    let mut whole = whole;
    whole.sort_by_key(key);
    resumed.sort_by_key(key);
    assert_eq!(resumed, whole);
}

#[test]
fn wrong_pretraining_input_is_refused() {
    let here = workplace();
    let refused = |line: &str, expected: &str| {
        let message = here.fails(line);
        assert!(message.contains(expected), "{message}");
    };
    refused("pretrain --out x", "`pretrain.phases` is empty");
    refused("pretrain --config tiny.toml", "`--out` is missing");
    refused(
        "pretrain --resume --out x",
        "holds no pretraining run to resume",
    );
    refused(
        "pretrain --config tiny.toml --resume --out x",
        "holds no pretraining run to resume",
    );
    fs_err::create_dir_all(here.path("y/start")).unwrap();
    here.write("y/start/config.json", "{}");
    refused(
        "pretrain --config tiny.toml --out y",
        "already holds a pretraining run",
    );
}

#[test]
fn a_changed_start_is_found_on_resume() {
    let here = workplace();
    let resume = format!("{PRETRAIN} --out run --resume");
    let model = || bytes(&here, "run/model/model.safetensors");
    here.run(&format!("{PRETRAIN} --out run")).worked();
    let (whole, kept) = (model(), bytes(&here, "run/start/model.safetensors"));
    here.write("run/model/notes.txt", "mine");
    here.run(&resume).worked();
    assert_eq!(here.read("run/model/notes.txt"), "mine");
    let weights = here.path("run/start/model.safetensors");
    let mut damaged = kept.clone();
    *damaged.last_mut().unwrap() ^= 1;
    fs_err::write(&weights, &damaged).unwrap();
    here.run(&resume)
        .refused_with("`run/start/model.safetensors` is changed");
    fs_err::remove_file(&weights).unwrap();
    here.run(&resume).refused_with("is missing");
    // As the hint says.
    fs_err::remove_dir_all(here.path("run/start")).unwrap();
    here.run(&resume).worked();
    assert!(bytes(&here, "run/start/model.safetensors") == kept && model() == whole);
    // Starts of earlier versions have no checksums.
    fs_err::remove_file(here.path("run/start/checksums.json")).unwrap();
    let resumed = here.run(&resume);
    assert!(
        resumed
            .stderr
            .contains("`run/start/checksums.json` is missing"),
        "{}",
        resumed.stderr
    );
    resumed.worked();
}

#[test]
fn a_start_that_was_cut_off_is_made_again_as_a_whole() {
    let here = workplace();
    let resume = format!("{PRETRAIN} --out run --resume");
    here.run(&format!("{PRETRAIN} --out run")).worked();
    let start = here.path("run/start");
    let sums = bytes(&here, "run/start/checksums.json");
    // As earlier versions left it if they were killed before the weights were written.
    for name in ["config.json", "model.safetensors", "checksums.json"] {
        fs_err::remove_file(start.join(name)).unwrap();
    }
    here.write("run/start/.tokenizer-half", "half");
    here.run(&resume).worked();
    assert!(bytes(&here, "run/start/checksums.json") == sums);
    assert!(!start.join(".tokenizer-half").exists());
}

#[test]
fn phases_are_told_apart_by_their_names() {
    let here = workplace();
    here.write(
        "same.toml",
        TINY.replace("name = \"mix\"", "name = \"copying\""),
    );
    here.run("pretrain --config same.toml --text text.txt --out run")
        .refused_with("phases 1 and 2 of `pretrain.phases` are both named `copying`");
    assert!(!here.path("run").exists());
    here.write(
        "rate.toml",
        TINY.replace("decay = \"linear\"", "weight-decay = -1"),
    );
    let message = here.fails("pretrain --config rate.toml --text text.txt --out run");
    assert!(
        message.contains("phase 2 of `pretrain.phases`, `mix`"),
        "{message}"
    );
    assert!(
        message.contains("`weight-decay` is -1, expected 0, or"),
        "{message}"
    );
}

#[test]
fn a_pretraining_resumes_with_its_own_held_out_text_only() {
    let here = workplace();
    let told = here.run(&format!("{PRETRAIN} --out run"));
    assert!(!told.stderr.contains("held out"), "{}", told.stderr);
    told.worked();
    let held = here.read("held.txt");
    here.write("held.txt", held.replace("number", "rebmun"));
    let message = here.fails("pretrain --resume --out run --json");
    assert!(
        message.contains("`pretrain.held-out` is another one"),
        "{message}"
    );
    assert!(message.contains("hint: restore the text"), "{message}");
    here.write("held.txt", held);
    // The type of the weights is recorded, as of other trainings.
    let saved: toml::Table = here.read("run/config.toml").parse().unwrap();
    assert_eq!(saved["train"]["precision"].as_str(), Some("f32"));
    // Earlier versions did not record it.
    let mut record = here.read_json("run/run.json");
    record["fixed"]
        .as_object_mut()
        .unwrap()
        .remove("held-out")
        .unwrap();
    here.write("run/run.json", record.to_string());
    here.run("pretrain --resume --out run --json").worked();

    let copied = here.run(&format!(
        "{PRETRAIN} --out copied --set pretrain.held-out=[\"text.txt\"]"
    ));
    assert!(
        copied
            .stderr
            .contains("the training text has 1 of its 1 document"),
        "{}",
        copied.stderr
    );
    copied.worked();
}

#[test]
fn a_pretraining_without_its_states_keeps_its_history() {
    let here = workplace();
    here.run(&format!("{PRETRAIN} --out run")).worked();
    let before = here.read("run/metrics.jsonl");
    for phase in ["run/1-copying", "run/2-mix"] {
        fs_err::remove_dir_all(here.path(phase)).unwrap();
    }
    for found in ["`run/model` is a trained model", "has 4 steps"] {
        let message = here.fails("pretrain --resume --out run --json");
        assert!(message.contains("holds no saved state"), "{message}");
        assert!(message.contains(found), "{message}");
        assert_eq!(here.read("run/metrics.jsonl"), before);
        if here.path("run/model").exists() {
            fs_err::remove_dir_all(here.path("run/model")).unwrap();
        }
    }
    // As the hint says.
    fs_err::rename(here.path("run/metrics.jsonl"), here.path("kept.jsonl")).unwrap();
    here.run("pretrain --resume --out run --json").worked();
}

#[test]
fn settings_that_a_pretraining_does_not_use_are_said_or_refused() {
    let here = workplace();
    here.run(&format!("{PRETRAIN} --out run --set weights=streamed"))
        .refused_with("cannot be trained");
    assert!(!here.path("run").exists());
    let outcome = here.run(&format!(
        "{PRETRAIN} --out run --set precision=bf16 --set train.precision=bf16 --device flex --device flex"
    ));
    for expected in [
        "`precision` is bf16, which has no effect on a training: this one is in f32",
        "`train.precision` is bf16, which has no effect on `pretrain`",
        "`accumulate` of phase `mix` is 1, so only 1 of 2 devices has work",
    ] {
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
    outcome.worked();
}

#[test]
fn less_text_than_a_window_is_refused_before_a_pretraining_begins() {
    let here = workplace();
    here.write("few.txt", "a few words");
    here.run("pretrain --config tiny.toml --text few.txt --out run")
        .refused_with(
            "the text has at most 13 tokens, expected at least one window of phase `mix`, 64",
        );
    assert!(!here.path("run").exists());
}
