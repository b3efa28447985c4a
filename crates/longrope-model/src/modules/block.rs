//! One decoder layer, applied to a whole sequence in chunks.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::Tensor;
use longrope_kernels::Documents;
use longrope_rope::Residual;

use super::attention::{Place, SelfAttention};
use super::feed_forward::FeedForward;
use super::norm::Norm;
use crate::kv_cache::LayerCache;
use crate::rotary::Rotary;

/// Attention and MLP, whose outputs are added to the residual stream.
///
/// A family has normalizations of their inputs, of their outputs, or both.
#[derive(Module, Debug)]
pub(crate) struct DecoderLayer {
    pub(crate) self_attn: SelfAttention,
    pub(crate) mlp: FeedForward,
    pub(crate) before_attention: Option<Norm>,
    pub(crate) after_attention: Option<Norm>,
    pub(crate) before_mlp: Option<Norm>,
    pub(crate) after_mlp: Option<Norm>,
    #[module(skip)]
    pub(crate) residual: Residual,
    /// Factor of what is added to the residual stream.
    pub(crate) residual_scale: f64,
    /// Sliding window in tokens.
    pub(crate) window: Option<usize>,
}

/// Rows of a chunk are left out in multiples of this. Attention then divides the others into the same blocks as in a full
/// pass, so that nearly all results have the same bits.
const ROW_BLOCK: usize = 256;

/// Number of rows that are computed at least, as far as the chunk has them. Products of fewer rows may be computed by
/// other kernels, which round differently.
const LEAST_ROWS: usize = 64;

/// A part of the sequence: the position of its first token, and its hidden states `[batch, seq, hidden]`.
pub(crate) struct Chunk {
    pub(crate) start: usize,
    pub(crate) hidden: Tensor<3>,
}

impl Chunk {
    /// The positions of the chunk.
    pub(crate) fn positions(&self) -> Range<usize> {
        let [_, seq, _] = self.hidden.dims();
        self.start..self.start + seq
    }

    /// The rows that are computed if those from position `needed_from` on are asked; `None` if the chunk has none of
    /// them.
    fn needed_rows(&self, needed_from: usize) -> Option<Range<usize>> {
        let Range { start, end } = self.positions();
        let n_rows = end - start;
        let n_unasked = needed_from.saturating_sub(start);
        if n_unasked >= n_rows {
            return None;
        }
        let n_skipped = n_unasked.min(n_rows.saturating_sub(LEAST_ROWS));
        Some(n_skipped / ROW_BLOCK * ROW_BLOCK..n_rows)
    }
}

/// A sequence that gets one more token.
pub(crate) struct CachedSequence<'a> {
    /// The position of the token.
    pub(crate) start: usize,
    /// The earlier keys and values of the layer.
    pub(crate) cache: &'a mut LayerCache,
}

impl DecoderLayer {
    /// Runs this layer on the hidden states of all chunks.
    ///
    /// Keys and values of the whole sequence are computed first. Then each chunk attends to itself and to earlier
    /// tokens. Of the rows before position `needed_from`, most are left out: in the last layer, their output is not
    /// used.
    pub(crate) fn forward(
        &self,
        chunks: Vec<Chunk>,
        rotary: &Rotary,
        needed_from: usize,
    ) -> Vec<Chunk> {
        let mut keys = Vec::with_capacity(chunks.len());
        let mut values = Vec::with_capacity(chunks.len());
        for chunk in &chunks {
            let x = normalized(self.before_attention.as_ref(), chunk.hidden.clone());
            let (k, v) = self.self_attn.keys_values(x, rotary, chunk.start);
            keys.push(k);
            values.push(v);
        }
        let (keys, values) = (Tensor::cat(keys, 2), Tensor::cat(values, 2));
        chunks
            .into_iter()
            .filter_map(|chunk| {
                let rows = chunk.needed_rows(needed_from)?;
                let start = chunk.start + rows.start;
                let hidden = rows_of(chunk.hidden, &rows);
                let x = normalized(self.before_attention.as_ref(), hidden.clone());
                let place = self.place(start);
                let mixed = self
                    .self_attn
                    .attend(x.clone(), &keys, &values, rotary, place);
                Some(Chunk {
                    start,
                    hidden: self.add(hidden, x, mixed),
                })
            })
            .collect()
    }

    /// Runs a chunk of one sequence, whose earlier tokens are in a cache, and adds it to the cache.
    ///
    /// Of the rows before position `needed_from`, most are left out of the result, and it is `None` if none is needed.
    /// The cache gets the keys and values of all.
    pub(crate) fn forward_cached(
        &self,
        chunk: Chunk,
        cache: &mut LayerCache,
        rotary: &Rotary,
        needed_from: usize,
    ) -> Option<Chunk> {
        let x = normalized(self.before_attention.as_ref(), chunk.hidden.clone());
        let (keys, values) = self.self_attn.keys_values(x.clone(), rotary, chunk.start);
        cache.append(keys, values, chunk.start);
        let rows = chunk.needed_rows(needed_from)?;
        let start = chunk.start + rows.start;
        let (hidden, x) = (rows_of(chunk.hidden, &rows), rows_of(x, &rows));
        let place = Place {
            first_key: cache.first,
            ..self.place(start)
        };
        let mixed = self
            .self_attn
            .attend(x.clone(), &cache.keys, &cache.values, rotary, place);
        Some(Chunk {
            start,
            hidden: self.add(hidden, x, mixed),
        })
    }

