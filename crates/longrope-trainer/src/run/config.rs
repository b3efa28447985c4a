//! How a model is trained: the keys of `[train]` in a configuration file.

use std::path::PathBuf;

use longrope_model::{LoraConfig, ModelConfig, Recompute, Trained, attention_maps};
use serde::{Deserialize, Serialize};

use super::data_config::TrainDataConfig;
use super::distill::DistillConfig;
use super::positions::{LongWindows, Positions, SkippedPositions};
use super::trained_weights::{LoraSettings, TrainMode, WeightPrecision};
use crate::error::{Error, Result};
use crate::optimizer::{OptimizerConfig, POSITIVE, is_positive};
use crate::schedule::{Decay, Schedule};
use crate::trainer::TrainerConfig;

/// Settings of a training run. Keys are in kebab case, every key has a default, and unknown keys are rejected.
///
/// The settings are part of every saved state: a run can only be resumed with the same ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Tokens of a window; by default the context of the factors that are trained under, else the one the model was trained
    /// for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<usize>,
    /// Optimizer steps.
    pub steps: usize,
    /// Windows that go through the model at once.
    pub batch: usize,
    /// Batches of a step.
    pub accumulate: usize,
    /// Peak learning rate; by default that of the mode, see [`TrainMode::learning_rate`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Steps in which the learning rate rises to its peak.
    pub warmup_steps: usize,
    /// Learning rate after the warmup.
    pub decay: Decay,
    /// Which weights are trained.
    pub mode: TrainMode,
    /// Type of the weights. `auto` that nobody has resolved stands for `f32`.
    pub precision: WeightPrecision,
    /// Whether the backward pass recomputes each layer instead of keeping its activations.
    pub recompute: bool,
    /// Whether the inputs of layers, which are all that is kept then, wait in the memory of the host.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub offload: bool,
    /// Steps between two measurements.
    pub eval_every: usize,
    /// Text to measure on; if empty, nothing is measured.
    pub eval_text: Vec<PathBuf>,
    /// Windows per measurement.
    pub eval_windows: usize,
    /// Steps between two saved states.
    pub save_every: usize,
    /// Number of saved states to keep.
    pub keep: usize,
    /// Settings of AdamW.
    pub optimizer: OptimizerConfig,
    /// Settings of the adapters, for [`TrainMode::Lora`].
    pub lora: LoraSettings,
    /// Modules that are trained as a whole beside the adapters, for [`TrainMode::Lora`]; names as in PEFT.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub modules_to_save: Vec<String>,
    /// Which windows the model is trained on.
    pub data: TrainDataConfig,
    /// Which positions their tokens get.
    #[serde(skip_serializing_if = "is_default")]
    pub positions: Positions,
    /// How positions skip, for [`Positions::Skipped`].
    #[serde(skip_serializing_if = "is_default")]
    pub skipped: SkippedPositions,
    /// Longer windows among the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long: Option<LongWindows>,
    /// Windows that keep hidden states close to those of the original model.
    #[serde(skip_serializing_if = "is_default")]
    pub distill: DistillConfig,
}

/// Settings of states that were saved before a key existed lack it; left out, a default agrees with them.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            context: None,
            steps: 400,
            batch: 1,
            accumulate: 1,
            learning_rate: None,
            warmup_steps: 20,
            decay: Decay::Linear,
            mode: TrainMode::Full,
            precision: WeightPrecision::Auto,
            recompute: true,
            offload: false,
            eval_every: 100,
            eval_text: Vec::new(),
            eval_windows: 8,
            save_every: 100,
            keep: 2,
            optimizer: OptimizerConfig::default(),
            lora: LoraSettings::default(),
            modules_to_save: Vec::new(),
            data: TrainDataConfig::default(),
            positions: Positions::All,
            skipped: SkippedPositions::default(),
            long: None,
            distill: DistillConfig::default(),
        }
    }
}

impl TrainConfig {
    /// Tokens of the longest text that the positions of the windows lie in, for windows of `context` tokens.
    pub fn reach(&self, context: usize) -> usize {
        let skipped = self
            .skips()
            .and_then(|skipped| skipped.targets.last().copied());
        let long = self.long.map(|long| long.context);
        context.max(skipped.unwrap_or(0)).max(long.unwrap_or(0))
    }

    /// Tokens of the longest window, where others have `context` tokens.
    pub fn longest_window(&self, context: usize) -> usize {
        self.long.map_or(context, |long| long.context.max(context))
    }

    /// How positions skip, if they do.
    pub fn skips(&self) -> Option<&SkippedPositions> {
        (self.positions == Positions::Skipped).then_some(&self.skipped)
    }

    /// The settings with every default filled in that depends on the mode or the model.
    #[must_use]
    pub fn resolved(mut self, model: &ModelConfig) -> Self {
        let mode = self.mode;
        if self.precision == WeightPrecision::Auto {
            self.precision = WeightPrecision::F32;
        }
        self.learning_rate
            .get_or_insert_with(|| mode.learning_rate());
        self.lora.target_modules.get_or_insert_with(|| {
            let maps = attention_maps(model).into_iter();
            maps.map(str::to_owned).collect()
        });
        if self.distill.is_on() {
            self.distill = self.distill.resolved(model.n_layers);
        }
        self
    }

