//! One decoder layer, applied to a whole sequence in chunks.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::Tensor;

use crate::attention::{Place, SelfAttention};
use crate::kv_cache::LayerCache;
use crate::mlp::Mlp;
use crate::norm::RmsNorm;
use crate::rotary::Rotary;

/// Attention and MLP; each takes a normalized input, and its output is added to the residual stream.
#[derive(Module, Debug)]
pub(crate) struct DecoderLayer {
    pub(crate) self_attn: SelfAttention,
    pub(crate) mlp: Mlp,
    pub(crate) input_layernorm: RmsNorm,
    pub(crate) post_attention_layernorm: RmsNorm,
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
    /// tokens, within `window` if there is one. Chunks that end at or before `needed_from` are dropped: in the last
    /// layer, their output is not used.
    pub(crate) fn forward(
        &self,
        chunks: Vec<Chunk>,
        rotary: &Rotary,
        window: Option<usize>,
        needed_from: usize,
    ) -> Vec<Chunk> {
        let mut keys = Vec::with_capacity(chunks.len());
        let mut values = Vec::with_capacity(chunks.len());
        for chunk in &chunks {
            let x = self.input_layernorm.forward(chunk.hidden.clone());
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
                let x = self.input_layernorm.forward(hidden.clone());
                let place = Place {
                    start,
                    window,
                    documents: None,
                };
                let hidden = hidden + self.self_attn.attend(x, &keys, &values, rotary, place);
                let x = self.post_attention_layernorm.forward(hidden.clone());
                Chunk {
                    start,
                    hidden: hidden + self.mlp.forward(x),
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
        (start, window): (usize, Option<usize>),
    ) -> Tensor<3> {
        let x = self.input_layernorm.forward(hidden.clone());
        let (keys, values) = self.self_attn.keys_values(x.clone(), rotary, start);
        cache.append(keys, values, start);
        let place = Place {
            start,
            window,
            documents: None,
        };
        let mixed = self
            .self_attn
            .attend(x, &cache.keys, &cache.values, rotary, place);
        self.feed_forward(hidden + mixed)
    }

    /// Runs whole sequences at once, for training.
    ///
    /// # Shapes
    /// - `hidden`, output: `[batch, seq, hidden]`
    pub(crate) fn forward_whole(
        &self,
        hidden: Tensor<3>,
        rotary: &Rotary,
        place: Place<'_>,
    ) -> Tensor<3> {
        let x = self.input_layernorm.forward(hidden.clone());
        let (keys, values) = self.self_attn.keys_values(x.clone(), rotary, place.start);
        let mixed = self.self_attn.attend(x, &keys, &values, rotary, place);
        self.feed_forward(hidden + mixed)
    }

    fn feed_forward(&self, hidden: Tensor<3>) -> Tensor<3> {
        let x = self.post_attention_layernorm.forward(hidden.clone());
        hidden + self.mlp.forward(x)
    }
}
