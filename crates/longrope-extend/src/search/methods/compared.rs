//! Two RoPEs on the same samples of an objective, and whether one is better than chance.

use longrope_eval::{Difference, PairedMethod, has_spread, mean, mean_stderr, t_95};

use super::measured::{NamedSpec, means};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::scoring::{Losses, Measure, Models, Workers};
use crate::search::calibration::Calibration;
use crate::search::calibration::sample::CalibrationSample;

/// Two RoPEs on the same samples.
#[derive(Clone, Debug)]
pub(in crate::search) struct Compared {
    /// Mean loss of the first on text, nats per token.
    pub(in crate::search) before_nats: f64,
    /// Mean loss of the second on text, nats per token.
    pub(in crate::search) after_nats: f64,
    /// The objective of the second minus that of the first.
    pub(in crate::search) difference: Difference,
}

impl Compared {
    /// Measures both RoPEs on the samples of a calibration.
    ///
    /// # Errors
    /// If an interrupt is requested, the model or all devices fail, or a loss is not finite.
    pub(in crate::search) fn measure(
        models: &Models,
        calibration: &Calibration,
        before: &NamedSpec,
        after: &NamedSpec,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let samples = || calibration.text.iter().chain(&calibration.needles);
        let job = |rope: &NamedSpec, sample: &CalibrationSample| {
            sample.job(Measure::Nats, &rope.spec, calibration.adaptation.as_ref())
        };
        let mut jobs: Vec<_> = samples().map(|sample| job(before, sample)).collect();
        jobs.extend(samples().map(|sample| job(after, sample)));
        let answers = Workers::start(models)?.score(jobs, interrupt, &mut |_| {})?;
        let mut losses = answers.into_iter().map(|answer| answer.value);
        let before = SampleLosses::take(&mut losses, calibration, &before.name)?;
        let after = SampleLosses::take(&mut losses, calibration, &after.name)?;
        Ok(Self {
            before_nats: mean(&before.text),
            after_nats: mean(&after.text),
            difference: difference(&before, &after, calibration.needle_share),
        })
    }

    /// Whether the second RoPE is better, by more than chance.
    pub(in crate::search) fn is_better(&self) -> bool {
        self.difference.distinguishable && self.difference.value < 0.0
    }
}

/// The losses of a RoPE, one per sample, nats per token.
#[derive(Debug)]
struct SampleLosses {
    text: Vec<f64>,
    answers: Vec<f64>,
}

impl SampleLosses {
    /// Takes those of one RoPE.
    fn take(
        losses: &mut impl Iterator<Item = Losses>,
        calibration: &Calibration,
        name: &str,
    ) -> Result<Self> {
        let mut of = |samples: &[CalibrationSample]| {
            let losses: Vec<Losses> = losses.by_ref().take(samples.len()).collect();
            means(samples, &losses).map_err(|source| {
                let what = format!("a sample under `{name}`");
                Error::Eval(longrope_eval::Error::not_finite(what, source))
            })
        };
        Ok(Self {
            text: of(&calibration.text)?,
            answers: of(&calibration.needles)?,
        })
    }
}

