//! Causal attention with memory linear in the context.

pub(crate) mod config;
pub(crate) mod documents;
mod merge;
pub(crate) mod visible;

pub use config::AttentionConfig;
pub use documents::Documents;
pub use merge::merge_attention;

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use crate::backend::operations::Operations;
use crate::softcap::assert_softcap;

/// Causal softmax attention, `softmax(cap(scale * q kᵀ) + mask) v`, and its gradients.
///
/// `cap(s)` is `s`, or `c · tanh(s / c)` if there is a soft cap `c` (Gemma Team, arXiv 2408.00118, section 2).
///
/// The mask is aligned to the bottom right: if there are fewer queries than keys, the last query sees the last key. So
/// a sequence can be processed in chunks of queries. There may be fewer key/value heads than query heads (grouped-query
/// attention); they are never repeated in memory. Scores and softmax are computed in `f32` or wider.
///
/// The backward pass recomputes the scores block by block. Besides inputs and output it stores one number per query
/// (Dao et al., arXiv 2205.14135, appendix B.4).
///
/// # Shapes
/// - `query`: `[batch, n_heads, seq_q, head_dim]`
/// - `key`, `value`: `[batch, n_kv_heads, seq_kv, head_dim]`
/// - output: the shape of `query`
///
/// # Panics
/// If the shapes do not match, there are more queries than keys, the window is 0, the soft cap is not a positive finite
/// number, or the documents do not cover the keys.
pub fn attention(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    config: AttentionConfig,
) -> Tensor<4> {
    assert_shapes(&query, &key, &value, &config);
    Tensor::from_dispatch(<Dispatch as Operations>::attention(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
        config,
    ))
}

/// [`attention()`] with a sink: a learned score of each query head that takes a share of the softmax, but has no value.
///
/// A weight is `exp(s_j) / (exp(sink) + Σ_i exp(s_i))`, so the weights of a query sum to less than 1 (gpt-oss, arXiv
/// 2508.10925, section 2.2). The sink is neither multiplied by the scale nor capped. It gets a gradient like queries,
/// keys and values. A sink of minus infinity gives [`attention()`].
///
/// # Shapes
/// - `query`: `[batch, n_heads, seq_q, head_dim]`
/// - `key`, `value`: `[batch, n_kv_heads, seq_kv, head_dim]`
/// - `sinks`: `[n_heads]`
/// - output: the shape of `query`
///
/// # Panics
/// As [`attention()`], and if there is not one sink per query head.
pub fn attention_with_sinks(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    sinks: Tensor<1>,
    config: AttentionConfig,
) -> Tensor<4> {
    assert_shapes(&query, &key, &value, &config);
    let [_, n_heads, _, _] = query.dims();
    assert_eq!(sinks.dims(), [n_heads], "one sink per query head");
    Tensor::from_dispatch(<Dispatch as Operations>::attention_with_sinks(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
        sinks.into_dispatch(),
        config,
    ))
}

/// [`attention()`], and the log-sum-exp of each query's scores: `ln Σ exp(s_j)` over the keys that it sees.
///
/// With it, attentions over different keys can be merged to one over all of them; see [`merge_attention`]. There are no
/// gradients.
///
/// # Shapes
/// - `query`: `[batch, n_heads, seq_q, head_dim]`
/// - `key`, `value`: `[batch, n_kv_heads, seq_kv, head_dim]`
/// - output: the shape of `query`, and `[batch, n_heads, seq_q]` in `f32` or wider
///
/// # Panics
/// As [`attention()`], and if autodiff tracks an input.
pub fn attention_with_log_sum_exp(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    config: AttentionConfig,
) -> (Tensor<4>, Tensor<3>) {
    assert_shapes(&query, &key, &value, &config);
    let (output, sums) = <Dispatch as Operations>::attention_with_log_sum_exp(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
        config,
    );
    (Tensor::from_dispatch(output), Tensor::from_dispatch(sums))
}

fn assert_shapes(query: &Tensor<4>, key: &Tensor<4>, value: &Tensor<4>, config: &AttentionConfig) {
    let [batch, n_heads, seq_q, head_dim] = query.dims();
    let [kv_batch, n_kv_heads, seq_kv, key_dim] = key.dims();
    assert_eq!(
        (kv_batch, key_dim),
        (batch, head_dim),
        "batch and head_dim of the keys"
    );
    assert_eq!(
        value.dims(),
        key.dims(),
        "values have the shape of the keys"
    );
    assert!(
        0 < seq_q && seq_q <= seq_kv,
        "{seq_q} queries, but only {seq_kv} keys"
    );
    assert!(
        n_kv_heads > 0 && n_heads.is_multiple_of(n_kv_heads),
        "{n_heads} query heads are not a multiple of {n_kv_heads} key heads"
    );
    assert!(config.window != Some(0), "the window is 0");
    assert_softcap(config.softcap);
    if let Some(documents) = &config.documents {
        assert_eq!(
            (documents.batch(), documents.seq()),
            (batch, seq_kv),
            "documents cover every key of every sequence"
        );
    }
}
