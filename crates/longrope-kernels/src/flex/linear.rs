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
///
/// For few rows, as during generation, each row of the weight is read once. The sums of a row then do not depend on the
/// number of rows.
pub(super) fn linear(x: &FlexTensor, weight: &FlexTensor) -> FlexTensor {
    let (x, weight) = (View::<2>::new(x), Weight::new(weight));
    let [n_rows, width] = x.dims;
    let [n_outputs, _] = weight.dims();
    let is_few = n_rows <= FEW_ROWS && width > 0 && weight.has_dense_rows();
    let few = is_few.then(|| dense(&x));
    let most = (BLOCK / width.max(1)).clamp(FEWEST_OUTPUTS, MOST_OUTPUTS);
    let mut out = vec![0f32; n_rows * n_outputs];
    let out_rows = SharedRows::new(&mut out);
    let scratch = || (Vec::new(), vec![0f32; ROWS.min(n_rows) * most]);
    let block = |(widened, product): &mut (Vec<f32>, Vec<f32>), block: usize| {
        let first = block * most;
        let n = most.min(n_outputs - first);
        let weights = weight.rows(first, n, widened);
        for start in (0..n_rows).step_by(ROWS) {
            let m = ROWS.min(n_rows - start);
            if let Some(rows) = &few {
                multiply_few([m, n, width], rows, weights, product, most);
            } else {
                let rows = Matrix {
                    data: x.from([start, 0]),
                    strides: x.strides,
                };
                let columns = weights.transposed();
                multiply([m, n, width], rows, columns, product, most, false);
            }
            for (row, from) in product.chunks(most).take(m).enumerate() {
                let at = (start + row) * n_outputs + first;
                // SAFETY: every output of a row belongs to exactly one block.
                #[expect(unsafe_code, reason = "disjoint parts of rows of one buffer")]
                let to = unsafe { out_rows.row(at, n) };
                to.copy_from_slice(&from[..n]);
            }
        }
    };
    match n_outputs.div_ceil(most) {
        // To wake other threads takes longer than a small product.
        1 if is_few => block(&mut scratch(), 0),
        n_blocks => (0..n_blocks)
            .into_par_iter()
            .with_max_len(1)
            .for_each_init(scratch, block),
    }
    contiguous(out, vec![n_rows, n_outputs])
}

/// The rows of `x`, one after the other.
fn dense(x: &View<'_, 2>) -> Vec<f32> {
    let [n_rows, width] = x.dims;
    let mut scratch = Vec::new();
    let mut rows = Vec::with_capacity(n_rows * width);
    for row in 0..n_rows {
        rows.extend_from_slice(x.row([row, 0], &mut scratch));
    }
    rows
}

/// `product = rows · weightsᵀ` for `m` dense rows and `n` rows of the weight. Rows of `product` are `stride` elements apart.
fn multiply_few(
    [m, n, width]: [usize; 3],
    rows: &[f32],
    weights: Matrix,
    product: &mut [f32],
    stride: usize,
) {
    let mut outputs = [0f32; FEW_ROWS];
    for column in 0..n {
        simd::dots(&mut outputs[..m], rows, weights.dense_row(column, width));
        for (row, output) in outputs[..m].iter().enumerate() {
            product[row * stride + column] = *output;
        }
    }
}
