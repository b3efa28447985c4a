//! `trainer_state.json` in a trained checkpoint: its history in the form of transformers' `Trainer`, for programs that draw
//! it.
//!
//! The keys are those of `transformers.TrainerState`. What depends on the machine, such as times, is left out, so that
//! equal runs write equal files.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::records::{Record, total_steps};
use crate::error::Result;

/// Name of the file.
pub const TRAINER_STATE: &str = "trainer_state.json";

/// Settings of a run that are in its `trainer_state.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainerStateSettings {
    /// Steps planned, in all phases.
    pub max_steps: usize,
    /// Steps between two measurements.
    pub eval_steps: usize,
    /// Steps between two saved states.
    pub save_steps: usize,
    /// Windows that go through the model at once.
    pub batch: usize,
}

/// Writes the file into the folder of a checkpoint.
///
/// # Errors
/// If it cannot be written.
pub fn write_trainer_state(
    folder: &Path,
    records: &[Record],
    settings: TrainerStateSettings,
) -> Result<()> {
    let state = trainer_state(records, settings);
    let text = serde_json::to_string_pretty(&state).map_err(std::io::Error::from)?;
    Ok(fs_err::write(folder.join(TRAINER_STATE), text + "\n")?)
}

/// The content of the file.
///
/// Streams of windows have no end, so an epoch is the whole run, as for an `IterableDataset` in transformers: `epoch` is
/// the share of `max_steps` that is done. The number of floating-point operations is not counted and given as 0.
fn trainer_state(records: &[Record], settings: TrainerStateSettings) -> Value {
    let steps = total_steps(records);
    let global_step = steps.iter().copied().max().unwrap_or(0);
    let epoch = |step: usize| step as f64 / settings.max_steps.max(1) as f64;
    let several = has_several_contexts(records);
    let mut ordered: Vec<(&usize, &Record)> = steps.iter().zip(records).collect();
    // After an interruption, lines of one step may stand in another order.
    ordered.sort_by_key(|(step, record)| match record {
        Record::Step { .. } => (**step, None),
        Record::Eval { context, .. } => (**step, Some(context.unwrap_or(0))),
    });
    let mut history: Vec<Value> = ordered
        .into_iter()
        .map(|(step, record)| entry(record, *step, epoch(*step), several))
        .collect();
    let losses: Vec<f64> = records
        .iter()
        .filter_map(|record| match record {
            Record::Step { loss, .. } if loss.is_finite() => Some(*loss),
            _ => None,
        })
        .collect();
    if global_step > 0 && !losses.is_empty() {
        history.push(json!({
            "epoch": epoch(global_step),
            "step": global_step,
            "total_flos": 0.0,
            "train_loss": losses.iter().sum::<f64>() / losses.len() as f64,
        }));
    }
    let n_tokens: usize = records
        .iter()
        .map(|record| match record {
            Record::Step { n_tokens, .. } => *n_tokens,
            Record::Eval { .. } => 0,
        })
        .sum();
    json!({
        "best_metric": null,
        "best_model_checkpoint": null,
        "epoch": epoch(global_step),
        "eval_steps": settings.eval_steps,
        "global_step": global_step,
        "is_hyper_param_search": false,
        "is_local_process_zero": true,
        "is_world_process_zero": true,
        "log_history": history,
        "logging_steps": 1,
        "max_steps": settings.max_steps,
        "num_input_tokens_seen": n_tokens,
        "num_train_epochs": 1,
        "save_steps": settings.save_steps,
        "stateful_callbacks": {},
        "total_flos": 0.0,
        "train_batch_size": settings.batch,
        "trial_name": null,
        "trial_params": null,
    })
}

/// Whether more than one context length was measured at a step, so that their losses need names.
fn has_several_contexts(records: &[Record]) -> bool {
    let mut contexts = records.iter().filter_map(|record| match record {
        Record::Eval { context, .. } => Some(*context),
        Record::Step { .. } => None,
    });
    let first = contexts.next();
    contexts.any(|context| Some(context) != first)
}

/// One entry of `log_history`. Numbers that are not finite are left out: JSON has none.
fn entry(record: &Record, step: usize, epoch: f64, several: bool) -> Value {
    let mut entry = Map::new();
    let mut add = |name: &str, value: f64| {
        if value.is_finite() {
            entry.insert(name.to_owned(), value.into());
        }
    };
    add("epoch", epoch);
    match record {
        Record::Step {
            loss,
            learning_rate,
            grad_norm,
            ..
        } => {
            add("grad_norm", *grad_norm);
            add("learning_rate", *learning_rate);
            add("loss", *loss);
        }
        Record::Eval {
            context,
            nll_nats,
            passkeys,
            ..
        } => {
            let name = match context {
                Some(context) if several => format!("eval_{context}_loss"),
                _ => "eval_loss".to_owned(),
            };
            add(&name, *nll_nats);
            if let Some(share) = passkeys {
                add("eval_passkeys", *share);
            }
        }
    }
    entry.insert("step".to_owned(), step.into());
    Value::Object(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(phase: &str, step: usize, loss: f64) -> Record {
        Record::Step {
            phase: Some(phase.to_owned()),
            step,
            loss,
            nll_nats: loss,
            distill: None,
            learning_rate: 1e-3,
            grad_norm: 1.5,
            n_tokens: 64,
            tokens_per_second: 100.0,
            elapsed_secs: 0.64,
            peak_memory_bytes: None,
            skipped: !loss.is_finite(),
        }
    }

    fn eval(step: usize, context: usize) -> Record {
        Record::Eval {
            phase: Some("b".to_owned()),
            step,
            context: Some(context),
            nll_nats: 2.0,
            ppl: 2.0_f64.exp(),
            passkeys: Some(0.5),
        }
    }

    const SETTINGS: TrainerStateSettings = TrainerStateSettings {
        max_steps: 4,
        eval_steps: 2,
        save_steps: 2,
        batch: 1,
    };

    #[test]
    fn the_history_counts_steps_across_phases() {
        let records = [
            step("a", 1, 4.0),
            step("a", 2, f64::NAN),
            step("b", 1, 3.0),
            step("b", 2, 2.0),
            eval(2, 64),
        ];
        let state = trainer_state(&records, SETTINGS);
        assert_eq!(
            (&state["global_step"], &state["max_steps"]),
            (&json!(4), &json!(4))
        );
        assert_eq!(state["num_input_tokens_seen"], 256);
        let history = state["log_history"].as_array().unwrap();
        let first = json!({
            "epoch": 0.25, "grad_norm": 1.5, "learning_rate": 1e-3, "loss": 4.0, "step": 1,
        });
        assert_eq!(history[0], first);
        // A loss that is not finite is no number of JSON.
        assert!(history[1].get("loss").is_none());
        assert_eq!(history[2]["step"], 3);
        let measured = json!({"epoch": 1.0, "eval_loss": 2.0, "eval_passkeys": 0.5, "step": 4});
        assert_eq!(history[4], measured);
        assert_eq!(history[5]["train_loss"], 3.0);
    }

    #[test]
    fn losses_of_several_contexts_have_names() {
        let state = trainer_state(&[eval(1, 64), eval(1, 128)], SETTINGS);
        let history = state["log_history"].as_array().unwrap();
        assert_eq!(history[0]["eval_64_loss"], 2.0);
        assert_eq!(history[1]["eval_128_loss"], 2.0);
    }
}
