//! Text and passkeys that a search does not see, and the measurement of its winner on them.

use std::sync::Arc;

use longrope_data::{Tokenizer, text_fingerprint};
use longrope_rope::RopeSpec;

use super::passkeys::{CAN_FIND, PasskeysInWindow, fresh_passkeys};
use super::split::Split;
use super::windows::unseen_windows;
use crate::error::Result;
use crate::scoring::Adaptation;
use crate::search::calibration::Calibration;
use crate::search::calibration::sample::CalibrationSample;
use crate::search::calibration::shape::SampleShape;
use crate::search::methods::loss::MethodLoss;
use crate::search::methods::measured::NamedSpec;
use crate::search::objective::kind::ObjectiveKind;
use crate::search::objective::model::ModelObjective;
use crate::search::saved::journal::Samples;
use crate::search::verdict::Verdict;
use crate::search::verdict::judged::{HeldOutText, Judged, TriedInWindow};

/// What the verdict of a search is measured on.
#[derive(Clone, Debug)]
pub(crate) struct Unseen {
    context: usize,
    text: HeldOutText,
    windows: Vec<CalibrationSample>,
    passkeys: Vec<CalibrationSample>,
    in_window: PasskeysInWindow,
    adaptation: Option<Arc<Adaptation>>,
}

impl Unseen {
    /// Windows of the held-out text, and `n_passkeys` passkeys if there is a tokenizer and they fit. `own` is the RoPE that the
    /// model has now.
    pub(crate) fn new(
        split: &Split,
        tokenizer: Option<&Tokenizer>,
        shape: SampleShape,
        own: &RopeSpec,
        n_passkeys: usize,
        seed: u64,
    ) -> Result<Self> {
        let windows = unseen_windows(split, shape)?;
        let held_out = split.held_out.as_slice();
        let passkeys = fresh_passkeys(tokenizer, n_passkeys, shape, seed);
        let mut in_window = PasskeysInWindow::new(tokenizer, own, seed);
        if passkeys.is_empty() {
            in_window.passkeys.clear();
        }
        Ok(Self {
            context: shape.n_tokens,
            text: HeldOutText {
                text_fingerprint: text_fingerprint(held_out),
                n_tokens: held_out.iter().map(|d| d.tokens.len()).sum(),
                n_windows: windows.len(),
            },
            windows,
            passkeys,
            in_window,
            adaptation: None,
        })
    }

    /// Adapts the model to each RoPE before it is measured.
    #[must_use]
    pub(crate) fn adapted(self, adaptation: Option<Arc<Adaptation>>) -> Self {
        Self { adaptation, ..self }
    }

    /// Fingerprint of the held-out text.
    pub(crate) fn text_fingerprint(&self) -> &str {
        &self.text.text_fingerprint
    }

    /// Whether a verdict is on this text and on as many passkeys.
    pub(crate) fn is_judged_in(&self, verdict: &Verdict) -> bool {
        let n_found = verdict.searched.passkeys_found.len();
        verdict.held_out == self.text
            && verdict.passkeys_in_window.is_some() != self.in_window.passkeys.is_empty()
            // Passkeys are left out for a model that finds too few within its window.
            && [0, self.passkeys.len()].contains(&n_found)
    }

    /// Measures the winner and the methods.
    ///
    /// # Errors
    /// If an interrupt is requested, the model or all devices fail, or a loss is not finite.
    pub(crate) fn judge(
        &self,
        objective: &mut ModelObjective<'_>,
        ropes: &[NamedSpec],
        kind: ObjectiveKind,
    ) -> Result<Option<Verdict>> {
        let in_window = &self.in_window;
        let mut passkeys_in_window = None;
        if !in_window.passkeys.is_empty() {
            // Of the model as it is: whether it can find passkeys at all.
            let on = Calibration::unscored(Vec::new(), in_window.passkeys.clone(), None);
            let rope = std::slice::from_ref(&in_window.rope);
            let found = objective.measure_on(Samples::InWindow, &on, rope)?;
            passkeys_in_window = found.first().map(|loss| TriedInWindow {
                n_found: loss.n_passkeys(),
                n_tried: in_window.passkeys.len(),
            });
        }
        let can_find = passkeys_in_window.is_some_and(|tried| tried.share() >= CAN_FIND);
        let passkeys = if can_find {
            self.passkeys.clone()
        } else {
            Vec::new()
        };
        let on = Calibration::unscored(self.windows.clone(), passkeys, self.adaptation.clone());
        let measured = objective.measure_on(Samples::HeldOut, &on, ropes)?;
        let mut measured = measured.into_iter();
        let Some(searched) = measured.next() else {
            return Ok(None);
        };
        let baselines: Vec<MethodLoss> = measured
            .map(|method| method.compared_with(&searched))
            .collect();
        let adapted = self.adaptation.as_deref().map(|it| it.report().clone());
        Ok(Some(Verdict::new(Judged {
            context: self.context,
            held_out: self.text.clone(),
            searched,
            baselines,
            passkeys_in_window,
            kind,
            adapted,
        })))
    }
}
