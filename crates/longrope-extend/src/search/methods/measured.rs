//! Loss on text and needles, and passkeys found, under different RoPEs.

use longrope_model::rope_fingerprint;
use longrope_rope::RopeSpec;

use super::loss::MethodLoss;
use crate::error::ScoringError;
use crate::interrupt::Interrupt;
use crate::pool::{CallStatus, PoolError};
use crate::scoring::{Losses, Measure, Scoring};
use crate::search::calibration::Calibration;
use crate::search::calibration::sample::CalibrationSample;

/// Name of the RoPE that a search has found.
pub(in crate::search) const SEARCHED: &str = "searched";
/// Name of the RoPE that the model has now, if it is scaled.
pub(in crate::search) const CHECKPOINT: &str = "checkpoint";

/// Name of the RoPE whose factors the ratios of a search multiply, as it is.
pub(in crate::search) const INIT: &str = "init";

/// A RoPE and its name.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedSpec {
    /// The name in results.
    pub name: String,
    /// The RoPE.
    pub spec: RopeSpec,
}

impl NamedSpec {
    /// Gives a RoPE a name.
    pub fn new(name: impl Into<String>, spec: RopeSpec) -> Self {
        let name = name.into();
        Self { name, spec }
    }
}

/// Measures RoPEs on all samples of a calibration, in one call.
///
/// # Errors
/// If an interrupt is requested, the model or all devices fail, or a loss is not finite.
pub fn measure(
    scoring: &mut Scoring<'_>,
    calibration: &Calibration,
    ropes: &[NamedSpec],
    interrupt: &Interrupt,
    watch: &mut dyn FnMut(&CallStatus),
) -> Result<Vec<MethodLoss>, ScoringError> {
    measure_each(scoring, calibration, ropes, interrupt, watch, &mut |_| {
        Ok(())
    })
}

/// As [`measure`]. Also calls `each` with every RoPE as soon as all its samples are measured.
pub(crate) fn measure_each(
    scoring: &mut Scoring<'_>,
    calibration: &Calibration,
    ropes: &[NamedSpec],
    interrupt: &Interrupt,
    watch: &mut dyn FnMut(&CallStatus),
    each: &mut dyn FnMut(&MethodLoss) -> longrope_eval::Result<()>,
) -> Result<Vec<MethodLoss>, ScoringError> {
    let samples: Vec<(&CalibrationSample, Measure)> = calibration
        .text
        .iter()
        .chain(&calibration.needles)
        .map(|sample| (sample, Measure::Nats))
        .chain(
            calibration
                .passkeys
                .iter()
                .map(|sample| (sample, Measure::Misses)),
        )
        .collect();
    let jobs = ropes.iter().flat_map(|rope| {
        let jobs = samples.iter();
        jobs.map(move |(sample, measure)| {
            sample.job(*measure, &rope.spec, calibration.adaptation.as_ref())
        })
    });
    let mut waiting: Vec<Vec<Option<Losses>>> = vec![vec![None; samples.len()]; ropes.len()];
    let mut note = |index: usize, losses: &Losses| {
        let rope = index / samples.len();
        waiting[rope][index % samples.len()] = Some(losses.clone());
        if waiting[rope].iter().any(Option::is_none) {
            return Ok(());
        }
        let losses = std::mem::take(&mut waiting[rope]);
        each(&method(
            calibration,
            &ropes[rope],
            losses.into_iter().flatten(),
        )?)
    };
    let answers = scoring.score_each(jobs.collect(), interrupt, watch, &mut note)?;
    let mut answers = answers.into_iter().map(|answer| answer.value);
    let found = ropes.iter().map(|rope| {
        let losses: Vec<Losses> = answers.by_ref().take(samples.len()).collect();
        method(calibration, rope, losses).map_err(PoolError::Refused)
    });
    found.collect()
}

/// The means of a method, from its losses on all samples; an error if a loss is not finite.
fn method(
    calibration: &Calibration,
    rope: &NamedSpec,
    losses: impl IntoIterator<Item = Losses>,
) -> longrope_eval::Result<MethodLoss> {
    let NamedSpec { name, spec } = rope;
    let mut losses = losses.into_iter();
    let mut take = |samples: &[CalibrationSample]| -> Vec<Losses> {
        losses.by_ref().take(samples.len()).collect()
    };
    let text = take(&calibration.text);
    let needles = take(&calibration.needles);
    let passkeys = take(&calibration.passkeys);
    let not_finite = |source| {
        let what = format!("a sample under `{name}`");
        longrope_eval::Error::not_finite(what, source)
    };
    let text_nats = means(&calibration.text, &text).map_err(not_finite)?;
    let answer_nats = means(&calibration.needles, &needles).map_err(not_finite)?;
    let passkeys_found: Vec<u8> = passkeys
        .iter()
        .map(|misses| is_found(misses).into())
        .collect();
    Ok(MethodLoss {
        method: name.clone(),
        rope_fingerprint: Some(rope_fingerprint(spec)),
        // Only passkeys within the window are measured without text.
        nll_nats: mean(&text_nats).unwrap_or_default(),
        answer_nats: mean(&answer_nats),
        passkey_accuracy: share_found(&passkeys_found),
        text_nats,
        passkeys_found,
        difference: None,
        passkey_difference: None,
    })
}

/// Mean loss on each sample, in nats.
pub(super) fn means(
    samples: &[CalibrationSample],
    losses: &[Losses],
) -> longrope_model::Result<Vec<f64>> {
    let pairs = samples.iter().zip(losses);
    pairs
        .map(|(sample, losses)| Ok(sample.blocks(losses)?.mean()))
        .collect()
}

/// Mean over all samples; `None` if there are no samples.
fn mean(losses: &[f64]) -> Option<f64> {
    let sum: f64 = losses.iter().sum();
    (!losses.is_empty()).then(|| sum / losses.len() as f64)
}

/// Whether a text has no miss.
fn is_found(misses: &Losses) -> bool {
    misses.iter().flatten().all(|miss| *miss < 0.5)
}

/// Share of passkeys that were found; `None` if there are none.
fn share_found(found: &[u8]) -> Option<f64> {
    let n_found: usize = found.iter().map(|found| usize::from(*found)).sum();
    (!found.is_empty()).then(|| n_found as f64 / found.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passkey_with_one_wrong_digit_is_not_found() {
        let texts = [
            vec![vec![0.0, 0.0]],
            vec![vec![0.0, 1.0]],
            vec![vec![0.0, 0.0]],
            vec![vec![1.0, 1.0]],
        ];
        let found = texts.map(|misses| u8::from(is_found(&misses)));
        assert_eq!(found, [1, 0, 1, 0]);
        assert_eq!(share_found(&found), Some(0.5));
        assert_eq!(share_found(&[]), None);
    }
}
