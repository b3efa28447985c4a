//! Access to the parameters of a decoder by name, for optimizers and files.

use burn::tensor::{DType, Device, Gradients as Tape, Tensor};

use crate::attention::{HeadNorms, Qkv, SelfAttention};
use crate::block::DecoderLayer;
use crate::decoder::Decoder;
use crate::experts::shapes::stacked_bias;
use crate::experts::{ExpertList, Mixture, Stacked};
use crate::feed_forward::FeedForward;
use crate::linear::Linear;
use crate::mlp::{GateUp, Mlp};
use crate::module_names::{EMBEDDING_WEIGHT, HEAD};
use crate::modules::Weights;
use crate::norm::Norm;
use crate::slot::Slot;

/// The kind of a parameter; optimizers may treat kinds differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParameterKind {
    /// The embedding matrix, tied to the head or not.
    Embedding,
    /// The weight of a linear map, including the head.
    Matrix,
    /// The bias of a linear map.
    Bias,
    /// The weight or the bias of a normalization.
    Norm,
    /// The sinks of an attention.
    Sinks,
    /// One of the two factors of a low-rank adapter.
    Adapter,
}

/// Which parameters are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trained {
    /// All parameters.
    All,
    /// Low-rank adapters, and the modules that are trained beside them; see
    /// [`LoraConfig::modules_to_save`](crate::LoraConfig::modules_to_save). All other parameters are frozen.
    Adapters,
}

impl Trained {
    /// Whether all parameters of this kind are trained; see [`Selection`](crate::Selection) for single ones.
    pub fn includes(self, kind: ParameterKind) -> bool {
        match self {
            Self::All => true,
            Self::Adapters => kind == ParameterKind::Adapter,
        }
    }
}

/// One parameter, borrowed from its decoder.
///
/// Values are read and written as flat vectors, since optimizers work element by element.
#[derive(Debug)]
pub struct Parameter<'a> {
    /// Its name in a checkpoint, such as `model.layers.0.mlp.up_proj.weight`.
    pub name: String,
    /// Its kind.
    pub kind: ParameterKind,
    slot: Slot<'a>,
}

impl Parameter<'_> {
    /// Its shape.
    pub fn shape(&self) -> Vec<usize> {
        self.slot.shape()
    }

    /// The device that holds it.
    pub fn device(&self) -> Device {
        self.slot.device()
    }

    /// Its values in row-major order, `[elements]`.
    pub fn flat(&self) -> Tensor<1> {
        self.slot.flat()
    }

    /// Replaces its values; `values` is in row-major order, `[elements]`.
    ///
    /// # Panics
    /// If the number of values differs.
    pub fn set_flat(&mut self, values: Tensor<1>) {
        let n_values: usize = self.shape().iter().product();
        assert_eq!(values.dims(), [n_values], "elements of `{}`", self.name);
        self.slot.set_flat(values);
    }

    /// Tracks the parameter with autodiff.
    pub(crate) fn track(&mut self) {
        self.slot.track();
    }

    /// Takes its gradient from a tape, as a flat vector.
    pub(crate) fn take_gradient(&self, tape: &mut Tape) -> Option<Tensor<1>> {
        self.slot.take_gradient(tape)
    }
}

