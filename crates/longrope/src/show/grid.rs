//! Results by context and depth, as a table for the terminal and as an SVG heat map.

use anyhow::Result;
use longrope_eval::{TaskResult, mean};
use longrope_figures::{HeatMap, heat_map};
use serde_json::Value;

use crate::show::output;

/// Results of one RoPE by context and depth.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grid {
    pub(crate) rope: String,
    contexts: Vec<usize>,
    rows: Vec<Depths>,
    /// Mean scores `[row][context]`.
    cells: Vec<Vec<Option<f64>>>,
    /// Numbers of trials `[row][context]`.
    counts: Vec<Vec<usize>>,
}

/// The depths of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Depths {
    /// One depth.
    At(f64),
    /// From the first to below the last; 1 belongs to the last row.
    Between(f64, f64),
}

/// Maximum number of rows with a depth of their own, unless the depths were given.
const MOST_ROWS: usize = 11;
/// Number of bins.
const N_BINS: u32 = 5;

impl Depths {
    /// The rows of all trials: their depths if these were given, else bins.
    fn rows(results: &[&TaskResult]) -> Vec<Self> {
        let trials = results.iter().flat_map(|result| &result.trials);
        let mut depths: Vec<f64> = trials.filter_map(depth).collect();
        depths.sort_by(f64::total_cmp);
        depths.dedup();
        let are = |given: fn(&Value) -> bool| {
            let mut settings = results.iter().map(|result| result.settings.get("depths"));
            settings.all(|depths| depths.is_some_and(given))
        };
        let few = depths.len() <= MOST_ROWS && !are(Value::is_string);
        if depths.is_empty() || few || are(Value::is_array) {
            return depths.into_iter().map(Self::At).collect();
        }
        let border = |bin: u32| f64::from(bin) / f64::from(N_BINS);
        (0..N_BINS)
            .map(|bin| Self::Between(border(bin), border(bin + 1)))
            .collect()
    }

    fn has(self, depth: f64) -> bool {
        match self {
            Self::At(at) => depth.total_cmp(&at).is_eq(),
            Self::Between(low, high) => depth >= low && (depth < high || high >= 1.0),
        }
    }

    fn name(self) -> String {
        match self {
            Self::At(at) => percent(at),
            Self::Between(low, high) => format!("{:.0}–{}", 100.0 * low, percent(high)),
        }
    }
}

impl Grid {
    /// One grid per RoPE, in the order of the results.
    pub(crate) fn of_ropes(results: &[TaskResult]) -> Vec<Self> {
        let mut ropes: Vec<&str> = Vec::new();
        for result in results {
            if !ropes.contains(&result.rope.as_str()) {
                ropes.push(&result.rope);
            }
        }
        ropes
            .iter()
            .map(|rope| {
                let of_rope: Vec<&TaskResult> = results
                    .iter()
                    .filter(|result| result.rope == *rope)
                    .collect();
                Self::new(rope, &of_rope)
            })
            .collect()
    }

    fn new(rope: &str, results: &[&TaskResult]) -> Self {
        let rows = Depths::rows(results);
        let scores = |result: &TaskResult, row: Depths| -> Vec<f64> {
            let trials = result.trials.iter();
            let trials = trials.filter(|trial| depth(trial).is_some_and(|depth| row.has(depth)));
            trials
                .filter_map(|trial| trial.scores.first().copied())
                .collect()
        };
        let all: Vec<Vec<Vec<f64>>> = rows
            .iter()
            .map(|row| results.iter().map(|result| scores(result, *row)).collect())
            .collect();
        let of_cell = |scores: &Vec<f64>| (!scores.is_empty()).then(|| mean(scores));
        Self {
            rope: rope.to_owned(),
            contexts: results.iter().map(|result| result.context).collect(),
            rows,
            cells: all
                .iter()
                .map(|row| row.iter().map(of_cell).collect())
                .collect(),
            counts: all
                .iter()
                .map(|row| row.iter().map(Vec::len).collect())
                .collect(),
        }
    }

    /// Whether no trial has a depth.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Width that the figure needs to be readable, in pixels.
    pub(crate) fn width(&self) -> usize {
        120 + 88 * self.contexts.len()
    }

    /// One row per depth or bin of depths, one column per context. Each cell has a number and a block whose darkness shows it.
    pub(crate) fn table(&self) -> String {
        let header: Vec<String> = std::iter::once("depth".to_owned())
            .chain(
                self.contexts
                    .iter()
                    .map(|context| output::grouped(*context)),
            )
            .collect();
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .zip(&self.cells)
            .map(|(row, cells)| {
                std::iter::once(row.name())
                    .chain(cells.iter().map(|cell| match cell {
                        Some(value) => format!("{} {}", percent(*value), block(*value)),
                        None => String::new(),
                    }))
                    .collect()
            })
            .collect();
        output::table(&header, &rows)
    }

    /// The grid as a heat map.
    pub(crate) fn svg(&self, title: &str) -> Result<String> {
        Ok(heat_map(&HeatMap {
            title,
            x_label: "context [tokens]",
            y_label: "depth of the needle",
            columns: self.contexts.iter().map(|c| output::grouped(*c)).collect(),
            rows: self.rows.iter().map(|row| row.name()).collect(),
            cells: &self.cells,
            counts: &self.counts,
        })?)
    }
}

fn depth(trial: &longrope_eval::Trial) -> Option<f64> {
    trial.details.get("depth")?.as_f64()
}

fn percent(share: f64) -> String {
    format!("{:.0}%", 100.0 * share)
}

/// A block in one of five shades.
fn block(share: f64) -> &'static str {
    match share {
        s if s < 0.125 => "····",
        s if s < 0.375 => "░░░░",
        s if s < 0.625 => "▒▒▒▒",
        s if s < 0.875 => "▓▓▓▓",
        _ => "████",
    }
}

#[cfg(test)]
#[path = "grid_tests.rs"]
mod tests;
