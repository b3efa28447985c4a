//! The curves of Burn's dashboard.

use std::sync::Arc;

use burn::tensor::TensorReadError;
use burn::train::metric::state::NumericMetricState;
use burn::train::metric::{
    Adaptor, ItemLazy, Metric, MetricAttributes, MetricMetadata, MetricName, Numeric,
    NumericAttributes, NumericEntry, SerializedEntry, format_float,
};

use super::parts::{EvalPoint, TimedStep};

/// Digits after the point.
const PRECISION: usize = 4;

/// Reads the number from an item, and how many tokens or other units it is a mean over.
type Read<T> = dyn Fn(&T) -> Option<(f64, usize)> + Send + Sync;

/// A curve of one number per item; items without the number, or with one that is not finite, are skipped.
#[derive(Clone)]
pub(super) struct Scalar<T> {
    name: MetricName,
    unit: Option<&'static str>,
    higher_is_better: bool,
    read: Arc<Read<T>>,
    /// What is shown of a number, and of the mean of several.
    shown: fn(f64) -> f64,
    state: NumericMetricState,
    seen: bool,
}

impl<T: 'static> Scalar<T> {
    /// A curve of numbers that count alike.
    fn new(
        name: &str,
        unit: Option<&'static str>,
        read: impl Fn(&T) -> Option<f64> + Send + Sync + 'static,
    ) -> Self {
        Self::of_means(name, unit, move |item: &T| Some((read(item)?, 1)))
    }

    /// A curve of means, each with the number of units that it is a mean over.
    fn of_means(
        name: &str,
        unit: Option<&'static str>,
        read: impl Fn(&T) -> Option<(f64, usize)> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: Arc::new(name.to_owned()),
            unit,
            higher_is_better: false,
            read: Arc::new(read),
            shown: std::convert::identity,
            state: NumericMetricState::new(),
            seen: false,
        }
    }

    /// Shows the perplexities of losses. That of several is the one of their mean, not the mean of theirs.
    fn shown_as_perplexity(mut self) -> Self {
        self.shown = f64::exp;
        self
    }
}

impl<T> Scalar<T> {
    /// A value of the state, as it is shown.
    fn as_shown(&self, entry: &NumericEntry) -> NumericEntry {
        match entry {
            NumericEntry::Value(value) => NumericEntry::Value((self.shown)(*value)),
            NumericEntry::Aggregated {
                aggregated_value,
                count,
            } => NumericEntry::Aggregated {
                aggregated_value: (self.shown)(*aggregated_value),
                count: *count,
            },
            NumericEntry::Final(value) => NumericEntry::Final((self.shown)(*value)),
        }
    }

    /// The text of the dashboard, as Burn's own metrics have it, and a value for the log.
    fn entry(&self, logged: &NumericEntry) -> SerializedEntry {
        let unit = self
            .unit
            .map_or_else(String::new, |unit| format!(" {unit}"));
        let [running, current] = [self.state.running_value(), self.state.current_value()]
            .map(|entry| format_float(self.as_shown(&entry).current(), PRECISION));
        SerializedEntry::new(
            format!("epoch {running}{unit} - batch {current}{unit}"),
            self.as_shown(logged).serialize(),
        )
    }
}

/// Loss, perplexity, gradient norm, learning rate, speed and peak memory of each step.
pub(super) fn step_metrics() -> Vec<Scalar<TimedStep>> {
    let loss = |step: &TimedStep| Some((step.report.nll_nats, step.report.n_counted));
    let mut speed = Scalar::new("Tokens per second", None, |step: &TimedStep| {
        Some(step.report.n_tokens as f64 / step.elapsed_secs.max(1e-9))
    });
    speed.higher_is_better = true;
    vec![
        Scalar::of_means("Loss", Some("nats"), loss),
        Scalar::of_means("Perplexity", None, loss).shown_as_perplexity(),
        Scalar::new("Gradient norm", None, |step: &TimedStep| {
            Some(step.report.grad_norm)
        }),
        Scalar::new("Learning rate", None, |step: &TimedStep| {
            Some(step.report.learning_rate)
        }),
        Scalar::new("Distance to the original", None, |step: &TimedStep| {
            step.report.distill
        }),
        speed,
        Scalar::new("Peak memory", Some("MiB"), |step: &TimedStep| {
            step.peak_memory_bytes
                .map(|bytes| bytes as f64 / f64::from(1 << 20))
        }),
    ]
}

/// Perplexity at one context length.
pub(super) fn eval_metric(context: usize) -> Scalar<EvalPoint> {
    let name = format!("Perplexity at {context}");
    let loss = move |point: &EvalPoint| (point.context == context).then_some(point.nll_nats);
    Scalar::new(&name, None, loss).shown_as_perplexity()
}

impl ItemLazy for TimedStep {
    fn sync(self) -> Result<Self, burn::tensor::ExecutionError> {
        Ok(self)
    }
}

impl ItemLazy for EvalPoint {
    fn sync(self) -> Result<Self, burn::tensor::ExecutionError> {
        Ok(self)
    }
}

impl Adaptor<Self> for TimedStep {
    fn adapt(&self) -> Self {
        self.clone()
    }
}

impl Adaptor<Self> for EvalPoint {
    fn adapt(&self) -> Self {
        self.clone()
    }
}

