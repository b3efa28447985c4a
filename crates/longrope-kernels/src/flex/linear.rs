//! Products with weights in half precision, and of few rows.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::matrix::{Matrix, multiply};
use super::shared::SharedRows;
use super::simd;
use super::view::{View, contiguous};
use super::weight::Weight;
use crate::linear::FEW_ROWS;

/// Most elements of a widened block, 512 KiB.
const BLOCK: usize = 128 << 10;
/// Most outputs of a block. With more, `gemm` would copy the input for each block.
const MOST_OUTPUTS: usize = 128;
/// Fewest outputs of a block, however long its rows are.
const FEWEST_OUTPUTS: usize = 16;
/// Rows of the input that are multiplied at once.
const ROWS: usize = 256;

/// `x · weightᵀ`: each task widens some rows of the weight and multiplies all rows of `x` with them.
pub(super) fn linear(x: &FlexTensor, weight: &FlexTensor) -> FlexTensor {
    let (x, weight) = (View::<2>::new(x), Weight::new(weight));
    let [n_rows, width] = x.dims;
    if n_rows <= FEW_ROWS && width > 0 && weight.has_dense_rows() {
        return few_rows(&x, &weight);
    }
    let [n_outputs, _] = weight.dims();
    let most = (BLOCK / width.max(1)).clamp(FEWEST_OUTPUTS, MOST_OUTPUTS);
    let mut out = vec![0f32; n_rows * n_outputs];
    let out_rows = SharedRows::new(&mut out);
    let blocks = (0..n_outputs.div_ceil(most))
        .into_par_iter()
        .with_max_len(1);
    blocks.for_each_init(
        || (Vec::new(), vec![0f32; ROWS.min(n_rows) * most]),
        |(widened, product), block| {
            let first = block * most;
            let n = most.min(n_outputs - first);
            let columns = weight.rows(first, n, widened).transposed();
            for start in (0..n_rows).step_by(ROWS) {
                let m = ROWS.min(n_rows - start);
                let rows = Matrix {
                    data: x.from([start, 0]),
                    strides: x.strides,
                };
                multiply([m, n, width], rows, columns, product, most, false);
                for (row, from) in product.chunks(most).take(m).enumerate() {
                    let at = (start + row) * n_outputs + first;
                    // SAFETY: every output of a row belongs to exactly one block.
                    #[expect(unsafe_code, reason = "disjoint parts of rows of one buffer")]
                    let to = unsafe { out_rows.row(at, n) };
                    to.copy_from_slice(&from[..n]);
                }
            }
        },
    );
    contiguous(out, vec![n_rows, n_outputs])
}

/// `x · weightᵀ` for few rows, as during generation: each row of the weight is read once and multiplied with all rows of
/// `x`. The sums of a row do not depend on the number of rows.
fn few_rows(x: &View<'_, 2>, weight: &Weight<'_>) -> FlexTensor {
    let [n_rows, width] = x.dims;
    let [n_outputs, _] = weight.dims();
    let mut scratch = Vec::new();
    let mut rows = Vec::with_capacity(n_rows * width);
    for row in 0..n_rows {
        rows.extend_from_slice(x.row([row, 0], &mut scratch));
    }
    let most = (BLOCK / width).clamp(1, MOST_OUTPUTS);
    let mut out = vec![0f32; n_rows * n_outputs];
    let out_rows = SharedRows::new(&mut out);
    let block = |widened: &mut Vec<f32>, block: usize| {
        let first = block * most;
        let n = most.min(n_outputs - first);
        let weights = weight.rows(first, n, widened);
        let mut products = [0f32; FEW_ROWS];
        let products = &mut products[..n_rows];
        for output in 0..n {
            simd::dots(products, &rows, weights.dense_row(output, width));
            for (row, product) in products.iter().enumerate() {
                // SAFETY: every output of a row belongs to exactly one block.
                #[expect(unsafe_code, reason = "disjoint parts of rows of one buffer")]
                let to = unsafe { out_rows.row(row * n_outputs + first + output, 1) };
                to.copy_from_slice(std::slice::from_ref(product));
            }
        }
    };
    match n_outputs.div_ceil(most) {
        // To wake other threads takes longer than a small product.
        1 => block(&mut Vec::new(), 0),
        n_blocks => (0..n_blocks).into_par_iter().for_each_init(Vec::new, block),
    }
    contiguous(out, vec![n_rows, n_outputs])
}
