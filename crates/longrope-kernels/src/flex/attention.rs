//! Attention in tiles that stay in cache, with an online softmax.
//!
//! A task is a block of query rows of all the heads that share one key head: their rows form one
//! matrix, so a tile of keys is read once for the whole group. It walks over tiles of keys up to
//! the last one a query of the block may see, keeps for each row the maximum, the sum of
//! exponentials and the weighted sum of values so far, and rescales them when the maximum rises
//! (Milakov and Gimelshein, arXiv 1805.02867; Dao et al., arXiv 2205.14135). Tasks are
//! independent, so one head already keeps all cores busy, and results do not depend on the number
//! of threads.

use burn_flex::FlexTensor;
use gemm::{Parallelism, gemm};
use rayon::prelude::*;

use super::simd;
use super::view::{View, strided};
use crate::AttentionConfig;

/// Query rows of a task, over all heads of its group.
const ROWS: usize = 128;
/// Keys of a tile: with [`ROWS`] rows of scores, 256 KiB.
const KEYS: usize = 512;

/// Attention over `[batch, heads, seq, head_dim]`; the result is stored as
/// `[batch, seq, heads, head_dim]` behind a permuted layout, so that joining the heads is free.
pub(super) fn attention(
    query: &FlexTensor,
    key: &FlexTensor,
    value: &FlexTensor,
    config: AttentionConfig,
) -> FlexTensor {
    let (query, key, value) = (
        View::<4>::new(query),
        View::<4>::new(key),
        View::<4>::new(value),
    );
    let [batch, n_heads, seq_q, head_dim] = query.dims;
    let n_kv_heads = key.dims[1];
    let group = n_heads / n_kv_heads;
    let block = (ROWS / group).max(1).min(seq_q);
    let n_blocks = seq_q.div_ceil(block);

    let mut out = vec![0f32; batch * seq_q * n_heads * head_dim];
    let target = Output {
        start: out.as_mut_ptr(),
        row_stride: n_heads * head_dim,
    };
    // The last blocks see the most keys: started first, they do not end up alone.
    let tasks = n_blocks * batch * n_kv_heads;
    (0..tasks).into_par_iter().with_max_len(1).for_each_init(
        || Scratch::new(block * group, head_dim),
        |scratch, task| {
            let task = tasks - 1 - task;
            let (block_idx, rest) = (task / (batch * n_kv_heads), task % (batch * n_kv_heads));
            let (b, kv_head) = (rest / n_kv_heads, rest % n_kv_heads);
            let start = block_idx * block;
            let task = Task {
                batch: b,
                kv_head,
                group,
                start,
                n_rows: block.min(seq_q - start),
            };
            attend(&query, &key, &value, config, &task, scratch);
            for head in 0..group {
                for i in 0..task.n_rows {
                    let row = head * task.n_rows + i;
                    let from = &scratch.sums[row * head_dim..][..head_dim];
                    let position = b * seq_q + start + i;
                    let column = (kv_head * group + head) * head_dim;
                    // SAFETY: every (batch, position, head) belongs to exactly one task, so no
                    // other thread touches these `head_dim` elements, and they lie inside `out`,
                    // which outlives the loop.
                    #[expect(unsafe_code, reason = "disjoint strided rows of one buffer")]
                    let to = unsafe { target.row(position, column, head_dim) };
                    simd::scale_into(to, from, 1.0 / scratch.totals[row]);
                }
            }
        },
    );

    let [d, hd, l] = [head_dim, n_heads * head_dim, seq_q].map(usize::cast_signed);
    let dims = vec![batch, n_heads, seq_q, head_dim];
    strided(out, dims, vec![l * hd, d, hd, 1])
}

/// One block of queries of one group of heads.
struct Task {
    batch: usize,
    kv_head: usize,
    group: usize,
    start: usize,
    n_rows: usize,
}

/// What a thread needs besides its input; rows are ordered (head of the group, query).
struct Scratch {
    queries: Vec<f32>,
    scores: Vec<f32>,
    sums: Vec<f32>,
    maxima: Vec<f32>,
    totals: Vec<f32>,
    row: Vec<f32>,
}

impl Scratch {
    fn new(rows: usize, head_dim: usize) -> Self {
        Self {
            queries: vec![0.0; rows * head_dim],
            scores: vec![0.0; rows * KEYS],
            sums: vec![0.0; rows * head_dim],
            maxima: vec![0.0; rows],
            totals: vec![0.0; rows],
            row: Vec::new(),
        }
    }
}

/// The output buffer as tasks share it.
#[derive(Clone, Copy)]
struct Output {
    start: *mut f32,
    row_stride: usize,
}

