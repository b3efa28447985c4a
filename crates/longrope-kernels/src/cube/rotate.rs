//! Rotary embedding.

use burn::backend::Cube;
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use super::launch::{address_type, element, empty};
use super::lazy::lazily;
use crate::composed::{self, wide};
use crate::pairs::Pairs;

/// See [`crate::rotate_half`] and [`crate::rotate_interleaved`]. Angles are not rounded to the type of `x`. Heads may be a view
/// of the output of a projection, which need not be copied first.
pub(crate) fn rotate(
    x: FloatTensor<Cube>,
    cos: FloatTensor<Cube>,
    sin: FloatTensor<Cube>,
    pairs: Pairs,
) -> FloatTensor<Cube> {
    let sums = wide(x.dtype);
    let [cos, sin] = [cos, sin].map(|angles| composed::Float::<Cube>(angles).cast(sums).0);
    let output = TensorSpec::new(x.shape.clone(), x.dtype);
    let run = move |[x, cos, sin]: [CubeTensor; 3]| [turned(x, cos, sin, pairs)];
    let [output] = lazily("longrope.rotate", [x, cos, sin], [output], run);
    output
}

fn turned(x: CubeTensor, cos: CubeTensor, sin: CubeTensor, pairs: Pairs) -> CubeTensor {
    let x = burn_cubecl::kernel::untile(x);
    let (cos, sin) = (into_contiguous(cos), into_contiguous(sin));
    let [batch, heads, seq, head_dim] = x.meta.shape().dims();
    let n_pairs = cos.meta.shape()[1];
    let n_units = batch * heads * seq * (head_dim - n_pairs);
    let output = empty(&x, x.meta.shape().clone(), x.dtype);
    let client = x.client.clone();
    let dim = CubeDim::new(&client, n_units);
    let types = [element(x.dtype), element(cos.dtype)];
    rotate_kernel::launch(
        &client,
        calculate_cube_count_elemwise(&client, n_units, dim),
        dim,
        address_type([&x, &output]),
        x.into_tensor_arg(),
        cos.into_tensor_arg(),
        sin.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        matches!(pairs, Pairs::Halves),
        types,
    );
    output
}

/// A unit turns a pair, or copies an element after the pairs.
#[cube(launch, address_type = "dynamic")]
fn rotate_kernel<E: Float, S: Float>(
    x: &Tensor<E>,
    cos: &Tensor<S>,
    sin: &Tensor<S>,
    output: &mut Tensor<E>,
    #[comptime] are_halves: bool,
    #[define(E, S)] _types: [ElemType; 2],
) {
    let n_pairs = cos.shape(1);
    let head_dim = x.shape(3);
    let width = head_dim - n_pairs;
    let row = ABSOLUTE_POS / width;
    let at = ABSOLUTE_POS % width;
    if row >= output.len() / head_dim {
        terminate!();
    }
    let token = row % x.shape(2);
    let head = row / x.shape(2) % x.shape(1);
    let sequence = row / x.shape(2) / x.shape(1);
    let from = sequence * x.stride(0) + head * x.stride(1) + token * x.stride(2);
    let step = x.stride(3);
    let to = row * head_dim;
    if at < n_pairs {
        let mut left = at;
        let mut right = at + n_pairs;
        if comptime![!are_halves] {
            left = 2 * at;
            right = 2 * at + 1;
        }
        let cos = cos[token * n_pairs + at];
        let sin = sin[token * n_pairs + at];
        let first = S::cast_from(x[from + left * step]);
        let second = S::cast_from(x[from + right * step]);
        output[to + left] = E::cast_from(first * cos - second * sin);
        output[to + right] = E::cast_from(second * cos + first * sin);
    } else {
        output[to + n_pairs + at] = x[from + (n_pairs + at) * step];
    }
}
