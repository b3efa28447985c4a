//! The data of a dashboard.

use longrope_extend::pool::WorkerStatus;
use longrope_search::FactorCurve;

/// The state of a search, as a dashboard shows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) title: String,
    pub(crate) generation: usize,
    pub(crate) n_generations: usize,
    /// Measured losses, and losses of the whole search.
    pub(crate) done: usize,
    pub(crate) planned: usize,
    pub(crate) n_samples: usize,
    /// Losses that racing saved.
    pub(crate) n_saved: usize,
    pub(crate) eta_secs: Option<f64>,
    pub(crate) elapsed_secs: f64,
    /// Best loss by generation: (generation, nats).
    pub(crate) best: Vec<(f64, f64)>,
    pub(crate) median: Vec<(f64, f64)>,
    /// Losses of other methods, nats.
    pub(crate) methods: Vec<(String, f64)>,
    /// Factors by pair: first of the best candidate, then of the methods.
    pub(crate) curves: Vec<FactorCurve>,
    pub(crate) start_tokens: usize,
    pub(crate) workers: Vec<WorkerStatus>,
    pub(crate) log: Vec<String>,
    pub(crate) is_stopping: bool,
}

impl Standing {
    /// The state before a search starts.
    pub(crate) fn new(title: String) -> Self {
        Self {
            title,
            ..Self::default()
        }
    }

    /// The best loss so far, nats.
    pub(crate) fn best_nats(&self) -> Option<f64> {
        self.best.last().map(|(_, nats)| *nats)
    }

    /// Finished share of the search, 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        if self.planned == 0 {
            return 0.0;
        }
        (self.done as f64 / self.planned as f64).min(1.0)
    }
}
