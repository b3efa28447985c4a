//! Building the modules of a decoder from named tensors.

use burn::module::Param;
use burn::tensor::Tensor;
use longrope_rope::{ExpertKind, Experts, MlpKind, NormKind};

use crate::config::ModelConfig;
use crate::config::module_names::{EMBEDDING_WEIGHT, HEAD, layer_module};
use crate::config::tensors::{MapShape, NormShape, SINKS};
use crate::modules::attention::{HeadNorms, Qkv, SelfAttention, Sinks, SplitQkv};
use crate::modules::block::DecoderLayer;
use crate::modules::experts::shapes::{expert_name, stacked_bias};
use crate::modules::experts::{ExpertList, Mixture, Shared, Stacked, StackedExpert};
use crate::modules::feed_forward::FeedForward;
use crate::modules::linear::Linear;
use crate::modules::mlp::{GateUp, Mlp, SplitGateUp};
use crate::modules::norm::Norm;
use crate::modules::weights::{Embedding, Model, Weights};

/// Where a builder gets its tensors: a checkpoint, or random numbers.
pub(crate) trait TensorSource {
    /// Why a tensor cannot be had.
    type Error;

    /// The tensor with this name, on the device and in the type of the decoder.
    fn tensor<const D: usize>(&mut self, name: &str) -> Result<Tensor<D>, Self::Error>;

    /// Like [`Self::tensor`], in the type of matrices, which may be narrower.
    fn matrix<const D: usize>(&mut self, name: &str) -> Result<Tensor<D>, Self::Error> {
        self.tensor(name)
    }
}

/// Builds modules whose parts and sizes follow a [`ModelConfig`].
pub(crate) struct Builder<'a, S> {
    pub(crate) config: &'a ModelConfig,
    pub(crate) source: S,
}

