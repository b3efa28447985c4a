//! A window under construction.

use std::ops::Range;

use crate::training_window::{Goal, RopeChoice, TrainingWindow};
use crate::{Error, Result, Tokenizer};

/// Tokens and their weights, appended piece by piece.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    tokens: Vec<u32>,
    weights: Vec<f32>,
    /// Stretches within which positions do not skip.
    together: Vec<Range<usize>>,
}

impl Draft {
    pub(crate) fn push(&mut self, tokens: &[u32], weight: f32) {
        self.tokens.extend_from_slice(tokens);
        self.weights.resize(self.tokens.len(), weight);
    }

    /// Appends the first text of a document.
    pub(crate) fn push_first(&mut self, tokenizer: &Tokenizer, text: &str) -> Result<()> {
        self.push(&tokenizer.encode(text, false)?, 1.0);
        Ok(())
    }

    /// Appends a text that continues another one.
    pub(crate) fn push_text(&mut self, tokenizer: &Tokenizer, text: &str) -> Result<()> {
        self.push(&tokenizer.encode_continuation(text)?, 1.0);
        Ok(())
    }

    /// Appends an answer. The space before it is not part of what has to be known, and has weight 1.
    pub(crate) fn push_answer(
        &mut self,
        tokenizer: &Tokenizer,
        value: &str,
        weight: f32,
    ) -> Result<()> {
        let space = tokenizer.encode_continuation(" ")?;
        let tokens = tokenizer.encode_continuation(&format!(" {value}"))?;
        let n_before = usize::from(tokens.starts_with(&space)) * space.len();
        self.push(&tokens[..n_before], 1.0);
        self.push(&tokens[n_before..], weight);
        Ok(())
    }

    /// Keeps all tokens so far side by side when positions skip.
    pub(crate) fn kept_together(mut self) -> Self {
        self.together = std::iter::once(0..self.len()).collect();
        self
    }

    pub(crate) fn append(&mut self, other: &Self) {
        let n_before = self.len();
        let shifted = other.together.iter();
        let shifted = shifted.map(|Range { start, end }| start + n_before..end + n_before);
        self.together.extend(shifted);
        self.tokens.extend_from_slice(&other.tokens);
        self.weights.extend_from_slice(&other.weights);
    }

    /// Drops the tokens beyond `n_tokens`.
    pub(crate) fn truncate(&mut self, n_tokens: usize) {
        self.tokens.truncate(n_tokens);
        self.weights.truncate(n_tokens);
        self.together.retain(|stretch| stretch.start < n_tokens);
    }

    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The finished window, with documents that begin at `document_starts` and do not attend to each other.
    pub(crate) fn finish(self, document_starts: Vec<usize>, rope: RopeChoice) -> TrainingWindow {
        TrainingWindow {
            tokens: self.tokens,
            confined: document_starts.len() > 1,
            document_starts,
            together: self.together,
            rope,
            goal: Goal::Text,
            loss_weights: Some(self.weights),
        }
    }
}

/// Tokens that are left beside the `needed` ones in a document of `n_tokens`. One that was drawn too short is as long as it
/// needs to be if `window` has room for that.
///
/// # Errors
/// [`Error::WindowTooShort`] if it has not.
pub(super) fn room(
    document: &'static str,
    needed: usize,
    n_tokens: usize,
    window: usize,
) -> Result<usize> {
    if needed > n_tokens.max(window) {
        return Err(Error::WindowTooShort {
            document,
            found: window,
            needed,
        });
    }
    Ok(n_tokens.saturating_sub(needed))
}
