//! Attention and its gradients.

use burn::tensor::{DType, Device, Tensor};
use longrope_kernels::{
    AttentionConfig, Documents, attention, attention_with_log_sum_exp, attention_with_sinks,
    merge_attention,
};
use proptest::prelude::*;

use crate::support::{
    assert_close, device, gradient, is_gpu, n_cases, numbers, precisions, scaled, tensor, tracked,
    values,
};

/// A call of attention, on numbers that depend only on the seed.
#[derive(Clone, Debug)]
struct Case {
    batch: usize,
    kv_heads: usize,
    group: usize,
    seq_q: usize,
    seq_kv: usize,
    dim: usize,
    softcap: Option<f64>,
    /// The mean of the sinks of the heads.
    sinks: Option<f64>,
    window: Option<usize>,
    /// Document lengths of each sequence.
    documents: Option<Vec<Vec<usize>>>,
    seed: u64,
}

impl Case {
    fn square(seq: usize) -> Self {
        Self {
            batch: 1,
            kv_heads: 1,
            group: 2,
            seq_q: seq,
            seq_kv: seq,
            dim: 8,
            softcap: None,
            sinks: None,
            window: None,
            documents: None,
            seed: 7,
        }
    }

    fn heads(&self) -> usize {
        self.kv_heads * self.group
    }

    fn config(&self) -> AttentionConfig {
        AttentionConfig {
            softcap: self.softcap,
            window: self.window,
            documents: self.documents.as_deref().map(Documents::from_lengths),
            ..AttentionConfig::causal(self.dim)
        }
    }

    fn query_dims(&self) -> [usize; 4] {
        [self.batch, self.heads(), self.seq_q, self.dim]
    }

    fn key_dims(&self) -> [usize; 4] {
        [self.batch, self.kv_heads, self.seq_kv, self.dim]
    }

    /// Queries, keys, values, and gradients of the output.
    fn inputs(&self) -> [Vec<f64>; 4] {
        let (n_q, n_k) = (
            self.query_dims().iter().product(),
            self.key_dims().iter().product(),
        );
        let seed = 4 * self.seed;
        [
            scaled(numbers(n_q, seed), 4.0),
            numbers(n_k, seed + 1),
            numbers(n_k, seed + 2),
            numbers(n_q, seed + 3),
        ]
    }

    /// The sink of each head.
    fn sinks(&self) -> Option<Vec<f64>> {
        let mean = self.sinks?;
        let sinks = numbers(self.heads(), self.seed + 17);
        // Rounded to f32, so that both precisions start from the same numbers.
        #[expect(clippy::cast_possible_truncation, reason = "rounded to f32")]
        let sinks = sinks.iter().map(|x| f64::from((mean + x) as f32));
        Some(sinks.collect())
    }

