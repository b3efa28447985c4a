//! Learning rate by step.

use std::f64::consts::PI;

use longrope_data::counted;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the learning rate changes after the warmup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Decay {
    /// Stays at its peak; LongRoPE's setting for Mistral.
    Constant,
    /// Falls linearly to zero; LongRoPE's setting for LLaMA 2.
    Linear,
    /// Falls to zero along half a cosine; LongRoPE2's setting.
    Cosine,
}

/// A learning rate that rises linearly to its peak and then decays.
///
/// ```
/// use longrope_trainer::{Decay, Schedule};
///
/// let schedule = Schedule {
///     learning_rate: 2.0,
///     warmup_steps: 4,
///     total_steps: 12,
///     decay: Decay::Linear,
/// };
/// let rates: Vec<f64> = [0, 3, 8, 12].map(|step| schedule.at(step)).to_vec();
/// assert_eq!(rates, [0.5, 2.0, 1.0, 0.0]);
/// ```
///
/// With peak `η`, warmup `w`, total `n`: step `t < w` has `η (t + 1) / w`. After that, with
/// `u = (t - w) / (n - w)`, constant decay has `η`, linear `η (1 - u)`, cosine `η (1 + cos πu) / 2`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Schedule {
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Steps in which the rate rises to its peak.
    pub warmup_steps: usize,
    /// Steps in all.
    pub total_steps: usize,
    /// How the rate changes after the warmup.
    pub decay: Decay,
}

impl Schedule {
    /// This schedule, if its numbers are valid.
    ///
    /// # Errors
    /// [`Error::Setting`] if the rate is not positive and finite, or the warmup is longer than the run.
    pub fn validated(self) -> Result<Self> {
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            let expected = "a finite number above 0";
            return Err(Error::setting(
                "learning-rate",
                &self.learning_rate,
                expected,
            ));
        }
        if self.warmup_steps > self.total_steps {
            let steps = counted(self.total_steps, "step");
            let expected = format!("at most the {steps} of the run");
            return Err(Error::setting(
                "warmup-steps",
                &self.warmup_steps,
                &expected,
            ));
        }
        Ok(self)
    }

    /// Learning rate of a step, counted from 0; zero after the last step of a decaying schedule.
    pub fn at(&self, step: usize) -> f64 {
        let peak = self.learning_rate;
        if step < self.warmup_steps {
            return peak * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let decaying = (self.total_steps - self.warmup_steps).max(1) as f64;
        let progress = ((step - self.warmup_steps) as f64 / decaying).min(1.0);
        match self.decay {
            Decay::Constant => peak,
            Decay::Linear => peak * (1.0 - progress),
            Decay::Cosine => peak * f64::midpoint(1.0, (PI * progress).cos()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(decay: Decay) -> Schedule {
        Schedule {
            learning_rate: 2.0,
            warmup_steps: 4,
            total_steps: 12,
            decay,
        }
    }

    #[test]
    fn warmup_rises_linearly_to_the_peak() {
        let rates: Vec<f64> = (0..5).map(|t| schedule(Decay::Constant).at(t)).collect();
        assert_eq!(rates, [0.5, 1.0, 1.5, 2.0, 2.0]);
    }

    #[test]
    fn decays_end_at_zero_and_are_half_way_in_the_middle() {
        for decay in [Decay::Linear, Decay::Cosine] {
            let schedule = schedule(decay);
            assert!((schedule.at(4) - 2.0).abs() < 1e-12);
            assert!((schedule.at(8) - 1.0).abs() < 1e-12);
            assert!(schedule.at(12).abs() < 1e-12);
            assert!(schedule.at(100).abs() < 1e-12);
        }
    }

    #[test]
    fn impossible_settings_are_named() {
        let wrong = Schedule {
            learning_rate: f64::NAN,
            ..schedule(Decay::Linear)
        };
        let error = wrong.validated().unwrap_err().to_string();
        assert_eq!(
            error,
            "`learning-rate` is NaN, expected a finite number above 0"
        );
        let wrong = Schedule {
            warmup_steps: 13,
            ..schedule(Decay::Linear)
        };
        let error = wrong.validated().unwrap_err().within("train").to_string();
        assert_eq!(
            error,
            "`train.warmup-steps` is 13, expected at most the 12 steps of the run"
        );
    }
}
