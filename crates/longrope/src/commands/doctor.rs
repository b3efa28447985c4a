//! `longrope doctor`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use longrope_gguf::{GgufFile, config_json};
use longrope_model::{ModelConfig, read_config_json};
use longrope_rope::{Diagnosis, FactorRow, Outcome, Rules, Runtime, RuntimeView, Switch, diagnose};
use serde::Serialize;
use serde_json::Value;

use crate::failure::Hint;
use crate::failure::search_folder::search_folder;
use crate::input::{gguf, local_folder};
use crate::next_steps;
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
    let is_gguf = gguf::is_gguf(model_path);
    let (folder, path, config) = if is_gguf {
        let file = GgufFile::open(model_path).with_context(doing)?;
        let config = config_json(&file).with_context(doing)?;
        tracing::warn!(
            "llama.cpp takes the RoPE of this file as it is, the long factors if its context is above the original one; the \
             diagnosis is for the other programs, of a Hugging Face folder with this RoPE"
        );
        (model_path.to_owned(), model_path.to_owned(), config)
    } else {
        let folder = local_folder(model_path)?;
        let (path, config) = read_config(&folder).with_context(doing)?;
        (folder, path, config)
    };
    // What the other verbs refuse has no diagnosis.
    let model = ModelConfig::from_json(&config, &path).with_context(doing)?;
    let mut diagnosis = diagnose(&config).with_context(doing)?;
    if is_gguf {
        of_a_file(&mut diagnosis);
    }
    if args.json {
        output::json(&Report {
            format: "longrope-doctor",
            version: 1,
            model: model_path.display().to_string(),
            diagnosis: &diagnosis,
        })
    } else {
        output::line(text(&diagnosis))?;
        // A config.json alone is no model for other verbs.
        if !model_path.is_file() {
            next_steps::after_look(model_path, &folder, &model).show();
        }
        Ok(())
    }
}

/// Leaves out what is about llama.cpp: it is said of a folder that its own converter reads.
fn of_a_file(diagnosis: &mut Diagnosis) {
    let is_other = |runtime: &Runtime| *runtime != Runtime::LlamaCpp;
    diagnosis.runtimes.retain(|view| is_other(&view.runtime));
    for disagreement in &mut diagnosis.disagreements {
        disagreement.runtimes.retain(is_other);
    }
    diagnosis.disagreements.retain(|it| !it.runtimes.is_empty());
    diagnosis.advice.retain_mut(|advice| {
        let is_for_config = advice.runtimes.is_empty();
        advice.runtimes.retain(is_other);
        is_for_config || !advice.runtimes.is_empty()
    });
}

/// Reads a `config.json`, given as a path or by its folder.
fn read_config(path: &Path) -> Result<(PathBuf, Value)> {
    let run = search_folder(path);
    let path = if path.is_dir() {
        path.join("config.json")
    } else {
        path.to_owned()
    };
    let config = if path.is_file() {
        read_config_json(&path)?
    } else {
        read_config_json(&path).context(Hint(
            run.unwrap_or_else(|| "give a checkpoint folder or its config.json".to_owned()),
        ))?
    };
    Ok((path, config))
}

/// Columns of the output.
const WIDTH: usize = 80;

fn text(diagnosis: &Diagnosis) -> String {
    let rope = match diagnosis.rope {
        "none" => "plain",
        "long-rope" => "longrope",
        other => other,
    };
    let mut lines = vec![
        format!(
            "{} with {rope} RoPE, original context {}, claimed context {}",
            diagnosis.model_type, diagnosis.original_context, diagnosis.max_context
        ),
        String::new(),
        "What each runtime computes".to_owned(),
    ];
    for (runtimes, computed) in groups(diagnosis) {
        lines.extend(wrapped(&runtimes.join(", "), 2));
        for line in computed {
            lines.extend(wrapped(&line, 4));
        }
    }
    if let Some(conflict) = &diagnosis.conflict {
        lines.push(String::new());
        lines.push("Contradictions in the config".to_owned());
        lines.extend(wrapped(&conflict.what, 2));
        for reading in &conflict.readings {
            let names: Vec<&str> = reading
                .runtimes
                .iter()
                .map(|runtime| runtime.name())
                .collect();
            lines.extend(wrapped(
                &format!("{}: {}", names.join(", "), reading.takes),
                4,
            ));
        }
    }
    let (no_disagreement, nothing) = if_nothing(diagnosis);
    section(
        &mut lines,
        "Disagreements",
        diagnosis.disagreements.iter().map(ToString::to_string),
        no_disagreement,
    );
    section(
        &mut lines,
        "What to do",
        diagnosis.advice.iter().map(ToString::to_string),
        nothing,
    );
    let others = diagnosis
        .runtimes
        .iter()
        .filter(|view| view.runtime != Runtime::Longrope);
    section(
        &mut lines,
        "Read in these sources; other versions may differ",
        others.map(|view| view.source.to_owned()),
        "",
    );
    lines.join("\n")
}