    /// Output and gradients of queries, keys, values and sinks by the definition: softmax attention as nested loops.
    fn reference(&self) -> [Vec<f64>; 5] {
        let [q, k, v, grad] = self.inputs();
        let scale = 1.0 / (self.dim as f64).sqrt();
        let mut out = vec![0.0; q.len()];
        let mut d_q = vec![0.0; q.len()];
        let (mut d_k, mut d_v) = (vec![0.0; k.len()], vec![0.0; k.len()]);
        let sinks = self.sinks().unwrap_or_default();
        let mut d_sinks = vec![0.0; sinks.len()];
        let dot = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
        let add = |to: &mut [f64], factor: f64, from: &[f64]| {
            to.iter_mut()
                .zip(from)
                .for_each(|(to, x)| *to += factor * x);
        };
        for (b, h, i) in self.queries() {
            let row = |at: usize| at * self.dim..(at + 1) * self.dim;
            let q_at = row((b * self.heads() + h) * self.seq_q + i);
            let kv = b * self.kv_heads + h / self.group;
            let seen: Vec<usize> = (0..self.seq_kv).filter(|j| self.sees(b, i, *j)).collect();
            let k_at = |j: usize| row(kv * self.seq_kv + j);
            let scores = seen
                .iter()
                .map(|j| scale * dot(&q[q_at.clone()], &k[k_at(*j)]));
            // The cap of a score, and its slope there.
            let capped = scores.map(|s| match self.softcap {
                None => (s, 1.0),
                Some(cap) => (cap * (s / cap).tanh(), (s / cap).cosh().powi(-2)),
            });
            let (scores, slopes): (Vec<f64>, Vec<f64>) = capped.unzip();
            let sink = sinks.get(h).copied().unwrap_or(f64::NEG_INFINITY);
            let max = scores.iter().copied().fold(sink, f64::max);
            let p_sink = (sink - max).exp();
            let total: f64 = scores.iter().map(|s| (s - max).exp()).sum::<f64>() + p_sink;
            let p_sink = p_sink / total;
            let p: Vec<f64> = scores.iter().map(|s| (s - max).exp() / total).collect();
            for (p, j) in p.iter().zip(&seen) {
                add(&mut out[q_at.clone()], *p, &v[k_at(*j)]);
            }
            let along = dot(&out[q_at.clone()], &grad[q_at.clone()]);
            if let Some(d_sink) = d_sinks.get_mut(h) {
                *d_sink -= p_sink * along;
            }
            for ((p, slope), j) in p.iter().zip(&slopes).zip(&seen) {
                let d_p = dot(&grad[q_at.clone()], &v[k_at(*j)]);
                let d_s = scale * slope * p * (d_p - along);
                add(&mut d_q[q_at.clone()], d_s, &k[k_at(*j)]);
                add(&mut d_k[k_at(*j)], d_s, &q[q_at.clone()]);
                add(&mut d_v[k_at(*j)], *p, &grad[q_at.clone()]);
            }
        }
        [out, d_q, d_k, d_v, d_sinks]
    }

    fn queries(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let (batch, heads, seq_q) = (self.batch, self.heads(), self.seq_q);
        (0..batch)
            .flat_map(move |b| (0..heads).flat_map(move |h| (0..seq_q).map(move |i| (b, h, i))))
    }

    /// Whether the query at `i` of sequence `b` sees the key at `j`.
    fn sees(&self, b: usize, i: usize, j: usize) -> bool {
        let position = self.seq_kv - self.seq_q + i;
        let near = self.window.is_none_or(|window| position < j + window);
        let document = |at: usize| {
            let lengths = &self.documents.as_ref()?[b];
            let mut end = 0;
            lengths.iter().position(|length| {
                end += length;
                at < end
            })
        };
        j <= position && near && document(position) == document(j)
    }

    fn check(&self) {
        let expected = self.reference();
        for (dtype, tolerance) in precisions() {
            let found = self.run(dtype);
            for ((name, found), expected) in ["output", "queries", "keys", "values", "sinks"]
                .iter()
                .zip(found)
                .zip(&expected)
            {
                assert_close(
                    &found,
                    expected,
                    tolerance,
                    &format!("{name}, {dtype:?}, {self:?}"),
                );
            }
        }
    }

    /// Output and gradients computed by the library.
    fn run(&self, dtype: DType) -> [Vec<f64>; 5] {
        let device = device();
        let [q, k, v, grad] = self.inputs();
        let [batch, heads, seq_q, dim] = self.query_dims();
        // Queries come from a projection as `[batch, seq, heads, dim]`: a strided view.
        let query = tracked(&q, self.query_dims(), dtype, &device);
        let view = query
            .clone()
            .swap_dims(1, 2)
            .reshape([batch, seq_q, heads * dim])
            .reshape([batch, seq_q, heads, dim])
            .swap_dims(1, 2);
        let key = tracked(&k, self.key_dims(), dtype, &device);
        let value = tracked(&v, self.key_dims(), dtype, &device);
        let sinks = self
            .sinks()
            .map(|sinks| tracked(&sinks, [heads], dtype, &device));
        let inputs = (view, key.clone(), value.clone());
        let output = self.attend(inputs, sinks.clone());
        let grad = tensor(&grad, self.query_dims(), dtype, &device);
        let gradients = (output.clone() * grad).sum().backward();
        [
            values(output.without_autodiff()),
            gradient(&query, &gradients),
            gradient(&key, &gradients),
            gradient(&value, &gradients),
            sinks.map_or_else(Vec::new, |sinks| gradient(&sinks, &gradients)),
        ]
    }

