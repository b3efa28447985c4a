//! Which positions the tokens of a training window get: the keys `positions`, `skipped` and `long` of `[train]`.

use longrope_data::Skips;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Which positions the tokens of a window get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Positions {
    /// All positions of the window, one after the other.
    #[default]
    All,
    /// Positions skip ahead, so that a short window has the distances of a long text.
    Skipped,
}

/// How positions skip, for [`Positions::Skipped`]: the keys of `[train.skipped]`.
///
/// Windows under the original RoPE never skip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct SkippedPositions {
    /// Lengths in tokens of the texts that positions lie in. Several are a curriculum: steps are divided among them
    /// equally, in this order. By default the context of the RoPE.
    pub targets: Vec<usize>,
    /// Pieces of a window, or of each document where documents do not attend to each other.
    pub pieces: usize,
    /// Share of the windows whose positions skip.
    pub share: f64,
}

impl Default for SkippedPositions {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            pieces: 4,
            share: 1.0,
        }
    }
}

/// Windows of another length, all of whose positions are real: the keys of `[train.long]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LongWindows {
    /// Tokens of these windows.
    pub context: usize,
    /// Share of these windows among the batches of text and generated documents, without those of `short`.
    pub share: f64,
}

impl SkippedPositions {
    /// Checks pieces, share and targets for windows of `context` tokens.
    ///
    /// # Errors
    /// [`Error::Setting`], with a key of these settings.
    pub fn validate(&self, context: usize) -> Result<()> {
        self.check_ranges()?;
        let wrong =
            |key: &str, found: String, expected: &str| Err(Error::setting(key, &found, expected));
        if self.targets.is_empty() {
            return wrong("targets", "none".to_owned(), "a length in tokens");
        }
        if !self.targets.is_sorted() {
            let found = format!("{:?}", self.targets);
            return wrong("targets", found, "lengths in ascending order");
        }
        match self.targets.iter().find(|target| **target <= context) {
            Some(target) => wrong(
                "targets",
                target.to_string(),
                &format!("more tokens than a window has, {context}"),
            ),
            None => Ok(()),
        }
    }

    /// Checks pieces and share, which have a range whether or not positions skip.
    ///
    /// # Errors
    /// [`Error::Setting`], with a key of these settings.
    pub(super) fn check_ranges(&self) -> Result<()> {
        if self.pieces < 2 {
            return Err(Error::setting("pieces", &self.pieces, "at least 2 pieces"));
        }
        if !(self.share > 0.0 && self.share <= 1.0) {
            let expected = "above 0, and at most 1";
            return Err(Error::setting("share", &self.share, expected));
        }
        Ok(())
    }

    /// Steps of the shortest training that reaches the last target.
    pub fn steps_needed(&self) -> usize {
        let (n_targets, last) = (self.targets.len(), self.targets.last());
        let reaches_last = |n_steps: &usize| Some(&self.target_of(*n_steps - 1, *n_steps)) == last;
        (1..=n_targets).find(reaches_last).unwrap_or(n_targets)
    }

    /// The target of a step, from 0.
    pub(super) fn target_of(&self, step: usize, total_steps: usize) -> usize {
        let n_targets = self.targets.len();
        let stage = step * n_targets / total_steps.max(1);
        self.targets
            .get(stage.min(n_targets.saturating_sub(1)))
            .copied()
            .unwrap_or(0)
    }

    /// How the windows of a step skip.
    pub(super) fn of_step(&self, step: usize, total_steps: usize) -> Skips {
        Skips {
            target: self.target_of(step, total_steps),
            pieces: self.pieces,
            share: self.share,
        }
    }
}

impl LongWindows {
    /// Checks the share, and the length against windows of `context` tokens.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub(super) fn validate(&self, context: usize) -> Result<()> {
        if !(self.share > 0.0 && self.share < 1.0) {
            let expected = "above 0 and below 1";
            return Err(Error::setting("train.long.share", &self.share, expected));
        }
        if self.context <= context {
            let expected = format!("more tokens than other windows have, {context}");
            return Err(Error::setting(
                "train.long.context",
                &self.context,
                &expected,
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(targets: &[usize]) -> SkippedPositions {
        SkippedPositions {
            targets: targets.to_vec(),
            ..SkippedPositions::default()
        }
    }

    #[test]
    fn a_curriculum_divides_the_steps() {
        let curriculum = skipped(&[100, 200, 300]);
        let targets: Vec<usize> = (0..7).map(|step| curriculum.target_of(step, 7)).collect();
        assert_eq!(targets, [100, 100, 100, 200, 200, 300, 300]);
        assert_eq!(skipped(&[100]).target_of(6, 7), 100);
        assert_eq!(curriculum.target_of(9, 7), 300);
    }

    #[test]
    fn a_curriculum_needs_a_step_for_each_length() {
        assert_eq!(skipped(&[100]).steps_needed(), 1);
        assert_eq!(skipped(&[100, 200, 300]).steps_needed(), 3);
        assert_eq!(skipped(&[100, 200, 200]).steps_needed(), 2);
        assert_eq!(skipped(&[]).steps_needed(), 0);
    }

    #[test]
    fn settings_without_a_meaning_are_errors_that_name_the_key() {
        let message = |skipped: SkippedPositions| skipped.validate(64).unwrap_err().to_string();
        skipped(&[65, 65, 4_096]).validate(64).unwrap();
        for (targets, part) in [
            (&[][..], "`targets` is none"),
            (&[64], "more tokens than a window"),
            (&[200, 100], "ascending"),
        ] {
            let found = message(skipped(targets));
            assert!(found.contains(part), "{found}");
        }
        let with = |pieces, share| SkippedPositions {
            pieces,
            share,
            ..skipped(&[100])
        };
        assert!(message(with(1, 1.0)).contains("`pieces` is 1"));
        for share in [0.0, -1.0, 1.5, f64::NAN] {
            assert!(message(with(3, share)).contains("`share` is"));
        }
        for (context, share) in [(64, 0.5), (128, 0.0), (128, 1.0), (128, f64::NAN)] {
            let long = LongWindows { context, share };
            assert!(long.validate(64).is_err(), "{long:?}");
        }
    }
}
