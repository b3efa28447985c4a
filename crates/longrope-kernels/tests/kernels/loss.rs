//! The loss and its gradients.

use burn::tensor::{DType, Int, Tensor};
use longrope_kernels::linear_nll;
use proptest::prelude::*;

use crate::support::{
    assert_close, device, gradient, is_gpu, n_cases, numbers, precisions, scaled, tensor, tracked,
    values,
};

/// Losses and gradients of hidden states and weight by the definition, from all logits.
fn reference(
    hidden: &[f64],
    weight: &[f64],
    targets: &[usize],
    token_weights: &[f64],
    size: usize,
    softcap: Option<f64>,
) -> [Vec<f64>; 3] {
    let vocab = weight.len() / size;
    let mut losses = Vec::new();
    let (mut d_hidden, mut d_weight) = (vec![0.0; hidden.len()], vec![0.0; weight.len()]);
    for (row, (target, token_weight)) in targets.iter().zip(token_weights).enumerate() {
        let at = row * size..(row + 1) * size;
        let logit = |v: usize| -> f64 {
            (0..size)
                .map(|c| hidden[at.start + c] * weight[v * size + c])
                .sum()
        };
        // The cap of a logit, and its slope there.
        let capped = (0..vocab).map(logit).map(|l| match softcap {
            None => (l, 1.0),
            Some(cap) => (cap * (l / cap).tanh(), (l / cap).cosh().powi(-2)),
        });
        let (logits, slopes): (Vec<f64>, Vec<f64>) = capped.unzip();
        let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logits.iter().map(|l| (l - max).exp()).sum();
        losses.push(total.ln() + max - logits[*target]);
        for (v, (l, slope)) in logits.iter().zip(&slopes).enumerate() {
            let p = (l - max).exp() / total;
            let d = token_weight * slope * (p - f64::from(u8::from(v == *target)));
            for c in 0..size {
                d_hidden[at.start + c] += d * weight[v * size + c];
                d_weight[v * size + c] += d * hidden[at.start + c];
            }
        }
    }
    [losses, d_hidden, d_weight]
}

fn check([rows, vocab, size]: [usize; 3], softcap: Option<f64>, seed: u64) {
    let device = device();
    let hidden = scaled(numbers(rows * size, 3 * seed), 6.0);
    let weight = numbers(vocab * size, 3 * seed + 1);
    // Every third token has weight 0.
    let mut token_weights = numbers(rows, 3 * seed + 2);
    token_weights.iter_mut().step_by(3).for_each(|w| *w = 0.0);
    let targets: Vec<usize> = (0..rows).map(|i| i * 31 % vocab).collect();
    let expected = reference(&hidden, &weight, &targets, &token_weights, size, softcap);
    let ids = targets
        .iter()
        .map(|t| i32::try_from(*t).expect("few words"));
    let ids: Vec<i32> = ids.collect();
    for (dtype, tolerance) in precisions() {
        let h = tracked(&hidden, [rows, size], dtype, &device);
        let w = tracked(&weight, [vocab, size], dtype, &device);
        let ids = Tensor::<1, Int>::from_ints(ids.as_slice(), &device);
        let nll = linear_nll(h.clone(), w.clone(), ids, softcap);
        let weights: Tensor<1> = tensor(&token_weights, [rows], nll.dtype(), &device);
        let gradients = (nll.clone() * weights).sum().backward();
        let found = [
            values(nll.without_autodiff()),
            gradient(&h, &gradients),
            gradient(&w, &gradients),
        ];
        for ((name, found), expected) in ["losses", "hidden", "weight"]
            .iter()
            .zip(found)
            .zip(&expected)
        {
            let what =
                format!("{name}, {dtype:?}, {rows} rows, {vocab} words of {size}, {softcap:?}");
            assert_close(&found, expected, tolerance, &what);
        }
    }
}

#[test]
fn equals_the_definition() {
    let shapes = [[3, 97, 8], [1, 2, 1], [150, 5000, 16], [300, 1025, 4]];
    let n_shapes = if is_gpu() { 1 } else { shapes.len() };
    for shape in &shapes[..n_shapes] {
        check(*shape, None, 1);
    }
}

/// Logits reach about 10 here: one cap bends them a little, the other flattens most of them.
#[test]
fn equals_the_definition_with_a_soft_cap() {
    let shapes = [[3, 97, 8], [300, 1025, 4]];
    let n_shapes = if is_gpu() { 1 } else { shapes.len() };
    for shape in &shapes[..n_shapes] {
        for cap in [30.0, 2.0] {
            check(*shape, Some(cap), 1);
        }
    }
}

#[test]
fn a_logit_that_is_not_a_number_is_not_swallowed() {
    let device = device();
    for softcap in [None, Some(30.0)] {
        let mut weight = numbers(600 * 4, 1);
        weight[4 * 555] = f64::NAN;
        let found = linear_nll(
            tensor(&numbers(3 * 4, 2), [3, 4], DType::F32, &device),
            tensor(&weight, [600, 4], DType::F32, &device),
            Tensor::from_data([0, 555, 599], &device),
            softcap,
        );
        assert!(values(found).iter().all(|x| x.is_nan()), "{softcap:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(n_cases()))]
    #[test]
    fn equals_the_definition_on_random_shapes(
        rows in 1usize..200, vocab in 1usize..700, size in 1usize..40,
        softcap in prop::option::of(0.5f64..30.0), seed in 0u64..1000,
    ) {
        check([rows, vocab, size], softcap, seed);
    }
}

#[test]
fn uniform_logits_cost_the_logarithm_of_the_vocabulary() {
    let device = device();
    let found = linear_nll(
        Tensor::zeros([4, 3], &device),
        Tensor::ones([1024, 3], &device),
        Tensor::from_data([0, 1, 1023, 7], &device),
        None,
    );
    // ln 1024 = 10 ln 2
    assert_close(&values(found), &[6.931_471_805_6; 4], 1e-6, "uniform");
}

#[test]
fn a_frozen_head_has_no_gradient() {
    let device = device();
    let (hidden, weight) = (numbers(40, 1), numbers(160, 2));
    let (dtype, tolerance) = precisions()[0];
    let targets: Vec<usize> = (0..10).collect();
    let [_, expected, _] = reference(&hidden, &weight, &targets, &[1.0; 10], 4, None);
    let hidden = tracked(&hidden, [10, 4], dtype, &device);
    let weight: Tensor<2> = tensor(&weight, [40, 4], dtype, &device).autodiff();
    let ids = Tensor::<1, Int>::arange(0..10, &device);
    let gradients = linear_nll(hidden.clone(), weight.clone(), ids, None)
        .sum()
        .backward();
    assert_close(
        &gradient(&hidden, &gradients),
        &expected,
        tolerance,
        "hidden",
    );
    assert!(weight.grad(&gradients).is_none());
}
