//! Products with weights, which may have another type than the input.

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

/// Gradient of [`linear`] with respect to a weight of the type of `x`: `gradᵀ · x`.
pub(crate) fn linear_backward_of_weight<B: Backend>(x: Float<B>, grad: Float<B>) -> Float<B> {
    grad.swap(0, 1).matmul(x)
}
