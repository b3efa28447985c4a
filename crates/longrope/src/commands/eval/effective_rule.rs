//! The score that counts for effective lengths, as configured.

use anyhow::{Result, anyhow};
use longrope_eval::EffectiveRule;

use crate::failure::Hint;
use crate::settings::config::Config;

/// Which score a context needs, as configured.
///
/// # Errors
/// If the score is not a share.
pub(crate) fn effective_rule(config: &Config) -> Result<EffectiveRule> {
    match config.eval.threshold {
        None => Ok(EffectiveRule::default()),
        Some(score) if (0.0..=1.0).contains(&score) => Ok(EffectiveRule::Score(score)),
        Some(found) => Err(
            anyhow!("`eval.threshold` is {found}, expected a score from 0 to 1").context(Hint(
                "85% is 0.85; leave it out to compare with the score at the original window"
                    .to_owned(),
            )),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_shares() {
        let mut config = Config::default();
        assert_eq!(effective_rule(&config).unwrap(), EffectiveRule::Share(0.85));
        config.eval.threshold = Some(0.5);
        assert_eq!(effective_rule(&config).unwrap(), EffectiveRule::Score(0.5));
        for wrong in [85.0, -0.1, f64::NAN] {
            config.eval.threshold = Some(wrong);
            assert!(effective_rule(&config).is_err(), "{wrong}");
        }
    }
}
