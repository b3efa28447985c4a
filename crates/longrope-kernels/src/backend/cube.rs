//! GPUs: CubeK's flash attention for half precision, and the composed implementations for everything else.
//!
//! CubeK's kernel has these limits:
//!
//! - It multiplies in `f16` whatever the input type is, so `f32` does not use it.
//! - It supports neither windows nor documents, soft caps or sinks.
//! - If there are fewer key heads than query heads, but more than one, it reads past the end of the keys.
//! - For shapes that it does not support, Burn silently falls back to an implementation that allocates all scores.
//!
//! Packed documents are attended to one at a time, unless they are short. Windows, caps and sinks are composed: with a window, the
//! scores of a chunk reach only as far as the window.
//!
//! Therefore each key head becomes an element of the batch, with the query heads that share it. And queries are
//! processed in chunks of equal size, each with the keys up to its own end: the fallback then needs little memory, half
//! of the masked products are skipped, and kernels are tuned only once.

use burn::backend::ops::{AttentionModuleOptions, ModuleOps};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Cube, TensorMetadata};
use burn::tensor::DType;

use super::kernels::{Kernels, Saved};
use crate::attention::config::AttentionConfig;
use crate::attention::documents::Documents;
use crate::composed::{CHUNK_BYTES, Float, attend_by_document, attention, wide};

/// Fewest queries of a chunk; CubeK needs multiples of this number.
const FEWEST_ROWS: usize = 128;
const MOST_ROWS: usize = 2048;
/// Documents with fewer tokens in the mean share chunks of the composed attention: each call of a kernel takes time too.
const SHORT_DOCUMENT: usize = 512;
/// Most bytes of a block of scores in the composed implementations: large enough that keys, values and their gradients are a
/// small part of the traffic, and that products keep a GPU busy.
const BLOCK_BYTES: usize = 256 << 20;
/// Most bytes that the scores of a chunk may take if the fallback allocates them.
const SCORE_BYTES: usize = 1 << 30;
/// Matrix units multiply tiles of this width.
const TILE: usize = 16;

impl Kernels for Cube {
    fn chunk_bytes(device: &Self::Device) -> usize {
        let largest = device.client().properties().memory.max_page_size;
        usize::try_from(largest).map_or(BLOCK_BYTES, |largest| largest.min(BLOCK_BYTES))
    }

    /// Matrix units are faster in `bf16`, and the scores are most of the traffic. Small gradients vanish in `f16`.
    fn attention_products(dtype: DType) -> DType {
        match dtype {
            DType::BF16 => DType::BF16,
            dtype => wide(dtype),
        }
    }

    fn attention_forward(
        inputs: [FloatTensor<Self>; 3],
        sinks: Option<FloatTensor<Self>>,
        config: &AttentionConfig,
    ) -> Saved<Self> {
        let inputs = inputs.map(Float);
        if sinks.is_some() || !suits_flash(&inputs, config) {
            return Saved::composed(inputs.map(|input| input.0), sinks, config);
        }
        let output = match &config.documents {
            None => flash(inputs, config),
            Some(documents) => attend_by_document(inputs, documents, |part| {
                let [_, _, rows, _] = part[0].dims();
                if rows < FEWEST_ROWS {
                    let plain = AttentionConfig {
                        documents: None,
                        ..config.clone()
                    };
                    return attention(part, None, &plain, CHUNK_BYTES).0;
                }
                flash(part, config)
            }),
        };
        Saved {
            output: output.0,
            log_sum_exp: None,
        }
    }
}

/// Whether [`flash`] computes this, or does for each document.
fn suits_flash([query, key, _]: &[Float<Cube>; 3], config: &AttentionConfig) -> bool {
    let [_, _, seq_q, head_dim] = query.dims();
    let [_, _, seq_kv, _] = key.dims();
    let suits = |documents: &Documents| {
        let rows = documents.batch() * documents.seq();
        let count: usize = (0..documents.batch())
            .map(|row| documents.ranges(row).len())
            .sum();
        seq_q == seq_kv && rows >= count * SHORT_DOCUMENT
    };
    matches!(query.0.dtype(), DType::F16 | DType::BF16)
        && config.softcap.is_none()
        && config.window.is_none()
        && config.documents.as_ref().is_none_or(suits)
        && seq_q >= FEWEST_ROWS
        && head_dim.is_multiple_of(TILE)
}

/// Causal attention by CubeK's kernel; of `config`, only the scale counts.
fn flash([query, key, value]: [Float<Cube>; 3], config: &AttentionConfig) -> Float<Cube> {
    let [batch, n_heads, seq_q, head_dim] = query.dims();
    let [_, n_kv_heads, seq_kv, _] = key.dims();
    let (n_groups, group) = (batch * n_kv_heads, n_heads / n_kv_heads);
    // With any scale but its own, `1 / sqrt(head_dim)`, Burn takes the fallback.
    let scale = config.scale * (head_dim as f64).sqrt();
    let query = if (scale - 1.0).abs() < 1e-9 {
        query
    } else {
        query.scale(scale)
    };
    let query = query.reshape([n_groups, group, seq_q, head_dim]);
    let key = key.reshape([n_groups, 1, seq_kv, head_dim]);
    let value = value.reshape([n_groups, 1, seq_kv, head_dim]);

    let n_rows = rows_of_chunk(batch * n_heads * seq_kv, seq_q);
    let past = seq_kv - seq_q;
    let mut parts = Vec::with_capacity(seq_q.div_ceil(n_rows));
    for start in (0..seq_q).step_by(n_rows) {
        // The last chunk overlaps the one before it, so that all have the same size.
        let first = start.min(seq_q - n_rows);
        let end = past + first + n_rows;
        let output = Float::<Cube>(Cube::attention(
            query.clone().part(2, first..first + n_rows).0,
            key.clone().part(2, 0..end).0,
            value.clone().part(2, 0..end).0,
            None,
            None,
            AttentionModuleOptions {
                scale: None,
                softcap: None,
                is_causal: true,
            },
        ));
        parts.push(output.part(2, start - first..n_rows));
    }
    Float::cat(parts, 2).reshape([batch, n_heads, seq_q, head_dim])
}

/// Rows of a chunk: the largest power of two whose scores fit into [`SCORE_BYTES`].
fn rows_of_chunk(scores_per_row: usize, seq_q: usize) -> usize {
    let mut n_rows = FEWEST_ROWS;
    while 2 * n_rows <= seq_q.min(MOST_ROWS) && 4 * 2 * n_rows * scores_per_row <= SCORE_BYTES {
        n_rows *= 2;
    }
    n_rows
}
