//! The angles of training windows.

use longrope_data::{Goal, RopeChoice, TrainingWindow, skipped_positions};
use longrope_model::{Decoder, Rotary, RotaryMaker};
use longrope_rope::{ResolvedRope, RopeSpec};

use super::positions::SkippedPositions;
use crate::error::{Error, Result};

/// The angles of windows, under both RoPEs that they may be trained under.
#[derive(Clone, Debug)]
pub struct Rotaries {
    /// Angles under the RoPE that the model has within its original context.
    original: Rotary,
    /// The RoPE that is trained, for each target of the positions.
    rescaled: Vec<Rescaled>,
    /// The same RoPE for texts within the original context.
    short: Option<Rotary>,
    skipping: Option<Skipping>,
}

/// The RoPE that is trained, as it is for texts of one length.
#[derive(Clone, Debug)]
struct Rescaled {
    target: usize,
    resolved: ResolvedRope,
    /// Its angles at the positions of windows that skip nothing.
    whole: Rotary,
}

/// The training whose positions skip ahead.
#[derive(Clone, Copy, Debug)]
pub struct SkippingRun {
    /// Tokens of the windows that skip; all positions of longer ones are real.
    pub window: usize,
    /// Tokens of the longest windows.
    pub longest: usize,
    /// Steps in all.
    pub total_steps: usize,
    /// Seed of the positions.
    pub seed: u64,
}

/// What it takes to make angles at positions that skip.
#[derive(Clone, Debug)]
struct Skipping {
    settings: SkippedPositions,
    run: SkippingRun,
    maker: RotaryMaker,
}

/// The place of a batch in the training: what its random positions depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchPlace {
    /// Steps before.
    pub(super) step: usize,
    /// Windows of all batches before.
    pub(super) n_windows: u64,
}

impl Rotaries {
    /// Resolves both RoPEs for windows of up to `context` tokens, all of whose positions are real. The original RoPE is the one
    /// that the model has for texts within its original context.
    pub fn new(decoder: &Decoder, rescaled: &RopeSpec, context: usize) -> Self {
        let maker = decoder.rotaries();
        Self {
            original: within_original(&maker, decoder, context),
            rescaled: vec![Rescaled::new(&maker, rescaled, context, context)],
            short: None,
            skipping: None,
        }
    }

    /// Resolves both RoPEs for the windows of `run`.
    ///
    /// The RoPE is that of a text of the target length, also for windows that skip nothing.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings without a meaning, [`Error::NothingFar`] if every layer that rotates has a
    /// sliding window.
    pub fn skipped(
        decoder: &Decoder,
        rescaled: &RopeSpec,
        settings: &SkippedPositions,
        run: SkippingRun,
    ) -> Result<Self> {
        let checked = settings.validate(run.window);
        checked.map_err(|error| error.within("skipped"))?;
        if !decoder.config().rotates_far_tokens() {
            return Err(Error::NothingFar);
        }
        let maker = decoder.rotaries();
        let mut targets = settings.targets.clone();
        targets.dedup();
        let rescaled = targets
            .into_iter()
            .map(|target| Rescaled::new(&maker, rescaled, target, run.longest))
            .collect();
        Ok(Self {
            original: within_original(&maker, decoder, run.longest),
            rescaled,
            short: None,
            skipping: Some(Skipping {
                settings: settings.clone(),
                run,
                maker,
            }),
        })
    }

    /// Also resolves the RoPE that is trained for texts within the original context of the model, in windows of up to
    /// `context` tokens: for windows that are compared with the original model.
    #[must_use]
    pub fn with_short(self, decoder: &Decoder, rescaled: &RopeSpec, context: usize) -> Self {
        let text = decoder.config().rope.original_context.min(context);
        let short = decoder.rotary(&rescaled.resolve(text), context);
        Self {
            short: Some(short),
            ..self
        }
    }

    /// The angles of the original RoPE.
    pub fn original(&self) -> &Rotary {
        &self.original
    }

