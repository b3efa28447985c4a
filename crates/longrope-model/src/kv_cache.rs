//! Cached keys and values of earlier tokens, for token-by-token generation.

use burn::tensor::{DType, Device, Tensor};
use longrope_rope::ResolvedRope;

use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::rotary::Rotary;

/// The rotated keys, and values, of one layer, `[1, n_kv_heads, capacity, head_dim]`.
#[derive(Debug)]
pub(crate) struct LayerCache {
    pub(crate) keys: Tensor<4>,
    pub(crate) values: Tensor<4>,
}

impl LayerCache {
    /// Writes the keys and values of new tokens after those of the first `n_tokens` tokens.
    pub(crate) fn append(&mut self, keys: Tensor<4>, values: Tensor<4>, n_tokens: usize) {
        let [_, n_kv_heads, seq, head_dim] = keys.dims();
        let place = [0..1, 0..n_kv_heads, n_tokens..n_tokens + seq, 0..head_dim];
        // The tensor is moved out and back in, so it is not shared and can be changed in place.
        self.keys
            .inplace(|cached| cached.slice_assign(place.clone(), keys));
        self.values
            .inplace(|cached| cached.slice_assign(place, values));
    }
}

/// A longer copy of cached rows, with the first `n_tokens` of them.
fn longer(cached: &Tensor<4>, n_tokens: usize, capacity: usize) -> Tensor<4> {
    let [batch, n_kv_heads, _, head_dim] = cached.dims();
    let shape = [batch, n_kv_heads, capacity, head_dim];
    let empty = Tensor::zeros(shape, (&cached.device(), cached.dtype()));
    if n_tokens == 0 {
        return empty;
    }
    let place = [0..batch, 0..n_kv_heads, 0..n_tokens, 0..head_dim];
    let kept = cached.clone().slice(place.clone());
    empty.slice_assign(place, kept)
}

/// Cached keys and values of one sequence, with the RoPE they were rotated by.
///
/// Keys rotated by one RoPE cannot be used with another, so a cache always belongs to one [`ResolvedRope`]. A sequence
/// that needs another RoPE must be run again from its start.
#[derive(Debug)]
pub struct KvCache {
    pub(crate) layers: Vec<LayerCache>,
    pub(crate) rotary: Rotary,
    pub(crate) n_tokens: usize,
    rope: ResolvedRope,
}

impl KvCache {
    /// An empty cache for up to `capacity` tokens of a model with these sizes, rotated by `rope`.
    ///
    /// Device and type are those of the decoder; [`Decoder::kv_cache`](crate::Decoder::kv_cache) fills them in.
    pub fn new(
        config: &ModelConfig,
        capacity: usize,
        rope: &ResolvedRope,
        (device, dtype): (&Device, DType),
    ) -> Self {
        let shape = [1, config.n_kv_heads, capacity, config.head_dim];
        let empty = || Tensor::zeros(shape, (device, dtype));
        let layers = (0..config.n_layers)
            .map(|_| LayerCache {
                keys: empty(),
                values: empty(),
            })
            .collect();
        Self {
            layers,
            rotary: Rotary::new(rope, capacity, device),
            n_tokens: 0,
            rope: rope.clone(),
        }
    }

    /// Number of cached tokens.
    pub fn n_tokens(&self) -> usize {
        self.n_tokens
    }

    /// Number of tokens that fit into the cache.
    pub fn capacity(&self) -> usize {
        self.rotary.n_positions()
    }

    /// Drops all tokens after the first `n_tokens`; does nothing if there are not more than that.
    pub fn truncate(&mut self, n_tokens: usize) {
        // Dropped entries are overwritten before they are read.
        self.n_tokens = self.n_tokens.min(n_tokens);
    }

    /// Size in bytes of the keys and values of a cache for `capacity` tokens.
    pub fn n_bytes(config: &ModelConfig, capacity: usize, dtype: DType) -> usize {
        let per_token = 2 * config.n_layers * config.n_kv_heads * config.head_dim;
        per_token * capacity * dtype.size()
    }

    /// The RoPE that rotated the cached keys.
    pub fn rope(&self) -> &ResolvedRope {
        &self.rope
    }

    /// Makes room for `capacity` tokens, if there is less; what is cached stays.
    pub(crate) fn grow(&mut self, capacity: usize) {
        if capacity <= self.capacity() {
            return;
        }
        for layer in &mut self.layers {
            layer.keys = longer(&layer.keys, self.n_tokens, capacity);
            layer.values = longer(&layer.values, self.n_tokens, capacity);
        }
        if let Some(layer) = self.layers.first() {
            self.rotary = Rotary::new(&self.rope, capacity, &layer.keys.device());
        }
    }

    /// Checks that `n` more tokens fit.
    pub(crate) fn reserve(&self, n: usize) -> Result<()> {
        let needed = self.n_tokens + n;
        if needed > self.capacity() {
            return Err(Error::CacheFull {
                needed,
                capacity: self.capacity(),
            });
        }
        Ok(())
    }
}
