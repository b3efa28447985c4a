//! The table at the end of a search.

use longrope_extend::{MethodLoss, ObjectiveChoice, ObjectiveKind, SearchResult, Verdict};

use crate::show::{difference, output};

/// How a search that is left to choose its objective does so.
pub(crate) const WILL_CHOOSE: &str = "tried in seconds when it begins: combined if the model finds passkeys within its own \
    window, else perplexity; `search.objective` sets it";

/// The winner, then every method with the winner's gain over it.
pub(crate) fn result_table(result: &SearchResult) -> String {
    let rows: Vec<&MethodLoss> = std::iter::once(&result.searched)
        .chain(&result.baselines)
        .collect();
    let has_answers = rows.iter().any(|row| row.answer_nats.is_some());
    let has_passkeys = rows.iter().any(|row| row.passkey_accuracy.is_some());
    let mut header = vec!["rope", "nats/token", "perplexity", "gain (nats)"];
    if has_answers {
        header.push("answer perplexity");
    }
    if has_passkeys {
        header.push("passkeys found");
    }
    let header: Vec<String> = header.into_iter().map(str::to_owned).collect();
    let cells = |row: &MethodLoss| {
        let mut cells = vec![
            row.method.clone(),
            format!("{:.4}", row.nll_nats),
            output::perplexity(row.nll_nats.exp()),
            gain(result, row),
        ];
        if has_answers {
            let nats = row.answer_nats.map(f64::exp);
            cells.push(nats.map_or_else(String::new, output::perplexity));
        }
        if has_passkeys {
            cells.push(passkeys(row));
        }
        cells
    };
    let rows: Vec<Vec<String>> = rows.into_iter().map(cells).collect();
    output::table(&header, &rows)
}

/// A line about the gains; `None` for results of older versions.
pub(crate) fn gain_line(result: &SearchResult) -> Option<String> {
    let all: Vec<_> = result
        .baselines
        .iter()
        .filter_map(|row| row.difference.as_ref())
        .collect();
    let line = difference::nats_line(&all.first()?.reference, "samples", &all);
    let line = line.replacen("difference:", "gain:", 1);
    Some(format!(
        "{line}. The winner was chosen on these samples, so its gain on other text is smaller"
    ))
}

/// The verdict: the measurements on text that the search did not see, and what to do; `None` without one.
pub(crate) fn verdict(result: &SearchResult) -> Option<String> {
    let verdict = result.verdict.as_ref()?;
    let rows = verdict_rows(verdict);
    let mut header = vec!["on unseen text", "perplexity", "difference (nats)"];
    header.extend(rows[0].get(header.len()).map(|_| "passkeys found"));
    let header: Vec<String> = header.into_iter().map(str::to_owned).collect();
    let table = output::table(&header, &rows);
    Some(format!("{table}\n{}", verdict.lines.join("\n")))
}

/// The winner, then the methods: name, perplexity, difference and, if they were measured, passkeys.
pub(crate) fn verdict_rows(verdict: &Verdict) -> Vec<Vec<String>> {
    let all = || std::iter::once(&verdict.searched).chain(&verdict.baselines);
    let has_passkeys = all().any(|row| row.passkey_accuracy.is_some());
    let cells = |row: &MethodLoss| {
        let mut cells = vec![
            row.method.clone(),
            output::perplexity(row.nll_nats.exp()),
            difference::nats(row.difference.as_ref()),
        ];
        cells.extend(has_passkeys.then(|| passkeys(row)));
        cells
    };
    all().map(cells).collect()
}

/// The passkeys that a method finds, `8 of 10`; empty if they were not tried.
pub(crate) fn passkeys(row: &MethodLoss) -> String {
    match (row.passkey_accuracy, row.passkeys_found.len()) {
        (None, _) => String::new(),
        // Files of older versions do not say how many were tried.
        (Some(share), 0) => format!("{:.0}%", 100.0 * share),
        (Some(_), n) => {
            let found = output::grouped(row.n_passkeys());
            format!("{found} of {}", output::grouped(n))
        }
    }
}

/// How much better the winner is than a method, on the samples of the search; empty for the winner.
pub(crate) fn gain(result: &SearchResult, row: &MethodLoss) -> String {
    match &row.difference {
        _ if *row == result.searched => String::new(),
        Some(found) => difference::nats(Some(found)),
        // Results of older versions.
        None => format!("{:+.4}", row.nll_nats - result.searched.nll_nats),
    }
}

/// A line about the objective that a search chose.
pub(crate) fn chosen(choice: &ObjectiveChoice) -> String {
    let (name, other) = match choice.objective {
        ObjectiveKind::Perplexity => ("perplexity", "combined"),
        _ => ("combined, text and passkeys", "perplexity"),
    };
    format!(
        "objective: {name}, because {}; for the other one, --objective {other}",
        choice.reason
    )
}

/// A line with the cost of the search and the rest of the result.
pub(crate) fn cost(result: &SearchResult) -> String {
    let saved = match result.token_evaluations_saved {
        0 => String::new(),
        saved => format!("{} saved by racing, ", output::grouped(saved)),
    };
    format!(
        "{} ({}), {saved}{}; start tokens {}, attention scale {:.4}",
        output::counted(result.evaluations, "evaluation"),
        output::counted(result.token_evaluations, "token"),
        output::duration(result.elapsed_secs),
        result.start_tokens,
        result.attention_scale
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn passkeys_are_counted_if_the_file_says_how_many_were_tried() {
        let shown = |found: Value| {
            let row = json!({
                "method": "yarn", "nll_nats": 2.0, "passkey_accuracy": 0.8, "passkeys_found": found,
            });
            passkeys(&serde_json::from_value(row).unwrap())
        };
        assert_eq!(shown(json!([1, 1, 0, 1, 1])), "4 of 5");
        assert_eq!(shown(json!([])), "80%");
        let row = json!({"method": "yarn", "nll_nats": 2.0});
        assert_eq!(passkeys(&serde_json::from_value(row).unwrap()), "");
    }
}
