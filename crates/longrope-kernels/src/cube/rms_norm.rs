//! Root mean square normalization.

use burn::backend::Cube;
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::tensor::Shape;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::launch::{
    Rows, address_type, element, empty, n_rows, scalar, start_of_row, sum_of_units, with_rows,
};
use super::lazy::lazily;
use crate::composed::{self, wide};

/// Rows whose contributions to the gradient of a weight go into one partial sum.
const ROWS_PER_SUM: usize = 256;

/// See [`crate::rms_norm`].
pub(crate) fn rms_norm(
    x: FloatTensor<Cube>,
    weight: FloatTensor<Cube>,
    epsilon: f64,
) -> FloatTensor<Cube> {
    let output = TensorSpec::new(x.shape.clone(), x.dtype);
    let weight = composed::Float::<Cube>(weight).cast(x.dtype).0;
    let run = move |[x, weight]: [CubeTensor; 2]| [forward(x, weight, epsilon)];
    let [output] = lazily("longrope.rms_norm", [x, weight], [output], run);
    output
}

/// Gradients of [`rms_norm`] with respect to `x` and, if `needs_weight`, the weight.
pub(crate) fn rms_norm_backward(
    [x, weight, grad]: [FloatTensor<Cube>; 3],
    epsilon: f64,
    needs_weight: bool,
) -> (FloatTensor<Cube>, Option<FloatTensor<Cube>>) {
    let sums = wide(x.dtype);
    let (dtype, hidden) = (weight.dtype, weight.shape[0]);
    let n_rows = x.shape.num_elements() / hidden;
    let outputs = [
        TensorSpec::new(x.shape.clone(), x.dtype),
        TensorSpec::new(Shape::new([n_rows]), sums),
    ];
    let weight = composed::Float::<Cube>(weight).cast(x.dtype).0;
    let inputs = [x.clone(), weight, grad.clone()];
    let run = move |[x, weight, grad]: [CubeTensor; 3]| backward(x, weight, grad, epsilon);
    let [d_x, roots] = lazily("longrope.rms_norm_backward", inputs, outputs, run);
    let d_weight = needs_weight.then(|| {
        let parts = TensorSpec::new(Shape::new([n_rows.div_ceil(ROWS_PER_SUM), hidden]), sums);
        let name = "longrope.rms_norm_backward_of_weight";
        let [parts] = lazily(name, [x, grad, roots], [parts], |[x, grad, roots]| {
            [backward_of_weight(x, grad, roots)]
        });
        let sum = composed::Float::<Cube>(parts).sum(0).reshape([hidden]);
        sum.cast(dtype).0
    });
    (d_x, d_weight)
}

fn forward(x: CubeTensor, weight: CubeTensor, epsilon: f64) -> CubeTensor {
    let (x, weight) = (with_rows(x), into_contiguous(weight));
    let (dtype, sums) = (x.dtype, wide(x.dtype));
    let shape = x.meta.shape().clone();
    let output = empty(&x, shape.clone(), dtype);
    let rows = Rows::new(&x, n_rows(&x), weight.meta.shape()[0]);
    let client = x.client.clone();
    forward_kernel::launch(
        &client,
        rows.count,
        rows.dim,
        address_type([&x, &output]),
        x.into_tensor_arg(),
        weight.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        scalar(epsilon, sums),
        shape.num_dims(),
        rows.n_units,
        [element(dtype), element(sums)],
    );
    output
}

fn backward(x: CubeTensor, weight: CubeTensor, grad: CubeTensor, epsilon: f64) -> [CubeTensor; 2] {
    let (x, weight, grad) = (with_rows(x), into_contiguous(weight), with_rows(grad));
    let (dtype, sums) = (x.dtype, wide(x.dtype));
    let shape = x.meta.shape().clone();
    let n_rows = n_rows(&x);
    let d_x = empty(&x, shape.clone(), dtype);
    let roots = empty(&x, Shape::new([n_rows]), sums);
    let rows = Rows::new(&x, n_rows, weight.meta.shape()[0]);
    let client = x.client.clone();
    backward_kernel::launch(
        &client,
        rows.count,
        rows.dim,
        address_type([&x, &grad, &d_x]),
        x.into_tensor_arg(),
        weight.into_tensor_arg(),
        grad.into_tensor_arg(),
        d_x.clone().into_tensor_arg(),
        roots.clone().into_tensor_arg(),
        scalar(epsilon, sums),
        shape.num_dims(),
        rows.n_units,
        [element(dtype), element(sums)],
    );
    [d_x, roots]
}

fn backward_of_weight(x: CubeTensor, grad: CubeTensor, roots: CubeTensor) -> CubeTensor {
    let (x, grad, roots) = (with_rows(x), with_rows(grad), into_contiguous(roots));
    let (dtype, sums) = (x.dtype, roots.dtype);
    let rank = x.meta.shape().num_dims();
    let hidden = x.meta.shape()[rank - 1];
    let n_parts = n_rows(&x).div_ceil(ROWS_PER_SUM);
    let parts = empty(&x, Shape::new([n_parts, hidden]), sums);
    let columns = Rows::new(&x, 1, hidden).n_units;
    let rows = Rows::new(&x, n_parts * hidden.div_ceil(columns), hidden);
    let client = x.client.clone();
    backward_of_weight_kernel::launch(
        &client,
        rows.count,
        rows.dim,
        address_type([&x, &grad, &parts]),
        x.into_tensor_arg(),
        grad.into_tensor_arg(),
        roots.into_tensor_arg(),
        parts.clone().into_tensor_arg(),
        rank,
        rows.n_units,
        [element(dtype), element(sums)],
    );
    parts
}

