//! The curves of Burn's dashboard.

use std::sync::Arc;

use burn::tensor::TensorReadError;
use burn::train::metric::state::{FormatOptions, NumericMetricState};
use burn::train::metric::{
    Adaptor, ItemLazy, Metric, MetricAttributes, MetricMetadata, MetricName, Numeric,
    NumericAttributes, NumericEntry, SerializedEntry,
};

use super::parts::{EvalPoint, TimedStep};

/// Reads the number from an item.
type Read<T> = dyn Fn(&T) -> Option<f64> + Send + Sync;

/// A curve of one number per item; items without the number are skipped.
#[derive(Clone)]
pub(super) struct Scalar<T> {
    name: MetricName,
    unit: Option<&'static str>,
    higher_is_better: bool,
    read: Arc<Read<T>>,
    state: NumericMetricState,
    seen: bool,
}

impl<T> Scalar<T> {
    fn new(
        name: &str,
        unit: Option<&'static str>,
        read: impl Fn(&T) -> Option<f64> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: Arc::new(name.to_owned()),
            unit,
            higher_is_better: false,
            read: Arc::new(read),
            state: NumericMetricState::new(),
            seen: false,
        }
    }

    fn format(&self) -> FormatOptions {
        let format = FormatOptions::new(Arc::clone(&self.name)).precision(4);
        match self.unit {
            Some(unit) => format.unit(unit),
            None => format,
        }
    }
}

/// Loss, perplexity, gradient norm, learning rate, speed and peak memory of each step.
pub(super) fn step_metrics() -> Vec<Scalar<TimedStep>> {
    let mut speed = Scalar::new("Tokens per second", None, |step: &TimedStep| {
        Some(step.report.n_tokens as f64 / step.elapsed_secs.max(1e-9))
    });
    speed.higher_is_better = true;
    vec![
        Scalar::new("Loss", Some("nats"), |step: &TimedStep| {
            Some(step.report.nll_nats)
        }),
        Scalar::new("Perplexity", None, |step: &TimedStep| {
            Some(step.report.nll_nats.exp())
        }),
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
    Scalar::new(&name, None, move |point: &EvalPoint| {
        (point.context == context).then(|| point.nll_nats.exp())
    })
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
        match (self.read)(item) {
            Some(value) => {
                self.state.update(value, 1);
                self.seen = true;
                Ok(self.state.compute_update(self.format()))
            }
            None if self.seen => Ok(self.state.compute_update(self.format())),
            None => Ok(SerializedEntry::not_available(self.unit)),
        }
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.state.compute_final(self.format()))
    }

    fn clear(&mut self) {
        self.state.reset();
        self.seen = false;
    }
}

impl<T> Numeric for Scalar<T> {
    fn value(&self) -> Option<NumericEntry> {
        self.seen.then(|| self.state.current_value())
    }

    fn running_value(&self) -> Option<NumericEntry> {
        self.seen.then(|| self.state.running_value())
    }

    fn final_value(&self) -> NumericEntry {
        self.state.final_value()
    }
}
