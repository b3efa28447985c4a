//! This project's own rules.

use super::computed::Computed;
use super::facts::Facts;
use super::view::{Rules, Switch};

pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
pub(super) const SOURCE: &str = "longrope, RopeSpec::resolve";

/// The config as [`read_hf_rope`](crate::read_hf_rope) reads it, with frequencies fixed once per sequence.
pub(super) fn rules(facts: &Facts) -> Computed {
    let switch = |border| Switch::PerSequence { border };
    Computed::new(Rules::of(&facts.spec, switch, None))
}
