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
pub struct LayerInputs(Vec<LayerInput>);

#[derive(Clone, Debug)]
struct LayerInput {
    value: Tensor<3>,
    /// The part of its gradient that does not come through the layer.
    direct: Option<Tensor<3>>,
}

impl LayerInputs {
    /// Number of layers.
    pub fn n_layers(&self) -> usize {
        self.0.len()
    }

    /// The input of a layer, `[batch, seq, hidden]`; `None` beyond the last.
    pub fn get(&self, layer_idx: usize) -> Option<&Tensor<3>> {
        Some(&self.0.get(layer_idx)?.value)
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
        inputs.push(LayerInput {
            value: x.clone(),
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
    let mut inputs = inputs.0;
    let mut d_output = d_output;
    while let Some(input) = inputs.pop() {
        let layer_idx = inputs.len();
        let LayerInput { value, direct } = input;
        let input = value.autodiff().require_grad();
        let output = layer(layer_idx, input.clone());
        // The gradient of this sum with respect to the output is `d_output`, a constant in the graph.
        let mut gradients = (output * d_output).sum().backward();
        d_output = input
            .grad_remove(&mut gradients)
            .expect("a layer's output depends on its input");
        if let Some(direct) = direct {
            d_output = d_output + direct;
        }
        collect(layer_idx, &mut gradients);
    }
    d_output
}
