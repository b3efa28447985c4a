//! Tables of perplexity by RoPE and context, with the protocol.

use longrope_eval::{PplProtocol, PplResult};

use crate::show::output;

/// One row per RoPE, one column per context.
pub(crate) fn perplexity_table(results: &[PplResult]) -> String {
    let cells = results.iter().map(|result| {
        (
            result.rope.as_str(),
            result.context,
            output::perplexity(result.reported_ppl()),
        )
    });
    output::by_context(cells)
}

/// Says that windows of a fixed length were divided, so that all contexts scored the same text.
pub(crate) fn same_text(result: &PplResult) -> String {
    let say = |within| format!(", all within windows of {}", output::grouped(within));
    result.within.map(say).unwrap_or_default()
}

/// A line about how the numbers of a table were measured.
pub(crate) fn protocol_line(results: &[PplResult]) -> String {
    let Some(first) = results.first() else {
        return String::new();
    };
    let tokens = results.iter().map(|r| r.n_tokens).max().unwrap_or(0);
    let windows: Vec<usize> = results.iter().map(|r| r.n_windows).collect();
    let (least, most) = (
        windows.iter().min().copied().unwrap_or(0),
        windows.iter().max().copied().unwrap_or(0),
    );
    let count = if least == most {
        output::counted(most, "window")
    } else {
        format!("{least} to {most} windows")
    };
    let overlap = if results.iter().all(|r| r.stride == r.context) {
        "not overlapping".to_owned()
    } else {
        format!("stride {}", first.stride)
    };
    let mean = match first.protocol {
        PplProtocol::Longrope => "exp(nats/token)",
        PplProtocol::Yarn => "of window means (yarn)",
        PplProtocol::Truncate => "of document means (truncate)",
        PplProtocol::LlamaCpp => "exp(nats/token) of second halves (llama.cpp)",
    };
    format!(
        "perplexity {mean}, {count} per context, {overlap}{}, up to {} scored tokens, bos: {}",
        same_text(first),
        output::grouped(tokens),
        first.bos
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_the_perplexity_of_the_protocol() {
        let result = PplResult {
            rope: "none".to_owned(),
            context: 512,
            ppl: 2.0,
            ppl_window_mean: 3.0,
            protocol: PplProtocol::Yarn,
            ..PplResult::default()
        };
        let table = perplexity_table(&[result]);
        assert!(
            table.contains("3.000") && !table.contains("2.000"),
            "{table}"
        );
    }
}
