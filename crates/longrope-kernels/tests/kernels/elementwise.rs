//! Normalization, rotation and the gated activation, with their gradients.

use burn::tensor::{DType, Tensor};
use longrope_kernels::{rms_norm, rotate_half, rotate_interleaved, swiglu};

use crate::support::{
    assert_close, device, gradient, numbers, precisions, scaled, tensor, tracked, values,
};

/// The gradient of `Σ grad ∘ f(x)` by central differences; the error is about 1e-9 here.
fn differences(x: &[f64], grad: &[f64], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let loss = |x: &[f64]| -> f64 { f(x).iter().zip(grad).map(|(y, g)| y * g).sum() };
    let mut x = x.to_vec();
    (0..x.len())
        .map(|i| {
            let at = x[i];
            x[i] = at + STEP;
            let above = loss(&x);
            x[i] = at - STEP;
            let below = loss(&x);
            x[i] = at;
            (above - below) / (2.0 * STEP)
        })
        .collect()
}

/// Tolerance for gradients against central differences, in every precision.
const DIFFERENCES: f64 = 1e-7;

/// The definition of [`rms_norm`].
fn rms_norm_by_hand(x: &[f64], weight: &[f64], epsilon: f64) -> Vec<f64> {
    x.chunks(weight.len())
        .flat_map(|row| {
            let mean = row.iter().map(|v| v * v).sum::<f64>() / row.len() as f64;
            let root = (mean + epsilon).sqrt();
            row.iter().zip(weight).map(move |(v, w)| w * v / root)
        })
        .collect()
}

#[test]
fn rms_norm_on_numbers_checked_by_hand() {
    // mean(3², 4²) = 12.5; 3 / sqrt(12.5) = 0.848528, 4 / sqrt(12.5) = 1.131371
    let device = device();
    let x = Tensor::<3>::from_data([[[3.0, 4.0]]], &device);
    let weight = Tensor::<1>::from_data([2.0, 10.0], &device);
    let found = values(rms_norm(x, weight, 0.0));
    assert_close(&found, &[1.697_056_27, 11.313_708_5], 1e-6, "rms_norm");
}

/// GPUs count the rows of a launch in three numbers, of which the first ends at 65,535.
#[test]
fn rms_norm_of_more_rows_than_one_dimension_of_a_grid() {
    let device = device();
    let (n_rows, weight) = (70_000, [2.0, 1.0]);
    let x = numbers(2 * n_rows, 4);
    let input: Tensor<3> = tensor(&x, [1, n_rows, 2], DType::F32, &device);
    let of_weight: Tensor<1> = tensor(&weight, [2], DType::F32, &device);
    let found = values(rms_norm(input, of_weight, 1e-5));
    let expected = rms_norm_by_hand(&x, &weight, 1e-5);
    assert_close(&found, &expected, 1e-5, "rms_norm");
}

#[test]
fn rms_norm_and_its_gradients() {
    // Rows longer than a vector register, and more rows than go into one partial sum.
    for (batch, seq, hidden) in [(2, 5, 83), (1, 300, 4)] {
        let device = device();
        let x = numbers(batch * seq * hidden, 1);
        let weight = numbers(hidden, 2);
        let grad = numbers(x.len(), 3);
        let expected = [
            rms_norm_by_hand(&x, &weight, 1e-5),
            differences(&x, &grad, |x| rms_norm_by_hand(x, &weight, 1e-5)),
            differences(&weight, &grad, |weight| rms_norm_by_hand(&x, weight, 1e-5)),
        ];
        for (dtype, tolerance) in precisions() {
            let dims = [batch, seq, hidden];
            let x = tracked(&x, dims, dtype, &device);
            let weight = tracked(&weight, [hidden], dtype, &device);
            let y = rms_norm(x.clone(), weight.clone(), 1e-5);
            let grad: Tensor<3> = tensor(&grad, dims, dtype, &device);
            let gradients = (y.clone() * grad).sum().backward();
            assert_close(
                &values(y.without_autodiff()),
                &expected[0],
                tolerance,
                "rms_norm",
            );
            let loose = tolerance.max(DIFFERENCES);
            assert_close(&gradient(&x, &gradients), &expected[1], loose, "its x");
            assert_close(
                &gradient(&weight, &gradients),
                &expected[2],
                loose,
                "its weight",
            );
        }
    }
}

#[test]
fn rotation_pairs_the_halves_and_leaves_the_rest() {
    let device = device();
    // One head of five: rotary_dim 4, pairs (0, 2) and (1, 3), the last element is not rotated.
    let x = Tensor::<4>::from_data([[[[1.0, 2.0, 3.0, 4.0, 5.0]]]], &device);
    let cos = Tensor::<2>::from_data([[0.0, 0.6]], &device);
    let sin = Tensor::<2>::from_data([[1.0, 0.8]], &device);
    let found = values(rotate_half(x, cos, sin));
    // (1, 3) by 90 degrees is (-3, 1); (2, 4) by (0.6, 0.8) is (-2, 4)
    assert_close(&found, &[-3.0, -2.0, 1.0, 4.0, 5.0], 1e-6, "rotate_half");
}

