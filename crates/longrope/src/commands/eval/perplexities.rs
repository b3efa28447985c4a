//! Measuring perplexity with a progress bar, for `eval ppl`, `compare` and `demo`.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use longrope_data::{TokenDocument, WindowProtocol, plan_windows};
use longrope_eval::{HowMeasured, PplProtocol, PplResult, ScoredWindow, WindowSettings};
use longrope_extend::{
    Interrupt, Models, PplCell, PplEvent, PplOptions, check_windows, perplexities,
};
use longrope_model::ModelConfig;
use serde_json::json;

use super::folder::{Planned, angles_name};
use super::reference::checked_reference;
use crate::commands::not_finite;
use crate::failure::Hint;
use crate::input;
use crate::input::ropes_and_contexts::{NamedRope, contexts, longest_context, ppl_cells};
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

/// Checks that the text has windows of every configured context, before anything is written. Warns of contexts at which text
/// between windows is not scored.
pub(crate) fn check(
    config: &Config,
    models: &Models,
    documents: &[TokenDocument],
    ropes: &[NamedRope],
) -> Result<()> {
    let contexts = contexts(config);
    let cells = ppl_cells(ropes, &contexts)?;
    let options = options(config, models)?;
    check_windows(models, documents, &cells, options)?;
    let gaps = contexts.iter().filter_map(|it| gap(options, *it));
    for line in gaps.chain(unread(&config.eval)) {
        tracing::warn!("{line}");
    }
    Ok(())
}

/// Refuses what cannot be measured whatever the model is, before it is looked for. Returns the longest context.
pub(crate) fn check_given(config: &Config) -> Result<usize> {
    let longest = longest_context(config)?;
    // Without a model, that is what is wrong.
    input::model_folder(config)?;
    check_layout(config)?;
    input::check_text(config)?;
    Ok(longest)
}

/// Refuses windows that cannot be placed as they are configured, whatever the text is.
pub(crate) fn check_layout(config: &Config) -> Result<()> {
    let eval = &config.eval;
    check_stride(eval)?;
    check_within(eval, &config.contexts)?;
    for context in contexts(config) {
        let plan = eval.protocol.plan(context, window_settings(eval), None);
        plan.windows
            .check(context)
            .map_err(|source| longrope_extend::Error::Windows { context, source })?;
    }
    Ok(())
}

/// How windows are configured, without their beginning-of-text token.
fn window_settings(eval: &EvalSection) -> WindowSettings {
    WindowSettings {
        n_windows: eval.windows,
        stride: eval.stride,
        within: eval.within,
        ..WindowSettings::default()
    }
}

/// Refuses what cannot be measured of `model` under the RoPEs `names`, before its weights are loaded. Returns the name of the
/// RoPE that differences are taken to.
pub(crate) fn check_measured(
    config: &Config,
    model: &ModelConfig,
    names: &[String],
) -> Result<Option<String>> {
    input::bos(config, model)?;
    checked_reference(config, names)
}

/// Refuses a stride that the protocol does not take.
fn check_stride(eval: &EvalSection) -> Result<()> {
    let protocol = eval.protocol;
    if eval.stride.is_none() || takes_stride(protocol) {
        return Ok(());
    }
    Err(
        anyhow!("`eval.stride` does not apply to protocol `{protocol}`")
            .context(Hint("leave out one of the two".to_owned())),
    )
}

/// Whether the windows of a protocol lie at multiples of a stride that can be chosen.
pub(super) fn takes_stride(protocol: PplProtocol) -> bool {
    matches!(protocol, PplProtocol::Longrope | PplProtocol::Yarn)
}

/// Keys that have been set and that the protocol does not read, as lines.
fn unread(eval: &EvalSection) -> Vec<String> {
    let default = EvalSection::default();
    let protocol = format!("protocol `{}`", eval.protocol);
    let is_fixed = eval.protocol != PplProtocol::Longrope;
    let mut lines = Vec::new();
    if eval.windows != default.windows && (is_fixed || eval.stride.is_some()) {
        let other = if is_fixed {
            protocol.as_str()
        } else {
            "overlapping windows (`eval.stride`)"
        };
        lines.push(format!("`eval.windows` has no effect with {other}"));
    }
    if eval.bos != default.bos && is_fixed {
        lines.push(format!("`eval.bos` has no effect with {protocol}"));
    }
    lines
}

/// What protocol `yarn` leaves out at a context below its stride, as a line.
fn gap(options: PplOptions, context: usize) -> Option<String> {
    let plan = options.protocol.plan(context, options.windows, None);
    let WindowProtocol::Strided { stride } = plan.windows else {
        return None;
    };
    // The first token of a window is never scored: it is the beginning-of-text token, or nothing predicts it.
    let most = context.saturating_sub(1);
    (context < stride).then(|| {
        format!(
            "protocol `{}` at {context} tokens scores {most} of every {stride} tokens, the distance of its windows: to \
             score all, set `eval.stride` to at most {most}",
            options.protocol
        )
    })
}

