//! The operations as nodes of Burn's autodiff graph.
//!
//! Each node stores its inputs, which the graph keeps alive anyway, and at most one number per row.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::autodiff::{Autodiff, NodeId};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata};

use super::kernels::{Kernels, Saved};
use super::operations::Operations;
use crate::attention::config::AttentionConfig;
use crate::pairs::Pairs;

/// Registers the gradient of each input that is tracked.
fn register<B: Backend, const N: usize>(
    grads: &mut Gradients,
    parents: [Option<NodeId>; N],
    values: [FloatTensor<B>; N],
) {
    for (parent, value) in parents.into_iter().zip(values) {
        if let Some(node) = parent {
            grads.register::<B>(node, value);
        }
    }
}

/// The tensor without its autodiff node.
fn primitive<B: Backend, C: CheckpointStrategy>(
    tensor: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<B> {
    tensor.into_primitive()
}

#[derive(Debug)]
struct AttentionStep;

impl<B: Kernels> Backward<B, 3> for AttentionStep {
    type State = ([FloatTensor<B>; 3], Saved<B>, AttentionConfig);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (inputs, saved, config) = ops.state;
        let (values, _) = B::attention_backward(inputs, None, saved, grad, &config);
        register::<B, 3>(
            grads,
            ops.parents.map(|parent| parent.map(|node| node.id)),
            values,
        );
    }
}

#[derive(Debug)]
struct SinksStep;

impl<B: Kernels> Backward<B, 4> for SinksStep {
    type State = ([FloatTensor<B>; 4], Saved<B>, AttentionConfig);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let ([query, key, value, sinks], saved, config) = ops.state;
        let inputs = [query, key, value];
        let (values, d_sinks) = B::attention_backward(inputs, Some(sinks), saved, grad, &config);
        let [nodes @ .., sinks_node] = ops.parents.map(|parent| parent.map(|node| node.id));
        register::<B, 3>(grads, nodes, values);
        if let Some(d_sinks) = d_sinks {
            register::<B, 1>(grads, [sinks_node], [d_sinks]);
        }
    }
}

#[derive(Debug)]
struct LinearStep;

impl<B: Kernels> Backward<B, 2> for LinearStep {
    /// The input if the weight is tracked, and the weight if the input is.
    type State = [Option<FloatTensor<B>>; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [x, weight] = ops.state;
        let [x_node, weight_node] = ops.parents.map(|parent| parent.map(|node| node.id));
        if let Some(x) = x {
            let value = B::linear_backward_of_weight(x, grad.clone());
            register::<B, 1>(grads, [weight_node], [value]);
        }
        if let Some(weight) = weight {
            let value = B::linear_backward(weight, grad);
            register::<B, 1>(grads, [x_node], [value]);
        }
    }
}

#[derive(Debug)]
struct LinearNllStep;

impl<B: Kernels> Backward<B, 2> for LinearNllStep {
    type State = (
        [FloatTensor<B>; 2],
        IntTensor<B>,
        Option<f64>,
        Option<FloatTensor<B>>,
    );

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (inputs, targets, softcap, log_sum_exp) = ops.state;
        let [hidden_node, weight_node] = ops.parents.map(|parent| parent.map(|node| node.id));
        let needs_weight = weight_node.is_some();
        let (d_hidden, d_weight) =
            B::linear_nll_backward(inputs, targets, softcap, log_sum_exp, grad, needs_weight);
        register::<B, 1>(grads, [hidden_node], [d_hidden]);
        if let Some(d_weight) = d_weight {
            register::<B, 1>(grads, [weight_node], [d_weight]);
        }
    }
}

#[derive(Debug)]
struct RmsNormStep;

impl<B: Kernels> Backward<B, 2> for RmsNormStep {
    type State = ([FloatTensor<B>; 2], f64);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let ([x, weight], epsilon) = ops.state;
        let [x_node, weight_node] = ops.parents.map(|parent| parent.map(|node| node.id));
        let needs_weight = weight_node.is_some();
        let (d_x, d_weight) = B::rms_norm_backward(x, weight, epsilon, grad, needs_weight);
        register::<B, 1>(grads, [x_node], [d_x]);
        if let Some(d_weight) = d_weight {
            register::<B, 1>(grads, [weight_node], [d_weight]);
        }
    }
}

#[derive(Debug)]
struct RotateStep;

impl<B: Kernels> Backward<B, 1> for RotateStep {
    /// Cosines and sines, which are constants.
    type State = ([FloatTensor<B>; 2], Pairs);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let ([cos, sin], pairs) = ops.state;
        let value = B::rotate_forward(grad, cos, B::float_neg(sin), pairs);
        register::<B, 1>(
            grads,
            ops.parents.map(|parent| parent.map(|node| node.id)),
            [value],
        );
    }
}

