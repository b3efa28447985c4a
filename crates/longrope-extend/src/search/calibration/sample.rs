//! One sample of a search.

use std::sync::Arc;

use longrope_data::Sample;
use longrope_eval::NeedleText;
use longrope_model::check_losses;
use longrope_rope::RopeSpec;
use longrope_search::BlockLosses;

use crate::scoring::{AdaptJob, Adaptation, Losses, Measure, ScoreJob};

/// Number of blocks that the losses of a sample are averaged in: enough for a test of paired differences, and few enough
/// to save them for every candidate.
const BLOCKS_PER_SAMPLE: usize = 16;

/// A sequence, the part of it that is scored, and the weight of its loss.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibrationSample {
    /// One sequence, in the form that workers take.
    sequences: Arc<[Vec<u32>]>,
    /// First position whose token is scored.
    pub(super) score_from: usize,
    /// The loss is multiplied by this.
    pub(super) weight: f64,
    /// Whether it is a text with a needle, of which the answer is scored.
    pub(in crate::search) has_needle: bool,
    /// Where the tokens lie, if not at `0, 1, 2, …`.
    places: Option<Places>,
}

/// Where the tokens of a sample lie in a longer text.
#[derive(Clone, Debug, PartialEq)]
struct Places {
    /// Their positions, in the form that workers take.
    positions: Arc<[Vec<usize>]>,
    /// Tokens of that text.
    target: usize,
}

impl CalibrationSample {
    /// A sequence of which the tokens from `score_from` on are scored.
    pub fn new(tokens: Vec<u32>, score_from: usize) -> Self {
        Self {
            sequences: Arc::from([tokens]),
            score_from,
            weight: 1.0,
            has_needle: false,
            places: None,
        }
    }

    /// The same sample with another weight.
    pub(super) fn weighing(self, weight: f64) -> Self {
        Self { weight, ..self }
    }

    /// The same tokens at other positions, one for each, in a text of `target` tokens.
    #[must_use]
    pub fn at(self, positions: Vec<usize>, target: usize) -> Self {
        Self {
            places: Some(Places {
                positions: Arc::from([positions]),
                target,
            }),
            ..self
        }
    }

    /// The sequence, token ids.
    pub fn tokens(&self) -> &[u32] {
        self.sequences.first().map_or(&[][..], Vec::as_slice)
    }

    /// The job of measuring this sample under a RoPE, of a model that is adapted to it before if there is an adaptation.
    pub(crate) fn job(
        &self,
        measure: Measure,
        spec: &RopeSpec,
        adaptation: Option<&Arc<Adaptation>>,
    ) -> ScoreJob {
        let places = self.places.as_ref();
        let length = places.map_or(self.tokens().len(), |places| places.target);
        ScoreJob {
            sequences: Arc::clone(&self.sequences),
            score_from: self.score_from,
            rope: spec.resolve(length),
            measure,
            positions: places.map(|places| Arc::clone(&places.positions)),
            adapt: adaptation.map(|adaptation| AdaptJob {
                adaptation: Arc::clone(adaptation),
                rope: Arc::new(spec.clone()),
            }),
        }
    }

    /// Losses by blocks of positions, times the weight.
    ///
    /// # Errors
    /// If a loss is not finite.
    pub(crate) fn blocks(&self, losses: &Losses) -> longrope_model::Result<BlockLosses> {
        check_losses(losses, self.score_from)?;
        let losses = losses.first().map_or(&[][..], Vec::as_slice);
        Ok(BlockLosses::of_tokens(losses, BLOCKS_PER_SAMPLE).weighted(self.weight))
    }
}

impl From<Sample> for CalibrationSample {
    fn from(sample: Sample) -> Self {
        Self::new(sample.tokens, 1)
    }
}

impl From<NeedleText> for CalibrationSample {
    fn from(text: NeedleText) -> Self {
        Self {
            has_needle: true,
            ..Self::new(text.tokens, text.answer_from)
        }
    }
}