/// The results that [`measure`] will have, as far as the configuration says. How many windows they have, and where they
/// have a beginning-of-text token, is not compared with earlier results.
pub(crate) fn planned(config: &Config, ropes: &[NamedRope]) -> Result<Vec<Planned>> {
    let eval = &config.eval;
    let settings = window_settings(eval);
    let cells = ppl_cells(ropes, &contexts(config))?;
    let planned = cells.iter().map(|cell| {
        let layout = eval.protocol.plan(cell.context, settings, None);
        let how = HowMeasured::of_ppl(&PplResult {
            task: "ppl".to_owned(),
            protocol: eval.protocol,
            stride: layout.stride,
            within: layout.within(),
            n_windows: usize::MAX,
            ..PplResult::default()
        });
        let how = how.without("bos");
        let how = how.with("angles", json!(angles_name(eval.angles)));
        Planned::new("ppl", cell.context, &cell.rope, &cell.spec, how)
    });
    Ok(planned.collect())
}

/// As [`planned`], with everything that the windows of the text say.
pub(super) fn planned_on(
    config: &Config,
    models: &Models,
    documents: &[TokenDocument],
    ropes: &[NamedRope],
) -> Result<Vec<Planned>> {
    let options = options(config, models)?;
    let bos_token = match options.protocol {
        PplProtocol::LlamaCpp if !options.adds_bos => None,
        _ => models.decoder().config().bos_token,
    };
    let mut hows: BTreeMap<usize, HowMeasured> = BTreeMap::new();
    for context in contexts(config) {
        let layout = options.protocol.plan(context, options.windows, bos_token);
        let windows = plan_windows(documents, context, layout.windows, layout.bos)?;
        let how = HowMeasured::of_ppl(&PplResult {
            task: "ppl".to_owned(),
            protocol: options.protocol,
            stride: layout.stride,
            within: layout.within(),
            bos: layout.bos.name().to_owned(),
            n_windows: windows.len(),
            ..PplResult::default()
        });
        let angles = json!(angles_name(config.eval.angles));
        hows.insert(context, how.with("angles", angles));
    }
    let cells = ppl_cells(ropes, &contexts(config))?;
    let planned = cells.iter().map(|cell| {
        let how = hows[&cell.context].clone();
        Planned::new("ppl", cell.context, &cell.rope, &cell.spec, how)
    });
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
            bos: input::bos(config, models.decoder().config())?,
            ..window_settings(eval)
        },
        precision: eval.angles.into(),
        protocol: eval.protocol,
        adds_bos: input::adds_bos(config)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::config::BosSetting;

    #[test]
    fn what_a_protocol_does_not_read_is_refused_or_named() {
        let eval = |protocol, stride| EvalSection {
            windows: 4,
            bos: BosSetting::Window,
            stride,
            protocol,
            ..EvalSection::default()
        };
        for protocol in [PplProtocol::Truncate, PplProtocol::LlamaCpp] {
            let refused = check_stride(&eval(protocol, Some(8)));
            assert!(refused.is_err(), "{protocol}");
            check_stride(&eval(protocol, None)).unwrap();
        }
        for protocol in [PplProtocol::Longrope, PplProtocol::Yarn] {
            check_stride(&eval(protocol, Some(8))).unwrap();
        }
        assert_eq!(unread(&eval(PplProtocol::Longrope, None)), [""; 0]);
        assert_eq!(
            unread(&eval(PplProtocol::Longrope, Some(8))),
            ["`eval.windows` has no effect with overlapping windows (`eval.stride`)"]
        );
        assert_eq!(
            unread(&eval(PplProtocol::LlamaCpp, None)),
            [
                "`eval.windows` has no effect with protocol `llama.cpp`",
                "`eval.bos` has no effect with protocol `llama.cpp`",
            ]
        );
        assert_eq!(
            unread(&EvalSection {
                protocol: PplProtocol::Yarn,
                ..EvalSection::default()
            }),
            [""; 0]
        );
    }

    #[test]
    fn windows_that_cannot_be_placed_are_refused_without_a_text() {
        let check = |contexts: &[usize], stride, within, protocol| {
            let config = Config {
                contexts: contexts.to_vec(),
                eval: EvalSection {
                    stride,
                    within,
                    protocol,
                    ..EvalSection::default()
                },
                ..Config::default()
            };
            check_layout(&config).map_err(|error| format!("{error:#}"))
        };
        let own = PplProtocol::Longrope;
        assert_eq!(check(&[64, 128], Some(64), None, own), Ok(()));
        for (refused, expected) in [
            (check(&[1], None, None, own), "context is 1 tokens"),
            (check(&[64, 128], Some(65), None, own), "stride is 65"),
            (check(&[64], Some(0), None, own), "stride is 0"),
            (check(&[64, 256], None, Some(128), own), "within 128"),
        ] {
            let message = refused.unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
        // Its windows may be farther apart than they are long.
        assert_eq!(check(&[64], Some(65), None, PplProtocol::Yarn), Ok(()));
    }

    #[test]
    fn a_context_below_the_stride_leaves_text_out() {
        let gap = |protocol, context, stride| {
            let options = PplOptions {
                windows: WindowSettings {
                    stride,
                    ..WindowSettings::default()
                },
                protocol,
                ..PplOptions::default()
            };
            gap(options, context)
        };
        let line = gap(PplProtocol::Yarn, 128, None).unwrap();
        assert!(
            line.contains("at 128 tokens scores 127 of every 256 tokens"),
            "{line}"
        );
        assert_eq!(gap(PplProtocol::Yarn, 256, None), None);
        assert_eq!(gap(PplProtocol::Yarn, 128, Some(127)), None);
        assert_eq!(gap(PplProtocol::Longrope, 128, None), None);
        assert_eq!(gap(PplProtocol::Truncate, 128, None), None);
    }
}
