//! What a search reports while it runs.

use std::fmt;

use longrope_search::{Generation, Search, TargetRope};

use super::calibration::Calibration;
use super::methods::loss::MethodLoss;
use super::objective::choice::ObjectiveChoice;
use super::result::SearchOutcome;
use crate::pool::CallStatus;
use crate::run_folder::RunFolder;

/// What happened in a search.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum SearchEvent<'e> {
    /// A search that is left to choose its objective has chosen, or had when it was begun.
    Chosen {
        /// The choice.
        choice: &'e ObjectiveChoice,
    },
    /// A search is about to begin, or to be resumed.
    Begun {
        /// The search.
        search: &'e Search,
        /// What candidates are scored on.
        calibration: &'e Calibration,
        /// What candidates stand for.
        target: &'e TargetRope,
    },
    /// Losses are being measured. Comes after every answer, and at least every 100 ms if there are workers.
    Scoring {
        /// How far the call is.
        call: &'e CallStatus<'e>,
        /// Whether the losses are those of candidates. Else methods are measured for comparison.
        planned: bool,
    },
    /// All losses of a call were measured.
    Scored {
        /// Candidates times samples.
        n_jobs: usize,
    },
    /// The methods that the search is compared with were measured before it began.
    Methods {
        /// Their losses.
        losses: &'e [MethodLoss],
        /// What they were measured on.
        calibration: &'e Calibration,
    },
    /// A generation is over, and the state is saved.
    Generation {
        /// The search after it.
        search: &'e Search,
        /// Its report.
        generation: &'e Generation,
    },
    /// The search is over, and the winner is being compared with the methods.
    Comparing,
    /// The factors are written.
    Done {
        /// The run folder.
        run: &'e RunFolder,
        /// The results.
        outcome: &'e SearchOutcome,
    },
}

/// A function that is called with every event.
pub struct Watch<'a>(Box<dyn FnMut(&SearchEvent<'_>) + 'a>);

impl<'a> Watch<'a> {
    /// Calls this function.
    pub fn new(watch: impl FnMut(&SearchEvent<'_>) + 'a) -> Self {
        Self(Box::new(watch))
    }

    /// Ignores all events.
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    pub(crate) fn event(&mut self, event: &SearchEvent<'_>) {
        (self.0)(event);
    }

    /// The same function, for a shorter time.
    pub(crate) fn reborrow(&mut self) -> Watch<'_> {
        Watch::new(|event| (self.0)(event))
    }
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}
