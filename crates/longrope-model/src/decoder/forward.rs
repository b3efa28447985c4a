//! Running tokens through the layers: a whole batch, more tokens of one sequence, or one token of each of several.

use std::borrow::Cow;

use burn::tensor::{Int, Tensor};

use super::placement::PlacedRotary;
use super::stored::Stored;
use super::{Decoder, Stream};
use crate::error::Result;
use crate::kv_cache::KvCache;
use crate::modules::block::{CachedSequence, Chunk, DecoderLayer};
use crate::rotary::Rotary;

impl Decoder {
    /// Hidden states after the last normalization, in chunks. Of the positions before `needed_from`, most are left out:
    /// the last layer computes only their keys and values.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, seq]`
    ///
    /// # Errors
    /// If layers are streamed and cannot be read.
    pub(crate) fn hidden_states(
        &self,
        tokens: &Tensor<2, Int>,
        rotary: &Rotary,
        needed_from: usize,
        chunk_rows: usize,
    ) -> Result<Vec<Chunk>> {
        let [batch, seq] = tokens.dims();
        let rows = (chunk_rows / batch).max(1);
        let model = &self.weights.model;
        let mut chunks: Vec<Chunk> = (0..seq)
            .step_by(rows)
            .map(|start| {
                let n = rows.min(seq - start);
                let ids = tokens.clone().narrow(1, start, n);
                Chunk {
                    start,
                    hidden: self.embed(ids),
                }
            })
            .collect();
        let rotary = PlacedRotary::new(rotary, self.placement());
        for layer_idx in 0..self.config.n_layers {
            let needed_from = self.needed_from(layer_idx, needed_from);
            let rotary = rotary.on(self.placed.of_layer(layer_idx));
            chunks = self.layer(layer_idx)?.forward(chunks, rotary, needed_from);
            for chunk in &mut chunks {
                chunk.hidden = self.placed.after(layer_idx, chunk.hidden.clone());
            }
        }
        for chunk in &mut chunks {
            chunk.hidden = model.last(chunk.hidden.clone());
        }
        Ok(chunks)
    }

    /// Runs the tokens that follow those in a cache and adds them to the cache. Returns their hidden states after the
    /// last normalization, or `None` if they all come before position `needed_from`. Of the positions before it, most are
    /// left out: the last layer computes only their keys and values.
    ///
    /// # Shapes
    /// - `tokens`: `[seq]`
    /// - output: `[1, seq or fewer, hidden]`
    ///
    /// # Errors
    /// If layers are streamed and cannot be read.
    pub(crate) fn extend(
        &self,
        tokens: Tensor<1, Int>,
        cache: &mut KvCache,
        needed_from: usize,
    ) -> Result<Option<Chunk>> {
        let [seq] = tokens.dims();
        let model = &self.weights.model;
        let mut chunk = Some(Chunk {
            start: cache.n_tokens,
            hidden: self.embed(tokens.unsqueeze()),
        });
        for layer_idx in 0..self.config.n_layers {
            let needed_from = self.needed_from(layer_idx, needed_from);
            let rotary = cache.rotary.on(self.placed.of_layer(layer_idx));
            let cached = &mut cache.layers[layer_idx];
            let layer = self.layer(layer_idx)?;
            chunk =
                chunk.and_then(|chunk| layer.forward_cached(chunk, cached, rotary, needed_from));
            if let Some(chunk) = &mut chunk {
                chunk.hidden = self.placed.after(layer_idx, chunk.hidden.clone());
            }
        }
        cache.n_tokens += seq;
        Ok(chunk.map(|Chunk { start, hidden }| Chunk {
            start,
            hidden: model.last(hidden),
        }))
    }

    /// Runs one token of each of several sequences, which follows those in the cache of the sequence, and adds it to that
    /// cache. Returns the hidden states after the last normalization.
    ///
    /// # Shapes
    /// - `tokens`: `[n_sequences]`
    /// - output: `[n_sequences, hidden]`
    ///
    /// # Errors
    /// If layers are streamed and cannot be read.
    pub(crate) fn extend_together(
        &self,
        tokens: Tensor<1, Int>,
        caches: &mut [&mut KvCache],
    ) -> Result<Tensor<2>> {
        let mut hidden = self.embed(tokens.unsqueeze());
        let rows = caches
            .iter()
            .map(|cache| (cache.rotary.on_first(), cache.n_tokens));
        let rotary = Rotary::of_tokens(&rows.collect::<Vec<_>>());
        let rotary = PlacedRotary::new(&rotary, &self.placed.placement);
        for layer_idx in 0..self.config.n_layers {
            let sequences = caches.iter_mut().map(|cache| CachedSequence {
                start: cache.n_tokens,
                cache: &mut cache.layers[layer_idx],
            });
            let mut sequences: Vec<CachedSequence<'_>> = sequences.collect();
            let rotary = rotary.on(self.placed.of_layer(layer_idx));
            let layer = self.layer(layer_idx)?;
            hidden = layer.forward_cached_together(hidden, &mut sequences, rotary);
            hidden = self.placed.after(layer_idx, hidden);
        }
        for cache in caches {
            cache.n_tokens += 1;
        }
        Ok(self.weights.model.last(hidden).squeeze_dim(0))
    }

    /// The position from which on the output of a layer is needed, if that of the decoder is needed from `position` on.
    fn needed_from(&self, layer_idx: usize, position: usize) -> usize {
        let is_last = layer_idx + 1 == self.config.n_layers;
        if is_last { position } else { 0 }
    }

    /// A layer, which is read first if layers are streamed.
    fn layer(&self, layer_idx: usize) -> Result<Cow<'_, DecoderLayer>> {
        Ok(match &self.stream {
            None => Cow::Borrowed(&self.weights.model.layers[layer_idx]),
            Some(stream) => Cow::Owned(self.read_layer(stream, layer_idx)?),
        })
    }

    fn read_layer(&self, stream: &Stream, layer_idx: usize) -> Result<DecoderLayer> {
        (stream.on_layer)(layer_idx, self.config.n_layers);
        let stored = Stored {
            config: &self.config,
            checkpoint: &stream.checkpoint,
            precision: stream.precision,
        };
        stored.on(self.placed.of_layer(layer_idx)).layer(layer_idx)
    }
}
