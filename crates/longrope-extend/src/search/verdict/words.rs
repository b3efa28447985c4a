//! The verdict in words: the winner against one method, on text and on passkeys.
//!
//! That method is the best on text of those that keep up on passkeys: none of them is far behind the one that finds the
//! most. Without passkeys, it is the best on text.

use longrope_data::counted;
use longrope_eval::Difference;

use super::judged::Judged;
use crate::scoring::Adapted;
use crate::search::held_out::passkeys::CAN_FIND;
use crate::search::methods::loss::MethodLoss;
use crate::search::objective::kind::ObjectiveKind;

/// Share of all passkeys by which a RoPE is far behind another, even if the trials are too few to prove it.
const FAR_BEHIND: f64 = 0.25;

/// How the winner compares with a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Better,
    /// The difference is small, or may be chance.
    Unclear,
    Worse,
}

impl Standing {
    fn on_text(method: &MethodLoss) -> Self {
        match &method.difference {
            // Method minus winner, and lower is better.
            Some(found) if found.distinguishable && found.value > 0.0 => Self::Better,
            Some(found) if found.distinguishable => Self::Worse,
            _ => Self::Unclear,
        }
    }

    fn on_passkeys(searched: &MethodLoss, method: &MethodLoss) -> Self {
        if is_far_behind(method, searched) {
            Self::Better
        } else if is_far_behind(searched, method) {
            Self::Worse
        } else {
            Self::Unclear
        }
    }
}

/// Whether a RoPE finds far fewer passkeys than another: certainly fewer, or [`FAR_BEHIND`].
fn is_far_behind(one: &MethodLoss, other: &MethodLoss) -> bool {
    let far = |found: Difference| {
        found.value < 0.0 && (found.distinguishable || found.value <= -FAR_BEHIND)
    };
    one.passkey_difference_to(other).is_some_and(far)
}

/// The name of the RoPE to use, and the verdict in words, a sentence per line.
pub(super) fn words(judged: &Judged) -> (String, Vec<String>) {
    let searched = &judged.searched;
    let Some(best) = alternative(&judged.baselines) else {
        return (searched.method.clone(), Vec::new());
    };
    let text = Standing::on_text(best);
    let keys = Standing::on_passkeys(searched, best);
    let has_interval = best
        .difference
        .as_ref()
        .and_then(Difference::half_width)
        .is_some();
    let takes_winner = match (text, keys) {
        // Passkeys were tried because the model finds some within its own window: losing them is losing the context.
        (_, Standing::Better) | (Standing::Better, Standing::Unclear) => true,
        // One window proves nothing, but there is nothing else.
        (Standing::Unclear, Standing::Unclear) if !has_interval => {
            best.nll_nats > searched.nll_nats
        }
        _ => false,
    };
    // Passkeys that decide come with the advice.
    let by_text = keys == Standing::Unclear;
    let mut lines = vec![text_line(judged, best, by_text && !takes_winner)];
    lines.extend(passkey_line(judged, best, text, keys));
    lines.extend(best_on_text_line(judged, best));
    let recommended = if takes_winner { searched } else { best };
    (recommended.method.clone(), lines)
}

/// The method to compare with: the best on text of those that are not far behind on passkeys.
fn alternative(methods: &[MethodLoss]) -> Option<&MethodLoss> {
    let finder = methods.iter().max_by(|a, b| {
        let by_keys = a.n_passkeys().cmp(&b.n_passkeys());
        by_keys.then(b.nll_nats.total_cmp(&a.nll_nats))
    })?;
    let keeps_up = methods
        .iter()
        .filter(|method| !is_far_behind(method, finder));
    best_on_text(keeps_up)
}

fn best_on_text<'a>(methods: impl Iterator<Item = &'a MethodLoss>) -> Option<&'a MethodLoss> {
    methods.min_by(|a, b| a.nll_nats.total_cmp(&b.nll_nats))
}

