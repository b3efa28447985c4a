//! Saved states.

use std::path::Path;

use burn::tensor::DType;
use longrope_model::{Decoder, LoraConfig, Trained};
use longrope_trainer::checkpoint::{
    SaveContext, TrainingState, end_replacements, has_state, latest, latest_whole, restore, save,
};
use longrope_trainer::{Error, Schedule, Trainer, TrainerConfig};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::support::{adapted, base, batches, config, decoder, lora, train_to, two};

fn save_state(run: &Path, trainer: &Trainer, lora: Option<&LoraConfig>, base: &Path) -> bool {
    let state = TrainingState::new(trainer, json!({"place": trainer.n_steps()}), json!({}));
    let context = SaveContext {
        base,
        file: None,
        lora,
        keep: 2,
    };
    save(run, trainer, &state, &context).is_ok()
}

fn interrupted_equals_uninterrupted(
    trained: Trained,
    fresh: impl Fn() -> Decoder,
    lora: Option<&LoraConfig>,
) {
    let mut whole = Trainer::new(fresh(), config(trained)).unwrap();
    let expected = train_to(&mut whole, 12);

    let run = tempfile::tempdir().unwrap();
    let mut first = Trainer::new(fresh(), config(trained)).unwrap();
    let mut found = train_to(&mut first, 7);
    assert!(save_state(run.path(), &first, lora, &base()));
    drop(first);
    let folder = latest(run.path()).unwrap().unwrap();
    let state = TrainingState::read(&folder).unwrap();
    assert_eq!((state.n_steps, &state.data), (7, &json!({"place": 7})));
    let mut second = restore(&folder, &state, fresh(), config(trained)).unwrap();
    found.extend(train_to(&mut second, 12));
    assert_eq!(found, expected, "bit for bit");
}

#[test]
fn a_resumed_run_is_the_uninterrupted_one() {
    interrupted_equals_uninterrupted(Trained::All, decoder, None);
}

#[test]
fn so_is_one_of_adapters() {
    interrupted_equals_uninterrupted(Trained::Adapters, adapted, Some(&lora()));
}

#[test]
fn so_is_one_with_layers_on_two_devices() {
    let apart = || decoder().placed_on(&two());
    interrupted_equals_uninterrupted(Trained::All, apart, None);
    let apart = || adapted().placed_on(&two());
    interrupted_equals_uninterrupted(Trained::Adapters, apart, Some(&lora()));
}

#[test]
fn so_is_one_that_also_trains_embeddings_and_norms() {
    let settings = LoraConfig {
        modules_to_save: ["embed_tokens", "norm"].map(str::to_owned).to_vec(),
        ..lora()
    };
    for dtype in [DType::F32, DType::BF16] {
        let fresh = || {
            let mut decoder = decoder().cast(dtype);
            let mut rng = ChaCha8Rng::seed_from_u64(9);
            decoder.add_adapters(&settings, &mut rng).unwrap();
            decoder
        };
        interrupted_equals_uninterrupted(Trained::Adapters, fresh, Some(&settings));
        let mut trainer = Trainer::new(fresh(), config(Trained::Adapters)).unwrap();
        train_to(&mut trainer, 3);
        let values = |mut decoder: Decoder| {
            let mut all = Vec::new();
            decoder.for_each_parameter(|p| all.push((p.name.clone(), p.flat().into_data())));
            all
        };
        for ((name, before), (_, after)) in values(fresh())
            .into_iter()
            .zip(values(trainer.into_decoder()))
        {
            let is_trained = ["lora_", "norm", "embed"]
                .iter()
                .any(|part| name.contains(part));
            assert_eq!(before != after, is_trained, "{name}");
        }
    }
}

#[test]
fn the_last_states_are_kept_and_a_failed_one_leaves_them_whole() {
    let run = tempfile::tempdir().unwrap();
    let mut trainer = Trainer::new(decoder(), config(Trained::All)).unwrap();
    for n_steps in 1..=3 {
        train_to(&mut trainer, n_steps);
        assert!(save_state(run.path(), &trainer, None, &base()));
    }
    let names = |run: &Path| -> Vec<String> {
        let mut names: Vec<String> = fs_err::read_dir(run)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(run.path()), ["step-000002", "step-000003"]);
    // The folder of the base model is gone: writing stops in the middle.
    train_to(&mut trainer, 4);
    assert!(!save_state(
        run.path(),
        &trainer,
        None,
        Path::new("nowhere")
    ));
    assert_eq!(names(run.path()), ["step-000002", "step-000003"]);
    let folder = latest(run.path()).unwrap().unwrap();
    let state = TrainingState::read(&folder).unwrap();
    let restored = restore(&folder, &state, decoder(), config(Trained::All)).unwrap();
    assert_eq!(restored.n_steps(), 3);
}