impl Decoder {
    /// Calls `f` with every parameter, in the order of computation.
    pub fn for_each_parameter(&mut self, mut f: impl FnMut(Parameter<'_>)) {
        visit_weights(&mut self.weights, &mut f);
    }

    /// Converts all parameters to `dtype`.
    #[must_use]
    pub fn cast(mut self, dtype: DType) -> Self {
        self.for_each_parameter(|mut parameter| {
            let values = parameter.flat().cast(dtype);
            parameter.set_flat(values);
        });
        self
    }
}

type Visit<'v> = &'v mut dyn FnMut(Parameter<'_>);

fn visit_weights(weights: &mut Weights, f: Visit<'_>) {
    visit_embedding(weights, f);
    for layer in &mut weights.model.layers {
        visit_layer(layer, f);
    }
    visit_head(weights, f);
}

/// Visits the embedding matrix.
pub(crate) fn visit_embedding(weights: &mut Weights, f: Visit<'_>) {
    f(Parameter {
        name: EMBEDDING_WEIGHT.to_owned(),
        kind: ParameterKind::Embedding,
        slot: Slot::Matrix(&mut weights.model.embed_tokens.weight),
    });
}

/// Visits the last normalization, and of the head what is not tied to the embeddings.
pub(crate) fn visit_head(weights: &mut Weights, f: Visit<'_>) {
    visit_norm(&mut weights.model.norm, f);
    if let Some(head) = &mut weights.lm_head {
        visit_linear(head, f);
    }
    if let Some(bias) = &mut weights.tied_bias {
        f(Parameter {
            name: format!("{HEAD}.bias"),
            kind: ParameterKind::Bias,
            slot: Slot::Vector(bias),
        });
    }
}

/// Visits the parameters of one layer.
pub(crate) fn visit_layer(layer: &mut DecoderLayer, f: Visit<'_>) {
    visit_norms(&mut layer.before_attention, f);
    for linear in attention_maps_mut(&mut layer.self_attn) {
        visit_linear(linear, f);
    }
    if let Some(HeadNorms { query, key }) = &mut layer.self_attn.head_norms {
        visit_norm(query, f);
        visit_norm(key, f);
    }
    if let Some(sinks) = &mut layer.self_attn.sinks {
        f(Parameter {
            name: sinks.name.clone(),
            kind: ParameterKind::Sinks,
            slot: Slot::Vector(&mut sinks.weight),
        });
    }
    visit_norms(&mut layer.after_attention, f);
    visit_norms(&mut layer.before_mlp, f);
    for linear in feed_forward_maps_mut(&mut layer.mlp) {
        visit_linear(linear, f);
    }
    if let FeedForward::Sparse(mixture) = &mut layer.mlp
        && let ExpertList::Stacked(stacked) = &mut mixture.experts
    {
        visit_stacked(stacked, f);
    }
    visit_norms(&mut layer.after_mlp, f);
}

/// The linear maps of a layer.
pub(crate) fn linears_mut(layer: &mut DecoderLayer) -> Vec<&mut Linear> {
    let DecoderLayer { self_attn, mlp, .. } = layer;
    let mut maps = attention_maps_mut(self_attn);
    maps.extend(feed_forward_maps_mut(mlp));
    maps
}

fn attention_maps_mut(attention: &mut SelfAttention) -> Vec<&mut Linear> {
    let mut maps = match &mut attention.qkv {
        Qkv::Split(maps) => vec![&mut maps.q_proj, &mut maps.k_proj, &mut maps.v_proj],
        Qkv::Fused(map) => vec![map],
    };
    maps.push(&mut attention.o_proj);
    maps
}

fn feed_forward_maps_mut(part: &mut FeedForward) -> Vec<&mut Linear> {
    let Mixture {
        router,
        experts,
        shared,
        ..
    } = match part {
        FeedForward::Dense(mlp) => return mlp_maps_mut(mlp),
        FeedForward::Sparse(mixture) => mixture,
    };
    let mut maps = vec![router];
    if let ExpertList::Separate(experts) = experts {
        maps.extend(experts.iter_mut().flat_map(mlp_maps_mut));
    }
    if let Some(shared) = shared {
        maps.extend(mlp_maps_mut(&mut shared.mlp));
        maps.push(&mut shared.weight);
    }
    maps
}

fn visit_stacked(stacked: &mut Stacked, f: Visit<'_>) {
    let Stacked {
        experts,
        gate_up,
        down,
        ..
    } = stacked;
    let (mut gate_ups, mut gate_up_biases) = (Vec::new(), Vec::new());
    let (mut downs, mut down_biases) = (Vec::new(), Vec::new());
    for expert in experts {
        gate_ups.push(&mut expert.gate_up);
        gate_up_biases.push(&mut expert.gate_up_bias);
        downs.push(&mut expert.down);
        down_biases.push(&mut expert.down_bias);
    }
    for (name, matrices, biases) in [
        (gate_up, gate_ups, gate_up_biases),
        (down, downs, down_biases),
    ] {
        f(Parameter {
            name: name.clone(),
            kind: ParameterKind::Matrix,
            slot: Slot::Matrices(matrices),
        });
        f(Parameter {
            name: stacked_bias(name),
            kind: ParameterKind::Bias,
            slot: Slot::Vectors(biases),
        });
    }
}

fn mlp_maps_mut(mlp: &mut Mlp) -> Vec<&mut Linear> {
    let mut maps = match &mut mlp.gate_up {
        GateUp::Split(split) => vec![&mut split.gate_proj, &mut split.up_proj],
        GateUp::Fused(map) | GateUp::Up(map) => vec![map],
    };
    maps.push(&mut mlp.down_proj);
    maps
}

fn visit_norms(norm: &mut Option<Norm>, f: Visit<'_>) {
    if let Some(norm) = norm {
        visit_norm(norm, f);
    }
}

fn visit_norm(norm: &mut Norm, f: Visit<'_>) {
    f(Parameter {
        name: format!("{}.weight", norm.name),
        kind: ParameterKind::Norm,
        slot: Slot::Vector(&mut norm.weight),
    });
    if let Some(bias) = &mut norm.bias {
        f(Parameter {
            name: format!("{}.bias", norm.name),
            kind: ParameterKind::Norm,
            slot: Slot::Vector(bias),
        });
    }
}

fn visit_linear(linear: &mut Linear, f: Visit<'_>) {
    let name = linear.name.clone();
    f(Parameter {
        name: format!("{name}.weight"),
        kind: ParameterKind::Matrix,
        slot: Slot::Matrix(&mut linear.weight),
    });
    if let Some(bias) = &mut linear.bias {
        f(Parameter {
            name: format!("{name}.bias"),
            kind: ParameterKind::Bias,
            slot: Slot::Vector(bias),
        });
    }
    if let Some(adapter) = &mut linear.adapter {
        for (part, factor) in [("lora_A", &mut adapter.a), ("lora_B", &mut adapter.b)] {
            f(Parameter {
                name: format!("{name}.{part}.weight"),
                kind: ParameterKind::Adapter,
                slot: Slot::Matrix(factor),
            });
        }
    }
}
