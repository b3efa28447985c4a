//! Matrix products of halves whose sums are not rounded to halves.

use burn::backend::Cube;
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::kernel::matmul::{MatmulStrategy, matmul};

use super::lazy::lazily;
use crate::composed::wide;

/// `x · y` of operands of one type, in the type that sums are computed in.
///
/// Burn's own product of two matrices in half precision is rounded to it. Operands in `f32` would give the same sums as this
/// product, but are twice as many bytes, and matrix units multiply them at half the speed or not at all.
pub(crate) fn product(x: FloatTensor<Cube>, y: FloatTensor<Cube>) -> FloatTensor<Cube> {
    assert_eq!(x.dtype, y.dtype, "operands of a product have one type");
    let dtype = wide(x.dtype);
    if x.dtype == dtype {
        return Cube::float_matmul(x, y);
    }
    let mut shape = x.shape.clone();
    let last = shape.num_dims() - 1;
    shape[last] = y.shape[last];
    let output = TensorSpec::new(shape, dtype);
    let [product] =
        lazily("longrope.product", [x, y], [output], move |[x, y]| {
            let product = matmul(x, y, None, MatmulStrategy::default(), dtype);
            [product
                .unwrap_or_else(|error| panic!("no kernel multiplies these matrices: {error:?}"))]
        });
    product
}
