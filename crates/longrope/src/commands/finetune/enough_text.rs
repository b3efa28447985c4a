//! Whether there is enough text for a training.

use anyhow::{Result, anyhow};
use longrope_data::TokenDocument;
use longrope_trainer::run::TrainConfig;

use crate::failure::Hint;
use crate::show::output;

/// A training that sees each token this often learns the text by heart.
const MANY_TIMES: f64 = 20.0;

/// Checks that a training in windows of `context` tokens has enough text to begin. One of generated documents needs none.
///
/// # Errors
/// If it has not begun and is to be on less text than one window.
pub(super) fn check(
    documents: &[TokenDocument],
    context: usize,
    train: &TrainConfig,
    has_begun: bool,
) -> Result<()> {
    let n_tokens = n_tokens(documents);
    let is_on_text = n_tokens > 0 && share_of_text(train) > 0.0;
    if is_on_text && n_tokens < context && !has_begun {
        return Err(anyhow!(
            "the text has {n_tokens} tokens, expected at least one window of {context}"
        )
        .context(Hint(
            "give more text, or a smaller --context; generated documents need none: see `train.data` in configs/README.md"
                .to_owned(),
        )));
    }
    Ok(())
}

/// What to say of a training in windows of `context` tokens that sees the same text again and again; `None` of others.
pub(super) fn repetition(
    documents: &[TokenDocument],
    context: usize,
    train: &TrainConfig,
) -> Option<String> {
    let n_tokens = n_tokens(documents);
    let n_windows = train.steps as f64 * train.batch as f64 * train.accumulate as f64;
    let seen = share_of_text(train) * n_windows * context as f64;
    let n_times = seen / n_tokens.max(1) as f64;
    let is_repeated = n_tokens > 0 && n_times >= MANY_TIMES;
    is_repeated.then(|| {
        format!(
            "each of the {} tokens of the text is seen about {n_times:.0} times: give more text or fewer --steps, so that \
             the model does not learn it by heart",
            output::grouped(n_tokens)
        )
    })
}

fn n_tokens(documents: &[TokenDocument]) -> usize {
    documents.iter().map(|document| document.tokens.len()).sum()
}

/// Share of the windows that are of text, from 0 to 1.
fn share_of_text(train: &TrainConfig) -> f64 {
    let (data, distill) = (&train.data, &train.distill);
    let of_text = data.text + data.short + distill.short + distill.far;
    let all = of_text + data.passkey + data.recall + data.copying;
    if all > 0.0 { of_text / all } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use longrope_trainer::run::TrainDataConfig;

    use super::*;

    fn text(n_tokens: usize) -> [TokenDocument; 1] {
        [TokenDocument {
            source: "a.txt".to_owned(),
            tokens: vec![1; n_tokens],
        }]
    }

    #[test]
    fn less_text_than_a_window_is_refused_before_a_training_begins() {
        let train = TrainConfig::default();
        let message = check(&text(63), 64, &train, false).unwrap_err();
        let said = message.chain().any(|cause| {
            let text = cause.to_string();
            text == "the text has 63 tokens, expected at least one window of 64"
        });
        assert!(said, "{message:#}");
        check(&text(64), 64, &train, false).unwrap();
        check(&text(63), 64, &train, true).unwrap();
        let generated = TrainConfig {
            data: TrainDataConfig {
                text: 0.0,
                passkey: 1.0,
                ..TrainDataConfig::default()
            },
            ..TrainConfig::default()
        };
        check(&text(3), 64, &generated, false).unwrap();
        check(&[], 64, &train, false).unwrap();
    }

    #[test]
    fn the_share_of_text_is_that_of_all_windows() {
        let train = TrainConfig {
            data: TrainDataConfig {
                text: 1.0,
                recall: 3.0,
                ..TrainDataConfig::default()
            },
            ..TrainConfig::default()
        };
        assert!((share_of_text(&train) - 0.25).abs() < 1e-12);
    }
}
