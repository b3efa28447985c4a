//! Measuring perplexity with a progress bar, for `eval ppl`, `compare` and `demo`.

use anyhow::{Result, anyhow};
use longrope_data::TokenDocument;
use longrope_eval::{PplProtocol, PplResult, ScoredWindow, WindowSettings};
use longrope_extend::{
    Interrupt, Models, PplCell, PplEvent, PplOptions, check_windows, perplexities,
};

use super::folder::Planned;
use crate::commands::not_finite;
use crate::failure::Hint;
use crate::input;
use crate::input::ropes_and_contexts::{NamedRope, contexts, ppl_cells};
use crate::settings::config::{Config, EvalSection};
use crate::terminal::progress;

/// Measures every RoPE at every configured context, on the same windows and on all devices. Calls `each` with every
/// scored window.
pub(crate) fn measure(
    config: &Config,
    models: &Models,
    documents: &[TokenDocument],
    ropes: &[NamedRope],
    interrupt: &Interrupt,
    mut each: impl FnMut(&PplCell, &ScoredWindow) -> Result<()>,
) -> Result<Vec<PplResult>> {
    let options = options(config, models)?;
    let cells = ppl_cells(ropes, &contexts(config))?;
    let bar = progress::bar("scoring tokens", 0);
    let mut handled = Ok(());
    let mut watch = |event: PplEvent| match event {
        PplEvent::Scoring { n_run, n_tokens } => {
            bar.set_length(n_tokens);
            bar.set_position(n_run);
        }
        PplEvent::Window { cell, window } if handled.is_ok() => handled = each(cell, window),
        _ => {}
    };
    let results = perplexities(models, documents, &cells, options, interrupt, &mut watch);
    bar.finish_and_clear();
    let results =
        results.map_err(|error| not_finite::explain(error.into(), config.model.as_deref()))?;
    handled?;
    Ok(results)
}

/// Checks that the text has windows of every configured context, before anything is written.
pub(crate) fn check(
    config: &Config,
    models: &Models,
    documents: &[TokenDocument],
    ropes: &[NamedRope],
) -> Result<()> {
    let cells = ppl_cells(ropes, &contexts(config))?;
    Ok(check_windows(
        models,
        documents,
        &cells,
        options(config, models)?,
    )?)
}

/// The results that [`measure`] will have.
pub(crate) fn planned(config: &Config, ropes: &[NamedRope]) -> Result<Vec<Planned>> {
    let cells = ppl_cells(ropes, &contexts(config))?;
    let cells = cells.iter();
    let planned = cells.map(|cell| Planned::new("ppl", cell.context, &cell.rope, &cell.spec));
    Ok(planned.collect())
}

/// Refuses `eval.within` where windows are placed in another way, and contexts that would score less of the text.
fn check_within(eval: &EvalSection, contexts: &[usize]) -> Result<()> {
    let Some(within) = eval.within else {
        return Ok(());
    };
    let other = if eval.stride.is_some() {
        Some("overlapping windows (`eval.stride`)".to_owned())
    } else if eval.protocol != PplProtocol::Longrope {
        Some(format!("protocol `{}`", eval.protocol))
    } else {
        None
    };
    if let Some(other) = other {
        return Err(anyhow!("`eval.within` does not apply to {other}")
            .context(Hint("leave out one of the two".to_owned())));
    }
    // Longer contexts are refused with the text.
    let uneven = contexts
        .iter()
        .find(|context| **context < within && !within.is_multiple_of(**context));
    match uneven {
        None => Ok(()),
        Some(context) => Err(anyhow!(
            "`eval.within` is {within}, but {context} does not divide it: {} of {within} tokens would not be scored",
            within % context
        )
        .context(Hint(
            "all contexts score the same text if each divides it; powers of two do".to_owned(),
        ))),
    }
}

fn options(config: &Config, models: &Models) -> Result<PplOptions> {
    let eval = &config.eval;
    check_within(eval, &config.contexts)?;
    Ok(PplOptions {
        windows: WindowSettings {
            n_windows: eval.windows,
            stride: eval.stride,
            within: eval.within,
            bos: input::bos(config, models.decoder().config())?,
        },
        precision: eval.angles.into(),
        protocol: eval.protocol,
        adds_bos: input::adds_bos(config)?,
    })
}