    /// Queries, keys and values of a type.
    fn tensors(
        &self,
        [q, k, v]: [&[f64]; 3],
        dtype: DType,
        device: &Device,
    ) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
        let of_keys = |numbers: &[f64]| tensor(numbers, self.key_dims(), dtype, device);
        let query = tensor(q, self.query_dims(), dtype, device);
        (query, of_keys(k), of_keys(v))
    }

    fn attend(
        &self,
        (query, key, value): (Tensor<4>, Tensor<4>, Tensor<4>),
        sinks: Option<Tensor<1>>,
    ) -> Tensor<4> {
        match sinks {
            None => attention(query, key, value, self.config()),
            Some(sinks) => attention_with_sinks(query, key, value, sinks, self.config()),
        }
    }
}

#[test]
fn equals_the_definition_around_block_borders() {
    let lengths: &[usize] = if is_gpu() {
        &[1, 129]
    } else {
        &[1, 127, 128, 129, 1000]
    };
    for seq in lengths {
        Case::square(*seq).check();
    }
}

#[test]
fn equals_the_definition_with_fewer_queries_than_keys() {
    let case = Case {
        batch: 2,
        kv_heads: 2,
        dim: 16,
        seq_q: 65,
        ..Case::square(700)
    };
    case.check();
    Case { seq_q: 1, ..case }.check();
}

#[test]
fn equals_the_definition_in_windows_and_documents() {
    let seq = if is_gpu() { 100 } else { 640 };
    let window = Case {
        window: Some(33),
        group: 1,
        dim: 4,
        ..Case::square(seq)
    };
    window.check();
    let documents = Case {
        batch: 2,
        documents: Some(vec![vec![1, seq / 2 - 21, seq / 2 + 20], vec![seq]]),
        ..window
    };
    documents.check();
    Case {
        window: None,
        seq_q: seq / 3,
        ..documents
    }
    .check();
}

/// Scores reach about 5 here: one cap bends them a little, the other flattens most of them.
#[test]
fn equals_the_definition_with_a_soft_cap() {
    let seq = if is_gpu() { 100 } else { 390 };
    for cap in [6.0, 0.4] {
        let whole = Case {
            softcap: Some(cap),
            kv_heads: 2,
            ..Case::square(seq)
        };
        whole.check();
        let limited = Case {
            batch: 2,
            seq_q: seq / 3,
            window: Some(33),
            documents: Some(vec![vec![1, seq / 2 - 21, seq / 2 + 20], vec![seq]]),
            ..whole
        };
        limited.check();
    }
}

/// Attention to the nearest keys and attention to all earlier ones make up attention to all keys.
#[test]
fn attentions_over_parts_of_the_keys_are_merged_to_that_over_all() {
    let seq = if is_gpu() { 130 } else { 390 };
    let square = Case {
        batch: 2,
        kv_heads: 2,
        ..Case::square(seq)
    };
    let few = Case {
        seq_q: 65,
        softcap: Some(2.0),
        ..square.clone()
    };
    for (case, near) in [(&square, 1), (&square, 100), (&few, 33), (&few, seq - 65)] {
        let device = device();
        let [q, k, v, _] = case.inputs();
        let expected = case.reference();
        for (dtype, tolerance) in precisions() {
            let query: Tensor<4> = tensor(&q, case.query_dims(), dtype, &device);
            let [key, value]: [Tensor<4>; 2] =
                [&k, &v].map(|it| tensor(it, case.key_dims(), dtype, &device));
            let window = AttentionConfig {
                window: Some(near),
                ..case.config()
            };
            let whole = attention_with_log_sum_exp(
                query.clone(),
                key.clone(),
                value.clone(),
                case.config(),
            );
            let (output, sum) =
                attention_with_log_sum_exp(query.clone(), key.clone(), value.clone(), window);
            let n_far_keys = case.seq_kv - near;
            let n_far = case.seq_q.min(n_far_keys);
            let rest = case.seq_q - n_far;
            let far = attention_with_log_sum_exp(
                query.narrow(2, rest, n_far),
                key.narrow(2, 0, n_far_keys),
                value.narrow(2, 0, n_far_keys),
                case.config(),
            );
            let near_part = (
                output.clone().narrow(2, rest, n_far),
                sum.clone().narrow(2, rest, n_far),
            );
            let (merged, merged_sum) = merge_attention([near_part, far]);
            let (merged, merged_sum) = match rest {
                0 => (merged, merged_sum),
                _ => (
                    Tensor::cat(vec![output.narrow(2, 0, rest), merged], 2),
                    Tensor::cat(vec![sum.narrow(2, 0, rest), merged_sum], 2),
                ),
            };
            let what = format!("{dtype:?}, near {near}, {case:?}");
            assert_close(&values(merged), &expected[0], tolerance, &what);
            assert_close(&values(whole.0), &expected[0], tolerance, &what);
            assert_close(&values(merged_sum), &values(whole.1), tolerance, &what);
        }
    }
}

