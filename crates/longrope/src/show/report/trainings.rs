//! The sections about trainings.

use anyhow::Result;
use longrope_extend::pretrain::N_PASSKEYS;
use longrope_trainer::run::records::{self, Record};
use maud::{Markup, html as markup};

use super::data::{RunReport, Training};
use super::figures;
use super::parts::{Mark, figure, table};
use crate::show::output;

/// Loss curves and the numbers at the end, per training.
pub(super) fn sections(report: &RunReport) -> Result<Markup> {
    Ok(markup! {
        @for run in &report.training {
            section {
                h2 { "Training" }
                (phase_table(run))
                @if let Some(drawn) = figures::training(run)? { (figure(&drawn)) }
                (table(&[], cost(run).into_iter().map(|row| (Mark::None, row))))
            }
        }
    })
}

/// A measurement of a training.
struct EvalRecord {
    ppl: f64,
    /// Share of passkeys found, if they were measured.
    passkeys: Option<f64>,
}

/// The measurements in a phase, by the contexts that were measured in it.
fn evaluations_of(run: &Training, phase: Option<&str>) -> Vec<(Option<usize>, Vec<EvalRecord>)> {
    let at = |wanted: Option<usize>| -> Vec<EvalRecord> {
        let of_phase = run.lines.iter().filter(|line| line.phase() == phase);
        let evaluations = of_phase.filter_map(|line| match line {
            Record::Eval {
                ppl,
                passkeys,
                context,
                ..
            } if *context == wanted => Some(EvalRecord {
                ppl: *ppl,
                passkeys: *passkeys,
            }),
            _ => None,
        });
        evaluations.collect()
    };
    let contexts = figures::eval_contexts(run).into_iter();
    let measured = contexts.map(|context| (context, at(context)));
    measured
        .filter(|(_, evaluations)| !evaluations.is_empty())
        .collect()
}

/// The losses of the steps of a phase.
fn losses_of(run: &Training, phase: Option<&str>) -> Vec<f64> {
    let of_phase = run.lines.iter().filter(|line| line.phase() == phase);
    let losses = of_phase.filter_map(|line| match line {
        Record::Step { nll_nats, .. } if nll_nats.is_finite() => Some(*nll_nats),
        _ => None,
    });
    losses.collect()
}

/// One row per phase and context that was measured in it.
fn phase_table(run: &Training) -> Markup {
    let phases = records::phases(&run.lines);
    let has_names = phases.iter().any(|(name, _)| name.is_some());
    let has_passkeys = run.lines.iter().any(|line| {
        matches!(
            line,
            Record::Eval {
                passkeys: Some(_),
                ..
            }
        )
    });
    let mut header = Vec::new();
    if has_names {
        header.push("phase");
    }
    header.extend([
        "steps",
        "training loss, nats/token",
        "held-out context",
        "held-out perplexity",
    ]);
    if has_passkeys {
        header.push("passkeys found");
    }
    let mut rows = Vec::new();
    for (name, n_steps) in phases {
        let losses = losses_of(run, name);
        let mut measured = evaluations_of(run, name);
        if measured.is_empty() {
            measured.push((None, Vec::new()));
        }
        for (context, evaluations) in measured {
            let mut cells = Vec::new();
            if has_names {
                cells.push(name.unwrap_or_default().to_owned());
            }
            cells.push(output::grouped(n_steps));
            cells.push(from_to(tenths(&losses), |loss| format!("{loss:.4}")));
            cells.extend(held_out(context, &evaluations));
            if has_passkeys {
                cells.push(passkeys(&evaluations));
            }
            rows.push((Mark::None, cells));
        }
    }
    table(&header, rows)
}

/// The cells about text that was not trained on: a context, and the perplexity there.
fn held_out(context: Option<usize>, evaluations: &[EvalRecord]) -> [String; 2] {
    let context = context.map_or_else(
        || "–".to_owned(),
        |context| format!("{} tokens", output::grouped(context)),
    );
    let ppls = evaluations.iter().map(|it| it.ppl);
    let ppls: Vec<f64> = ppls.filter(|ppl| ppl.is_finite()).collect();
    [context, from_to(ends(&ppls), output::perplexity)]
}

/// The cell of the passkeys that were found.
fn passkeys(evaluations: &[EvalRecord]) -> String {
    let found = |share: f64| {
        let n_found = share * N_PASSKEYS as f64;
        format!("{n_found:.0} of {N_PASSKEYS}")
    };
    let shares: Vec<f64> = evaluations.iter().filter_map(|it| it.passkeys).collect();
    from_to(ends(&shares), found)
}

/// The first and the last value.
fn ends(values: &[f64]) -> Option<(f64, f64)> {
    Some((*values.first()?, *values.last()?))
}

/// The means of the first and of the last tenth.
fn tenths(losses: &[f64]) -> Option<(f64, f64)> {
    let tenth = losses.len().div_ceil(10);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    (tenth > 0).then(|| {
        (
            mean(&losses[..tenth]),
            mean(&losses[losses.len() - tenth..]),
        )
    })
}

/// `4.1 → 3.2`, from the beginning to the end.
fn from_to(ends: Option<(f64, f64)>, text: impl Fn(f64) -> String) -> String {
    ends.map_or_else(
        || "–".to_owned(),
        |(first, last)| {
            let (first, last) = (text(first), text(last));
            if first == last {
                last
            } else {
                format!("{first} → {last}")
            }
        },
    )
}

/// Facts about the whole training, with units.
fn cost(run: &Training) -> Vec<Vec<String>> {
    let (mut n_tokens, mut secs, mut peak, mut rate, mut skipped) = (0, 0.0, None, None, 0);
    for line in &run.lines {
        if let Record::Step {
            n_tokens: tokens,
            elapsed_secs,
            peak_memory_bytes,
            learning_rate,
            skipped: is_skipped,
            ..
        } = line
        {
            n_tokens += tokens;
            secs += elapsed_secs;
            peak = peak.max(*peak_memory_bytes);
            rate = Some(rate.unwrap_or(0.0_f64).max(*learning_rate));
            skipped += usize::from(*is_skipped);
        }
    }
    let mut rows = vec![
        ("tokens", output::grouped(n_tokens)),
        ("time of all steps", output::duration(secs)),
    ];
    if secs > 0.0 {
        let speed = n_tokens as f64 / secs;
        rows.push(("speed", format!("{speed:.0} tokens per second")));
    }
    rows.extend(rate.map(|rate| ("highest learning rate", output::significant(rate))));
    rows.extend(peak.map(|peak| ("peak memory", output::bytes(peak))));
    if skipped > 0 {
        let text = format!("{skipped}: their loss or gradients were not finite");
        rows.push(("steps without change", text));
    }
    let rows = rows.into_iter();
    rows.map(|(name, value)| vec![name.to_owned(), value])
        .collect()
}
