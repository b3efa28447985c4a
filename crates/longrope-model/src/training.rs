//! The loss of a training batch, and its gradients.

use std::cell::RefCell;

use burn::tensor::{DType, Gradients as Tape, Int, Tensor, TensorData};
use longrope_kernels::{Documents, recompute};

use crate::block::DecoderLayer;
use crate::decoder::Decoder;
use crate::error::{Error, Result};
use crate::gradients::Gradients;
use crate::modules::Weights;
use crate::parameters::{Parameter, Trained, visit_embedding, visit_head, visit_layer};
use crate::rotary::Rotary;
use crate::selection::Selection;

/// Sequences of equal length to train on.
#[derive(Clone, Debug, Default)]
pub struct TrainingBatch {
    /// Token ids, `[batch][seq]`.
    pub tokens: Vec<Vec<u32>>,
    /// Weight of the loss of each token, `[batch][seq]`; if empty, all weights are 1. The first token of a sequence is
    /// not predicted, so its weight is ignored.
    pub loss_weights: Vec<Vec<f32>>,
    /// Packed documents that do not attend to each other; `None` if each sequence is one document.
    ///
    /// Positions do not restart at document boundaries. With rotary embeddings, attention depends only on distances,
    /// unless the RoPE treats the first tokens of a sequence differently.
    pub documents: Option<Documents>,
}

/// Which parts of the forward pass are recomputed in the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recompute {
    /// Stores the input of each layer and recomputes the rest. Needs the least memory.
    Layers,
    /// Stores everything. A quarter faster, but needs memory for all layers.
    Nothing,
}

/// Loss and gradients of a batch.
#[derive(Clone, Debug)]
pub struct LossGradients {
    /// Weighted sum of the negative log-likelihoods, in nats.
    pub nll: f64,
    /// Sum of the weights.
    pub weight: f64,
    /// Sum of the negative log-likelihoods of all tokens with non-zero weight, without weights, in nats.
    pub plain_nll: f64,
    /// Number of tokens with non-zero weight.
    pub n_tokens: usize,
    /// Gradients of the weighted sum.
    pub gradients: Gradients,
}

impl Decoder {
    /// Computes the loss of a batch and its gradients with respect to the trained parameters.
    ///
    /// The results are sums, not means: to combine micro-batches, add up `nll`, `weight` and the gradients, and divide
    /// by the total weight.
    ///
    /// # Errors
    /// If sequences differ in length, are shorter than two tokens or contain ids outside the vocabulary, if layers are
    /// streamed, or if `rotary` groups positions.
    ///
    /// # Panics
    /// If `rotary` has fewer positions than the sequences, or `documents` do not match them.
    pub fn loss_gradients(
        &self,
        batch: &TrainingBatch,
        rotary: &Rotary,
        trained: Trained,
        recompute: Recompute,
    ) -> Result<LossGradients> {
        if rotary.is_grouped() {
            return Err(Error::GroupedTraining);
        }
        let input = self.training_input(batch)?;
        let pass = Pass {
            decoder: self,
            rotary,
            selection: self.selection(trained),
            documents: batch.documents.as_ref(),
        };
        let (losses, gradients) = match recompute {
            Recompute::Layers => pass.by_layer(&input),
            Recompute::Nothing => pass.in_one(&input),
        };
        Ok(input.total(&losses, gradients))
    }

    fn training_input(&self, batch: &TrainingBatch) -> Result<Input> {
        if self.is_streamed() {
            return Err(Error::StreamedTraining);
        }
        let seq = batch.tokens.first().map_or(0, Vec::len);
        if seq < 2 {
            return Err(Error::NothingToScore {
                found: seq,
                score_from: 1,
            });
        }
        for (index, sequence) in batch.tokens.iter().enumerate() {
            let weights = batch.loss_weights.get(index).map_or(seq, Vec::len);
            if sequence.len() != seq || weights != seq {
                return Err(Error::UnequalLengths {
                    index,
                    found: sequence.len().min(weights),
                    expected: seq,
                });
            }
            self.check_vocabulary(sequence)?;
        }
        Ok(Input::new(batch, seq, self))
    }
}

