//! The data of a dashboard.

use longrope_extend::pool::WorkerStatus;
use longrope_search::FactorCurve;

use crate::show::quantity::Quantity;

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
    /// What scores are.
    pub(crate) quantity: Quantity,
    /// Best score by generation: (generation, nats).
    pub(crate) best: Vec<(f64, f64)>,
    pub(crate) median: Vec<(f64, f64)>,
    pub(crate) methods: Vec<Method>,
    /// Factors by pair: first of the best candidate, then of the methods.
    pub(crate) curves: Vec<FactorCurve>,
    pub(crate) start_tokens: usize,
    pub(crate) workers: Vec<WorkerStatus>,
    pub(crate) log: Vec<String>,
    pub(crate) is_stopping: bool,
}

/// A method that the search is compared with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Method {
    pub(crate) name: String,
    /// Its score as a candidate, nats per token.
    pub(crate) score: f64,
    /// Its loss on text, nats per token.
    pub(crate) text_nats: f64,
    /// Share of passkeys found, 0 to 1.
    pub(crate) passkeys: Option<f64>,
}

impl Standing {
    /// The state before a search that minimizes this quantity starts.
    pub(crate) fn new(title: String, quantity: Quantity) -> Self {
        Self {
            title,
            quantity,
            ..Self::default()
        }
    }

    /// The best score so far, nats per token.
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
