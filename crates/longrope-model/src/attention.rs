//! Self-attention of one layer, split into the two steps that chunked evaluation needs.

use burn::module::Module;
use burn::tensor::Tensor;
use longrope_kernels::{AttentionConfig, Documents, attention};

use crate::linear::Linear;
use crate::rotary::Rotary;

/// Grouped-query attention with rotary embeddings.
#[derive(Module, Debug)]
pub(crate) struct SelfAttention {
    pub(crate) qkv: Qkv,
    pub(crate) o_proj: Linear,
    pub(crate) head_dim: usize,
}

/// Position and mask of a stretch of queries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// Position of the first query.
    pub(crate) start: usize,
    /// Sliding window in tokens; `None` means no limit.
    pub(crate) window: Option<usize>,
    /// Packed documents that do not attend to each other.
    pub(crate) documents: Option<&'a Documents>,
}

/// The projections to queries, keys and values: three matrices, or one.
#[derive(Module, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one per layer, all with the same variant"
)]
pub(crate) enum Qkv {
    /// Separate matrices.
    Split(SplitQkv),
    /// One matrix: rows of the queries, then of the keys, then of the values.
    Fused(Linear),
}

/// Query, key and value as three matrices.
#[derive(Module, Debug)]
#[expect(clippy::struct_field_names, reason = "the names in the checkpoint")]
pub(crate) struct SplitQkv {
    pub(crate) q_proj: Linear,
    pub(crate) k_proj: Linear,
    pub(crate) v_proj: Linear,
}

impl SelfAttention {
    /// Rotated keys, and values, of a chunk that starts at position `start`.
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
        let (keys, values) = match &self.qkv {
            Qkv::Split(maps) => (maps.k_proj.forward(x.clone()), maps.v_proj.forward(x)),
            Qkv::Fused(map) => {
                let (queries, keys) = self.fused_rows(map);
                let values = map.forward_rows(x.clone(), queries + keys..queries + 2 * keys);
                (map.forward_rows(x, queries..queries + keys), values)
            }
        };
        (rotary.apply(self.heads(keys), start), self.heads(values))
    }

    /// Attends from a chunk to the keys up to the end of the chunk that `place` makes visible.
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
        place: Place<'_>,
    ) -> Tensor<3> {
        let [batch, seq, _] = x.dims();
        let queries = match &self.qkv {
            Qkv::Split(maps) => maps.q_proj.forward(x),
            Qkv::Fused(map) => map.forward_rows(x, 0..self.fused_rows(map).0),
        };
        let queries = rotary.apply(self.heads(queries), place.start);
        let end = place.start + seq;
        let config = AttentionConfig {
            window: place.window,
            documents: place.documents.cloned(),
            ..AttentionConfig::causal(self.head_dim)
        };
        let keys = keys.clone().narrow(2, 0, end);
        let values = values.clone().narrow(2, 0, end);
        let mixed = attention(queries, keys, values, config); // [b, h, t, d]
        let [_, n_heads, _, _] = mixed.dims();
        let joined = mixed
            .swap_dims(1, 2)
            .reshape([batch, seq, n_heads * self.head_dim]);
        self.o_proj.forward(joined)
    }

    /// Number of rows of the queries and of the keys. Values have as many rows as keys.
    fn fused_rows(&self, map: &Linear) -> (usize, usize) {
        let [rows, _] = map.weight.dims();
        let [_, queries] = self.o_proj.weight.dims();
        (queries, (rows - queries) / 2)
    }

    /// Splits a projection into heads without a copy: `[b, t, h·d]` to `[b, h, t, d]`.
    fn heads(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, seq, width] = x.dims();
        x.reshape([batch, seq, width / self.head_dim, self.head_dim])
            .swap_dims(1, 2)
    }
}
