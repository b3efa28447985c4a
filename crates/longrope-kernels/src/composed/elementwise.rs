//! Normalization, rotary embedding and gated activation, with their gradients.

use burn::backend::Backend;

use super::ops::Float;

/// See [`crate::rms_norm`].
pub(crate) fn rms_norm<B: Backend>(x: Float<B>, weight: Float<B>, epsilon: f64) -> Float<B> {
    let dtype = x.dtype();
    let [hidden] = weight.dims();
    let x = x.wide();
    let root = root_mean_square(x.clone(), epsilon);
    (x / root).cast(dtype) * weight.reshape([1, 1, hidden])
}

/// Gradients of [`rms_norm`] with respect to `x` and the weight.
///
/// With `n = x / r` and `r` the root mean square: `dw = Σ dy ∘ n` over all rows, and `dx = (dn - n · mean(dn ∘ n)) / r`
/// with `dn = dy ∘ w`.
pub(crate) fn rms_norm_backward<B: Backend>(
    x: Float<B>,
    weight: Float<B>,
    epsilon: f64,
    grad: Float<B>,
) -> [Float<B>; 2] {
    let (x_dtype, weight_dtype) = (x.dtype(), weight.dtype());
    let [batch, seq, hidden] = x.dims();
    let (x, grad) = (x.wide(), grad.wide());
    let root = root_mean_square(x.clone(), epsilon);
    let normalized = x / root.clone();
    let d_weight = (grad.clone() * normalized.clone())
        .reshape([batch * seq, hidden])
        .sum(0)
        .reshape([hidden]);
    let d_normalized = grad * weight.wide().reshape([1, 1, hidden]);
    let along = (d_normalized.clone() * normalized.clone()).mean(2);
    let d_x = (d_normalized - normalized * along) / root;
    [d_x.cast(x_dtype), d_weight.cast(weight_dtype)]
}

/// `sqrt(mean(x²) + epsilon)` over the last dimension, `[b, t, 1]`.
fn root_mean_square<B: Backend>(x: Float<B>, epsilon: f64) -> Float<B> {
    (x.clone() * x).mean(2).plus(epsilon).sqrt()
}

/// See [`crate::rotate_half`]. The gradient is the rotation by the negative angles.
pub(crate) fn rotate_half<B: Backend>(x: Float<B>, cos: Float<B>, sin: Float<B>) -> Float<B> {
    let [_, _, seq, head_dim] = x.dims();
    let [_, n_pairs] = cos.dims();
    let dtype = x.dtype();
    let cos = cos.cast(dtype).reshape([1, 1, seq, n_pairs]);
    let sin = sin.cast(dtype).reshape([1, 1, seq, n_pairs]);
    let left = x.clone().part(3, 0..n_pairs);
    let right = x.clone().part(3, n_pairs..2 * n_pairs);
    let mut parts = vec![
        left.clone() * cos.clone() - right.clone() * sin.clone(),
        right * cos + left * sin,
    ];
    if 2 * n_pairs < head_dim {
        parts.push(x.part(3, 2 * n_pairs..head_dim));
    }
    Float::cat(parts, 3)
}

/// See [`crate::swiglu`].
pub(crate) fn swiglu<B: Backend>(gate: Float<B>, up: Float<B>) -> Float<B> {
    gate.clone() * gate.sigmoid() * up
}

/// Gradients of [`swiglu`] with respect to gate and up.
///
/// With `σ` the sigmoid of the gate: `d_up = dy · gate · σ` and `d_gate = dy · up · σ · (1 + gate · (1 - σ))`.
pub(crate) fn swiglu_backward<B: Backend>(
    gate: Float<B>,
    up: Float<B>,
    grad: Float<B>,
) -> [Float<B>; 2] {
    let sigmoid = gate.clone().sigmoid();
    let silu = gate.clone() * sigmoid.clone();
    let slope = sigmoid.clone() + silu.clone() - silu.clone() * sigmoid;
    [grad.clone() * up * slope, grad * silu]
}
