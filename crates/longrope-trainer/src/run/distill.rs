//! Keeping the hidden states of the original model: the keys of `[train.distill]`.

use std::sync::Arc;

use longrope_data::Goal;
use longrope_model::{Decoder, Rotary, Teacher};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Number of hidden states that are compared by default, as in the paper.
const N_LAYERS: usize = 6;

/// Windows on which the trained model is compared with the original one instead of with the text (`LongReD`, arXiv
/// 2502.07365, §4). Shares are relative to those of `[train.data]`.
///
/// The weights are those of the authors' scripts, which use 6 batches of short text and 2 of far text beside 8 of long text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct DistillConfig {
    /// Share of text in pieces of the original context, whose chosen hidden states are compared.
    pub short: f64,
    /// Share of the same text at positions that skip ahead. Only its last hidden states are compared, with those of the
    /// original model at the real positions.
    pub far: f64,
    /// The hidden states to compare in short text: `i` is the output of the first `i` layers; by default six, evenly spaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<usize>>,
    /// Weight of the loss of short text.
    pub short_weight: f64,
    /// Weight of the loss of far text.
    pub far_weight: f64,
}

impl Default for DistillConfig {
    fn default() -> Self {
        Self {
            short: 0.0,
            far: 0.0,
            layers: None,
            short_weight: 5.0,
            far_weight: 10.0,
        }
    }
}

impl DistillConfig {
    /// Whether there are any such windows.
    pub fn is_on(&self) -> bool {
        self.short > 0.0 || self.far > 0.0
    }

    /// The settings with the hidden states to compare filled in, for a model of `n_layers` layers.
    #[must_use]
    pub fn resolved(mut self, n_layers: usize) -> Self {
        self.layers
            .get_or_insert_with(|| evenly(n_layers, N_LAYERS));
        self
    }

    /// Checks the settings, for a model of `n_layers` layers and positions that skip or not.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings without a meaning.
    pub(super) fn validate(&self, n_layers: usize, skips: bool) -> Result<()> {
        let error = |key: &str, found: String, expected: String| Error::Setting {
            key: key.to_owned(),
            found,
            expected,
        };
        for (key, share) in [
            ("train.distill.short", self.short),
            ("train.distill.far", self.far),
        ] {
            if !share.is_finite() || share < 0.0 {
                return Err(error(key, share.to_string(), "0 or more".to_owned()));
            }
        }
        for (key, weight) in [
            ("train.distill.short-weight", self.short_weight),
            ("train.distill.far-weight", self.far_weight),
        ] {
            if !weight.is_finite() || weight <= 0.0 {
                return Err(error(key, weight.to_string(), "above 0".to_owned()));
            }
        }
        if self.far > 0.0 && !skips {
            let expected = "0, unless train.positions is \"skipped\"".to_owned();
            return Err(error("train.distill.far", self.far.to_string(), expected));
        }
        let layers = self.layers.as_deref().unwrap_or(&[]);
        let is_known = |layer: &usize| (1..=n_layers).contains(layer);
        if layers.is_empty() || !layers.iter().all(is_known) {
            let expected =
                format!("one or more numbers from 1 to {n_layers}, the layers of the model");
            return Err(error(
                "train.distill.layers",
                format!("{layers:?}"),
                expected,
            ));
        }
        Ok(())
    }
}

/// Up to `n` whole numbers from 1 to `last`, evenly spaced and with the last.
fn evenly(last: usize, n: usize) -> Vec<usize> {
    let n = n.min(last);
    (1..=n).map(|i| (i * last).div_ceil(n)).collect()
}

/// The original model for the windows that are compared with it.
#[derive(Clone, Debug)]
pub struct Distillation {
    short: Arc<Teacher>,
    far: Arc<Teacher>,
}

impl Distillation {
    /// Compares with `original`, which reads windows under `rotary`. The settings are resolved.
    pub(super) fn new(original: &Decoder, rotary: &Rotary, config: &DistillConfig) -> Self {
        let teacher = |layers: Vec<usize>, weight| {
            Arc::new(Teacher {
                decoder: original.clone(),
                rotary: rotary.clone(),
                layers,
                weight,
            })
        };
        let last = original.config().n_layers;
        Self {
            short: teacher(
                config.layers.clone().unwrap_or_default(),
                config.short_weight,
            ),
            far: teacher(vec![last], config.far_weight),
        }
    }

    /// What a window of this goal is compared with; `None` if it is trained on its text.
    pub(super) fn teacher(&self, goal: Goal) -> Option<Arc<Teacher>> {
        match goal {
            Goal::Text => None,
            Goal::ShortStates => Some(Arc::clone(&self.short)),
            Goal::FarStates => Some(Arc::clone(&self.far)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_evenly_spaced_and_end_with_the_last() {
        assert_eq!(evenly(32, 6), [6, 11, 16, 22, 27, 32]);
        assert_eq!(evenly(4, 6), [1, 2, 3, 4]);
        assert_eq!(evenly(1, 6), [1]);
    }

    #[test]
    fn settings_without_a_meaning_are_errors_that_name_the_key() {
        let on = DistillConfig {
            short: 0.3,
            ..DistillConfig::default()
        };
        on.clone().resolved(4).validate(4, false).unwrap();
        let message = |config: DistillConfig, skips| {
            let checked = config.resolved(4).validate(4, skips);
            checked.unwrap_err().to_string()
        };
        let far = DistillConfig {
            far: 0.1,
            ..on.clone()
        };
        far.clone().resolved(4).validate(4, true).unwrap();
        assert!(message(far, false).contains("train.positions"));
        for share in [-0.1, f64::NAN] {
            let config = DistillConfig {
                short: share,
                ..on.clone()
            };
            assert!(message(config, false).contains("train.distill.short"));
        }
        let config = DistillConfig {
            short_weight: 0.0,
            ..on.clone()
        };
        assert!(message(config, false).contains("train.distill.short-weight"));
        for layers in [vec![], vec![0], vec![5]] {
            let config = DistillConfig {
                layers: Some(layers),
                ..on.clone()
            };
            assert!(message(config, false).contains("from 1 to 4"));
        }
    }
}
