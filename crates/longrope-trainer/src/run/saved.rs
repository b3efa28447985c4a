//! Saved states of a run: the trainer, the position in its data, and the settings that must be the same to resume.

use std::path::Path;

use longrope_data::{Mixture, MixtureCursor, counted};
use longrope_model::Decoder;
use longrope_rope::RopeSpec;
use serde::Deserialize;
use serde_json::Value;

use super::records;
use crate::checkpoint::{self, SaveContext, TrainingState};
use crate::error::{Error, Result};
use crate::trainer::{Trainer, TrainerConfig};

/// Settings that states of earlier versions do not name. Where one is missing, it is not compared.
const NAMED_LATER: [&str; 6] = [
    "text",
    EVAL_TEXT,
    "eval.bos",
    "held-out",
    "rope-layers",
    "tokenizer",
];

/// The text that is measured on.
const EVAL_TEXT: &str = "eval-text";

/// Saves the trainer and the position in its data as `folder/step-N`, and returns that folder.
///
/// # Errors
/// [`Error::WeightNotFinite`] if a weight is NaN or infinite, [`Error::Save`] if the state cannot be written; those saved
/// before stay intact.
pub(super) fn save(
    folder: &Path,
    trainer: &Trainer,
    cursor: &MixtureCursor,
    settings: &Value,
    context: &SaveContext<'_>,
) -> Result<std::path::PathBuf> {
    let write = || {
        let cursor = serde_json::to_value(cursor).map_err(std::io::Error::from)?;
        let state = TrainingState::new(trainer, cursor, settings.clone());
        checkpoint::save(folder, trainer, &state, context)
    };
    write().map_err(|source| match source {
        Error::WeightNotFinite { .. } => source,
        source => Error::Save {
            step: trainer.n_steps(),
            folder: folder.to_owned(),
            source: Box::new(source),
        },
    })
}

/// Checks that a phase without saved states never had any. Otherwise it would begin anew, and erase its history.
///
/// A training that was killed before its first state has lines of steps too, up to the first step that is saved. The metrics
/// say which that is: `save_every` may be another one now, and counts only for metrics of earlier versions.
///
/// # Errors
/// [`Error::StatesGone`] if there is the trained model, or the metrics have steps after the first saved state or of a later
/// phase.
pub(super) fn check_never_saved(
    folder: &Path,
    model: &Path,
    metrics: &Path,
    phase: Option<&str>,
    save_every: usize,
) -> Result<()> {
    let gone = |found: String| {
        Err(Error::StatesGone {
            folder: folder.to_owned(),
            found,
        })
    };
    if model.exists() {
        return gone(format!("`{}` is a trained model", model.display()));
    }
    let records = records::read(metrics)?;
    let own = records.iter().filter(|record| record.phase() == phase);
    let n_steps = own.map(records::Record::step).max().unwrap_or(0);
    let first_state = records::first_state(metrics, phase)?.unwrap_or(save_every);
    if n_steps > first_state.max(1) {
        return gone(format!(
            "`{}` has {}, and the first state is saved after {first_state}",
            metrics.display(),
            counted(n_steps, "step")
        ));
    }
    let mut after = records.iter().skip_while(|record| record.phase() != phase);
    match after.find(|record| record.phase() != phase) {
        None => Ok(()),
        Some(later) => gone(format!(
            "`{}` has steps of phase `{}`, which comes later",
            metrics.display(),
            later.phase().unwrap_or_default()
        )),
    }
}

/// Restores the trainer from the state in `folder`, and moves `data` to the saved position.
///
/// # Errors
/// [`Error::OtherSettings`] if the state was saved under other settings; otherwise if it cannot be read.
pub(super) fn restore(
    folder: &Path,
    settings: &Value,
    decoder: Decoder,
    config: TrainerConfig,
    data: &mut Mixture,
) -> Result<Trainer> {
    let state = TrainingState::read(folder)?;
    if !agree(&state.settings, settings) {
        return Err(Error::OtherSettings {
            folder: folder.to_owned(),
        });
    }
    if state.settings.get(EVAL_TEXT).is_none() && settings.get(EVAL_TEXT).is_some() {
        tracing::warn!(
            "the training in `{}` was begun by a version that measured on the first windows of `train.eval-text`. They are \
             now spread over all of it, so losses measured from now on may differ from those before",
            folder.display()
        );
    }
    let cursor: MixtureCursor =
        serde_json::from_value(state.data.clone()).map_err(|source| Error::DataPosition {
            folder: folder.to_owned(),
            source,
        })?;
    data.seek(&cursor)?;
    checkpoint::restore(folder, &state, decoder, config).map_err(|source| Error::Resume {
        folder: folder.to_owned(),
        source: Box::new(source),
    })
}

/// Whether a run with the settings `current` may resume from a state with the settings `saved`.
///
/// Version 0.1 saved `rope` as the `Debug` text of its [`RopeSpec`] instead of JSON, and earlier versions none of
/// [`NAMED_LATER`]; such states are accepted.
fn agree(saved: &Value, current: &Value) -> bool {
    let mut current = current.clone();
    if let Some(current) = current.as_object_mut() {
        current
            .retain(|name, _| saved.get(name).is_some() || !NAMED_LATER.contains(&name.as_str()));
    }
    if *saved == current {
        return true;
    }
    let (Some(Value::String(text)), Some(rope)) = (saved.get("rope"), current.get("rope")) else {
        return false;
    };
    let is_same = RopeSpec::deserialize(rope).is_ok_and(|spec| format!("{spec:?}") == *text);
    if !is_same {
        return false;
    }
    let mut saved = saved.clone();
    saved["rope"] = rope.clone();
    saved == current
}

