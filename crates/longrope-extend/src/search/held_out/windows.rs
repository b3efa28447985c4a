//! Windows of text to measure RoPEs on: of all of it, or of what a search does not see.

use longrope_data::{Bos, TokenDocument, TokenWindow, WindowProtocol, plan_windows};

use super::seen::are_seen;
use super::split::Split;
use crate::error::{Error, Result};
use crate::search::calibration::sample::CalibrationSample;
use crate::search::calibration::shape::SampleShape;

/// Windows that are measured at most. Up to this number, windows of one document count as independent.
const MOST_WINDOWS: usize = 7;

/// Up to [`MOST_WINDOWS`] windows, evenly spread over the documents.
pub(in crate::search) fn windows(
    documents: &[TokenDocument],
    shape: SampleShape,
) -> Result<Vec<CalibrationSample>> {
    Ok(spread(&planned(documents, shape)?, shape))
}

/// Up to [`MOST_WINDOWS`] windows of the held-out text, evenly spread over those that the search does not see: text that is
/// given twice may be on both sides. Empty if it sees all of them.
pub(in crate::search) fn unseen_windows(
    split: &Split,
    shape: SampleShape,
) -> Result<Vec<CalibrationSample>> {
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
        .map_err(|source| Error::Windows { context, source })
}

/// Up to [`MOST_WINDOWS`] of the windows, evenly spread, as samples.
fn spread(planned: &[TokenWindow], shape: SampleShape) -> Vec<CalibrationSample> {
    let n = planned.len().min(MOST_WINDOWS);
    let chosen = (0..n).map(|index| &planned[index * planned.len() / n]);
    shape.texts(chosen.map(|window| (window.tokens(), window.score_from)))
}
