//! The figures of a page, drawn from the data.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use longrope_figures::Series;
use longrope_trainer::run::records::{self, Record};
use serde_json::Value;

use super::data::{RunReport, Training};
use crate::show::grid::Grid;
use crate::show::search_figures::factor_plot;

/// A figure and its caption.
pub(crate) struct Figure {
    pub(crate) svg: String,
    pub(crate) caption: String,
}

impl Figure {
    fn new(svg: String, caption: &str) -> Self {
        Self {
            svg,
            caption: caption.to_owned(),
        }
    }
}

/// Perplexity by context, one line per RoPE; `None` for a single context.
pub(crate) fn perplexity(report: &RunReport) -> Result<Option<Figure>> {
    let mut names: Vec<&str> = Vec::new();
    for result in &report.perplexities {
        if !names.contains(&result.rope.as_str()) {
            names.push(&result.rope);
        }
    }
    let series: Vec<Series> = names
        .iter()
        .map(|name| {
            let mut points: Vec<(f64, f64)> = report
                .perplexities
                .iter()
                .filter(|result| result.rope == *name)
                .map(|result| (result.context as f64, result.reported_ppl()))
                .collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            Series {
                name,
                points,
                emphasized: Path::new(name)
                    .extension()
                    .is_some_and(|extension| extension == "json"),
            }
        })
        .collect();
    if series.iter().all(|series| series.points.len() < 2) {
        return Ok(None);
    }
    let svg = longrope_figures::perplexity_by_context("Perplexity by context", &series)?;
    let caption = "Lower is better. Both axes are logarithmic.";
    Ok(Some(Figure::new(svg, caption)))
}

/// Factors by pair: those of the RoPE, and those of the methods for its longest context.
pub(crate) fn factors(report: &RunReport) -> Result<Option<Figure>> {
    let Some(rope) = &report.rope else {
        return Ok(None);
    };
    let spec = rope.spec();
    let svg = factor_plot("this run", &spec)?;
    let caption = "Divisor of the frequency of each pair of dimensions, fastest pair at the left.";
    Ok(Some(Figure::new(svg, caption)))
}

/// Best and median loss by generation.
pub(crate) fn history(report: &RunReport) -> Result<Option<Figure>> {
    let curve = |key: &str| -> Vec<(usize, f64)> {
        let lines = report.generations.iter();
        lines
            .filter_map(|line| {
                let generation = usize::try_from(line.get("generation")?.as_u64()?).ok()?;
                Some((generation, line.get(key)?.as_f64()?))
            })
            .collect()
    };
    let best = curve("best_nats");
    if best.is_empty() {
        return Ok(None);
    }
    let references: Vec<(String, f64)> = report
        .search
        .iter()
        .flat_map(|search| &search.baselines)
        .map(|method| (method.method.clone(), method.nll_nats))
        .collect();
    let title = "Loss of the search by generation";
    let svg = longrope_figures::loss_history(title, &best, &curve("median_nats"), &references)?;
    let caption = "Measured on the samples that candidates are scored on.";
    Ok(Some(Figure::new(svg, caption)))
}

/// Training loss and held-out loss by step, counted across all phases.
pub(crate) fn training(training: &Training) -> Result<Option<Figure>> {
    let steps = records::total_steps(&training.lines);
    let curve = |loss: fn(&Record) -> Option<f64>| -> Vec<(f64, f64)> {
        let lines = steps.iter().zip(&training.lines);
        lines
            .filter_map(|(step, line)| Some((*step as f64, loss(line)?)))
            .filter(|(_, loss)| loss.is_finite())
            .collect()
    };
    let of_step = |line: &Record| match line {
        Record::Step { loss, .. } => Some(*loss),
        _ => None,
    };
    let of_eval = |line: &Record| match line {
        Record::Eval { nll_nats, .. } => Some(*nll_nats),
        _ => None,
    };
    let series: Vec<Series> = [
        ("training", curve(of_step), false),
        ("held out", curve(of_eval), true),
    ]
    .into_iter()
    .filter(|(_, points, _)| !points.is_empty())
    .map(|(name, points, emphasized)| Series {
        name,
        points,
        emphasized,
    })
    .collect();
    if series.is_empty() {
        return Ok(None);
    }
    let svg = longrope_figures::loss_by_step("Loss by step", &series)?;
    Ok(Some(Figure::new(svg, "Nats per token.")))
}

/// Maximum number of depths in a grid.
const MOST_ROWS: usize = 24;

/// Heat maps of tasks whose trials have depths, one per task and RoPE.
pub(crate) fn grids(report: &RunReport) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for result in &report.full_tasks {
        let depths: BTreeSet<String> = result
            .trials
            .iter()
            .filter_map(|trial| trial.details.get("depth").filter(|depth| depth.is_number()))
            .map(Value::to_string)
            .collect();
        // With a random depth per trial there is no grid.
        let has_grid = (1..=MOST_ROWS).contains(&depths.len());
        if has_grid && !names.contains(&result.task.as_str()) {
            names.push(&result.task);
        }
    }
    for name in names {
        let of_task = report
            .full_tasks
            .iter()
            .filter(|result| result.task == name);
        let results: Vec<_> = of_task.cloned().collect();
        for grid in Grid::of_ropes(&results) {
            let svg = grid.svg(&format!("{name}: {}", grid.rope))?;
            figures.push(Figure::new(svg, "Share found, by context and depth."));
        }
    }
    Ok(figures)
}