#[test]
fn the_log_sum_exp_of_one_key_is_its_score() {
    let device = device();
    let config = AttentionConfig {
        scale: 0.5,
        ..AttentionConfig::causal(2)
    };
    let query: Tensor<4> = tensor(&[3.0, 4.0], [1, 1, 1, 2], DType::F32, &device);
    let key: Tensor<4> = tensor(&[10.0, 20.0], [1, 1, 1, 2], DType::F32, &device);
    let (output, sum) = attention_with_log_sum_exp(query, key.clone(), key, config);
    assert_close(&values(output), &[10.0, 20.0], 1e-6, "output");
    assert_close(&values(sum), &[55.0], 1e-6, "log-sum-exp");
}

/// Nothing overflows: the part with the larger log-sum-exp takes all.
#[test]
fn parts_with_very_different_scores_are_merged_exactly() {
    let device = device();
    let part = |value: f64, sum: f64| {
        let output: Tensor<4> = tensor(&[value], [1, 1, 1, 1], DType::F32, &device);
        let sum: Tensor<3> = tensor(&[sum], [1, 1, 1], DType::F32, &device);
        (output, sum)
    };
    let both = 3.0 + 2.0_f64.ln();
    for (first, second, expected, expected_sum) in [
        (1e4, -1e4, 1.0, 1e4),
        (-1e4, 1e4, 2.0, 1e4),
        (3.0, 3.0, 1.5, both),
    ] {
        let (merged, sum) = merge_attention([part(1.0, first), part(2.0, second)]);
        assert_close(&values(merged), &[expected], 1e-6, "output");
        assert_close(&values(sum), &[expected_sum], 1e-6, "log-sum-exp");
    }
}

#[test]
#[should_panic(expected = "has no gradients")]
fn a_log_sum_exp_is_refused_under_autodiff() {
    let query = tracked(&[1.0, 2.0], [1, 1, 1, 2], DType::F32, &device());
    let key = query.clone().without_autodiff();
    let key: Tensor<4> = key.autodiff();
    attention_with_log_sum_exp(query, key.clone(), key, AttentionConfig::causal(2));
}

/// A sink above the scores takes nearly all of the softmax, one below them nearly nothing.
#[test]
fn equals_the_definition_with_sinks() {
    let seq = if is_gpu() { 100 } else { 390 };
    for mean in [0.0, 7.0, -7.0, 1e4, -1e4] {
        let whole = Case {
            sinks: Some(mean),
            batch: 2,
            kv_heads: 2,
            ..Case::square(seq)
        };
        whole.check();
        let limited = Case {
            softcap: Some(2.0),
            seq_q: seq / 3,
            window: Some(33),
            documents: Some(vec![vec![1, seq / 2 - 21, seq / 2 + 20], vec![seq]]),
            ..whole
        };
        limited.check();
    }
}

#[test]
fn a_sink_without_weight_changes_nothing_and_one_that_is_not_a_number_is_not_swallowed() {
    let device = device();
    let case = Case::square(130);
    let [q, k, v, _] = case.inputs();
    let query: Tensor<4> = tensor(&q, case.query_dims(), DType::F32, &device);
    let [key, value]: [Tensor<4>; 2] =
        [k, v].map(|data| tensor(&data, case.key_dims(), DType::F32, &device));
    let attend = |sinks: Option<[f64; 2]>| {
        let sinks = sinks.map(|sinks| tensor(&sinks, [2], DType::F32, &device));
        values(case.attend((query.clone(), key.clone(), value.clone()), sinks))
    };
    let plain = attend(None);
    assert_eq!(attend(Some([f64::NEG_INFINITY; 2])), plain);
    let bad = attend(Some([f64::NAN, f64::NEG_INFINITY]));
    let (first, second) = bad.split_at(bad.len() / 2);
    assert!(first.iter().all(|x| x.is_nan()));
    assert_eq!(second, &plain[plain.len() / 2..]);
}

