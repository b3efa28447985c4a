//! Whether there is enough text for a training.

use anyhow::{Result, anyhow};
use longrope_data::TokenDocument;
use longrope_trainer::run::{LongWindows, TrainConfig};

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
    let has_text = n_tokens > 0 && is_on_text(train);
    // Short and compared texts are never in long windows.
    let (longest, key) = match train.long {
        Some(long) if train.data.text > 0.0 => (long.context.max(context), "train.long.context"),
        _ => (context, "--context"),
    };
    if has_text && n_tokens < longest && !has_begun {
        return Err(anyhow!(
            "the text has {n_tokens} tokens, expected at least one window of {longest}"
        )
        .context(Hint(format!(
            "give more text, or a smaller {key}; generated documents need none: see `train.data` in configs/README.md"
        ))));
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
    let seen = n_windows * mean_text(train, context);
    let n_times = seen / n_tokens.max(1) as f64;
    let is_repeated = n_tokens > 0 && n_times >= MANY_TIMES;
    is_repeated.then(|| {
        format!(
            "each of the {} tokens of the text is seen about {n_times:.0} times: give more text or a smaller \
             `train.steps`, so that the model does not learn it by heart",
            output::grouped(n_tokens)
        )
    })
}

fn n_tokens(documents: &[TokenDocument]) -> usize {
    documents.iter().map(|document| document.tokens.len()).sum()
}

/// The shares of text and of everything.
fn shares(train: &TrainConfig) -> (f64, f64) {
    let (data, distill) = (&train.data, &train.distill);
    let of_text = data.text + data.short + distill.short + distill.far;
    let generated = data.passkey + data.recall + data.copying;
    (of_text, of_text + generated)
}

/// Whether all shares are 0.
pub(super) fn is_on_nothing(train: &TrainConfig) -> bool {
    shares(train).1 == 0.0
}

/// Whether any windows are of text, if some is given.
pub(crate) fn is_on_text(train: &TrainConfig) -> bool {
    share_of_text(train) > 0.0
}

/// Share of the windows that are of text, from 0 to 1.
fn share_of_text(train: &TrainConfig) -> f64 {
    let (of_text, all) = shares(train);
    if all > 0.0 { of_text / all } else { 0.0 }
}

/// Tokens of text in a window on average, where all but the long ones have `context` tokens.
fn mean_text(train: &TrainConfig, context: usize) -> f64 {
    let (_, all) = shares(train);
    if all <= 0.0 {
        return 0.0;
    }
    let context = context as f64;
    let longer = |long: LongWindows| long.share * (long.context as f64 - context);
    let longer = train.data.text / all * train.long.map_or(0.0, longer);
    share_of_text(train) * context + longer
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
        let message = format!(
            "{:?}",
            check(&text(255), 64, &with_long(1.0), false).unwrap_err()
        );
        assert!(message.contains("at least one window of 256"), "{message}");
        assert!(message.contains("smaller train.long.context"), "{message}");
        check(&text(256), 64, &with_long(1.0), false).unwrap();
        // Text that is short only is in no long window.
        check(&text(64), 64, &with_long(0.0), false).unwrap();
        check(&[], 64, &train, false).unwrap();
    }

    /// A quarter of the text has windows of 256 tokens, and there is as much short text as a share of 1.
    fn with_long(text: f64) -> TrainConfig {
        TrainConfig {
            data: TrainDataConfig {
                text,
                short: 1.0,
                ..TrainDataConfig::default()
            },
            long: Some(LongWindows {
                context: 256,
                share: 0.25,
            }),
            steps: 100,
            ..TrainConfig::default()
        }
    }

    #[test]
    fn long_windows_count_by_their_length() {
        let train = with_long(1.0);
        // Half of the windows have 64 tokens of short text, three eighths have 64, one eighth has 256.
        let mean = mean_text(&train, 64);
        assert!((mean - 88.0).abs() < 1e-9, "{mean}");
        // 100 windows: 8,800 tokens.
        assert_eq!(repetition(&text(450), 64, &train), None);
        let said = repetition(&text(400), 64, &train).unwrap();
        assert!(said.contains("is seen about 22 times"), "{said}");
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
        assert!(is_on_text(&train));
        let generated = TrainDataConfig {
            text: 0.0,
            ..train.data
        };
        assert!(!is_on_text(&TrainConfig {
            data: generated,
            ..TrainConfig::default()
        }));
    }
}
