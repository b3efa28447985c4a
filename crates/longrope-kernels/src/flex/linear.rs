//! Products with weights in half precision.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::matrix::{Matrix, multiply};
use super::shared::SharedRows;
use super::view::{View, contiguous};
use super::weight::Weight;

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
