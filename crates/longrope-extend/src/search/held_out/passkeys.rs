//! Passkeys that no candidate is scored on, and those that tell whether a model finds any within its own window.

use longrope_data::Tokenizer;
use longrope_eval::{NeedleTextConfig, needle_texts};
use longrope_rope::{RopeScaling, RopeSpec};

use crate::search::calibration::sample::CalibrationSample;
use crate::search::calibration::shape::SampleShape;
use crate::search::methods::measured::{CHECKPOINT, NamedSpec};

/// Share of the passkeys within its own window from which on a model counts as able to find passkeys.
pub(in crate::search) const CAN_FIND: f64 = 0.5;
/// Passkeys that are tried within the window.
const PASSKEYS_IN_WINDOW: usize = 5;
/// Added to the seed of a search, so that its passkeys are not those that candidates are scored on.
const OTHER_SEED: u64 = 0x5eed;

/// Texts of this shape with a passkey; none if they do not fit or there is no tokenizer.
pub(super) fn fresh_passkeys(
    tokenizer: Option<&Tokenizer>,
    n_passkeys: usize,
    shape: SampleShape,
    seed: u64,
) -> Vec<CalibrationSample> {
    let texts = tokenizer.and_then(|tokenizer| {
        let config = NeedleTextConfig::passkeys(n_passkeys);
        // A context that is too short for passkeys must not prevent a search.
        needle_texts(
            &config,
            tokenizer,
            &[],
            shape.n_tokens,
            seed.wrapping_add(OTHER_SEED),
        )
        .ok()
    });
    shape.needles(texts.unwrap_or_default())
}

/// Texts with a passkey that are as long as the window that the model was trained for.
#[derive(Clone, Debug)]
pub(in crate::search) struct PasskeysInWindow {
    pub(in crate::search) passkeys: Vec<CalibrationSample>,
    /// The RoPE to try them with: the one that the model has now.
    pub(in crate::search) rope: NamedSpec,
}

impl PasskeysInWindow {
    /// A few texts; none if they do not fit or there is no tokenizer.
    pub(in crate::search) fn new(tokenizer: Option<&Tokenizer>, own: &RopeSpec, seed: u64) -> Self {
        let shape = SampleShape::whole(own.original_context);
        let name = if own.scaling == (RopeScaling::None {}) {
            "none"
        } else {
            CHECKPOINT
        };
        Self {
            passkeys: fresh_passkeys(tokenizer, PASSKEYS_IN_WINDOW, shape, seed),
            rope: NamedSpec::new(name, own.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_in_the_window_are_tried_under_the_rope_that_the_model_has() {
        let scaling = RopeScaling::Linear { scale: 4.0 };
        let own = RopeSpec::new(8, 1e4, 256, scaling).unwrap();
        let name_and_rope = |rope: &RopeSpec| PasskeysInWindow::new(None, rope, 1).rope;
        assert_eq!(
            name_and_rope(&own),
            NamedSpec::new("checkpoint", own.clone())
        );
        assert_eq!(name_and_rope(&own.plain()).name, "none");
    }
}
