//! How well a RoPE lets a model predict text and find what is hidden in it.

use longrope_rope::RopeSpec;
use serde::{Deserialize, Serialize};

use crate::calibration::{Calibration, CalibrationSample};
use crate::pool::CallStatus;
use crate::signals::Interrupt;
use crate::workers::{Losses, Measure, Workers, WorkersError};

/// A RoPE and how it does on the samples of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct MethodLoss {
    pub(crate) method: String,
    /// Mean loss on text, nats per token.
    pub(crate) nll_nats: f64,
    /// Mean loss on the answers of needle texts, nats per token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answer_nats: Option<f64>,
    /// Share of passkeys of which every token is the most likely one after those before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) passkey_accuracy: Option<f64>,
}

/// A RoPE and its name.
pub(crate) type NamedSpec = (String, RopeSpec);

/// Measures all that a calibration can tell of RoPEs, all of them at once.
pub(crate) fn measure(
    workers: &mut Workers,
    calibration: &Calibration,
    ropes: &[NamedSpec],
    interrupt: &Interrupt,
    watch: &mut dyn FnMut(&CallStatus),
) -> Result<Vec<MethodLoss>, WorkersError> {
    let samples: Vec<(&CalibrationSample, Measure)> = calibration
        .text
        .iter()
        .chain(&calibration.needles)
        .map(|sample| (sample, Measure::Nats))
        .chain(calibration.passkeys.iter().map(|it| (it, Measure::Misses)))
        .collect();
    let jobs = ropes.iter().flat_map(|(_, spec)| {
        let jobs = samples.iter();
        jobs.map(move |(sample, measure)| sample.job(*measure, spec))
    });
    let answers = workers.score(jobs.collect(), interrupt, watch)?;
    let mut answers = answers.into_iter().map(|answer| answer.value);
    let method = |(name, _): &NamedSpec| {
        let mut take = |samples: &[CalibrationSample]| -> Vec<Losses> {
            answers.by_ref().take(samples.len()).collect()
        };
        let text = take(&calibration.text);
        let needles = take(&calibration.needles);
        let passkeys = take(&calibration.passkeys);
        MethodLoss {
            method: name.clone(),
            nll_nats: mean(&calibration.text, &text).unwrap_or(f64::NAN),
            answer_nats: mean(&calibration.needles, &needles),
            passkey_accuracy: share_found(&passkeys),
        }
    };
    Ok(ropes.iter().map(method).collect())
}

/// Mean over samples of their mean loss, nats; none of no samples.
fn mean(samples: &[CalibrationSample], losses: &[Losses]) -> Option<f64> {
    let means = samples.iter().zip(losses);
    let sum: f64 = means.map(|(it, losses)| it.blocks(losses).mean()).sum();
    (!samples.is_empty()).then(|| sum / samples.len() as f64)
}

/// Share of texts without a miss, which is to say that greedy generation gives the answer; none of no texts.
fn share_found(misses: &[Losses]) -> Option<f64> {
    let is_found = |misses: &&Losses| misses.iter().flatten().all(|miss| *miss < 0.5);
    let n_found = misses.iter().filter(is_found).count();
    (!misses.is_empty()).then(|| n_found as f64 / misses.len() as f64)
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
        assert_eq!(share_found(&texts), Some(0.5));
        assert_eq!(share_found(&[]), None);
    }
}