#[test]
#[should_panic(expected = "one sink per query head")]
fn there_is_one_sink_per_query_head() {
    let device = device();
    let zeros: Tensor<4> = Tensor::zeros([1, 2, 2, 4], &device);
    let sinks = Tensor::<1>::zeros([1], &device);
    let config = AttentionConfig::causal(4);
    let _ = attention_with_sinks(zeros.clone(), zeros.clone(), zeros, sinks, config);
}

#[test]
fn a_score_that_is_not_a_number_is_not_swallowed() {
    const BAD: usize = 70;
    let device = device();
    for softcap in [None, Some(2.0)] {
        let case = Case {
            softcap,
            group: 1,
            ..Case::square(130)
        };
        let [q, mut k, v, _] = case.inputs();
        k[BAD * case.dim] = f64::NAN;
        let [query, key, value]: [Tensor<4>; 3] =
            [q, k, v].map(|data| tensor(&data, case.query_dims(), DType::F32, &device));
        let found = values(attention(query, key, value, case.config()));
        for (position, row) in found.chunks(case.dim).enumerate() {
            let is_nan = row.iter().all(|x| x.is_nan());
            assert_eq!(is_nan, position >= BAD, "{softcap:?}, position {position}");
        }
    }
}

#[test]
#[should_panic(expected = "the soft cap is Some(0.0)")]
fn a_soft_cap_is_positive() {
    let zeros: Tensor<4> = Tensor::zeros([1, 1, 2, 4], &device());
    let config = AttentionConfig {
        softcap: Some(0.0),
        ..AttentionConfig::causal(4)
    };
    let _ = attention(zeros.clone(), zeros.clone(), zeros, config);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(n_cases()))]
    #[test]
    fn equals_the_definition_on_random_shapes(
        batch in 1usize..3, kv_heads in 1usize..3, group in 1usize..9,
        seq_q in 1usize..90, past in 0usize..90, half_dim in 1usize..9,
        softcap in prop::option::of(0.2f64..20.0), sinks in prop::option::of(-9f64..9.0),
        window in prop::option::of(1usize..60), borders in prop::option::of(0usize..179),
        seed in 0u64..1000,
    ) {
        let seq_kv = seq_q + past;
        // Two documents in the first sequence, one in the others.
        let documents = borders.filter(|border| *border < seq_kv).map(|border| {
            let mut all = vec![vec![seq_kv]; batch];
            all[0] = vec![border, seq_kv - border];
            all
        });
        let dim = 2 * half_dim;
        Case {
            batch, kv_heads, group, seq_q, seq_kv, dim, softcap, sinks, window, documents, seed,
        }.check();
    }
}

#[test]
fn chunks_of_queries_equal_the_whole() {
    let device = device();
    let make = |seed| {
        let data = numbers(2 * 300 * 8, seed);
        tensor(&data, [1, 2, 300, 8], DType::F32, &device)
    };
    let (q, k, v): (Tensor<4>, Tensor<4>, Tensor<4>) = (make(1), make(2), make(3));
    let config = AttentionConfig {
        softcap: Some(0.5),
        ..AttentionConfig::causal(8)
    };
    let sinks: Tensor<1> = tensor(&[0.5, -2.0], [2], DType::F32, &device);
    let whole = attention_with_sinks(
        q.clone(),
        k.clone(),
        v.clone(),
        sinks.clone(),
        config.clone(),
    );
    let parts = [(0, 110), (110, 190)].map(|(start, n)| {
        let end = start + n;
        attention_with_sinks(
            q.clone().narrow(2, start, n),
            k.clone().narrow(2, 0, end),
            v.clone().narrow(2, 0, end),
            sinks.clone(),
            config.clone(),
        )
    });
    let parts = values(Tensor::cat(parts.to_vec(), 2));
    // The same sums in f32, but in blocks with other boundaries.
    assert_close(&parts, &values(whole), 1e-6, "chunks");
}

