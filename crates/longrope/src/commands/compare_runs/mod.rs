//! `longrope compare-runs`

mod join;
mod read;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use longrope_eval::{Difference, is_in_nats};
use longrope_model::ResultSource;
use serde::Serialize;

use self::join::{Pair, join};
use self::read::{Measured, read};
use crate::settings::args;
use crate::show::{difference, output};

/// The output of `--json`.
#[derive(Debug, Serialize)]
struct Comparison {
    format: &'static str,
    version: u32,
    a: Run,
    b: Run,
    comparisons: Vec<Pair>,
    /// Results that only one of the two has.
    left_out: Vec<String>,
}

/// One of the two runs.
#[derive(Debug, Serialize)]
struct Run {
    path: String,
    /// What its results were measured on, each once.
    sources: Vec<ResultSource>,
}

pub(crate) fn run(args: &args::CompareRuns) -> Result<()> {
    let (a, b) = (read(&args.a)?, read(&args.b)?);
    let joined = join(&a, &b)?;
    let comparison = Comparison {
        format: "longrope-comparison",
        version: 1,
        a: Run::new(&args.a, &a),
        b: Run::new(&args.b, &b),
        comparisons: joined.pairs,
        left_out: joined.left_out,
    };
    if args.json {
        return output::json(&comparison);
    }
    show(&comparison)
}

impl Run {
    fn new(path: &Path, results: &[Measured]) -> Self {
        let mut sources: Vec<ResultSource> = Vec::new();
        for source in results
            .iter()
            .filter_map(|measured| measured.source.as_ref())
        {
            if !sources.contains(source) {
                sources.push(source.clone());
            }
        }
        Self {
            path: path.display().to_string(),
            sources,
        }
    }

    /// A line about the run and its models.
    fn line(&self, name: &str) -> String {
        let mut models: Vec<String> = Vec::new();
        for source in &self.sources {
            let fingerprint = &source.model_fingerprint;
            let short = fingerprint.get(..8).unwrap_or(fingerprint);
            let model = format!("{} ({short}..)", source.model);
            if !models.contains(&model) {
                models.push(model);
            }
        }
        format!("{name}: {}, model {}", self.path, models.join(", "))
    }
}

/// Prints both runs side by side.
fn show(comparison: &Comparison) -> Result<()> {
    output::line(comparison.a.line("A"))?;
    output::line(comparison.b.line("B"))?;
    let rounded = comparison.comparisons.iter().filter_map(|pair| {
        let [a, b] = pair.computed_in.as_ref()?;
        Some(format!("A was computed in {a} and B in {b}"))
    });
    // Once for each kind, not for each context.
    let rounded: BTreeSet<String> = rounded.collect();
    for line in rounded {
        tracing::warn!("{line}: the differences include that");
    }
    let layers = comparison.comparisons.iter();
    let layers: BTreeSet<&[String; 2]> = layers.filter_map(|it| it.rope_layers.as_ref()).collect();
    for [a, b] in layers {
        tracing::warn!(
            "RoPEs are for other layers (`rope-layers`), {a} in A and {b} in B: the differences include that"
        );
    }
    for line in &comparison.left_out {
        tracing::warn!("not compared: {line}");
    }
    let is_ppl = |pair: &&Pair| pair.task == "ppl";
    let (ppl, tasks): (Vec<&Pair>, Vec<&Pair>) = comparison.comparisons.iter().partition(is_ppl);
    let (gains, tasks): (Vec<&Pair>, Vec<&Pair>) =
        tasks.into_iter().partition(|pair| is_in_nats(&pair.task));
    if !ppl.is_empty() {
        let nats =
            |pair: &Pair| [pair.a.value, pair.b.value].map(|nats| output::perplexity(nats.exp()));
        let cell = |found: &Difference| difference::nats(Some(found));
        output::line(format!("\n{}", table(&ppl, nats, cell)))?;
        output::line(difference::nats_line("A", "windows", &differences(&ppl)))?;
    }
    if !gains.is_empty() {
        let nats = |pair: &Pair| [pair.a.value, pair.b.value].map(|nats| format!("{nats:+.4}"));
        let cell = |found: &Difference| difference::nats(Some(found));
        output::line(format!("\n{}", table(&gains, nats, cell)))?;
        output::line(difference::nats_line("A", "windows", &differences(&gains)))?;
    }
    if !tasks.is_empty() {
        let shares = |pair: &Pair| {
            [pair.a.value, pair.b.value].map(|value| format!("{:.1}%", 100.0 * value))
        };
        let cell = |found: &Difference| difference::points(Some(found));
        output::line(format!("\n{}", table(&tasks, shares, cell)))?;
        output::line(difference::points_line("A", &differences(&tasks)))?;
    }
    Ok(())
}

fn differences<'a>(pairs: &[&'a Pair]) -> Vec<&'a Difference> {
    pairs.iter().map(|pair| &pair.difference).collect()
}

/// One row per pair, with the number of windows or trials that both have.
fn table(
    pairs: &[&Pair],
    values: impl Fn(&Pair) -> [String; 2],
    cell: impl Fn(&Difference) -> String,
) -> String {
    let header = ["task", "rope", "context", "A", "B", "difference", "n"].map(str::to_owned);
    let row = |pair: &&Pair| {
        let [a, b] = values(pair);
        let rope = if pair.a.rope == pair.b.rope {
            pair.a.rope.clone()
        } else {
            format!("{}, {}", pair.a.rope, pair.b.rope)
        };
        vec![
            pair.task.clone(),
            rope,
            output::grouped(pair.context),
            a,
            b,
            cell(&pair.difference),
            output::grouped(pair.difference.n),
        ]
    };
    let rows: Vec<Vec<String>> = pairs.iter().map(row).collect();
    output::table(&header, &rows)
}
