//! Self-attention of one layer, split into the two steps that chunked evaluation needs.

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor, TensorData};
use longrope_kernels::{AttentionConfig, Documents, attention, attention_with_sinks};
use longrope_rope::{AttentionLayout, NormOrder, NormSpan, QueryGrowth, Rotation};

use super::grouped_attention::grouped_attention;
use super::linear::Linear;
use super::norm::Norm;
use crate::rotary::{Rotary, Turn};

/// Grouped-query attention with rotary embeddings.
#[derive(Module, Debug)]
pub(crate) struct SelfAttention {
    pub(crate) qkv: Qkv,
    pub(crate) o_proj: Linear,
    /// Normalization of queries and of keys.
    pub(crate) head_norms: Option<HeadNorms>,
    /// A logit per query head that only enlarges the denominator of the softmax.
    pub(crate) sinks: Option<Sinks>,
    pub(crate) head_dim: usize,
    #[module(skip)]
    pub(crate) layout: AttentionLayout,
    #[module(skip)]
    pub(crate) rotation: Rotation,
    /// Whether the layer has a sliding window.
    #[module(skip)]
    pub(crate) has_window: bool,
}

/// The normalizations of queries and of keys.
#[derive(Module, Debug)]
pub(crate) struct HeadNorms {
    pub(crate) query: Norm,
    pub(crate) key: Norm,
}

/// Sinks, `[n_heads]`.
#[derive(Module, Debug)]
pub(crate) struct Sinks {
    pub(crate) weight: Param<Tensor<1>>,
    /// Full name in a checkpoint.
    #[module(skip)]
    pub(crate) name: String,
}

/// Position and mask of a stretch of queries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// Position of the first query.
    pub(crate) start: usize,
    /// Position of the first key that is given.
    pub(crate) first_key: usize,
    /// Sliding window in tokens; `None` means no limit.
    pub(crate) window: Option<usize>,
    /// Packed documents that do not attend to each other.
    pub(crate) documents: Option<&'a Documents>,
}

/// Rotated queries, `[batch, n_heads, seq, head_dim]`.
#[derive(Clone, Debug)]
pub(crate) struct Queries {
    queries: Tensor<4>,
    /// As far keys see them, if those are rotated to other positions than near ones.
    far: Option<FarQueries>,
}

#[derive(Clone, Debug)]
struct FarQueries {
    queries: Tensor<4>,
    /// Number of keys that are near.
    n_near: usize,
}

