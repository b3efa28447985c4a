//! The loss of a language model without its logits.

use burn::tensor::{DType, Int, Tensor};

/// Bytes that the logits of one chunk of rows may take in the composed body.
const LOGIT_BYTES: usize = 64 << 20;

/// Negative log-likelihood of each target under the softmax of `hidden · weightᵀ`, in nats.
///
/// `nll = ln Σ_v exp(logit_v) - logit_target`, in `f32` (in `f64` for `f64`). Logits exist for a
/// chunk of rows at a time only.
///
/// # Shapes
/// - `hidden`: `[rows, hidden]`
/// - `weight`: `[vocab, hidden]`
/// - `targets`: `[rows]`, each in `0..vocab`
/// - output: `[rows]`
///
/// # Panics
/// If the shapes do not fit together.
pub fn linear_nll(hidden: Tensor<2>, weight: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let [n_rows, hidden_size] = hidden.dims();
    let [vocab, weight_size] = weight.dims();
    assert_eq!(weight_size, hidden_size, "hidden size of the head");
    assert_eq!(targets.dims(), [n_rows], "one target per row");
    #[cfg(feature = "flex")]
    if crate::has_flex_kernels(&hidden) && weight.dtype() == DType::F32 {
        return crate::flex::linear_nll(hidden, weight, targets);
    }
    let rows = (LOGIT_BYTES / (4 * vocab)).clamp(1, n_rows.max(1));
    let mut losses = Vec::with_capacity(n_rows.div_ceil(rows));
    for start in (0..n_rows).step_by(rows) {
        let n = rows.min(n_rows - start);
        let chunk = hidden.clone().narrow(0, start, n);
        let logits = chunk.matmul(weight.clone().transpose()); // [n, vocab]
        let wide = if logits.dtype() == DType::F64 {
            DType::F64
        } else {
            DType::F32
        };
        let logits = logits.cast(wide);
        let target = targets.clone().narrow(0, start, n).unsqueeze_dim::<2>(1);
        let max = logits.clone().max_dim(1);
        let total = (logits.clone() - max.clone()).exp().sum_dim(1);
        let chosen = logits.gather(1, target); // [n, 1]
        losses.push((total.log() + max - chosen).squeeze_dim::<1>(1));
    }
    Tensor::cat(losses, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::tests::{devices, numbers};
    use burn::tensor::TensorData;

    #[test]
    fn equals_the_definition() {
        for (rows, vocab, size) in [(1, 2, 1), (3, 97, 8), (150, 5000, 16)] {
            let hidden: Vec<f32> = numbers(rows * size, 1).iter().map(|x| 6.0 * x).collect();
            let weight = numbers(vocab * size, 2);
            let targets: Vec<usize> = (0..rows).map(|i| (i * 31) % vocab).collect();
            for device in devices() {
                let ids: Vec<i32> = targets.iter().map(|t| i32::try_from(*t).unwrap()).collect();
                let found = linear_nll(
                    Tensor::from_data(TensorData::new(hidden.clone(), [rows, size]), &device),
                    Tensor::from_data(TensorData::new(weight.clone(), [vocab, size]), &device),
                    Tensor::from_data(TensorData::new(ids, [rows]), &device),
                );
                let found = found.into_data().try_to_vec::<f32>().unwrap();
                for (row, x) in found.iter().enumerate() {
                    let logit = |v: usize| -> f64 {
                        (0..size)
                            .map(|c| {
                                f64::from(hidden[row * size + c]) * f64::from(weight[v * size + c])
                            })
                            .sum()
                    };
                    let total: f64 = (0..vocab).map(|v| logit(v).exp()).sum();
                    let expected = total.ln() - logit(targets[row]);
                    // Logits of size ten in f32: a few units of 1e-6.
                    assert!(
                        (f64::from(*x) - expected).abs() < 1e-5,
                        "{device:?} row {row}: {x} is not {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn uniform_logits_cost_the_logarithm_of_the_vocabulary() {
        for device in devices() {
            let found = linear_nll(
                Tensor::zeros([4, 3], &device),
                Tensor::ones([1024, 3], &device),
                Tensor::from_data([0, 1, 1023, 7], &device),
            );
            for x in found.into_data().try_to_vec::<f32>().unwrap() {
                assert!((x - 1024f32.ln()).abs() < 1e-6, "{x}");
            }
        }
    }
}
