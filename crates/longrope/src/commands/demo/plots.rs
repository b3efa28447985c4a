//! The plots of the demo.

use std::path::Path;

use anyhow::Result;
use longrope_data::write_atomically;
use longrope_eval::{PplResult, TaskResult};
use longrope_figures::Series;

use super::measured::{Measured, SEARCHED};

/// Draws what was measured, by context.
pub(super) fn write_plots(out: &Path, measured: &Measured) -> Result<()> {
    let plots = [
        ("perplexity.svg", perplexity_plot(&measured.perplexities)?),
        ("passkeys.svg", passkey_plot(&measured.passkeys)?),
    ];
    for (name, svg) in &plots {
        write_atomically(&out.join(name), svg.as_bytes())?;
    }
    Ok(())
}

/// Perplexity by context, one line per RoPE.
fn perplexity_plot(results: &[PplResult]) -> Result<String> {
    let points = results
        .iter()
        .map(|result| (result.rope.as_str(), result.context, result.reported_ppl()));
    let series = by_rope(points);
    Ok(longrope_figures::perplexity_by_context(
        "Perplexity on unseen text",
        &series,
    )?)
}

/// Share of passkeys found by context, one line per RoPE.
fn passkey_plot(results: &[TaskResult]) -> Result<String> {
    let points = results.iter().map(|result| {
        (
            result.rope.as_str(),
            result.context,
            100.0 * result.metric.value,
        )
    });
    let series = by_rope(points);
    Ok(longrope_figures::share_by_context(
        "Passkeys found",
        &series,
    )?)
}

/// One line per RoPE, in the order of their first occurrence.
fn by_rope<'a>(points: impl Iterator<Item = (&'a str, usize, f64)>) -> Vec<Series<'a>> {
    let mut series: Vec<Series> = Vec::new();
    for (rope, context, value) in points {
        let point = (context as f64, value);
        match series.iter_mut().find(|line| line.name == rope) {
            Some(line) => line.points.push(point),
            None => series.push(Series {
                name: rope,
                points: vec![point],
                emphasized: rope == SEARCHED,
                ..Series::default()
            }),
        }
    }
    series
}