impl<T: Clone + Send + Sync> Metric for Scalar<T> {
    type Input = T;

    fn name(&self) -> MetricName {
        Arc::clone(&self.name)
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes {
            unit: self.unit.map(str::to_owned),
            higher_is_better: self.higher_is_better,
        }
        .into()
    }

    fn update(
        &mut self,
        item: &T,
        _metadata: &MetricMetadata,
    ) -> Result<SerializedEntry, TensorReadError> {
        // A step that was skipped may have no loss, and held-out text may be missing.
        let finite = (self.read)(item).filter(|(value, _)| value.is_finite());
        if let Some((value, count)) = finite {
            self.state.update(value, count);
            self.seen = true;
        }
        Ok(if self.seen {
            self.entry(&self.state.current_value())
        } else {
            SerializedEntry::not_available(self.unit)
        })
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.entry(&self.state.final_value()))
    }

    fn clear(&mut self) {
        self.state.reset();
        self.seen = false;
    }
}

impl<T> Numeric for Scalar<T> {
    fn value(&self) -> Option<NumericEntry> {
        self.seen
            .then(|| self.as_shown(&self.state.current_value()))
    }

    fn running_value(&self) -> Option<NumericEntry> {
        self.seen
            .then(|| self.as_shown(&self.state.running_value()))
    }

    fn final_value(&self) -> NumericEntry {
        self.as_shown(&self.state.final_value())
    }
}

#[cfg(test)]
mod tests {
    use burn::data::dataloader::Progress;

    use super::*;
    use crate::trainer::StepReport;

    /// Rounding of a few sums and one exponential.
    const TOLERANCE: f64 = 1e-9;

    fn step(nll_nats: f64, n_counted: usize) -> TimedStep {
        TimedStep {
            report: StepReport {
                nll_nats,
                n_counted,
                grad_norm: nll_nats,
                ..StepReport::default()
            },
            ..TimedStep::default()
        }
    }

    /// A curve after some items, and its text after the last of them.
    fn after<T: Clone + Send + Sync>(mut metric: Scalar<T>, items: &[T]) -> (Scalar<T>, String) {
        let mut shown = String::new();
        for item in items {
            let metadata = MetricMetadata {
                progress: Progress::new(1, 1, None),
                iteration: None,
                lr: None,
            };
            shown = metric.update(item, &metadata).unwrap().formatted;
        }
        (metric, shown)
    }

    fn of_steps(name: &str, steps: &[TimedStep]) -> (Scalar<TimedStep>, String) {
        let mut metrics = step_metrics().into_iter();
        let metric = metrics.find(|metric| metric.name.as_str() == name);
        after(metric.unwrap(), steps)
    }

    fn running<T: Clone + Send + Sync>(metric: &Scalar<T>) -> f64 {
        metric.running_value().unwrap().current()
    }

    #[test]
    fn the_perplexity_of_several_steps_is_that_of_their_mean_loss() {
        let (metric, shown) = of_steps("Perplexity", &[step(4.0, 64), step(0.5, 64)]);
        assert!((running(&metric) - 2.25_f64.exp()).abs() < TOLERANCE);
        assert!((metric.final_value().current() - 2.25_f64.exp()).abs() < TOLERANCE);
        assert!((metric.value().unwrap().current() - 0.5_f64.exp()).abs() < TOLERANCE);
        assert_eq!(shown, "epoch 9.4877 - batch 1.6487");
        // Every token counts alike, not every step.
        let steps = [step(4.0, 1), step(0.5, 3)];
        let (loss, shown) = of_steps("Loss", &steps);
        assert!((running(&loss) - 1.375).abs() < TOLERANCE);
        assert_eq!(shown, "epoch 1.3750 nats - batch 0.5000 nats");
        let (perplexity, _) = of_steps("Perplexity", &steps);
        assert!((running(&perplexity) - 1.375_f64.exp()).abs() < TOLERANCE);
        let (norm, _) = of_steps("Gradient norm", &steps);
        assert!((running(&norm) - 2.25).abs() < TOLERANCE);
    }

    #[test]
    fn a_step_without_a_loss_changes_no_curve() {
        for name in ["Loss", "Perplexity", "Gradient norm"] {
            let [with, without] = [
                &[step(4.0, 64), step(f64::NAN, 64), step(0.5, 64)][..],
                &[step(4.0, 64), step(0.5, 64)],
            ]
            .map(|steps| of_steps(name, steps));
            assert!((running(&with.0) - running(&without.0)).abs() < TOLERANCE);
            assert_eq!(with.1, without.1);
            let (first, shown) = of_steps(name, &[step(f64::NAN, 64)]);
            assert!(first.value().is_none() && shown.contains("N/A"), "{shown}");
        }
    }

    #[test]
    fn a_measurement_without_text_is_not_shown() {
        let point = |nll_nats: f64| EvalPoint {
            context: 64,
            nll_nats,
        };
        let (metric, _) = after(eval_metric(64), &[point(f64::NAN)]);
        assert!(metric.running_value().is_none());
        let (metric, _) = after(eval_metric(64), &[point(2.0)]);
        assert!((running(&metric) - 2.0_f64.exp()).abs() < TOLERANCE);
    }
}
