//! The objective of a search that is left to choose it.
//!
//! Factors with the lowest loss on text may lose every distant key. So a model that finds passkeys within its own window
//! is searched for text and passkeys together. For another model, answers would be noise.

use longrope_data::select_samples;
use longrope_eval::{NeedleTextConfig, needle_texts};
use longrope_rope::RopeSpec;
use serde::{Deserialize, Serialize};

use super::kind::ObjectiveKind;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::scoring::{Scoring, Workers};
use crate::search::calibration::{Calibration, CalibrationOptions};
use crate::search::held_out::passkeys::{CAN_FIND, PasskeysInWindow};
use crate::search::inputs::SearchInputs;
use crate::search::methods::measured::measure;

/// The objective that a search chose, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectiveChoice {
    /// The objective: combined or perplexity.
    pub objective: ObjectiveKind,
    /// Share of passkeys that the model finds within its own window; `None` if they could not be tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passkeys_in_window: Option<f64>,
    /// The reason, the second half of a sentence about the objective.
    pub reason: String,
}

impl ObjectiveChoice {
    /// Tries passkeys within the window that the model was trained for, under `own`, the RoPE that it has now: the combined
    /// objective if it finds at least half of them and the needles fit into `context` tokens, else perplexity. The same seed
    /// gives the same choice.
    ///
    /// # Errors
    /// If the text is too short for the samples, an interrupt is requested, or the model or all devices fail.
    pub(in crate::search) fn make(
        inputs: &SearchInputs<'_>,
        own: &RopeSpec,
        context: usize,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let options = &inputs.calibration;
        // Text that is too short is found before the model is tried.
        select_samples(inputs.documents, context, options.samples, options.seed)
            .map_err(|source| Error::Samples { context, source })?;
        let Some(tokenizer) = inputs.tokenizer else {
            return Ok(Self::perplexity("there is no tokenizer for passkeys"));
        };
        if options.passkey_trials == 0 {
            return Ok(Self::perplexity("`search.passkey-trials` is 0"));
        }
        let PasskeysInWindow { passkeys, rope } =
            PasskeysInWindow::new(Some(tokenizer), own, options.seed);
        let n_tried = passkeys.len();
        if n_tried == 0 {
            return Ok(Self::perplexity(&format!(
                "a passkey does not fit into the {} tokens of the model's own window",
                own.original_context
            )));
        }
        let mut scoring = Scoring::Workers(Workers::start(inputs.models)?);
        let on = Calibration::unscored(Vec::new(), passkeys, None);
        let measured = measure(&mut scoring, &on, &[rope], interrupt, &mut |_| {})?;
        let found = measured.iter().flat_map(|loss| &loss.passkeys_found);
        let n_found = found.filter(|found| **found > 0).count();
        let share = n_found as f64 / n_tried as f64;
        let tried = format!(
            "the model finds {n_found} of {n_tried} passkeys within its own window of {} tokens",
            own.original_context
        );
        let can_find = share >= CAN_FIND;
        let fits = || {
            let needles = needles(&options.needles);
            needle_texts(&needles, tokenizer, inputs.documents, context, options.seed).is_ok()
        };
        let (objective, reason) = if !can_find {
            (ObjectiveKind::Perplexity, tried)
        } else if fits() {
            (ObjectiveKind::Combined, tried)
        } else {
            let reason = format!("{tried}, but needles do not fit into {context}");
            (ObjectiveKind::Perplexity, reason)
        };
        Ok(Self {
            objective,
            passkeys_in_window: Some(share),
            reason,
        })
    }

    fn perplexity(reason: &str) -> Self {
        Self {
            objective: ObjectiveKind::Perplexity,
            passkeys_in_window: None,
            reason: reason.to_owned(),
        }
    }

    /// Sets the objective. Needles whose settings are the default become passkeys, which the model was found to answer.
    pub(in crate::search) fn apply(&self, options: &mut CalibrationOptions) {
        options.objective = self.objective;
        if self.objective != ObjectiveKind::Perplexity {
            options.needles = needles(&options.needles);
        }
    }
}

/// The needles of a chosen objective.
fn needles(wanted: &NeedleTextConfig) -> NeedleTextConfig {
    if *wanted == NeedleTextConfig::default() {
        NeedleTextConfig::passkeys(wanted.samples)
    } else {
        wanted.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needles_become_passkeys_unless_they_are_set() {
        let set = NeedleTextConfig {
            samples: 3,
            ..NeedleTextConfig::default()
        };
        assert_eq!(
            needles(&NeedleTextConfig::default()),
            NeedleTextConfig::passkeys(10)
        );
        assert_eq!(needles(&set), set);
        let mut options = CalibrationOptions::default();
        ObjectiveChoice::perplexity("of a test").apply(&mut options);
        assert_eq!(options, CalibrationOptions::default());
    }
}
