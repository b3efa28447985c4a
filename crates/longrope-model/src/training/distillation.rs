//! A training loss that keeps hidden states close to those of the original model.

use burn::tensor::{DType, Int, Tensor};
use longrope_kernels::Documents;

use crate::decoder::Decoder;
use crate::decoder::placement::PlacedRotary;
use crate::rotary::Rotary;

/// The original model, and how the hidden states of a training batch are compared with its own.
///
/// The loss of a token is `weight · Σ (1 - cos(s, t))`, summed over the chosen hidden states, where `s` is the hidden
/// state of the trained model and `t` that of the original model for the same token (`LongReD`, arXiv 2502.07365, §4.2).
#[derive(Clone, Debug)]
pub struct Teacher {
    /// The original model. A clone of the decoder before the training shares its weights until they change.
    pub decoder: Decoder,
    /// The angles under which it reads the batch.
    pub rotary: Rotary,
    /// The compared hidden states: `i` is the output of the first `i` layers, from 1 on. The number of layers stands for
    /// the output of the last normalization.
    pub layers: Vec<usize>,
    /// Weight of the loss of a token.
    pub weight: f64,
}

/// The hidden states of the original model for one batch.
pub(crate) struct Targets {
    /// Hidden state index and value, `[batch, seq, hidden]`.
    states: Vec<(usize, Tensor<3>)>,
    n_layers: usize,
    weight: f64,
}

impl Teacher {
    /// The chosen hidden states for `tokens: [batch, seq]`.
    pub(crate) fn targets(
        &self,
        tokens: &Tensor<2, Int>,
        documents: Option<&Documents>,
    ) -> Targets {
        let (model, placed) = (&self.decoder.weights.model, &self.decoder.placed);
        let rotary = PlacedRotary::new(&self.rotary, self.decoder.placement());
        let n_layers = model.layers.len();
        let last = self.layers.iter().copied().max().unwrap_or(0).min(n_layers);
        let mut states = Vec::with_capacity(self.layers.len());
        let mut hidden = self.decoder.embed(tokens.clone());
        for (layer_idx, layer) in model.layers[..last].iter().enumerate() {
            let rotary = rotary.on(placed.of_layer(layer_idx));
            hidden = layer.forward_whole(hidden, rotary, documents);
            hidden = placed.after(layer_idx, hidden);
            let n_done = layer_idx + 1;
            if self.layers.contains(&n_done) {
                let state = if n_done == n_layers {
                    model.last(hidden.clone())
                } else {
                    hidden.clone()
                };
                states.push((n_done, state));
            }
        }
        Targets {
            states,
            n_layers,
            weight: self.weight,
        }
    }
}

impl Targets {
    /// The losses of the tokens by hidden state `index`, `[batch · seq]`; `None` if it is not compared.
    pub(crate) fn losses(&self, index: usize, state: Tensor<3>) -> Option<Tensor<1>> {
        let (_, target) = self.states.iter().find(|(at, _)| *at == index)?;
        Some(cosine_distance(state, target.clone()) * self.weight)
    }

    /// As [`Self::losses`], of the output of the last normalization; zeros that depend on it if it is not compared.
    pub(crate) fn last_losses(&self, state: Tensor<3>) -> Tensor<1> {
        let [batch, seq, hidden] = state.dims();
        let compared = self.losses(self.n_layers, state.clone());
        compared.unwrap_or_else(|| (state * 0.0).sum_dim(2).reshape([batch * seq]) / hidden as f64)
    }

    /// Indices of the compared outputs of layers, without the last.
    pub(crate) fn inner(&self) -> impl Iterator<Item = usize> {
        let indices = self.states.iter().map(|(index, _)| *index);
        indices.filter(|index| *index < self.n_layers)
    }
}

/// `1 - cos(a, b)` of every row, `[batch · seq]`, in at least `f32`.
fn cosine_distance(a: Tensor<3>, b: Tensor<3>) -> Tensor<1> {
    /// Smallest product of norms that is divided by.
    const LEAST: f64 = 1e-12;
    let [batch, seq, _] = a.dims();
    let wide = |x: Tensor<3>| match x.dtype() {
        DType::F64 => x,
        _ => x.cast(DType::F32),
    };
    let (a, b) = (wide(a), wide(b));
    let dot = (a.clone() * b.clone()).sum_dim(2);
    let norms = (a.square().sum_dim(2) * b.square().sum_dim(2)).sqrt();
    let cosine = dot / norms.clamp_min(LEAST);
    (cosine.neg() + 1.0).reshape([batch * seq])
}
