//! Effective lengths in tables and reports.

use anyhow::Result;
use longrope_eval::{EffectiveLength, EffectiveRule, TaskResult, effective_lengths};

use super::eval_folder::Evaluated;
use crate::show::output;

/// Prints the effective lengths of some results, if they reach beyond the original window. Of RULER, prints that of the
/// mean.
///
/// # Errors
/// If they cannot be printed.
pub(crate) fn show(done: &Evaluated<TaskResult>) -> Result<()> {
    let lengths = effective_lengths(&done.results, done.rule);
    let in_table = |length: &&EffectiveLength| !length.task.starts_with("ruler/");
    let rows: Vec<&EffectiveLength> = lengths.iter().filter(in_table).collect();
    if rows.is_empty() {
        return Ok(());
    }
    output::line(format!("\n{}\n{}", table(&rows), rule_line(done.rule)))?;
    for length in &lengths {
        if let Some(line) = note(length) {
            output::line(line)?;
        }
    }
    Ok(())
}

fn percent(score: f64) -> String {
    format!("{:.0}%", 100.0 * score)
}

/// One row per RoPE.
fn table(lengths: &[&EffectiveLength]) -> String {
    let header = [
        "rope",
        "original window",
        "score there",
        "needed",
        "effective length",
        "tested up to",
    ];
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let rows: Vec<Vec<String>> = lengths
        .iter()
        .map(|length| {
            vec![
                length.rope.clone(),
                output::grouped(length.original_context),
                or_dash(length.original_score.map(percent)),
                or_dash(length.threshold.map(percent)),
                or_dash(length.effective_context.map(output::grouped)),
                output::grouped(length.longest_context),
            ]
        })
        .collect();
    output::table(&header.map(str::to_owned), &rows)
}

fn rule_line(rule: EffectiveRule) -> String {
    let kept = match rule {
        EffectiveRule::Share(share) => {
            format!(
                "keeps {} of the score at the original window",
                percent(share)
            )
        }
        EffectiveRule::Score(score) => format!("has a score of {} or more", percent(score)),
    };
    format!("effective length: the longest context up to which every tested context {kept}")
}

/// A line about a length that cannot be what one hopes for, whatever the RoPE.
fn note(length: &EffectiveLength) -> Option<String> {
    let EffectiveLength {
        task,
        rope,
        original_context,
        ..
    } = length;
    let window = output::grouped(*original_context);
    match length.original_score {
        Some(score) if length.unable && score > 0.0 => Some(format!(
            "{task}, {rope}: {} at {window} too, no better than chance: the model cannot do this task at any length",
            percent(score)
        )),
        Some(score) if length.unable => Some(format!(
            "{task}, {rope}: {} at {window} too: the model cannot do this task at any length",
            percent(score)
        )),
        None if length.share.is_some() && !task.starts_with("ruler/") => Some(format!(
            "{task}, {rope}: does not fit into the original window of {window} tokens, so there is no score to keep; \
             compare with a fixed score by --threshold"
        )),
        _ => None,
    }
}

#[cfg(test)]
#[path = "effective_tests.rs"]
mod tests;
