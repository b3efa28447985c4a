//! Whether a recipe measures on text that it trains on, before any stage runs.

use std::path::PathBuf;

use longrope_extend::recipe::{Verb, is_inside};

use super::planned::Planned;
use crate::commands::finetune::is_on_text;
use crate::input::shared_text::{may_share, text_of};

/// Names the stages that are yet to measure losses on text that the model which they measure is trained on by stages before
/// them. Texts are compared by their names.
///
/// A search or a recovery may use such text: it chooses factors, and its losses are no result. In haystacks, only needles
/// count. What a training measures on its own text it says itself, when it has read both.
pub(super) fn warn(planned: &[Planned]) {
    for index in 0..planned.len() {
        if let Some(line) = line(planned, index) {
            tracing::warn!("{line}");
        }
    }
}

/// What to say of a stage; `None` if it does not measure on text that its model is trained on.
fn line(planned: &[Planned], index: usize) -> Option<String> {
    let stage = &planned[index];
    if stage.is_done() {
        return None;
    }
    let measured = measured_text(stage);
    let trainings = trainings_of_model(planned, index).into_iter();
    let names: Vec<String> = trainings
        .filter(|training| may_share(measured, text_of(&training.work.config)))
        .map(|training| format!("`{}`", training.name))
        .collect();
    let trainings = match names.as_slice() {
        [] => return None,
        [name] => format!("stage {name} trains on"),
        names => format!("stages {} train on", names.join(" and ")),
    };
    let key = if stage.verb == Verb::Finetune {
        " (`train.eval-text`)"
    } else {
        ""
    };
    Some(format!(
        "stage `{}` measures on text{key} that {trainings}: its numbers do not show how the model does on other text",
        stage.name
    ))
}

/// The text that a stage measures losses on.
fn measured_text(stage: &Planned) -> &[PathBuf] {
    let config = &stage.work.config;
    match stage.verb {
        Verb::Ppl | Verb::Compare => text_of(config),
        Verb::Finetune => &config.train.eval_text,
        _ => &[],
    }
}

/// The stages that train the model of a stage on text, the first one first: the one that makes it, the one that makes the
/// model of that stage, and so on. Exports are followed too.
fn trainings_of_model(planned: &[Planned], mut index: usize) -> Vec<&Planned> {
    let mut found = Vec::new();
    while let Some(model) = &planned[index].work.config.model {
        let mut earlier = planned[..index].iter();
        let Some(before) = earlier.position(|stage| is_inside(model, &stage.folder)) else {
            break;
        };
        let stage = &planned[before];
        if stage.verb == Verb::Finetune && is_on_text(&stage.work.config.train) {
            found.push(stage);
        }
        index = before;
    }
    found.reverse();
    found
}
