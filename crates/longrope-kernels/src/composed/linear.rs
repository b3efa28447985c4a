//! Products with weights of another type than the input.

use burn::backend::Backend;

use super::ops::Float;

/// See [`crate::linear`].
pub(crate) fn linear<B: Backend>(x: Float<B>, weight: Float<B>) -> Float<B> {
    let dtype = x.dtype();
    x.matmul(weight.cast(dtype).swap(0, 1))
}

/// Gradient of [`linear`] with respect to `x`: `grad · weight`.
pub(crate) fn linear_backward<B: Backend>(weight: Float<B>, grad: Float<B>) -> Float<B> {
    let dtype = grad.dtype();
    grad.matmul(weight.cast(dtype))
}
