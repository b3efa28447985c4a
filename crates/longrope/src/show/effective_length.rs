//! Effective lengths in words and tables.

use longrope_eval::{EffectiveLength, EffectiveRule};

use super::output;

fn percent(score: f64) -> String {
    format!("{:.0}%", 100.0 * score)
}

/// The columns after those that say whose a length is.
pub(crate) const COLUMNS: [&str; 5] = [
    "original window",
    "score there",
    "needed",
    "effective length",
    "tested up to",
];

/// The cells of these columns.
pub(crate) fn cells(length: &EffectiveLength) -> [String; COLUMNS.len()] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        output::grouped(length.original_context),
        or_dash(length.original_score.map(percent)),
        or_dash(length.threshold.map(percent)),
        or_dash(length.effective_context.map(output::grouped)),
        output::grouped(length.longest_context),
    ]
}

/// One row per RoPE.
pub(crate) fn table(lengths: &[&EffectiveLength]) -> String {
    let header: Vec<String> = std::iter::once("rope")
        .chain(COLUMNS)
        .map(str::to_owned)
        .collect();
    let row = |length: &&EffectiveLength| {
        let mut row = vec![length.rope.clone()];
        row.extend(cells(length));
        row
    };
    let rows: Vec<Vec<String>> = lengths.iter().map(row).collect();
    output::table(&header, &rows)
}

/// The rule that a length was found by.
pub(crate) fn rule_of(length: &EffectiveLength) -> EffectiveRule {
    match (length.share, length.threshold) {
        (Some(share), _) => EffectiveRule::Share(share),
        (None, Some(score)) => EffectiveRule::Score(score),
        (None, None) => EffectiveRule::default(),
    }
}

/// How the lengths of a table were found.
pub(crate) fn rule_line(rule: EffectiveRule) -> String {
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

/// A line about a RoPE under which no length is effective, or whose effective length is unknown.
pub(crate) fn note(length: &EffectiveLength) -> Option<String> {
    let EffectiveLength {
        task,
        rope,
        original_context,
        ..
    } = length;
    let window = output::grouped(*original_context);
    match length.original_score {
        // Under another RoPE, the same model may not fail.
        Some(score) if length.unable => {
            let chance = if score > 0.0 {
                ", no better than chance"
            } else {
                ""
            };
            Some(format!(
                "{task}: under RoPE `{rope}` the model scores {} at its original window of {window} tokens \
                 too{chance}: no length is effective",
                percent(score)
            ))
        }
        None if length.share.is_some() && !task.starts_with("ruler/") => Some(format!(
            "{task}, {rope}: does not fit into the original window of {window} tokens, so there is no score to keep; \
             compare with a fixed score by --threshold"
        )),
        _ => None,
    }
}

#[cfg(test)]
#[path = "effective_length_tests.rs"]
mod tests;
