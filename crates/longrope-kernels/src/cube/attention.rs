//! The softmax of blocks of scores and their gradients.

use burn::backend::Cube;
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::launch::{
    Rows, address_type, capped, element, empty, max_of_units, n_rows, scalar, slope_of_cap,
    start_of_row, sum_of_units, with_rows,
};
use super::lazy::lazily;
use crate::composed;
use crate::composed::attention::gradients::RowResults;
use crate::composed::attention::softmax::{Softmax, Weighed};
use crate::composed::attention::view::View;

/// A [`View`] without its tensor.
#[derive(Clone, Copy)]
struct Scaling {
    scale: f64,
    softcap: Option<f64>,
    /// The first key of the block, if it is masked.
    first_key: Option<usize>,
}

impl Scaling {
    fn new(view: &View<Cube>) -> Self {
        Self {
            scale: view.scale,
            softcap: view.softcap,
            first_key: view.seen.as_ref().map(|seen| seen.first_key),
        }
    }

    /// The ends of a masked block, whose numbers a kernel counts through; some devices leave gaps between rows. Else `unread`.
    fn ends(&self, ends: CubeTensor, unread: &CubeTensor) -> CubeTensor {
        match self.first_key {
            Some(_) => into_contiguous(ends),
            None => unread.clone(),
        }
    }

    fn first_key(&self) -> u32 {
        u32::try_from(self.first_key.unwrap_or(0)).expect("fewer keys than 2^32")
    }
}

/// See [`Steps::weights`](crate::composed::steps::Steps::weights).
pub(crate) fn weights(
    scores: FloatTensor<Cube>,
    before: Option<Softmax<Cube>>,
    view: &View<Cube>,
    dtype: DType,
) -> Weighed<Cube> {
    let scaling = Scaling::new(view);
    let is_first = before.is_none();
    let of_rows = || TensorSpec::new(rows_of(&scores.shape), scores.dtype);
    let outputs = [
        TensorSpec::new(scores.shape.clone(), dtype),
        of_rows(),
        of_rows(),
        of_rows(),
    ];
    // What a kernel does not read is the scores once more: any tensor would do.
    let ends = view.seen.as_ref().map(|seen| seen.ends.clone());
    let [max, total] = match before {
        None => [scores.clone(), scores.clone()],
        Some(before) => [before.max.0, before.total.0],
    };
    let ends = ends.unwrap_or_else(|| scores.clone());
    let inputs = [scores, ends, max, total];
    let run = move |inputs: [CubeTensor; 4]| weigh(inputs, scaling, is_first, dtype);
    let [weights, max, total, correction] =
        lazily("longrope.weights", inputs, outputs, run).map(composed::Float);
    Weighed {
        weights,
        correction: (!is_first).then_some(correction),
        after: Softmax { max, total },
    }
}

/// See [`Steps::gradients_of_scores`](crate::composed::steps::Steps::gradients_of_scores).
pub(crate) fn gradients_of_scores(
    scores: FloatTensor<Cube>,
    d_weights: FloatTensor<Cube>,
    of_rows: RowResults<Cube>,
    view: &View<Cube>,
    dtype: DType,
) -> [FloatTensor<Cube>; 2] {
    let scaling = Scaling::new(view);
    let output = || TensorSpec::new(scores.shape.clone(), dtype);
    let outputs = [output(), output()];
    let ends = view.seen.as_ref().map(|seen| seen.ends.clone());
    let ends = ends.unwrap_or_else(|| scores.clone());
    let inputs = [
        scores,
        d_weights,
        ends,
        of_rows.log_sum_exp.0,
        of_rows.along.0,
    ];
    let run = move |inputs: [CubeTensor; 5]| gradients(inputs, scaling, dtype);
    lazily("longrope.gradients_of_scores", inputs, outputs, run)
}

/// `[batch, n_kv_heads, rows, 1]`
fn rows_of(scores: &Shape) -> Shape {
    let [batch, n_kv_heads, n_rows, _] = scores.dims();
    Shape::new([batch, n_kv_heads, n_rows, 1])
}

