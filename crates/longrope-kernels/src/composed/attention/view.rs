//! How the scores of a block become those of the softmax.

use std::ops::Range;

use burn::backend::tensor::IntTensor;
use burn::backend::{Backend, TensorMetadata, get_or_init_device_settings};
use burn::tensor::{DType, Shape, Slice, TensorData};

use super::blocks::Block;
use crate::attention::config::AttentionConfig;
use crate::attention::visible::Visible;
use crate::composed::ops::Float;
use crate::composed::softcap::soft_cap;

/// How the scores of a block become those of the softmax: times the scale, then capped, then hidden where a query does not
/// see a key.
pub(crate) struct View<B: Backend> {
    pub(crate) scale: f64,
    pub(crate) softcap: Option<f64>,
    /// What the queries of the block see, if that is not all of its keys.
    pub(crate) seen: Option<Seen<B>>,
}

/// The keys that some queries see.
pub(crate) struct Seen<B: Backend> {
    /// The first key that a query sees and the one after the last, `[2, n_masks, queries]`. There is one mask per sequence, or
    /// one for all.
    pub(crate) ends: IntTensor<B>,
    /// The first key of the block.
    pub(crate) first_key: usize,
}

impl<B: Backend> View<B> {
    /// The scores of the softmax before any are hidden.
    pub(super) fn capped(&self, scores: Float<B>) -> Float<B> {
        soft_cap(scores.scale(self.scale), self.softcap)
    }

    /// The scores, minus infinity for keys that a query does not see.
    pub(super) fn hidden(&self, scores: Float<B>) -> Float<B> {
        let Some(Seen { ends, first_key }) = &self.seen else {
            return scores;
        };
        let [batch, n_kv_heads, n_rows, n_keys] = scores.dims();
        let shape = ends.shape();
        let (n_masks, n_queries) = (shape[1], shape[2]);
        let bool_dtype = get_or_init_device_settings::<B>(&ends.device()).bool_dtype;
        let wide = |ints| {
            let ints = B::int_reshape(ints, Shape::from([n_masks, n_queries, 1]));
            B::int_expand(ints, Shape::from([n_masks, n_queries, n_keys]))
        };
        let end = |at: usize| {
            let slices = [at..at + 1, 0..n_masks, 0..n_queries].map(Slice::from);
            wide(B::int_slice(ends.clone(), &slices))
        };
        let keys = *first_key..first_key + n_keys;
        let keys = ints::<B>(keys, [1, 1, n_keys], &ends.device());
        let keys = B::int_expand(keys, Shape::from([n_masks, n_queries, n_keys]));
        let hidden = B::bool_or(
            B::int_lower(keys.clone(), end(0), bool_dtype),
            B::int_greater_equal(keys, end(1), bool_dtype),
        );
        let group = n_rows / n_queries;
        let hidden = B::bool_reshape(hidden, Shape::from([n_masks, 1, 1, n_queries, n_keys]));
        let hidden = B::bool_expand(
            hidden,
            Shape::from([batch, n_kv_heads, group, n_queries, n_keys]),
        );
        scores
            .reshape([batch, n_kv_heads, group, n_queries, n_keys])
            .hide(hidden)
            .reshape([batch, n_kv_heads, n_rows, n_keys])
    }
}

/// The views of the blocks of some queries.
pub(super) struct Views<'a, B: Backend> {
    visible: &'a Visible,
    config: &'a AttentionConfig,
    queries: &'a Range<usize>,
    device: B::Device,
    /// [`Seen::ends`], made for the first block that needs it.
    ends: Option<IntTensor<B>>,
}

impl<'a, B: Backend> Views<'a, B> {
    pub(super) fn new(
        visible: &'a Visible,
        config: &'a AttentionConfig,
        queries: &'a Range<usize>,
        like: &Float<B>,
    ) -> Self {
        Self {
            visible,
            config,
            queries,
            device: like.0.device(),
            ends: None,
        }
    }

    pub(super) fn of(&mut self, block: &Block) -> View<B> {
        View {
            scale: self.config.scale,
            softcap: self.config.softcap,
            seen: block.is_masked.then(|| Seen {
                ends: self.ends(),
                first_key: block.keys.start,
            }),
        }
    }

    fn ends(&mut self) -> IntTensor<B> {
        if let Some(ends) = &self.ends {
            return ends.clone();
        }
        let n_masks = self.visible.n_masks();
        let queries = || self.queries.clone();
        let seen: Vec<Range<usize>> = (0..n_masks)
            .flat_map(|mask| queries().map(move |query| (mask, query)))
            .map(|(mask, query)| self.visible.keys(mask, query))
            .collect();
        let first = seen.iter().map(|keys| keys.start);
        let end = seen.iter().map(|keys| keys.end);
        let dims = [2, n_masks, self.queries.len()];
        let ends = ints::<B>(first.chain(end), dims, &self.device);
        self.ends = Some(ends.clone());
        ends
    }
}

fn ints<B: Backend>(
    values: impl Iterator<Item = usize>,
    dims: [usize; 3],
    device: &B::Device,
) -> IntTensor<B> {
    let int_dtype = get_or_init_device_settings::<B>(device).int_dtype;
    let values: Vec<i64> = values.map(|value| value.cast_signed() as i64).collect();
    let data = TensorData::new(values, dims).convert_dtype(DType::from(int_dtype));
    B::int_from_data(data, device)
}