#[test]
fn damaged_states_are_named() {
    let run = tempfile::tempdir().unwrap();
    let mut trainer = Trainer::new(decoder(), config(Trained::All)).unwrap();
    train_to(&mut trainer, 1);
    assert!(save_state(run.path(), &trainer, None, &base()));
    let folder = latest(run.path()).unwrap().unwrap();
    let state = TrainingState::read(&folder).unwrap();
    let path = folder.join("optimizer.safetensors");
    let bytes = fs_err::read(&path).unwrap();
    fs_err::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = restore(&folder, &state, decoder(), config(Trained::All)).unwrap_err();
    assert!(
        error.to_string().contains("optimizer.safetensors"),
        "{error}"
    );
    fs_err::write(folder.join("state.json"), "{}").unwrap();
    let error = TrainingState::read(&folder).unwrap_err();
    assert!(error.to_string().contains("state.json"), "{error}");
}

#[test]
fn the_newest_whole_state_is_found() {
    let run = tempfile::tempdir().unwrap();
    assert!(latest_whole(run.path()).unwrap().is_none());
    let mut trainer = Trainer::new(decoder(), config(Trained::All)).unwrap();
    for step in [1, 2] {
        train_to(&mut trainer, step);
        assert!(save_state(run.path(), &trainer, None, &base()));
    }
    let newest = latest(run.path()).unwrap().unwrap();
    let found = || latest_whole(run.path()).unwrap().unwrap();
    assert_eq!(found(), newest);
    for name in [
        "optimizer.safetensors",
        "model/model.safetensors",
        "model/config.json",
        "state.json",
    ] {
        let path = newest.join(name);
        let bytes = fs_err::read(&path).unwrap();
        fs_err::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        if !name.ends_with("json") {
            assert!(found().ends_with("step-000001"), "{name}");
        }
        fs_err::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(found().ends_with("step-000001"), "{name}");
        fs_err::remove_file(&path).unwrap();
        assert!(found().ends_with("step-000001"), "{name}");
        fs_err::write(&path, bytes).unwrap();
        assert_eq!(found(), newest, "{name}");
    }
    // Without any whole state, the newest is named.
    for step in ["step-000001", "step-000002"] {
        fs_err::remove_dir_all(run.path().join(step).join("model")).unwrap();
    }
    let error = latest_whole(run.path()).unwrap_err().to_string();
    assert!(error.contains("step-000002"), "{error}");
}

#[test]
fn a_state_whose_replacement_was_cut_off_is_found() {
    let run = tempfile::tempdir().unwrap();
    let mut trainer = Trainer::new(decoder(), config(Trained::All)).unwrap();
    train_to(&mut trainer, 2);
    assert!(save_state(run.path(), &trainer, None, &base()));
    let state = latest(run.path()).unwrap().unwrap();
    // A process was killed after it had moved the old state away, and before the new one was there.
    let hash = longrope_data::sha256_hex(&[b"step-000002"]);
    let temporary = run.path().join(format!(".saving-{}-1", &hash[..8]));
    fs_err::create_dir_all(temporary.join("old")).unwrap();
    fs_err::write(temporary.join("lock"), "").unwrap();
    fs_err::rename(&state, temporary.join("new")).unwrap();
    // Reading changes nothing.
    assert_eq!(latest(run.path()).unwrap(), None);
    assert_eq!(latest_whole(run.path()).unwrap(), None);
    assert!(has_state(run.path()) && temporary.exists());
    end_replacements(run.path());
    assert_eq!(latest_whole(run.path()).unwrap(), Some(state));
    assert!(!temporary.exists());
    let empty = tempfile::tempdir().unwrap();
    assert!(!has_state(empty.path()) && !has_state(&empty.path().join("nowhere")));
}

#[test]
fn a_flipped_byte_in_a_tensor_file_is_noticed() {
    let fresh_run = |trained: Trained| {
        let run = tempfile::tempdir().unwrap();
        let (model, settings) = match trained {
            Trained::All => (decoder(), None),
            Trained::Adapters => (adapted(), Some(lora())),
        };
        let mut trainer = Trainer::new(model, config(trained)).unwrap();
        for step in [1, 2] {
            train_to(&mut trainer, step);
            assert!(save_state(run.path(), &trainer, settings.as_ref(), &base()));
        }
        run
    };
    for (trained, names) in [
        (
            Trained::All,
            ["optimizer.safetensors", "model/model.safetensors"],
        ),
        (
            Trained::Adapters,
            ["optimizer.safetensors", "adapter/adapter_model.safetensors"],
        ),
    ] {
        let run = fresh_run(trained);
        let newest = latest(run.path()).unwrap().unwrap();
        let sums = TrainingState::read(&newest).unwrap().sha256;
        assert_eq!(sums.len(), 2, "{sums:?}");
        let found = || latest_whole(run.path()).unwrap().unwrap();
        for name in names {
            let path = newest.join(name);
            let bytes = fs_err::read(&path).unwrap();
            // In the last number, so that the header stays as it was.
            let mut flipped = bytes.clone();
            *flipped.last_mut().unwrap() ^= 1;
            fs_err::write(&path, flipped).unwrap();
            assert!(found().ends_with("step-000001"), "{name}");
            fs_err::write(&path, bytes).unwrap();
            assert_eq!(found(), newest, "{name}");
        }
        // Earlier versions saved no checksums.
        let path = newest.join("state.json");
        let mut state: serde_json::Value =
            serde_json::from_str(&fs_err::read_to_string(&path).unwrap()).unwrap();
        state.as_object_mut().unwrap().remove("sha256");
        fs_err::write(&path, state.to_string()).unwrap();
        fs_err::write(newest.join(names[1]), [0; 8]).unwrap();
        assert!(
            found().ends_with("step-000001"),
            "still checked for its form"
        );
    }
}

