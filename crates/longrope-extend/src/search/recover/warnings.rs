//! Warnings of a recovery: factors that are not kept, or cannot be.

use std::path::Path;

use longrope_rope::{RopeArtifact, RopeScaling, RopeSpec};

use crate::search::calibration::CalibrationOptions;
use crate::search::objective::kind::ObjectiveKind;

/// Says which sets of factors an earlier `rope.json` has that `now` does not have any more.
pub(super) fn warn_of_lost_sets(path: &Path, now: &RopeSpec) {
    let earlier = fs_err::read_to_string(path).ok();
    let earlier = earlier.and_then(|text| RopeArtifact::from_json(&text).ok());
    let sets = |rope: &RopeSpec| match &rope.scaling {
        RopeScaling::LongRope { sets, .. } => sets.clone(),
        _ => Vec::new(),
    };
    let now = sets(now);
    for set in earlier.map_or_else(Vec::new, |earlier| sets(&earlier.spec())) {
        if !now.contains(&set) {
            tracing::warn!(
                "`{}` is written without the factors for {} tokens that it had: they are not better by more than chance, and \
                 stay in context-{}/rope.json",
                path.display(),
                set.max_context,
                set.max_context
            );
        }
    }
}

/// Warns if no factors can be kept, because one sample proves nothing.
pub(super) fn warn_of_one_sample(options: &CalibrationOptions) {
    let has_text = options.objective != ObjectiveKind::Needle;
    let has_needles = options.objective != ObjectiveKind::Perplexity;
    for (is_scored, key, found) in [
        (has_text, "search.samples", options.samples),
        (
            has_needles,
            "search-needle.samples",
            options.needles.samples,
        ),
    ] {
        if is_scored && found < 2 {
            tracing::warn!(
                "`{key}` is {found}, expected at least 2: one sample does not prove that factors are better, so none will be kept"
            );
        }
    }
}
