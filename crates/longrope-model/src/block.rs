//! One decoder layer, applied to a whole sequence in chunks.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::Tensor;

use crate::attention::{Place, SelfAttention};
use crate::kv_cache::LayerCache;
use crate::mlp::Mlp;
use crate::norm::RmsNorm;
use crate::rotary::Rotary;

/// Attention and MLP, each behind a normalization and added to the residual stream.
#[derive(Module, Debug)]
pub(crate) struct DecoderLayer {
    pub(crate) self_attn: SelfAttention,
    pub(crate) mlp: Mlp,
    pub(crate) input_layernorm: RmsNorm,
    pub(crate) post_attention_layernorm: RmsNorm,
}

/// A stretch of the sequence: the position of its first row and its hidden states,
/// `[batch, seq, hidden]`.
pub(crate) struct Chunk {
    pub(crate) start: usize,
    pub(crate) hidden: Tensor<3>,
}

impl Chunk {
    /// The positions it covers.
    pub(crate) fn positions(&self) -> Range<usize> {
        let [_, seq, _] = self.hidden.dims();
        self.start..self.start + seq
    }
}

impl DecoderLayer {
    /// Replaces the hidden states of all chunks by those after this layer.
    ///
    /// Keys and values of the whole sequence are made first, then each chunk attends to what is
    /// before it, or to the last `window` tokens of that. Chunks that end at or before `needed_from` are dropped: nobody reads them when
    /// this is the last layer.
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

    /// Runs a stretch of one sequence behind the tokens in a cache, and caches it too.
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

    /// Runs whole sequences in one piece, as training does.
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
