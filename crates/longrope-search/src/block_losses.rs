//! The loss of a sample by blocks of positions, which compares candidates with less noise than the mean does.

use serde::{Deserialize, Serialize};

/// Summed loss of neighbouring tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "(f64, usize)", into = "(f64, usize)")]
pub struct BlockLoss {
    /// Sum over the tokens of the block, nats.
    pub sum_nats: f64,
    /// Number of tokens in the block.
    pub n_tokens: usize,
}

impl From<(f64, usize)> for BlockLoss {
    fn from((sum_nats, n_tokens): (f64, usize)) -> Self {
        Self { sum_nats, n_tokens }
    }
}

impl From<BlockLoss> for (f64, usize) {
    fn from(block: BlockLoss) -> Self {
        (block.sum_nats, block.n_tokens)
    }
}

/// The loss of one sample by blocks of positions.
///
/// Two candidates on the same sample have the same blocks. Their differences vary far less than their losses, because
/// easy text is easy for both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockLosses(Vec<BlockLoss>);

impl BlockLosses {
    /// Losses of blocks, in the order of their positions.
    pub fn new(blocks: Vec<BlockLoss>) -> Self {
        Self(blocks)
    }

    /// One block with the given mean, nats per token.
    pub fn mean_only(nats: f64) -> Self {
        let block = BlockLoss {
            sum_nats: nats,
            n_tokens: 1,
        };
        Self(vec![block])
    }

    /// Sums the losses of tokens into at most `n_blocks` blocks of equal size (the last may be smaller).
    pub fn of_tokens(losses: &[f32], n_blocks: usize) -> Self {
        let size = losses.len().div_ceil(n_blocks.max(1)).max(1);
        let sum = |block: &[f32]| BlockLoss {
            sum_nats: block.iter().map(|nats| f64::from(*nats)).sum(),
            n_tokens: block.len(),
        };
        Self(losses.chunks(size).map(sum).collect())
    }

    /// The blocks.
    pub fn blocks(&self) -> &[BlockLoss] {
        &self.0
    }

    /// Number of tokens in all blocks.
    pub fn n_tokens(&self) -> usize {
        self.0.iter().map(|block| block.n_tokens).sum()
    }

    /// Mean over the tokens, nats per token; NaN if there are none.
    pub fn mean(&self) -> f64 {
        let sum: f64 = self.0.iter().map(|block| block.sum_nats).sum();
        sum / self.n_tokens() as f64
    }

    /// The losses times a number, to give a sample more or less weight than others.
    #[must_use]
    pub fn weighted(mut self, weight: f64) -> Self {
        for block in &mut self.0 {
            block.sum_nats *= weight;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_cut_into_equal_blocks_and_keep_their_mean() {
        let losses = BlockLosses::of_tokens(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 3);
        let blocks: Vec<(f64, usize)> = losses.blocks().iter().map(|&b| b.into()).collect();
        assert_eq!(blocks, [(6.0, 3), (15.0, 3), (7.0, 1)]);
        assert_eq!(losses.n_tokens(), 7);
        assert!((losses.mean() - 4.0).abs() < 1e-12);
        assert!((losses.weighted(0.5).mean() - 2.0).abs() < 1e-12);
    }

    #[test]
    fn fewer_tokens_than_blocks_are_a_block_each() {
        let losses = BlockLosses::of_tokens(&[1.0, 2.0], 16);
        assert_eq!(losses.blocks().len(), 2);
        assert!(BlockLosses::of_tokens(&[], 4).mean().is_nan());
        assert!((BlockLosses::mean_only(1.5).mean() - 1.5).abs() < 1e-12);
    }

    #[test]
    fn json_is_pinned() {
        let json = serde_json::to_string(&BlockLosses::of_tokens(&[0.5, 1.0, 2.0], 2)).unwrap();
        assert_eq!(json, "[[1.5,2],[2.0,1]]");
    }
}
