//! `longrope doctor`

use std::path::Path;

use anyhow::{Context, Result};
use longrope_model::read_config_json;
use longrope_rope::{Diagnosis, Outcome, Rules, RuntimeView, Warning, diagnose, read_hf_rope};
use serde::Serialize;
use serde_json::Value;

use crate::hint::Hint;
use crate::input::hub;
use crate::settings::args::Doctor;
use crate::show::output;

/// The output of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    format: &'a str,
    version: u32,
    model: String,
    #[serde(flatten)]
    diagnosis: &'a Diagnosis,
}

pub(crate) fn run(args: &Doctor) -> Result<()> {
    let model_path = args.model.required()?;
    let doing = || format!("diagnosing `{}`", model_path.display());
    let folder = hub::model_folder(model_path)?;
    let config = read_config(&folder).with_context(doing)?;
    let diagnosis = diagnose(&config).with_context(doing)?;
    for conflict in read_hf_rope(&config)?.warnings {
        if matches!(conflict, Warning::Conflict { .. }) {
            tracing::warn!("{conflict}");
        }
    }
    if args.json {
        output::json(&Report {
            format: "longrope-doctor",
            version: 1,
            model: model_path.display().to_string(),
            diagnosis: &diagnosis,
        })
    } else {
        output::line(text(&diagnosis))
    }
}

/// Reads a `config.json`, given as a path or by its folder.
fn read_config(path: &Path) -> Result<Value> {
    let path = if path.is_dir() {
        path.join("config.json")
    } else {
        path.to_owned()
    };
    read_config_json(&path).context(Hint(
        "give a checkpoint folder or its config.json".to_owned(),
    ))
}

fn text(diagnosis: &Diagnosis) -> String {
    let header = [
        "runtime",
        "factors",
        "attention scale",
        "switch",
        "default max",
    ];
    let rows: Vec<Vec<String>> = diagnosis.runtimes.iter().map(row).collect();
    let mut lines = vec![
        format!(
            "{} with {} RoPE, original context {}, claimed context {}",
            diagnosis.model_type, diagnosis.rope, diagnosis.original_context, diagnosis.max_context
        ),
        String::new(),
        output::text_table(&header.map(str::to_owned), &rows),
    ];
    section(
        &mut lines,
        "Disagreements",
        diagnosis
            .disagreements
            .iter()
            .map(ToString::to_string)
            .collect(),
        "none: all runtimes compute the same RoPE",
    );
    section(
        &mut lines,
        "What to do",
        diagnosis.advice.iter().map(ToString::to_string).collect(),
        "nothing",
    );
    lines.join("\n")
}

fn section(lines: &mut Vec<String>, title: &str, items: Vec<String>, none: &str) {
    lines.push(String::new());
    lines.push(title.to_owned());
    if items.is_empty() {
        lines.push(format!("  {none}"));
    }
    lines.extend(items.into_iter().map(|item| format!("  {item}")));
}

fn row(view: &RuntimeView) -> Vec<String> {
    let name = view.runtime.name().to_owned();
    let rules = match &view.outcome {
        Outcome::Loads(rules) => rules,
        Outcome::Refuses { .. } => {
            return vec![
                name,
                "does not load".to_owned(),
                "-".to_owned(),
                "-".to_owned(),
                "-".to_owned(),
            ];
        }
    };
    vec![
        name,
        factors(rules),
        attention(rules),
        rules.switch.to_string(),
        rules
            .default_context
            .map_or("no limit".to_owned(), |context| context.to_string()),
    ]
}

/// The divisors of the plain frequencies, from the fastest pair to the slowest.
fn factors(rules: &Rules) -> String {
    let sets: Vec<String> = rules
        .factors
        .iter()
        .map(|set| {
            if set.is_plain() {
                format!("{} 1", set.name)
            } else {
                format!("{} {}..{}", set.name, short(set.first), short(set.last))
            }
        })
        .collect();
    sets.join(", ")
}

/// Formats a number with up to four decimals.
fn short(value: f64) -> String {
    let rounded = format!("{value:.4}");
    rounded
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}

fn attention(rules: &Rules) -> String {
    let mut scales: Vec<String> = rules
        .factors
        .iter()
        .map(|set| format!("{:.4}", set.attention_scale))
        .collect();
    scales.dedup();
    scales.join(", ")
}
