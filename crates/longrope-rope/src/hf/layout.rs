//! What a decoder computes besides its sizes, as data. The file of a family fills it in.

use super::activation::Activation;
use super::experts::Experts;

/// The parts of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Names of the modules.
    pub names: ModuleNames,
    /// Kind of all normalizations of the residual stream.
    pub norm: NormKind,
    /// How a layer adds to the residual stream.
    pub residual: Residual,
    /// The attention.
    pub attention: AttentionLayout,
    /// The feed-forward part.
    pub mlp: MlpLayout,
    /// The experts that replace the MLP in some layers, or in all.
    pub experts: Option<Experts>,
    /// Which linear maps have biases.
    pub biases: Biases,
    /// Constant factors.
    pub multipliers: Multipliers,
    /// Logits `l` become `c · tanh(l / c)`.
    pub logit_softcap: Option<f64>,
    /// How each layer rotates queries and keys.
    pub rotations: Vec<Rotation>,
}

/// Names of modules in a checkpoint: that of the last normalization below `model`, the others below a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleNames {
    /// The last normalization.
    pub norm: &'static str,
    /// Projection to queries.
    pub query: &'static str,
    /// Projection to keys.
    pub key: &'static str,
    /// Projection to values.
    pub value: &'static str,
    /// Projection to queries, keys and values in one matrix, if there is one.
    pub query_key_value: Option<&'static str>,
    /// Projection from the heads back to the residual stream.
    pub output: &'static str,
    /// Normalization of queries, if there is one.
    pub query_norm: &'static str,
    /// Normalization of keys, if there is one.
    pub key_norm: &'static str,
    /// Projection to the gate.
    pub gate: &'static str,
    /// Projection to the inner width.
    pub up: &'static str,
    /// Projection to gate and inner width in one matrix, if there is one.
    pub gate_up: Option<&'static str>,
    /// Projection from the inner width.
    pub down: &'static str,
    /// Normalization of the input of the attention, if there is one.
    pub before_attention: Option<&'static str>,
    /// Normalization of the output of the attention, if there is one.
    pub after_attention: Option<&'static str>,
    /// Normalization of the input of the MLP, if there is one.
    pub before_mlp: Option<&'static str>,
    /// Normalization of the output of the MLP, if there is one.
    pub after_mlp: Option<&'static str>,
}

/// The names of LLaMA.
pub(super) const LLAMA: ModuleNames = ModuleNames {
    norm: "norm",
    query: "self_attn.q_proj",
    key: "self_attn.k_proj",
    value: "self_attn.v_proj",
    query_key_value: None,
    output: "self_attn.o_proj",
    query_norm: "self_attn.q_norm",
    key_norm: "self_attn.k_norm",
    gate: "mlp.gate_proj",
    up: "mlp.up_proj",
    gate_up: None,
    down: "mlp.down_proj",
    before_attention: Some("input_layernorm"),
    after_attention: None,
    before_mlp: Some("post_attention_layernorm"),
    after_mlp: None,
};

/// The names of models that normalize outputs instead of inputs.
pub(super) const POST_NORM: ModuleNames = ModuleNames {
    before_attention: None,
    after_attention: Some("post_attention_layernorm"),
    before_mlp: None,
    after_mlp: Some("post_feedforward_layernorm"),
    ..LLAMA
};

/// A normalization over the width of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// `x / rms(x) · weight`.
    Rms,
    /// `x / rms(x) · (1 + weight)`.
    RmsPlusOne,
    /// `(x - mean(x)) / std(x) · weight`, plus a bias if `bias`.
    Layer {
        /// Whether there is a bias.
        bias: bool,
    },
}

/// How a layer adds to the residual stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residual {
    /// First the attention, then the MLP, which sees what the attention added.
    Sequential,
    /// Attention and MLP read the same normalized input.
    Parallel,
}

