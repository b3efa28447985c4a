//! Visits the parameters of a decoder, in the order of computation.

use burn::tensor::DType;

use super::parameter::{Parameter, ParameterKind};
use super::slot::Slot;
use crate::config::module_names::{EMBEDDING_WEIGHT, HEAD};
use crate::decoder::Decoder;
use crate::modules::attention::{HeadNorms, Qkv, SelfAttention};
use crate::modules::block::DecoderLayer;
use crate::modules::experts::shapes::stacked_bias;
use crate::modules::experts::{ExpertList, Mixture, Stacked};
use crate::modules::feed_forward::FeedForward;
use crate::modules::linear::Linear;
use crate::modules::mlp::{GateUp, Mlp};
use crate::modules::norm::Norm;
use crate::modules::weights::Weights;

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