#[test]
fn a_packed_sequence_is_its_documents_one_by_one() {
    let packed = Case {
        documents: Some(vec![vec![70, 1, 129]]),
        ..Case::square(200)
    };
    let [q, k, v, _] = packed.inputs();
    let device = device();
    let query: Tensor<4> = tensor(&q, packed.query_dims(), DType::F32, &device);
    let [key, value]: [Tensor<4>; 2] =
        [k, v].map(|numbers| tensor(&numbers, packed.key_dims(), DType::F32, &device));
    let whole = attention(query.clone(), key.clone(), value.clone(), packed.config());
    for (start, n) in [(0, 70), (70, 1), (71, 129)] {
        let part = |it: &Tensor<4>| it.clone().narrow(2, start, n);
        let alone = attention(
            part(&query),
            part(&key),
            part(&value),
            AttentionConfig::causal(packed.dim),
        );
        // The same sums in f32, but in blocks with other boundaries.
        assert_close(&values(part(&whole)), &values(alone), 1e-6, "document");
    }
}

#[test]
fn gradients_do_not_depend_on_timing() {
    let case = Case {
        kv_heads: 2,
        ..Case::square(if is_gpu() { 100 } else { 1500 })
    };
    let first = case.run(DType::F32);
    for _ in 0..if is_gpu() { 1 } else { 5 } {
        assert_eq!(case.run(DType::F32), first);
    }
}

/// Half-precision types, and how near they come: products are computed in half precision or in f32, and sums in f32. The error
/// comes from rounding inputs, weights and result to 11 or 8 bits.
const HALVES: [(DType, f64); 2] = [(DType::F16, 5e-3), (DType::BF16, 4e-2)];

/// Also where there are many more keys than queries.
#[test]
fn half_precision_without_sinks_is_near_the_definition() {
    let device = device();
    for (seq_q, seq_kv) in [(128, 128), (300, 300), (128, 700)] {
        let case = Case {
            kv_heads: 2,
            dim: 64,
            seq_kv,
            ..Case::square(seq_q)
        };
        let [expected, ..] = case.reference();
        let [q, k, v, _] = case.inputs();
        for (dtype, tolerance) in HALVES {
            if !device.supports_dtype(dtype) {
                continue;
            }
            let inputs = case.tensors([&q, &k, &v], dtype, &device);
            let found = case.attend(inputs, None);
            assert_eq!(found.dtype(), dtype);
            let name = format!("{seq_q} queries, {seq_kv} keys, {dtype:?}");
            assert_close(&values(found), &expected, tolerance, &name);
        }
    }
}

#[test]
fn half_precision_sums_in_single() {
    let device = device();
    let case = Case {
        kv_heads: 2,
        dim: 16,
        sinks: Some(1.0),
        ..Case::square(300)
    };
    let [expected, .., d_sinks] = case.reference();
    let [q, k, v, grad] = case.inputs();
    for (dtype, tolerance) in [(DType::F16, 5e-3), (DType::BF16, 4e-2)] {
        if !device.supports_dtype(dtype) {
            continue;
        }
        let query: Tensor<4> = tensor(&q, case.query_dims(), dtype, &device);
        let [key, value]: [Tensor<4>; 2] =
            [&k, &v].map(|numbers| tensor(numbers, case.key_dims(), dtype, &device));
        let sinks = case.sinks().expect("the case has sinks");
        // Sinks may have another type than the rest.
        let sinks = tracked(&sinks, [case.heads()], DType::F32, &device);
        let inputs = (query.autodiff(), key.autodiff(), value.autodiff());
        let found = case.attend(inputs, Some(sinks.clone()));
        let grad = tensor(&grad, case.query_dims(), dtype, &device);
        let gradients = (found.clone() * grad).sum().backward();
        assert_close(
            &gradient(&sinks, &gradients),
            &d_sinks,
            tolerance,
            &format!("sinks, {dtype:?}"),
        );
        let found = found.without_autodiff();
        assert_eq!(found.dtype(), dtype);
        assert_close(&values(found), &expected, tolerance, &format!("{dtype:?}"));
    }
}
