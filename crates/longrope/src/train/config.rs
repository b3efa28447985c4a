//! `[train]`: how a model is trained.

use std::path::PathBuf;

use longrope_data::{LengthWeight, Overflow};
use longrope_model::{LoraConfig, Recompute, Trained};
use longrope_trainer::{Decay, OptimizerConfig, Schedule, TrainerConfig};
use serde::{Deserialize, Serialize};

/// The keys of `[train]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct TrainSection {
    /// Tokens of a window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) context: Option<usize>,
    /// Optimizer steps.
    pub(crate) steps: usize,
    /// Windows that go through the model at once.
    pub(crate) batch: usize,
    /// Batches of a step.
    pub(crate) accumulate: usize,
    /// Highest learning rate.
    pub(crate) learning_rate: f64,
    /// Steps that rise to it.
    pub(crate) warmup_steps: usize,
    /// What follows.
    pub(crate) decay: Decay,
    /// What changes.
    pub(crate) mode: TrainMode,
    /// Type of the weights.
    pub(crate) precision: WeightPrecision,
    /// Whether layers are computed again for their gradients.
    pub(crate) recompute: bool,
    /// Steps between measurements.
    pub(crate) eval_every: usize,
    /// Text to measure on; without any, nothing is measured.
    pub(crate) eval_text: Vec<PathBuf>,
    /// Windows of every measurement.
    pub(crate) eval_windows: usize,
    /// Steps between saved states.
    pub(crate) save_every: usize,
    /// Saved states that are kept.
    pub(crate) keep: usize,
    /// AdamW.
    pub(crate) optimizer: OptimizerConfig,
    /// Adapters.
    pub(crate) lora: LoraSection,
    /// What windows are made of.
    pub(crate) data: TrainDataSection,
}

impl Default for TrainSection {
    fn default() -> Self {
        Self {
            context: None,
            steps: 400,
            batch: 1,
            accumulate: 1,
            learning_rate: 2e-5,
            warmup_steps: 20,
            decay: Decay::Linear,
            mode: TrainMode::Full,
            precision: WeightPrecision::F32,
            recompute: true,
            eval_every: 100,
            eval_text: Vec::new(),
            eval_windows: 8,
            save_every: 100,
            keep: 2,
            optimizer: OptimizerConfig::default(),
            lora: LoraSection::default(),
            data: TrainDataSection::default(),
        }
    }
}

impl TrainSection {
    /// What the engine is told.
    pub(crate) fn trainer(&self) -> TrainerConfig {
        TrainerConfig {
            schedule: Schedule {
                learning_rate: self.learning_rate,
                warmup_steps: self.warmup_steps,
                total_steps: self.steps,
                decay: self.decay,
            },
            optimizer: self.optimizer,
            trained: match self.mode {
                TrainMode::Full => Trained::All,
                TrainMode::Lora => Trained::Adapters,
            },
            recompute: if self.recompute {
                Recompute::Layers
            } else {
                Recompute::Nothing
            },
        }
    }
}

/// What changes in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TrainMode {
    /// All weights.
    Full,
    /// Low-rank adapters.
    Lora,
}

/// Type of the weights while training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WeightPrecision {
    /// 32 bits.
    F32,
    /// 16 bits, with 32-bit copies in the optimizer.
    Bf16,
}

/// `[train.lora]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct LoraSection {
    /// Rank.
    pub(crate) rank: usize,
    /// Strength times rank.
    pub(crate) alpha: f64,
    /// Linear maps that get adapters.
    pub(crate) target_modules: Vec<String>,
}

impl Default for LoraSection {
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 16.0,
            target_modules: ["q_proj", "k_proj", "v_proj", "o_proj"]
                .map(str::to_owned)
                .to_vec(),
        }
    }
}

impl From<&LoraSection> for LoraConfig {
    fn from(section: &LoraSection) -> Self {
        Self {
            rank: section.rank,
            alpha: section.alpha,
            target_modules: section.target_modules.clone(),
        }
    }
}

/// `[train.data]`: shares are relative to each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct TrainDataSection {
    /// Share of text under the rescaled RoPE.
    pub(crate) text: f64,
    /// Share of text in pieces of the original context, blind to each other, under the original
    /// RoPE.
    pub(crate) short: f64,
    /// Share of generated passkey documents.
    pub(crate) passkey: f64,
    /// Share of generated documents of facts and questions.
    pub(crate) recall: f64,
    /// Share of generated repetitions.
    pub(crate) copying: f64,
    /// Tokens of the shortest generated documents; without it each fills a window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shortest_document: Option<usize>,
    /// What a token of a generated answer counts.
    pub(crate) answer_weight: f32,
    /// What happens to the rest of a document that a window cannot hold.
    pub(crate) overflow: Overflow,
    /// How often documents occur, by length.
    pub(crate) length_weights: Vec<LengthWeight>,
}

impl Default for TrainDataSection {
    fn default() -> Self {
        Self {
            text: 1.0,
            short: 0.0,
            passkey: 0.0,
            recall: 0.0,
            copying: 0.0,
            shortest_document: None,
            answer_weight: 8.0,
            overflow: Overflow::Continue,
            length_weights: Vec::new(),
        }
    }
}
