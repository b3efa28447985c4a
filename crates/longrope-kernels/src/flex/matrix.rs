//! Products of matrices that are stored in slices, on the calling thread.

use gemm::{Parallelism, gemm};

/// A matrix stored in a slice, with the strides of its rows and columns.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) data: &'a [f32],
    pub(super) strides: [isize; 2],
}

impl<'a> Matrix<'a> {
    /// A matrix with contiguous rows that start `stride` elements apart.
    pub(super) fn rows(data: &'a [f32], stride: usize) -> Self {
        Self {
            data,
            strides: [stride.cast_signed(), 1],
        }
    }

    /// A row of `width` contiguous elements.
    pub(super) fn dense_row(&self, row: usize, width: usize) -> &'a [f32] {
        &self.data[row * self.strides[0].cast_unsigned()..][..width]
    }

    pub(super) fn transposed(self) -> Self {
        let [row, column] = self.strides;
        Self {
            data: self.data,
            strides: [column, row],
        }
    }

    /// Whether a matrix of this size is inside the slice.
    fn holds(&self, rows: usize, columns: usize) -> bool {
        let [row, column] = self.strides;
        let last = (rows.cast_signed() - 1) * row + (columns.cast_signed() - 1) * column;
        row >= 0 && column >= 0 && last < self.data.len().cast_signed()
    }
}

/// With at most this many columns, `gemm` does not copy its left operand.
const NARROW: usize = 128;

/// `out = left · right` like [`multiply`], in strips of columns. Faster for products with short sums (a small `k`),
/// where copying an operand would take a large part of the time.
pub(super) fn multiply_narrow(
    [m, n, k]: [usize; 3],
    left: Matrix,
    right: Matrix,
    out: &mut [f32],
    out_stride: usize,
) {
    for column in (0..n).step_by(NARROW) {
        let width = NARROW.min(n - column);
        let strip = Matrix {
            data: &right.data[column * right.strides[1].cast_unsigned()..],
            strides: right.strides,
        };
        multiply(
            [m, width, k],
            left,
            strip,
            &mut out[column..],
            out_stride,
            false,
        );
    }
}

/// `out = left · right`, or `out += left · right` if `accumulate`, on the calling thread. `left` is `[m, k]`, `right`
/// is `[k, n]`, and `out` is `[m, n]` with contiguous rows that start `out_stride` elements apart.
pub(super) fn multiply(
    [m, n, k]: [usize; 3],
    left: Matrix,
    right: Matrix,
    out: &mut [f32],
    out_stride: usize,
    accumulate: bool,
) {
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    assert!(
        left.holds(m, k) && right.holds(k, n),
        "the operands are inside their slices"
    );
    assert!(
        (m - 1) * out_stride + n <= out.len(),
        "the result is inside its slice"
    );
    // SAFETY: the assertions above keep every index inside its slice. `out` is borrowed mutably, so it does not overlap
    // the operands.
    #[expect(unsafe_code, reason = "the gemm crate takes raw pointers")]
    unsafe {
        gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            out_stride.cast_signed(),
            accumulate,
            left.data.as_ptr(),
            left.strides[1],
            left.strides[0],
            right.data.as_ptr(),
            right.strides[1],
            right.strides[0],
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
