//! What a model card says about the run that a RoPE comes from.

use std::fmt::Write;
use std::path::Path;

use longrope_rope::Provenance;

use crate::show::output;
use crate::show::report::{RunReport, measurements, summary_of};

/// How the model was extended, and what was measured, as Markdown; empty if nothing is known.
pub(super) fn notes(run: Option<&Path>, provenance: &Provenance) -> String {
    let mut text = String::new();
    let mut lines = search(provenance);
    // A run whose files cannot be read has no say: the export is of the model.
    let report = run.and_then(|run| RunReport::read(run).ok());
    lines.extend(report.iter().flat_map(summary_of));
    if !lines.is_empty() {
        text.push_str("## How it was extended\n\n");
        for line in lines {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "- {}", with_names(&line));
        }
    }
    if let Some(table) = report.as_ref().and_then(measured) {
        let _ = write!(text, "\n## Measurements\n\n{table}");
    }
    text
}

/// The search that found the factors.
fn search(provenance: &Provenance) -> Vec<String> {
    let Some(target) = provenance.target_context else {
        return Vec::new();
    };
    let mut parts = vec![format!("Factors searched for {target} tokens")];
    let mut add = |what: &str, value: Option<String>| {
        parts.extend(value.map(|value| format!("{what} {value}")));
    };
    add("profile", provenance.profile.clone());
    add("minimizing", provenance.objective.clone());
    add("seed", provenance.seed.map(|seed| seed.to_string()));
    add(
        "candidates:",
        provenance.evaluations.map(|it| it.to_string()),
    );
    let version = provenance.tool_version.clone();
    add("longrope", version);
    vec![format!("{}.", parts.join(", "))]
}

/// All measurements of a run, as a table.
fn measured(report: &RunReport) -> Option<String> {
    let measurements = measurements(report);
    if measurements.is_empty() {
        return None;
    }
    let header = [
        "model",
        "RoPE",
        "context",
        "what",
        "result",
        "95% interval",
        "n",
    ];
    let mut text = format!(
        "| {} |\n|---|---|--:|---|--:|--:|--:|\n",
        header.join(" | ")
    );
    for found in measurements {
        let cells = [
            name_of(found.model),
            name_of(found.rope),
            output::grouped(found.context),
            found.what,
            found.result,
            found.interval,
            found.n,
        ];
        let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    Some(text)
}

/// A line with names instead of the absolute paths in backticks.
fn with_names(line: &str) -> String {
    let parts = line.split('`').map(|part| {
        if part.starts_with('/') {
            name_of(part)
        } else {
            part.to_owned()
        }
    });
    parts.collect::<Vec<_>>().join("`")
}

/// The last two parts of a path, which say enough and nothing about the machine.
fn name_of(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    parts[parts.len().saturating_sub(2)..].join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_do_not_publish_absolute_paths() {
        let line = "trained from `/home/me/models/base` in 3 steps";
        assert_eq!(with_names(line), "trained from `models/base` in 3 steps");
        assert_eq!(with_names("no path"), "no path");
    }
}