/// A batch on the device.
struct Input {
    /// `[batch, seq]`
    tokens: Tensor<2, Int>,
    /// `[batch · seq]`; the last target of each sequence is a placeholder.
    targets: Tensor<1, Int>,
    /// `[batch · seq]`, in the type of the model.
    weights: Tensor<1>,
    host_weights: Vec<f32>,
}

impl Input {
    fn new(batch: &TrainingBatch, seq: usize, decoder: &Decoder) -> Self {
        let n = batch.tokens.len();
        let device = decoder.device();
        let ids = |ids: Vec<i64>| TensorData::new(ids, [n, seq]);
        let tokens: Vec<i64> = batch
            .tokens
            .iter()
            .flatten()
            .map(|id| i64::from(*id))
            .collect();
        let shifted = batch.tokens.iter().flat_map(|sequence| {
            let targets = sequence[1..].iter().map(|id| i64::from(*id));
            targets.chain([0])
        });
        let host_weights: Vec<f32> = (0..n)
            .flat_map(|row| {
                let weight = move |t: usize| batch.loss_weights.get(row).map_or(1.0, |w| w[t]);
                (1..seq).map(weight).chain([0.0])
            })
            .collect();
        // Losses are `f32`, or `f64` if the weights are.
        let dtype = match decoder.dtype() {
            DType::F64 => DType::F64,
            _ => DType::F32,
        };
        Self {
            targets: Tensor::<2, Int>::from_data(ids(shifted.collect()), device).reshape([n * seq]),
            tokens: Tensor::from_data(ids(tokens), device),
            weights: Tensor::from_data(
                TensorData::new(host_weights.clone(), [n * seq]),
                (device, dtype),
            ),
            host_weights,
        }
    }

    /// Sums up the losses of the rows in `f64`.
    fn total(&self, losses: &[f64], gradients: Gradients) -> LossGradients {
        let counted = losses.iter().zip(&self.host_weights);
        let counted = counted.filter(|(_, weight)| **weight != 0.0);
        let mut total = LossGradients {
            nll: 0.0,
            weight: 0.0,
            plain_nll: 0.0,
            n_tokens: 0,
            gradients,
        };
        for (nll, weight) in counted {
            total.nll += nll * f64::from(*weight);
            total.weight += f64::from(*weight);
            total.plain_nll += nll;
            total.n_tokens += 1;
        }
        total
    }
}

/// One forward and backward pass.
struct Pass<'a> {
    decoder: &'a Decoder,
    rotary: &'a Rotary,
    selection: Selection,
    documents: Option<&'a Documents>,
}

