//! Sentences that compare the searched or trained model with the others, on text and on passkeys.

use longrope_eval::{PplResult, TaskResult, task_difference, window_difference};

use super::effective::reach;
use super::groups::{Group, Row};
use super::numbers::{percent, ppl_interval, relation};
use crate::show::{difference, output};

/// The last row of our own at the longest context at which there is one, and the rows of that context.
fn own_at_longest<'a, 'g, T>(
    group: &'g Group<'a, T>,
) -> Option<(&'g Row<'a, T>, Vec<&'g Row<'a, T>>)> {
    let own = group.rows.iter().rev().find(|row| row.is_own)?;
    let others = group.rows.iter();
    let others = others.filter(|row| row.context == own.context && !row.is_own);
    Some((own, others.collect()))
}

/// A comparison on text.
pub(super) struct OnText {
    pub(super) sentence: String,
    /// The RoPE of the best of the others.
    pub(super) best_other: Option<String>,
}

/// The searched or trained model against the best of the others, on text.
pub(super) fn better(group: &Group<'_, PplResult>) -> Option<OnText> {
    let (own, others) = own_at_longest(group)?;
    let by_ppl = |a: &&&Row<'_, PplResult>, b: &&&Row<'_, PplResult>| {
        a.result.reported_ppl().total_cmp(&b.result.reported_ppl())
    };
    let ppl = own.result.reported_ppl();
    let begin = format!(
        "At {} tokens, the perplexity of {} is {} (95% interval {})",
        output::grouped(own.context),
        group.label(own),
        output::perplexity(ppl),
        ppl_interval(own.result)
    );
    let Some(best) = others.iter().min_by(by_ppl) else {
        return Some(OnText {
            sentence: format!("{begin}. Nothing else was measured there."),
            best_other: None,
        });
    };
    let other = best.result.reported_ppl();
    Some(OnText {
        sentence: format!(
            "{begin}; the best of the others, {}, has {}: {}. {}",
            group.label(best),
            output::perplexity(other),
            verdict(own.result, best.result),
            windows(own.result.n_windows)
        ),
        best_other: Some(best.rope.clone()),
    })
}

/// Whether one perplexity is better than another on the same windows.
pub(super) fn verdict(own: &PplResult, other: &PplResult) -> String {
    let (mine, theirs) = (own.reported_ppl(), other.reported_ppl());
    let relation = relation(mine, theirs);
    let side = if mine < theirs { "better" } else { "worse" };
    match window_difference(own, other) {
        Ok(paired) if paired.distinguishable => {
            let nats = difference::nats(Some(&paired));
            format!("{relation} ({nats} nats per token), so it is {side} on this text")
        }
        Ok(paired) => {
            let nats = difference::nats(Some(&paired));
            let nats = nats.trim_end_matches(" ~");
            format!("these windows do not tell them apart ({nats} nats per token)")
        }
        // Files of older versions do not have the losses of their windows.
        Err(_) => format!("{relation}, of unknown certainty"),
    }
}

/// How much a comparison of perplexities rests on.
pub(super) fn windows(n: usize) -> String {
    match n {
        1 => "This is a single window: too little to tell.".to_owned(),
        n if n < 8 => format!("These are only {n} windows."),
        n => format!("Both are of the same {} windows.", output::grouped(n)),
    }
}

/// Passkeys found, by our own, by the best of the others, and by those that another sentence compares our own with on text.
pub(super) fn passkeys(group: &Group<'_, TaskResult>, on_text: &[String]) -> Option<String> {
    if group.rows.first()?.result.task != "passkey" {
        return None;
    }
    let (own, others) = own_at_longest(group)?;
    let share = own.result.metric.value;
    let found = format!(
        "At {} tokens, {} finds {} of {} passkeys",
        output::grouped(own.context),
        group.label(own),
        percent(share, own.result.n),
        output::grouped(own.result.n)
    );
    let value = |row: &Row<'_, TaskResult>| row.result.metric.value;
    // Of rows that find equally many, those that are compared on text.
    let is_named = |row: &Row<'_, TaskResult>| on_text.contains(&row.rope);
    let best = others.iter().copied().max_by(|a, b| {
        let by_keys = value(a).total_cmp(&value(b));
        by_keys.then(is_named(a).cmp(&is_named(b)))
    });
    let named = others.iter().copied().filter(|row| is_named(row));
    let mut compared: Vec<&Row<'_, TaskResult>> = best.into_iter().chain(named).collect();
    let mut seen: Vec<&str> = Vec::new();
    compared.retain(|row| {
        let is_new = !seen.contains(&row.rope.as_str());
        seen.push(&row.rope);
        is_new
    });
    let compared = compared.iter().map(|row| {
        format!(
            ", {} finds {}{}",
            group.label(row),
            percent(value(row), row.result.n),
            chance(own.result, row.result)
        )
    });
    let compared: String = compared.collect();
    Some(format!("{found}{compared}.{}", reach_after(own)))
}

/// A sentence about how far a row keeps its score, to go after another one.
pub(super) fn reach_after(row: &Row<'_, TaskResult>) -> String {
    reach(row).map_or_else(String::new, |sentence| format!(" {sentence}"))
}

/// A remark about a difference that the trials do not prove.
fn chance(own: &TaskResult, other: &TaskResult) -> &'static str {
    match task_difference(own, other) {
        Ok(paired) if !paired.distinguishable => " (the difference may be chance)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use longrope_eval::MetricValue;
    use longrope_model::ResultSource;

    use super::*;
    use crate::show::report::data::{Evaluation, RunReport};
    use crate::show::report::groups;

    fn found(rope: &str, share: f64) -> TaskResult {
        TaskResult {
            task: "passkey".to_owned(),
            rope: rope.to_owned(),
            context: 1024,
            n: 10,
            metric: MetricValue {
                name: "accuracy".to_owned(),
                value: share,
                ..MetricValue::default()
            },
            ..TaskResult::default()
        }
    }

    #[test]
    fn the_passkeys_of_the_alternative_on_text_are_named() {
        let report = RunReport {
            run: "run".to_owned(),
            evaluations: vec![Evaluation {
                file: "eval/passkey.json".to_owned(),
                source: Some(ResultSource {
                    model: "m".to_owned(),
                    ..ResultSource::default()
                }),
                perplexities: Vec::new(),
                tasks: vec![
                    found("none", 0.0),
                    found("yarn", 0.9),
                    found("rope.json", 1.0),
                ],
                effective_lengths: Vec::new(),
            }],
            ..RunReport::default()
        };
        let groups = groups::tasks(&report);
        assert_eq!(
            passkeys(&groups[0], &["none".to_owned()]).unwrap(),
            "At 1,024 tokens, rope.json finds 100% of 10 passkeys, yarn finds 90%, none finds 0%."
        );
        assert_eq!(
            passkeys(&groups[0], &[]).unwrap(),
            "At 1,024 tokens, rope.json finds 100% of 10 passkeys, yarn finds 90%."
        );
    }
}
