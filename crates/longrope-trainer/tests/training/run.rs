//! Whole runs: metrics, events, interruption, errors.

use std::path::Path;
use std::sync::{Arc, Mutex};

use longrope_data::TokenDocument;
use longrope_model::ResultSource;
use longrope_rope::Method;
use longrope_trainer::run::records::{self, Record};
use longrope_trainer::run::{
    AsBefore, Callbacks, Measurement, TrainConfig, TrainEvent, TrainOutcome, TrainPlan, train,
};
use longrope_trainer::{Error, Screen};
use serde_json::json;

use crate::support::{base, decoder};

type Events = Arc<Mutex<Vec<String>>>;

fn plan(folder: &Path, resume: bool) -> TrainPlan {
    let decoder = decoder();
    TrainPlan {
        folder: folder.to_owned(),
        base: base(),
        rope: decoder.config().rope.clone(),
        decoder,
        workers: Vec::new(),
        context: 32,
        documents: vec![TokenDocument {
            source: "test".to_owned(),
            tokens: (0..600).map(|i| i * i % 97).collect(),
        }],
        bos: None,
        as_before: AsBefore::default(),
        config: TrainConfig {
            steps: 5,
            learning_rate: Some(1e-3),
            warmup_steps: 1,
            eval_every: 2,
            save_every: 2,
            ..TrainConfig::default()
        },
        contexts: vec![16],
        seed: 7,
        fixed: serde_json::Map::new(),
        source: ResultSource::default(),
        resume,
        screen: Screen::Nothing,
        label: "test".to_owned(),
    }
}

/// Notes all events, and stops after a step.
fn callbacks(events: &Events, stop_at: Option<usize>) -> Callbacks {
    let (seen, noted) = (Arc::clone(events), Arc::clone(events));
    let note = move |event: TrainEvent<'_>| match event {
        TrainEvent::Begun { total_steps } => format!("begun 0/{total_steps}"),
        TrainEvent::Resumed { step, total_steps } => format!("resumed {step}/{total_steps}"),
        TrainEvent::Step(timed) => format!("step {}", timed.report.step),
        TrainEvent::Measured { step, context, .. } => format!("measured {step} at {context}"),
        TrainEvent::Saved { step, folder } => {
            let name = folder.file_name().unwrap().display();
            format!("saved {step} as {name}")
        }
        other => format!("{other:?}"),
    };
    Callbacks {
        measure: Box::new(|_, step, _| {
            Ok(Measurement {
                nll_nats: step as f64,
                passkeys: Some(0.5),
            })
        }),
        watch: Box::new(move |event| {
            noted.lock().unwrap().push(note(event));
            Ok(())
        }),
        should_stop: Box::new(move || {
            stop_at.is_some_and(|step| seen.lock().unwrap().contains(&format!("step {step}")))
        }),
    }
}

/// The metrics without times and memory.
fn metrics(folder: &Path) -> Vec<Record> {
    let mut records = records::read(&folder.join("metrics.jsonl")).unwrap();
    for record in &mut records {
        if let Record::Step {
            elapsed_secs,
            tokens_per_second,
            peak_memory_bytes,
            ..
        } = record
        {
            (*elapsed_secs, *tokens_per_second, *peak_memory_bytes) = (0.0, 0.0, None);
        }
    }
    records
}

fn taken(events: &Events) -> String {
    std::mem::take(&mut *events.lock().unwrap()).join(", ")
}

#[test]
fn an_interrupted_run_resumes_to_the_same_metrics_and_weights() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let events = Events::default();
    let outcome = train(plan(&whole, false), callbacks(&events, None)).unwrap();
    let TrainOutcome::Done(result) = outcome else {
        panic!("nothing interrupts it");
    };
    assert_eq!((result.steps, result.n_tokens), (5, 5 * 32));
    assert_eq!(result.evals.len(), 3);
    assert_eq!(
        taken(&events),
        "begun 0/5, step 1, step 2, saved 2 as step-000002, measured 2 at 16, step 3, step 4, \
         saved 4 as step-000004, measured 4 at 16, step 5, measured 5 at 16, saved 5 as step-000005"
    );
    let eval = Record::Eval {
        phase: None,
        step: 2,
        context: Some(16),
        nll_nats: 2.0,
        ppl: 2_f64.exp(),
        passkeys: Some(0.5),
    };
    assert_eq!(metrics(&whole)[2], eval);

    let outcome = train(plan(&parts, false), callbacks(&events, Some(3))).unwrap();
    assert!(matches!(outcome, TrainOutcome::Interrupted));
    assert!(!parts.join("model").exists());
    assert!(taken(&events).ends_with("step 3, saved 3 as step-000003"));
    train(plan(&parts, true), callbacks(&events, None)).unwrap();
    assert!(taken(&events).starts_with("resumed 3/5, step 4, "));
    assert_eq!(metrics(&parts), metrics(&whole));
    let weights = |run: &Path| fs_err::read(run.join("model/model.safetensors")).unwrap();
    assert!(weights(&parts) == weights(&whole));
}

#[test]
fn other_settings_are_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let events = Events::default();
    train(plan(folder.path(), false), callbacks(&events, Some(1))).unwrap();
    let mut other = plan(folder.path(), true);
    other.seed = 8;
    let error = train(other, callbacks(&events, None)).unwrap_err();
    assert!(matches!(error, Error::OtherSettings { .. }), "{error}");
}

