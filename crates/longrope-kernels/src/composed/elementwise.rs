//! Normalization, rotary embedding and gated activation, with their gradients.

use burn::backend::Backend;

use super::ops::Float;
use crate::pairs::Pairs;

/// See [`crate::rms_norm`].
pub(crate) fn rms_norm<B: Backend>(x: Float<B>, weight: Float<B>, epsilon: f64) -> Float<B> {
    let dtype = x.dtype();
    let [hidden] = weight.dims();
    let x = x.wide();
    let root = root_mean_square(x.clone(), epsilon);
    (x / root).cast(dtype) * weight.cast(dtype).reshape([1, 1, hidden])
}

/// Gradients of [`rms_norm`] with respect to `x` and, if `needs_weight`, the weight.
///
/// With `n = x / r` and `r` the root mean square: `dw = Σ dy ∘ n` over all rows, and `dx = (dn - n · mean(dn ∘ n)) / r`
/// with `dn = dy ∘ w`.
pub(crate) fn rms_norm_backward<B: Backend>(
    x: Float<B>,
    weight: Float<B>,
    epsilon: f64,
    grad: Float<B>,
    needs_weight: bool,
) -> (Float<B>, Option<Float<B>>) {
    let (x_dtype, weight_dtype) = (x.dtype(), weight.dtype());
    let [batch, seq, hidden] = x.dims();
    let (x, grad) = (x.wide(), grad.wide());
    let root = root_mean_square(x.clone(), epsilon);
    let normalized = x / root.clone();
    let d_weight = needs_weight.then(|| {
        (grad.clone() * normalized.clone())
            .reshape([batch * seq, hidden])
            .sum(0)
            .reshape([hidden])
            .cast(weight_dtype)
    });
    let d_normalized = grad * weight.wide().reshape([1, 1, hidden]);
    let along = (d_normalized.clone() * normalized.clone()).mean(2);
    let d_x = (d_normalized - normalized * along) / root;
    (d_x.cast(x_dtype), d_weight)
}

/// `sqrt(mean(x²) + epsilon)` over the last dimension, `[b, t, 1]`.
fn root_mean_square<B: Backend>(x: Float<B>, epsilon: f64) -> Float<B> {
    (x.clone() * x).mean(2).plus(epsilon).sqrt()
}

/// See [`crate::rotate_half`] and [`crate::rotate_interleaved`]. The gradient is the rotation by the negative angles.
pub(crate) fn rotate<B: Backend>(
    x: Float<B>,
    cos: Float<B>,
    sin: Float<B>,
    pairs: Pairs,
) -> Float<B> {
    let [batch, heads, seq, head_dim] = x.dims();
    let [_, n_pairs] = cos.dims();
    let rotary_dim = 2 * n_pairs;
    let dtype = x.dtype();
    let [cos, sin] = [cos, sin].map(|angles| angles.cast(dtype).reshape([1, 1, seq, n_pairs]));
    let (left, right) = match pairs {
        Pairs::Halves => (
            x.clone().part(3, 0..n_pairs),
            x.clone().part(3, n_pairs..rotary_dim),
        ),
        Pairs::Neighbours => {
            let pairs = x.clone().part(3, 0..rotary_dim);
            let pairs = pairs.reshape([batch, heads, seq, n_pairs, 2]);
            let side = |at| {
                let side = pairs.clone().part(4, at..at + 1);
                side.reshape([batch, heads, seq, n_pairs])
            };
            (side(0), side(1))
        }
    };
    let turned = [
        left.clone() * cos.clone() - right.clone() * sin.clone(),
        right * cos + left * sin,
    ];
    let mut parts = match pairs {
        Pairs::Halves => turned.to_vec(),
        Pairs::Neighbours => {
            let sides = turned.map(|side| side.reshape([batch, heads, seq, n_pairs, 1]));
            let pairs = Float::cat(sides.to_vec(), 4);
            vec![pairs.reshape([batch, heads, seq, rotary_dim])]
        }
    };
    if rotary_dim < head_dim {
        parts.push(x.part(3, rotary_dim..head_dim));
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
