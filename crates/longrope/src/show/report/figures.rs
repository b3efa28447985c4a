//! The figures of a page, drawn from the data.

use std::path::Path;

use anyhow::Result;
use longrope_eval::{PplResult, TaskResult, is_in_nats};
use longrope_figures::Series;
use longrope_trainer::run::records::{self, Record};

use super::data::{RunReport, Training};
use super::groups::{Group, Row};
use super::numbers;
use crate::show::grid::Grid;
use crate::show::output;
use crate::show::quantity::Quantity;
use crate::show::search_figures::factor_plot;
use crate::show::task_table;

/// A figure and its caption.
pub(super) struct Figure {
    pub(super) svg: String,
    pub(super) caption: String,
    /// Width that it needs to be readable, in pixels; wider ones are scrolled on a phone.
    pub(super) width: usize,
}

/// Width of the figures that fit onto a phone.
const NARROW: usize = 320;

impl Figure {
    fn new(svg: String, caption: &str) -> Self {
        Self {
            svg,
            caption: caption.to_owned(),
            width: NARROW,
        }
    }
}

/// Perplexity by context, one line per RoPE and model; `None` for a single context.
pub(super) fn perplexity(group: &Group<'_, PplResult>) -> Result<Option<Figure>> {
    let value = |result: &PplResult| {
        let ppl = result.reported_ppl();
        let bar = numbers::interval(result).map(|[low, high]| (low, high));
        (ppl, bar)
    };
    let lines = lines(group, value);
    if group.contexts().len() < 2 {
        return Ok(None);
    }
    let series = series(&lines);
    let svg = longrope_figures::perplexity_by_context("Perplexity by context", &series)?;
    let caption = "Lower is better. Bars are 95% intervals. Both axes are logarithmic.";
    Ok(Some(Figure::new(svg, caption)))
}

/// The main metric of a task by context, one line per RoPE and model; `None` for a single context.
pub(super) fn scores(task: &str, group: &Group<'_, TaskResult>) -> Result<Option<Figure>> {
    if group.contexts().len() < 2 {
        return Ok(None);
    }
    if group.rows.iter().all(|row| is_in_nats(&row.result.task)) {
        return Ok(Some(gains(task, group)?));
    }
    let value = |result: &TaskResult| {
        let metric = &result.metric;
        let bar = task_table::interval(metric, result.n);
        let bar = bar.map(|[low, high]| (100.0 * low, 100.0 * high));
        (100.0 * metric.value, bar)
    };
    let lines = lines(group, value);
    let title = format!("{task} by context");
    let svg = longrope_figures::share_by_context(&title, &series(&lines))?;
    let caption = "Higher is better. Bars are 95% intervals.";
    Ok(Some(Figure::new(svg, caption)))
}

/// Context gain by context, one line per RoPE and model.
fn gains(task: &str, group: &Group<'_, TaskResult>) -> Result<Figure> {
    let value = |result: &TaskResult| {
        let bar = result.metric.interval.map(|[low, high]| (low, high));
        (result.metric.value, bar)
    };
    let lines = lines(group, value);
    let title = format!("{task} by context");
    let svg = longrope_figures::gain_by_context(&title, &series(&lines))?;
    let caption = "Above 0, text beyond the original window helps. Bars are 95% intervals.";
    Ok(Figure::new(svg, caption))
}

/// A line of a figure by context.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
    bars: Vec<(f64, f64, f64)>,
    is_own: bool,
}

fn lines<T>(group: &Group<'_, T>, value: impl Fn(&T) -> (f64, Option<(f64, f64)>)) -> Vec<Line> {
    let line = |rows: Vec<&Row<'_, T>>| {
        let mut line = Line {
            name: group.label(rows[0]),
            points: Vec::new(),
            bars: Vec::new(),
            is_own: rows[0].is_own,
        };
        for row in rows {
            let (y, bar) = value(row.result);
            let x = row.context as f64;
            line.points.push((x, y));
            line.bars.extend(bar.map(|(low, high)| (x, low, high)));
        }
        line
    };
    group.lines().into_iter().map(line).collect()
}

/// The lines with a color each. The last of our own is emphasized.
fn series(lines: &[Line]) -> Vec<Series<'_>> {
    let own = lines.iter().rposition(|line| line.is_own);
    let lines = lines.iter().enumerate();
    lines
        .map(|(index, line)| Series {
            name: &line.name,
            points: line.points.clone(),
            bars: line.bars.clone(),
            emphasized: own == Some(index),
        })
        .collect()
}