impl Queries {
    /// Query `row` alone.
    pub(crate) fn row(&self, row: usize) -> Self {
        let of = |queries: &Tensor<4>| queries.clone().narrow(2, row, 1);
        Self {
            queries: of(&self.queries),
            far: self.far.as_ref().map(|far| FarQueries {
                queries: of(&far.queries),
                ..*far
            }),
        }
    }
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
    /// - output: twice `[batch, n_kv_heads, seq, head_dim]`; if `rotary` groups positions, the keys for near queries and
    ///   those for far ones, `[batch, 2 · n_kv_heads, seq, head_dim]`
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
        let norm = self.head_norms.as_ref().map(|norms| &norms.key);
        let rotated = |keys, rotary| self.rotated_heads(keys, norm, rotary, start);
        let keys = match rotary.far(self.rotation) {
            None => rotated(keys, rotary),
            Some(far) => {
                let near = rotated(keys.clone(), rotary);
                Tensor::cat(vec![near, rotated(keys, &far.keys)], 1)
            }
        };
        (keys, self.heads(values))
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
        let queries = self.queries(x, rotary, place.start);
        self.o_proj.forward(self.mix(queries, keys, values, place))
    }

    /// Rotated queries of a chunk that starts at position `start`.
    ///
    /// # Shapes
    /// - `x`: `[batch, seq, hidden]`
    pub(crate) fn queries(&self, x: Tensor<3>, rotary: &Rotary, start: usize) -> Queries {
        let [_, seq, _] = x.dims();
        let queries = match &self.qkv {
            Qkv::Split(maps) => maps.q_proj.forward(x),
            Qkv::Fused(map) => map.forward_rows(x, 0..self.fused_rows(map).0),
        };
        let norm = self.head_norms.as_ref().map(|norms| &norms.query);
        let rotated = |queries, rotary: &Rotary| {
            let queries = self.rotated_heads(queries, norm, rotary, start);
            match self.layout.query_growth {
                Some(growth) => grown(queries, growth, &rotary.positions(start..start + seq)),
                None => queries,
            }
        };
        let far = rotary.far(self.rotation).map(|far| FarQueries {
            queries: rotated(queries.clone(), &far.queries),
            n_near: far.grouping.window,
        });
        Queries {
            queries: rotated(queries, rotary),
            far,
        }
    }

    /// Attends from rotated queries; the result is not projected yet.
    ///
    /// # Shapes
    /// - `keys`, `values`: `[batch, n_kv_heads, start + seq or more, head_dim]`
    /// - output: `[batch, seq, n_heads · head_dim]`
    pub(crate) fn mix(
        &self,
        Queries { queries, far }: Queries,
        keys: &Tensor<4>,
        values: &Tensor<4>,
        place: Place<'_>,
    ) -> Tensor<3> {
        let [batch, n_heads, seq, head_dim] = queries.dims();
        let n_keys = place.start + seq - place.first_key;
        let config = AttentionConfig {
            scale: self.layout.scale,
            softcap: self.layout.softcap,
            window: place.window,
            documents: place.documents.cloned(),
        };
        let keys = keys.clone().narrow(2, 0, n_keys);
        let values = values.clone().narrow(2, 0, n_keys);
        let sinks = self.sinks.as_ref().map(|sinks| sinks.weight.val());
        let mixed = match (far, sinks) {
            (Some(far), sinks) => {
                let queries = [queries, far.queries];
                grouped_attention(queries, &keys, values, sinks, far.n_near, config)
            }
            (None, None) => attention(queries, keys, values, config),
            (None, Some(sinks)) => attention_with_sinks(queries, keys, values, sinks, config),
        }; // [b, h, t, d]
        mixed
            .swap_dims(1, 2)
            .reshape([batch, seq, n_heads * head_dim])
    }

    /// Splits a projection into heads, which are normalized and rotated.
    fn rotated_heads(
        &self,
        x: Tensor<3>,
        norm: Option<&Norm>,
        rotary: &Rotary,
        start: usize,
    ) -> Tensor<4> {
        let turn = Turn {
            rotation: self.rotation,
            pairs: self.layout.pairs,
            has_window: self.has_window,
        };
        let (Some(norm), Some(kind)) = (norm, self.layout.head_norm) else {
            return rotary.apply(self.heads(x), start, turn);
        };
        match (kind.order, kind.span) {
            (NormOrder::BeforeRotation, NormSpan::AllHeads) => {
                rotary.apply(self.heads(norm.forward(x)), start, turn)
            }
            (NormOrder::BeforeRotation, NormSpan::Head) => {
                rotary.apply(self.heads(norm.forward_heads(x)), start, turn)
            }
            (NormOrder::AfterRotation, _) => {
                let rotated = rotary.apply(self.heads(x), start, turn);
                let [batch, n_heads, seq, head_dim] = rotated.dims();
                let rows = rotated.reshape([batch, n_heads * seq, head_dim]);
                norm.forward(rows).reshape([batch, n_heads, seq, head_dim])
            }
        }
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

/// Queries, `[batch, heads, seq, head_dim]`, that grow with their position. `positions` are those of each sequence, or one
/// list for all.
fn grown(queries: Tensor<4>, growth: QueryGrowth, positions: &[Vec<usize>]) -> Tensor<4> {
    let [_, _, seq, _] = queries.dims();
    if positions.iter().flatten().all(|at| *at < growth.context) {
        return queries;
    }
    let factor = |position: &usize| {
        let rounds = (position / growth.context) as f64;
        1.0 + growth.beta * rounds.ln_1p()
    };
    let factors: Vec<f64> = positions.iter().flatten().map(factor).collect();
    let dtype = queries.dtype();
    let factors = TensorData::new(factors, [positions.len(), 1, seq, 1]);
    let factors: Tensor<4> = Tensor::from_data(factors, (&queries.device(), DType::F32));
    queries * factors.cast(dtype)
}
