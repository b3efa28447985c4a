//! Cached keys and values of earlier tokens, for token-by-token generation.

use std::ops::Range;

use burn::tensor::{DType, Tensor};
use longrope_rope::{ResolvedRope, Rotation};

use crate::config::ModelConfig;
use crate::decoder::placement::{PlacedRotary, Placement};
use crate::error::{Error, Result};
use crate::rotary::RotaryMaker;

/// Number of new tokens that a layer with a sliding window has room for beside those in its window.
const NEW_TOKENS: usize = 512;

/// The rotated keys, and values, of one layer, `[1, n_kv_heads, rows, head_dim]`.
///
/// If far keys are rotated to grouped positions, the keys are there twice, `[1, 2 · n_kv_heads, rows, head_dim]`: first as
/// they are for near queries, then as for far ones.
#[derive(Debug)]
pub(crate) struct LayerCache {
    pub(crate) keys: Tensor<4>,
    pub(crate) values: Tensor<4>,
    /// Position of the first row.
    pub(crate) first: usize,
    /// Number of tokens that the layer needs besides new ones; `None` if it needs all.
    kept: Option<usize>,
}

impl LayerCache {
    /// Writes the keys and values of new tokens after those of the first `n_tokens` tokens.
    pub(crate) fn append(&mut self, keys: Tensor<4>, values: Tensor<4>, n_tokens: usize) {
        let [_, _, seq, head_dim] = keys.dims();
        self.make_room(n_tokens, seq);
        let row = n_tokens - self.first;
        let place = |new: &Tensor<4>| {
            let [_, heads, _, _] = new.dims();
            [0..1, 0..heads, row..row + seq, 0..head_dim]
        };
        let (keys_place, values_place) = (place(&keys), place(&values));
        // The tensor is moved out and back in, so it is not shared and can be changed in place.
        self.keys
            .inplace(|cached| cached.slice_assign(keys_place, keys));
        self.values
            .inplace(|cached| cached.slice_assign(values_place, values));
    }

    /// Drops the tokens before the window if new ones do not fit after them.
    fn make_room(&mut self, n_tokens: usize, seq: usize) {
        let [_, _, rows, _] = self.keys.dims();
        let Some(kept) = self.kept else {
            return;
        };
        if n_tokens + seq - self.first <= rows {
            return;
        }
        let first = n_tokens.saturating_sub(kept).max(self.first);
        let rows = rows.max(n_tokens + seq - first);
        let used = first - self.first..n_tokens - self.first;
        self.keys = moved(&self.keys, used.clone(), rows);
        self.values = moved(&self.values, used, rows);
        self.first = first;
    }

    /// Whether the rows that a query at position `n_tokens` needs are there.
    fn reaches(&self, n_tokens: usize) -> bool {
        self.first == 0 || self.kept.is_some_and(|kept| self.first + kept <= n_tokens)
    }
}

/// A copy of some cached rows at the start of a tensor with `rows` rows.
fn moved(cached: &Tensor<4>, used: Range<usize>, rows: usize) -> Tensor<4> {
    let [batch, n_kv_heads, _, head_dim] = cached.dims();
    let shape = [batch, n_kv_heads, rows, head_dim];
    let empty = Tensor::zeros(shape, (&cached.device(), cached.dtype()));
    if used.is_empty() {
        return empty;
    }
    let place = [0..batch, 0..n_kv_heads, 0..used.len(), 0..head_dim];
    let kept = cached.clone().narrow(2, used.start, used.len());
    empty.slice_assign(place, kept)
}

/// Cached keys and values of one sequence, with the RoPE they were rotated by.
///
/// Keys rotated by one RoPE cannot be used with another, so a cache always belongs to one [`ResolvedRope`]. A sequence
/// that needs another RoPE must be run again from its start.
#[derive(Debug)]
pub struct KvCache {
    pub(crate) layers: Vec<LayerCache>,
    pub(crate) rotary: PlacedRotary,
    pub(crate) n_tokens: usize,
    rope: ResolvedRope,
    /// Makes the angles of more positions.
    rotaries: RotaryMaker,
    placement: Placement,
}

