//! One decoder layer, applied to a whole sequence in chunks.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::Tensor;
use longrope_rope::Residual;

use crate::attention::{Place, SelfAttention};
use crate::feed_forward::FeedForward;
use crate::kv_cache::LayerCache;
use crate::norm::Norm;
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
}

impl DecoderLayer {
    /// Runs this layer on the hidden states of all chunks.
    ///
    /// Keys and values of the whole sequence are computed first. Then each chunk attends to itself and to earlier
    /// tokens. Chunks that end at or before `needed_from` are dropped: in the last layer, their output is not used.
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
            .filter(|chunk| chunk.positions().end > needed_from)
            .map(|chunk| {
                let Chunk { start, hidden } = chunk;
                let x = normalized(self.before_attention.as_ref(), hidden.clone());
                let place = self.place(start);
                let mixed = self
                    .self_attn
                    .attend(x.clone(), &keys, &values, rotary, place);
                Chunk {
                    start,
                    hidden: self.add(hidden, x, mixed),
                }
            })
            .collect()
    }

    /// Runs the tokens that follow those in a cache, and adds them to the cache.
    ///
    /// # Shapes
    /// - `hidden`, output: `[1, seq, hidden]`
    pub(crate) fn forward_cached(
        &self,
        hidden: Tensor<3>,
        cache: &mut LayerCache,
        rotary: &Rotary,
        start: usize,
    ) -> Tensor<3> {
        let x = normalized(self.before_attention.as_ref(), hidden.clone());
        let (keys, values) = self.self_attn.keys_values(x.clone(), rotary, start);
        cache.append(keys, values, start);
        let place = Place {
            first_key: cache.first,
            ..self.place(start)
        };
        let mixed = self
            .self_attn
            .attend(x.clone(), &cache.keys, &cache.values, rotary, place);
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
        documents: Option<&longrope_kernels::Documents>,
    ) -> Tensor<3> {
        let x = normalized(self.before_attention.as_ref(), hidden.clone());
        let (keys, values) = self.self_attn.keys_values(x.clone(), rotary, 0);
        let place = Place {
            documents,
            ..self.place(0)
        };
        let mixed = self
            .self_attn
            .attend(x.clone(), &keys, &values, rotary, place);
        self.add(hidden, x, mixed)
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
                let hidden = hidden + mixed;
                let x = normalized(self.before_mlp.as_ref(), hidden.clone());
                hidden + self.feed_forward(x)
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
