//! The angles of training windows.

use longrope_data::{Goal, RopeChoice, Skips, TrainingWindow, skipped_positions};
use longrope_model::{Decoder, Rotary, RotaryMaker};
use longrope_rope::{ResolvedRope, RopeSpec};

use super::positions::SkippedPositions;
use crate::error::{Error, Result};

/// The angles of windows, under both RoPEs that they may be trained under.
#[derive(Clone, Debug)]
pub struct Rotaries {
    maker: RotaryMaker,
    /// The RoPE that the model has within its original context. No `config.json` treats the first tokens of a text
    /// differently.
    original: Angles,
    /// Up to which position queries do not grow, in a model in which they do.
    growth: Option<usize>,
    /// Tokens of a window; longer ones have a RoPE of their own.
    window: usize,
    /// The RoPE that is trained, for each target of the positions.
    rescaled: Vec<Rescaled>,
    /// The same RoPE for texts within the original context.
    short: Option<Angles>,
    skipping: Option<Skipping>,
    /// Whether each document that does not attend to others begins at position 0, where that makes a difference: elsewhere
    /// distances alone count.
    begin_again: bool,
}

/// The RoPE that is trained, as it is for the windows of a step.
#[derive(Clone, Debug)]
struct Rescaled {
    /// Tokens of the text that positions lie in.
    target: usize,
    /// For texts of that length.
    normal: Angles,
    /// For longer windows, where they are longer than that.
    long: Angles,
}

/// A RoPE, as it is for texts of one length.
#[derive(Clone, Debug)]
struct Angles {
    resolved: ResolvedRope,
    /// Its angles at positions that follow each other.
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

/// How positions skip.
#[derive(Clone, Debug)]
struct Skipping {
    settings: SkippedPositions,
    run: SkippingRun,
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
        Self::of_lengths(decoder, rescaled, context, context)
    }

    /// As [`Self::new`], for windows of `window` tokens and longer ones of `longest`. Each has the RoPE of a text of its
    /// length.
    pub fn of_lengths(
        decoder: &Decoder,
        rescaled: &RopeSpec,
        window: usize,
        longest: usize,
    ) -> Self {
        let maker = decoder.rotaries();
        Self {
            original: within_original(&maker, decoder, longest),
            growth: growth(decoder),
            window,
            rescaled: vec![Rescaled::new(&maker, rescaled, window, longest)],
            short: None,
            skipping: None,
            begin_again: true,
            maker,
        }
    }

