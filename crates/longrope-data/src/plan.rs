//! The windows of a list of documents, with their tokens.

use std::sync::Arc;

use crate::window::{
    Span, check_context, check_n_windows, check_stride, check_within, divided, halves, sliding,
    spread, strided,
};
use crate::{Bos, Error, Result, TokenDocument, TokenWindow, Window};

/// How a document is covered with windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WindowProtocol {
    /// Up to this many windows per document that do not overlap; see [`spread_windows`](crate::spread_windows).
    Spread {
        /// The number of windows of one document.
        n_windows: usize,
    },
    /// As `Spread` for windows of `within` tokens, each of which is divided into consecutive windows. Contexts that
    /// divide `within` then score the same text, each without the first tokens of its own windows.
    Divided {
        /// The number of windows of `within` tokens of one document.
        n_windows: usize,
        /// Tokens of the windows that are divided; at least the context.
        within: usize,
    },
    /// Windows that overlap; see [`sliding_windows`](crate::sliding_windows).
    Sliding {
        /// Tokens from one window to the next.
        stride: usize,
    },
    /// Windows that begin at multiples of `stride`; the last one may be shorter. Each scores the tokens after the end
    /// of the previous one.
    Strided {
        /// Tokens from one window to the next.
        stride: usize,
    },
    /// Consecutive full windows. Each scores its second half without that half's first token.
    SecondHalves,
}

impl WindowProtocol {
    /// Up to `n_windows` windows per document that do not overlap.
    pub const fn spread(n_windows: usize) -> Self {
        Self::Spread { n_windows }
    }

    /// Overlapping windows that advance by `stride` tokens.
    pub const fn sliding(stride: usize) -> Self {
        Self::Sliding { stride }
    }

    /// Refuses settings that give no windows of `context` tokens, whatever the text is.
    ///
    /// # Errors
    /// [`Error::ContextTooShort`], [`Error::BadStride`], [`Error::BadWithin`] and [`Error::ZeroCount`].
    pub fn check(self, context: usize) -> Result<()> {
        check_context(context)?;
        match self {
            Self::Spread { n_windows } => check_n_windows(n_windows),
            Self::Divided { n_windows, within } => {
                check_n_windows(n_windows)?;
                check_within(within, context)
            }
            Self::Sliding { stride } => check_stride(stride, context),
            Self::Strided { stride: 0 } => Err(Error::ZeroCount { name: "stride" }),
            Self::Strided { .. } | Self::SecondHalves => Ok(()),
        }
    }

    /// The windows of a document. `outer` is the span of the windows that are [divided](Self::Divided).
    fn cover(self, n_tokens: usize, span: Span, outer: Span) -> Vec<Window> {
        match self {
            Self::Spread { n_windows } => spread(n_tokens, span, n_windows),
            Self::Divided { n_windows, .. } => divided(n_tokens, span, outer, n_windows),
            Self::Sliding { stride } => sliding(n_tokens, span, stride),
            Self::Strided { stride } => strided(n_tokens, span, stride),
            Self::SecondHalves => halves(n_tokens, span),
        }
    }
}

/// Divides `documents` into windows of `context` tokens. Documents that are shorter than one window have none.
///
/// # Errors
/// - Those of [`WindowProtocol::check`] for impossible windows.
/// - [`Error::NoWindow`] if no document is long enough.
pub fn plan_windows(
    documents: &[TokenDocument],
    context: usize,
    protocol: WindowProtocol,
    bos: Bos,
) -> Result<Vec<TokenWindow>> {
    protocol.check(context)?;
    // Tokens that the model would read of the shortest document that has windows.
    let least = match protocol {
        WindowProtocol::Divided { within, .. } => within,
        _ => context,
    };
    let (span, needed) = (bos.span(context), bos.span(least));

    let mut planned = Vec::new();
    let mut n_skipped = 0_usize;
    for (doc_idx, document) in documents.iter().enumerate() {
        let first = usize::from(bos.is_doubled_by(&document.tokens));
        let windows = protocol.cover(document.tokens.len() - first, span, needed);
        if windows.is_empty() {
            n_skipped += 1;
        } else {
            planned.extend(with_tokens(doc_idx, document, first, windows, bos));
        }
    }
    if planned.is_empty() {
        let lengths = documents.iter().map(|document| document.tokens.len());
        return Err(Error::NoWindow {
            context: least,
            n_documents: documents.len(),
            longest: lengths.max().unwrap_or(0),
            needed: needed.n_tokens,
        });
    }
    if n_skipped > 0 {
        tracing::info!(
            n_skipped,
            n_documents = documents.len(),
            context,
            "documents too short for a window"
        );
    }
    Ok(planned)
}

