//! The summary of a run in sentences: what was extended, to where, whether it is better, and what it costs.

use std::path::Path;

use longrope_eval::{MetricValue, PplResult, TaskResult, is_in_nats};
use longrope_extend::{MethodLoss, SearchResult, Verdict};
use longrope_trainer::run::records::{self, Record};

use super::comparisons::{better, passkeys, reach_after, verdict, windows};
use super::data::{RunReport, Training};
use super::figures::name_of;
use super::groups::{self, Group, Row, inside};
use super::numbers::{nats_interval, percent, ppl_interval, relation};
use super::parts::sentence;
use crate::show::{output, search_table};

/// The sentences, most important first.
pub(crate) fn sentences(report: &RunReport) -> Vec<String> {
    let perplexities = groups::perplexities(report);
    let tasks = groups::tasks(report);
    let mut sentences = vec![what(report)];
    let is_trained = report.parts().any(|part| !part.training.is_empty());
    let text = perplexities.iter().rev().find_map(better);
    let (better, mut alternatives) = text.map_or((None, Vec::new()), |text| {
        (Some(text.sentence), text.best_other.into_iter().collect())
    });
    let measured = better.is_some();
    let trainings: Vec<(&RunReport, &Training)> = report
        .parts()
        .flat_map(|part| part.training.iter().map(move |training| (part, training)))
        .collect();
    for (part, training) in &trainings {
        let name = (trainings.len() > 1).then(|| part.name());
        sentences.extend(trained(training, name.as_deref(), measured));
    }
    sentences.extend(better);
    if let Some(search) = report
        .parts()
        .filter_map(|part| part.search.as_ref())
        .last()
    {
        match &search.verdict {
            // A training has changed what the verdict is about.
            Some(_) if measured && is_trained => {}
            Some(verdict) => {
                sentences.extend(of_verdict(&verdict.lines));
                alternatives.extend(best_on_text(verdict));
            }
            None if !measured => sentences.extend(on_samples(search)),
            None => {}
        }
    }
    let passkeys = |group| passkeys(group, &alternatives);
    sentences.extend(tasks.iter().rev().find_map(passkeys));
    let extends = report.parts().any(|part| part.search.is_some());
    match perplexities
        .iter()
        .rev()
        .find_map(|group| price(report, group))
    {
        Some(price) => sentences.push(price),
        None if extends => sentences
            .push("What the extension costs at short contexts was not measured.".to_owned()),
        None => {}
    }
    if !measured && !extends {
        sentences.extend(perplexities.iter().map(|group| lowest(group)));
        sentences.extend(tasks.iter().filter_map(highest));
    }
    sentences
}

/// The verdict of a search, a sentence per line.
fn of_verdict(lines: &[String]) -> impl Iterator<Item = String> {
    lines.iter().enumerate().map(|(index, line)| {
        if index == 0 {
            sentence(&format!("the searched factors, {line}"))
        } else {
            sentence(line)
        }
    })
}

/// The method that is the best on the text of a verdict.
fn best_on_text(verdict: &Verdict) -> Option<String> {
    let methods = verdict.baselines.iter();
    let best = methods.min_by(|a, b| a.nll_nats.total_cmp(&b.nll_nats))?;
    Some(best.method.clone())
}

