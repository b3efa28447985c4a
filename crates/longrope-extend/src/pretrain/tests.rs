use std::path::Path;
use std::sync::{Arc, Mutex};

use burn::tensor::Device;
use longrope_data::{Document, TokenCache};
use longrope_model::ResultSource;
use longrope_trainer::Screen;
use longrope_trainer::run::TrainEvent;

use super::*;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;

const TINY: &str = r#"{
    "model": { "layers": 1, "hidden": 16, "heads": 2, "kv-heads": 1, "intermediate": 24, "vocab": 300, "window": 32 },
    "eval-every": 100,
    "phases": [
        { "name": "a", "steps": 2, "batch": 2, "window": 32, "learning-rate": 1e-2, "shares": { "text": 1.0 } },
        { "name": "b", "steps": 1, "batch": 2, "window": 32, "learning-rate": 1e-2, "shares": { "copying": 1.0 } }
    ]
}"#;

fn task(out: &Path) -> PretrainTask {
    let lines = (0..200).map(|i| format!("fn number_{i}() -> u32 {{ {} }}\n", i * i % 997));
    let document = Document {
        source: "text".to_owned(),
        text: lines.collect(),
    };
    PretrainTask {
        config: serde_json::from_str(TINY).unwrap(),
        texts: PretrainTexts {
            training: vec![document.clone()],
            held_out: vec![document],
            origin: "text".to_owned(),
            missing: Vec::new(),
        },
        seed: 1,
        cache: TokenCache::disabled(),
        placement: Device::flex().into(),
        workers: Vec::new(),
        out: out.to_owned(),
        source: ResultSource::default(),
        screen: Screen::Nothing,
    }
}

/// Runs the task, with the steps and other events in the order in which they came.
fn run(task: PretrainTask, interrupt: &Interrupt) -> (Result<PretrainOutcome>, Vec<String>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let outcome = task.run(interrupt, move |event| {
        let text = match event {
            PretrainEvent::TrainingTokenizer => "training tokenizer".to_owned(),
            PretrainEvent::TrainedTokenizer => "trained tokenizer".to_owned(),
            PretrainEvent::Tokenizing { done, total } => format!("{done}/{total} documents"),
            PretrainEvent::Phase { phase, event } => match event {
                TrainEvent::Step(step) => format!("{} step {}", phase.name, step.report.step),
                _ => return Ok(()),
            },
        };
        seen.lock().unwrap().push(text);
        Ok(())
    });
    let events = events.lock().unwrap().clone();
    (outcome, events)
}

#[test]
fn an_interrupted_pretraining_ends_with_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, resumed] = ["whole", "resumed"].map(|name| folder.path().join(name));
    let begin = ["training tokenizer", "trained tokenizer"];
    let tokenized = ["0/2 documents", "1/2 documents", "2/2 documents"];

    let (outcome, events) = run(task(&whole), &Interrupt::default());
    let outcome = outcome.unwrap();
    let steps = ["a step 1", "a step 2", "b step 1"];
    assert_eq!(
        events,
        [begin.as_slice(), tokenized.as_slice(), steps.as_slice()].concat()
    );
    assert_eq!(outcome.n_steps, 3);
    assert!(outcome.measured.nll_nats.is_finite());

    let interrupt = Interrupt::default();
    interrupt.request();
    let (stopped, events) = run(task(&resumed), &interrupt);
    assert!(stopped.unwrap_err().is_interruption());
    assert_eq!(
        events,
        [begin.as_slice(), tokenized.as_slice(), &steps[..1]].concat()
    );
    let (again, events) = run(task(&resumed), &Interrupt::default());
    assert_eq!(events, [tokenized.as_slice(), &steps[1..]].concat());
    let again = again.unwrap();
    assert_eq!(again.measured, outcome.measured);
    let weights =
        |outcome: &PretrainOutcome| fs_err::read(outcome.model.join("model.safetensors")).unwrap();
    assert!(weights(&again) == weights(&outcome));
}

#[test]
fn other_text_to_measure_on_is_another_pretraining() {
    let folder = tempfile::tempdir().unwrap();
    let one = task(&folder.path().join("run"));
    assert_eq!(
        one.texts.n_not_held_out(),
        1,
        "the fixture measures on its text"
    );
    let mut other = task(&folder.path().join("run"));
    other.texts.held_out[0].text.push('x');
    assert_eq!(other.texts.n_not_held_out(), 0);
    assert_ne!(one.fixed()["held-out"], other.fixed()["held-out"]);
    assert_eq!(one.fixed()["text"], other.fixed()["text"]);
    // Documents that end elsewhere are others.
    let cut = other.texts.held_out[0].text.split_off(10);
    let (first, whole) = (other.texts.held_out[0].clone(), one.texts.held_out.clone());
    other.texts.held_out = vec![
        first,
        Document {
            text: cut,
            ..whole[0].clone()
        },
    ];
    assert_ne!(one.fixed()["held-out"], other.fixed()["held-out"]);
}

#[test]
fn a_pretraining_whose_states_were_removed_keeps_its_history() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    run(task(&out), &Interrupt::default()).0.unwrap();
    let metrics = || fs_err::read_to_string(out.join("metrics.jsonl")).unwrap();
    let before = metrics();
    for phase in ["1-a", "2-b"] {
        fs_err::remove_dir_all(out.join(phase)).unwrap();
    }
    let (outcome, _) = run(task(&out), &Interrupt::default());
    let Err(Error::Trainer(error)) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(error.to_string().contains("no saved state"), "{error}");
    assert_eq!(metrics(), before);
    // Without the model, the steps of the second phase show that the first one was saved.
    fs_err::remove_dir_all(out.join("model")).unwrap();
    let (outcome, _) = run(task(&out), &Interrupt::default());
    let message = outcome.unwrap_err().to_string();
    assert!(
        message.contains("phase `b`, which comes later"),
        "{message}"
    );
    assert_eq!(metrics(), before);
}

#[test]
fn without_text_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut task = task(&out);
    task.texts.training.clear();
    let (outcome, _) = run(task, &Interrupt::default());
    let Err(Error::Pretrain(error)) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(matches!(*error, PretrainError::NoText));
    assert!(!out.exists());
}

#[test]
fn held_out_text_that_fills_no_window_is_an_error_before_the_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let short = || {
        let mut task = task(&out);
        task.texts.held_out[0].text.truncate(12);
        task
    };
    let (outcome, events) = run(short(), &Interrupt::default());
    let Err(Error::Pretrain(error)) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(
        matches!(*error, PretrainError::HeldOutTooShort { ref phase, window: 32, longest }
            if phase == "a" && longest < 32),
        "{error}"
    );
    assert!(!events.iter().any(|event| event.contains("step")));
    // One that an earlier version has begun goes on, and measures nothing.
    fs_err::write(out.join("metrics.jsonl"), "").unwrap();
    let (outcome, _) = run(short(), &Interrupt::default());
    assert!(outcome.unwrap().measured.nll_nats.is_nan());
}