impl<S: TensorSource> Builder<'_, S> {
    /// All weights, given the layers, which are empty for streamed models.
    pub(crate) fn weights(&mut self, layers: Vec<DecoderLayer>) -> Result<Weights, S::Error> {
        let config = self.config;
        let last = config.stream_norm(config.layout.names.norm);
        Ok(Weights {
            model: Model {
                embed_tokens: Embedding {
                    weight: self.matrix(EMBEDDING_WEIGHT)?,
                    scale: config.layout.multipliers.embedding,
                },
                layers,
                norm: self.norm(format!("model.{}", last.name), &last)?,
                logit_scale: config.layout.multipliers.logits,
            },
            lm_head: if config.tied_embeddings {
                None
            } else {
                Some(self.linear(HEAD.to_owned(), config.layout.biases.head)?)
            },
            tied_bias: self.bias(HEAD, config.tied_embeddings && config.layout.biases.head)?,
            logit_softcap: config.layout.logit_softcap,
        })
    }

    /// One layer.
    pub(crate) fn layer(&mut self, layer_idx: usize) -> Result<DecoderLayer, S::Error> {
        let config = self.config;
        let mut norms = config.stream_norms().into_iter().map(|norm| {
            norm.map(|norm| self.norm(layer_module(layer_idx, norm.name), &norm))
                .transpose()
        });
        let mut next = || norms.next().unwrap_or(Ok(None));
        let [before_attention, after_attention, before_mlp, after_mlp] =
            [next()?, next()?, next()?, next()?];
        drop(norms);
        Ok(DecoderLayer {
            self_attn: self.attention(layer_idx)?,
            mlp: self.feed_forward(layer_idx)?,
            before_attention,
            after_attention,
            before_mlp,
            after_mlp,
            residual: config.layout.residual,
            residual_scale: config.layout.multipliers.residual,
            window: config.windows[layer_idx],
        })
    }

    fn attention(&mut self, layer_idx: usize) -> Result<SelfAttention, S::Error> {
        let config = self.config;
        let mut maps = self.maps(layer_idx, &config.attention_maps())?;
        // The last map is that of the output.
        let o_proj = maps.pop();
        let qkv = match <[Linear; 3]>::try_from(maps) {
            Ok([q_proj, k_proj, v_proj]) => Qkv::Split(SplitQkv {
                q_proj,
                k_proj,
                v_proj,
            }),
            Err(mut maps) => Qkv::Fused(maps.remove(0)),
        };
        let head_norms = match config.head_norms() {
            Some([query, key]) => Some(HeadNorms {
                query: self.norm(layer_module(layer_idx, query.name), &query)?,
                key: self.norm(layer_module(layer_idx, key.name), &key)?,
            }),
            None => None,
        };
        let sinks = if config.layout.attention.sinks {
            let name = layer_module(layer_idx, SINKS);
            Some(Sinks {
                weight: self.parameter(&name)?,
                name,
            })
        } else {
            None
        };
        Ok(SelfAttention {
            qkv,
            o_proj: o_proj.expect("the attention has an output"),
            head_norms,
            sinks,
            head_dim: config.head_dim,
            layout: config.layout.attention,
            rotation: config.layout.rotations[layer_idx],
            has_window: config.windows[layer_idx].is_some(),
        })
    }

    fn feed_forward(&mut self, layer_idx: usize) -> Result<FeedForward, S::Error> {
        let config = self.config;
        if let Some(experts) = config.layout.experts_of(layer_idx) {
            return Ok(FeedForward::Sparse(self.mixture(layer_idx, experts)?));
        }
        let maps = self.maps(layer_idx, &config.mlp_maps())?;
        let mlp = self.mlp(maps, config.layout.mlp.kind);
        Ok(FeedForward::Dense(mlp))
    }

    fn mixture(&mut self, layer_idx: usize, experts: &Experts) -> Result<Mixture, S::Error> {
        let config = self.config;
        let router = config.router_map(experts);
        let list = match experts.kind {
            ExpertKind::Separate {
                list,
                gate,
                up,
                down,
            } => {
                let shapes = config.gated_maps([gate, up, down], experts.inner);
                let mut read = |expert| {
                    let parent = expert_name(list, expert);
                    let name = |map: &MapShape| format!("{parent}.{}", map.name);
                    let maps = shapes
                        .iter()
                        .map(|map| self.linear(layer_module(layer_idx, &name(map)), map.bias));
                    let maps = maps.collect::<Result<Vec<_>, _>>()?;
                    Ok(self.mlp(maps, MlpKind::Gated))
                };
                let experts = (0..experts.n_experts).map(&mut read);
                ExpertList::Separate(experts.collect::<Result<_, _>>()?)
            }
            ExpertKind::Stacked {
                gate_up,
                down,
                alpha,
                limit,
            } => {
                let [gate_up, down] = [gate_up, down].map(|name| layer_module(layer_idx, name));
                ExpertList::Stacked(Stacked {
                    experts: self.stacked(&gate_up, &down)?,
                    alpha,
                    limit,
                    gate_up,
                    down,
                })
            }
        };
        let shared = match &experts.shared {
            Some(shared) => {
                let (maps, weight) = config.shared_maps(shared);
                let maps = self.maps(layer_idx, &maps)?;
                Some(Shared {
                    mlp: self.mlp(maps, MlpKind::Gated),
                    weight: self.linear(layer_module(layer_idx, weight.name), weight.bias)?,
                })
            }
            None => None,
        };
        Ok(Mixture {
            router: self.linear(layer_module(layer_idx, router.name), router.bias)?,
            experts: list,
            shared,
            per_token: experts.per_token,
            routing: experts.routing,
        })
    }

    /// Splits stacked matrices and biases into those of each expert.
    fn stacked(&mut self, gate_up: &str, down: &str) -> Result<Vec<StackedExpert>, S::Error> {
        let gate_ups = unstacked(self.source.tensor::<3>(gate_up)?);
        let gate_up_biases = rows(self.source.tensor(&stacked_bias(gate_up))?);
        let downs = unstacked(self.source.tensor::<3>(down)?);
        let down_biases = rows(self.source.tensor(&stacked_bias(down))?);
        let experts = gate_ups.zip(gate_up_biases).zip(downs.zip(down_biases));
        let expert = |((gate_up, gate_up_bias), (down, down_bias))| StackedExpert {
            gate_up: Param::from_tensor(gate_up),
            gate_up_bias: Param::from_tensor(gate_up_bias),
            down: Param::from_tensor(down),
            down_bias: Param::from_tensor(down_bias),
        };
        Ok(experts.map(expert).collect())
    }

    /// An MLP of the linear maps to gate and up, or of one for both, or to up only; the last map is that of the output.
    fn mlp(&self, mut maps: Vec<Linear>, kind: MlpKind) -> Mlp {
        let down_proj = maps.pop();
        let is_gated = kind == MlpKind::Gated;
        let gate_up = match <[Linear; 2]>::try_from(maps) {
            Ok([gate_proj, up_proj]) => GateUp::Split(SplitGateUp { gate_proj, up_proj }),
            Err(mut maps) if is_gated => GateUp::Fused(maps.remove(0)),
            Err(mut maps) => GateUp::Up(maps.remove(0)),
        };
        Mlp {
            gate_up,
            down_proj: down_proj.expect("the MLP has an output"),
            activation: self.config.layout.mlp.activation,
        }
    }

    fn maps(&mut self, layer_idx: usize, shapes: &[MapShape]) -> Result<Vec<Linear>, S::Error> {
        let maps = shapes.iter();
        maps.map(|map| self.linear(layer_module(layer_idx, map.name), map.bias))
            .collect()
    }

    fn linear(&mut self, name: String, bias: bool) -> Result<Linear, S::Error> {
        Ok(Linear {
            weight: self.matrix(&format!("{name}.weight"))?,
            bias: self.bias(&name, bias)?,
            adapter: None,
            name,
        })
    }

    fn norm(&mut self, name: String, shape: &NormShape) -> Result<Norm, S::Error> {
        Ok(Norm {
            weight: self.parameter(&format!("{name}.weight"))?,
            bias: self.bias(&name, shape.kind == NormKind::Layer { bias: true })?,
            epsilon: self.config.norm_eps,
            kind: shape.kind,
            name,
        })
    }

    fn bias(&mut self, name: &str, exists: bool) -> Result<Option<Param<Tensor<1>>>, S::Error> {
        exists
            .then(|| self.parameter(&format!("{name}.bias")))
            .transpose()
    }

    fn matrix(&mut self, name: &str) -> Result<Param<Tensor<2>>, S::Error> {
        Ok(Param::from_tensor(self.source.matrix(name)?))
    }

    fn parameter<const D: usize>(&mut self, name: &str) -> Result<Param<Tensor<D>>, S::Error> {
        Ok(Param::from_tensor(self.source.tensor(name)?))
    }
}

/// The matrices of a stack, `[n, rows, columns]`.
fn unstacked(stack: Tensor<3>) -> impl Iterator<Item = Tensor<2>> {
    let [n, rows, columns] = stack.dims();
    (0..n).map(move |index| stack.clone().narrow(0, index, 1).reshape([rows, columns]))
}

/// The rows of a matrix.
fn rows(matrix: Tensor<2>) -> impl Iterator<Item = Tensor<1>> {
    let [n, columns] = matrix.dims();
    (0..n).map(move |index| matrix.clone().narrow(0, index, 1).reshape([columns]))
}
