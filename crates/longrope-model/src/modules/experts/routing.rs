//! Choosing and weighting the experts of each token.

use std::cmp::Reverse;

use burn::tensor::{DType, Int, Tensor, TensorData, activation};
use longrope_rope::Routing;

/// The experts of each token.
pub(super) struct Choice {
    /// The experts of the first token by decreasing score, then those of the second one, and so on.
    pub(super) experts: Vec<usize>,
    /// The weight of each choice, `[tokens, per_token]`, in `f32` or wider.
    pub(super) weights: Tensor<2>,
}

/// Chooses the experts. Of equal scores, that of the first expert counts as the largest.
///
/// # Shapes
/// - `scores`: `[tokens, experts]`
pub(super) fn choose(scores: Tensor<2>, per_token: usize, routing: Routing) -> Choice {
    let [_, n_experts] = scores.dims();
    let scores = match scores.dtype() {
        DType::F64 => scores,
        _ => scores.cast(DType::F32),
    };
    let read = scores.clone().without_autodiff().into_data();
    let read: Vec<f32> = read.iter::<f32>().collect();
    let rows = read.chunks(n_experts);
    match routing {
        Routing::Softmax { normalized } => {
            let experts: Vec<usize> = rows.flat_map(|row| largest(row, per_token)).collect();
            let shares = activation::softmax(scores, 1);
            let weights = gather(shares, &experts, per_token);
            let weights = if normalized {
                weights.clone() / weights.sum_dim(1)
            } else {
                weights
            };
            Choice { experts, weights }
        }
        Routing::SoftmaxOfChosen => {
            let experts: Vec<usize> = rows.flat_map(|row| largest(row, per_token)).collect();
            let chosen = gather(scores, &experts, per_token);
            Choice {
                experts,
                weights: activation::softmax(chosen, 1),
            }
        }
        Routing::SparseMixer { jitter } => {
            let pairs: Vec<Vec<usize>> = rows.clone().map(|row| largest(row, 2)).collect();
            let weights = (0..2).map(|turn| {
                let near = rows.clone().zip(&pairs);
                let masks = near.flat_map(|(row, pair)| far(row, pair, turn, jitter));
                let mask = TensorData::new(masks.collect::<Vec<f32>>(), scores.dims());
                let mask: Tensor<2> = Tensor::from_data(mask, (&scores.device(), DType::F32));
                let shares = activation::softmax(scores.clone() + mask.cast(scores.dtype()), 1);
                let chosen: Vec<usize> = pairs.iter().map(|pair| pair[turn]).collect();
                gather(shares, &chosen, 1)
            });
            let weights = Tensor::cat(weights.collect(), 1);
            Choice {
                experts: pairs.into_iter().flatten().collect(),
                weights,
            }
        }
    }
}

/// The indices of the `n` largest scores, by decreasing score.
fn largest(scores: &[f32], n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    // A stable order of all numbers, also of those that are not finite.
    let key = |index: &usize| (Reverse(Ordered(scores[*index])), *index);
    if n < order.len() {
        order.select_nth_unstable_by_key(n, key);
        order.truncate(n);
    }
    order.sort_unstable_by_key(key);
    order
}

/// A number with the total order of IEEE 754.
#[derive(PartialEq)]
struct Ordered(f32);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// 0 for scores that are near that of the expert chosen at this turn, and `-∞` for the others and for earlier choices; see
/// [`Routing::SparseMixer`].
fn far(scores: &[f32], chosen: &[usize], turn: usize, jitter: f64) -> Vec<f32> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "compared with numbers in f32"
    )]
    let limit = (2.0 * jitter) as f32;
    let largest = scores[chosen[turn]];
    let mask = |(index, score): (usize, &f32)| {
        let is_far = (largest - score) / score.abs().max(largest) > limit;
        if is_far || chosen[..turn].contains(&index) {
            f32::NEG_INFINITY
        } else {
            0.0
        }
    };
    scores.iter().enumerate().map(mask).collect()
}

/// `per_token` columns of each row, `[tokens, experts]` to `[tokens, per_token]`.
fn gather(values: Tensor<2>, columns: &[usize], per_token: usize) -> Tensor<2> {
    #[expect(clippy::cast_possible_wrap, reason = "numbers of experts are small")]
    let columns: Vec<i64> = columns.iter().map(|column| *column as i64).collect();
    let rows = columns.len() / per_token;
    let columns = TensorData::new(columns, [rows, per_token]);
    let columns: Tensor<2, Int> = Tensor::from_data(columns, &values.device());
    values.gather(1, columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first_and_of_equal_ones_the_first() {
        assert_eq!(largest(&[1.0, 3.0, 2.0, 3.0], 3), [1, 3, 2]);
        assert_eq!(largest(&[0.5, 0.5, 0.5], 2), [0, 1]);
        assert_eq!(largest(&[f32::NAN, 1.0], 2).len(), 2);
        assert_eq!(largest(&[-1.0, f32::NEG_INFINITY, -2.0], 1), [0]);
    }

    #[test]
    fn scores_that_are_far_below_do_not_count() {
        let scores = [2.0, 1.9, 1.0, 1.5];
        let kept = |turn| -> Vec<bool> {
            let mask = far(&scores, &[0, 1], turn, 0.1);
            mask.iter().map(|x| x.is_finite()).collect()
        };
        // (2 - 1.9) / 2 = 0.05, (2 - 1.5) / 2 = 0.25
        assert_eq!(kept(0), [true, true, false, false]);
        assert_eq!(kept(1), [false, true, false, false]);
    }
}
