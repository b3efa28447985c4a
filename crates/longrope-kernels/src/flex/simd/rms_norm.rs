//! The normalization of a row.

use multiversion::multiversion;

use super::lanes::{LANES, total};

/// `out = weight · x / sqrt(mean(x²) + epsilon)`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(in crate::flex) fn rms_norm(out: &mut [f32], x: &[f32], weight: &[f32], epsilon: f32) {
    let mut lanes = [0f32; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x * x;
        }
    }
    let tail: f32 = rest.iter().map(|x| x * x).sum();
    let mean = (total(lanes) + tail) / x.len() as f32;
    let inverse = 1.0 / (mean + epsilon).sqrt();
    for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
        *out = weight * (x * inverse);
    }
}

/// The gradient of the normalization of one row: `dx = (dn - n · mean(dn ∘ n)) / r` with `dn = dy ∘ weight`, `n = x /
/// r` and the root mean square `r`. Adds `dy ∘ n` to `d_weight`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(in crate::flex) fn rms_norm_backward(
    d_x: &mut [f32],
    d_weight: &mut [f32],
    x: &[f32],
    weight: &[f32],
    grad: &[f32],
    epsilon: f32,
) {
    let n = x.len();
    let (weight, grad) = (&weight[..n], &grad[..n]);
    let (d_x, d_weight) = (&mut d_x[..n], &mut d_weight[..n]);
    let mut squares = [0f32; LANES];
    let mut products = [0f32; LANES];
    let whole = n - n % LANES;
    for at in (0..whole).step_by(LANES) {
        for lane in 0..LANES {
            let i = at + lane;
            squares[lane] += x[i] * x[i];
            products[lane] += grad[i] * weight[i] * x[i];
        }
    }
    let (mut square, mut product) = (total(squares), total(products));
    for i in whole..n {
        square += x[i] * x[i];
        product += grad[i] * weight[i] * x[i];
    }
    let inverse = 1.0 / (square / n as f32 + epsilon).sqrt();
    let along = product * inverse / n as f32; // mean(dn ∘ n)
    for i in 0..n {
        let normalized = x[i] * inverse;
        d_weight[i] += grad[i] * normalized;
        d_x[i] = (grad[i] * weight[i] - normalized * along) * inverse;
    }
}
