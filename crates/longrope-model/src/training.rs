//! The loss of a training batch, and its gradients.

use std::cell::RefCell;

use burn::tensor::{DType, Gradients as Tape, Int, Tensor, TensorData};
use longrope_kernels::recompute::{Keep, LayerInputs};
use longrope_kernels::{Documents, recompute};
use longrope_rope::Residual;

use crate::block::DecoderLayer;
use crate::decoder::Decoder;
use crate::distillation::{Targets, Teacher};
use crate::error::{Error, Result};
use crate::gradients::Gradients;
use crate::modules::Weights;
use crate::parameters::{Parameter, Trained, visit_embedding, visit_head, visit_layer};
use crate::placement::PlacedRotary;
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
    /// Stores the input of each layer and recomputes the rest.
    Layers,
    /// The same, with the inputs in the memory of the host. Needs the least memory of a GPU.
    Offloaded,
    /// Stores everything. A quarter faster, but needs memory for all layers.
    Nothing,
}

/// Rows of the MLP that are computed at once where layers are recomputed: its intermediate results are wide.
const MLP_ROWS: usize = 2048;

/// Loss and gradients of a batch.
#[derive(Clone, Debug)]
pub struct LossGradients {
    /// The loss: the weighted sum of the negative log-likelihoods in nats, or the sum of the losses of a [`Teacher`].
    pub loss: f64,
    /// Sum of the weights.
    pub weight: f64,
    /// Sum of the negative log-likelihoods of all tokens with non-zero weight, without weights, in nats.
    pub plain_nll: f64,
    /// Number of tokens with non-zero weight.
    pub n_tokens: usize,
    /// Gradients of `loss`.
    pub gradients: Gradients,
}

impl Decoder {
    /// Computes the loss of a batch and its gradients with respect to the trained parameters.
    ///
    /// The results are sums, not means: to combine micro-batches, add up `loss`, `weight` and the gradients, and divide
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
        self.gradients_of(batch, None, rotary, trained, recompute)
    }

    /// As [`Self::loss_gradients`], of the loss of a [`Teacher`]: how far hidden states are from those of the original
    /// model. Every token of the batch has weight 1; `loss_weights` only says which tokens `plain_nll` is about.
    ///
    /// # Errors
    /// As [`Self::loss_gradients`], also for the original model.
    ///
    /// # Panics
    /// As [`Self::loss_gradients`], or if the hidden states of the two models have different shapes.
    pub fn distillation_gradients(
        &self,
        batch: &TrainingBatch,
        teacher: &Teacher,
        rotary: &Rotary,
        trained: Trained,
        recompute: Recompute,
    ) -> Result<LossGradients> {
        if teacher.decoder.is_streamed() {
            return Err(Error::StreamedTraining);
        }
        self.gradients_of(batch, Some(teacher), rotary, trained, recompute)
    }

    fn gradients_of(
        &self,
        batch: &TrainingBatch,
        teacher: Option<&Teacher>,
        rotary: &Rotary,
        trained: Trained,
        recompute: Recompute,
    ) -> Result<LossGradients> {
        if rotary.is_grouped() {
            return Err(Error::GroupedTraining);
        }
        let input = self.training_input(batch)?;
        let documents = batch.documents.as_ref();
        let pass = Pass {
            decoder: self,
            rotary: PlacedRotary::new(rotary, self.placement()),
            selection: self.selection(trained),
            documents,
            targets: teacher.map(|teacher| teacher.targets(&input.tokens, documents)),
        };
        let (losses, gradients) = match recompute {
            Recompute::Layers => pass.by_layer(&input, Keep::OnDevice),
            Recompute::Offloaded => pass.by_layer(&input, Keep::OnHost),
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
    fn total(&self, losses: &RowLosses, gradients: Gradients) -> LossGradients {
        let counted = losses.nll.iter().zip(&self.host_weights);
        let counted = counted.filter(|(_, weight)| **weight != 0.0);
        let mut total = LossGradients {
            loss: 0.0,
            weight: 0.0,
            plain_nll: 0.0,
            n_tokens: 0,
            gradients,
        };
        for (nll, weight) in counted {
            total.loss += nll * f64::from(*weight);
            total.weight += f64::from(*weight);
            total.plain_nll += nll;
            total.n_tokens += 1;
        }
        if let Some(distances) = &losses.distances {
            total.loss = distances.iter().sum();
            total.weight = distances.len() as f64;
        }
        total
    }
}

/// The losses of the rows of a batch, `[batch · seq]` each.
struct RowLosses {
    /// Negative log-likelihoods, nats.
    nll: Vec<f64>,
    /// Losses of the [`Teacher`], if those are trained.
    distances: Option<Vec<f64>>,
}

/// One forward and backward pass.
struct Pass<'a> {
    decoder: &'a Decoder,
    rotary: PlacedRotary,
    selection: Selection,
    documents: Option<&'a Documents>,
    /// The hidden states of the original model, if those are trained instead of the text.
    targets: Option<Targets>,
}

