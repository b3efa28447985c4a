//! Backpropagation that stores only the input of each layer and recomputes the rest (gradient checkpointing).
//!
//! An autodiff tape over a whole model holds the intermediate results of every layer. Here, [`forward`] runs the layers
//! without a tape and stores the input of each. [`backward`] goes from the last layer to the first: it runs each layer
//! once more with a tape, and drops that tape before the next layer. The memory needed is the inputs of all layers,
//! `[batch, seq, hidden]` each, and the tape of one layer. The cost is one more forward pass (Chen et al., arXiv
//! 1604.06174, with one segment per layer).

use burn::tensor::{Gradients, Tensor};

/// The input of each layer, in order.
#[derive(Clone, Debug)]
pub struct LayerInputs(Vec<Tensor<3>>);

impl LayerInputs {
    /// Number of layers.
    pub fn n_layers(&self) -> usize {
        self.0.len()
    }
}

/// Runs `layer(0, ..)` to `layer(n_layers - 1, ..)` in order and stores their inputs. Returns the output of the last.
///
/// The layers should not be tracked by autodiff (`module.valid()`); otherwise their tapes stay in memory.
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
    let mut inputs = inputs.0;
    let mut d_output = d_output;
    while let Some(input) = inputs.pop() {
        let layer_idx = inputs.len();
        let input = input.autodiff().require_grad();
        let output = layer(layer_idx, input.clone());
        // The gradient of this sum with respect to the output is `d_output`, a constant in the graph.
        let mut gradients = (output * d_output).sum().backward();
        d_output = input
            .grad_remove(&mut gradients)
            .expect("a layer's output depends on its input");
        collect(layer_idx, &mut gradients);
    }
    d_output
}
