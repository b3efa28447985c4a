//! Checks that what a model computes is finite. Its results would otherwise pass as numbers.

use crate::error::{Error, Result};

/// Checks the losses of sequences whose first scored token is at position `score_from`.
///
/// # Errors
/// [`Error::NotFinite`] for the first loss that is NaN or infinite, sequence by sequence.
pub fn check_losses(losses: &[Vec<f32>], score_from: usize) -> Result<()> {
    let bad = |losses: &Vec<f32>| losses.iter().position(|loss| !loss.is_finite());
    let found = losses
        .iter()
        .find_map(|losses| bad(losses).map(|index| (index, losses[index])));
    match found {
        None => Ok(()),
        Some((index, value)) => Err(Error::NotFinite {
            what: "loss",
            position: score_from + index,
            value,
        }),
    }
}

/// The first of the logits that is NaN or infinite.
pub(crate) fn bad_logit(logits: &[f32]) -> Option<f32> {
    logits.iter().copied().find(|logit| !logit.is_finite())
}

/// The error of a logit for the token at a position.
pub(crate) fn logit_error(position: usize, value: f32) -> Error {
    Error::NotFinite {
        what: "logit",
        position,
        value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bad_loss_is_named_with_its_position() {
        assert!(check_losses(&[vec![1.0, 2.0], vec![]], 5).is_ok());
        let losses = [vec![1.0, 2.0], vec![3.0, f32::INFINITY, f32::NAN]];
        let error = check_losses(&losses, 5).unwrap_err().to_string();
        assert_eq!(
            error,
            "the loss at position 6 is inf, expected a finite number"
        );
    }
}
