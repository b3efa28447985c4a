//! Products with weights in half precision, and their gradients.

use burn::tensor::{DType, Device, Int, Tensor};
use longrope_kernels::{linear, linear_nll};
use proptest::prelude::*;

use crate::support::{
    assert_close, device, gradient, is_gpu, n_cases, numbers, tensor, tracked, values,
};

/// Sums of up to a thousand products, in `f32`.
const TOLERANCE: f64 = 1e-5;

/// Types in half precision that the device under test has.
fn halves() -> impl Iterator<Item = DType> {
    let device = device();
    [DType::BF16, DType::F16]
        .into_iter()
        .filter(move |dtype| device.supports_dtype(*dtype))
}

/// `left · right` of `[m, k]` and `[k, n]`.
fn product(left: &[f64], right: &[f64], [m, n, k]: [usize; 3]) -> Vec<f64> {
    let cell = |row: usize, column: usize| -> f64 {
        (0..k)
            .map(|i| left[row * k + i] * right[i * n + column])
            .sum()
    };
    (0..m * n).map(|at| cell(at / n, at % n)).collect()
}

fn transposed(matrix: &[f64], columns: usize) -> Vec<f64> {
    let rows = matrix.len() / columns;
    (0..matrix.len())
        .map(|at| matrix[at % rows * columns + at / rows])
        .collect()
}

/// Some rows of a weight in half precision, as fused projections use them, against the same numbers in `f64`.
fn check([rows, outputs, width]: [usize; 3], dtype: DType, seed: u64) {
    let device = device();
    let n_used = outputs.div_ceil(2);
    let x = numbers(rows * width, 3 * seed);
    let weight = tensor::<2>(
        &numbers(outputs * width, 3 * seed + 1),
        [outputs, width],
        dtype,
        &device,
    );
    let used = weight.clone().narrow(0, outputs - n_used, n_used);
    // After rounding.
    let rounded = values(used.clone());
    let along = numbers(rows * n_used, 3 * seed + 2);

    let tracked_x = tracked(&x, [rows, width], DType::F32, &device);
    let y = linear(tracked_x.clone(), used);
    assert_eq!(y.dtype(), DType::F32);
    let towards: Tensor<2> = tensor(&along, [rows, n_used], DType::F32, &device);
    let gradients = (y.clone() * towards).sum().backward();

    let what = format!("{rows} rows, {n_used} of {outputs} outputs of {width}, {dtype:?}");
    let expected = product(&x, &transposed(&rounded, width), [rows, n_used, width]);
    assert_close(&values(y.without_autodiff()), &expected, TOLERANCE, &what);
    let expected = product(&along, &rounded, [rows, width, n_used]);
    assert_close(
        &gradient(&tracked_x, &gradients),
        &expected,
        TOLERANCE,
        &what,
    );
}

#[test]
fn a_weight_in_half_precision_is_widened_exactly() {
    let shapes = [
        [3, 6, 8],
        [1, 1, 1],
        [1, 700, 33],
        [300, 257, 16],
        [2, 40, 20_000],
    ];
    let n_shapes = if is_gpu() { 1 } else { shapes.len() };
    for shape in &shapes[..n_shapes] {
        for dtype in halves() {
            check(*shape, dtype, 1);
        }
    }
}

