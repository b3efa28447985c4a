//! Causal attention with memory linear in the context.

pub(crate) mod config;
pub(crate) mod documents;
pub(crate) mod visible;

pub use config::AttentionConfig;
pub use documents::Documents;

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use crate::backend::operations::Operations;

/// Causal softmax attention, `softmax(scale * q kᵀ + mask) v`, and its gradients.
///
/// The mask is bottom-right aligned: with fewer queries than keys the last query sees the last
/// key, so a sequence may be given in chunks of queries. Key/value heads may be fewer than query
/// heads (grouped-query attention); they are never repeated in memory. Scores and softmax are `f32`
/// at least.
///
/// The backward pass computes the scores again, block by block: what it needs besides its inputs
/// and output is one number per query (Dao et al., arXiv 2205.14135, appendix B.4).
///
/// # Shapes
/// - `query`: `[batch, n_heads, seq_q, head_dim]`
/// - `key`, `value`: `[batch, n_kv_heads, seq_kv, head_dim]`
/// - output: as `query`
///
/// # Panics
/// If the shapes do not fit together, there are more queries than keys, the window is 0, or the
/// documents do not cover the keys.
pub fn attention(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    config: AttentionConfig,
) -> Tensor<4> {
    let [batch, n_heads, seq_q, head_dim] = query.dims();
    let [kv_batch, n_kv_heads, seq_kv, key_dim] = key.dims();
    assert_eq!(
        (kv_batch, key_dim),
        (batch, head_dim),
        "batch and head_dim of the keys"
    );
    assert_eq!(value.dims(), key.dims(), "values are shaped as the keys");
    assert!(
        0 < seq_q && seq_q <= seq_kv,
        "{seq_q} queries see only {seq_kv} keys"
    );
    assert!(
        n_kv_heads > 0 && n_heads.is_multiple_of(n_kv_heads),
        "{n_heads} query heads do not share {n_kv_heads} key heads evenly"
    );
    assert!(config.window != Some(0), "a window of no tokens");
    if let Some(documents) = &config.documents {
        assert_eq!(
            (documents.batch(), documents.seq()),
            (batch, seq_kv),
            "documents of every key of every sequence"
        );
    }
    Tensor::from_dispatch(<Dispatch as Operations>::attention(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
        config,
    ))
}