fn weigh(
    [scores, ends, max, total]: [CubeTensor; 4],
    scaling: Scaling,
    is_first: bool,
    dtype: DType,
) -> [CubeTensor; 4] {
    let scores = with_rows(scores);
    let ends = scaling.ends(ends, &scores);
    let [max, total] = if is_first {
        [scores.clone(), scores.clone()]
    } else {
        [max, total].map(into_contiguous)
    };
    let (shape, sums) = (scores.meta.shape().clone(), scores.dtype);
    let weights = empty(&scores, shape.clone(), dtype);
    let [max_after, total_after, correction] =
        std::array::from_fn(|_| empty(&scores, rows_of(&shape), sums));
    let rows = Rows::new(&scores, n_rows(&scores), shape[3]);
    let client = scores.client.clone();
    let types = [element(sums), element(dtype), element(ends.dtype)];
    weights_kernel::launch(
        &client,
        rows.count,
        rows.dim,
        address_type([&scores, &weights]),
        scores.into_tensor_arg(),
        ends.into_tensor_arg(),
        max.into_tensor_arg(),
        total.into_tensor_arg(),
        weights.clone().into_tensor_arg(),
        max_after.clone().into_tensor_arg(),
        total_after.clone().into_tensor_arg(),
        correction.clone().into_tensor_arg(),
        scalar(scaling.scale, sums),
        scalar(scaling.softcap.unwrap_or(1.0), sums),
        scaling.first_key(),
        scaling.softcap.is_some(),
        scaling.first_key.is_some(),
        is_first,
        rows.n_units,
        types,
    );
    [weights, max_after, total_after, correction]
}

fn gradients(
    [scores, d_weights, ends, log_sum_exp, along]: [CubeTensor; 5],
    scaling: Scaling,
    dtype: DType,
) -> [CubeTensor; 2] {
    let [scores, d_weights] = [scores, d_weights].map(with_rows);
    let ends = scaling.ends(ends, &scores);
    let [log_sum_exp, along] = [log_sum_exp, along].map(into_contiguous);
    let (shape, sums) = (scores.meta.shape().clone(), scores.dtype);
    let [weights, d_scores] = std::array::from_fn(|_| empty(&scores, shape.clone(), dtype));
    let rows = Rows::new(&scores, n_rows(&scores), shape[3]);
    let client = scores.client.clone();
    let types = [element(sums), element(dtype), element(ends.dtype)];
    gradients_kernel::launch(
        &client,
        rows.count,
        rows.dim,
        address_type([&scores, &d_weights, &weights]),
        scores.into_tensor_arg(),
        d_weights.into_tensor_arg(),
        ends.into_tensor_arg(),
        log_sum_exp.into_tensor_arg(),
        along.into_tensor_arg(),
        weights.clone().into_tensor_arg(),
        d_scores.clone().into_tensor_arg(),
        scalar(scaling.scale, sums),
        scalar(scaling.softcap.unwrap_or(1.0), sums),
        scaling.first_key(),
        scaling.softcap.is_some(),
        scaling.first_key.is_some(),
        rows.n_units,
        types,
    );
    [weights, d_scores]
}

/// The key of a block that `ends[at]` is, between 0 and the number of keys of the block.
#[cube]
fn key_of_block<I: Numeric>(ends: &Tensor<I>, at: usize, first_key: usize, n_keys: usize) -> usize {
    let key = u32::cast_from(ends[at]) as usize;
    let mut of_block = 0usize.runtime();
    if key >= first_key + n_keys {
        of_block = n_keys;
    } else if key > first_key {
        of_block = key - first_key;
    }
    of_block
}

/// The first key of the block that a row sees, or the one after the last if `is_end`. `ends` is `[2, n_masks, queries]`.
#[cube]
fn end_of_row<S: Float, I: Numeric>(
    scores: &Tensor<S>,
    ends: &Tensor<I>,
    row: usize,
    first_key: usize,
    #[comptime] is_masked: bool,
    #[comptime] is_end: bool,
) -> usize {
    let n_keys = scores.shape(3);
    let mut end = 0usize.runtime();
    if comptime![is_end] {
        end = n_keys;
    }
    if comptime![is_masked] {
        let (n_masks, n_queries) = (ends.shape(1), ends.shape(2));
        let query = row % scores.shape(2) % n_queries;
        let mask = row / (scores.shape(2) * scores.shape(1)) % n_masks;
        let mut at = mask * n_queries + query;
        if comptime![is_end] {
            at += n_masks * n_queries;
        }
        end = key_of_block::<I>(ends, at, first_key, n_keys);
    }
    end
}