    /// Resolves both RoPEs for the windows of `run`.
    ///
    /// The RoPE is that of a text of the target length, also for windows that skip nothing. Windows that are longer than the
    /// target have that of their own length.
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
            growth: growth(decoder),
            window: run.window,
            rescaled,
            short: None,
            skipping: Some(Skipping {
                settings: settings.clone(),
                run,
            }),
            begin_again: true,
            maker,
        })
    }

    /// Also resolves the RoPE that is trained for texts within the original context of the model, in windows of up to
    /// `context` tokens: for windows that are compared with the original model.
    #[must_use]
    pub fn with_short(self, decoder: &Decoder, rescaled: &RopeSpec, context: usize) -> Self {
        let text = decoder.config().rope.original_context.min(context);
        let short = Angles::new(&self.maker, rescaled.resolve(text), context);
        Self {
            short: Some(short),
            ..self
        }
    }

    /// As an earlier version had them: windows of all lengths shared one RoPE, and the positions of a window never began
    /// again.
    #[must_use]
    pub(super) fn like_before(mut self) -> Self {
        self.begin_again = false;
        for rescaled in &mut self.rescaled {
            if self.skipping.is_some() {
                rescaled.long = rescaled.normal.clone();
            } else {
                rescaled.normal = rescaled.long.clone();
            }
        }
        self
    }

    /// Whether some windows have other angles than [`Self::like_before`]. `are_confined` says whether there are any with
    /// documents that do not attend to each other.
    pub(super) fn differ_from_before(&self, are_confined: bool) -> bool {
        let rescaled = self.rescaled.iter();
        let all = rescaled.flat_map(|rescaled| [&rescaled.normal, &rescaled.long]);
        let mut all = all.chain(&self.short);
        let begin_again =
            self.queries_grow() || all.any(|angles| angles.resolved.start_tokens() > 0);
        let by_length = |rescaled: &Rescaled| rescaled.normal.resolved != rescaled.long.resolved;
        (are_confined && begin_again) || self.rescaled.iter().any(by_length)
    }

    /// Whether queries grow within the longest windows.
    pub(super) fn queries_grow(&self) -> bool {
        let longest = self.original.whole.n_positions();
        self.growth.is_some_and(|growth| longest > growth)
    }

    /// The angles of the original RoPE, at positions that follow each other.
    pub fn original(&self) -> &Rotary {
        &self.original.whole
    }

    /// The angles of the original RoPE, if those windows have others than [`Self::original`].
    pub(super) fn original_of(&self, windows: &[TrainingWindow]) -> Option<Rotary> {
        let begin_again = self.begins_again(&self.original, windows);
        begin_again.then(|| self.at(&self.original, windows, vec![None; windows.len()]))
    }

    /// The angles of the windows of a batch, which have the same length, RoPE and goal.
    pub(super) fn of(&self, windows: &[TrainingWindow], place: BatchPlace) -> Rotary {
        let first = windows.first();
        if first.is_some_and(|window| window.rope == RopeChoice::Original) {
            return self.at(&self.original, windows, vec![None; windows.len()]);
        }
        let goal = first.map_or(Goal::Text, |window| window.goal);
        if let (Goal::ShortStates, Some(short)) = (goal, &self.short) {
            return self.at(short, windows, vec![None; windows.len()]);
        }
        let (rescaled, skips) = self.of_step(goal, place.step);
        if first.is_some_and(|window| window.tokens.len() > self.window) {
            return self.at(&rescaled.long, windows, vec![None; windows.len()]);
        }
        let positions = (place.n_windows..)
            .zip(windows)
            .map(|(number, window)| {
                let (skips, seed) = skips?;
                skipped_positions(window, skips, (seed, number))
            })
            .collect();
        self.at(&rescaled.normal, windows, positions)
    }

    /// The RoPE of a step, and how its windows skip, with the seed; `None` if they do not.
    fn of_step(&self, goal: Goal, step: usize) -> (&Rescaled, Option<(Skips, u64)>) {
        let Some(Skipping { settings, run }) = &self.skipping else {
            return (&self.rescaled[0], None);
        };
        let mut skips = settings.of_step(step, run.total_steps);
        if goal == Goal::FarStates {
            skips.share = 1.0;
        }
        let at_target = |rescaled: &&Rescaled| rescaled.target == skips.target;
        let rescaled = self.rescaled.iter().find(at_target);
        (
            rescaled.unwrap_or(&self.rescaled[0]),
            Some((skips, run.seed)),
        )
    }

    /// The angles of windows at these positions; `None` stands for positions without gaps.
    fn at(
        &self,
        angles: &Angles,
        windows: &[TrainingWindow],
        positions: Vec<Option<Vec<usize>>>,
    ) -> Rotary {
        let begin_again = self.begins_again(angles, windows);
        if !begin_again && positions.iter().all(Option::is_none) {
            return angles.whole.clone();
        }
        let without_gaps = |window: &TrainingWindow| {
            if begin_again {
                window.positions()
            } else {
                (0..window.tokens.len()).collect()
            }
        };
        let positions = positions.into_iter().zip(windows);
        let positions = positions
            .map(|(positions, window)| positions.unwrap_or_else(|| without_gaps(window)))
            .collect();
        if begin_again {
            let near: Vec<Vec<usize>> = windows.iter().map(without_gaps).collect();
            self.maker.at_documents(&angles.resolved, positions, &near)
        } else {
            self.maker.at(&angles.resolved, positions)
        }
    }

    /// Whether the positions of some of these windows begin again with their documents.
    fn begins_again(&self, angles: &Angles, windows: &[TrainingWindow]) -> bool {
        let is_far = |window: &TrainingWindow| {
            self.growth
                .is_some_and(|growth| window.tokens.len() > growth)
        };
        let differs = |window: &TrainingWindow| {
            let has_several = window.confined && window.document_starts.len() > 1;
            has_several && (angles.resolved.start_tokens() > 0 || is_far(window))
        };
        self.begin_again && windows.iter().any(differs)
    }
}

/// The angles of windows of up to `context` tokens whose texts are within the original context of the model.
fn within_original(maker: &RotaryMaker, decoder: &Decoder, context: usize) -> Angles {
    let rope = &decoder.config().rope;
    let text = rope.original_context.min(context);
    Angles::new(maker, rope.resolve(text), context)
}

/// Up to which position the queries of a model do not grow; `None` if they never do.
fn growth(decoder: &Decoder) -> Option<usize> {
    let growth = decoder.config().layout.attention.query_growth;
    growth.map(|growth| growth.context)
}

impl Rescaled {
    /// The RoPE of texts of `target` tokens, and that of windows of `longest` tokens.
    fn new(maker: &RotaryMaker, rope: &RopeSpec, target: usize, longest: usize) -> Self {
        let normal = Angles::new(maker, rope.resolve(target), longest);
        let of_long = rope.resolve(target.max(longest));
        let long = if of_long == normal.resolved {
            normal.clone()
        } else {
            Angles::new(maker, of_long, longest)
        };
        Self {
            target,
            normal,
            long,
        }
    }
}

impl Angles {
    /// With the angles of `n_positions` positions.
    fn new(maker: &RotaryMaker, resolved: ResolvedRope, n_positions: usize) -> Self {
        Self {
            whole: maker.whole(&resolved, n_positions),
            resolved,
        }
    }
}

#[cfg(test)]
#[path = "rotaries_tests.rs"]
mod tests;