impl KvCache {
    /// An empty cache for up to `capacity` tokens of a model with these sizes, rotated by `rope`.
    ///
    /// Devices and type are those of the decoder; [`Decoder::kv_cache`](crate::Decoder::kv_cache) fills them in.
    pub fn new(
        config: &ModelConfig,
        capacity: usize,
        rope: &ResolvedRope,
        placement: &Placement,
        dtype: DType,
    ) -> Self {
        let windows = config.windows.iter().copied();
        Self::with_windows(config, windows, capacity, rope, placement, dtype)
    }

    /// Like [`Self::new`], but keeps all tokens in all layers.
    pub(crate) fn whole(
        config: &ModelConfig,
        capacity: usize,
        rope: &ResolvedRope,
        placement: &Placement,
        dtype: DType,
    ) -> Self {
        let windows = config.windows.iter().map(|_| None);
        Self::with_windows(config, windows, capacity, rope, placement, dtype)
    }

    fn with_windows(
        config: &ModelConfig,
        windows: impl Iterator<Item = Option<usize>>,
        capacity: usize,
        rope: &ResolvedRope,
        placement: &Placement,
        dtype: DType,
    ) -> Self {
        let is_grouped = rope.self_extend().is_some();
        let rotations = config.layout.rotations.iter();
        let devices = placement.of_layers(config);
        let layers = windows.zip(rotations).zip(&devices);
        let layers = layers.map(|((window, rotation), device)| {
            // A query sees itself and the tokens before it in its window.
            let kept = window.map(|window| window - 1);
            let needed = kept.map_or(capacity, |kept| kept.saturating_add(NEW_TOKENS));
            let rows = needed.min(capacity);
            let keys_per_head = if is_grouped && *rotation == Rotation::Main {
                2
            } else {
                1
            };
            let empty = |n_heads: usize| {
                let shape = [1, n_heads, rows, config.head_dim];
                Tensor::zeros(shape, (device, dtype))
            };
            LayerCache {
                keys: empty(keys_per_head * config.n_kv_heads),
                values: empty(config.n_kv_heads),
                first: 0,
                kept,
            }
        });
        let rotaries = RotaryMaker::new(config, placement.first());
        Self {
            layers: layers.collect(),
            rotary: PlacedRotary::new(&rotaries.whole(rope, capacity), placement),
            n_tokens: 0,
            rope: rope.clone(),
            rotaries,
            placement: placement.clone(),
        }
    }

    /// Number of cached tokens.
    pub fn n_tokens(&self) -> usize {
        self.n_tokens
    }

    /// Number of tokens that fit into the cache.
    pub fn capacity(&self) -> usize {
        self.rotary.on_first().n_positions()
    }

    /// Drops all tokens after the first `n_tokens`; does nothing if there are not more than that.
    ///
    /// Drops all tokens if a layer with a sliding window no longer has those that the next token needs.
    pub fn truncate(&mut self, n_tokens: usize) {
        if n_tokens >= self.n_tokens {
            return;
        }
        // Dropped entries are overwritten before they are read.
        self.n_tokens = n_tokens;
        if !self.layers.iter().all(|layer| layer.reaches(n_tokens)) {
            self.n_tokens = 0;
            for layer in &mut self.layers {
                layer.first = 0;
            }
        }
    }

    /// Size in bytes of the keys and values of a cache that keeps all of `capacity` tokens.
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
            let used = 0..self.n_tokens - layer.first;
            let [_, _, rows, _] = layer.keys.dims();
            let rows = match layer.kept {
                Some(kept) => rows.max(capacity.min(kept.saturating_add(NEW_TOKENS))),
                None => capacity,
            };
            layer.keys = moved(&layer.keys, used.clone(), rows);
            layer.values = moved(&layer.values, used, rows);
        }
        let rotary = self.rotaries.whole(&self.rope, capacity);
        self.rotary = PlacedRotary::new(&rotary, &self.placement);
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
