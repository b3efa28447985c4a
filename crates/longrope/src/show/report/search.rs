//! The section about a search.

use anyhow::Result;
use longrope_eval::Difference;
use longrope_extend::{Adapted, MethodLoss, SearchResult, Verdict};
use maud::{Markup, html as markup};

use super::data::RunReport;
use super::figures;
use super::parts::{Mark, figure, table};
use crate::show::quantity::Quantity;
use crate::show::{output, search_table};

/// The winner against the methods, the history and the factors.
pub(super) fn section(report: &RunReport) -> Result<Markup> {
    let (history, factors) = (figures::history(report)?, figures::factors(report)?);
    if report.search.is_none() && history.is_none() && factors.is_none() {
        return Ok(markup! {});
    }
    Ok(markup! {
        section {
            h2 { "Search" }
            @if let Some(result) = &report.search {
                @if let Some(verdict) = &result.verdict {
                    (verdict_table(verdict))
                    p.note { (verdict_note(verdict)) }
                    h3 { "On the samples of the search" }
                }
                (search_table(result))
                p.note { (search_note(result)) }
                p {
                    (output::grouped(result.evaluations)) " candidates, "
                    (output::grouped(result.token_evaluations)) " tokens, "
                    (output::duration(result.elapsed_secs)) "; start tokens "
                    (output::grouped(result.start_tokens)) ", attention scale "
                    (output::significant(result.attention_scale)) "."
                }
            }
            @for drawn in factors.iter().chain(&history) { (figure(drawn)) }
        }
    })
}

/// The winner and the methods on text that the search did not see.
fn verdict_table(verdict: &Verdict) -> Markup {
    let rows = search_table::verdict_rows(verdict);
    let mut header = vec!["RoPE", "perplexity of unseen text", "difference, nats"];
    header.extend(rows[0].get(header.len()).map(|_| "passkeys found"));
    let rows = rows.into_iter().enumerate().map(|(index, cells)| {
        let mark = if index == 0 { Mark::Own } else { Mark::None };
        (mark, cells.into_iter().map(or_dash).collect())
    });
    table(&header, rows)
}

fn verdict_note(verdict: &Verdict) -> String {
    format!(
        "On {} of {} tokens that the search did not see. {}Difference: loss minus that of the searched factors, on the same windows{}.",
        output::counted(verdict.held_out.n_windows, "window"),
        output::grouped(verdict.context),
        adapted_note(verdict.adapted.as_ref()),
        intervals(&verdict.baselines)
    )
}

/// One row per RoPE: each quantity in a column of its own.
fn search_table(result: &SearchResult) -> Markup {
    let quantity = Quantity::of_result(result);
    let all = || std::iter::once(&result.searched).chain(&result.baselines);
    let has_answers = all().any(|row| row.answer_nats.is_some());
    let has_passkeys = all().any(|row| row.passkey_accuracy.is_some());
    let mut header = vec![
        "RoPE",
        "text loss, nats/token",
        "perplexity of text",
        "gain on text, nats",
    ];
    if has_answers {
        header.push("answer loss, nats/token");
    }
    if quantity == Quantity::Objective {
        header.push("objective, nats/token");
    }
    if has_passkeys {
        header.push("passkeys found");
    }
    let rows = all().map(|row| {
        let is_own = *row == result.searched;
        let nats =
            |nats: Option<f64>| nats.map_or_else(|| "–".to_owned(), |nats| format!("{nats:.4}"));
        let mut cells = vec![
            row.method.clone(),
            format!("{:.4}", row.nll_nats),
            output::perplexity(row.nll_nats.exp()),
            or_dash(search_table::gain(result, row)),
        ];
        if has_answers {
            cells.push(nats(row.answer_nats));
        }
        if quantity == Quantity::Objective {
            let own = is_own.then_some(result.best_nats);
            cells.push(nats(own.or_else(|| result.objective_of(row))));
        }
        if has_passkeys {
            cells.push(or_dash(search_table::passkeys(row)));
        }
        (if is_own { Mark::Own } else { Mark::None }, cells)
    });
    table(&header, rows)
}

/// A dash for an empty cell.
fn or_dash(cell: String) -> String {
    if cell.is_empty() {
        "–".to_owned()
    } else {
        cell
    }
}

fn search_note(result: &SearchResult) -> String {
    let reason = result.objective_choice.as_ref();
    let reason = reason.map_or_else(String::new, |choice| format!(", because {}", choice.reason));
    format!(
        "The search minimized: {}{reason}. {}Gain: how much lower the text loss of the searched factors is; negative means that they are worse on text{}. All numbers are of the samples that the search selected its winner on, which flatter it.",
        result.objective,
        adapted_note(result.adapted.as_ref()),
        intervals(&result.baselines)
    )
}

/// A sentence about the training before every measurement; empty without one.
fn adapted_note(adapted: Option<&Adapted>) -> String {
    adapted.map_or_else(String::new, |adapted| {
        format!("The model was adapted to each RoPE before it was measured ({adapted}). ")
    })
}

/// What the table says about the certainty of differences.
fn intervals(methods: &[MethodLoss]) -> &'static str {
    let differences = methods
        .iter()
        .filter_map(|method| method.difference.as_ref());
    let mut intervals = differences.map(Difference::half_width);
    if intervals.any(|half| half.is_some()) {
        ", ± half of its 95% interval; ~ marks what may be chance"
    } else {
        ""
    }
}
