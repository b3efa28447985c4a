//! Backpropagation that stores only the input of each layer and recomputes the rest (gradient checkpointing).
//!
//! An autodiff tape over a whole model holds the intermediate results of every layer. Here, [`forward`] runs the layers
//! without a tape and stores the input of each. [`backward`] goes from the last layer to the first: it runs each layer
//! once more with a tape, and drops that tape before the next layer. The memory needed is the inputs of all layers,
//! `[batch, seq, hidden]` each, and the tape of one layer. The cost is one more forward pass (Chen et al., arXiv
//! 1604.06174, with one segment per layer).
//!
//! With [`Keep::OnHost`], the inputs wait in the memory of the host. They are copied on other threads: to the host while the
//! next layer runs, and back while the layer before it runs.

mod kept;

use std::ops::Range;

use burn::tensor::{Gradients, Tensor};

pub use kept::Keep;
use kept::Kept;

/// The input of each layer, in order.
#[derive(Debug)]
pub struct LayerInputs(Vec<LayerInput>);

#[derive(Debug)]
struct LayerInput {
    value: Kept,
    /// The part of its gradient that does not come through the layer.
    direct: Option<Tensor<3>>,
}

impl LayerInputs {
    /// Number of layers.
    pub fn n_layers(&self) -> usize {
        self.0.len()
    }

    /// The input of a layer, `[batch, seq, hidden]`; `None` beyond the last.
    pub fn get(&mut self, layer_idx: usize) -> Option<Tensor<3>> {
        Some(self.0.get_mut(layer_idx)?.value.copy())
    }

    /// Gives the input of a layer a gradient that does not come through the layer, `[batch, seq, hidden]`: where a loss
    /// depends on hidden states between layers. [`backward`] adds it.
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn add_gradient(&mut self, layer_idx: usize, gradient: Tensor<3>) {
        let direct = &mut self.0[layer_idx].direct;
        *direct = Some(match direct.take() {
            Some(before) => before + gradient,
            None => gradient,
        });
    }
}

/// Runs `layer(0, ..)` to `layer(n_layers - 1, ..)` in order and stores their inputs. Returns the output of the last.
///
/// The layers should not be tracked by autodiff (`module.valid()`); otherwise their tapes stay in memory. A layer may move its
/// output to the device of the next layer.
///
/// # Shapes
/// - `x`, output: `[batch, seq, hidden]`
pub fn forward(
    n_layers: usize,
    x: Tensor<3>,
    keep: Keep,
    mut layer: impl FnMut(usize, Tensor<3>) -> Tensor<3>,
) -> (Tensor<3>, LayerInputs) {
    let mut inputs: Vec<LayerInput> = Vec::with_capacity(n_layers);
    let mut x = x;
    for layer_idx in 0..n_layers {
        let value = Kept::new(x.clone(), keep);
        // Two inputs at most are on their way.
        if let Some(before) = inputs.last_mut() {
            before.value.settle();
        }
        inputs.push(LayerInput {
            value,
            direct: None,
        });
        x = layer(layer_idx, x);
    }
    (x, LayerInputs(inputs))
}

/// Runs the layers again from the last to the first, now with autodiff, and returns the gradient of the input of the
/// first layer.
///
/// `layer` must compute the same as in [`forward`], with parameters that require gradients. `collect` is called with
/// the gradients of each layer's parameters as soon as they are computed; gradients that it does not take are dropped.
///
/// # Shapes
/// - `d_output`, output: `[batch, seq, hidden]`, not tracked by autodiff
///
/// # Panics
/// If a layer's output does not depend on its input.
pub fn backward(
    inputs: LayerInputs,
    d_output: Tensor<3>,
    mut layer: impl FnMut(usize, Tensor<3>) -> Tensor<3>,
    mut collect: impl FnMut(usize, &mut Gradients),
) -> Tensor<3> {
    inputs.back_through(d_output, |layer_idx, input, d_output| {
        let output = layer(layer_idx, input.clone());
        gradient_of(&input, output, d_output, |gradients| {
            collect(layer_idx, gradients);
        })
    })
}