#[cfg(test)]
mod tests {
    use super::*;
    use longrope_rope::RopeScaling;
    use serde_json::json;

    fn spec(scale: f64) -> RopeSpec {
        RopeSpec::new(16, 10_000.0, 32, RopeScaling::Linear { scale }).unwrap()
    }

    #[test]
    fn settings_must_be_the_same() {
        let settings = |scale: f64, seed: u64| json!({"rope": spec(scale), "seed": seed});
        assert!(agree(&settings(2.0, 1), &settings(2.0, 1)));
        assert!(!agree(&settings(2.0, 1), &settings(4.0, 1)));
        assert!(!agree(&settings(2.0, 1), &settings(2.0, 2)));
        assert!(!agree(&json!({"seed": 1}), &json!({"seed": 2})));
    }

    #[test]
    fn the_rope_of_old_states_is_its_debug_text() {
        let old = json!({"rope": format!("{:?}", spec(2.0)), "seed": 1});
        assert!(agree(&old, &json!({"rope": spec(2.0), "seed": 1})));
        assert!(!agree(&old, &json!({"rope": spec(4.0), "seed": 1})));
        assert!(!agree(&old, &json!({"rope": spec(2.0), "seed": 2})));
        assert!(!agree(&old, &json!({"rope": "something else", "seed": 1})));
    }

    #[test]
    fn the_text_must_be_the_same_if_it_was_recorded() {
        let settings = |text: &str| json!({"seed": 1, "text": text});
        assert!(agree(&settings("a"), &settings("a")));
        assert!(!agree(&settings("a"), &settings("b")));
        assert!(agree(&json!({"seed": 1}), &settings("b")));
        assert!(!agree(&json!({"seed": 2}), &settings("b")));
    }

    #[test]
    fn other_text_to_measure_on_and_another_tokenizer_are_noticed_if_they_were_recorded() {
        for name in [
            "eval-text",
            "eval.bos",
            "held-out",
            "tokenizer",
            "rope-layers",
        ] {
            let settings = |value: &str| json!({"seed": 1, name: value});
            assert!(agree(&settings("a"), &settings("a")), "{name}");
            assert!(!agree(&settings("a"), &settings("b")), "{name}");
            assert!(agree(&json!({"seed": 1}), &settings("b")), "{name}");
            assert!(!agree(&settings("a"), &json!({"seed": 1})), "{name}");
        }
        assert!(!agree(&json!({"seed": 1}), &json!({"seed": 1, "other": 2})));
    }

    const STEPS: &str = r#"{"event":"eval","phase":"a","step":2,"nll_nats":0.0,"ppl":1.0}"#;

    #[test]
    fn a_phase_whose_states_were_removed_is_not_begun_anew() {
        let run = tempfile::tempdir().unwrap();
        let [model, metrics] = ["model", "metrics.jsonl"].map(|name| run.path().join(name));
        let found = |save_every: usize| match check_never_saved(
            run.path(),
            &model,
            &metrics,
            Some("a"),
            save_every,
        ) {
            Ok(()) => String::new(),
            Err(Error::StatesGone { found, .. }) => found,
            Err(other) => panic!("{other}"),
        };
        assert_eq!(found(1), "");
        fs_err::write(&metrics, STEPS).unwrap();
        // As after a kill before the first state was written.
        assert_eq!(found(2), "");
        assert!(found(1).contains("2 steps"), "{}", found(1));
        let later = STEPS.replace("\"a\"", "\"b\"");
        fs_err::write(&metrics, format!("{STEPS}\n{later}")).unwrap();
        assert!(found(2).contains("phase `b`"), "{}", found(2));
        fs_err::create_dir(&model).unwrap();
        assert!(found(2).contains("is a trained model"), "{}", found(2));
    }

    #[test]
    fn the_steps_between_states_may_be_others_than_when_the_metrics_were_written() {
        let run = tempfile::tempdir().unwrap();
        let [model, metrics] = ["model", "metrics.jsonl"].map(|name| run.path().join(name));
        let check = |save_every| {
            check_never_saved(run.path(), &model, &metrics, Some("a"), save_every).is_ok()
        };
        let begun = |step: usize| {
            let header = format!(
                r#"{{"format":"longrope-metrics","version":1,"kind":"training","first_states":[{{"phase":"a","step":{step}}}]}}"#
            );
            fs_err::write(&metrics, format!("{header}\n{STEPS}")).unwrap();
        };
        // It was killed before its first state, and is to save more often now.
        begun(100);
        assert!(check(1));
        // It has had a state, and is to save less often now.
        begun(1);
        assert!(!check(100));
    }

    #[test]
    fn the_debug_text_of_a_rope_has_not_changed() {
        assert_eq!(
            format!("{:?}", spec(2.0)),
            "RopeSpec { rotary_dim: 16, theta: 10000.0, original_context: 32, scaling: Linear { scale: 2.0 } }"
        );
    }
}