/// What was done to which model.
fn what(report: &RunReport) -> String {
    let model = report
        .setting("model")
        .or_else(|| {
            let mut all = report.parts().flat_map(|part| &part.evaluations);
            all.find_map(|evaluation| Some(evaluation.source.as_ref()?.model.clone()))
        })
        .map_or_else(
            || "The model".to_owned(),
            |model| format!("`{}`", name_of(&model)),
        );
    let target = report.parts().filter_map(target).max();
    let original = report.parts().find_map(original);
    let n_trainings = report
        .parts()
        .map(|part| part.training.len())
        .sum::<usize>();
    if report.kind.as_deref() == Some("pretrain") {
        return "A small model was trained from scratch.".to_owned();
    }
    let trained = if n_trainings > 0 { "with" } else { "without" };
    match (target, original) {
        (Some(target), Some(original)) if target > original => format!(
            "{model} reads {} tokens instead of {} ({} times as many), {trained} training.",
            output::grouped(target),
            output::grouped(original),
            output::significant(target as f64 / original as f64),
        ),
        (Some(target), _) => format!(
            "Factors were searched for {model} at {} tokens.",
            output::grouped(target)
        ),
        (None, _) if n_trainings > 0 => format!("{model} was trained."),
        (None, _) => {
            let parts = report.parts().flat_map(|part| &part.evaluations);
            let mut models: Vec<String> = parts
                .filter_map(|evaluation| Some(evaluation.source.as_ref()?.model.clone()))
                .collect();
            models.sort();
            models.dedup();
            match models.as_slice() {
                [] | [_] => format!("{model} was measured."),
                models => format!(
                    "{} models were measured: {}.",
                    models.len(),
                    models
                        .iter()
                        .map(|model| format!("`{model}`"))
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            }
        }
    }
}

/// The context that a run extends to, tokens.
fn target(report: &RunReport) -> Option<usize> {
    let of_search = report.search.as_ref().map(|search| search.target_context);
    let of_rope = report.rope.as_ref().map(|rope| rope.spec().max_context());
    of_search.max(of_rope)
}

/// The context that the model was trained for, tokens.
fn original(report: &RunReport) -> Option<usize> {
    Some(report.rope.as_ref()?.original_context)
}

/// The training loss and the held-out perplexity, at the beginning and at the end. `name` tells several trainings apart.
/// `is_measured`: whether the trained model was measured after the training.
fn trained(training: &Training, name: Option<&str>, is_measured: bool) -> Option<String> {
    let steps = records::total_steps(&training.lines).into_iter().max()?;
    let phases = records::phases(&training.lines).len();
    let phases = if phases > 1 {
        format!(" in {phases} phases")
    } else {
        String::new()
    };
    let context = training.lines.iter().rev().find_map(|line| match line {
        Record::Eval { context, .. } => Some(*context),
        _ => None,
    });
    let name = name.map_or_else(String::new, |name| format!(" `{name}`"));
    let unit = if steps == 1 { "step" } else { "steps" };
    let begin = format!(
        "Training{name} made {} {unit}{phases}",
        output::grouped(steps)
    );
    let Some(context) = context else {
        if is_measured {
            return Some(format!("{begin}."));
        }
        return Some(format!(
            "{begin}. Nothing was held out, so there is no measure of its effect."
        ));
    };
    let measured: Vec<f64> = training
        .lines
        .iter()
        .filter_map(|line| match line {
            Record::Eval {
                ppl, context: own, ..
            } if *own == context && ppl.is_finite() => Some(*ppl),
            _ => None,
        })
        .collect();
    let at = context.map_or_else(String::new, |context| {
        format!(" at {} tokens", output::grouped(context))
    });
    Some(match measured.as_slice() {
        [] => format!("{begin}."),
        [only] => format!(
            "{begin}; held-out perplexity{at}: {}.",
            output::perplexity(*only)
        ),
        [first, .., last] => format!(
            "{begin}; held-out perplexity{at}: {} at the end, {} at the first measurement ({}).",
            output::perplexity(*last),
            output::perplexity(*first),
            relation(*last, *first)
        ),
    })
}

/// The change inside the original window: our own against the model as it was.
fn price(report: &RunReport, group: &Group<'_, PplResult>) -> Option<String> {
    let original = report.parts().find_map(original)?;
    let context = group
        .contexts()
        .into_iter()
        .rfind(|context| *context <= original)?;
    let rows = group.rows.iter().filter(|row| row.context == context);
    let own = rows.clone().rfind(|row| row.is_own)?;
    let before = rows
        .filter(|row| !row.is_own)
        .find(|row| row.rope == "none" || row.rope == "checkpoint")?;
    let (own, before) = (own.result, before.result);
    Some(format!(
        "The price at short contexts: at {} tokens, inside the original window, perplexity is {} instead of {}: {}. {}",
        output::grouped(context),
        output::perplexity(own.reported_ppl()),
        output::perplexity(before.reported_ppl()),
        verdict(own, before),
        windows(own.n_windows)
    ))
}

/// The winner on the samples that it was selected on, which flatter it.
fn on_samples(search: &SearchResult) -> Vec<String> {
    let best = search
        .baselines
        .iter()
        .min_by(|a, b| a.nll_nats.total_cmp(&b.nll_nats));
    let Some(best) = best else {
        return Vec::new();
    };
    let ppl = |method: &MethodLoss| method.nll_nats.exp();
    let keys = |method: &MethodLoss| {
        let found = search_table::passkeys(method);
        match (found.is_empty(), method.passkeys_found.is_empty()) {
            (true, _) => String::new(),
            (false, true) => format!(", and finds {found} of the passkeys"),
            (false, false) => format!(", and finds {found} passkeys"),
        }
    };
    vec![format!(
        "On the samples of the search{}, the winner has perplexity {}{}; the best known method on text, {}, has {}{} ({} for the winner). Samples that a winner was selected on flatter it, and no other text was measured.",
        search
            .adapted
            .as_ref()
            .map_or_else(String::new, |adapted| format!(" ({adapted})")),
        output::perplexity(ppl(&search.searched)),
        keys(&search.searched),
        best.method,
        output::perplexity(ppl(best)),
        keys(best),
        relation(ppl(&search.searched), ppl(best)),
    )]
}

/// The lowest perplexity at the longest context.
fn lowest(group: &Group<'_, PplResult>) -> String {
    let longest = group.contexts().last().copied().unwrap_or(0);
    let rows = || group.rows.iter().filter(|row| row.context == longest);
    let ppl = |row: &Row<'_, PplResult>| row.result.reported_ppl();
    let Some(best) = rows().min_by(|a, b| ppl(a).total_cmp(&ppl(b))) else {
        return String::new();
    };
    let has = match rows().count() {
        1 => format!("{} has perplexity", group.label(best)),
        _ => first_of(
            &group.label(best),
            rows().filter(|row| ppl(row) <= ppl(best)).count(),
            "the lowest perplexity of those measured on the same text:",
        ),
    };
    format!(
        "At {} tokens, {has} {} (95% interval {}).",
        output::grouped(longest),
        output::perplexity(ppl(best)),
        ppl_interval(best.result)
    )
}

/// The highest score of a task at the longest context.
fn highest(group: &Group<'_, TaskResult>) -> Option<String> {
    let longest = group.contexts().last().copied()?;
    let rows = || group.rows.iter().filter(|row| row.context == longest);
    let value = |row: &Row<'_, TaskResult>| row.result.metric.value;
    let best = rows().max_by(|a, b| value(a).total_cmp(&value(b)))?;
    if is_in_nats(&best.result.task) {
        return Some(format!(
            "At {} tokens, the text beyond the original window changes the loss of {} by {:+.4} nats per token (95% interval {}): {}.",
            output::grouped(longest),
            group.label(best),
            -value(best),
            nats_interval(&best.result.metric, best.result.n, -1.0),
            used(&best.result.metric)
        ));
    }
    let has = match rows().count() {
        1 => format!("{} has", group.label(best)),
        _ => first_of(
            &group.label(best),
            rows().filter(|row| value(row) >= value(best)).count(),
            "the highest score,",
        ),
    };
    Some(format!(
        "{} at {} tokens: {has} {} of {} trials.{}",
        best.result.task,
        output::grouped(longest),
        percent(value(best), best.result.n),
        output::grouped(best.result.n),
        reach_after(best)
    ))
}

/// Says that a row has the best value, and how many other rows have the same: `n_best` counts them all.
fn first_of(label: &str, n_best: usize, value: &str) -> String {
    match n_best {
        0 | 1 => format!("{label} has {value}"),
        2 => format!("{label} and one other have {value}"),
        n => format!("{label} and {} others have {value}", n - 1),
    }
}

/// Whether a context gain shows that far text is used.
fn used(gain: &MetricValue) -> &'static str {
    match gain.interval {
        Some([low, _]) if low > 0.0 => "the model uses it",
        Some([_, high]) if high < 0.0 => "it does harm",
        _ => "it is not shown that the model uses it",
    }
}

/// The models of a group in words, with the stages that measured them.
pub(super) fn models<T>(report: &RunReport, group: &Group<'_, T>) -> String {
    let run = Path::new(&report.run);
    let models: Vec<String> = group
        .models()
        .into_iter()
        .map(|(model, stage)| match stage {
            Some(stage) if group.models().len() > 1 => {
                format!("`{}` from {stage} on", inside(run, model))
            }
            _ => format!("`{model}`"),
        })
        .collect();
    match models.as_slice() {
        [one] => format!("Model {one}"),
        many => format!("Models {}", many.join(", ")),
    }
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