#[test]
fn an_input_and_a_weight_of_its_type_both_have_gradients() {
    let device = device();
    for [rows, outputs, width] in [[3usize, 6, 8], [1, 1, 1], [300, 257, 16], [200, 400, 200]] {
        let n_used = outputs.div_ceil(2);
        let first = (outputs - n_used) * width;
        let (x, weight) = (numbers(rows * width, 1), numbers(outputs * width, 2));
        let along = numbers(rows * n_used, 3);
        let tracked_x = tracked(&x, [rows, width], DType::F32, &device);
        let tracked_weight = tracked(&weight, [outputs, width], DType::F32, &device);
        let used = tracked_weight.clone().narrow(0, outputs - n_used, n_used);
        let y = linear(tracked_x.clone(), used);
        let towards: Tensor<2> = tensor(&along, [rows, n_used], DType::F32, &device);
        let gradients = (y.clone() * towards).sum().backward();

        let what = format!("{rows} rows, {n_used} of {outputs} outputs of {width}");
        let used = &weight[first..];
        let mut of_weight = vec![0.0; first];
        of_weight.extend(product(
            &transposed(&along, n_used),
            &x,
            [n_used, width, rows],
        ));
        for (found, expected) in [
            (
                values(y.without_autodiff()),
                product(&x, &transposed(used, width), [rows, n_used, width]),
            ),
            (
                gradient(&tracked_x, &gradients),
                product(&along, used, [rows, width, n_used]),
            ),
            (gradient(&tracked_weight, &gradients), of_weight),
        ] {
            assert_close(&found, &expected, TOLERANCE, &what);
        }
    }
}

#[test]
fn a_row_of_few_is_computed_as_alone() {
    let device = device();
    let (outputs, width) = (300, 70);
    let weights = numbers(outputs * width, 1);
    for dtype in std::iter::once(DType::F32).chain(halves()) {
        let weight = tensor::<2>(&weights, [outputs, width], dtype, &device);
        for n_rows in [1, 2, 5, 8, 16, 17] {
            let x = numbers(n_rows * width, 2);
            let rows: Tensor<2> = tensor(&x, [n_rows, width], DType::F32, &device);
            let together = values(linear(rows.clone(), weight.clone()));
            let what = format!("{n_rows} rows, {dtype:?}");
            let rounded = values(weight.clone());
            let expected = product(&x, &transposed(&rounded, width), [n_rows, outputs, width]);
            assert_close(&together, &expected, TOLERANCE, &what);
            if n_rows > 16 || device != Device::flex() {
                continue;
            }
            for row in 0..n_rows {
                let alone = values(linear(rows.clone().narrow(0, row, 1), weight.clone()));
                let found = &together[row * outputs..(row + 1) * outputs];
                assert_eq!(found, alone, "row {row} of {what}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(n_cases()))]
    #[test]
    fn random_shapes_are_widened_exactly(
        rows in 1usize..300, outputs in 1usize..300, width in 1usize..80, seed in 0u64..1000,
    ) {
        if let Some(dtype) = halves().next() {
            check([rows, outputs, width], dtype, seed);
        }
    }
}

#[test]
fn a_transposed_weight_in_half_precision_is_read_too() {
    let device = device();
    for dtype in halves() {
        let weight: Tensor<2> = tensor(&numbers(12, 1), [4, 3], dtype, &device);
        let x = tensor(&numbers(8, 2), [2, 4], DType::F32, &device);
        let expected = linear(x.clone(), weight.clone().cast(DType::F32).transpose());
        let found = linear(x, weight.transpose());
        assert_close(&values(found), &values(expected), TOLERANCE, "transposed");
    }
}

#[test]
fn the_loss_takes_a_weight_in_half_precision() {
    let device = device();
    let (rows, vocab, size) = (70, 1100, 12);
    let targets: Vec<i32> = (0..70).map(|row| row * 31 % 1100).collect();
    for dtype in halves() {
        let weight: Tensor<2> = tensor(&numbers(vocab * size, 1), [vocab, size], dtype, &device);
        let pass = |weight: Tensor<2>| {
            let hidden = tracked(&numbers(rows * size, 2), [rows, size], DType::F32, &device);
            let ids = Tensor::<1, Int>::from_ints(targets.as_slice(), &device);
            let nll = linear_nll(hidden.clone(), weight, ids, Some(30.0));
            let gradients = nll.clone().sum().backward();
            (
                values(nll.without_autodiff()),
                gradient(&hidden, &gradients),
            )
        };
        let (expected, expected_gradient) = pass(weight.clone().cast(DType::F32));
        let (found, found_gradient) = pass(weight);
        assert_close(&found, &expected, TOLERANCE, "losses");
        assert_close(&found_gradient, &expected_gradient, TOLERANCE, "gradients");
    }
}