impl Pass<'_> {
    /// Stores only the input of each layer ([`Recompute::Layers`] and [`Recompute::Offloaded`]).
    fn by_layer(&self, input: &Input, keep: Keep) -> (RowLosses, Gradients) {
        let decoder = self.decoder;
        let layers = &decoder.weights.model.layers;
        let mut gradients = Gradients::default();

        let hidden = decoder.embed(input.tokens.clone());
        let (hidden, mut inputs) =
            recompute::forward(layers.len(), hidden, keep, |layer_idx, x| {
                let layer = &layers[layer_idx];
                let output = match layer.residual {
                    Residual::Sequential => {
                        let mixed = self.attention(layer_idx, layer, x);
                        recompute::by_rows(mixed, MLP_ROWS, |x| layer.forward_mlp(x))
                    }
                    Residual::Parallel => self.layer(layer_idx, layer, x),
                };
                decoder.placed.after(layer_idx, output)
            });
        let between = self.losses_between(&mut inputs);

        // The head has a separate tape that starts at the output of the last layer.
        let head = self.tracked_ends();
        let leaf = hidden.autodiff().require_grad();
        let end = self.end(&head, leaf.clone(), input);
        let losses = end.read(between);
        let mut tape = end.loss.backward();
        let d_hidden = leaf
            .grad_remove(&mut tape)
            .expect("the loss depends on the last layer");
        collect_ends(&head, &mut tape, &mut gradients);
        drop(tape);

        let d_embedded = self.back_through_layers(inputs, d_hidden, &mut gradients);
        if self.selection.includes_embedding() {
            let ends = self.tracked_ends();
            let embedded = ends.model.embed(input.tokens.clone());
            let d_embedded = d_embedded.to_device(decoder.device());
            let mut tape = (embedded * d_embedded).sum().backward();
            collect_ends(&ends, &mut tape, &mut gradients);
        }
        (losses, gradients)
    }

    /// The gradients of all layers, and that of the embedded tokens.
    fn back_through_layers(
        &self,
        inputs: LayerInputs,
        d_hidden: Tensor<3>,
        gradients: &mut Gradients,
    ) -> Tensor<3> {
        // The layer whose parameters are on the current tape.
        let tracked: RefCell<Option<DecoderLayer>> = RefCell::new(None);
        let track = |layer_idx| {
            let layer = self.tracked_layer(layer_idx);
            *tracked.borrow_mut() = Some(layer.clone());
            layer
        };
        let collect = |_, tape: &mut Tape| {
            if let Some(layer) = tracked.borrow_mut().as_mut() {
                visit_layer(layer, &mut |parameter| take(&parameter, tape, gradients));
            }
        };
        let layers = &self.decoder.weights.model.layers;
        match layers.first().map(|layer| layer.residual) {
            Some(Residual::Parallel) | None => recompute::backward(
                inputs,
                d_hidden,
                |layer_idx, x| self.layer(layer_idx, &track(layer_idx), x),
                collect,
            ),
            Some(Residual::Sequential) => recompute::backward_by_rows(
                inputs,
                d_hidden,
                MLP_ROWS,
                |layer_idx, x| self.attention(layer_idx, &track(layer_idx), x),
                |_, x| match tracked.borrow().as_ref() {
                    Some(layer) => layer.forward_mlp(x),
                    None => x,
                },
                collect,
            ),
        }
    }

    /// Stores everything ([`Recompute::Nothing`]).
    fn in_one(&self, input: &Input) -> (RowLosses, Gradients) {
        let mut gradients = Gradients::default();
        let mut ends = self.tracked_ends();
        let n_layers = self.decoder.weights.model.layers.len();
        ends.model.layers = (0..n_layers)
            .map(|layer_idx| self.tracked_layer(layer_idx))
            .collect();
        let hidden = ends.model.embed(input.tokens.clone());
        let mut hidden = self.decoder.placed.embedded(hidden);
        let mut between: Option<Tensor<1>> = None;
        for (layer_idx, layer) in ends.model.layers.iter().enumerate() {
            hidden = self.layer(layer_idx, layer, hidden);
            hidden = self.decoder.placed.after(layer_idx, hidden);
            if layer_idx + 1 < n_layers {
                let losses = self.targets.as_ref();
                let losses = losses.and_then(|all| all.losses(layer_idx + 1, hidden.clone()));
                let losses = losses.map(|losses| losses.to_device(self.decoder.device()));
                between = match (between, losses) {
                    (Some(before), Some(losses)) => Some(before + losses),
                    (before, losses) => before.or(losses),
                };
            }
        }
        let mut end = self.end(&ends, hidden, input);
        let losses = end.read(between.as_ref().map(read));
        if let Some(between) = between {
            end.loss = end.loss + between.sum();
        }
        let mut tape = end.loss.backward();
        collect_ends(&ends, &mut tape, &mut gradients);
        for layer in &mut ends.model.layers {
            visit_layer(layer, &mut |parameter| {
                take(&parameter, &mut tape, &mut gradients);
            });
        }
        (losses, gradients)
    }

    /// The losses of hidden states between layers, `[batch · seq]`, whose gradients `inputs` get.
    fn losses_between(&self, inputs: &mut LayerInputs) -> Option<Vec<f64>> {
        let targets = self.targets.as_ref()?;
        let mut total: Option<Vec<f64>> = None;
        for n_done in targets.inner() {
            let leaf = inputs.get(n_done)?.autodiff().require_grad();
            let losses = targets.losses(n_done, leaf.clone())?;
            let values = read(&losses);
            let mut tape = losses.sum().backward();
            inputs.add_gradient(n_done, leaf.grad_remove(&mut tape)?);
            total = Some(match total {
                Some(before) => before.iter().zip(values).map(|(a, b)| a + b).collect(),
                None => values,
            });
        }
        total
    }

    /// The losses of the output of the last layer.
    fn end(&self, weights: &Weights, hidden: Tensor<3>, input: &Input) -> End {
        let Some(targets) = &self.targets else {
            let nll = head_losses(weights, weights.model.last(hidden), input);
            return End {
                loss: (nll.clone() * input.weights.clone()).sum(),
                nll,
                distances: None,
            };
        };
        let last = weights.model.last(hidden);
        let distances = targets.last_losses(last.clone());
        // Only reported.
        let nll = head_losses(
            &self.decoder.weights.without_layers(),
            last.without_autodiff(),
            input,
        );
        End {
            loss: distances.clone().sum(),
            nll,
            distances: Some(distances),
        }
    }

    fn attention(&self, layer_idx: usize, layer: &DecoderLayer, x: Tensor<3>) -> Tensor<3> {
        layer.forward_attention(x, self.rotary_of(layer_idx), self.documents)
    }

    fn layer(&self, layer_idx: usize, layer: &DecoderLayer, x: Tensor<3>) -> Tensor<3> {
        layer.forward_whole(x, self.rotary_of(layer_idx), self.documents)
    }

    fn rotary_of(&self, layer_idx: usize) -> &Rotary {
        self.rotary.on(self.decoder.placed.of_layer(layer_idx))
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

/// The losses of the output of the last layer.
struct End {
    /// What is trained, `[1]`.
    loss: Tensor<1>,
    /// `[batch · seq]`
    nll: Tensor<1>,
    /// `[batch · seq]`
    distances: Option<Tensor<1>>,
}

impl End {
    /// The losses of the rows, with those of hidden states between layers.
    fn read(&self, between: Option<Vec<f64>>) -> RowLosses {
        let between = between.unwrap_or_default();
        let distances = self.distances.as_ref().map(|last| {
            let before = between.into_iter().chain(std::iter::repeat(0.0));
            read(last).iter().zip(before).map(|(a, b)| a + b).collect()
        });
        RowLosses {
            nll: read(&self.nll),
            distances,
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

/// The negative log-likelihood of each row, `[batch · seq]`, from the input of the head, `[batch, seq, hidden]`.
fn head_losses(weights: &Weights, last: Tensor<3>, input: &Input) -> Tensor<1> {
    let [batch, seq, hidden_size] = last.dims();
    let last = last.reshape([batch * seq, hidden_size]);
    weights.head().nll(last, input.targets.clone())
}

fn read(losses: &Tensor<1>) -> Vec<f64> {
    let data = losses.clone().without_autodiff().into_data();
    data.iter::<f64>().collect()
}