#[test]
fn numbers_that_no_training_has_are_errors() {
    let run = tempfile::tempdir().unwrap();
    let mut trainer = Trainer::new(decoder(), config(Trained::All)).unwrap();
    train_to(&mut trainer, 1);
    assert!(save_state(run.path(), &trainer, None, &base()));
    let folder = latest(run.path()).unwrap().unwrap();
    let path = folder.join("state.json");
    let saved = fs_err::read_to_string(&path).unwrap();
    for (edits, words) in [
        (
            &[("n_steps", u64::MAX)][..],
            "`n_steps` is 18446744073709551615",
        ),
        (&[("n_steps", 0)], "`optimizer_steps` is 1"),
        (&[("optimizer_steps", u64::MAX)], "`optimizer_steps` is"),
        (
            &[("n_steps", u64::MAX), ("optimizer_steps", u64::MAX)],
            "`n_steps` is",
        ),
    ] {
        let mut state: serde_json::Value = serde_json::from_str(&saved).unwrap();
        for (key, value) in edits {
            state[*key] = (*value).into();
        }
        fs_err::write(&path, state.to_string()).unwrap();
        let restored = TrainingState::read(&folder)
            .and_then(|state| restore(&folder, &state, decoder(), config(Trained::All)));
        let Err(error) = restored else {
            panic!("{edits:?}");
        };
        let message = error.to_string();
        assert!(message.contains(words), "{message}");
        assert!(message.contains("state.json"), "{message}");
    }
}

#[test]
fn weights_that_are_not_finite_are_not_saved() {
    for (trained, settings, fresh) in [
        (Trained::All, None, decoder as fn() -> Decoder),
        (Trained::Adapters, Some(lora()), adapted as fn() -> Decoder),
    ] {
        let (run, base) = (tempfile::tempdir().unwrap(), base());
        let mut trainer = Trainer::new(fresh(), config(trained)).unwrap();
        train_to(&mut trainer, 1);
        assert!(save_state(run.path(), &trainer, settings.as_ref(), &base));
        let wild = TrainerConfig {
            schedule: Schedule {
                learning_rate: 1e40,
                ..config(trained).schedule
            },
            ..config(trained)
        };
        let mut trainer = Trainer::new(fresh(), wild).unwrap();
        // The second step is skipped, because its loss is not finite.
        train_to(&mut trainer, 2);
        let state = TrainingState::new(&trainer, json!({}), json!({}));
        let context = SaveContext {
            base: &base,
            file: None,
            lora: settings.as_ref(),
            keep: 1,
        };
        let error = save(run.path(), &trainer, &state, &context).unwrap_err();
        assert!(
            matches!(error, Error::WeightNotFinite { step: 2, .. }),
            "{error}"
        );
        let newest = latest_whole(run.path()).unwrap().unwrap();
        assert!(newest.ends_with("step-000001"), "{}", newest.display());
    }
}

#[test]
fn a_second_step_in_a_row_that_is_not_finite_is_an_error_after_resuming_too() {
    let run = tempfile::tempdir().unwrap();
    let mut trainer = Trainer::new(decoder(), config(Trained::All)).unwrap();
    train_to(&mut trainer, 1);
    let mut broken = batches(trainer.decoder(), 1);
    broken[0].batch.loss_weights[0][5] = f32::INFINITY;
    assert!(trainer.step(&broken).unwrap().skipped);
    assert!(save_state(run.path(), &trainer, None, &base()));
    let folder = latest(run.path()).unwrap().unwrap();
    let state = TrainingState::read(&folder).unwrap();
    let mut resumed = restore(&folder, &state, decoder(), config(Trained::All)).unwrap();
    let error = resumed.step(&broken).unwrap_err();
    assert!(matches!(error, Error::NotFinite { step: 3, .. }), "{error}");
}
