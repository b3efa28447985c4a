//! Access to the parameters of a decoder by name, for optimizers and files.

use burn::module::Param;
use burn::tensor::{DType, Gradients as Tape, Tensor};

use crate::attention::Qkv;
use crate::block::DecoderLayer;
use crate::decoder::Decoder;
use crate::linear::Linear;
use crate::mlp::GateUp;
use crate::modules::Weights;
use crate::norm::RmsNorm;

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
    /// The weight of a normalization.
    Norm,
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

#[derive(Debug)]
enum Slot<'a> {
    Vector(&'a mut Param<Tensor<1>>),
    Matrix(&'a mut Param<Tensor<2>>),
}

impl Parameter<'_> {
    /// Its shape.
    pub fn shape(&self) -> Vec<usize> {
        match &self.slot {
            Slot::Vector(param) => param.dims().to_vec(),
            Slot::Matrix(param) => param.dims().to_vec(),
        }
    }

    /// Its values in row-major order, `[elements]`.
    pub fn flat(&self) -> Tensor<1> {
        match &self.slot {
            Slot::Vector(param) => param.val(),
            Slot::Matrix(param) => {
                let [rows, columns] = param.dims();
                param.val().reshape([rows * columns])
            }
        }
    }

    /// Replaces its values; `values` is in row-major order, `[elements]`.
    ///
    /// # Panics
    /// If the number of values differs.
    pub fn set_flat(&mut self, values: Tensor<1>) {
        match &mut self.slot {
            Slot::Vector(param) => {
                assert_eq!(values.dims(), param.dims(), "elements of `{}`", self.name);
                **param = Param::from_tensor(values);
            }
            Slot::Matrix(param) => {
                let dims = param.dims();
                **param = Param::from_tensor(values.reshape(dims));
            }
        }
    }

    /// Tracks the parameter with autodiff.
    pub(crate) fn track(&mut self) {
        match &mut self.slot {
            Slot::Vector(param) => {
                **param = Param::from_tensor(param.val().autodiff().require_grad());
            }
            Slot::Matrix(param) => {
                **param = Param::from_tensor(param.val().autodiff().require_grad());
            }
        }
    }

    /// Takes its gradient from a tape, as a flat vector.
    pub(crate) fn take_gradient(&self, tape: &mut Tape) -> Option<Tensor<1>> {
        match &self.slot {
            Slot::Vector(param) => param.val().grad_remove(tape),
            Slot::Matrix(param) => {
                let [rows, columns] = param.dims();
                let gradient = param.val().grad_remove(tape)?;
                Some(gradient.reshape([rows * columns]))
            }
        }
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
    for (layer_idx, layer) in weights.model.layers.iter_mut().enumerate() {
        visit_layer(layer, layer_idx, f);
    }
    visit_head(weights, f);
}

/// Visits the embedding matrix.
pub(crate) fn visit_embedding(weights: &mut Weights, f: Visit<'_>) {
    f(Parameter {
        name: "model.embed_tokens.weight".to_owned(),
        kind: ParameterKind::Embedding,
        slot: Slot::Matrix(&mut weights.model.embed_tokens.weight),
    });
}

/// Visits the last normalization, and the head if it is not tied to the embeddings.
pub(crate) fn visit_head(weights: &mut Weights, f: Visit<'_>) {
    visit_norm(&mut weights.model.norm, "model.norm", f);
    if let Some(head) = &mut weights.lm_head {
        visit_linear(head, "lm_head", f);
    }
}

/// Visits the parameters of one layer.
pub(crate) fn visit_layer(layer: &mut DecoderLayer, layer_idx: usize, f: Visit<'_>) {
    let at = |name: &str| format!("model.layers.{layer_idx}.{name}");
    visit_norm(&mut layer.input_layernorm, &at("input_layernorm"), f);
    for (name, linear) in linears_mut(layer) {
        if name.starts_with("self_attn.") {
            visit_linear(linear, &at(name), f);
        }
    }
    visit_norm(
        &mut layer.post_attention_layernorm,
        &at("post_attention_layernorm"),
        f,
    );
    for (name, linear) in linears_mut(layer) {
        if name.starts_with("mlp.") {
            visit_linear(linear, &at(name), f);
        }
    }
}

/// The linear maps of a layer, with their names relative to the layer.
pub(crate) fn linears_mut(layer: &mut DecoderLayer) -> Vec<(&'static str, &mut Linear)> {
    let mut maps = match &mut layer.self_attn.qkv {
        Qkv::Split(maps) => vec![
            ("self_attn.q_proj", &mut maps.q_proj),
            ("self_attn.k_proj", &mut maps.k_proj),
            ("self_attn.v_proj", &mut maps.v_proj),
        ],
        Qkv::Fused(map) => vec![("self_attn.qkv_proj", map)],
    };
    maps.push(("self_attn.o_proj", &mut layer.self_attn.o_proj));
    match &mut layer.mlp.gate_up {
        GateUp::Split(split) => {
            maps.push(("mlp.gate_proj", &mut split.gate_proj));
            maps.push(("mlp.up_proj", &mut split.up_proj));
        }
        GateUp::Fused(map) => maps.push(("mlp.gate_up_proj", map)),
    }
    maps.push(("mlp.down_proj", &mut layer.mlp.down_proj));
    maps
}

fn visit_norm(norm: &mut RmsNorm, name: &str, f: Visit<'_>) {
    f(Parameter {
        name: format!("{name}.weight"),
        kind: ParameterKind::Norm,
        slot: Slot::Vector(&mut norm.weight),
    });
}

fn visit_linear(linear: &mut Linear, name: &str, f: Visit<'_>) {
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