/// The objective `after` minus the objective `before`, with its 95% interval.
///
/// The objective is the sum of the mean losses on text and on answers, times their shares. The two kinds of samples are
/// independent, so the variance is the sum of those of the mean differences, times `share²`. The quantile of Student's t is
/// that of the kind with fewer samples. There is no interval if a kind has one sample, or if all differences are the same.
fn difference(before: &SampleLosses, after: &SampleLosses, needle_share: f64) -> Difference {
    let kinds = [
        (1.0 - needle_share, &before.text, &after.text),
        (needle_share, &before.answers, &after.answers),
    ];
    let (mut value, mut variance) = (0.0_f64, Some(0.0_f64));
    let (mut n, mut fewest) = (0, usize::MAX);
    for (share, before, after) in kinds.into_iter().filter(|kind| kind.0 > 0.0) {
        let pairs = after.iter().zip(before);
        let differences: Vec<f64> = pairs.map(|(after, before)| after - before).collect();
        value += share * mean(&differences);
        let stderr = mean_stderr(&differences);
        variance = variance
            .zip(stderr)
            .map(|(sum, stderr)| sum + (share * stderr).powi(2));
        n += differences.len();
        fewest = fewest.min(differences.len());
    }
    let stderr = variance.map(f64::sqrt).filter(|stderr| has_spread(*stderr));
    let interval = stderr.map(|stderr| {
        let half = t_95(fewest.saturating_sub(1)) * stderr;
        [value - half, value + half]
    });
    Difference {
        reference: "before".to_owned(),
        value,
        stderr,
        interval,
        n,
        method: PairedMethod::TrialsT,
        p_value: None,
        distinguishable: interval.is_some_and(|[low, high]| low > 0.0 || high < 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(text: &[f64], answers: &[f64]) -> SampleLosses {
        SampleLosses {
            text: text.to_vec(),
            answers: answers.to_vec(),
        }
    }

    /// A comparison on an objective with this share of needles.
    fn compared(before: &SampleLosses, after: &SampleLosses, needle_share: f64) -> Compared {
        Compared {
            before_nats: mean(&before.text),
            after_nats: mean(&after.text),
            difference: difference(before, after, needle_share),
        }
    }

    #[test]
    fn a_gain_that_may_be_noise_is_no_gain() {
        let before = losses(&[3.0, 3.2, 2.9, 3.1], &[]);
        let noise = losses(&[2.9, 3.25, 2.85, 3.12], &[]);
        let found = compared(&before, &noise, 0.0);
        assert!(found.after_nats < found.before_nats && !found.is_better());
        let better = losses(&[2.9, 3.11, 2.8, 2.99], &[]);
        let found = compared(&before, &better, 0.0);
        assert!((found.difference.value + 0.1).abs() < 1e-12);
        // Differences of -0.1, -0.09, -0.1 and -0.11: their standard error is 0.01 · sqrt(2/3) / 2.
        let half = t_95(3) * 0.01 * (2.0_f64 / 3.0).sqrt() / 2.0;
        let half_width = found.difference.half_width().unwrap();
        assert!((half_width - half).abs() < 1e-12, "{half_width}");
        assert!(found.is_better());
        assert!(!compared(&better, &before, 0.0).is_better());
    }

    #[test]
    fn needles_decide_if_they_are_what_is_searched() {
        let before = losses(&[3.0, 3.1, 2.9], &[5.0, 4.0, 6.0]);
        // A little worse on text, and far better on answers.
        let after = losses(&[3.01, 3.11, 2.92], &[1.0, 0.5, 1.5]);
        assert!(!compared(&before, &after, 0.0).is_better());
        assert!(compared(&before, &after, 1.0).is_better());
        assert!(!compared(&after, &before, 1.0).is_better());
        let both = compared(&before, &after, 0.25);
        let value = 0.75 * 0.04 / 3.0 - 0.25 * 4.0;
        assert!((both.difference.value - value).abs() < 1e-12);
        assert_eq!(both.difference.n, 6);
        assert!(both.is_better());
    }

    #[test]
    fn too_few_samples_and_the_same_rope_prove_nothing() {
        let (one, other) = (losses(&[3.0], &[]), losses(&[2.0], &[]));
        let found = compared(&one, &other, 0.0);
        assert_eq!(found.difference.interval, None);
        assert!(!found.is_better());
        let same = losses(&[3.0, 3.1], &[]);
        let found = compared(&same, &same, 0.0).difference;
        assert_eq!((found.interval, found.distinguishable), (None, false));
        // One needle beside many texts.
        let before = losses(&[3.0, 3.1, 3.2], &[5.0]);
        let after = losses(&[2.0, 2.2, 2.3], &[1.0]);
        assert!(!compared(&before, &after, 0.5).is_better());
        assert!(compared(&before, &after, 0.0).is_better());
    }
}