/// What the attention of all layers has in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionLayout {
    /// Multiplies the scores.
    pub scale: f64,
    /// Scores `s` become `c · tanh(s / c)`.
    pub softcap: Option<f64>,
    /// Whether each head has a learned logit that only enlarges the denominator of the softmax.
    pub sinks: bool,
    /// Which dimensions are rotated together.
    pub pairs: Pairs,
    /// Normalization of queries and keys.
    pub head_norm: Option<HeadNorm>,
    /// Growth of the queries with their position.
    pub query_growth: Option<QueryGrowth>,
}

/// Which dimensions of a head are rotated together; `n` dimensions are rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// `i` and `i + n/2`.
    Halves,
    /// `2i` and `2i + 1`.
    Interleaved,
}

/// A normalization of queries and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadNorm {
    /// Its kind.
    pub kind: NormKind,
    /// What is normalized at once.
    pub span: NormSpan,
    /// Whether it is applied before or after the rotation.
    pub order: NormOrder,
}

/// What a normalization of queries or keys covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormSpan {
    /// Each head, with the same weights for all heads.
    Head,
    /// All heads together.
    AllHeads,
}

/// When queries and keys are normalized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormOrder {
    /// Before they are rotated.
    BeforeRotation,
    /// After they are rotated.
    AfterRotation,
}

/// Queries at position `p` are multiplied by `1 + beta · ln(1 + floor(p / context))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueryGrowth {
    /// Strength.
    pub beta: f64,
    /// Context in tokens, up to which nothing changes.
    pub context: usize,
}

/// The feed-forward part of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MlpLayout {
    /// Its formula.
    pub kind: MlpKind,
    /// Its activation.
    pub activation: Activation,
}

/// The formula of an MLP with activation `f`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MlpKind {
    /// `down(f(gate(x)) · up(x))`.
    Gated,
    /// `down(f(up(x)))`.
    Plain,
}

/// Which linear maps have biases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent property of a checkpoint"
)]
pub struct Biases {
    /// Query, key and value projections.
    pub query_key_value: bool,
    /// Output projection of the attention.
    pub output: bool,
    /// Projections of the MLP.
    pub mlp: bool,
    /// Output head.
    pub head: bool,
}

impl Biases {
    /// Biases of all maps of the attention, or of none.
    pub(super) fn of_attention(has_biases: bool) -> Self {
        Self {
            query_key_value: has_biases,
            output: has_biases,
            ..Self::default()
        }
    }
}

/// Constant factors; 1 where a family has none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Multipliers {
    /// Of the embeddings.
    pub embedding: f64,
    /// Of what attention and MLP add to the residual stream.
    pub residual: f64,
    /// Of the logits, before their soft cap.
    pub logits: f64,
}

/// How a layer rotates queries and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// By the RoPE of the model, which an extension changes.
    Main,
    /// By the RoPE of the layers with a sliding window, which stays as it is.
    Local,
    /// Not at all.
    None,
}

impl Layout {
    /// The experts of a layer; `None` if it has an MLP.
    pub fn experts_of(&self, layer: usize) -> Option<&Experts> {
        let experts = self.experts.as_ref()?;
        let is_sparse = experts.layers.get(layer).copied().unwrap_or(false);
        is_sparse.then_some(experts)
    }

    /// The layout of LLaMA, for heads of this size.
    pub(super) fn llama(n_layers: usize, head_dim: usize, activation: Activation) -> Self {
        Self {
            names: LLAMA,
            norm: NormKind::Rms,
            residual: Residual::Sequential,
            attention: AttentionLayout {
                scale: 1.0 / (head_dim as f64).sqrt(),
                softcap: None,
                sinks: false,
                pairs: Pairs::Halves,
                head_norm: None,
                query_growth: None,
            },
            mlp: MlpLayout {
                kind: MlpKind::Gated,
                activation,
            },
            experts: None,
            biases: Biases::default(),
            multipliers: Multipliers {
                embedding: 1.0,
                residual: 1.0,
                logits: 1.0,
            },
            logit_softcap: None,
            rotations: vec![Rotation::Main; n_layers],
        }
    }
}
