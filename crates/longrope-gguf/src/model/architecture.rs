//! Which of llama.cpp's architectures computes what a model computes.

use longrope_rope::{
    Activation, HeadNorm, Layout, MlpKind, NormKind, NormOrder, NormSpan, Pairs, Residual, Rotation,
};

use super::shape::ModelShape;
use crate::error::{Error, Result};

/// Every how many layers llama.cpp's SmolLM3 has one that does not rotate.
const NO_ROPE_STEP: usize = 4;

/// An architecture of llama.cpp.
///
/// The first three read rescale factors. A model that is not named after one of them can still be written as one if it
/// computes the same: Qwen2, for example, is a LLaMA with three more biases.
///
/// # Reference
/// `src/models/*.cpp` of llama.cpp: which tensors are loaded, and what `get_rope_factors` is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Architecture {
    /// LLaMA, with biases anywhere.
    Llama,
    /// LLaMA with constant factors on embeddings, scores, residuals and logits.
    Granite,
    /// Fused projections; part of a head may be left unrotated.
    Phi3,
    /// LLaMA with three biases, rotated in halves. Only read: what it computes is written as LLaMA, which takes factors.
    Qwen2,
    /// Normalized heads.
    Qwen3,
    /// Outputs are normalized instead of inputs.
    Olmo2,
    /// Every fourth layer does not rotate.
    SmolLm3,
}

impl Architecture {
    /// All architectures.
    pub const ALL: &[Self] = &[
        Self::Llama,
        Self::Granite,
        Self::Phi3,
        Self::Qwen2,
        Self::Qwen3,
        Self::Olmo2,
        Self::SmolLm3,
    ];

    /// The value of `general.architecture`, with which the keys of a model begin.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Granite => "granite",
            Self::Phi3 => "phi3",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Olmo2 => "olmo2",
            Self::SmolLm3 => "smollm3",
        }
    }

    /// The architecture with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.name() == name)
    }

    /// Whether llama.cpp reads rescale factors for it.
    pub fn takes_factors(self) -> bool {
        matches!(self, Self::Llama | Self::Granite | Self::Phi3)
    }

    /// Whether llama.cpp rotates neighbouring dimensions, `2i` and `2i + 1`, so that rows of queries and keys of most models
    /// must change places.
    pub fn rotates_neighbours(self) -> bool {
        matches!(self, Self::Llama | Self::Granite | Self::SmolLm3)
    }

    /// The architecture that computes exactly what a model computes, apart from sliding windows.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is none, with the first part that llama.cpp lacks.
    pub fn of(shape: &ModelShape) -> Result<Self> {
        let unsupported = |reason: String| Error::Unsupported {
            family: shape.family.model_type().to_owned(),
            reason,
        };
        if let Some(part) = common_obstacle(shape.layout) {
            return Err(unsupported(format!(
                "writing {part} is not supported, in any of llama.cpp's architectures"
            )));
        }
        let candidates = Self::ALL.iter().copied();
        let mut obstacles = Vec::new();
        for candidate in candidates {
            match candidate.obstacle(shape) {
                None => return Ok(candidate),
                Some(part) => obstacles.push(format!("`{}` has no {part}", candidate.name())),
            }
        }
        Err(unsupported(format!(
            "none of llama.cpp's architectures computes it: {}",
            obstacles.join(", ")
        )))
    }

    /// The first part of a model that this architecture lacks.
    fn obstacle(self, shape: &ModelShape) -> Option<&'static str> {
        self.missing_projection(shape)
            .or_else(|| self.missing_normalization(shape.layout))
            .or_else(|| self.missing_rotation(shape.layout))
    }

    /// A part of the projections that it lacks: their factors, sizes and biases.
    fn missing_projection(self, shape: &ModelShape) -> Option<&'static str> {
        let layout = shape.layout;
        let names = &layout.names;
        let multipliers = &layout.multipliers;
        let is_scaled = [
            multipliers.embedding,
            multipliers.residual,
            multipliers.logits,
        ]
        .iter()
        .any(|factor| !is_same(*factor, 1.0))
            || !is_same(layout.attention.scale, 1.0 / (shape.head_dim as f64).sqrt());
        let is_fused = names.query_key_value.is_some() || names.gate_up.is_some();
        let fills_stream = shape.n_heads * shape.head_dim == shape.hidden_size;
        let biases = layout.biases;
        let has_biases = biases.query_key_value || biases.output || biases.mlp;
        first(&[
            (self != Self::Granite && is_scaled, "constant factors"),
            (self != Self::Phi3 && is_fused, "fused projections"),
            (
                self == Self::Phi3 && !is_fused,
                "separate projections of queries, keys and values",
            ),
            (
                self != Self::Phi3 && shape.rotary_dim != shape.head_dim,
                "heads that are rotated in part",
            ),
            (
                matches!(self, Self::Phi3 | Self::Olmo2) && !fills_stream,
                "heads that are together wider or narrower than the residual stream",
            ),
            (
                !matches!(
                    self,
                    Self::Llama | Self::Granite | Self::Qwen2 | Self::SmolLm3
                ) && has_biases,
                "biases",
            ),
        ])
    }

    /// A normalization that it lacks.
    fn missing_normalization(self, layout: &Layout) -> Option<&'static str> {
        let names = &layout.names;
        let is_input_normed = names.before_attention.is_some() && names.before_mlp.is_some();
        let is_output_normed = names.after_attention.is_some() || names.after_mlp.is_some();
        first(&[
            (
                self != Self::Olmo2 && (!is_input_normed || is_output_normed),
                "normalizations of outputs",
            ),
            (
                self == Self::Olmo2 && !(is_output_normed && names.before_attention.is_none()),
                "normalizations of inputs",
            ),
            (
                self == Self::Olmo2 && names.before_mlp.is_some(),
                "normalizations of inputs",
            ),
            (
                layout.attention.head_norm != self.head_norm(),
                if layout.attention.head_norm.is_none() {
                    "plain queries and keys"
                } else {
                    "such a normalization of queries and keys"
                },
            ),
        ])
    }

    /// A way to rotate that it lacks.
    fn missing_rotation(self, layout: &Layout) -> Option<&'static str> {
        let rests = layout.rotations.contains(&Rotation::None);
        first(&[
            (self != Self::SmolLm3 && rests, "layers that do not rotate"),
            (
                self == Self::SmolLm3 && !rests_every_fourth(&layout.rotations),
                "such a pattern of layers that do not rotate",
            ),
            (
                !self.rotates_neighbours() && layout.attention.pairs == Pairs::Interleaved,
                "rotation of neighbouring dimensions",
            ),
        ])
    }

    /// The normalization of queries and keys that it has.
    fn head_norm(self) -> Option<HeadNorm> {
        let span = match self {
            Self::Qwen3 => NormSpan::Head,
            Self::Olmo2 => NormSpan::AllHeads,
            Self::Llama | Self::Granite | Self::Phi3 | Self::Qwen2 | Self::SmolLm3 => return None,
        };
        Some(HeadNorm {
            kind: NormKind::Rms,
            span,
            order: NormOrder::BeforeRotation,
        })
    }
}

