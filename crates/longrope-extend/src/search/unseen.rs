//! Text and passkeys that a search does not see, and the measurement of its winner on them.

use std::sync::Arc;

use longrope_data::{
    Bos, TokenDocument, TokenWindow, Tokenizer, WindowProtocol, plan_windows, text_fingerprint,
};
use longrope_rope::RopeSpec;

use super::calibration_sample::CalibrationSample;
use super::fresh_passkeys::{CAN_FIND, PasskeysInWindow, fresh_passkeys, unscored};
use super::held_out::Split;
use super::journal::Samples;
use super::measured::NamedSpec;
use super::method_loss::MethodLoss;
use super::objective::ModelObjective;
use super::objective_kind::ObjectiveKind;
use super::sample_shape::SampleShape;
use super::seen::are_seen;
use super::verdict::{HeldOutText, Judged, Verdict};
use crate::error::Result;
use crate::scoring::Adaptation;

/// Windows that are measured at most. Up to this number, windows of one document count as independent.
const MOST_WINDOWS: usize = 7;

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
            let on = unscored(Vec::new(), in_window.passkeys.clone(), None);
            let rope = std::slice::from_ref(&in_window.rope);
            let found = objective.measure_on(Samples::InWindow, &on, rope)?;
            passkeys_in_window = found.first().and_then(|loss| loss.passkey_accuracy);
        }
        let can_find = passkeys_in_window.is_some_and(|share| share >= CAN_FIND);
        let passkeys = if can_find {
            self.passkeys.clone()
        } else {
            Vec::new()
        };
        let on = unscored(self.windows.clone(), passkeys, self.adaptation.clone());
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

/// Up to [`MOST_WINDOWS`] windows, evenly spread over the documents.
pub(super) fn windows(
    documents: &[TokenDocument],
    shape: SampleShape,
) -> Result<Vec<CalibrationSample>> {
    Ok(spread(&planned(documents, shape)?, shape))
}

/// Up to [`MOST_WINDOWS`] windows of the held-out text, evenly spread over those that the search does not see: text that is
/// given twice may be on both sides. Empty if it sees all of them.
pub(super) fn unseen_windows(split: &Split, shape: SampleShape) -> Result<Vec<CalibrationSample>> {
    let mut planned = planned(&split.held_out, shape)?;
    let tokens: Vec<Vec<u32>> = planned.iter().map(TokenWindow::tokens).collect();
    // What comes before the scored tokens may be a beginning-of-text token here and not there.
    let scored = planned.iter().zip(&tokens);
    let scored = scored.map(|(window, tokens)| &tokens[window.score_from..]);
    let scored: Vec<&[u32]> = scored.collect();
    let mut seen = are_seen(&scored, &split.search).into_iter();
    planned.retain(|_| !seen.next().unwrap_or_default());
    Ok(spread(&planned, shape))
}

/// Windows of every document.
fn planned(documents: &[TokenDocument], shape: SampleShape) -> Result<Vec<TokenWindow>> {
    let context = shape.n_tokens;
    let protocol = WindowProtocol::spread(MOST_WINDOWS);
    plan_windows(documents, context, protocol, Bos::Document)
        .map_err(|source| crate::Error::Windows { context, source })
}

/// Up to [`MOST_WINDOWS`] of the windows, evenly spread, as samples.
fn spread(planned: &[TokenWindow], shape: SampleShape) -> Vec<CalibrationSample> {
    let n = planned.len().min(MOST_WINDOWS);
    let chosen = (0..n).map(|index| &planned[index * planned.len() / n]);
    shape.texts(chosen.map(|window| (window.tokens(), window.score_from)))
}
