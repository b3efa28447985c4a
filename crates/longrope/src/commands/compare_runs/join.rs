//! Which results of two runs belong together, and their differences.

use anyhow::{Result, anyhow};
use longrope_eval::{Difference, EvalResult, Unpaired, task_difference, window_difference};
use longrope_model::ResultSource;
use serde::Serialize;

use super::read::Measured;
use crate::failure::Hint;

/// Two results on the same windows or trials.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Pair {
    /// `ppl`, or the name of a task.
    pub(super) task: String,
    /// Tokens.
    pub(super) context: usize,
    pub(super) a: Side,
    pub(super) b: Side,
    /// How the numbers of A and B were computed, if not alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) computed_in: Option<[String; 2]>,
    /// Which layers the RoPEs of A and B were for, if not alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rope_layers: Option<[String; 2]>,
    /// B minus A: nats per token for perplexities, scores for tasks.
    pub(super) difference: Difference,
}

/// One of two results.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Side {
    /// Name of the RoPE.
    pub(super) rope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rope_fingerprint: Option<String>,
    /// Logarithm of the perplexity that the protocol reports, nats per token, or mean score.
    pub(super) value: f64,
}

/// The pairs of two runs, and lines about results without a partner.
#[derive(Debug, Default)]
pub(super) struct Joined {
    pub(super) pairs: Vec<Pair>,
    pub(super) left_out: Vec<String>,
}

/// Joins results of the same task and context: those of the RoPEs of the same name, or, if either run has one RoPE only,
/// those. Of several results of one name, those are joined that are of the same windows or trials, whichever comes first.
///
/// # Errors
/// If results that belong together are of different text, windows, seeds or settings, or nothing belongs together.
pub(super) fn join(a: &[Measured], b: &[Measured]) -> Result<Joined> {
    let mut partners: Vec<Option<usize>> = vec![None; a.len()];
    let mut taken = vec![false; b.len()];
    // First those that can be compared: an older result of that name must not stand in their way.
    for can_be_compared in [true, false] {
        for (one, partner) in a.iter().zip(&mut partners) {
            if partner.is_some() {
                continue;
            }
            *partner = b.iter().enumerate().position(|(index, other)| {
                !taken[index]
                    && belong_together(one, a, other, b)
                    && (!can_be_compared || pair(one, other).is_ok())
            });
            if let Some(index) = *partner {
                taken[index] = true;
            }
        }
    }
    let mut joined = Joined::default();
    for (one, partner) in a.iter().zip(partners) {
        match partner {
            Some(index) => joined.pairs.push(pair(one, &b[index])?),
            None => joined.left_out.push(format!("only in A: {}", one.result)),
        }
    }
    let rest = b.iter().zip(taken).filter(|(_, taken)| !taken);
    let rest = rest.map(|(other, _)| format!("only in B: {}", other.result));
    joined.left_out.extend(rest);
    if joined.pairs.is_empty() {
        return Err(anyhow!(
            "the two runs have no result in common: {}",
            joined.left_out.join("; ")
        )
        .context(Hint(
            "measure both with the same command: the same task, contexts and, for several RoPEs, the same names".to_owned(),
        )));
    }
    Ok(joined)
}

/// Whether `one` of the results `a` and `other` of `b` are of the same task and context, and of RoPEs of the same name or of
/// the only one on either side.
fn belong_together(one: &Measured, a: &[Measured], other: &Measured, b: &[Measured]) -> bool {
    let (task, context, rope) = one.result.key();
    let is_alike = |measured: &&Measured| {
        let (other_task, other_context, _) = measured.result.key();
        (other_task, other_context) == (task, context)
    };
    if !is_alike(&other) {
        return false;
    }
    let are_single =
        || a.iter().filter(is_alike).count() == 1 && b.iter().filter(is_alike).count() == 1;
    other.result.key().2 == rope || are_single()
}

/// The difference of two results that belong together.
fn pair(one: &Measured, other: &Measured) -> Result<Pair> {
    let what = one.result.to_string();
    check_text(&what, one, other)?;
    let difference = match (&one.result, &other.result) {
        // Asked in both orders: A comes first in the error, and is subtracted in the difference.
        (EvalResult::Ppl(a), EvalResult::Ppl(b)) => {
            window_difference(a, b).and_then(|_| window_difference(b, a))
        }
        (EvalResult::Task(a), EvalResult::Task(b)) => {
            task_difference(a, b).and_then(|_| task_difference(b, a))
        }
        _ => Err(Unpaired::Windows),
    };
    let difference = difference.map_err(|error| {
        anyhow!(error)
            .context(format!("{what} cannot be compared"))
            .context(Hint("measure both with the same command".to_owned()))
    })?;
    let (task, context, _) = one.result.key();
    Ok(Pair {
        task: task.to_owned(),
        context,
        a: side(&one.result),
        b: side(&other.result),
        computed_in: Some([rounding(one), rounding(other)]).filter(|[a, b]| a != b),
        rope_layers: Some([layers(one), layers(other)]).filter(|[a, b]| a != b),
        difference: Difference {
            reference: "A".to_owned(),
            ..difference
        },
    })
}

/// How numbers were computed.
fn rounding(measured: &Measured) -> String {
    let rounding = measured.source.as_ref().and_then(ResultSource::rounding);
    rounding.unwrap_or_else(|| "f32".to_owned())
}

/// Which layers a RoPE was for: `full`, those that see all tokens, or `all`.
fn layers(measured: &Measured) -> String {
    let source = measured.source.as_ref();
    let layers = source.and_then(|source| source.rope_layers.clone());
    layers.unwrap_or_else(|| "full".to_owned())
}

fn side(result: &EvalResult) -> Side {
    match result {
        EvalResult::Ppl(ppl) => Side {
            rope: ppl.rope.clone(),
            rope_fingerprint: ppl.rope_fingerprint.clone(),
            value: ppl.reported_nats(),
        },
        EvalResult::Task(task) => Side {
            rope: task.rope.clone(),
            rope_fingerprint: task.rope_fingerprint.clone(),
            value: task.metric.value,
        },
    }
}

/// Refuses results of different text or data.
fn check_text(what: &str, one: &Measured, other: &Measured) -> Result<()> {
    let (Some(mine), Some(theirs)) = (&one.source, &other.source) else {
        let silent = if one.source.is_none() { one } else { other };
        return Err(anyhow!(
            "`{}` does not say what it was measured on",
            silent.file.display()
        )
        .context(Hint("measure it again with this version".to_owned())));
    };
    if mine.text_fingerprint == theirs.text_fingerprint {
        return Ok(());
    }
    Err(anyhow!(
        "{what} is measured on different text: {} and {}",
        texts(mine),
        texts(theirs)
    )
    .context(Hint(
        "measure both on the same text; models with different tokenizers have no tokens in common"
            .to_owned(),
    )))
}

/// The names of the texts, and the beginning of their fingerprint.
fn texts(source: &ResultSource) -> String {
    let fingerprint = source.text_fingerprint.as_deref().unwrap_or("none");
    let short = fingerprint.get(..8).unwrap_or(fingerprint);
    match source.texts.as_slice() {
        [] => short.to_owned(),
        names => format!("{} ({short}..)", names.join(", ")),
    }
}
