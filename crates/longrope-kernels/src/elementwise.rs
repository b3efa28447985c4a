//! Normalization, rotary embedding and the gated activation.

use burn::tensor::{DType, Tensor, activation::silu};

/// Root-mean-square normalization, `weight * x / sqrt(mean(x²) + epsilon)` over the last
/// dimension.
///
/// The quotient is computed in `f32` (in `f64` for `f64`), cast to the type of `x`, and only then
/// multiplied by the weight, the order in which transformers rounds.
///
/// # Shapes
/// - `x`: `[batch, seq, hidden]`
/// - `weight`: `[hidden]`
/// - output: as `x`
pub fn rms_norm(x: Tensor<3>, weight: Tensor<1>, epsilon: f64) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if crate::has_flex_kernels(&x) && weight.dtype() == DType::F32 {
        return crate::flex::rms_norm(x, weight, epsilon);
    }
    let dtype = x.dtype();
    let wide = x.cast(if dtype == DType::F64 {
        DType::F64
    } else {
        DType::F32
    });
    let mean_square = (wide.clone() * wide.clone()).mean_dim(2); // [b, t, 1]
    let normalized = wide / (mean_square + epsilon).sqrt();
    normalized.cast(dtype) * weight.unsqueeze()
}

/// Rotates pairs of elements by the angles of their positions.
///
/// With `h = rotary_dim / 2`, pair `i` is `(x[i], x[i + h])` and becomes
/// `(x[i]·cos - x[i+h]·sin, x[i+h]·cos + x[i]·sin)`. Elements from `rotary_dim` on stay as they
/// are. An attention scale, if there is one, is already in `cos` and `sin`.
///
/// # Shapes
/// - `x`: `[batch, heads, seq, head_dim]`
/// - `cos`, `sin`: `[seq, rotary_dim / 2]`
/// - output: as `x`
///
/// # Panics
/// If the tables do not have a row per position, or more pairs than a head has.
pub fn rotate_half(x: Tensor<4>, cos: Tensor<2>, sin: Tensor<2>) -> Tensor<4> {
    let [_, _, seq, head_dim] = x.dims();
    let [n_positions, n_pairs] = cos.dims();
    assert_eq!(n_positions, seq, "one row of angles per position");
    assert_eq!(sin.dims(), cos.dims(), "sines are shaped as the cosines");
    assert!(
        2 * n_pairs <= head_dim,
        "{n_pairs} pairs in a head of {head_dim}"
    );
    #[cfg(feature = "flex")]
    if crate::has_flex_kernels(&x) && cos.dtype() == DType::F32 {
        return crate::flex::rotate_half(x, cos, sin);
    }
    let dtype = x.dtype();
    let cos = cos.cast(dtype).unsqueeze::<4>(); // [1, 1, t, h]
    let sin = sin.cast(dtype).unsqueeze::<4>();
    let left = x.clone().narrow(3, 0, n_pairs);
    let right = x.clone().narrow(3, n_pairs, n_pairs);
    let mut parts = vec![
        left.clone() * cos.clone() - right.clone() * sin.clone(),
        right * cos + left * sin,
    ];
    if 2 * n_pairs < head_dim {
        parts.push(x.narrow(3, 2 * n_pairs, head_dim - 2 * n_pairs));
    }
    Tensor::cat(parts, 3)
}