/// A part that none of the architectures has.
fn common_obstacle(layout: &Layout) -> Option<&'static str> {
    let attention = &layout.attention;
    first(&[
        (layout.experts.is_some(), "experts"),
        (layout.norm != NormKind::Rms, "its normalization"),
        (
            layout.residual != Residual::Sequential,
            "attention and MLP in parallel",
        ),
        (layout.mlp.kind != MlpKind::Gated, "an MLP without a gate"),
        (layout.mlp.activation != Activation::Silu, "its activation"),
        (
            attention.softcap.is_some() || layout.logit_softcap.is_some(),
            "soft caps",
        ),
        (attention.sinks, "sinks"),
        (
            attention.query_growth.is_some(),
            "queries that grow with their position",
        ),
        (layout.biases.head, "a bias of the head"),
        (
            layout.rotations.contains(&Rotation::Local),
            "a RoPE of its own for layers with a sliding window",
        ),
    ])
}

/// The first part that is there.
fn first(parts: &[(bool, &'static str)]) -> Option<&'static str> {
    let found = parts.iter().find(|(is_there, _)| *is_there);
    found.map(|(_, part)| *part)
}

fn rests_every_fourth(rotations: &[Rotation]) -> bool {
    let expected = |layer: usize| {
        if (layer + 1).is_multiple_of(NO_ROPE_STEP) {
            Rotation::None
        } else {
            Rotation::Main
        }
    };
    let mut layers = rotations.iter().enumerate();
    layers.all(|(layer, rotation)| *rotation == expected(layer))
}

/// Whether two factors are the same in f32, as a file holds them.
fn is_same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs()
}

#[cfg(test)]
#[path = "architecture_tests.rs"]
mod tests;
