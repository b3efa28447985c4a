//! Attention whose far keys are rotated to other positions than near ones.

use burn::tensor::Tensor;
use longrope_kernels::{AttentionConfig, attention_with_log_sum_exp, merge_attention};

/// Attention of queries to the keys less than `n_near` tokens before them, rotated in one way, and to all earlier keys,
/// rotated in another; both share one softmax.
///
/// The last query sees the last key. The distances of far keys begin at `n_near`, so among the keys up to `n_near` tokens before
/// the end, the far part is causal attention again: nothing of size `[seq, seq]` is needed. A sink is one more score, whose
/// value is 0.
///
/// # Shapes
/// - `queries`: `[batch, n_heads, seq, head_dim]`, as near keys and as far keys see them
/// - `keys`: `[batch, 2 · n_kv_heads, n_keys, head_dim]`, as near queries and then as far ones see them
/// - `values`: `[batch, n_kv_heads, n_keys, head_dim]`
/// - `sinks`: `[n_heads]`
/// - output: `[batch, n_heads, seq, head_dim]`
pub(crate) fn grouped_attention(
    [near_queries, far_queries]: [Tensor<4>; 2],
    keys: &Tensor<4>,
    values: Tensor<4>,
    sinks: Option<Tensor<1>>,
    n_near: usize,
    config: AttentionConfig,
) -> Tensor<4> {
    let [_, _, seq, _] = near_queries.dims();
    let [_, n_kv_heads, n_keys, _] = values.dims();
    let [near_keys, far_keys] =
        [0, n_kv_heads].map(|first| keys.clone().narrow(1, first, n_kv_heads));
    let reach = config.window.unwrap_or(usize::MAX);
    let near_config = AttentionConfig {
        window: Some(n_near.min(reach)),
        ..config.clone()
    };
    let (mixed, sum) =
        attention_with_log_sum_exp(near_queries, near_keys, values.clone(), near_config);

    let n_far_keys = n_keys.saturating_sub(n_near);
    // The last of the queries see far keys, as many as there are such keys at most.
    let n_far = seq.min(n_far_keys);
    let (mixed, sum) = if n_far == 0 || reach <= n_near {
        (mixed, sum)
    } else {
        let rest = seq - n_far;
        let far_config = AttentionConfig {
            window: config.window.map(|reach| reach - n_near),
            ..config
        };
        let far = attention_with_log_sum_exp(
            far_queries.narrow(2, rest, n_far),
            far_keys.narrow(2, 0, n_far_keys),
            values.narrow(2, 0, n_far_keys),
            far_config,
        );
        let last = (
            mixed.clone().narrow(2, rest, n_far),
            sum.clone().narrow(2, rest, n_far),
        );
        let (merged, merged_sum) = merge_attention([last, far]);
        if rest == 0 {
            (merged, merged_sum)
        } else {
            let first = (mixed.narrow(2, 0, rest), sum.narrow(2, 0, rest));
            (
                Tensor::cat(vec![first.0, merged], 2),
                Tensor::cat(vec![first.1, merged_sum], 2),
            )
        }
    };
    match sinks {
        None => mixed,
        Some(sinks) => beside_sinks(mixed, sum, sinks),
    }
}

/// Attention with sinks, given that without and the log-sum-exp of its scores, `[batch, n_heads, seq]`.
fn beside_sinks(mixed: Tensor<4>, sum: Tensor<3>, sinks: Tensor<1>) -> Tensor<4> {
    // The share of the softmax that the sink leaves: 1 / (1 + e^(sink - sum)).
    let sinks = sinks
        .cast(sum.dtype())
        .unsqueeze::<2>()
        .unsqueeze_dim::<3>(2); // [1, h, 1]
    let share = ((sinks - sum).exp() + 1.0).recip().unsqueeze_dim::<4>(3);
    let dtype = mixed.dtype();
    (mixed.cast(share.dtype()) * share).cast(dtype)
}

#[cfg(test)]
#[path = "grouped_attention_tests.rs"]
mod tests;
