//! Which weights are trained, and in which type.

use burn::tensor::DType;
use serde::{Deserialize, Serialize};

/// Which weights are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TrainMode {
    /// All weights.
    Full,
    /// Low-rank adapters.
    Lora,
}

impl TrainMode {
    /// The default peak learning rate: that of LongRoPE2 (arXiv 2502.20082) for all weights, and ten times as much for
    /// adapters, which start at zero.
    pub fn learning_rate(self) -> f64 {
        match self {
            Self::Full => 2e-5,
            Self::Lora => 2e-4,
        }
    }
}

/// Type of the weights while training.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WeightPrecision {
    /// [`Bf16`](Self::Bf16) on GPUs that have it, else [`F32`](Self::F32). Where the devices are not known, it counts as `f32`.
    #[default]
    Auto,
    /// `f32`.
    F32,
    /// `bf16`, with `f32` copies in the optimizer.
    Bf16,
}

impl WeightPrecision {
    /// The name of the type, as in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// The type to load the weights as; see [`Decoder::load_as`](longrope_model::Decoder::load_as).
    pub fn dtype(self) -> DType {
        match self {
            Self::Auto | Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }
}

/// Settings of the adapters, with the names and meanings of PEFT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct LoraSettings {
    /// Rank.
    pub rank: usize,
    /// Strength times rank.
    pub alpha: f64,
    /// Linear maps that get an adapter; by default all of attention, see
    /// [`attention_maps`](longrope_model::attention_maps).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_modules: Option<Vec<String>>,
}

impl Default for LoraSettings {
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 16.0,
            target_modules: None,
        }
    }
}
