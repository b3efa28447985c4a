//! Perplexities with a progress bar: what `eval ppl`, `compare` and `demo` have in common.

use anyhow::Result;
use longrope_data::TokenDocument;
use longrope_eval::PplResult;
use longrope_extend::{Interrupt, MeasuredPpl, Models, PplOptions, perplexities};

use crate::input;
use crate::input::rope_arg::{NamedRope, ppl_cells};
use crate::settings::config::Config;
use crate::show::progress;

/// Measures every RoPE at every configured context, on the same windows and on all devices.
pub(crate) fn measure(
    config: &Config,
    models: &Models,
    documents: &[TokenDocument],
    ropes: &[NamedRope],
    interrupt: &Interrupt,
) -> Result<Vec<MeasuredPpl>> {
    let eval = &config.eval;
    let options = PplOptions {
        windows: eval.windows,
        stride: eval.stride,
        bos: input::bos(config, models.decoder().config())?,
        precision: eval.angles.into(),
        protocol: eval.protocol,
    };
    let cells = ppl_cells(ropes, &config.contexts)?;
    let bar = progress::bar("scoring tokens", 0);
    let mut watch = |n_run, n_tokens| {
        bar.set_length(n_tokens);
        bar.set_position(n_run);
    };
    let measured = perplexities(models, documents, &cells, options, interrupt, &mut watch);
    bar.finish_and_clear();
    Ok(measured?)
}

/// The results without their windows.
pub(crate) fn results(measured: Vec<MeasuredPpl>) -> Vec<PplResult> {
    measured.into_iter().map(|cell| cell.result).collect()
}