    /// The angles of the windows of a batch, which have the same length, RoPE and goal.
    pub(super) fn of(&self, windows: &[TrainingWindow], place: BatchPlace) -> Rotary {
        let first = windows.first();
        if first.is_some_and(|window| window.rope == RopeChoice::Original) {
            return self.original.clone();
        }
        let goal = first.map_or(Goal::Text, |window| window.goal);
        if let (Goal::ShortStates, Some(short)) = (goal, &self.short) {
            return short.clone();
        }
        let Some(skipping) = &self.skipping else {
            return self.rescaled[0].whole.clone();
        };
        let run = &skipping.run;
        let mut skips = skipping.settings.of_step(place.step, run.total_steps);
        if goal == Goal::FarStates {
            skips.share = 1.0;
        }
        let at_target = |rescaled: &&Rescaled| rescaled.target == skips.target;
        let rescaled = self.rescaled.iter().find(at_target);
        let rescaled = rescaled.unwrap_or(&self.rescaled[0]);
        let numbered = (place.n_windows..).zip(windows);
        let positions: Vec<Option<Vec<usize>>> = numbered
            .map(|(number, window)| {
                let is_long = window.tokens.len() > run.window;
                let skipped = || skipped_positions(window, skips, (run.seed, number));
                if is_long { None } else { skipped() }
            })
            .collect();
        if positions.iter().all(Option::is_none) {
            return rescaled.whole.clone();
        }
        let n_tokens = windows[0].tokens.len();
        let positions = positions
            .into_iter()
            .map(|positions| positions.unwrap_or_else(|| (0..n_tokens).collect()))
            .collect();
        skipping.maker.at(&rescaled.resolved, positions)
    }
}

/// The angles of windows of up to `context` tokens whose texts are within the original context of the model.
fn within_original(maker: &RotaryMaker, decoder: &Decoder, context: usize) -> Rotary {
    let rope = &decoder.config().rope;
    let text = rope.original_context.min(context);
    maker.whole(&rope.resolve(text), context)
}

impl Rescaled {
    /// The RoPE of texts of `target` tokens, with the angles of windows of up to `context` tokens.
    fn new(maker: &RotaryMaker, rope: &RopeSpec, target: usize, context: usize) -> Self {
        let resolved = rope.resolve(target);
        Self {
            target,
            whole: maker.whole(&resolved, context),
            resolved,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use longrope_model::{DecoderConfig, Recompute, Trained};
    use longrope_rope::RopeScaling;

    use super::*;
    use crate::micro_batch::MicroBatch;
    use crate::run::batches::micro_batch;
    use crate::run::batches::tests::{FIRST, SIZES, window};

    /// Tables of different sizes, to tell them apart.
    fn rotaries() -> Rotaries {
        let spec = RopeSpec::new(4, 10_000.0, 16, RopeScaling::None {}).unwrap();
        let decoder = DecoderConfig::new(SIZES).init(&Device::flex());
        let maker = decoder.rotaries();
        Rotaries {
            original: decoder.rotary(&spec.resolve(16), 4),
            rescaled: vec![Rescaled::new(&maker, &spec, 16, 8)],
            short: Some(decoder.rotary(&spec.resolve(16), 6)),
            skipping: None,
        }
    }

    const RUN: SkippingRun = SkippingRun {
        window: 4,
        longest: 8,
        total_steps: 10,
        seed: 1,
    };

    #[test]
    fn a_batch_is_rotated_as_its_windows_say() {
        let n_positions = |rope: RopeChoice| {
            let batch = micro_batch(vec![window(rope, false)], &rotaries(), None, FIRST);
            batch.rotary.n_positions()
        };
        assert_eq!(n_positions(RopeChoice::Rescaled), 8);
        assert_eq!(n_positions(RopeChoice::Original), 4);
    }

    #[test]
    fn positions_skip_in_the_windows_that_are_to_skip() {
        let spec = RopeSpec::new(4, 10_000.0, 16, RopeScaling::None {}).unwrap();
        let decoder = DecoderConfig::new(SIZES).init(&Device::flex());
        let settings = SkippedPositions {
            targets: vec![64, 512],
            ..SkippedPositions::default()
        };
        let rotaries =
            |settings: &SkippedPositions| Rotaries::skipped(&decoder, &spec, settings, RUN);
        let skipping = rotaries(&settings).unwrap();
        // The loss tells which angles were used.
        let of = |window: TrainingWindow, place| {
            let MicroBatch { batch, rotary, .. } =
                micro_batch(vec![window], &skipping, None, place);
            let result = decoder.loss_gradients(&batch, &rotary, Trained::All, Recompute::Layers);
            result.unwrap().loss.to_bits()
        };
        let rescaled = || window(RopeChoice::Rescaled, false);
        let original = || window(RopeChoice::Original, false);
        let later = BatchPlace {
            step: 9,
            n_windows: 9,
        };
        assert_eq!(of(rescaled(), FIRST), of(rescaled(), FIRST), "repeatable");
        assert_ne!(of(rescaled(), FIRST), of(rescaled(), later));
        assert_eq!(of(original(), FIRST), of(original(), later));
        let long = TrainingWindow {
            tokens: vec![3; 8],
            ..rescaled()
        };
        assert_eq!(of(long.clone(), FIRST), of(long, later), "real positions");
        let too_short = SkippedPositions {
            targets: vec![4],
            ..settings
        };
        assert!(matches!(rotaries(&too_short), Err(Error::Setting { .. })));
    }
}