/// A sentence about the winner on the text, with the advice to use the method if `advises`.
fn text_line(judged: &Judged, best: &MethodLoss, advises: bool) -> String {
    let n = judged.searched.text_nats.len();
    let (before, skips) = match &judged.adapted {
        Some(Adapted { steps, target, .. }) => (
            format!("after {} of adaptation, ", counted(*steps, "step")),
            format!(" (positions skip to {target})"),
        ),
        None => (String::new(), String::new()),
    };
    let on = format!(
        "{before}on {} of {} tokens{skips} that the search did not see",
        counted(n, "window"),
        judged.context
    );
    let method = &best.method;
    // Method minus winner: positive if the winner is better.
    let value = best.nll_nats - judged.searched.nll_nats;
    let size = value.abs();
    let better_or_worse = if value > 0.0 { "better" } else { "worse" };
    let Some(half) = best.difference.as_ref().and_then(Difference::half_width) else {
        let unproven = match n {
            1 => "one window does",
            _ => "windows that all differ by the same do",
        };
        return format!(
            "{on}: {size:.4} nats/token {better_or_worse} than {method}, which {unproven} not prove: give the search more \
             text, or compare on other text"
        );
    };
    let is_best_on_text = best_on_text(judged.baselines.iter()) == Some(best);
    let which = if is_best_on_text {
        "the best method"
    } else {
        "the best method that keeps up on passkeys"
    };
    let advice = if advises {
        format!(": use {method}")
    } else {
        String::new()
    };
    match Standing::on_text(best) {
        Standing::Better => format!(
            "{on}: better than {method}, {which}, by {size:.4} ± {half:.4} nats/token ({:.1}% in perplexity)",
            100.0 * (1.0 - (-value).exp())
        ),
        Standing::Worse => {
            format!("{on}: worse than {method} by {size:.4} ± {half:.4} nats/token{advice}")
        }
        Standing::Unclear => format!(
            "{on}: not distinguishable from {method} ({size:.4} ± {half:.4} nats/token {better_or_worse}){advice}"
        ),
    }
}

/// A sentence about passkeys, with the advice if they decide; `None` if none were tried.
fn passkey_line(
    judged: &Judged,
    best: &MethodLoss,
    text: Standing,
    keys: Standing,
) -> Option<String> {
    let in_window = judged.passkeys_in_window?;
    if in_window.share() < CAN_FIND {
        return Some(format!(
            "passkeys are not compared: the model finds {} of {} within its own window",
            in_window.n_found, in_window.n_tried
        ));
    }
    let searched = &judged.searched;
    let found = found_where(searched, best);
    let method = &best.method;
    let cost = (best.nll_nats - searched.nll_nats).abs();
    let advice = match (text, keys) {
        (_, Standing::Unclear) => String::new(),
        (Standing::Worse, Standing::Better) => format!(
            ": text and passkeys disagree; use the searched factors, which cost {cost:.4} nats/token of text, or {method} for \
             text alone"
        ),
        (_, Standing::Better) => ": use the searched factors".to_owned(),
        (_, Standing::Worse) => {
            let other = match judged.kind {
                ObjectiveKind::Perplexity => ", or try --set search.objective=combined",
                ObjectiveKind::Combined => ", or raise search.needle-weight",
                ObjectiveKind::Needle => "",
            };
            let conflict = if text == Standing::Better {
                format!(
                    "text and passkeys disagree; the factors gain {cost:.4} nats/token of text and lose passkeys, so "
                )
            } else {
                String::new()
            };
            format!(": {conflict}use {method}{other}")
        }
    };
    Some(format!("{found}{advice}"))
}

/// A sentence about the method that is the best on text, if it is better than the winner there and is not the one that was
/// compared, because it loses passkeys.
fn best_on_text_line(judged: &Judged, compared: &MethodLoss) -> Option<String> {
    let best = best_on_text(judged.baselines.iter())?;
    let value = judged.searched.nll_nats - best.nll_nats;
    if best == compared || value <= 0.0 {
        return None;
    }
    let half = best.difference.as_ref().and_then(Difference::half_width);
    let half = half.map_or_else(String::new, |half| format!(" ± {half:.4}"));
    Some(format!(
        "the method {} is better on text by {value:.4}{half} nats/token, but finds {} of {} passkeys{}",
        best.method,
        best.n_passkeys(),
        best.passkeys_found.len(),
        chance(&judged.searched, best)
    ))
}

/// `finds 9 of 10 passkeys where yarn finds 10, which may be chance`
fn found_where(searched: &MethodLoss, best: &MethodLoss) -> String {
    let (mine, theirs) = (searched.n_passkeys(), best.n_passkeys());
    let n = searched.passkeys_found.len();
    let chance = chance(searched, best);
    let method = &best.method;
    format!("finds {mine} of {n} passkeys where {method} finds {theirs}{chance}")
}

/// A remark about numbers of passkeys that differ, if the trials do not prove it.
fn chance(one: &MethodLoss, other: &MethodLoss) -> String {
    match one.passkey_difference_to(other) {
        Some(found) if one.n_passkeys() != other.n_passkeys() && !found.distinguishable => {
            format!(", which may be chance with {} trials", found.n)
        }
        _ => String::new(),
    }
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
