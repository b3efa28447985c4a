//! The losses of rows of logits and their gradients.

use burn::backend::Cube;
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::launch::{
    Rows, address_type, capped, element, empty, max_of_units, scalar, slope_of_cap, start_of_row,
    sum_of_units, with_rows,
};
use super::lazy::lazily;

/// See [`Steps::losses`](crate::composed::steps::Steps::losses).
pub(crate) fn losses(
    logits: FloatTensor<Cube>,
    targets: IntTensor<Cube>,
    softcap: Option<f64>,
) -> [FloatTensor<Cube>; 2] {
    let output = || TensorSpec::new(Shape::new([logits.shape[0]]), logits.dtype);
    let outputs = [output(), output()];
    let run = move |[logits, targets]: [CubeTensor; 2]| of_rows(logits, targets, softcap);
    lazily("longrope.losses", [logits, targets], outputs, run)
}

/// See [`Steps::gradients_of_logits`](crate::composed::steps::Steps::gradients_of_logits).
pub(crate) fn gradients_of_logits(
    logits: FloatTensor<Cube>,
    targets: IntTensor<Cube>,
    softcap: Option<f64>,
    [log_sum_exp, grad]: [FloatTensor<Cube>; 2],
    dtype: DType,
) -> FloatTensor<Cube> {
    let output = TensorSpec::new(logits.shape.clone(), dtype);
    let inputs = [logits, targets, log_sum_exp, grad];
    let run = move |inputs: [CubeTensor; 4]| [gradients(inputs, softcap, dtype)];
    let [gradients] = lazily("longrope.gradients_of_logits", inputs, [output], run);
    gradients
}

fn of_rows(logits: CubeTensor, targets: CubeTensor, softcap: Option<f64>) -> [CubeTensor; 2] {
    let (logits, targets) = (with_rows(logits), into_contiguous(targets));
    let [n_rows, vocab] = logits.meta.shape().dims();
    let dtype = logits.dtype;
    let [losses, sums] = std::array::from_fn(|_| empty(&logits, Shape::new([n_rows]), dtype));
    let rows = Rows::new(&logits, n_rows, vocab);
    let client = logits.client.clone();
    let types = [element(dtype), element(targets.dtype)];
    losses_kernel::launch(
        &client,
        rows.count,
        rows.dim,
        address_type([&logits]),
        logits.into_tensor_arg(),
        targets.into_tensor_arg(),
        losses.clone().into_tensor_arg(),
        sums.clone().into_tensor_arg(),
        scalar(softcap.unwrap_or(1.0), dtype),
        softcap.is_some(),
        rows.n_units,
        types,
    );
    [losses, sums]
}

fn gradients(
    [logits, targets, log_sum_exp, grad]: [CubeTensor; 4],
    softcap: Option<f64>,
    dtype: DType,
) -> CubeTensor {
    let logits = with_rows(logits);
    let [targets, log_sum_exp, grad] = [targets, log_sum_exp, grad].map(into_contiguous);
    let [n_rows, vocab] = logits.meta.shape().dims();
    let gradients = empty(&logits, Shape::new([n_rows, vocab]), dtype);
    let rows = Rows::new(&logits, n_rows, vocab);
    let client = logits.client.clone();
    let sums = logits.dtype;
    let types = [element(sums), element(dtype), element(targets.dtype)];
    gradients_kernel::launch(
        &client,
        rows.count,
        rows.dim,
        address_type([&logits, &gradients]),
        logits.into_tensor_arg(),
        targets.into_tensor_arg(),
        log_sum_exp.into_tensor_arg(),
        grad.into_tensor_arg(),
        gradients.clone().into_tensor_arg(),
        scalar(softcap.unwrap_or(1.0), sums),
        softcap.is_some(),
        rows.n_units,
        types,
    );
    gradients
}

/// A unit keeps the largest logit that it has seen and `Σ exp(logit - largest)`, so each logit is read once.
#[cube(launch, address_type = "dynamic")]
fn losses_kernel<S: Float, I: Numeric>(
    logits: &Tensor<S>,
    targets: &Tensor<I>,
    losses: &mut Tensor<S>,
    sums: &mut Tensor<S>,
    softcap: InputScalar,
    #[comptime] is_capped: bool,
    #[comptime] n_units: usize,
    #[define(S, I)] _types: [ElemType; 2],
) {
    let vocab = logits.shape(1);
    let row = CUBE_POS;
    if row >= losses.len() {
        terminate!();
    }
    let start = start_of_row::<S>(logits, row, 2usize);
    let softcap = softcap.get::<S>();
    let mut largest = S::new(-1.0e30);
    let mut total = S::new(0.0);
    let mut at = UNIT_POS as usize;
    while at < vocab {
        let logit = capped::<S>(logits[start + at], softcap, is_capped);
        if logit > largest {
            total = total * (largest - logit).exp() + S::new(1.0);
            largest = logit;
        } else {
            total += (logit - largest).exp();
        }
        at += n_units;
    }
    let max = max_of_units::<S>(largest, n_units);
    let total = sum_of_units::<S>(total * (largest - max).exp(), n_units);
    if UNIT_POS == 0 {
        let target = u32::cast_from(targets[row]) as usize;
        let chosen = capped::<S>(logits[start + target], softcap, is_capped);
        losses[row] = total.ln() + (max - chosen);
        sums[row] = total.ln() + max;
    }
}

/// `grad · (exp(logit - log_sum_exp) - onehot)`, times the slope of the soft cap.
#[cube(launch, address_type = "dynamic")]
fn gradients_kernel<S: Float, G: Float, I: Numeric>(
    logits: &Tensor<S>,
    targets: &Tensor<I>,
    log_sum_exp: &Tensor<S>,
    grad: &Tensor<S>,
    gradients: &mut Tensor<G>,
    softcap: InputScalar,
    #[comptime] is_capped: bool,
    #[comptime] n_units: usize,
    #[define(S, G, I)] _types: [ElemType; 3],
) {
    let vocab = logits.shape(1);
    let row = CUBE_POS;
    if row >= logits.shape(0) {
        terminate!();
    }
    let start = start_of_row::<S>(logits, row, 2usize);
    let softcap = softcap.get::<S>();
    let target = u32::cast_from(targets[row]) as usize;
    let log_sum_exp = log_sum_exp[row];
    let grad = grad[row];
    let mut at = UNIT_POS as usize;
    while at < vocab {
        let logit = capped::<S>(logits[start + at], softcap, is_capped);
        let mut gradient = (logit - log_sum_exp).exp();
        if at == target {
            gradient -= S::new(1.0);
        }
        gradient *= grad * slope_of_cap::<S>(logit, softcap, is_capped);
        gradients[row * vocab + at] = G::cast_from(gradient);
        at += n_units;
    }
}