/// The gated activation of the MLP, `silu(gate) * up` with `silu(x) = x / (1 + e^-x)`.
///
/// # Shapes
/// - `gate`, `up`, output: `[batch, seq, intermediate]`
pub fn swiglu(gate: Tensor<3>, up: Tensor<3>) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if crate::has_flex_kernels(&gate) {
        return crate::flex::swiglu(gate, up);
    }
    silu(gate) * up
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::tests::{devices, numbers};
    use burn::tensor::TensorData;

    /// A few roundings of f32 on numbers of size one.
    const TOLERANCE: f32 = 2e-6;

    fn assert_close(found: &[f32], expected: &[f64], what: &str) {
        assert_eq!(found.len(), expected.len(), "{what}");
        for (at, (x, y)) in found.iter().zip(expected).enumerate() {
            #[expect(clippy::cast_possible_truncation, reason = "compared in f32")]
            let y = *y as f32;
            assert!((x - y).abs() < TOLERANCE, "{what} at {at}: {x} is not {y}");
        }
    }

    #[test]
    fn rms_norm_on_numbers_checked_by_hand() {
        // mean(3², 4²) = 12.5; 3 / sqrt(12.5) = 0.848528, 4 / sqrt(12.5) = 1.131371
        for device in devices() {
            let x = Tensor::<3>::from_data([[[3.0, 4.0]]], &device);
            let weight = Tensor::<1>::from_data([2.0, 10.0], &device);
            let found = rms_norm(x, weight, 0.0)
                .into_data()
                .try_to_vec::<f32>()
                .unwrap();
            assert_close(&found, &[1.697_056, 11.313_708], "rms_norm");
        }
    }

    #[test]
    fn rms_norm_of_rows_longer_than_a_vector_register() {
        let (rows, hidden) = (5, 83);
        let x = numbers(rows * hidden, 1);
        let weight = numbers(hidden, 2);
        let mut expected = Vec::new();
        for row in x.chunks(hidden) {
            let mean: f64 = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / hidden as f64;
            for (v, w) in row.iter().zip(&weight) {
                expected.push(f64::from(*w) * f64::from(*v) / (mean + 1e-5).sqrt());
            }
        }
        for device in devices() {
            let x = Tensor::<3>::from_data(TensorData::new(x.clone(), [1, rows, hidden]), &device);
            let weight = Tensor::<1>::from_data(TensorData::new(weight.clone(), [hidden]), &device);
            let found = rms_norm(x, weight, 1e-5)
                .into_data()
                .try_to_vec::<f32>()
                .unwrap();
            assert_close(&found, &expected, "rms_norm");
        }
    }

    #[test]
    fn rotation_pairs_the_halves_and_leaves_the_rest() {
        for device in devices() {
            // One head of five: rotary_dim 4, pairs (0, 2) and (1, 3), the last element passes.
            let x = Tensor::<4>::from_data([[[[1.0, 2.0, 3.0, 4.0, 5.0]]]], &device);
            let cos = Tensor::<2>::from_data([[0.0, 0.6]], &device);
            let sin = Tensor::<2>::from_data([[1.0, 0.8]], &device);
            let found = rotate_half(x, cos, sin)
                .into_data()
                .try_to_vec::<f32>()
                .unwrap();
            // (1, 3) by 90 degrees is (-3, 1); (2, 4) by (0.6, 0.8) is (-2, 4)
            assert_close(&found, &[-3.0, -2.0, 1.0, 4.0, 5.0], "rotate_half");
        }
    }

    #[test]
    fn rotation_follows_strided_input() {
        let (heads, seq, dim) = (3, 7, 8);
        let data = numbers(heads * seq * dim, 3);
        let angles: Vec<f32> = numbers(seq * dim / 2, 4);
        let mut reference: Option<Vec<f32>> = None;
        for device in devices() {
            let flat = TensorData::new(data.clone(), [1, seq, heads, dim]);
            let x = Tensor::<4>::from_data(flat, &device).swap_dims(1, 2);
            let table = |f: fn(f32) -> f32| {
                let values: Vec<f32> = angles.iter().map(|a| f(*a)).collect();
                Tensor::<2>::from_data(TensorData::new(values, [seq, dim / 2]), &device)
            };
            let found = rotate_half(x, table(f32::cos), table(f32::sin));
            let found = found.into_data().try_to_vec::<f32>().unwrap();
            match &reference {
                None => reference = Some(found),
                Some(first) => {
                    let first: Vec<f64> = first.iter().map(|v| f64::from(*v)).collect();
                    assert_close(&found, &first, "strided rotate_half");
                }
            }
        }
    }

    #[test]
    fn swiglu_over_the_whole_range() {
        let gate: Vec<f32> = (0u8..=240).map(|i| (f32::from(i) - 120.0) / 2.0).collect();
        let expected: Vec<f64> = gate
            .iter()
            .map(|g| f64::from(*g) / (1.0 + (-f64::from(*g)).exp()) / 64.0)
            .collect();
        let n = gate.len();
        for device in devices() {
            let gate = Tensor::<3>::from_data(TensorData::new(gate.clone(), [1, 1, n]), &device);
            let up = Tensor::<3>::full([1, 1, n], 1.0 / 64.0, &device);
            let found = swiglu(gate, up).into_data().try_to_vec::<f32>().unwrap();
            assert_close(&found, &expected, "swiglu");
        }
    }
}