/// Factors by pair: those of the RoPE, and those of the methods for its longest context.
pub(super) fn factors(report: &RunReport) -> Result<Option<Figure>> {
    let Some(rope) = &report.rope else {
        return Ok(None);
    };
    let spec = rope.spec();
    let svg = factor_plot("this run", &spec)?;
    let caption = "Divisor of the frequency of each pair of dimensions, fastest pair at the left.";
    Ok(Some(Figure::new(svg, caption)))
}

/// Best and median score by generation, against the scores that the methods would have.
pub(super) fn history(report: &RunReport) -> Result<Option<Figure>> {
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
    // Before the end of a search, its files do not say what it minimizes.
    let quantity = report.search.as_ref().map(Quantity::of_result);
    let name = quantity.map_or("objective", Quantity::name);
    let references: Vec<(String, f64)> = report
        .search
        .iter()
        .flat_map(|search| {
            let methods = search.baselines.iter();
            methods.filter_map(|method| Some((method.method.clone(), search.objective_of(method)?)))
        })
        .collect();
    let title = format!("Best {name} by generation");
    let axis = quantity.map_or_else(|| "objective [nats per token]".to_owned(), Quantity::axis);
    let median = curve("median_nats");
    let svg = longrope_figures::loss_history(&title, &axis, &best, &median, &references)?;
    let caption =
        format!("The {name} on the samples that candidates are scored on; lower is better.");
    Ok(Some(Figure::new(svg, &caption)))
}

/// Training loss and held-out loss by step, counted across all phases.
pub(super) fn training(training: &Training) -> Result<Option<Figure>> {
    let steps = records::total_steps(&training.lines);
    let curve = |loss: &dyn Fn(&Record) -> Option<f64>| -> Vec<(f64, f64)> {
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
    let mut lines = vec![("training".to_owned(), curve(&of_step))];
    for context in eval_contexts(training) {
        let of_context = |line: &Record| match line {
            Record::Eval {
                nll_nats,
                context: own,
                ..
            } if *own == context => Some(*nll_nats),
            _ => None,
        };
        let name = context.map_or_else(
            || "held out".to_owned(),
            |context| format!("held out, {} tokens", output::grouped(context)),
        );
        lines.push((name, curve(&of_context)));
    }
    lines.retain(|(_, points)| !points.is_empty());
    if lines.is_empty() {
        return Ok(None);
    }
    let last = lines.len() - 1;
    let series = lines.iter().enumerate();
    let series: Vec<Series> = series
        .map(|(index, (name, points))| Series {
            name,
            points: points.clone(),
            emphasized: index == last && index > 0,
            ..Series::default()
        })
        .collect();
    let svg = longrope_figures::loss_by_step("Loss by step", &series)?;
    let caption = if records::phases(&training.lines).len() > 1 {
        "Steps are counted across all phases."
    } else {
        "Training loss of each step, and loss on held-out text."
    };
    Ok(Some(Figure::new(svg, caption)))
}

/// The context lengths that were measured during a training, in order of their first measurement; `None` stands for one
/// that old files do not say.
pub(super) fn eval_contexts(training: &Training) -> Vec<Option<usize>> {
    let mut contexts = Vec::new();
    for line in &training.lines {
        if let Record::Eval { context, .. } = line
            && !contexts.contains(context)
        {
            contexts.push(*context);
        }
    }
    contexts
}

/// Heat maps of a task whose trials have depths, one per RoPE and model.
pub(super) fn grids(task: &str, group: &Group<'_, TaskResult>) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for rows in group.lines() {
        let name = group.label(rows[0]);
        let results: Vec<TaskResult> = rows.iter().map(|row| row.result.clone()).collect();
        for grid in Grid::of_ropes(&results) {
            if grid.is_empty() {
                continue;
            }
            let svg = grid.svg(&format!("{task}: {name}"))?;
            figures.push(Figure {
                width: grid.width().max(NARROW),
                ..Figure::new(
                    svg,
                    "Mean score by context and depth, with the number of trials.",
                )
            });
        }
    }
    Ok(figures)
}

/// The stage or model of a run folder, for headings.
pub(super) fn name_of(path: &str) -> String {
    let name = Path::new(path).file_name();
    name.map_or_else(|| path.to_owned(), |name| name.display().to_string())
}
