//! Attention over all keys from attentions over two parts of them.

use burn::tensor::{DType, Tensor};

/// Merges attentions of the same queries over two disjoint sets of keys to the attention over both.
///
/// With outputs `o` and log-sum-exps `l` of both parts, the output is `(e^l₁ o₁ + e^l₂ o₂) / (e^l₁ + e^l₂)`, computed without
/// overflow, in `f32` or wider. The log-sum-exp of both is returned as well.
///
/// # Shapes
/// - each part, output: `[batch, n_heads, seq, head_dim]` and `[batch, n_heads, seq]`
///
/// # Reference
/// Dao et al. (arXiv 2205.14135), section 3.1: the softmax of concatenated blocks.
pub fn merge_attention(parts: [(Tensor<4>, Tensor<3>); 2]) -> (Tensor<4>, Tensor<3>) {
    let [(first, first_sum), (second, second_sum)] = parts;
    let dtype = first.dtype();
    let ahead = first_sum.clone() - second_sum.clone();
    let weighted = |output: Tensor<4>, behind: Tensor<3>| {
        // 1 / (1 + e^behind): an exponential that overflows gives a weight of 0, which is right.
        let weight = (behind.exp() + 1.0).recip().unsqueeze_dim::<4>(3);
        output.cast(wide(dtype)) * weight
    };
    let merged = weighted(first, -ahead.clone()) + weighted(second, ahead.clone());
    let sum = first_sum.max_pair(second_sum) + (-ahead.abs()).exp().log1p();
    (merged.cast(dtype), sum)
}

/// The type that sums are computed in.
fn wide(dtype: DType) -> DType {
    match dtype {
        DType::F64 => DType::F64,
        _ => DType::F32,
    }
}
