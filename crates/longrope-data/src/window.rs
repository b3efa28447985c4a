//! Windows: which tokens a model reads at once, and which of them are scored.

use crate::{Error, Result};

/// A span of a document that a model reads at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first token.
    pub start: usize,
    /// The end, exclusive.
    pub end: usize,
    /// The tokens from here to `end` are scored; always above `start`, since nothing predicts a window's first token.
    pub score_from: usize,
}

/// Windows of `context` tokens that advance by `stride` and together score every token but the first exactly once.
///
/// The first window scores all its tokens but the first, each later one its last `stride`. The last window is moved
/// back so that it is full, and scores the rest. Small strides give every token a long history and cost `context /
/// stride` times the work. A stride of `context` counts as `context - 1`, since the first token of a window cannot be
/// scored. A document shorter than `context` has no windows.
///
/// ```
/// # use longrope_data::{Window, sliding_windows};
/// let windows = sliding_windows(7, 4, 2)?;
/// assert_eq!(windows[0], Window { start: 0, end: 4, score_from: 1 });
/// assert_eq!(windows[1], Window { start: 2, end: 6, score_from: 4 });
/// assert_eq!(windows[2], Window { start: 3, end: 7, score_from: 6 });
/// # Ok::<(), longrope_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::ContextTooShort`] below 2 tokens, [`Error::BadStride`] for 0 or above `context`.
pub fn sliding_windows(n_tokens: usize, context: usize, stride: usize) -> Result<Vec<Window>> {
    check_context(context)?;
    check_stride(stride, context)?;
    Ok(sliding(
        n_tokens,
        Span {
            n_tokens: context,
            n_unpredicted: 1,
        },
        stride,
    ))
}

/// Up to `n_windows` windows of `context` tokens that do not overlap, spread evenly from the beginning of the document
/// to its end; each scores `context - 1` tokens.
///
/// There are fewer windows if fewer fit. A single window lies at the beginning.
///
/// # Errors
/// [`Error::ContextTooShort`] below 2 tokens, [`Error::ZeroCount`] for no windows.
pub fn spread_windows(n_tokens: usize, context: usize, n_windows: usize) -> Result<Vec<Window>> {
    check_context(context)?;
    check_n_windows(n_windows)?;
    Ok(spread(
        n_tokens,
        Span {
            n_tokens: context,
            n_unpredicted: 1,
        },
        n_windows,
    ))
}

pub(crate) fn check_context(context: usize) -> Result<()> {
    if context < 2 {
        Err(Error::ContextTooShort { context })
    } else {
        Ok(())
    }
}

pub(crate) fn check_stride(stride: usize, context: usize) -> Result<()> {
    if (1..=context).contains(&stride) {
        Ok(())
    } else {
        Err(Error::BadStride { stride, context })
    }
}

pub(crate) fn check_n_windows(n_windows: usize) -> Result<()> {
    if n_windows == 0 {
        Err(Error::ZeroCount { name: "n_windows" })
    } else {
        Ok(())
    }
}

pub(crate) fn check_within(within: usize, context: usize) -> Result<()> {
    if context <= within {
        Ok(())
    } else {
        Err(Error::BadWithin { within, context })
    }
}

/// The part of a window that is document text.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    /// Tokens of the document in one window.
    pub(crate) n_tokens: usize,
    /// How many of the first of them are not predicted: 1, or 0 if the window has its own BOS.
    pub(crate) n_unpredicted: usize,
}

pub(crate) fn sliding(n_tokens: usize, span: Span, stride: usize) -> Vec<Window> {
    if n_tokens < span.n_tokens {
        return Vec::new();
    }
    let advance = stride.min(span.n_tokens - span.n_unpredicted);
    let mut windows = vec![Window {
        start: 0,
        end: span.n_tokens,
        score_from: span.n_unpredicted,
    }];
    let mut score_from = span.n_tokens;
    while score_from < n_tokens {
        let end = n_tokens.min(score_from + advance);
        windows.push(Window {
            start: end - span.n_tokens,
            end,
            score_from,
        });
        score_from = end;
    }
    windows
}

pub(crate) fn spread(n_tokens: usize, span: Span, n_windows: usize) -> Vec<Window> {
    let n_windows = n_windows.min(n_tokens / span.n_tokens);
    let n_gaps = n_windows.saturating_sub(1).max(1);
    let window = |window_idx: usize| {
        // At least one window apart, because all of them fit.
        let start = window_idx * (n_tokens - span.n_tokens) / n_gaps;
        Window {
            start,
            end: start + span.n_tokens,
            score_from: start + span.n_unpredicted,
        }
    };
    (0..n_windows).map(window).collect()
}

/// The windows of `spread` for `outer`, each divided into as many consecutive windows of `span` as fit.
pub(crate) fn divided(n_tokens: usize, span: Span, outer: Span, n_windows: usize) -> Vec<Window> {
    let parts = |outer: Window| {
        let n_parts = (outer.end - outer.start) / span.n_tokens;
        (0..n_parts).map(move |part_idx| {
            let start = outer.start + part_idx * span.n_tokens;
            Window {
                start,
                end: start + span.n_tokens,
                score_from: start + span.n_unpredicted,
            }
        })
    };
    let outer = spread(n_tokens, outer, n_windows);
    outer.into_iter().flat_map(parts).collect()
}

/// Windows that begin at multiples of `stride` and score the tokens after the end of the previous one. The last window
/// ends with the document and may be shorter.
pub(crate) fn strided(n_tokens: usize, span: Span, stride: usize) -> Vec<Window> {
    if n_tokens < span.n_tokens {
        return Vec::new();
    }
    let mut windows: Vec<Window> = Vec::new();
    for start in (0..n_tokens).step_by(stride) {
        let reached = windows.last().map_or(0, |window| window.end);
        let end = n_tokens.min(start + span.n_tokens);
        let score_from = reached.max(start + span.n_unpredicted);
        if score_from < end {
            windows.push(Window {
                start,
                end,
                score_from,
            });
        }
        if end == n_tokens {
            break;
        }
    }
    windows
}

