//! Causal attention with memory linear in the context.

use burn::tensor::{Bool, DType, Tensor, activation::softmax};

/// What an attention call may see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionConfig {
    /// Multiplies the scores before the softmax, usually `1 / sqrt(head_dim)`.
    pub scale: f64,
    /// A query sees itself and this many tokens less one before it; `None` is all of them.
    pub window: Option<usize>,
}

impl AttentionConfig {
    /// Full causal attention with scores divided by `sqrt(head_dim)`.
    pub fn causal(head_dim: usize) -> Self {
        Self {
            scale: 1.0 / (head_dim as f64).sqrt(),
            window: None,
        }
    }
}

/// Bytes that the scores of one chunk of queries may take in the composed body.
const SCORE_BYTES: usize = 64 << 20;

/// Causal softmax attention, `softmax(scale * q kᵀ + mask) v`.
///
/// The mask is bottom-right aligned: with fewer queries than keys the last query sees the last
/// key, so a sequence may be given in chunks of queries. Key/value heads may be fewer than query
/// heads (grouped-query attention); they are never repeated in memory. Softmax is taken in `f32`
/// at least.
///
/// # Shapes
/// - `query`: `[batch, n_heads, seq_q, head_dim]`
/// - `key`, `value`: `[batch, n_kv_heads, seq_kv, head_dim]`
/// - output: as `query`
///
/// # Panics
/// If the shapes do not fit together, or there are more queries than keys.
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
    assert!(seq_q <= seq_kv, "{seq_q} queries see only {seq_kv} keys");
    assert!(
        n_kv_heads > 0 && n_heads.is_multiple_of(n_kv_heads),
        "{n_heads} query heads do not share {n_kv_heads} key heads evenly"
    );
    #[cfg(feature = "flex")]
    if crate::has_flex_kernels(&query) {
        return crate::flex::attention(query, key, value, config);
    }
    composed(query, key, value, config)
}

/// The body made of Burn operations: exact softmax over chunks of queries.
#[expect(
    clippy::needless_pass_by_value,
    reason = "tensors are handles, passed as Burn passes them"
)]
fn composed(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    config: AttentionConfig,
) -> Tensor<4> {
    let [batch, n_heads, seq_q, head_dim] = query.dims();
    let [_, n_kv_heads, seq_kv, _] = key.dims();
    let group = n_heads / n_kv_heads;
    let past = seq_kv - seq_q;
    let rows = (SCORE_BYTES / (4 * batch * n_heads * seq_kv)).clamp(1, seq_q);

    let mut chunks = Vec::with_capacity(seq_q.div_ceil(rows));
    for start in (0..seq_q).step_by(rows) {
        let n_rows = rows.min(seq_q - start);
        let end = past + start + n_rows; // first key that no query of this chunk sees
        let first = config
            .window
            .map_or(0, |window| (past + start + 1).saturating_sub(window));
        let n_keys = end - first;
        // Heads that share a key head become rows of one matrix: no key is repeated.
        let q = query.clone().narrow(2, start, n_rows).reshape([
            batch,
            n_kv_heads,
            group * n_rows,
            head_dim,
        ]);
        let k = key.clone().narrow(2, first, n_keys);
        let v = value.clone().narrow(2, first, n_keys);
        let scores = (q * config.scale).matmul(k.swap_dims(2, 3)); // [b, kv, g·rows, keys]
        let hidden = hidden_keys(n_rows, past + start, first, n_keys, config.window, &scores)
            .reshape([1, 1, 1, n_rows, n_keys])
            .expand([batch, n_kv_heads, group, n_rows, n_keys])
            .reshape([batch, n_kv_heads, group * n_rows, n_keys]);
        let dtype = scores.dtype();
        let wide = if dtype == DType::F64 {
            DType::F64
        } else {
            DType::F32
        };
        let scores = scores.cast(wide).mask_fill(hidden, f32::NEG_INFINITY);
        let weights = softmax(scores, 3).cast(dtype);
        chunks.push(
            weights
                .matmul(v) // [b, kv, g·rows, d]
                .reshape([batch, n_heads, n_rows, head_dim]),
        );
    }
    Tensor::cat(chunks, 2)
}