#[test]
fn interleaved_rotation_pairs_neighbours_and_leaves_the_rest() {
    let device = device();
    // One head of five: rotary_dim 4, pairs (0, 1) and (2, 3), the last element is not rotated.
    let x = Tensor::<4>::from_data([[[[1.0, 2.0, 3.0, 4.0, 5.0]]]], &device);
    let cos = Tensor::<2>::from_data([[0.0, 0.6]], &device);
    let sin = Tensor::<2>::from_data([[1.0, 0.8]], &device);
    let found = values(rotate_interleaved(x, cos, sin));
    // (1, 2) by 90 degrees is (-2, 1); (3, 4) by (0.6, 0.8) is (-1.4, 4.8)
    let expected = [-2.0, 1.0, -1.4, 4.8, 5.0];
    assert_close(&found, &expected, 1e-6, "rotate_interleaved");
}

/// A rotary embedding, and the place of pair `i` of `n`.
type Rotation = (
    fn(Tensor<4>, Tensor<2>, Tensor<2>) -> Tensor<4>,
    fn(usize, usize) -> [usize; 2],
);

#[test]
fn rotation_follows_strided_input_and_its_gradient_turns_back() {
    let halves: Rotation = (rotate_half, |i, n| [i, i + n]);
    let neighbours: Rotation = (rotate_interleaved, |i, _| [2 * i, 2 * i + 1]);
    for rotation in [halves, neighbours] {
        // Some elements of a head are rotated, or all of them, or all pairs of a head longer than a vector register.
        for (dim, n_pairs) in [(10, 4), (10, 5), (70, 35)] {
            check_rotation(rotation, dim, n_pairs);
        }
    }
}

fn check_rotation((rotate, pair): Rotation, dim: usize, n_pairs: usize) {
    let (heads, seq) = (3, 7);
    let device = device();
    let data = numbers(heads * seq * dim, 3);
    let angles = numbers(seq * n_pairs, 4);
    let grad = numbers(data.len(), 5);
    // By definition, on `[seq, heads, dim]`; the result is `[heads, seq, dim]`.
    let rotated = |x: &[f64]| -> Vec<f64> {
        let mut out = Vec::new();
        for h in 0..heads {
            for t in 0..seq {
                let mut row = x[(t * heads + h) * dim..][..dim].to_vec();
                for i in 0..n_pairs {
                    let (sin, cos) = angles[t * n_pairs + i].sin_cos();
                    let [left, right] = pair(i, n_pairs);
                    let (x, y) = (row[left], row[right]);
                    (row[left], row[right]) = (x * cos - y * sin, y * cos + x * sin);
                }
                out.extend(row);
            }
        }
        out
    };
    let (expected, expected_gradient) = (rotated(&data), differences(&data, &grad, rotated));
    for (dtype, tolerance) in precisions() {
        let x = tracked(&data, [1, seq, heads, dim], dtype, &device);
        let table = |f: fn(f64) -> f64| -> Tensor<2> {
            let values: Vec<f64> = angles.iter().map(|a| f(*a)).collect();
            // Angles need not be rounded to the type of the heads.
            let of_angles = if dtype == DType::F64 {
                dtype
            } else {
                DType::F32
            };
            tensor(&values, [seq, n_pairs], of_angles, &device)
        };
        let y = rotate(x.clone().swap_dims(1, 2), table(f64::cos), table(f64::sin));
        let grad: Tensor<4> = tensor(&grad, [1, heads, seq, dim], dtype, &device);
        let gradients = (y.clone() * grad).sum().backward();
        let what = format!("{n_pairs} pairs of {dim}");
        let found = values(y.without_autodiff());
        assert_close(&found, &expected, tolerance, &what);
        let loose = tolerance.max(DIFFERENCES);
        assert_close(
            &gradient(&x, &gradients),
            &expected_gradient,
            loose,
            &format!("gradient, {what}"),
        );
    }
}

#[test]
fn swiglu_over_the_whole_range_and_its_gradients() {
    let device = device();
    let gate: Vec<f64> = (0..=240).map(|i| (f64::from(i) - 120.0) / 2.0).collect();
    let up = numbers(gate.len(), 6);
    let grad = numbers(gate.len(), 7);
    let by_hand = |gate: &[f64], up: &[f64]| -> Vec<f64> {
        let silu = gate.iter().map(|g| g / (1.0 + (-g).exp()));
        silu.zip(up).map(|(s, u)| s * u).collect()
    };
    let expected = [
        by_hand(&gate, &up),
        differences(&gate, &grad, |gate| by_hand(gate, &up)),
        differences(&up, &grad, |up| by_hand(&gate, up)),
    ];
    let dims = [1, 1, gate.len()];
    for (dtype, tolerance) in precisions() {
        let gate = tracked(&gate, dims, dtype, &device);
        let up = tracked(&up, dims, dtype, &device);
        let y = swiglu(gate.clone(), up.clone());
        let grad: Tensor<3> = tensor(&grad, dims, dtype, &device);
        let gradients = (y.clone() * grad).sum().backward();
        assert_close(
            &values(y.without_autodiff()),
            &expected[0],
            tolerance,
            "swiglu",
        );
        let loose = tolerance.max(DIFFERENCES);
        assert_close(
            &gradient(&gate, &gradients),
            &expected[1],
            loose,
            "its gate",
        );
        assert_close(&gradient(&up, &gradients), &expected[2], loose, "its up");
    }
}

#[test]
fn swiglu_leaves_a_gate_that_is_still_needed() {
    let device = device();
    let gate: Tensor<3> = tensor(
        &scaled(numbers(64, 1), 3.0),
        [1, 2, 32],
        DType::F32,
        &device,
    );
    let before = values(gate.clone());
    let _ = swiglu(gate.clone(), gate.clone());
    assert_eq!(values(gate), before);
}
