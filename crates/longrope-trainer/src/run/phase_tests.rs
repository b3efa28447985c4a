use std::path::Path;

use burn::tensor::Device;
use longrope_data::{PackedStream, PackingConfig, TokenDocument, WindowSource};
use longrope_model::{Recompute, Trained};

use super::*;
use crate::optimizer::OptimizerConfig;
use crate::schedule::{Decay, Schedule};

/// Tokens of a window.
const WINDOW: usize = 16;

fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/models/llama-gqa-tied")
}

fn decoder() -> Decoder {
    Decoder::load(&base(), Device::flex()).unwrap()
}

/// Four steps of two batches of two windows.
fn phase(folder: &Path, resume: bool) -> Phase {
    let documents = [TokenDocument {
        source: "test".to_owned(),
        tokens: (0..600).map(|i| i * i % 97).collect(),
    }];
    let packing = PackingConfig::new(WINDOW, 7);
    let stream = PackedStream::new(documents.into(), packing).unwrap();
    let decoder = decoder();
    Phase {
        name: None,
        folder: folder.to_owned(),
        base: base(),
        metrics: folder.join("metrics.jsonl"),
        model: folder.join("model"),
        source: None,
        trainer: TrainerConfig {
            schedule: Schedule {
                learning_rate: 1e-2,
                warmup_steps: 0,
                total_steps: 4,
                decay: Decay::Constant,
            },
            optimizer: OptimizerConfig::default(),
            trained: Trained::All,
            recompute: Recompute::Layers,
        },
        lora: None,
        workers: Vec::new(),
        windows: Mixture::of_one("text", WindowSource::Packed(stream)),
        rotaries: Rotaries::new(&decoder, &decoder.config().rope, WINDOW),
        distillation: None,
        batch: 2,
        accumulate: 2,
        contexts: Vec::new(),
        eval_every: 10,
        save_every: 10,
        keep: 1,
        settings: Value::Null,
        resume,
        screen: Screen::Nothing,
        label: "test".to_owned(),
    }
}

/// A run of four steps that saves a state after so many, without that of its end: as if it was killed, or the states were
/// removed.
fn without_states(folder: &Path, save_every: usize) {
    let mut phase = phase(folder, false);
    phase.save_every = save_every;
    phase.train(decoder(), Callbacks::default()).unwrap();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs_err::remove_dir_all(path).unwrap();
        }
    }
}

#[test]
fn a_phase_that_has_saved_nothing_begins_again_with_other_steps_between_states() {
    let run = tempfile::tempdir().unwrap();
    let resumed = |save_every: usize| {
        let mut phase = phase(run.path(), true);
        phase.save_every = save_every;
        phase.session(decoder(), Callbacks::default())
    };
    without_states(run.path(), 100);
    assert_eq!(resumed(2).unwrap().trainer.n_steps(), 0);
    // Its old lines are gone.
    let metrics = run.path().join("metrics.jsonl");
    assert_eq!(crate::run::records::read(&metrics).unwrap(), []);
    let run_that_saved = tempfile::tempdir().unwrap();
    without_states(run_that_saved.path(), 2);
    let mut other = phase(run_that_saved.path(), true);
    other.save_every = 100;
    let refused = other.session(decoder(), Callbacks::default());
    assert!(matches!(refused, Err(Error::StatesGone { .. })));
}

fn weights(trainer: &Trainer) -> Vec<f32> {
    let mut all = Vec::new();
    trainer.decoder().clone().for_each_parameter(|parameter| {
        all.extend(parameter.flat().into_data().iter::<f32>());
    });
    all
}

/// What goes wrong with the batches of a step.
type Fault = fn(&mut [MicroBatch]) -> HookResult<()>;

#[test]
fn a_step_that_failed_is_made_again_with_its_own_windows() {
    let run = tempfile::tempdir().unwrap();
    let folder = run.path().join("whole");
    let whole = phase(&folder, false).train(decoder(), Callbacks::default());
    let expected = weights(&whole.unwrap().0);
    let faults: [(&str, Fault); 2] = [
        ("the step fails", |batches: &mut [MicroBatch]| {
            batches[1].batch.tokens[0][0] = u32::MAX;
            Ok(())
        }),
        ("its windows fail", |_: &mut [MicroBatch]| {
            Err("after some were drawn".into())
        }),
    ];
    for (name, fault) in faults {
        let folder = run.path().join(name);
        let session = phase(&folder, false).session(decoder(), Callbacks::default());
        let mut session = session.unwrap();
        let mut next = session.hooks.next;
        let mut number = 0;
        session.hooks.next = Box::new(move || {
            number += 1;
            let mut batches = next()?;
            if number == 3 {
                fault(&mut batches)?;
            }
            Ok(batches)
        });
        assert!(session.run().is_err(), "{name}");
        assert!(folder.join("step-000002").is_dir(), "{name}");
        let resumed = phase(&folder, true).train(decoder(), Callbacks::default());
        assert!(weights(&resumed.unwrap().0) == expected, "{name}");
    }
}
