//! Layer-wise recompute against one tape over all layers.

use burn::tensor::{DType, Device, Tensor};
use longrope_kernels::recompute::Keep;
use longrope_kernels::{AttentionConfig, attention, recompute, rms_norm, swiglu};

use crate::support::{
    assert_close, device, gradient, numbers, precisions, tensor, tracked, values,
};

const N_LAYERS: usize = 3;
const SEQ: usize = 37;
const HIDDEN: usize = 16;
const HEADS: usize = 2;

/// A small pre-norm layer: attention with a single projection, and a gate.
#[derive(Clone)]
struct Layer {
    norm: Tensor<1>,
    map: Tensor<2>,
}

impl Layer {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, seq, hidden] = x.dims();
        let normed = rms_norm(x.clone(), self.norm.clone(), 1e-5);
        let mapped = normed
            .reshape([batch * seq, hidden])
            .matmul(self.map.clone())
            .reshape([batch, seq, hidden]);
        let heads = mapped
            .clone()
            .reshape([batch, seq, HEADS, hidden / HEADS])
            .swap_dims(1, 2);
        let config = AttentionConfig::causal(hidden / HEADS);
        let mixed = attention(heads.clone(), heads.clone(), heads, config)
            .swap_dims(1, 2)
            .reshape([batch, seq, hidden]);
        x + swiglu(mixed, mapped)
    }
}

fn layers(dtype: DType, device: &Device, tracks: bool) -> Vec<Layer> {
    (0..N_LAYERS as u64)
        .map(|i| {
            let (norm, map) = (numbers(HIDDEN, 10 + i), numbers(HIDDEN * HIDDEN, 20 + i));
            if tracks {
                Layer {
                    norm: tracked(&norm, [HIDDEN], dtype, device),
                    map: tracked(&map, [HIDDEN, HIDDEN], dtype, device),
                }
            } else {
                Layer {
                    norm: tensor(&norm, [HIDDEN], dtype, device),
                    map: tensor(&map, [HIDDEN, HIDDEN], dtype, device),
                }
            }
        })
        .collect()
}

#[test]
fn gradients_equal_those_of_one_tape() {
    let device = device();
    let dims = [2, SEQ, HIDDEN];
    let n = dims.iter().product();
    let (x, d_output) = (numbers(n, 1), numbers(n, 2));
    for (dtype, tolerance) in precisions() {
        let whole = layers(dtype, &device, true);
        let input = tracked(&x, dims, dtype, &device);
        let output = whole
            .iter()
            .fold(input.clone(), |x, layer| layer.forward(x));
        let d_output: Tensor<3> = tensor(&d_output, dims, dtype, &device);
        let gradients = (output.clone() * d_output.clone()).sum().backward();

        let plain = layers(dtype, &device, false);
        let tracking = layers(dtype, &device, true);
        let x: Tensor<3> = tensor(&x, dims, dtype, &device);
        let (found, inputs) =
            recompute::forward(N_LAYERS, x, Keep::OnDevice, |idx, x| plain[idx].forward(x));
        assert_eq!(inputs.n_layers(), N_LAYERS);
        let mut parameters = Vec::new();
        let d_input = recompute::backward(
            inputs,
            d_output,
            |idx, x| tracking[idx].forward(x),
            |idx, gradients| {
                let Layer { norm, map } = &tracking[idx];
                parameters.push((idx, gradient(norm, gradients), gradient(map, gradients)));
            },
        );
        let order: Vec<usize> = parameters
            .iter()
            .map(|(layer_idx, ..)| *layer_idx)
            .collect();
        assert_eq!(order, [2, 1, 0]);
        for (idx, norm, map) in parameters {
            let same = &whole[idx];
            assert_close(&norm, &gradient(&same.norm, &gradients), tolerance, "norm");
            assert_close(&map, &gradient(&same.map, &gradients), tolerance, "map");
        }
        assert_close(
            &values(found),
            &values(output.without_autodiff()),
            tolerance,
            "output",
        );
        assert_close(
            &values(d_input),
            &gradient(&input, &gradients),
            tolerance,
            "input",
        );
    }
}

