//! A `precision` of a recipe that its trainings do not read: they have a type of their own.

use longrope_extend::recipe::{Stage, Verb};
use toml::Table;

use super::planned::Planned;
use crate::commands::finetune::precision_of_stage;

/// Names the trainings that are yet to run and have another type than a `precision` that was set, of the stage or,
/// where nothing says the type of the training, of the recipe. That of a recipe is also for its measurements.
pub(super) fn warn(planned: &[Planned], stages: &[Stage<Table>]) {
    for (stage, keys) in planned.iter().zip(stages) {
        if stage.verb != Verb::Finetune || stage.is_done() {
            continue;
        }
        let is_of_stage = keys.settings.contains_key("precision");
        if !is_of_stage && says_type(&stage.work.table) {
            continue;
        }
        if let Some(line) = precision_of_stage(&stage.work.config) {
            tracing::warn!("stage `{}`: {line}", stage.name);
        }
    }
}

/// Whether keys say the type of a training.
fn says_type(keys: &Table) -> bool {
    let train = keys.get("train").and_then(toml::Value::as_table);
    train.is_some_and(|train| train.contains_key("precision"))
}