// SAFETY: the pointer is only used through `row`, whose callers promise disjoint rows.
#[expect(unsafe_code, reason = "tasks write disjoint rows of one buffer")]
unsafe impl Send for Output {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "tasks write disjoint rows of one buffer")]
unsafe impl Sync for Output {}

impl Output {
    /// # Safety
    /// The elements must lie inside the buffer, and nothing else may use them meanwhile.
    #[expect(unsafe_code, reason = "tasks write disjoint rows of one buffer")]
    unsafe fn row<'a>(self, position: usize, column: usize, n: usize) -> &'a mut [f32] {
        // SAFETY: promised by the caller.
        unsafe {
            std::slice::from_raw_parts_mut(self.start.add(position * self.row_stride + column), n)
        }
    }
}

/// Leaves the weighted sums of values in `scratch.sums` and their weights in `scratch.totals`.
fn attend(
    query: &View<4>,
    key: &View<4>,
    value: &View<4>,
    config: AttentionConfig,
    task: &Task,
    scratch: &mut Scratch,
) {
    let head_dim = query.dims[3];
    let past = key.dims[2] - query.dims[2];
    let rows = task.group * task.n_rows;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the kernel computes in f32"
    )]
    let scale = config.scale as f32;

    for head in 0..task.group {
        for i in 0..task.n_rows {
            let index = [
                task.batch,
                task.kv_head * task.group + head,
                task.start + i,
                0,
            ];
            let from = query.row(index, &mut scratch.row);
            let row = (head * task.n_rows + i) * head_dim;
            simd::scale_into(&mut scratch.queries[row..row + head_dim], from, scale);
        }
    }
    scratch.sums[..rows * head_dim].fill(0.0);
    scratch.maxima[..rows].fill(f32::NEG_INFINITY);
    scratch.totals[..rows].fill(0.0);

    // Keys that some query of the block sees, and those that query `i` sees.
    let end = past + task.start + task.n_rows;
    let reach = |position: usize| {
        config
            .window
            .map_or(0, |w| (position + 1).saturating_sub(w))
    };
    let mut tile = reach(past + task.start);
    while tile < end {
        let n_keys = KEYS.min(end - tile);
        let keys = key.from([task.batch, task.kv_head, tile, 0]);
        let scores = &mut scratch.scores;
        multiply(
            [rows, n_keys, head_dim],
            Matrix {
                data: &scratch.queries,
                strides: [head_dim.cast_signed(), 1],
            },
            Matrix {
                data: keys,
                strides: [key.strides[3], key.strides[2]],
            },
            &mut scores[..],
            KEYS,
            false,
        );
        for head in 0..task.group {
            for i in 0..task.n_rows {
                let row = head * task.n_rows + i;
                let position = past + task.start + i;
                let seen = (position + 1).saturating_sub(tile).min(n_keys);
                let first = reach(position).saturating_sub(tile).min(seen);
                let line = &mut scores[row * KEYS..][..n_keys];
                line[..first].fill(0.0);
                line[seen..].fill(0.0);
                let line = &mut line[first..seen];
                if line.is_empty() {
                    continue;
                }
                let max = simd::max(line);
                if max > scratch.maxima[row] {
                    let factor = (scratch.maxima[row] - max).exp();
                    scratch.maxima[row] = max;
                    scratch.totals[row] *= factor;
                    simd::scale_in_place(&mut scratch.sums[row * head_dim..][..head_dim], factor);
                }
                scratch.totals[row] += simd::exp_sum_in_place(line, scratch.maxima[row]);
            }
        }
        let values = value.from([task.batch, task.kv_head, tile, 0]);
        multiply(
            [rows, head_dim, n_keys],
            Matrix {
                data: scores,
                strides: [KEYS.cast_signed(), 1],
            },
            Matrix {
                data: values,
                strides: [value.strides[2], value.strides[3]],
            },
            &mut scratch.sums,
            head_dim,
            true,
        );
        tile += n_keys;
    }
}

/// A matrix inside a slice, by the strides of its rows and columns.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) data: &'a [f32],
    pub(super) strides: [isize; 2],
}

impl Matrix<'_> {
    fn holds(&self, rows: usize, columns: usize) -> bool {
        let [row, column] = self.strides;
        let last = (rows.cast_signed() - 1) * row + (columns.cast_signed() - 1) * column;
        row >= 0 && column >= 0 && last < self.data.len().cast_signed()
    }
}

/// `out = left · right`, or `out += left · right`, on the calling thread; `[m, n, k]` are the
/// sizes and `out` is row-major with rows `out_stride` apart.
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
        "operands inside their slices"
    );
    assert!(
        (m - 1) * out_stride + n <= out.len(),
        "result inside its slice"
    );
    // SAFETY: the assertions above keep every index inside its slice, and `out` is borrowed
    // mutably, so it does not overlap the operands.
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
