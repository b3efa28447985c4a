//! Differences to a reference, in tables.

use longrope_eval::{Difference, PairedMethod, PplResult, TaskResult};

use super::output;

/// Marks a difference that may be chance.
const MAY_BE_CHANCE: &str = " ~";

/// A difference in nats with half of its interval, `-0.0721 ± 0.0110`; nothing for the reference itself.
pub(crate) fn nats(difference: Option<&Difference>) -> String {
    let Some(difference) = difference else {
        return String::new();
    };
    let Some(half) = difference.half_width() else {
        // That a single window proves nothing is said below the table.
        let mark = if difference.n > 1 {
            mark(difference)
        } else {
            ""
        };
        return format!("{:+.4}{mark}", difference.value);
    };
    format!("{:+.4} ± {half:.4}{}", difference.value, mark(difference))
}

/// A difference of shares in percentage points with its interval, `-60 [-87, -20]`; nothing for the reference itself.
pub(crate) fn points(difference: Option<&Difference>) -> String {
    let Some(difference) = difference else {
        return String::new();
    };
    let value = 100.0 * difference.value;
    let Some([low, high]) = difference.interval else {
        return format!("{value:+.0}{}", mark(difference));
    };
    format!(
        "{value:+.0} [{:+.0}, {:+.0}]{}",
        100.0 * low,
        100.0 * high,
        mark(difference)
    )
}

/// A difference in nats whose certainty is not known.
pub(crate) fn unproven_nats(value: f64) -> String {
    format!("{value:+.4}{MAY_BE_CHANCE}")
}

/// A difference of shares in percentage points whose certainty is not known.
pub(crate) fn unproven_points(value: f64) -> String {
    format!("{:+.0}{MAY_BE_CHANCE}", 100.0 * value)
}

fn mark(difference: &Difference) -> &'static str {
    if difference.distinguishable {
        ""
    } else {
        MAY_BE_CHANCE
    }
}

/// The differences of perplexities as a table, one row per RoPE and one column per context, and a line about them; `None`
/// if there are none.
pub(crate) fn of_perplexities(results: &[PplResult]) -> Option<String> {
    let cells = results.iter().filter_map(|result| {
        let difference = result.difference.as_ref()?;
        let text = nats(Some(difference));
        Some((result.rope.as_str(), result.context, text))
    });
    let table = output::by_context_of("difference", cells);
    Some(format!("{table}\n{}", perplexity_line(results)?))
}

/// The differences of tasks, as [`of_perplexities`]; with a row per task if there are several.
pub(crate) fn of_tasks(results: &[TaskResult]) -> Option<String> {
    let line = task_line(results)?;
    if results.iter().any(|result| result.task != results[0].task) {
        return Some(format!("{}\n{line}", by_task(results)));
    }
    let cells = results.iter().filter_map(|result| {
        let difference = result.difference.as_ref()?;
        let text = points(Some(difference));
        Some((result.rope.as_str(), result.context, text))
    });
    let table = output::by_context_of("difference", cells);
    Some(format!("{table}\n{line}"))
}

/// The differences of several tasks.
fn by_task(results: &[TaskResult]) -> String {
    let header = ["rope", "task", "context", "difference"].map(str::to_owned);
    let rows = results.iter().filter_map(|result| {
        let found = result.difference.as_ref()?;
        Some(vec![
            result.rope.clone(),
            result.task.clone(),
            output::grouped(result.context),
            points(Some(found)),
        ])
    });
    output::table(&header, &rows.collect::<Vec<_>>())
}

/// A line about the differences of perplexities; `None` if there are none.
pub(crate) fn perplexity_line(results: &[PplResult]) -> Option<String> {
    let all: Vec<&Difference> = results
        .iter()
        .filter_map(|r| r.difference.as_ref())
        .collect();
    let first = all.first()?;
    Some(nats_line(&first.reference, "windows", &all))
}

/// A line about differences in nats.
pub(crate) fn nats_line(reference: &str, units: &str, all: &[&Difference]) -> String {
    if !all
        .iter()
        .any(|difference| difference.half_width().is_some())
    {
        let n = all
            .iter()
            .map(|difference| difference.n)
            .max()
            .unwrap_or_default();
        let units = output::counted(n, units.trim_end_matches('s'));
        return format!(
            "difference: nats/token minus those of {reference} on the same {units}, {}",
            without_interval(n)
        );
    }
    let without = if all.iter().any(|it| it.half_width().is_none()) {
        format!(
            "; where there is no ±, the {units} are too few for an interval, or all differ by the same"
        )
    } else {
        String::new()
    };
    format!(
        "difference: nats/token minus those of {reference} on the same {} {units}, ± half of the 95% interval ({}); ~ marks an \
         interval that includes 0{without}",
        counts(all),
        methods(all)
    )
}

/// Why differences on up to `n` windows or trials have no interval.
fn without_interval(n: usize) -> &'static str {
    if n > 1 {
        "too few for an interval, or all differ by the same"
    } else {
        "too few for an interval"
    }
}

