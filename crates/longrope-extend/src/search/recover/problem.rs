//! What a recovery searches for at a context: the problem, the evolution, and where it starts.

use std::path::Path;

use longrope_search::{Candidate, Search, SearchConfig, SearchProblem, TargetRope};

use super::RecoveryTask;
use super::settings::common_evolution;
use crate::error::Result;
use crate::search::saved::state::begun_state;

impl RecoveryTask<'_> {
    /// What is searched for at a context.
    pub(super) fn problem(&self, context: usize, target: &TargetRope) -> SearchProblem {
        // The original context of the model. Some published factors were made for another one.
        let original_context = self.inputs.models.decoder().config().rope.original_context;
        SearchProblem {
            original_context,
            target_context: context.max(original_context),
            ..target.problem()
        }
    }

    /// Checks what can be checked about a context before anything is written.
    pub(super) fn validate(&self, context: usize) -> Result<()> {
        let target = TargetRope::beside(&self.known, context);
        let problem = self.problem(context, &target);
        problem.validate()?;
        let evolution = self.evolution(&target, &problem)?;
        let init = self.known_candidate(&target, &evolution, &problem)?;
        let seed = self.inputs.calibration.seed;
        Search::with_init(problem, evolution, init.into_iter().collect(), seed)?;
        Ok(())
    }

    /// The evolution of the search for a context.
    pub(super) fn evolution(
        &self,
        target: &TargetRope,
        problem: &SearchProblem,
    ) -> Result<SearchConfig> {
        let common = self.common_evolution();
        Ok(target.without_equal_starts(&common, problem, &self.known)?)
    }

    /// The evolution of a search that an earlier version has begun: its starts were the same for every context.
    ///
    /// # Errors
    /// If the state of the search is damaged. It is named before it is compared with settings that are only guessed.
    pub(super) fn begun_evolution(&self, folder: &Path) -> Result<Option<SearchConfig>> {
        let common = self.common_evolution();
        let begun = begun_state(folder)?;
        let has_common_starts = begun.is_some_and(|state| {
            let config = state.config();
            config.seeds == common.seeds && config.attention == common.attention
        });
        Ok(has_common_starts.then_some(common))
    }

    /// The configured evolution with the bounds and the seeds of a recovery.
    fn common_evolution(&self) -> SearchConfig {
        common_evolution(self.max_factor_ratio, &self.inputs.evolution)
    }

    /// The candidate nearest to what the known RoPE does at the context, with its attention scale.
    pub(super) fn known_candidate(
        &self,
        target: &TargetRope,
        evolution: &SearchConfig,
        problem: &SearchProblem,
    ) -> Result<Option<Candidate>> {
        let space = evolution.space(problem)?;
        Ok(target.candidate_of(&self.known, evolution, &space)?)
    }
}