/// The root mean square of a row that starts at `start`.
#[cube]
fn root_of_row<E: Float, S: Float>(
    x: &Tensor<E>,
    start: usize,
    hidden: usize,
    epsilon: S,
    #[comptime] n_units: usize,
) -> S {
    let mut squares = S::new(0.0);
    let mut at = UNIT_POS as usize;
    while at < hidden {
        let value = S::cast_from(x[start + at]);
        squares += value * value;
        at += n_units;
    }
    let total = sum_of_units::<S>(squares, n_units);
    (total / S::cast_from(hidden) + epsilon).sqrt()
}

#[cube(launch, address_type = "dynamic")]
fn forward_kernel<E: Float, S: Float>(
    x: &Tensor<E>,
    weight: &Tensor<E>,
    output: &mut Tensor<E>,
    epsilon: InputScalar,
    #[comptime] rank: usize,
    #[comptime] n_units: usize,
    #[define(E, S)] _types: [ElemType; 2],
) {
    let hidden = weight.shape(0);
    let row = CUBE_POS;
    if row >= output.len() / hidden {
        terminate!();
    }
    let start = start_of_row::<E>(x, row, rank);
    let root = root_of_row::<E, S>(x, start, hidden, epsilon.get::<S>(), n_units);
    let mut at = UNIT_POS as usize;
    while at < hidden {
        let normalized = E::cast_from(S::cast_from(x[start + at]) / root);
        let weighted = S::cast_from(normalized) * S::cast_from(weight[at]);
        output[row * hidden + at] = E::cast_from(weighted);
        at += n_units;
    }
}

/// `dx = (dn - n · mean(dn ∘ n)) / r` with `n = x / r` and `dn = dy ∘ w`.
#[cube(launch, address_type = "dynamic")]
fn backward_kernel<E: Float, S: Float>(
    x: &Tensor<E>,
    weight: &Tensor<E>,
    grad: &Tensor<E>,
    d_x: &mut Tensor<E>,
    roots: &mut Tensor<S>,
    epsilon: InputScalar,
    #[comptime] rank: usize,
    #[comptime] n_units: usize,
    #[define(E, S)] _types: [ElemType; 2],
) {
    let hidden = weight.shape(0);
    let row = CUBE_POS;
    if row >= roots.len() {
        terminate!();
    }
    let start = start_of_row::<E>(x, row, rank);
    let grad_start = start_of_row::<E>(grad, row, rank);
    let root = root_of_row::<E, S>(x, start, hidden, epsilon.get::<S>(), n_units);
    let mut along = S::new(0.0);
    let mut at = UNIT_POS as usize;
    while at < hidden {
        let d_normalized = S::cast_from(grad[grad_start + at]) * S::cast_from(weight[at]);
        along += d_normalized * (S::cast_from(x[start + at]) / root);
        at += n_units;
    }
    let along = sum_of_units::<S>(along, n_units) / S::cast_from(hidden);
    let mut at = UNIT_POS as usize;
    while at < hidden {
        let d_normalized = S::cast_from(grad[grad_start + at]) * S::cast_from(weight[at]);
        let normalized = S::cast_from(x[start + at]) / root;
        d_x[row * hidden + at] = E::cast_from((d_normalized - normalized * along) / root);
        at += n_units;
    }
    if UNIT_POS == 0 {
        roots[row] = root;
    }
}

/// `Σ dy ∘ x / r` over the rows of each part. A cube has as many columns of a part as units, each of which adds up one.
#[cube(launch, address_type = "dynamic")]
fn backward_of_weight_kernel<E: Float, S: Float>(
    x: &Tensor<E>,
    grad: &Tensor<E>,
    roots: &Tensor<S>,
    parts: &mut Tensor<S>,
    #[comptime] rank: usize,
    #[comptime] n_units: usize,
    #[define(E, S)] _types: [ElemType; 2],
) {
    let hidden = parts.shape(1);
    let tiles = hidden.div_ceil(n_units);
    let part = CUBE_POS / tiles;
    let at = CUBE_POS % tiles * n_units + UNIT_POS as usize;
    if part >= parts.shape(0) || at >= hidden {
        terminate!();
    }
    let first = part * ROWS_PER_SUM;
    let mut end = first + ROWS_PER_SUM;
    if end > roots.len() {
        end = roots.len();
    }
    let mut sum = S::new(0.0);
    for row in first..end {
        let value = S::cast_from(x[start_of_row::<E>(x, row, rank) + at]) / roots[row];
        sum += S::cast_from(grad[start_of_row::<E>(grad, row, rank) + at]) * value;
    }
    parts[part * hidden + at] = sum;
}
