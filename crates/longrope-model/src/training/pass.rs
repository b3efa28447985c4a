//! One forward and backward pass of a training step, layer by layer or in one.

use std::cell::RefCell;

use burn::tensor::{Gradients as Tape, Tensor};
use longrope_kernels::recompute::{Keep, LayerInputs};
use longrope_kernels::{Documents, recompute};
use longrope_rope::Residual;

use super::batch::Input;
use super::distillation::Targets;
use super::gradients::Gradients;
use crate::decoder::Decoder;
use crate::decoder::placement::PlacedRotary;
use crate::modules::block::DecoderLayer;
use crate::modules::weights::Weights;
use crate::parameters::{Parameter, Selection, visit_embedding, visit_head, visit_layer};
use crate::rotary::Rotary;

/// Rows of the MLP that are computed at once where layers are recomputed: its intermediate results are wide.
const MLP_ROWS: usize = 2048;

/// The losses of the rows of a batch, `[batch · seq]` each.
pub(super) struct RowLosses {
    /// Negative log-likelihoods, nats.
    pub(super) nll: Vec<f64>,
    /// Losses of the hidden states, if those are trained.
    pub(super) distances: Option<Vec<f64>>,
}

/// One forward and backward pass.
pub(super) struct Pass<'a> {
    pub(super) decoder: &'a Decoder,
    pub(super) rotary: PlacedRotary,
    pub(super) selection: Selection,
    pub(super) documents: Option<&'a Documents>,
    /// The hidden states of the original model, if those are trained instead of the text.
    pub(super) targets: Option<Targets>,
}

impl Pass<'_> {
    /// Stores only the input of each layer (`Recompute::Layers` and `Recompute::Offloaded`). Adds the gradients to those before.
    pub(super) fn by_layer(
        &self,
        input: &Input,
        keep: Keep,
        mut gradients: Gradients,
    ) -> (RowLosses, Gradients) {
        let decoder = self.decoder;
        let layers = &decoder.weights.model.layers;
        // Tied embeddings have two gradients, which are added up before they join those of other micro-batches.
        let mut of_ends = Gradients::default();

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
        collect_ends(&head, &mut tape, &mut of_ends);
        drop(tape);
        if !decoder.config().tied_embeddings {
            gradients.merge(std::mem::take(&mut of_ends));
        }

        let d_embedded = self.back_through_layers(inputs, d_hidden, &mut gradients);
        if self.selection.includes_embedding() {
            let ends = self.tracked_ends();
            let embedded = ends.model.embed(input.tokens.clone());
            let d_embedded = d_embedded.to_device(decoder.device());
            let mut tape = (embedded * d_embedded).sum().backward();
            collect_ends(&ends, &mut tape, &mut of_ends);
        }
        gradients.merge(of_ends);
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

    /// Stores everything (`Recompute::Nothing`). Adds the gradients to those before.
    pub(super) fn in_one(&self, input: &Input, mut gradients: Gradients) -> (RowLosses, Gradients) {
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
        let mut of_ends = Gradients::default();
        collect_ends(&ends, &mut tape, &mut of_ends);
        gradients.merge(of_ends);
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
