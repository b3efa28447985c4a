//! Effective lengths of what was just measured.

use anyhow::Result;
use longrope_eval::{EffectiveLength, TaskResult, effective_lengths};

use super::folder::Evaluated;
use crate::show::effective_length::{note, rule_line, table};
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
