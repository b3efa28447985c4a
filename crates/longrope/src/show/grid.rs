//! Results by context and depth, as a table for the terminal and as an SVG heat map.

use anyhow::Result;
use longrope_eval::{TaskResult, mean};
use longrope_figures::{HeatMap, heat_map};

use crate::show::output;

/// Results of one RoPE by context and depth.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grid {
    pub(crate) rope: String,
    contexts: Vec<usize>,
    depths: Vec<f64>,
    /// Mean scores `[depth][context]`.
    cells: Vec<Vec<Option<f64>>>,
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
        let mut depths: Vec<f64> = results
            .iter()
            .flat_map(|result| result.trials.iter().filter_map(depth))
            .collect();
        depths.sort_by(f64::total_cmp);
        depths.dedup();
        let cell = |result: &TaskResult, at: f64| {
            let scores: Vec<f64> = result
                .trials
                .iter()
                .filter(|trial| depth(trial).is_some_and(|depth| depth.total_cmp(&at).is_eq()))
                .map(|trial| trial.scores[0])
                .collect();
            (!scores.is_empty()).then(|| mean(&scores))
        };
        let cells = depths
            .iter()
            .map(|&at| results.iter().map(|result| cell(result, at)).collect())
            .collect();
        Self {
            rope: rope.to_owned(),
            contexts: results.iter().map(|result| result.context).collect(),
            depths,
            cells,
        }
    }

    /// One row per depth, one column per context. Each cell has a number and a block whose darkness shows it.
    pub(crate) fn table(&self) -> String {
        let header: Vec<String> = std::iter::once("depth".to_owned())
            .chain(
                self.contexts
                    .iter()
                    .map(|context| output::grouped(*context)),
            )
            .collect();
        let rows: Vec<Vec<String>> = self
            .depths
            .iter()
            .zip(&self.cells)
            .map(|(depth, cells)| {
                std::iter::once(percent(*depth))
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
            rows: self.depths.iter().map(|depth| percent(*depth)).collect(),
            cells: &self.cells,
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
