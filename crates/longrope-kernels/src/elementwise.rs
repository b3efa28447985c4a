//! Normalization, rotary embedding and gated activation.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use crate::backend::operations::Operations;
use crate::pairs::Pairs;

/// Root-mean-square normalization, `weight * x / sqrt(mean(x²) + epsilon)` over the last dimension.
///
/// The quotient is computed in `f32` (in `f64` for `f64`), cast to the type of `x`, and only then multiplied by the
/// weight. transformers rounds in the same order.
///
/// # Shapes
/// - `x`: `[batch, seq, hidden]`
/// - `weight`: `[hidden]`
/// - output: the shape of `x`
///
/// # Panics
/// If the weight does not have `hidden` elements.
pub fn rms_norm(x: Tensor<3>, weight: Tensor<1>, epsilon: f64) -> Tensor<3> {
    let [_, _, hidden] = x.dims();
    assert_eq!(weight.dims(), [hidden], "one weight per element of a row");
    Tensor::from_dispatch(<Dispatch as Operations>::rms_norm(
        x.into_dispatch(),
        weight.into_dispatch(),
        epsilon,
    ))
}

/// Rotary embedding: rotates pairs of elements by the angles of their positions.
///
/// With `h = rotary_dim / 2`, pair `i` is `(x[i], x[i + h])` and becomes `(x[i]·cos - x[i+h]·sin, x[i+h]·cos +
/// x[i]·sin)`. Elements from `rotary_dim` on are not changed. If there is an attention scale, `cos` and `sin` must
/// already contain it. They are constants: they get no gradients.
///
/// # Shapes
/// - `x`: `[batch, heads, seq, head_dim]`
/// - `cos`, `sin`: `[seq, rotary_dim / 2]`
/// - output: the shape of `x`
///
/// # Panics
/// If the tables do not have one row per position, or have more pairs than fit into a head.
pub fn rotate_half(x: Tensor<4>, cos: Tensor<2>, sin: Tensor<2>) -> Tensor<4> {
    rotate(x, cos, sin, Pairs::Halves)
}

/// Rotary embedding of neighbours: pair `i` is `(x[2i], x[2i + 1])`, as in checkpoints of Cohere, GLM and ERNIE.
///
/// The first `rotary_dim` elements are rotated, otherwise like [`rotate_half`].
///
/// # Shapes
/// - `x`: `[batch, heads, seq, head_dim]`
/// - `cos`, `sin`: `[seq, rotary_dim / 2]`
/// - output: the shape of `x`
///
/// # Panics
/// If the tables do not have one row per position, or have more pairs than fit into a head.
pub fn rotate_interleaved(x: Tensor<4>, cos: Tensor<2>, sin: Tensor<2>) -> Tensor<4> {
    rotate(x, cos, sin, Pairs::Neighbours)
}

fn rotate(x: Tensor<4>, cos: Tensor<2>, sin: Tensor<2>, pairs: Pairs) -> Tensor<4> {
    let [_, _, seq, head_dim] = x.dims();
    let [n_positions, n_pairs] = cos.dims();
    assert_eq!(n_positions, seq, "one row of angles per position");
    assert_eq!(
        sin.dims(),
        cos.dims(),
        "sines have the shape of the cosines"
    );
    assert!(
        2 * n_pairs <= head_dim,
        "{n_pairs} pairs in a head of {head_dim}"
    );
    Tensor::from_dispatch(<Dispatch as Operations>::rotate(
        x.into_dispatch(),
        cos.into_dispatch(),
        sin.into_dispatch(),
        pairs,
    ))
}

/// The gated activation of the MLP, `silu(gate) * up` with `silu(x) = x / (1 + e^-x)`.
///
/// # Shapes
/// - `gate`, `up`, output: `[batch, seq, intermediate]`
///
/// # Panics
/// If the shapes differ.
pub fn swiglu(gate: Tensor<3>, up: Tensor<3>) -> Tensor<3> {
    assert_eq!(gate.dims(), up.dims(), "up has the shape of the gate");
    Tensor::from_dispatch(<Dispatch as Operations>::swiglu(
        gate.into_dispatch(),
        up.into_dispatch(),
    ))
}
