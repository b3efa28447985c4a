use burn::tensor::{Device, Tensor, TensorData};
use longrope_rope::{RopeScaling, RopeSpec};

use crate::decoder::Decoder;
use crate::modules::attention::{Place, Qkv, SelfAttention};
use crate::{DecoderConfig, DecoderSizes};

const SEQ: usize = 40;
const HIDDEN: usize = 16;
const HEAD: usize = 8;
const GROUP: usize = 3;
const WINDOW: usize = 5;
const SCALE: f64 = 0.353_553_390_593_273_8;

/// Numbers between -2 and 2.
fn numbers(n: usize) -> Vec<f64> {
    let mut state = 5_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 22) - 2.0
    };
    (0..n).map(|_| next()).collect()
}

fn decoder() -> Decoder {
    // Two query heads share one key head.
    let sizes = DecoderSizes {
        vocab: 17,
        hidden: HIDDEN,
        layers: 1,
        heads: 2,
    };
    let config = DecoderConfig::new(sizes).with_kv_heads(1);
    config.with_window(16).with_seed(3).init(&Device::flex())
}

fn spec(decoder: &Decoder) -> RopeSpec {
    let scaling = RopeScaling::SelfExtend {
        group: GROUP,
        window: WINDOW,
    };
    RopeSpec {
        scaling,
        ..decoder.config().rope.plain()
    }
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// `weight · x`, for the outputs from `first` on.
fn project(weight: &[f64], x: &[f64], first: usize, n: usize) -> Vec<f64> {
    let row = |out: usize| &weight[(first + out) * x.len()..][..x.len()];
    let dot = |row: &[f64]| row.iter().zip(x).map(|(w, x)| w * x).sum();
    (0..n).map(|out| dot(row(out))).collect()
}

/// `q · k` after the query was rotated `distance` positions further than the key.
fn score(q: &[f64], k: &[f64], distance: usize, theta: f64) -> f64 {
    let half = HEAD / 2;
    let pair = |i: usize| {
        let angle = distance as f64 * theta.powf(-2.0 * i as f64 / HEAD as f64);
        let along = q[i] * k[i] + q[i + half] * k[i + half];
        let across = q[i] * k[i + half] - q[i + half] * k[i];
        along * angle.cos() + across * angle.sin()
    };
    (0..half).map(pair).sum()
}

/// The attention of every position, `[SEQ · HIDDEN]`, straight from the definition of the method.
fn definition(attention: &SelfAttention, x: &[f64], theta: f64) -> Vec<f64> {
    let Qkv::Split(maps) = &attention.qkv else {
        panic!("three matrices");
    };
    let [wq, wk, wv, wo] = [&maps.q_proj, &maps.k_proj, &maps.v_proj, &attention.o_proj]
        .map(|map| floats(map.weight.val()));
    let row = |position: usize| &x[position * HIDDEN..][..HIDDEN];
    let key = |position: usize| project(&wk, row(position), 0, HEAD);
    let value = |position: usize| project(&wv, row(position), 0, HEAD);
    let distance = |p: usize, j: usize| {
        if p - j < WINDOW {
            p - j
        } else {
            p / GROUP + WINDOW - WINDOW / GROUP - j / GROUP
        }
    };
    let mut out = Vec::new();
    for p in 0..SEQ {
        let mut mixed = Vec::new();
        for head in 0..2 {
            let query = project(&wq, row(p), head * HEAD, HEAD);
            let weights: Vec<f64> = (0..=p)
                .map(|j| (SCALE * score(&query, &key(j), distance(p, j), theta)).exp())
                .collect();
            let total: f64 = weights.iter().sum();
            let mut sum = [0.0; HEAD];
            for (j, weight) in weights.iter().enumerate() {
                for (sum, value) in sum.iter_mut().zip(value(j)) {
                    *sum += weight / total * value;
                }
            }
            mixed.extend(sum);
        }
        out.extend(project(&wo, &mixed, 0, HIDDEN));
    }
    out
}

#[test]
fn near_and_far_keys_are_seen_as_by_the_definition() {
    let decoder = decoder();
    let spec = spec(&decoder);
    let attention = &decoder.weights.model.layers[0].self_attn;
    let x = numbers(SEQ * HIDDEN);
    let expected = definition(attention, &x, spec.theta);
    let data = TensorData::new(x, [1, SEQ, HIDDEN]).convert::<f32>();
    let x: Tensor<3> = Tensor::from_data(data, &Device::flex());
    let rotary = decoder.rotary(&spec.resolve(SEQ), SEQ);
    let (keys, values) = attention.keys_values(x.clone(), &rotary, 0);
    // The whole sequence at once, and in chunks with and without far keys.
    for borders in [vec![0, SEQ], vec![0, 3, 5, 6, 20, SEQ]] {
        for pair in borders.windows(2) {
            let (start, end) = (pair[0], pair[1]);
            let place = Place {
                start,
                first_key: 0,
                window: None,
                documents: None,
            };
            let chunk = x.clone().narrow(1, start, end - start);
            let found = attention.attend(chunk, &keys, &values, &rotary, place);
            let expected = &expected[start * HIDDEN..end * HIDDEN];
            for (found, expected) in floats(found).iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
            }
        }
    }
}

#[test]
fn a_sliding_window_limits_far_keys() {
    let decoder = decoder();
    let spec = spec(&decoder);
    let attention = &decoder.weights.model.layers[0].self_attn;
    let data = TensorData::new(numbers(SEQ * HIDDEN), [1, SEQ, HIDDEN]).convert::<f32>();
    let x: Tensor<3> = Tensor::from_data(data, &Device::flex());
    let rotary = decoder.rotary(&spec.resolve(SEQ), SEQ);
    let (keys, values) = attention.keys_values(x.clone(), &rotary, 0);
    let last = |first_key: usize, window: Option<usize>| {
        let place = Place {
            start: SEQ - 1,
            first_key,
            window,
            documents: None,
        };
        let (keys, values) = (
            keys.clone().narrow(2, first_key, SEQ - first_key),
            values.clone().narrow(2, first_key, SEQ - first_key),
        );
        let query = x.clone().narrow(1, SEQ - 1, 1);
        floats(attention.attend(query, &keys, &values, &rotary, place))
    };
    // A window hides what lies before it, whether it ends among near keys or among far ones.
    for window in [1, 4, 5, 6, 20] {
        let (limited, cut) = (last(0, Some(window)), last(SEQ - window, None));
        for (limited, cut) in limited.iter().zip(&cut) {
            assert!((limited - cut).abs() < 1e-6, "window {window}");
        }
    }
    assert_ne!(last(0, Some(20)), last(0, None));
}
