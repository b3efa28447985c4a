//! Where the beginning-of-text token of a window is.

use crate::window::Span;

/// Where the beginning-of-text token (BOS) is placed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bos {
    /// Where the tokenizer puts it: at the beginning of the document. Later windows have none.
    #[default]
    Document,
    /// In front of every window, which then consists of BOS and `context - 1` tokens of the document. BOS predicts the
    /// first of them, so all of them are scored. A BOS at the beginning of the document is not doubled.
    Window {
        /// The token id of BOS.
        bos_id: u32,
    },
    /// BOS replaces the first token of every window.
    Replace {
        /// The token id of BOS.
        bos_id: u32,
    },
    /// There is no BOS.
    None,
}

impl Bos {
    /// The name in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Window { .. } => "window",
            Self::Replace { .. } => "replaced",
            Self::None => "none",
        }
    }

    /// Whether documents are to be tokenized with the tokenizer's special tokens.
    pub fn tokenize_with_special(self) -> bool {
        matches!(self, Self::Document | Self::Replace { .. })
    }

    /// Its token id, where windows get one that their document does not have there.
    pub(crate) fn id(self) -> Option<u32> {
        match self {
            Self::Window { bos_id } | Self::Replace { bos_id } => Some(bos_id),
            Self::Document | Self::None => None,
        }
    }

    /// Positions that it adds to a window.
    pub(crate) fn n_added(self) -> usize {
        usize::from(matches!(self, Self::Window { .. }))
    }

    /// Document tokens that it replaces in a window.
    pub(crate) fn n_replaced(self) -> usize {
        usize::from(matches!(self, Self::Replace { .. }))
    }

    /// Whether a window would have it twice at the beginning of the document with these tokens.
    pub(crate) fn is_doubled_by(self, tokens: &[u32]) -> bool {
        matches!(self, Self::Window { bos_id } if tokens.first() == Some(&bos_id))
    }

    /// The document text in a window of `context` tokens.
    pub(crate) fn span(self, context: usize) -> Span {
        Span {
            n_tokens: context - self.n_added(),
            n_unpredicted: 1 - self.n_added(),
        }
    }
}
