//! How many rows of scores or logits exist at once.

/// Bytes that the scores of one block, or the logits of one chunk, may take on a CPU.
pub(crate) const CHUNK_BYTES: usize = 64 << 20;

/// Number of rows in a chunk of up to `chunk_bytes`, if one row takes `row_bytes`.
pub(super) fn rows_per_chunk(row_bytes: usize, n_rows: usize, chunk_bytes: usize) -> usize {
    (chunk_bytes / row_bytes.max(1)).clamp(1, n_rows.max(1))
}
