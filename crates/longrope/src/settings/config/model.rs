//! How a model is loaded, and which of its layers a RoPE is for.

use serde::{Deserialize, Serialize};

/// Which layers a RoPE is for, in models where layers with a sliding window have a RoPE of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RopeLayers {
    /// Layers that see all tokens; the others keep theirs.
    #[default]
    Full,
    /// All layers.
    All,
}

/// How weights are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WeightSetting {
    /// All weights stay in memory.
    Resident,
    /// Layers are read from the files when they are needed, for models larger than memory.
    Streamed,
}

/// The type of weights in memory and, on GPUs, of computations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PrecisionSetting {
    /// `f32` on CPUs, and half precision on GPUs.
    Auto,
    /// `f32`.
    F32,
    /// `bf16`.
    Bf16,
    /// `f16`.
    F16,
}

impl PrecisionSetting {
    /// Its name in settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    /// Whether it asks for half precision on every device.
    pub(crate) fn is_half(self) -> bool {
        matches!(self, Self::Bf16 | Self::F16)
    }
}