#[test]
fn errors_say_where_they_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let error = train(plan(folder.path(), false), Callbacks::default()).unwrap_err();
    let Error::Run { source, .. } = error else {
        panic!("{error}");
    };
    assert!(matches!(*source, Error::Hook(_)), "{source}");
    let mut nothing = plan(folder.path(), false);
    nothing.config.data.text = 0.0;
    let error = train(nothing, Callbacks::default()).unwrap_err();
    assert!(matches!(error, Error::NothingToTrainOn), "{error}");
    let mut no_text = plan(folder.path(), false);
    no_text.documents.clear();
    let error = train(no_text, Callbacks::default()).unwrap_err();
    assert!(
        matches!(error, Error::Windows { part: "text", .. }),
        "{error}"
    );
}

#[test]
fn a_measurement_cut_by_a_kill_is_in_the_resumed_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
    let events = Events::default();
    train(plan(&whole, false), callbacks(&events, None)).unwrap();
    for last in [2, 4, 5] {
        train(plan(&cut, false), callbacks(&events, None)).unwrap();
        // As after a kill between the state of step `last` and its measurement.
        for step in [2, 4, 5] {
            let state = cut.join(format!("step-{step:06}"));
            if step > last && state.exists() {
                fs_err::remove_dir_all(state).unwrap();
            }
        }
        if last == 2 {
            fs_err::remove_dir_all(&cut).unwrap();
            train(plan(&cut, false), callbacks(&events, Some(2))).unwrap();
        }
        let path = cut.join("metrics.jsonl");
        let text = fs_err::read_to_string(&path).unwrap();
        let is_later =
            |line: &&str| line.contains("\"eval\"") && line.contains(&format!("\"step\":{last},"));
        let kept: Vec<&str> = text.lines().filter(|line| !is_later(line)).collect();
        fs_err::write(&path, kept.join("\n") + "\n").unwrap();
        train(plan(&cut, true), callbacks(&events, None)).unwrap();
        assert_eq!(metrics(&cut), metrics(&whole), "{last}");
        fs_err::remove_dir_all(&cut).unwrap();
    }
}

#[test]
fn a_run_resumes_with_its_own_text_only() {
    let folder = tempfile::tempdir().unwrap();
    let events = Events::default();
    train(plan(folder.path(), false), callbacks(&events, Some(2))).unwrap();
    let mut other = plan(folder.path(), true);
    other.documents[0].tokens.reverse();
    let error = train(other, callbacks(&events, None))
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, Error::OtherSettings { .. }), "{error}");
}

#[test]
fn what_the_caller_fixes_must_be_the_same_if_it_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let events = Events::default();
    let measured_on = |text: &str, resume: bool| {
        let mut plan = plan(folder.path(), resume);
        plan.fixed.insert("eval-text".to_owned(), text.into());
        plan
    };
    train(measured_on("a", false), callbacks(&events, Some(2))).unwrap();
    let other = train(measured_on("b", true), callbacks(&events, None));
    assert!(matches!(other, Err(Error::OtherSettings { .. })));
    // As an earlier version saved it.
    let path = folder.path().join("step-000002/state.json");
    let text = fs_err::read_to_string(&path).unwrap();
    let mut state: serde_json::Value = serde_json::from_str(&text).unwrap();
    let settings = state["settings"].as_object_mut().unwrap();
    settings.remove("eval-text").unwrap();
    fs_err::write(&path, state.to_string()).unwrap();
    train(measured_on("b", true), callbacks(&events, None)).unwrap();
}

#[test]
fn a_run_whose_states_were_removed_keeps_its_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let events = Events::default();
    train(plan(folder.path(), false), callbacks(&events, None)).unwrap();
    let before = metrics(folder.path());
    for step in ["step-000004", "step-000005"] {
        fs_err::remove_dir_all(folder.path().join(step)).unwrap();
    }
    for found in ["model", "metrics.jsonl"] {
        let error = train(plan(folder.path(), true), callbacks(&events, None));
        let Err(error @ Error::StatesGone { .. }) = error else {
            panic!("it begins anew");
        };
        assert!(error.to_string().contains(found), "{error}");
        assert_eq!(metrics(folder.path()), before);
        let model = folder.path().join("model");
        if model.exists() {
            fs_err::remove_dir_all(model).unwrap();
        }
    }
}

#[test]
fn documents_that_are_tokenized_in_another_way_than_before_are_a_setting() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("base");
    fs_err::create_dir(&model).unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs_err::copy(base().join(file), model.join(file)).unwrap();
    }
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../longrope/assets/tiny-llama-256");
    let text = fs_err::read_to_string(assets.join("tokenizer.json")).unwrap();
    let setting = |normalizer: serde_json::Value, passkey: f64| {
        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
        json["normalizer"] = normalizer;
        fs_err::write(model.join("tokenizer.json"), json.to_string()).unwrap();
        let mut plan = plan(&folder.path().join("run"), false);
        plan.base.clone_from(&model);
        plan.context = 512;
        plan.rope = Method::Yarn.spec(&plan.rope, plan.context).unwrap();
        plan.config.data.passkey = passkey;
        plan.config.data.copying = 1.0;
        let prepared = plan.prepare().unwrap();
        prepared.settings().get("generated-documents").cloned()
    };
    let with_space = || json!({"type": "Prepend", "prepend": " "});
    assert!(setting(with_space(), 1.0).is_some());
    // Repetitions are made of tokens, and other tokenizers make the tokens that they made before.
    assert_eq!(setting(with_space(), 0.0), None);
    assert_eq!(setting(json!(null), 1.0), None);
}
