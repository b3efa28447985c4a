//! Products with weights, which may be stored in half precision.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use crate::backend::operations::Operations;

/// Most rows of an input that is multiplied by reading the weight once, without packing it. On the CPU, each row of such a
/// product has the same bits as alone.
pub(crate) const FEW_ROWS: usize = 16;

/// `x · weightᵀ`. The weight may be of another float type than `x`, for example `bf16` for an `x` in `f32`.
///
/// The product has the type of `x` and is computed in it. On the CPU, a weight in half precision is widened one block at a
/// time, so it never exists in `f32` as a whole. A weight of another type is a constant: it gets no gradient.
///
/// # Shapes
/// - `x`: `[rows, in]`
/// - `weight`: `[out, in]`
/// - output: `[rows, out]`
///
/// # Panics
/// If the shapes do not match, or a weight of another type than `x` is to get a gradient.
pub fn linear(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    let ([_, width], [_, weight_width]) = (x.dims(), weight.dims());
    assert_eq!(weight_width, width, "inputs of the weight");
    Tensor::from_dispatch(<Dispatch as Operations>::linear(
        x.into_dispatch(),
        weight.into_dispatch(),
    ))
}
