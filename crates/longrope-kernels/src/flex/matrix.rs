//! Products of matrices that are stored in slices.

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
        (m - 1) * out_stride + n <= out.len(),
        "the result is inside its slice"
    );
    let out = Out {
        start: out.as_mut_ptr(),
        stride: out_stride,
        accumulate,
    };
    // SAFETY: the assertion above keeps every row of the result inside its slice, which is borrowed mutably. It is initialized.
    #[expect(unsafe_code, reason = "the gemm crate takes raw pointers")]
    unsafe {
        run([m, n, k], left, right, &out, Parallelism::None);
    }
}

/// Fewest multiplications of a product that is worth waking other threads for.
const MANY: usize = 192 * 192 * 192;

/// `left · right` like [`multiply`], with rows one after the other; on all threads if it is large.
pub(super) fn product([m, n, k]: [usize; 3], left: Matrix, right: Matrix) -> Vec<f32> {
    if m == 0 || n == 0 || k == 0 {
        return vec![0.0; m * n];
    }
    let mut product = Vec::with_capacity(m * n);
    let out = Out {
        start: product.as_mut_ptr(),
        stride: n,
        accumulate: false,
    };
    let is_large = m.saturating_mul(n).saturating_mul(k) >= MANY;
    let parallelism = if is_large {
        Parallelism::Rayon(0)
    } else {
        Parallelism::None
    };
    // SAFETY: the vector has room for all `m` rows of `n` elements. They are written before they are read, as nothing is
    // accumulated, and all are written, as no dimension is 0.
    #[expect(unsafe_code, reason = "the gemm crate takes raw pointers")]
    unsafe {
        run([m, n, k], left, right, &out, parallelism);
        product.set_len(m * n);
    }
    product
}

/// Where a product is written.
struct Out {
    start: *mut f32,
    /// Elements from one row to the next.
    stride: usize,
    /// Whether the product is added to what is there.
    accumulate: bool,
}

/// Writes a product.
///
/// # Safety
/// All rows of the result are in memory that nothing else refers to, and that is initialized if the product is added to it.
///
/// # Panics
/// If an operand is not inside its slice.
#[expect(unsafe_code, reason = "the gemm crate takes raw pointers")]
unsafe fn run(
    [m, n, k]: [usize; 3],
    left: Matrix,
    right: Matrix,
    out: &Out,
    parallelism: Parallelism,
) {
    assert!(
        left.holds(m, k) && right.holds(k, n),
        "the operands are inside their slices"
    );
    // SAFETY: the assertion keeps every index of the operands inside their slices. The caller answers for the result.
    unsafe {
        gemm(
            m,
            n,
            k,
            out.start,
            1,
            out.stride.cast_signed(),
            out.accumulate,
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
            parallelism,
        );
    }
}
