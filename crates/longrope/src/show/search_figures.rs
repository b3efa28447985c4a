//! The plots of a search.

use anyhow::Result;
use longrope_extend::{RunFolder, SearchOutcome};
use longrope_figures::Series;
use longrope_rope::RopeSpec;
use longrope_search::factor_curves;

use crate::show::output;
use crate::show::quantity::Quantity;

/// Writes `factors.svg` and `history.svg` into the run folder.
pub(crate) fn write(run: &RunFolder, outcome: &SearchOutcome) -> Result<()> {
    run.write("factors.svg", &factor_plot("searched", &outcome.winner)?)?;
    run.write("history.svg", &history_plot(outcome)?)?;
    Ok(())
}

/// The factors by pair, with those of the methods for the longest context of the RoPE.
pub(crate) fn factor_plot(name: &'static str, spec: &RopeSpec) -> Result<String> {
    let curves = factor_curves(name, spec)?;
    let series = curves.into_iter().enumerate();
    let series: Vec<Series> = series
        .map(|(index, curve)| Series {
            name: curve.name,
            points: curve.points,
            emphasized: index == 0,
            ..Series::default()
        })
        .collect();
    let target = output::grouped(spec.max_context());
    let title = format!("Rescale factors for {target} tokens");
    Ok(longrope_figures::factor_curve(&title, &series)?)
}

/// Best and median score by generation, with the scores of the methods as horizontal lines.
fn history_plot(outcome: &SearchOutcome) -> Result<String> {
    let history = outcome.search.state().history();
    let best: Vec<(usize, f64)> = history
        .iter()
        .map(|generation| (generation.index, generation.best.score))
        .collect();
    let median: Vec<(usize, f64)> = history
        .iter()
        .map(|generation| (generation.index, generation.median))
        .filter(|(_, nats)| nats.is_finite())
        .collect();
    let quantity = Quantity::of_result(&outcome.result);
    let title = format!("Best {} by generation", quantity.name());
    Ok(longrope_figures::loss_history(
        &title,
        &quantity.axis(),
        &best,
        &median,
        &outcome.method_scores,
    )?)
}
