//! Backpropagation that keeps the input of each layer and computes the rest again.
//!
//! A tape over a whole model holds what every operation of every layer made. Here [`forward`] runs
//! the layers without a tape and keeps what went into each; [`backward`] goes from the last layer
//! to the first, runs each once more with a tape, and drops that tape before the next. Memory is
//! the inputs of all layers, `[batch, seq, hidden]` each, and the tape of one. Time is one more
//! forward pass (Chen et al., arXiv 1604.06174, with a segment per layer).

use burn::tensor::{Gradients, Tensor};

/// What went into each layer, in order.
#[derive(Clone, Debug)]
pub struct LayerInputs(Vec<Tensor<3>>);

impl LayerInputs {
    /// Number of layers that ran.
    pub fn n_layers(&self) -> usize {
        self.0.len()
    }
}

/// Runs `layer(0, ..)` to `layer(n_layers - 1, ..)` one after another and keeps their inputs.
///
/// The layers should be without autodiff (`module.valid()`), or their tapes stay in memory.
///
/// # Shapes
/// - `x`, output: `[batch, seq, hidden]`
pub fn forward(
    n_layers: usize,
    x: Tensor<3>,
    mut layer: impl FnMut(usize, Tensor<3>) -> Tensor<3>,
) -> (Tensor<3>, LayerInputs) {
    let mut inputs = Vec::with_capacity(n_layers);
    let mut x = x;
    for layer_idx in 0..n_layers {
        inputs.push(x.clone());
        x = layer(layer_idx, x);
    }
    (x, LayerInputs(inputs))
}

/// Runs the layers again from the last to the first, now with autodiff, and gives the gradient of
/// the input of the first.
///
/// `layer` must compute what it computed in [`forward`], with parameters that require gradients.
/// `collect` gets the gradients of each layer's parameters as soon as they are there; what it does
/// not take is dropped.
///
/// # Shapes
/// - `d_output`, output: `[batch, seq, hidden]`, without autodiff
///
/// # Panics
/// If a layer's output does not depend on its input.
pub fn backward(
    inputs: LayerInputs,
    d_output: Tensor<3>,
    mut layer: impl FnMut(usize, Tensor<3>) -> Tensor<3>,
    mut collect: impl FnMut(usize, &mut Gradients),
) -> Tensor<3> {
    let mut inputs = inputs.0;
    let mut d_output = d_output;
    while let Some(input) = inputs.pop() {
        let layer_idx = inputs.len();
        let input = input.autodiff().require_grad();
        let output = layer(layer_idx, input.clone());
        // The gradient of this sum with respect to the output is `d_output`: a constant to the
        // graph, since it is without autodiff.
        let mut gradients = (output * d_output).sum().backward();
        d_output = input
            .grad_remove(&mut gradients)
            .expect("a layer's output depends on its input");
        collect(layer_idx, &mut gradients);
    }
    d_output
}
