//! Results by context and depth: blocks in the terminal, a heat map as SVG.

use anyhow::Result;
use longrope_eval::{TaskResult, mean};
use longrope_figures::{HeatMap, heat_map};

use crate::show::output;

/// Results of one RoPE, context by depth.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grid {
    pub(crate) rope: String,
    contexts: Vec<usize>,
    depths: Vec<f64>,
    /// Mean score per depth, then per context.
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
                let of_rope: Vec<&TaskResult> =
                    results.iter().filter(|it| it.rope == *rope).collect();
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
                .filter(|trial| depth(trial).is_some_and(|it| it.total_cmp(&at).is_eq()))
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

    /// One row per depth, one column per context, each cell a number and a block as dark as it is
    /// high.
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

    /// The heat map.
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

/// Nothing, a quarter, half, three quarters, all.
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
mod tests {
    use super::*;
    use longrope_eval::{Metric, MetricValue, Trial};
    use serde_json::{Map, json};

    fn result(context: usize, trials: &[(f64, f64)]) -> TaskResult {
        let trial = |(i, (depth, score)): (usize, &(f64, f64))| Trial {
            trial: i,
            scores: vec![*score],
            details: Map::from_iter([("depth".to_owned(), json!(depth))]),
        };
        TaskResult {
            task: "needle".to_owned(),
            task_version: 1,
            rope: "yarn".to_owned(),
            context,
            n: trials.len(),
            metric: MetricValue::of(&Metric::higher("recall"), &[0.0]),
            other_metrics: Vec::new(),
            protocol: "teacher-forced".to_owned(),
            settings: Map::new(),
            seed: 1,
            elapsed_secs: 0.0,
            trials: trials.iter().enumerate().map(trial).collect(),
        }
    }

    #[test]
    fn cells_are_means_of_their_trials() {
        let short = result(256, &[(0.0, 1.0), (0.5, 1.0), (0.0, 0.0), (0.5, 1.0)]);
        let long = result(1024, &[(0.0, 0.25), (0.5, 0.0)]);
        let grids = Grid::of_ropes(&[short, long]);
        assert_eq!(grids.len(), 1);
        assert_eq!(
            grids[0].cells,
            [[Some(0.5), Some(0.25)], [Some(1.0), Some(0.0)]]
        );
        let table = grids[0].table();
        assert!(
            table.contains("50% ▒▒▒▒") && table.contains("0% ····"),
            "{table}"
        );
        let svg = grids[0].svg("a < b").unwrap();
        assert!(svg.contains("1,024") && svg.contains("25%") && svg.contains("a &lt; b"));
    }
}