/// Consecutive full windows. Each scores its second half without that half's first token.
pub(crate) fn halves(n_tokens: usize, span: Span) -> Vec<Window> {
    let half = span.n_tokens / 2 + 1;
    if half >= span.n_tokens {
        return Vec::new();
    }
    (0..n_tokens / span.n_tokens)
        .map(|window_idx| {
            let start = window_idx * span.n_tokens;
            Window {
                start,
                end: start + span.n_tokens,
                score_from: start + half,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(start: usize, end: usize, score_from: usize) -> Window {
        Window {
            start,
            end,
            score_from,
        }
    }

    #[test]
    fn sliding_by_hand() {
        let expected = [
            window(0, 4, 1),
            window(2, 6, 4),
            window(4, 8, 6),
            window(5, 9, 8),
        ];
        assert_eq!(sliding_windows(9, 4, 2).unwrap(), expected);
        assert_eq!(sliding_windows(4, 4, 2).unwrap(), [window(0, 4, 1)]);
        assert_eq!(sliding_windows(3, 4, 2).unwrap(), []);
    }

    #[test]
    fn the_widest_strides_leave_out_no_token() {
        let expected = [window(0, 4, 1), window(3, 7, 4), window(6, 10, 7)];
        assert_eq!(sliding_windows(10, 4, 3).unwrap(), expected);
        assert_eq!(sliding_windows(10, 4, 4).unwrap(), expected);
    }

    #[test]
    fn spread_by_hand() {
        assert_eq!(
            spread_windows(20, 4, 3).unwrap(),
            [window(0, 4, 1), window(8, 12, 9), window(16, 20, 17)]
        );
        assert_eq!(
            spread_windows(9, 4, 5).unwrap(),
            [window(0, 4, 1), window(5, 9, 6)]
        );
        assert_eq!(spread_windows(9, 4, 1).unwrap(), [window(0, 4, 1)]);
        assert_eq!(spread_windows(3, 4, 1).unwrap(), []);
    }

    #[test]
    fn strided_by_hand() {
        let span = |n_tokens, n_unpredicted| Span {
            n_tokens,
            n_unpredicted,
        };
        // The last window stays where its stride puts it.
        let expected = [window(0, 4, 0), window(3, 7, 4), window(6, 9, 7)];
        assert_eq!(strided(9, span(4, 0), 3), expected);
        let expected = [window(0, 4, 1), window(2, 6, 4), window(4, 8, 6)];
        assert_eq!(strided(8, span(4, 1), 2), expected);
        // A stride above the window leaves tokens out.
        assert_eq!(
            strided(7, span(3, 0), 4),
            [window(0, 3, 0), window(4, 7, 4)]
        );
        assert_eq!(strided(3, span(4, 0), 2), []);
    }

    #[test]
    fn second_halves_by_hand() {
        let span = Span {
            n_tokens: 6,
            n_unpredicted: 1,
        };
        assert_eq!(halves(14, span), [window(0, 6, 4), window(6, 12, 10)]);
        assert_eq!(halves(5, span), []);
    }

    #[test]
    fn impossible_windows_are_refused() {
        assert!(matches!(
            sliding_windows(9, 1, 1),
            Err(Error::ContextTooShort { context: 1 })
        ));
        assert!(matches!(
            sliding_windows(9, 4, 0),
            Err(Error::BadStride {
                stride: 0,
                context: 4
            })
        ));
        assert!(matches!(
            sliding_windows(9, 4, 5),
            Err(Error::BadStride {
                stride: 5,
                context: 4
            })
        ));
        assert!(matches!(
            spread_windows(9, 0, 1),
            Err(Error::ContextTooShort { context: 0 })
        ));
        assert!(matches!(
            spread_windows(9, 4, 0),
            Err(Error::ZeroCount { name: "n_windows" })
        ));
    }

    proptest! {
        #[test]
        fn sliding_scores_every_token_once(
            n_tokens in 0_usize..300,
            context in 2_usize..40,
            stride in 1_usize..40,
        ) {
            prop_assume!(stride <= context);
            let windows = sliding_windows(n_tokens, context, stride).unwrap();
            prop_assert_eq!(windows.is_empty(), n_tokens < context);
            let mut scored = vec![0; n_tokens];
            for window in &windows {
                prop_assert!(window.end <= n_tokens && window.end - window.start == context);
                prop_assert!(window.start < window.score_from && window.score_from < window.end);
                scored[window.score_from..window.end].iter_mut().for_each(|count| *count += 1);
            }
            let expected = usize::from(!windows.is_empty());
            prop_assert!(scored.iter().skip(1).all(|count| *count == expected));
            prop_assert!(scored.first().is_none_or(|count| *count == 0));
        }

        #[test]
        fn spread_windows_are_full_and_apart(
            n_tokens in 0_usize..2000,
            context in 2_usize..100,
            n_windows in 1_usize..30,
        ) {
            let windows = spread_windows(n_tokens, context, n_windows).unwrap();
            prop_assert_eq!(windows.len(), n_windows.min(n_tokens / context));
            for window in &windows {
                prop_assert!(window.end <= n_tokens && window.end - window.start == context);
                prop_assert_eq!(window.score_from, window.start + 1);
            }
            prop_assert!(windows.windows(2).all(|pair| pair[0].end <= pair[1].start));
            prop_assert!(windows.len() < 2 || windows.last().unwrap().end == n_tokens);
        }
    }
}
