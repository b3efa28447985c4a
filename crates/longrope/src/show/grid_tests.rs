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
        protocol: "teacher-forced".to_owned(),
        trials: trials.iter().enumerate().map(trial).collect(),
        ..TaskResult::default()
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

#[test]
fn random_depths_are_put_into_bins() {
    let at = |n: u32| -> Vec<(f64, f64)> {
        (0..n)
            .map(|i| (f64::from(i) / f64::from(n - 1), f64::from(i % 2)))
            .collect()
    };
    let grids = Grid::of_ropes(&[result(256, &at(20))]);
    let names: Vec<String> = grids[0].rows.iter().map(|row| row.name()).collect();
    assert_eq!(names, ["0–20%", "20–40%", "40–60%", "60–80%", "80–100%"]);
    // The trial at depth 1 belongs to the last bin.
    assert_eq!(grids[0].counts, [[4], [4], [4], [4], [4]]);
    assert!(grids[0].svg("t").unwrap().contains("n = 4"));
    let with = |depths: serde_json::Value, n| {
        let settings = Map::from_iter([("depths".to_owned(), depths)]);
        let result = TaskResult {
            settings,
            ..result(256, &at(n))
        };
        Grid::of_ropes(&[result])[0].rows.len()
    };
    // Depths that were given keep rows of their own.
    assert_eq!(with(json!(vec![0.5; 20]), 20), 20);
    assert_eq!(with(json!("random"), 6), 5);
}
