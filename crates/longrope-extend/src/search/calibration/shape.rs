//! How long samples are, and at which positions their tokens lie.

use longrope_data::{Skips, stretched_positions};
use longrope_eval::NeedleText;

use super::sample::CalibrationSample;

/// Added to the seed of a search, so that positions of samples are not those of the windows that are trained on.
const OTHER_SEED: u64 = 0x905;

/// How long samples are, and at which positions their tokens lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SampleShape {
    /// Tokens of a sample.
    pub(in crate::search) n_tokens: usize,
    /// How positions skip; `None` for `0, 1, 2, …`.
    skips: Option<Skips>,
    seed: u64,
}

impl SampleShape {
    /// Samples of `n_tokens` tokens, one after the other.
    pub(crate) fn whole(n_tokens: usize) -> Self {
        Self {
            n_tokens,
            skips: None,
            seed: 0,
        }
    }

    /// Samples of `n_tokens` tokens whose positions skip ahead up to a target.
    pub(crate) fn skipped(n_tokens: usize, skips: Skips, seed: u64) -> Self {
        Self {
            n_tokens,
            skips: Some(skips),
            seed: seed.wrapping_add(OTHER_SEED),
        }
    }

    /// Stretches of text with the first token that is scored, as samples.
    pub(crate) fn texts(
        self,
        texts: impl IntoIterator<Item = (Vec<u32>, usize)>,
    ) -> Vec<CalibrationSample> {
        let numbered = (0..).zip(texts);
        let place = |(number, (tokens, score_from)): (u64, (Vec<u32>, usize))| {
            let n_tokens = tokens.len();
            let sample = CalibrationSample::new(tokens, score_from);
            match self.skips {
                None => sample,
                Some(skips) => {
                    let positions = stretched_positions(n_tokens, skips, (self.seed, number));
                    sample.at(positions, skips.target)
                }
            }
        };
        numbered.map(place).collect()
    }

    /// Texts with a needle, as samples: the needle is as deep in the target as it is in the text.
    pub(crate) fn needles(
        self,
        texts: impl IntoIterator<Item = NeedleText>,
    ) -> Vec<CalibrationSample> {
        let numbered = (0..).zip(texts);
        let place = |(number, text): (u64, NeedleText)| match self.skips {
            None => text.into(),
            Some(skips) => {
                let positions = text.positions_in(skips.target, (self.seed, number));
                CalibrationSample::from(text).at(positions, skips.target)
            }
        };
        numbered.map(place).collect()
    }
}