#[derive(Debug)]
struct SwigluStep;

impl<B: Kernels> Backward<B, 2> for SwigluStep {
    type State = [FloatTensor<B>; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [gate, up] = ops.state;
        let values = B::swiglu_backward(gate, up, grad);
        register::<B, 2>(
            grads,
            ops.parents.map(|parent| parent.map(|node| node.id)),
            values,
        );
    }
}

impl<B: Kernels, C: CheckpointStrategy> Operations for Autodiff<B, C> {
    fn attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        config: AttentionConfig,
    ) -> FloatTensor<Self> {
        let nodes = [query.node(), key.node(), value.node()];
        let inputs = [query, key, value].map(primitive::<B, C>);
        let saved = B::attention_forward(inputs.clone(), None, &config);
        match AttentionStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let output = saved.output.clone();
                step.finish((inputs, saved, config), output)
            }
            OpsKind::UnTracked(step) => step.finish(saved.output),
        }
    }

    fn attention_with_sinks(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        sinks: FloatTensor<Self>,
        config: AttentionConfig,
    ) -> FloatTensor<Self> {
        let nodes = [query.node(), key.node(), value.node(), sinks.node()];
        let inputs = [query, key, value, sinks].map(primitive::<B, C>);
        let [query, key, value, sinks] = inputs.clone();
        let saved = B::attention_forward([query, key, value], Some(sinks), &config);
        match SinksStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let output = saved.output.clone();
                step.finish((inputs, saved, config), output)
            }
            OpsKind::UnTracked(step) => step.finish(saved.output),
        }
    }

    fn attention_with_log_sum_exp(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        config: AttentionConfig,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let inputs = [query, key, value];
        assert!(
            !inputs.iter().any(FloatTensor::<Self>::is_tracked),
            "attention with a log-sum-exp has no gradients"
        );
        let inputs = inputs.map(primitive::<B, C>);
        let (output, sums) = B::attention_log_sum_exp(inputs, &config);
        (
            <FloatTensor<Self>>::new(output),
            <FloatTensor<Self>>::new(sums),
        )
    }

    fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let [x_is_tracked, weight_is_tracked] = [&x, &weight].map(FloatTensor::<Self>::is_tracked);
        assert!(
            !weight_is_tracked || x.dtype() == weight.dtype(),
            "a weight of another type than the input has no gradient"
        );
        let nodes = [x.node(), weight.node()];
        let [x, weight] = [x, weight].map(primitive::<B, C>);
        match LinearStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let kept = [
                    weight_is_tracked.then(|| x.clone()),
                    x_is_tracked.then(|| weight.clone()),
                ];
                step.finish(kept, B::linear_forward(x, weight))
            }
            OpsKind::UnTracked(step) => step.finish(B::linear_forward(x, weight)),
        }
    }

    fn linear_nll(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        softcap: Option<f64>,
    ) -> FloatTensor<Self> {
        let nodes = [hidden.node(), weight.node()];
        let inputs = [hidden, weight].map(primitive::<B, C>);
        let [hidden, weight] = inputs.clone();
        let (output, log_sum_exp) = B::linear_nll_forward(hidden, weight, targets.clone(), softcap);
        match LinearNllStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish((inputs, targets, softcap, log_sum_exp), output),
            OpsKind::UnTracked(step) => step.finish(output),
        }
    }

    fn rms_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node()];
        let inputs = [x, weight].map(primitive::<B, C>);
        let [x, weight] = inputs.clone();
        let output = B::rms_norm_forward(x, weight, epsilon);
        match RmsNormStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish((inputs, epsilon), output),
            OpsKind::UnTracked(step) => step.finish(output),
        }
    }

    fn rotate(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        pairs: Pairs,
    ) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let angles = [cos, sin].map(primitive::<B, C>);
        let [cos, sin] = angles.clone();
        let output = B::rotate_forward(x.into_primitive(), cos, sin, pairs);
        match RotateStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish((angles, pairs), output),
            OpsKind::UnTracked(step) => step.finish(output),
        }
    }

    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [gate.node(), up.node()];
        match SwigluStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let inputs = [gate, up].map(primitive::<B, C>);
                let [gate, up] = inputs.clone();
                step.finish(inputs, B::swiglu_forward(gate, up))
            }
            // The kernel may overwrite the gate, so no clone of it must be kept here.
            OpsKind::UnTracked(step) => {
                let (gate, up) = (gate.into_primitive(), up.into_primitive());
                step.finish(B::swiglu_forward(gate, up))
            }
        }
    }
}