/// As [`backward`], for layers that are `rows(mix(x))`, where `rows` computes each position by itself.
///
/// `rows` runs on `most_rows` positions of all sequences at a time, so the tape never holds its intermediate results for a
/// whole window. `collect` is called for each of these pieces, and then for `mix`.
///
/// # Shapes
/// - `d_output`, output: `[batch, seq, hidden]`, not tracked by autodiff
///
/// # Panics
/// If an output does not depend on its input.
pub fn backward_by_rows(
    inputs: LayerInputs,
    d_output: Tensor<3>,
    most_rows: usize,
    mut mix: impl FnMut(usize, Tensor<3>) -> Tensor<3>,
    mut rows: impl FnMut(usize, Tensor<3>) -> Tensor<3>,
    mut collect: impl FnMut(usize, &mut Gradients),
) -> Tensor<3> {
    inputs.back_through(d_output, |layer_idx, input, d_output| {
        let mixed = mix(layer_idx, input.clone());
        let value = mixed.clone().without_autodiff();
        let d_mixed = pieces(&value, most_rows).map(|positions| {
            let part = |x: &Tensor<3>| x.clone().narrow(1, positions.start, positions.len());
            let piece = part(&value).autodiff().require_grad();
            let output = rows(layer_idx, piece.clone());
            let d_output = part(&d_output);
            gradient_of(&piece, output, d_output, |gradients| {
                collect(layer_idx, gradients);
            })
        });
        let d_mixed = Tensor::cat(d_mixed.collect(), 1);
        gradient_of(&input, mixed, d_mixed, |gradients| {
            collect(layer_idx, gradients);
        })
    })
}

/// Applies a function that computes each position by itself to `most_rows` positions of all sequences at a time.
///
/// # Shapes
/// - `x`, output: `[batch, seq, hidden]`
pub fn by_rows(
    x: Tensor<3>,
    most_rows: usize,
    mut rows: impl FnMut(Tensor<3>) -> Tensor<3>,
) -> Tensor<3> {
    let all: Vec<Range<usize>> = pieces(&x, most_rows).collect();
    if all.len() < 2 {
        return rows(x);
    }
    let outputs = all.into_iter();
    let outputs = outputs.map(|part| rows(x.clone().narrow(1, part.start, part.len())));
    Tensor::cat(outputs.collect(), 1)
}

/// The positions of pieces with about `most_rows` rows over all sequences.
fn pieces(x: &Tensor<3>, most_rows: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let [batch, seq, _] = x.dims();
    let step = (most_rows / batch.max(1)).max(1);
    (0..seq)
        .step_by(step)
        .map(move |start| start..(start + step).min(seq))
}

/// The gradient of `input`, if that of `output` is `d_output`.
fn gradient_of(
    input: &Tensor<3>,
    output: Tensor<3>,
    d_output: Tensor<3>,
    collect: impl FnOnce(&mut Gradients),
) -> Tensor<3> {
    // The gradient of this sum with respect to the output is `d_output`, a constant in the graph.
    let mut gradients = (output * d_output).sum().backward();
    let d_input = input
        .grad_remove(&mut gradients)
        .expect("a layer's output depends on its input");
    collect(&mut gradients);
    d_input
}

impl LayerInputs {
    /// Calls `layer` with the input of each layer, tracked by autodiff, and the gradient of its output, from the last layer to
    /// the first; it returns the gradient of the input.
    fn back_through(
        self,
        d_output: Tensor<3>,
        mut layer: impl FnMut(usize, Tensor<3>, Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        let mut inputs = self.0;
        let mut d_output = d_output;
        while let Some(input) = inputs.pop() {
            let layer_idx = inputs.len();
            let LayerInput { value, direct } = input;
            let value = value.fetch();
            // The output of the layer may have been moved to another device.
            let device = value.device();
            if d_output.device() != device {
                d_output = d_output.to_device(&device);
            }
            if let Some(next) = inputs.last_mut() {
                next.value.recall();
            }
            d_output = layer(layer_idx, value.autodiff().require_grad(), d_output);
            if let Some(direct) = direct {
                d_output = d_output + direct;
            }
        }
        d_output
    }
}
