//! Passkeys that no candidate is scored on, and those that tell whether a model finds any within its own window.

use longrope_data::Tokenizer;
use longrope_eval::{NeedleTextConfig, needle_texts};
use longrope_rope::RopeSpec;

use super::calibration::{Calibration, CalibrationSample};
use super::measured::NamedSpec;

/// Share of the passkeys within its own window from which on a model counts as able to find passkeys.
pub(super) const CAN_FIND: f64 = 0.5;
/// Passkeys that are tried within the window.
const PASSKEYS_IN_WINDOW: usize = 5;
/// Added to the seed of a search, so that its passkeys are not those that candidates are scored on.
const OTHER_SEED: u64 = 0x5eed;

/// Texts of `context` tokens with a passkey; none if they do not fit or there is no tokenizer.
pub(super) fn fresh_passkeys(
    tokenizer: Option<&Tokenizer>,
    n_passkeys: usize,
    context: usize,
    seed: u64,
) -> Vec<CalibrationSample> {
    let texts = tokenizer.and_then(|tokenizer| {
        let config = NeedleTextConfig::passkeys(n_passkeys);
        // A context that is too short for passkeys must not prevent a search.
        needle_texts(
            &config,
            tokenizer,
            &[],
            context,
            seed.wrapping_add(OTHER_SEED),
        )
        .ok()
    });
    let texts = texts.unwrap_or_default().into_iter();
    texts.map(CalibrationSample::from).collect()
}

/// Texts with a passkey that are as long as the window that the model was trained for, and the RoPE to try them with.
pub(super) fn passkeys_in_window(
    tokenizer: Option<&Tokenizer>,
    base: &RopeSpec,
    seed: u64,
) -> (Vec<CalibrationSample>, NamedSpec) {
    let context = base.original_context;
    let passkeys = fresh_passkeys(tokenizer, PASSKEYS_IN_WINDOW, context, seed);
    (passkeys, ("none".to_owned(), base.plain()))
}

/// Text and passkeys to measure RoPEs on, without candidates.
pub(super) fn unscored(
    text: Vec<CalibrationSample>,
    passkeys: Vec<CalibrationSample>,
) -> Calibration {
    Calibration {
        samples: Vec::new(),
        text,
        needles: Vec::new(),
        passkeys,
        needle_share: 0.0,
    }
}
