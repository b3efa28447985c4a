//! Text and passkeys that a search does not see, and the measurement of its winner on them.

use longrope_data::{
    Bos, TokenDocument, Tokenizer, WindowProtocol, plan_windows, text_fingerprint,
};
use longrope_eval::{NeedleTextConfig, needle_texts};
use longrope_rope::RopeSpec;

use super::calibration::{Calibration, CalibrationSample};
use super::measured::NamedSpec;
use super::method_loss::MethodLoss;
use super::objective::ModelObjective;
use super::objective_kind::ObjectiveKind;
use super::verdict::{CAN_FIND, HeldOutText, Verdict};
use crate::error::Result;

/// Windows that are measured at most. Up to this number, windows of one document count as independent.
const MOST_WINDOWS: usize = 7;
/// Passkeys that tell whether the model can find any within its own window.
const PASSKEYS_IN_WINDOW: usize = 5;
/// Added to the seed of a search, so that its passkeys are not those of the verdict.
const OTHER_SEED: u64 = 0x5eed;

/// What the verdict of a search is measured on.
#[derive(Clone, Debug)]
pub(crate) struct Unseen {
    context: usize,
    text: HeldOutText,
    windows: Vec<CalibrationSample>,
    passkeys: Vec<CalibrationSample>,
    passkeys_in_window: Vec<CalibrationSample>,
}

impl Unseen {
    /// Windows of the held-out text, and `n_passkeys` passkeys if there is a tokenizer and they fit.
    pub(crate) fn new(
        held_out: &[TokenDocument],
        tokenizer: Option<&Tokenizer>,
        (context, original): (usize, usize),
        n_passkeys: usize,
        seed: u64,
    ) -> Result<Self> {
        let windows = windows(held_out, context)?;
        let make = |n: usize, context: usize| -> Option<Vec<CalibrationSample>> {
            let seed = seed.wrapping_add(OTHER_SEED);
            // A context that is too short for passkeys must not prevent the verdict.
            let texts = needle_texts(
                &NeedleTextConfig::passkeys(n),
                tokenizer?,
                &[],
                context,
                seed,
            )
            .ok()?;
            Some(texts.into_iter().map(CalibrationSample::from).collect())
        };
        let passkeys = make(n_passkeys, context).unwrap_or_default();
        let passkeys_in_window = if passkeys.is_empty() {
            Vec::new()
        } else {
            make(PASSKEYS_IN_WINDOW, original).unwrap_or_default()
        };
        Ok(Self {
            context,
            text: HeldOutText {
                text_fingerprint: text_fingerprint(held_out),
                n_tokens: held_out.iter().map(|d| d.tokens.len()).sum(),
                n_windows: windows.len(),
            },
            windows,
            passkeys,
            passkeys_in_window,
        })
    }

    /// Fingerprint of the held-out text.
    pub(crate) fn text_fingerprint(&self) -> &str {
        &self.text.text_fingerprint
    }

    /// Measures the winner and the methods.
    ///
    /// # Errors
    /// If an interrupt is requested, the model or all devices fail, or a loss is not finite.
    pub(crate) fn judge(
        &self,
        objective: &mut ModelObjective<'_>,
        base: &RopeSpec,
        ropes: &[NamedSpec],
        kind: ObjectiveKind,
    ) -> Result<Option<Verdict>> {
        let mut passkeys_in_window = None;
        if !self.passkeys_in_window.is_empty() {
            let own = [("none".to_owned(), base.plain())];
            let on = of(Vec::new(), self.passkeys_in_window.clone());
            let found = objective.measure_unsaved(&on, &own)?;
            passkeys_in_window = found.first().and_then(|loss| loss.passkey_accuracy);
        }
        let can_find = passkeys_in_window.is_some_and(|share| share >= CAN_FIND);
        let passkeys = if can_find {
            self.passkeys.clone()
        } else {
            Vec::new()
        };
        let on = of(self.windows.clone(), passkeys);
        let mut measured = objective.measure_unsaved(&on, ropes)?.into_iter();
        let Some(searched) = measured.next() else {
            return Ok(None);
        };
        let baselines: Vec<MethodLoss> = measured
            .map(|method| method.compared_with(&searched))
            .collect();
        Ok(Some(Verdict::new(
            (self.context, self.text.clone()),
            searched,
            baselines,
            passkeys_in_window,
            kind,
        )))
    }
}

/// Up to [`MOST_WINDOWS`] windows, evenly spread over the documents.
fn windows(documents: &[TokenDocument], context: usize) -> Result<Vec<CalibrationSample>> {
    let protocol = WindowProtocol::spread(MOST_WINDOWS);
    let planned = plan_windows(documents, context, protocol, Bos::Document)
        .map_err(|source| crate::Error::Windows { context, source })?;
    let n = planned.len().min(MOST_WINDOWS);
    let chosen = (0..n).map(|index| &planned[index * planned.len() / n]);
    Ok(chosen
        .map(|window| CalibrationSample::new(window.tokens(), window.score_from))
        .collect())
}

fn of(text: Vec<CalibrationSample>, passkeys: Vec<CalibrationSample>) -> Calibration {
    Calibration {
        samples: Vec::new(),
        text,
        needles: Vec::new(),
        passkeys,
        needle_share: 0.0,
    }
}
