//! The verdict after a search: its winner against the methods, on text and passkeys that it did not see.

use longrope_eval::Difference;
use serde::{Deserialize, Serialize};

use super::fresh_passkeys::CAN_FIND;
use super::method_loss::MethodLoss;
use super::objective_kind::ObjectiveKind;

/// The winner of a search against the methods, on text and passkeys that the search did not see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Tokens of a window and of a text with a passkey.
    pub context: usize,
    /// The text.
    pub held_out: HeldOutText,
    /// The winner.
    pub searched: MethodLoss,
    /// The methods, with their differences to the winner.
    pub baselines: Vec<MethodLoss>,
    /// Share of passkeys that the model finds within its own window; `None` if that was not tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passkeys_in_window: Option<f64>,
    /// Name of the RoPE to use: `searched` or a method.
    pub recommended: String,
    /// The verdict in words, a sentence per line.
    pub lines: Vec<String>,
}

/// The text of a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldOutText {
    /// Fingerprint of all held-out text.
    pub text_fingerprint: String,
    /// Tokens of all held-out text.
    pub n_tokens: usize,
    /// Windows that were measured.
    pub n_windows: usize,
}

impl Verdict {
    /// The verdict on text with windows of this context. `baselines` have their differences to `searched`.
    pub(super) fn new(
        (context, held_out): (usize, HeldOutText),
        searched: MethodLoss,
        baselines: Vec<MethodLoss>,
        passkeys_in_window: Option<f64>,
        kind: ObjectiveKind,
    ) -> Self {
        let (recommended, lines) = words(&Words {
            context,
            searched: &searched,
            baselines: &baselines,
            passkeys_in_window,
            kind,
        });
        Self {
            context,
            held_out,
            searched,
            baselines,
            passkeys_in_window,
            recommended,
            lines,
        }
    }
}

/// What a verdict is about.
struct Words<'a> {
    context: usize,
    searched: &'a MethodLoss,
    /// With their differences to `searched`.
    baselines: &'a [MethodLoss],
    passkeys_in_window: Option<f64>,
    kind: ObjectiveKind,
}

/// How the winner compares with a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Better,
    /// The difference may be chance.
    Unclear,
    Worse,
}

impl Standing {
    /// Of a difference, method minus winner, of numbers where lower is better for `sign` 1 and higher for -1.
    fn of(difference: Option<&Difference>, sign: f64) -> Self {
        match difference {
            Some(found) if found.distinguishable && sign * found.value > 0.0 => Self::Better,
            Some(found) if found.distinguishable => Self::Worse,
            _ => Self::Unclear,
        }
    }
}

/// The name of the RoPE to use, and the verdict in words.
fn words(about: &Words<'_>) -> (String, Vec<String>) {
    let winner = about.searched.method.clone();
    let by_loss = |a: &&MethodLoss, b: &&MethodLoss| a.nll_nats.total_cmp(&b.nll_nats);
    let Some(best) = about.baselines.iter().min_by(by_loss) else {
        return (winner, Vec::new());
    };
    let on_text = Standing::of(best.difference.as_ref(), 1.0);
    let on_passkeys = Standing::of(best.passkey_difference.as_ref(), -1.0);
    let is_single = best
        .difference
        .as_ref()
        .and_then(Difference::half_width)
        .is_none();
    let takes_winner = match (on_text, on_passkeys) {
        (Standing::Better, _) | (Standing::Unclear, Standing::Better) => true,
        // Who asks for passkeys pays for them.
        (Standing::Worse, Standing::Better) => about.kind != ObjectiveKind::Perplexity,
        // One window proves nothing, but there is nothing else.
        (Standing::Unclear, _) if is_single => best.nll_nats > about.searched.nll_nats,
        _ => false,
    };
    let mut lines = vec![text_line(about, best, takes_winner)];
    let mut recommended = if takes_winner {
        winner
    } else {
        best.method.clone()
    };
    if let Some((method, mut line)) = passkey_line(about, best) {
        if takes_winner && on_text != Standing::Better && on_passkeys == Standing::Better {
            line += ": use the searched factors";
        }
        lines.push(line);
        if let Some(method) = method {
            recommended = method;
        }
    }
    (recommended, lines)
}

/// A sentence about the winner on the text, and which method to use if that is not the winner.
fn text_line(about: &Words<'_>, best: &MethodLoss, takes_winner: bool) -> String {
    let n = about.searched.text_nats.len();
    let on = format!(
        "on {n} {} of {} tokens that the search did not see",
        if n == 1 { "window" } else { "windows" },
        about.context
    );
    let method = &best.method;
    // Method minus winner: positive if the winner is better.
    let value = best.nll_nats - about.searched.nll_nats;
    let size = value.abs();
    let better_or_worse = if value > 0.0 { "better" } else { "worse" };
    let Some(half) = best.difference.as_ref().and_then(Difference::half_width) else {
        return format!(
            "{on}: {size:.4} nats/token {better_or_worse} than {method}, which one window does not prove: give the search more \
             text, or compare on other text"
        );
    };
    let advice = if takes_winner {
        String::new()
    } else {
        format!(": use {method}")
    };
    match Standing::of(best.difference.as_ref(), 1.0) {
        Standing::Better => format!(
            "{on}: better than {method}, the best method, by {size:.4} ± {half:.4} nats/token ({:.1}% in perplexity)",
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

/// A sentence about passkeys, and the method to use because of them, if there is one; `None` if none were tried.
fn passkey_line(about: &Words<'_>, best_on_text: &MethodLoss) -> Option<(Option<String>, String)> {
    let in_window = about.passkeys_in_window?;
    if in_window < CAN_FIND {
        let line = format!(
            "passkeys are not compared: the model finds {:.0}% of them within its own window",
            100.0 * in_window
        );
        return Some((None, line));
    }
    let n_found = |loss: &MethodLoss| -> usize {
        let found = loss.passkeys_found.iter();
        found.map(|found| usize::from(*found)).sum()
    };
    let n = about.searched.passkeys_found.len();
    let mine = n_found(about.searched);
    // Of methods that find equally many, the best on text.
    let most = about.baselines.iter().map(n_found).max()?;
    let finder = if n_found(best_on_text) == most {
        best_on_text
    } else {
        about
            .baselines
            .iter()
            .find(|method| n_found(method) == most)?
    };
    let method = &finder.method;
    let is_certain = finder
        .passkey_difference
        .as_ref()
        .is_some_and(|found| found.distinguishable);
    if mine >= most {
        return Some((
            None,
            format!("finds {mine} of {n} passkeys; the best method, {method}, finds {most}"),
        ));
    }
    if !is_certain {
        let line = format!(
            "finds {mine} of {n} passkeys where {method} finds {most}, which may be chance"
        );
        return Some((None, line));
    }
    let advice = match about.kind {
        ObjectiveKind::Perplexity => "try --set search.objective=combined".to_owned(),
        ObjectiveKind::Combined => format!("raise search.needle-weight, or use {method}"),
        ObjectiveKind::Needle => format!("use {method}"),
    };
    let line = format!("finds {mine} of {n} passkeys where {method} finds {most}: {advice}");
    Some((Some(method.clone()), line))
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