/// `exp(s - max)` of a row, with the largest score of this block and those before. Keys that a row does not see have the
/// weight 0. In `f16`, weights below 3e-8 become 0 too; they still count in the total.
#[cube(launch, address_type = "dynamic")]
fn weights_kernel<S: Float, W: Float, I: Numeric>(
    scores: &Tensor<S>,
    ends: &Tensor<I>,
    max_before: &Tensor<S>,
    total_before: &Tensor<S>,
    weights: &mut Tensor<W>,
    max_after: &mut Tensor<S>,
    total_after: &mut Tensor<S>,
    correction: &mut Tensor<S>,
    scale: InputScalar,
    softcap: InputScalar,
    first_key: u32,
    #[comptime] is_capped: bool,
    #[comptime] is_masked: bool,
    #[comptime] is_first: bool,
    #[comptime] n_units: usize,
    #[define(S, W, I)] _types: [ElemType; 3],
) {
    let n_keys = scores.shape(3);
    let row = CUBE_POS;
    if row >= max_after.len() {
        terminate!();
    }
    let start = start_of_row::<S>(scores, row, 4usize);
    let (scale, softcap) = (scale.get::<S>(), softcap.get::<S>());
    let first_key = first_key as usize;
    let first = end_of_row::<S, I>(scores, ends, row, first_key, is_masked, false);
    let end = end_of_row::<S, I>(scores, ends, row, first_key, is_masked, true);

    let mut largest = S::new(-1.0e30);
    if comptime![!is_first] {
        largest = max_before[row];
    }
    let mut at = first + UNIT_POS as usize;
    while at < end {
        let score = capped::<S>(scores[start + at] * scale, softcap, is_capped);
        if score > largest {
            largest = score;
        }
        at += n_units;
    }
    let max = max_of_units::<S>(largest, n_units);

    let mut sum = S::new(0.0);
    let mut at = UNIT_POS as usize;
    while at < n_keys {
        let mut weight = S::new(0.0);
        if at >= first && at < end {
            let score = capped::<S>(scores[start + at] * scale, softcap, is_capped);
            weight = (score - max).exp();
        }
        weights[row * n_keys + at] = W::cast_from(weight);
        sum += weight;
        at += n_units;
    }
    let mut total = sum_of_units::<S>(sum, n_units);
    if UNIT_POS == 0 {
        let mut factor = S::new(1.0);
        if comptime![!is_first] {
            factor = (max_before[row] - max).exp();
            total += total_before[row] * factor;
        }
        max_after[row] = max;
        total_after[row] = total;
        correction[row] = factor;
    }
}

/// `P = exp(s - log_sum_exp)` and `dS = P ∘ (dP - along)`, times the slope of the soft cap.
#[cube(launch, address_type = "dynamic")]
fn gradients_kernel<S: Float, W: Float, I: Numeric>(
    scores: &Tensor<S>,
    d_weights: &Tensor<S>,
    ends: &Tensor<I>,
    log_sum_exp: &Tensor<S>,
    along: &Tensor<S>,
    weights: &mut Tensor<W>,
    d_scores: &mut Tensor<W>,
    scale: InputScalar,
    softcap: InputScalar,
    first_key: u32,
    #[comptime] is_capped: bool,
    #[comptime] is_masked: bool,
    #[comptime] n_units: usize,
    #[define(S, W, I)] _types: [ElemType; 3],
) {
    let n_keys = scores.shape(3);
    let row = CUBE_POS;
    if row >= log_sum_exp.len() {
        terminate!();
    }
    let start = start_of_row::<S>(scores, row, 4usize);
    let start_of_gradients = start_of_row::<S>(d_weights, row, 4usize);
    let (scale, softcap) = (scale.get::<S>(), softcap.get::<S>());
    let first_key = first_key as usize;
    let first = end_of_row::<S, I>(scores, ends, row, first_key, is_masked, false);
    let end = end_of_row::<S, I>(scores, ends, row, first_key, is_masked, true);
    let (log_sum_exp, along) = (log_sum_exp[row], along[row]);
    let mut at = UNIT_POS as usize;
    while at < n_keys {
        let mut weight = S::new(0.0);
        let mut d_score = S::new(0.0);
        if at >= first && at < end {
            let score = capped::<S>(scores[start + at] * scale, softcap, is_capped);
            weight = (score - log_sum_exp).exp();
            let slope = slope_of_cap::<S>(score, softcap, is_capped);
            d_score = weight * (d_weights[start_of_gradients + at] - along) * slope;
        }
        weights[row * n_keys + at] = W::cast_from(weight);
        d_scores[row * n_keys + at] = W::cast_from(d_score);
        at += n_units;
    }
}
