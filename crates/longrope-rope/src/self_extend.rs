//! SelfExtend: far keys get coarser positions, near keys keep theirs.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Positions of SelfExtend, with group size `G` and neighbour window `W`.
///
/// A query at position `p` sees the keys at distances below `W` as before. Farther keys at position `j` are rotated to
/// `⌊j/G⌋`, and the query is rotated to `⌊p/G⌋ + W - ⌊W/G⌋` for them. So the largest distance that the model computes
/// with is about `W + (p - W) / G`, and the model needs no training.
///
/// # Reference
/// SelfExtend (arXiv 2401.01325), section 3.2 and algorithm 1, and its code (github.com/datamllab/LongLM).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfExtend {
    /// Number of neighbouring positions that become one, `G`; 1 gives plain RoPE.
    pub group: usize,
    /// Distances below this are exact, `W`, in tokens.
    pub window: usize,
}

impl SelfExtend {
    /// The parameters for a context: `W = L/4`, and the smallest `G` with `W + (N - W) / G <= 2L/3`.
    ///
    /// `L` is the original context and `N` the context asked for. The rule of the authors is to stay below `L/2` to
    /// `2L/3`, because large distances are trained least; `W` is 1,024 of LLaMA2's 4,096 tokens in their code.
    ///
    /// # Reference
    /// The README of github.com/datamllab/LongLM, "Empirical rule".
    pub fn for_context(original_context: usize, context: usize) -> Self {
        let window = (original_context / 4).max(1);
        let room = (2 * original_context / 3).saturating_sub(window).max(1);
        Self {
            group: context.saturating_sub(window).div_ceil(room).max(1),
            window,
        }
    }

    /// The longest sequence whose distances the model knows, `(L - W) · G + W` tokens.
    pub fn longest(self, original_context: usize) -> usize {
        let far = original_context.saturating_sub(self.window);
        far.saturating_mul(self.group).saturating_add(self.window)
    }

    /// Position that a key at `position` has for far queries.
    pub fn key_position(self, position: usize) -> usize {
        position / self.group
    }

    /// Position that a query at `position` has for far keys.
    pub fn query_position(self, position: usize) -> usize {
        position / self.group + self.shift()
    }

    /// `W - ⌊W/G⌋`: with it, distances continue where the window ends.
    pub(crate) fn shift(self) -> usize {
        self.window - self.window / self.group
    }

    /// Fails if there is nothing to group, or no window.
    pub(crate) fn validate(self, original_context: usize) -> Result<()> {
        let number = |name, found: usize, expected| {
            Err(Error::Number {
                name,
                found: found as f64,
                expected,
            })
        };
        if self.group == 0 {
            return number("group", self.group, "at least 1");
        }
        if self.window == 0 || self.window >= original_context {
            let expected = "at least 1 and less than the original context";
            return number("window", self.window, expected);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RopeScaling, RopeSpec};

    #[test]
    fn the_parameters_of_llama2_are_those_of_the_rule() {
        // 2/3 of 4096 is 2730: 1024 + 15360/G <= 2730 needs G = 10.
        let found = SelfExtend::for_context(4096, 16_384);
        assert_eq!((found.group, found.window), (10, 1024));
        // The README's example of the smallest group: 5 · (4096 - 1024) + 1024 = 16384.
        let smallest = SelfExtend {
            group: 5,
            window: 1024,
        };
        assert_eq!(smallest.longest(4096), 16_384);
        for target in [5000, 8192, 100_000, 1 << 20] {
            let found = SelfExtend::for_context(4096, target);
            assert!(found.longest(4096) >= target);
            let largest = found.window as f64 + (target - found.window) as f64 / found.group as f64;
            assert!(largest <= 4096.0 * 2.0 / 3.0, "{target}");
        }
    }

    #[test]
    fn distances_continue_where_the_window_ends_and_grow_slower() {
        let grouping = SelfExtend {
            group: 4,
            window: 8,
        };
        let far =
            |query: usize, key: usize| grouping.query_position(query) - grouping.key_position(key);
        // 8 of 20 → 5 - 2; shifted by 8 - 2.
        assert_eq!(far(20, 8), 9);
        assert_eq!(far(8, 0), 8);
        assert_eq!(far(64, 0), 16 + 6);
        for query in 8..64 {
            for key in 0..=query - 8 {
                let expected = 8.0 + ((query - key) as f64 - 8.0) / 4.0;
                assert!((far(query, key) as f64 - expected).abs() < 1.0);
            }
        }
    }

    #[test]
    fn the_window_is_shorter_than_the_original_context() {
        let error = |group, window| {
            let scaling = RopeScaling::SelfExtend { group, window };
            RopeSpec::new(4, 10_000.0, 16, scaling)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(error(0, 8), "`group` is 0, expected at least 1");
        let expected = "expected at least 1 and less than the original context";
        assert_eq!(error(2, 16), format!("`window` is 16, {expected}"));
        assert_eq!(error(2, 0), format!("`window` is 0, {expected}"));
    }
}
