//! What a search measures RoPEs on, taken from its text.

use std::sync::Arc;

use longrope_data::TokenDocument;
use longrope_rope::RopeSpec;
use longrope_search::{SearchProblem, TargetRope};

use crate::error::{Error, Result};
use crate::scoring::Adaptation;
use crate::search::adapt::{AdaptConfig, RecordedAdapt};
use crate::search::calibration::Calibration;
use crate::search::calibration::shape::SampleShape;
use crate::search::held_out::split::{HeldOutShare, Split};
use crate::search::held_out::unseen::Unseen;
use crate::search::held_out::windows::unseen_windows;
use crate::search::inputs::SearchInputs;
use crate::search::objective::choice::ObjectiveChoice;
use crate::search::saved::recorded::Recorded;

/// What a search measures RoPEs on.
pub(super) struct SearchSamples {
    /// What candidates are scored on, with the adaptation of the model to them.
    pub(super) calibration: Calibration,
    /// What the winner is judged on; `None` if no text is held out.
    pub(super) unseen: Option<Unseen>,
    /// What must be the same for the adaptation to be continued; `None` without one.
    pub(super) adapt: Option<RecordedAdapt>,
}

impl SearchSamples {
    /// Samples of this shape for a search for `target` tokens. `own` is the RoPE that the model has now, and `begun` what
    /// was recorded of the adaptation of the search that is continued.
    pub(super) fn new(
        inputs: &SearchInputs<'_>,
        adapt: &AdaptConfig,
        shape: SampleShape,
        target: usize,
        own: &RopeSpec,
        begun: Option<&RecordedAdapt>,
    ) -> Result<Self> {
        let (mut calibration, split) = calibration_and_rest(inputs, shape)?;
        let adaptation = adaptation(adapt, inputs, split.as_ref(), target, begun)?;
        let (adaptation, adapt) = adaptation.unzip();
        calibration.adaptation.clone_from(&adaptation);
        let options = &inputs.calibration;
        let unseen = split
            .map(|split| {
                let (n_passkeys, seed) = (options.passkey_trials, options.seed);
                Unseen::new(&split, inputs.tokenizer, shape, own, n_passkeys, seed)
            })
            .transpose()?;
        Ok(Self {
            calibration,
            unseen: unseen.map(|unseen| unseen.adapted(adaptation)),
            adapt,
        })
    }

    /// What the scores of a search on these samples depend on. `own` is the RoPE that the model has now, and `choice` how
    /// the objective was chosen.
    pub(super) fn recorded(
        &self,
        inputs: &SearchInputs<'_>,
        target: &TargetRope,
        own: &RopeSpec,
        choice: Option<&ObjectiveChoice>,
    ) -> Recorded {
        let mut recorded = Recorded::new(inputs, &self.calibration, target, own);
        recorded.objective_choice = choice.cloned();
        recorded.adapt.clone_from(&self.adapt);
        recorded.held_out_fingerprint = self
            .unseen
            .as_ref()
            .map(|unseen| unseen.text_fingerprint().to_owned());
        recorded
    }
}

/// The samples of a search, and its text in two parts: the one that it sees, and the one that it does not.
///
/// By default, text is held out only if the samples fit into the rest. Text that the search sees anyway, because it is given
/// more than once, is not held out.
fn calibration_and_rest(
    inputs: &SearchInputs<'_>,
    shape: SampleShape,
) -> Result<(Calibration, Option<Split>)> {
    let options = &inputs.calibration;
    let make = |documents: &[TokenDocument]| {
        Calibration::of_shape(options, documents, inputs.tokenizer, shape)
    };
    let mut reason = "the text is too short to hold any out";
    if let Some(split) = inputs.held_out.split(inputs.documents, shape.n_tokens) {
        match make(&split.search) {
            Ok(_) if unseen_windows(&split, shape)?.is_empty() => {
                reason = "the text that would be held out is also in the rest of the text";
            }
            Ok(calibration) => return Ok((calibration, Some(split))),
            Err(error) if inputs.held_out != HeldOutShare::Auto => return Err(error),
            Err(_) => {}
        }
    }
    let calibration = make(inputs.documents)?;
    if inputs.held_out != HeldOutShare::NOTHING {
        tracing::warn!("{reason}: the result is not measured on text that the search did not see");
    }
    Ok((calibration, None))
}

/// How the model is adapted to each candidate, on the text that the search sees; `None` if it is not.
fn adaptation(
    adapt: &AdaptConfig,
    inputs: &SearchInputs<'_>,
    split: Option<&Split>,
    target: usize,
    begun: Option<&RecordedAdapt>,
) -> Result<Option<(Arc<Adaptation>, RecordedAdapt)>> {
    if !adapt.is_on() {
        return Ok(None);
    }
    let documents = split.map_or(inputs.documents, |split| split.search.as_slice());
    let (decoder, seed) = (inputs.models.decoder(), inputs.calibration.seed);
    let started = adapt.start(decoder, documents, inputs.tokenizer, target, seed, begun)?;
    Ok(Some(started))
}

/// How long samples are and where they lie: short windows at skipped positions if the model is adapted, else real positions.
pub(super) fn sample_shape(
    adapt: &AdaptConfig,
    inputs: &SearchInputs<'_>,
    target: &TargetRope,
    problem: &SearchProblem,
) -> Result<SampleShape> {
    let decoder = inputs.models.decoder();
    let original = decoder.config().rope.original_context;
    adapt.validate(decoder.config(), target.target(), inputs.sample_context)?;
    adapt.check_model(decoder, target.base(), target.target())?;
    match adapt.shape(original, target.target(), inputs.calibration.seed) {
        Some(shape) => Ok(shape),
        None => Ok(SampleShape::whole(sample_context(
            inputs.sample_context,
            problem.original_context,
            target.target(),
        )?)),
    }
}

/// Tokens of a sample: those of the target, or fewer, as a cheap proxy. The target of a recovery may be shorter than the
/// original context.
fn sample_context(wanted: Option<usize>, original: usize, target: usize) -> Result<usize> {
    match wanted {
        // Up to the original context, rescaling can only do harm.
        Some(found) if found <= original && found < target => {
            Err(Error::SampleContext { found, original })
        }
        Some(context) => Ok(context.min(target)),
        None => Ok(target),
    }
}