/// A line about the differences of tasks; `None` if there are none.
pub(crate) fn task_line(results: &[TaskResult]) -> Option<String> {
    let all: Vec<&Difference> = results
        .iter()
        .filter_map(|r| r.difference.as_ref())
        .collect();
    let first = all.first()?;
    Some(points_line(&first.reference, &all))
}

/// A line about differences in percentage points.
pub(crate) fn points_line(reference: &str, all: &[&Difference]) -> String {
    if all.iter().all(|difference| difference.interval.is_none()) {
        let n = all.iter().map(|difference| difference.n).max();
        let n = n.unwrap_or_default();
        return format!(
            "difference: percentage points minus {reference} on the same {}, {}; ~ marks what may be chance",
            output::counted(n, "trial"),
            without_interval(n)
        );
    }
    format!(
        "difference: percentage points minus {reference} on the same {} trials, with 95% intervals ({}); ~ marks what may be \
         chance",
        counts(all),
        methods(all)
    )
}

/// The number of windows or trials, `8` or `6 to 8`.
fn counts(all: &[&Difference]) -> String {
    let counts = || all.iter().map(|difference| difference.n);
    let (least, most) = (
        counts().min().unwrap_or_default(),
        counts().max().unwrap_or_default(),
    );
    if least == most {
        output::grouped(most)
    } else {
        format!("{} to {}", output::grouped(least), output::grouped(most))
    }
}

/// How the intervals were computed.
fn methods(all: &[&Difference]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for difference in all {
        let name = match difference.method {
            PairedMethod::DocumentsT => "Student's t over documents",
            PairedMethod::WindowBlocks => "moving blocks",
            PairedMethod::McNemar => "exact McNemar test, intervals of Bonett and Price",
            _ => "Student's t",
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use longrope_eval::{Trial, add_window_differences, paired_scores, task_difference};

    #[test]
    fn differences_that_may_be_chance_are_marked() {
        let difference = paired_scores(&[1.5, 2.0, 2.6], &[1.0, 1.0, 1.0], "none");
        assert_eq!(nats(Some(&difference)), "+1.0333 ± 1.3682 ~");
        assert_eq!(nats(None), "");
        let certain = paired_scores(&[0.0; 10], &[1.0; 10], "yarn");
        assert_eq!(points(Some(&certain)), "-100 [-100, -52]");
        let single = paired_scores(&[1.5], &[1.0], "none");
        assert_eq!(nats(Some(&single)), "+0.5000");
        let half = paired_scores(&[0.5], &[0.0], "yarn");
        assert_eq!(points(Some(&half)), "+50 ~");
    }

    #[test]
    fn two_trials_that_differ_by_the_same_are_marked() {
        let result = |score: f64| {
            let trial = |trial| Trial {
                trial,
                scores: vec![score],
                details: serde_json::Map::new(),
            };
            TaskResult {
                trials: vec![trial(0), trial(1)],
                ..TaskResult::default()
            }
        };
        let difference = task_difference(&result(0.5), &result(0.0)).unwrap();
        assert_eq!(points(Some(&difference)), "+50 [-76, +92] ~");
        let same = task_difference(&result(0.5), &result(0.5)).unwrap();
        assert_eq!(points(Some(&same)), "+0 [-84, +84] ~");
    }

    #[test]
    fn the_line_names_reference_number_and_method() {
        let result = |rope: &str, nats: [f64; 2]| PplResult {
            rope: rope.to_owned(),
            context: 64,
            stride: 64,
            windows: Some(longrope_eval::WindowLosses {
                document: vec![0, 1],
                start: vec![0, 0],
                n_tokens: vec![63, 63],
                nll_nats: nats.to_vec(),
            }),
            ..PplResult::default()
        };
        let mut results = [result("none", [2.0, 3.0]), result("yarn", [1.9, 2.8])];
        assert_eq!(of_perplexities(&results), None);
        add_window_differences(&mut results, "none");
        let text = of_perplexities(&results).unwrap();
        let line = "difference: nats/token minus those of none on the same 2 windows, ± half of the 95% interval (Student's t)";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("-0.1500 ± 0.6353 ~"), "{text}");
        let single = paired_scores(&[1.5], &[1.0], "none");
        let several = paired_scores(&[1.5, 2.0, 2.6], &[1.0, 1.0, 1.0], "none");
        let mixed = nats_line("none", "samples", &[&single, &several]);
        assert!(mixed.contains("1 to 3 samples, ± half"), "{mixed}");
        let without = "where there is no ±, the samples are too few";
        assert!(mixed.contains(without), "{mixed}");
        assert_eq!(
            points_line("none", &[&single]),
            "difference: percentage points minus none on the same 1 trial, too few for an interval; ~ marks what may be chance"
        );
        assert_eq!(
            nats_line("none", "windows", &[&single]),
            "difference: nats/token minus those of none on the same 1 window, too few for an interval"
        );
        assert!(
            !text
                .lines()
                .any(|line| line.trim_start().starts_with("none")),
            "{text}"
        );
    }
}