impl Pass<'_> {
    /// Stores only the input of each layer ([`Recompute::Layers`]).
    fn by_layer(&self, input: &Input) -> (Vec<f64>, Gradients) {
        let decoder = self.decoder;
        let layers = &decoder.weights.model.layers;
        let mut gradients = Gradients::default();

        let hidden = embed(&decoder.weights, &input.tokens);
        let (hidden, inputs) = recompute::forward(layers.len(), hidden, |layer_idx, x| {
            self.layer(&layers[layer_idx], x)
        });

        // The head has a separate tape that starts at the output of the last layer.
        let head = self.tracked_ends();
        let leaf = hidden.autodiff().require_grad();
        let nll = head_losses(&head, leaf.clone(), input);
        let losses = read(&nll);
        let mut tape = (nll * input.weights.clone()).sum().backward();
        let d_hidden = leaf
            .grad_remove(&mut tape)
            .expect("the loss depends on the last layer");
        collect_ends(&head, &mut tape, &mut gradients);
        drop(tape);

        let tracked: RefCell<Option<DecoderLayer>> = RefCell::new(None);
        let d_embedded = recompute::backward(
            inputs,
            d_hidden,
            |layer_idx, x| {
                let layer = self.tracked_layer(layer_idx);
                let output = self.layer(&layer, x);
                *tracked.borrow_mut() = Some(layer);
                output
            },
            |_, tape| {
                if let Some(mut layer) = tracked.borrow_mut().take() {
                    visit_layer(&mut layer, &mut |parameter| {
                        take(&parameter, tape, &mut gradients);
                    });
                }
            },
        );
        if self.selection.includes_embedding() {
            let ends = self.tracked_ends();
            let mut tape = (embed(&ends, &input.tokens) * d_embedded).sum().backward();
            collect_ends(&ends, &mut tape, &mut gradients);
        }
        (losses, gradients)
    }

    /// Stores everything ([`Recompute::Nothing`]).
    fn in_one(&self, input: &Input) -> (Vec<f64>, Gradients) {
        let mut gradients = Gradients::default();
        let mut ends = self.tracked_ends();
        let n_layers = self.decoder.weights.model.layers.len();
        ends.model.layers = (0..n_layers)
            .map(|layer_idx| self.tracked_layer(layer_idx))
            .collect();
        let mut hidden = embed(&ends, &input.tokens);
        for layer in &ends.model.layers {
            hidden = self.layer(layer, hidden);
        }
        let nll = head_losses(&ends, hidden, input);
        let losses = read(&nll);
        let mut tape = (nll * input.weights.clone()).sum().backward();
        collect_ends(&ends, &mut tape, &mut gradients);
        for layer in &mut ends.model.layers {
            visit_layer(layer, &mut |parameter| {
                take(&parameter, &mut tape, &mut gradients);
            });
        }
        (losses, gradients)
    }

    fn layer(&self, layer: &DecoderLayer, x: Tensor<3>) -> Tensor<3> {
        layer.forward_whole(x, self.rotary, self.documents)
    }

    fn tracked_layer(&self, layer_idx: usize) -> DecoderLayer {
        let mut layer = self.decoder.weights.model.layers[layer_idx].clone();
        visit_layer(&mut layer, &mut |parameter| {
            self.track(parameter);
        });
        layer
    }

    /// Embeddings, last normalization and head, tracked by autodiff.
    fn tracked_ends(&self) -> Weights {
        let mut ends = self.decoder.weights.without_layers();
        visit_embedding(&mut ends, &mut |parameter| self.track(parameter));
        visit_head(&mut ends, &mut |parameter| self.track(parameter));
        ends
    }

    fn track(&self, mut parameter: Parameter<'_>) {
        if self.selection.includes(&parameter) {
            parameter.track();
        }
    }
}

/// Collects the gradients of embeddings, last normalization and head.
fn collect_ends(ends: &Weights, tape: &mut Tape, gradients: &mut Gradients) {
    let mut ends = ends.clone();
    visit_embedding(&mut ends, &mut |parameter| {
        take(&parameter, tape, gradients);
    });
    visit_head(&mut ends, &mut |parameter| {
        take(&parameter, tape, gradients);
    });
}

fn take(parameter: &Parameter<'_>, tape: &mut Tape, gradients: &mut Gradients) {
    if let Some(gradient) = parameter.take_gradient(tape) {
        gradients.add(parameter.name.clone(), gradient);
    }
}

/// Embeds tokens: `[batch, seq]` to `[batch, seq, hidden]`.
fn embed(weights: &Weights, tokens: &Tensor<2, Int>) -> Tensor<3> {
    weights.model.embed_tokens.forward(tokens.clone())
}

/// The loss of each row, `[batch · seq]`.
fn head_losses(weights: &Weights, hidden: Tensor<3>, input: &Input) -> Tensor<1> {
    let [batch, seq, hidden_size] = hidden.dims();
    let hidden = weights.model.last(hidden);
    let hidden = hidden.reshape([batch * seq, hidden_size]);
    weights.head().nll(hidden, input.targets.clone())
}

fn read(losses: &Tensor<1>) -> Vec<f64> {
    let data = losses.clone().without_autodiff().into_data();
    data.iter::<f64>().collect()
}
