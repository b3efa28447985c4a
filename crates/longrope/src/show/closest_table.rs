//! Tables about a RoPE that was fitted for a runtime.

use longrope_extend::{ClosestRope, WindowComparison};
use longrope_rope::{RopeScaling, RopeSpec};
use longrope_search::closest::{Fit, Form};

use super::{difference, output};

/// The losses of all RoPEs that were tried.
pub(crate) fn tried(chosen: &ClosestRope, samples: usize, context: usize) -> String {
    let header = ["tried".to_owned(), "nats/token".to_owned()];
    let rows: Vec<Vec<String>> = chosen
        .tried
        .iter()
        .map(|(name, nats)| vec![name.clone(), format!("{nats:.4}")])
        .collect();
    format!(
        "\n{}\non {} of {} tokens\n",
        output::table(&header, &rows),
        output::counted(samples, "sample"),
        output::grouped(context)
    )
}

/// The chosen RoPE in words.
pub(crate) fn words(fit: &Fit, original: usize) -> String {
    let numbers = numbers(&fit.written, original);
    if fit.form == Form::AsItIs {
        return "chosen: as it is, as far as it can be written".to_owned();
    }
    format!("chosen: {}{numbers}", fit.form)
}

fn numbers(spec: &RopeSpec, original: usize) -> String {
    let moved = if spec.original_context == original {
        String::new()
    } else {
        format!(", original context {}", spec.original_context)
    };
    match &spec.scaling {
        RopeScaling::Yarn {
            scale,
            beta_fast,
            beta_slow,
            ..
        } => format!(
            " (factor {scale:.3}, theta {:.0}, beta {beta_fast:.2} and {beta_slow:.2}, attention scale {:.4}{moved})",
            spec.theta,
            spec.attention_scale(original)
        ),
        RopeScaling::Linear { scale } => format!(" (factor {scale:.3})"),
        RopeScaling::Theta { theta } => format!(" (base {theta:.0})"),
        RopeScaling::LongRope { .. } => format!(
            " (attention scale {:.4}{moved})",
            spec.attention_scale(spec.max_context())
        ),
        _ => moved,
    }
}

/// Losses of RoPEs on windows of several lengths, with differences to the first RoPE.
pub(crate) fn comparison(found: &[WindowComparison]) -> String {
    let cells = found.iter().flat_map(|at| {
        at.losses.iter().map(|loss| {
            let nats = format!("{:.4}", loss.nll_nats);
            (loss.method.as_str(), at.context, nats)
        })
    });
    let losses = output::by_context_of("nats/token", cells);
    let differences = found.iter().flat_map(|at| {
        let others = at.losses.iter().filter(|loss| loss.difference.is_some());
        others.map(|loss| {
            let text = difference::nats(loss.difference.as_ref());
            (loss.method.as_str(), at.context, text)
        })
    });
    let table = output::by_context_of("difference", differences);
    let all: Vec<_> = found
        .iter()
        .flat_map(|at| &at.losses)
        .filter_map(|loss| loss.difference.as_ref())
        .collect();
    let line = all
        .first()
        .map(|first| difference::nats_line(&first.reference, "windows", &all));
    let seen = if found.iter().any(|at| !at.is_held_out) {
        "; too little text to hold some out: it is that of the choice"
    } else {
        ""
    };
    format!(
        "\n{losses}\n\n{table}\n{}{seen}\n",
        line.unwrap_or_default()
    )
}