/// The windows of a document with its tokens, of which the ones before `first` are not read.
fn with_tokens(
    doc_idx: usize,
    document: &TokenDocument,
    first: usize,
    windows: Vec<Window>,
    bos: Bos,
) -> impl Iterator<Item = TokenWindow> {
    let tokens: Arc<[u32]> = document.tokens.as_slice().into();
    let source: Arc<str> = document.source.as_str().into();
    windows.into_iter().map(move |window| {
        let Window {
            start,
            end,
            score_from,
        } = window;
        let kept_from = first + start + bos.n_replaced();
        TokenWindow {
            doc_idx,
            source: Arc::clone(&source),
            start: kept_from,
            score_from: bos.n_added() + score_from - start,
            bos_id: bos.id(),
            document: Arc::clone(&tokens),
            span: kept_from..first + end,
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixtures::counting_document;

    const BOS: Bos = Bos::Window { bos_id: 99 };

    fn outline(windows: &[TokenWindow]) -> Vec<(usize, Vec<u32>, usize)> {
        windows
            .iter()
            .map(|window| (window.doc_idx, window.tokens(), window.score_from))
            .collect()
    }

    #[test]
    fn short_documents_have_no_windows() {
        let documents = [counting_document("short", 3), counting_document("long", 6)];
        let windows = plan_windows(
            &documents,
            4,
            WindowProtocol::Sliding { stride: 1 },
            Bos::Document,
        )
        .unwrap();
        let expected = [
            (1, vec![0, 1, 2, 3], 1),
            (1, vec![1, 2, 3, 4], 3),
            (1, vec![2, 3, 4, 5], 3),
        ];
        assert_eq!(outline(&windows), expected);
        assert_eq!(&*windows[0].source, "long");
        assert_eq!(windows[2].start, 2);
        assert_eq!(windows[2].n_scored(), 1);
        assert_eq!(
            (windows[2].document_idx_of(3), windows[2].document_idx_of(4)),
            (Some(5), None)
        );
    }

    #[test]
    fn a_window_with_its_own_bos_scores_its_first_token() {
        let documents = [counting_document("a", 6)];
        let windows =
            plan_windows(&documents, 4, WindowProtocol::Spread { n_windows: 2 }, BOS).unwrap();
        assert_eq!(
            outline(&windows),
            [(0, vec![99, 0, 1, 2], 1), (0, vec![99, 3, 4, 5], 1)]
        );
        assert_eq!((windows[1].n_tokens(), windows[1].n_scored()), (4, 3));
        assert_eq!(
            (windows[1].document_idx_of(0), windows[1].document_idx_of(1)),
            (None, Some(3))
        );
    }

    #[test]
    fn contexts_within_one_length_score_the_same_text() {
        // Two windows of 8 in 18 tokens begin at 0 and 10.
        let documents = [counting_document("a", 18), counting_document("short", 7)];
        let plan = |context, bos| {
            let protocol = WindowProtocol::Divided {
                n_windows: 2,
                within: 8,
            };
            plan_windows(&documents, context, protocol, bos)
        };
        let tokens = |context, bos| -> Vec<u32> {
            let windows = plan(context, bos).unwrap();
            windows.iter().flat_map(TokenWindow::tokens).collect()
        };
        let all: Vec<u32> = (0..8).chain(10..18).collect();
        for context in [2, 4, 8] {
            assert_eq!(tokens(context, Bos::None), all, "{context}");
        }
        // 3 does not divide 8: the last two tokens of each are left out.
        let expected: Vec<u32> = (0..6).chain(10..16).collect();
        assert_eq!(tokens(3, Bos::None), expected);
        // With BOS in front, a window of 8 has 7 tokens of the document, and one of 4 has 3; 1 is left out.
        let expected = [
            (0, vec![99, 0, 1, 2], 1),
            (0, vec![99, 3, 4, 5], 1),
            (0, vec![99, 11, 12, 13], 1),
            (0, vec![99, 14, 15, 16], 1),
            (1, vec![99, 0, 1, 2], 1),
            (1, vec![99, 3, 4, 5], 1),
        ];
        assert_eq!(outline(&plan(4, BOS).unwrap()), expected);
        assert!(matches!(
            plan(9, Bos::None),
            Err(Error::BadWithin {
                within: 8,
                context: 9
            })
        ));
        let protocol = WindowProtocol::Divided {
            n_windows: 1,
            within: 32,
        };
        assert!(matches!(
            plan_windows(&documents, 4, protocol, Bos::None),
            Err(Error::NoWindow {
                context: 32,
                needed: 32,
                ..
            })
        ));
    }

    #[test]
    fn a_bos_at_the_beginning_of_the_document_is_not_doubled() {
        let documents = [TokenDocument {
            source: "a".to_owned(),
            tokens: vec![99, 1, 2, 3, 4],
        }];
        let windows =
            plan_windows(&documents, 3, WindowProtocol::Sliding { stride: 3 }, BOS).unwrap();
        assert_eq!(
            outline(&windows),
            [(0, vec![99, 1, 2], 1), (0, vec![99, 3, 4], 1)]
        );
        assert_eq!(windows[1].start, 3);
    }

    #[test]
    fn bos_can_take_the_place_of_the_first_token() {
        let documents = [counting_document("a", 9)];
        let bos = Bos::Replace { bos_id: 99 };
        let windows = plan_windows(&documents, 4, WindowProtocol::SecondHalves, bos).unwrap();
        assert_eq!(
            outline(&windows),
            [(0, vec![99, 1, 2, 3], 3), (0, vec![99, 5, 6, 7], 3)]
        );
        assert_eq!(windows[1].document_idx_of(0), None);
        assert_eq!(windows[1].document_idx_of(3), Some(7));
    }

    #[test]
    fn strided_windows_with_bos_begin_at_multiples() {
        let documents = [counting_document("a", 6)];
        let windows =
            plan_windows(&documents, 4, WindowProtocol::Strided { stride: 2 }, BOS).unwrap();
        let expected = [
            (0, vec![99, 0, 1, 2], 1),
            (0, vec![99, 2, 3, 4], 2),
            (0, vec![99, 4, 5], 2),
        ];
        assert_eq!(outline(&windows), expected);
    }

    #[test]
    fn too_short_documents_and_impossible_windows_are_refused() {
        let documents = [counting_document("a", 3), counting_document("b", 5)];
        let plan = |context, protocol, bos| plan_windows(&documents, context, protocol, bos);
        let spread = |n_windows| WindowProtocol::Spread { n_windows };
        assert!(matches!(
            plan(6, spread(1), Bos::None),
            Err(Error::NoWindow {
                context: 6,
                n_documents: 2,
                longest: 5,
                needed: 6
            })
        ));
        assert!(plan(6, spread(1), BOS).is_ok());
        assert!(matches!(
            plan(1, spread(1), Bos::None),
            Err(Error::ContextTooShort { .. })
        ));
        assert!(matches!(
            plan(4, spread(0), Bos::None),
            Err(Error::ZeroCount { .. })
        ));
        assert!(matches!(
            plan(4, WindowProtocol::Sliding { stride: 5 }, Bos::None),
            Err(Error::BadStride { .. })
        ));
    }

    proptest! {
        #[test]
        fn sliding_windows_with_bos_score_every_token_once(
            n_tokens in 1_u32..200,
            context in 2_usize..40,
            stride in 1_usize..40,
        ) {
            prop_assume!(stride <= context && n_tokens as usize >= context - 1);
            let documents = [counting_document("a", n_tokens)];
            let bos = Bos::Window { bos_id: 1000 };
            let windows = plan_windows(&documents, context, WindowProtocol::Sliding { stride }, bos).unwrap();
            let mut scored = Vec::new();
            for window in &windows {
                let tokens = window.tokens();
                prop_assert_eq!((tokens.len(), tokens[0]), (context, 1000));
                prop_assert!(window.score_from >= 1);
                scored.extend_from_slice(&tokens[window.score_from..]);
            }
            prop_assert_eq!(scored, (0..n_tokens).collect::<Vec<_>>());
        }
    }
}
