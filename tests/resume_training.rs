//! What a resumed training must share with the one that was begun, and what must be left of it.

use serde_json::Value;

use crate::support::Workplace;

/// A training of seconds, measured and saved at every second step.
const FINETUNE: &str = "finetune --model t --text text.txt --rope yarn --context 64 --set contexts=[64] --steps 6 \
    --dashboard off --set train.batch=1 --set train.learning-rate=1e-3 --set train.warmup-steps=4 \
    --set train.eval-every=2 --set train.save-every=2 --set train.eval-windows=2 \
    --set train.eval-text=[\"held.txt\"]";
const RESUME: &str = "finetune --resume --out run --dashboard off";

fn workplace() -> Workplace {
    let here = Workplace::with_tokenizer();
    here.rust_text();
    here
}

/// A folder with a training `run` that was stopped after step 4.
fn stopped() -> Workplace {
    let here = workplace();
    here.run(&format!("{FINETUNE} --out run")).worked();
    remove(&here, &["step-000006", "model"]);
    here
}

fn remove(here: &Workplace, names: &[&str]) {
    for name in names {
        fs_err::remove_dir_all(here.path("run").join(name)).unwrap();
    }
}

/// Changes a JSON file.
fn edit(here: &Workplace, name: &str, edit: impl FnOnce(&mut Value)) {
    let mut json = here.read_json(name);
    edit(&mut json);
    here.write(name, json.to_string());
}

#[test]
fn other_text_to_measure_on_is_refused() {
    let here = stopped();
    let held = here.read("held.txt");
    here.write("held.txt", held.replace("number", "rebmun"));
    let before = here.read("run/metrics.jsonl");
    let message = here.fails(RESUME);
    assert!(
        message.contains("`train.eval-text` is another one"),
        "{message}"
    );
    assert!(message.contains("hint: restore the text"), "{message}");
    assert_eq!(here.read("run/metrics.jsonl"), before);
    here.write("held.txt", held);
    here.run(RESUME).worked();
}

#[test]
fn other_layers_to_rescale_are_refused() {
    let here = stopped();
    here.run(&format!("{RESUME} --set rope-layers=all"))
        .refused_with("`rope-layers` was full and is all");
}

#[test]
fn another_rope_is_named_as_it_was_given() {
    let here = stopped();
    let message = here.fails(&format!("{RESUME} --rope theta@5e6"));
    for words in [
        "`rope` was yarn and is theta@5e6",
        "hint: resume without --rope",
    ] {
        assert!(message.contains(words), "{words} in {message}");
    }
    assert!(!message.contains("rope."), "{message}");
}

#[test]
fn another_beginning_of_the_windows_that_are_measured_is_refused() {
    let here = stopped();
    here.run(&format!("{RESUME} --set eval.bos=window"))
        .refused_with("`eval.bos` was document and is window");
    here.run(&format!("{RESUME} --set eval.bos=document"))
        .worked();
}

#[test]
fn another_tokenizer_of_generated_documents_is_refused() {
    let here = workplace();
    let generated = "--set train.data.text=0.0 --set train.data.copying=1.0";
    here.run(&format!("{FINETUNE} {generated} --out run"))
        .worked();
    let tokenizer = here.read("t/tokenizer.json");
    here.write("t/tokenizer.json", tokenizer.clone() + "\n");
    let message = here.fails(RESUME);
    assert!(message.contains("`tokenizer` is another one"), "{message}");
    assert!(
        message.contains("hint: restore the tokenizer.json"),
        "{message}"
    );
    here.write("t/tokenizer.json", tokenizer);
    here.run(RESUME).worked();
}

#[test]
fn a_run_of_a_version_that_recorded_less_resumes() {
    let here = stopped();
    for (file, section) in [
        ("run.json", "fixed"),
        ("step-000004/state.json", "settings"),
    ] {
        edit(&here, &format!("run/{file}"), |json| {
            let names = json[section].as_object_mut().unwrap();
            for name in ["eval-text", "eval.bos", "rope-layers"] {
                assert!(names.remove(name).is_some(), "{file} has no {name}");
            }
        });
    }
    let resumed = here.run(RESUME);
    assert!(
        resumed
            .stderr
            .contains("first windows of `train.eval-text`"),
        "{}",
        resumed.stderr
    );
    resumed.worked();
    assert_eq!(here.training_metrics("run/metrics.jsonl").len(), 6 + 3);
}

#[test]
fn a_begun_training_keeps_its_number_of_steps() {
    let here = stopped();
    // Fewer steps than those of the warmup.
    for steps in [2, 8] {
        let message = here.fails(&format!("{RESUME} --steps {steps}"));
        let expected = format!("`train.steps` was 6 and is {steps}");
        assert!(message.contains(&expected), "{message}");
        assert!(message.contains("keeps its number of steps"), "{message}");
        assert!(!message.contains("warmup-steps"), "{message}");
    }
    here.run(&format!("{RESUME} --steps 6")).worked();
}

#[test]
fn a_training_without_its_states_keeps_its_history() {
    let here = workplace();
    here.run(&format!("{FINETUNE} --out run")).worked();
    let before = here.read("run/metrics.jsonl");
    // To save space.
    remove(&here, &["step-000004", "step-000006"]);
    let message = here.fails(RESUME);
    assert!(message.contains("`run` holds no saved state"), "{message}");
    assert!(
        message.contains("`run/model` is a trained model"),
        "{message}"
    );
    assert!(
        message.contains("move metrics.jsonl and model"),
        "{message}"
    );
    remove(&here, &["model"]);
    let message = here.fails(RESUME);
    assert!(
        message.contains("`run/metrics.jsonl` has 6 steps"),
        "{message}"
    );
    assert_eq!(here.read("run/metrics.jsonl"), before);
    // As the hint says.
    fs_err::rename(here.path("run/metrics.jsonl"), here.path("kept.jsonl")).unwrap();
    here.run(RESUME).worked();
    let again = here.training_metrics("run/metrics.jsonl");
    assert_eq!(again, here.training_metrics("kept.jsonl"));
}

#[test]
fn text_that_is_trained_on_is_not_held_out() {
    let here = workplace();
    let told = here.run(&format!("{FINETUNE} --out run"));
    assert!(!told.stderr.contains("is not held out"), "{}", told.stderr);
    told.worked();
    here.write("copy.txt", here.read("text.txt"));
    for (name, out) in [("text.txt", "same"), ("copy.txt", "copy")] {
        let line =
            format!("{FINETUNE} --set train.eval-text=[\"{name}\",\"held.txt\"] --out {out}");
        let told = here.run(&line);
        let words = "`train.eval-text` is not held out: the training text has 1 of its 2 documents";
        assert!(told.stderr.contains(words), "{}", told.stderr);
        told.worked();
    }
}
