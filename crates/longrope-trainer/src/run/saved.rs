//! Saved states of a run: the trainer, the position in its data, and the settings that must be the same to resume.

use std::path::Path;

use longrope_data::{Mixture, MixtureCursor};
use longrope_model::Decoder;
use longrope_rope::RopeSpec;
use serde::Deserialize;
use serde_json::Value;

use crate::checkpoint::{self, SaveContext, TrainingState};
use crate::error::{Error, Result};
use crate::trainer::{Trainer, TrainerConfig};

/// Saves the trainer and the position in its data as `folder/step-N`, and returns that folder.
///
/// # Errors
/// [`Error::Save`] if the state cannot be written; those saved before stay intact.
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
    write().map_err(|source| Error::Save {
        step: trainer.n_steps(),
        folder: folder.to_owned(),
        source: Box::new(source),
    })
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
/// Version 0.1 saved `rope` as the `Debug` text of its [`RopeSpec`] instead of JSON, and no fingerprint of the text; such
/// states are accepted.
fn agree(saved: &Value, current: &Value) -> bool {
    let mut current = current.clone();
    if saved.get("text").is_none()
        && let Some(current) = current.as_object_mut()
    {
        current.remove("text");
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
    fn the_debug_text_of_a_rope_has_not_changed() {
        assert_eq!(
            format!("{:?}", spec(2.0)),
            "RopeSpec { rotary_dim: 16, theta: 10000.0, original_context: 32, scaling: Linear { scale: 2.0 } }"
        );
    }
}