#[test]
fn inputs_that_wait_on_the_host_come_back_as_they_were() {
    let device = device();
    let dims = [2, SEQ, HIDDEN];
    let n = dims.iter().product();
    let pass = |keep: Keep, also_looked_at: bool| {
        let plain = layers(DType::F32, &device, false);
        let tracking = layers(DType::F32, &device, true);
        let x: Tensor<3> = tensor(&numbers(n, 1), dims, DType::F32, &device);
        let (output, mut inputs) =
            recompute::forward(N_LAYERS, x, keep, |idx, x| plain[idx].forward(x));
        if also_looked_at {
            assert_eq!(inputs.get(1).unwrap().dims(), dims);
            assert!(inputs.get(N_LAYERS).is_none());
        }
        let mut parameters = Vec::new();
        let d_input = recompute::backward(
            inputs,
            output,
            |idx, x| tracking[idx].forward(x),
            |idx, gradients| parameters.push(gradient(&tracking[idx].map, gradients)),
        );
        (values(d_input), parameters)
    };
    let expected = pass(Keep::OnDevice, false);
    assert!(pass(Keep::OnHost, false) == expected);
    assert!(pass(Keep::OnHost, true) == expected);
}

/// The gate of a layer is computed a few positions at a time.
#[test]
fn gradients_by_rows_equal_those_of_whole_layers() {
    let device = device();
    let dims = [2, SEQ, HIDDEN];
    let n = dims.iter().product();
    let gate = |layer: &Layer, x: Tensor<3>| {
        let normed = rms_norm(x.clone(), layer.norm.clone(), 1e-5);
        x + swiglu(normed.clone(), normed)
    };
    for (dtype, tolerance) in precisions() {
        let plain = layers(dtype, &device, false);
        let start = |layers: &[Layer]| {
            let x: Tensor<3> = tensor(&numbers(n, 1), dims, dtype, &device);
            recompute::forward(N_LAYERS, x, Keep::OnDevice, |idx, x| {
                let mixed = layers[idx].forward(x);
                recompute::by_rows(mixed, 16, |x| gate(&layers[idx], x))
            })
        };
        let d_output: Tensor<3> = tensor(&numbers(n, 2), dims, dtype, &device);
        let tracking = layers(dtype, &device, true);
        // A norm is used in both parts, so its gradient is the sum of all calls.
        let mut sums = vec![vec![0.0; HIDDEN]; N_LAYERS];
        let mut add = |idx: usize, gradients: &burn::tensor::Gradients| {
            if let Some(found) = tracking[idx].norm.grad(gradients) {
                let sum = sums[idx].iter_mut().zip(values(found));
                sum.for_each(|(sum, x)| *sum += x);
            }
        };
        let (found, inputs) = start(&plain);
        let d_input = recompute::backward_by_rows(
            inputs,
            d_output.clone(),
            16,
            |idx, x| tracking[idx].forward(x),
            |idx, x| gate(&tracking[idx], x),
            |idx, gradients| add(idx, gradients),
        );

        let whole = layers(dtype, &device, true);
        let (output, inputs) = start(&plain);
        let mut expected = vec![Vec::new(); N_LAYERS];
        let expected_input = recompute::backward(
            inputs,
            d_output,
            |idx, x| gate(&whole[idx], whole[idx].forward(x)),
            |idx, gradients| expected[idx] = gradient(&whole[idx].norm, gradients),
        );
        assert!(values(found) == values(output));
        assert_close(
            &values(d_input),
            &values(expected_input),
            tolerance,
            "input",
        );
        for (found, expected) in sums.iter().zip(&expected) {
            assert_close(found, expected, tolerance, "norm");
        }
    }
}