    /// Runs one more token of several sequences, whose earlier tokens are in caches of their own, and adds each to its
    /// cache. The weights are read once for all. `rotary` has the angles of these tokens, in rows of their own.
    ///
    /// # Shapes
    /// - `hidden`, output: `[1, n_sequences, hidden]`
    pub(crate) fn forward_cached_together(
        &self,
        hidden: Tensor<3>,
        sequences: &mut [CachedSequence<'_>],
        rotary: &Rotary,
    ) -> Tensor<3> {
        let x = normalized(self.before_attention.as_ref(), hidden.clone());
        let queries = self.self_attn.queries(x.clone(), rotary, 0);
        let (keys, values) = self.self_attn.keys_values(x.clone(), rotary, 0);
        let of = |all: &Tensor<4>, row: usize| all.clone().narrow(2, row, 1);
        let mixed = sequences.iter_mut().enumerate().map(|(row, sequence)| {
            let CachedSequence { start, cache } = sequence;
            cache.append(of(&keys, row), of(&values, row), *start);
            let place = Place {
                first_key: cache.first,
                ..self.place(*start)
            };
            self.self_attn
                .mix(queries.row(row), &cache.keys, &cache.values, place)
        });
        let mixed = Tensor::cat(mixed.collect(), 1);
        let mixed = self.self_attn.o_proj.forward(mixed);
        self.add(hidden, x, mixed)
    }

    /// Runs whole sequences at once, for training.
    ///
    /// # Shapes
    /// - `hidden`, output: `[batch, seq, hidden]`
    pub(crate) fn forward_whole(
        &self,
        hidden: Tensor<3>,
        rotary: &Rotary,
        documents: Option<&Documents>,
    ) -> Tensor<3> {
        let (x, mixed) = self.mixed(hidden.clone(), rotary, documents);
        self.add(hidden, x, mixed)
    }

    /// As [`Self::forward_whole`] without the MLP, where that comes after the attention.
    pub(crate) fn forward_attention(
        &self,
        hidden: Tensor<3>,
        rotary: &Rotary,
        documents: Option<&Documents>,
    ) -> Tensor<3> {
        let (_, mixed) = self.mixed(hidden.clone(), rotary, documents);
        hidden + self.scaled(normalized(self.after_attention.as_ref(), mixed))
    }

    /// The MLP after the attention, of any positions.
    ///
    /// # Shapes
    /// - `hidden`, output: `[batch, seq, hidden]`
    pub(crate) fn forward_mlp(&self, hidden: Tensor<3>) -> Tensor<3> {
        let x = normalized(self.before_mlp.as_ref(), hidden.clone());
        hidden + self.feed_forward(x)
    }

    /// The input of the attention over whole sequences, and its output.
    fn mixed(
        &self,
        hidden: Tensor<3>,
        rotary: &Rotary,
        documents: Option<&Documents>,
    ) -> (Tensor<3>, Tensor<3>) {
        let x = normalized(self.before_attention.as_ref(), hidden);
        let (keys, values) = self.self_attn.keys_values(x.clone(), rotary, 0);
        let place = Place {
            documents,
            ..self.place(0)
        };
        let mixed = self
            .self_attn
            .attend(x.clone(), &keys, &values, rotary, place);
        (x, mixed)
    }

    /// Queries from position `start` on, with the keys of the whole sequence.
    fn place<'a>(&self, start: usize) -> Place<'a> {
        Place {
            start,
            first_key: 0,
            window: self.window,
            documents: None,
        }
    }

    /// The residual stream after attention and MLP. `x` is the input of the attention, and `mixed` its output.
    fn add(&self, hidden: Tensor<3>, x: Tensor<3>, mixed: Tensor<3>) -> Tensor<3> {
        let mixed = self.scaled(normalized(self.after_attention.as_ref(), mixed));
        match self.residual {
            Residual::Sequential => {
                drop(x);
                self.forward_mlp(hidden + mixed)
            }
            Residual::Parallel => hidden + mixed + self.feed_forward(x),
        }
    }

    fn feed_forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.scaled(normalized(self.after_mlp.as_ref(), self.mlp.forward(x)))
    }

    #[expect(clippy::float_cmp, reason = "exactly 1 where a family has no factor")]
    fn scaled(&self, x: Tensor<3>) -> Tensor<3> {
        if self.residual_scale == 1.0 {
            x
        } else {
            x * self.residual_scale
        }
    }
}

fn normalized(norm: Option<&Norm>, x: Tensor<3>) -> Tensor<3> {
    match norm {
        Some(norm) => norm.forward(x),
        None => x,
    }
}

/// Some rows of `[batch, seq, width]`.
fn rows_of(x: Tensor<3>, rows: &Range<usize>) -> Tensor<3> {
    let [_, seq, _] = x.dims();
    if rows.len() == seq {
        x
    } else {
        x.narrow(1, rows.start, rows.len())
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn whole_blocks_of_rows_are_left_out_and_a_few_rows_are_always_kept() {
        let rows = |n_rows, needed_from| {
            let hidden = Tensor::zeros([1, n_rows, 2], &Device::flex());
            let chunk = Chunk { start: 100, hidden };
            chunk.needed_rows(needed_from)
        };
        assert_eq!(rows(1000, 0), Some(0..1000));
        assert_eq!(rows(1000, 355), Some(0..1000));
        assert_eq!(rows(1000, 356), Some(256..1000));
        assert_eq!(rows(1000, 1099), Some(768..1000));
        assert_eq!(rows(1000, 1100), None);
        assert_eq!(rows(800, 899), Some(512..800), "the last block has 32 rows");
        assert_eq!(rows(1, 100), Some(0..1));
        assert_eq!(rows(1, 101), None);
    }
}
