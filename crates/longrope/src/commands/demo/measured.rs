//! What the demo measures of RoPEs.

use longrope_eval::{PplResult, TaskResult};

/// The name of the searched factors in tables.
pub(super) const SEARCHED: &str = "searched";

/// Results of known methods, then of the searched factors.
pub(super) struct Measured {
    pub(super) perplexities: Vec<PplResult>,
    pub(super) passkeys: Vec<TaskResult>,
}

impl Measured {
    /// Adds perplexities of the searched factors.
    pub(super) fn add_perplexities(&mut self, searched: Vec<PplResult>) {
        let named = searched.into_iter().map(|result| PplResult {
            rope: SEARCHED.to_owned(),
            ..result
        });
        self.perplexities.extend(named);
    }

    /// Adds passkeys of the searched factors.
    pub(super) fn add_passkeys(&mut self, searched: Vec<TaskResult>) {
        let named = searched.into_iter().map(|result| TaskResult {
            rope: SEARCHED.to_owned(),
            ..result
        });
        self.passkeys.extend(named);
    }
}
