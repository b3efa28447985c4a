//! How many rows of scores or logits exist at once.

/// Bytes that the scores or logits of one chunk may take.
const CHUNK_BYTES: usize = 64 << 20;

/// Number of rows in a chunk if one row takes `row_bytes`.
pub(super) fn rows_per_chunk(row_bytes: usize, n_rows: usize) -> usize {
    (CHUNK_BYTES / row_bytes.max(1)).clamp(1, n_rows.max(1))
}
