//! Self-attention of one layer, in the two steps that chunked evaluation needs.

use burn::module::Module;
use burn::tensor::Tensor;
use longrope_kernels::{AttentionConfig, attention};

use crate::linear::Linear;
use crate::rotary::Rotary;

/// Grouped-query attention with rotary embeddings.
#[derive(Module, Debug)]
pub(crate) struct SelfAttention {
    pub(crate) q_proj: Linear,
    pub(crate) k_proj: Linear,
    pub(crate) v_proj: Linear,
    pub(crate) o_proj: Linear,
    pub(crate) head_dim: usize,
}

impl SelfAttention {
    /// Rotated keys, and values, of a chunk that begins at position `start`.
    ///
    /// # Shapes
    /// - `x`: `[batch, seq, hidden]`
    /// - output: twice `[batch, n_kv_heads, seq, head_dim]`
    pub(crate) fn keys_values(
        &self,
        x: Tensor<3>,
        rotary: &Rotary,
        start: usize,
    ) -> (Tensor<4>, Tensor<4>) {
        let keys = self.heads(self.k_proj.forward(x.clone()));
        let values = self.heads(self.v_proj.forward(x));
        (rotary.apply(keys, start), values)
    }

    /// Attends from a chunk that begins at position `start` to all keys up to its own end.
    ///
    /// # Shapes
    /// - `x`, output: `[batch, seq, hidden]`
    /// - `keys`, `values`: `[batch, n_kv_heads, start + seq or more, head_dim]`
    pub(crate) fn attend(
        &self,
        x: Tensor<3>,
        keys: &Tensor<4>,
        values: &Tensor<4>,
        rotary: &Rotary,
        start: usize,
    ) -> Tensor<3> {
        let [batch, seq, _] = x.dims();
        let queries = rotary.apply(self.heads(self.q_proj.forward(x)), start);
        let end = start + seq;
        let mixed = attention(
            queries,
            keys.clone().narrow(2, 0, end),
            values.clone().narrow(2, 0, end),
            AttentionConfig::causal(self.head_dim),
        ); // [b, h, t, d]
        let [_, n_heads, _, _] = mixed.dims();
        let joined = mixed
            .swap_dims(1, 2)
            .reshape([batch, seq, n_heads * self.head_dim]);
        self.o_proj.forward(joined)
    }

    /// Splits a projection into heads: `[b, t, h·d]` to `[b, h, t, d]`, a view.
    fn heads(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, seq, width] = x.dims();
        x.reshape([batch, seq, width / self.head_dim, self.head_dim])
            .swap_dims(1, 2)
    }
}
