//! This project's own rules.

use super::facts::Facts;
use super::view::{Rules, Switch};

pub(super) const SOURCE: &str = "longrope, RopeSpec::resolve";

/// The config as [`read_hf_rope`](crate::read_hf_rope) reads it, with frequencies fixed once per sequence.
pub(super) fn rules(facts: &Facts) -> Rules {
    Rules::of(&facts.spec, |border| Switch::PerSequence { border }, None)
}