    /// The adapters to train in a model; `None` if all weights are trained.
    pub fn adapters(&self, model: &ModelConfig) -> Option<LoraConfig> {
        let resolved = self.clone().resolved(model);
        (self.mode == TrainMode::Lora).then(|| LoraConfig {
            rank: resolved.lora.rank,
            alpha: resolved.lora.alpha,
            target_modules: resolved.lora.target_modules.unwrap_or_default(),
            modules_to_save: resolved.modules_to_save,
        })
    }

    /// Checks the settings for a model and windows of `context` tokens, as far as they do not depend on the RoPE or the data.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) for the first one without a meaning, [`Error::Offload`](crate::Error::Offload).
    pub fn validate(&self, model: &ModelConfig, context: usize) -> Result<()> {
        let trainer = self.trainer().validate();
        trainer.map_err(|error| error.within("train"))?;
        if self.mode == TrainMode::Lora && !is_positive(self.lora.alpha) {
            return Err(Error::setting(
                "train.lora.alpha",
                &self.lora.alpha,
                POSITIVE,
            ));
        }
        if self.offload && !self.recompute {
            return Err(Error::Offload);
        }
        self.data.validate()?;
        if let Some(long) = self.long {
            long.validate(context)?;
        }
        let ranges = self.skipped.check_ranges();
        ranges.map_err(|error| error.within("train.skipped"))?;
        if let Some(skipped) = self.skips()
            && !skipped.targets.is_empty()
        {
            let skipped = skipped.validate(context);
            skipped.map_err(|error| error.within("train.skipped"))?;
        }
        let distill = self.distill.clone().resolved(model.n_layers);
        distill.validate(model.n_layers, self.skips().is_some())
    }

    /// The part that concerns the [`Trainer`](crate::Trainer).
    pub fn trainer(&self) -> TrainerConfig {
        TrainerConfig {
            schedule: Schedule {
                learning_rate: self.learning_rate.unwrap_or(self.mode.learning_rate()),
                warmup_steps: self.warmup_steps,
                total_steps: self.steps,
                decay: self.decay,
            },
            optimizer: self.optimizer,
            trained: match self.mode {
                TrainMode::Full => Trained::All,
                TrainMode::Lora => Trained::Adapters,
            },
            recompute: match (self.recompute, self.offload) {
                (true, false) => Recompute::Layers,
                (true, true) => Recompute::Offloaded,
                (false, _) => Recompute::Nothing,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_in_kebab_case_and_have_defaults() {
        let given = json!({
            "learning-rate": 0.5,
            "mode": "lora",
            "precision": "bf16",
            "lora": { "target-modules": ["q_proj"] },
            "data": { "short": 0.25 },
        });
        let config: TrainConfig = serde_json::from_value(given).unwrap();
        let expected = TrainConfig {
            learning_rate: Some(0.5),
            mode: TrainMode::Lora,
            precision: WeightPrecision::Bf16,
            lora: LoraSettings {
                target_modules: Some(vec!["q_proj".to_owned()]),
                ..LoraSettings::default()
            },
            data: TrainDataConfig {
                short: 0.25,
                ..TrainDataConfig::default()
            },
            ..TrainConfig::default()
        };
        assert_eq!(config, expected);
        assert_eq!(config.trainer().trained, Trained::Adapters);
        let unknown = serde_json::from_value::<TrainConfig>(json!({ "step": 3 }));
        assert!(unknown.unwrap_err().to_string().contains("unknown field"));
    }

    #[test]
    fn rate_and_targets_depend_on_mode_and_family() {
        let model = |family: &str| {
            let json = json!({ "model_type": family });
            ModelConfig::from_json(&json, Path::new("config.json")).unwrap()
        };
        let given = |json: serde_json::Value| serde_json::from_value::<TrainConfig>(json).unwrap();
        let rate = |config: &TrainConfig| config.trainer().schedule.learning_rate;
        let (full, lora) = (given(json!({})), given(json!({ "mode": "lora" })));
        assert_eq!((rate(&full), rate(&lora)), (2e-5, 2e-4));
        assert_eq!(full.adapters(&model("llama")), None);
        let targets = |family| lora.adapters(&model(family)).unwrap().target_modules;
        assert_eq!(targets("phi3"), ["qkv_proj", "o_proj"]);
        for family in ["llama", "mistral", "qwen2"] {
            assert_eq!(targets(family), ["q_proj", "k_proj", "v_proj", "o_proj"]);
        }
        let own = given(json!({
            "mode": "lora", "precision": "bf16", "learning-rate": 1e-3, "lora": { "target-modules": ["down_proj"] },
            "modules-to-save": ["norm"],
        }));
        let adapters = own.adapters(&model("phi3")).unwrap();
        assert_eq!(rate(&own).to_string(), "0.001");
        assert_eq!(adapters.target_modules, ["down_proj"]);
        assert_eq!(adapters.modules_to_save, ["norm"]);
        assert_eq!(
            own.clone().resolved(&model("phi3")),
            own,
            "nothing is replaced"
        );
    }
}
