//! How far models keep their scores: effective lengths.

use longrope_eval::{EffectiveLength, TaskResult};
use maud::{Markup, html as markup};

use super::columns::{header, names};
use super::groups::{Group, Row};
use super::parts::{Mark, code, sentence, table};
use crate::show::effective_length::{COLUMNS, cells, note, rule_line, rule_of};
use crate::show::output;

/// The effective lengths of a group of results, one row per RoPE and model; nothing if it has none.
pub(super) fn lengths(group: &Group<'_, TaskResult>) -> Markup {
    let lines = group.lines();
    let found: Vec<(&Row<'_, TaskResult>, &EffectiveLength)> = lines
        .iter()
        .filter_map(|line| Some((*line.first()?, line.first()?.effective?)))
        .collect();
    let Some((_, first)) = found.first() else {
        return markup! {};
    };
    let rows = found.iter().map(|(row, length)| {
        // Without the context, which is that of the first result.
        let mut row_cells = names(group, row).split_off(1);
        row_cells.extend(cells(length));
        (if row.is_own { Mark::Own } else { Mark::None }, row_cells)
    });
    let mut header = header(group, &COLUMNS);
    header.remove(0);
    markup! {
        h3 { "Effective length" }
        (table(&header, rows))
        p.note { (sentence(&rule_line(rule_of(first)))) }
        @for line in found.iter().filter_map(|(_, length)| note(length)) { p.note { (code(&line)) } }
    }
}

/// A sentence about how far a row keeps its score; `None` if its effective length is unknown.
pub(super) fn reach(row: &Row<'_, TaskResult>) -> Option<String> {
    let length = row.effective?;
    let original = output::grouped(length.original_context);
    if length.unable {
        return Some(format!(
            "Under this RoPE, the model scores no better inside the original window of {original} tokens, so no length is effective."
        ));
    }
    let kept = match (length.share, length.threshold) {
        (Some(share), _) => format!("{:.0}% of its score at {original} tokens", 100.0 * share),
        (None, threshold) => format!("a score of {:.0}%", 100.0 * threshold?),
    };
    Some(match length.effective_context {
        Some(context) if context == length.longest_context => {
            format!(
                "It keeps {kept} up to {} tokens, the longest context tested.",
                output::grouped(context)
            )
        }
        Some(context) if context == length.original_context => {
            format!("At no tested context beyond the original window it keeps {kept}.")
        }
        Some(context) => format!("It keeps {kept} up to {} tokens.", output::grouped(context)),
        None if length.original_score.is_some() => {
            format!("It does not keep {kept} at any context.")
        }
        None => return None,
    })
}