/// `true` where a key is hidden from a query, `[n_rows, n_keys]`; the first row is the query at
/// position `row_start`, the first column the key at `first_key`.
fn hidden_keys<const D: usize>(
    n_rows: usize,
    row_start: usize,
    first_key: usize,
    n_keys: usize,
    window: Option<usize>,
    like: &Tensor<D>,
) -> Tensor<2, Bool> {
    let device = like.device();
    let offset = i64::try_from(row_start - first_key).unwrap_or(i64::MAX);
    let future = Tensor::<2, Bool>::tril_mask([n_rows, n_keys], offset, &device);
    match window {
        None => future,
        Some(window) => {
            let reach = offset - i64::try_from(window).unwrap_or(i64::MAX);
            // `tril_mask` is false on and below its diagonal: what it shows here is out of reach.
            let out_of_reach =
                Tensor::<2, Bool>::tril_mask([n_rows, n_keys], reach, &device).bool_not();
            future.bool_or(out_of_reach)
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    /// Plain softmax attention in `f64` over nested loops: the definition.
    pub(crate) fn reference(
        dims: (usize, usize, usize, usize, usize, usize),
        q: &[f32],
        k: &[f32],
        v: &[f32],
        config: AttentionConfig,
    ) -> Vec<f32> {
        let (batch, heads, kv_heads, seq_q, seq_kv, dim) = dims;
        let mut out = vec![0f32; q.len()];
        for b in 0..batch {
            for h in 0..heads {
                let kvh = h / (heads / kv_heads);
                for i in 0..seq_q {
                    let row = ((b * heads + h) * seq_q + i) * dim;
                    let last = seq_kv - seq_q + i;
                    let first = config.window.map_or(0, |w| (last + 1).saturating_sub(w));
                    let at = |j: usize| ((b * kv_heads + kvh) * seq_kv + j) * dim;
                    let scores: Vec<f64> = (first..=last)
                        .map(|j| {
                            config.scale
                                * (0..dim)
                                    .map(|c| f64::from(q[row + c]) * f64::from(k[at(j) + c]))
                                    .sum::<f64>()
                        })
                        .collect();
                    let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let total: f64 = scores.iter().map(|s| (s - max).exp()).sum();
                    for c in 0..dim {
                        let sum: f64 = scores
                            .iter()
                            .enumerate()
                            .map(|(j, s)| (s - max).exp() / total * f64::from(v[at(first + j) + c]))
                            .sum();
                        #[expect(clippy::cast_possible_truncation, reason = "compared in f32")]
                        {
                            out[row + c] = sum as f32;
                        }
                    }
                }
            }
        }
        out
    }

    /// Deterministic numbers in (-1, 1) that need no RNG.
    pub(crate) fn numbers(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..n)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let unit = (state >> 40) as f32 / (1u64 << 24) as f32;
                2.0 * unit - 1.0
            })
            .collect()
    }

    pub(crate) fn devices() -> Vec<Device> {
        vec![
            #[cfg(feature = "flex")]
            Device::flex(),
            #[cfg(feature = "ndarray")]
            #[expect(deprecated, reason = "ndarray is still one of our backends")]
            Device::ndarray(),
        ]
    }

    /// f32 sums of up to a thousand terms below one, in any order.
    const TOLERANCE: f32 = 1e-5;

    #[allow(
        clippy::too_many_arguments,
        reason = "a test helper with one argument per dimension"
    )]
    fn check(
        batch: usize,
        kv_heads: usize,
        group: usize,
        seq_q: usize,
        seq_kv: usize,
        dim: usize,
        window: Option<usize>,
        seed: u64,
    ) {
        let heads = kv_heads * group;
        let config = AttentionConfig {
            window,
            ..AttentionConfig::causal(dim)
        };
        let q: Vec<f32> = numbers(batch * heads * seq_q * dim, seed)
            .iter()
            .map(|x| 4.0 * x)
            .collect();
        let k = numbers(batch * kv_heads * seq_kv * dim, seed + 1);
        let v = numbers(batch * kv_heads * seq_kv * dim, seed + 2);
        let expected = reference(
            (batch, heads, kv_heads, seq_q, seq_kv, dim),
            &q,
            &k,
            &v,
            config,
        );
        for device in devices() {
            let tensor = |data: &[f32], shape: [usize; 4]| {
                Tensor::<4>::from_data(TensorData::new(data.to_vec(), shape), &device)
            };
            // Queries come from a projection as `[batch, seq, heads, dim]`: a strided view.
            let query = tensor(&q, [batch, heads, seq_q, dim])
                .swap_dims(1, 2)
                .reshape([batch, seq_q, heads * dim])
                .reshape([batch, seq_q, heads, dim])
                .swap_dims(1, 2);
            let found = attention(
                query,
                tensor(&k, [batch, kv_heads, seq_kv, dim]),
                tensor(&v, [batch, kv_heads, seq_kv, dim]),
                config,
            );
            let found = found.into_data().try_to_vec::<f32>().unwrap();
            for (at, (x, y)) in found.iter().zip(&expected).enumerate() {
                assert!(
                    (x - y).abs() < TOLERANCE,
                    "{device:?} at {at}: {x} is not {y}"
                );
            }
        }
    }

    #[test]
    fn equals_the_definition_around_block_borders() {
        for seq in [1, 127, 128, 129, 1000] {
            check(1, 1, 2, seq, seq, 8, None, 7);
        }
        check(2, 2, 2, 65, 700, 16, None, 8);
        check(1, 1, 1, 40, 640, 4, Some(33), 9);
    }

    #[test]
    fn chunks_of_queries_equal_the_whole() {
        for device in devices() {
            let make = |seed| {
                let data = TensorData::new(numbers(2 * 300 * 8, seed), [1, 2, 300, 8]);
                Tensor::<4>::from_data(data, &device)
            };
            let (q, k, v) = (make(1), make(2), make(3));
            let config = AttentionConfig::causal(8);
            let whole = attention(q.clone(), k.clone(), v.clone(), config);
            let parts = [(0, 110), (110, 190)].map(|(start, n)| {
                let end = start + n;
                attention(
                    q.clone().narrow(2, start, n),
                    k.clone().narrow(2, 0, end),
                    v.clone().narrow(2, 0, end),
                    config,
                )
            });
            let parts = Tensor::cat(parts.to_vec(), 2);
            let gap: f32 = (whole - parts).abs().max().into_scalar();
            assert!(gap < 1e-6, "{device:?}: {gap}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn equals_the_definition_on_random_shapes(
            batch in 1usize..3, kv_heads in 1usize..3, group in 1usize..9,
            seq_q in 1usize..90, past in 0usize..90, half_dim in 1usize..9,
            window in prop::option::of(1usize..60), seed in 0u64..1000,
        ) {
            check(batch, kv_heads, group, seq_q, seq_q + past, 2 * half_dim, window, seed);
        }
    }
}