/// What is said if there are no disagreements, and if there is nothing to do.
fn if_nothing(diagnosis: &Diagnosis) -> (&'static str, &'static str) {
    let others = || {
        let all = diagnosis.runtimes.iter();
        all.filter(|view| view.runtime != Runtime::Longrope)
    };
    let is_unknown = |view: &RuntimeView| matches!(view.outcome, Outcome::Unknown { .. });
    if others().all(is_unknown) {
        (
            "not known: the rules of no other runtime were read for this family",
            "compare losses before you rely on another runtime",
        )
    } else if others().any(is_unknown) {
        (
            "none: all runtimes whose rules are known compute the same RoPE",
            "nothing for these; compare losses before you rely on one whose rules are not known",
        )
    } else {
        ("none: all runtimes compute the same RoPE", "nothing")
    }
}

fn section(lines: &mut Vec<String>, title: &str, items: impl Iterator<Item = String>, none: &str) {
    lines.push(String::new());
    lines.push(title.to_owned());
    let before = lines.len();
    for item in items {
        lines.extend(wrapped(&item, 2));
    }
    if lines.len() == before {
        lines.push(format!("  {none}"));
    }
}

/// Runtimes that compute the same, with what they compute.
fn groups(diagnosis: &Diagnosis) -> Vec<(Vec<&'static str>, Vec<String>)> {
    let ours = diagnosis.runtimes.last().and_then(RuntimeView::rules);
    let mut groups: Vec<(Vec<&'static str>, Vec<String>)> = Vec::new();
    for view in &diagnosis.runtimes {
        let computed = match &view.outcome {
            Outcome::Loads(rules) => computed(rules, ours),
            Outcome::Refuses { .. } => vec!["does not load".to_owned()],
            Outcome::Unknown { .. } => vec!["not known".to_owned()],
        };
        match groups.iter_mut().find(|group| group.1 == computed) {
            Some(group) => group.0.push(view.runtime.name()),
            None => groups.push((vec![view.runtime.name()], computed)),
        }
    }
    groups
}

fn computed(rules: &Rules, ours: Option<&Rules>) -> Vec<String> {
    let same = ours.is_some_and(|ours| (ours.theta - rules.theta).abs() <= 1e-9 * ours.theta);
    let theta = if same {
        String::new()
    } else {
        format!("; theta {}", rules.theta)
    };
    let first = format!(
        "factors {}; attention scale {}{theta}",
        factors(rules),
        attention(rules)
    );
    let context = rules
        .default_context
        .map_or("no limit".to_owned(), |context| context.to_string());
    let second = match rules.switch {
        Switch::Never {} => format!("for all lengths; default context {context}"),
        Switch::AlwaysLong {} => format!("always the long ones; default context {context}"),
        _ => format!("chosen {}; default context {context}", rules.switch),
    };
    vec![first, second]
}

/// Breaks a text into lines of at most [`WIDTH`] columns. The first is indented, the others by four more.
fn wrapped(text: &str, indent: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = " ".repeat(indent);
    let mut is_empty = true;
    for word in text.split(' ') {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent + 4)));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
    lines
}

/// The divisors of the plain frequencies, from the fastest pair to the slowest.
fn factors(rules: &Rules) -> String {
    let sets: Vec<String> = rules.factors.iter().map(factor_row).collect();
    sets.join(", ")
}

fn factor_row(row: &FactorRow) -> String {
    let (first, last) = (short(row.first), short(row.last));
    let range = if row.values.iter().all(|value| short(*value) == first) {
        first
    } else {
        format!("{first}..{last}")
    };
    match row.name.as_str() {
        "plain" => format!("{range} (plain RoPE)"),
        "all" => range,
        name => format!("{name} {range}"),
    }
}

/// Formats a number with up to four decimals, and huge ones by their exponent.
fn short(value: f64) -> String {
    if value >= 1e9 {
        return format!("{value:e}");
    }
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
        .map(|set| short(set.attention_scale))
        .collect();
    scales.dedup();
    scales.join(", ")
}
