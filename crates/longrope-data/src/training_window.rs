//! A window to train on.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Which rotary embedding a window is trained under (`LongRoPE2`, arXiv 2502.20082, §3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RopeChoice {
    /// The rotary embedding of the model before extension, for documents within its original window.
    Original,
    /// The extended rotary embedding.
    #[default]
    Rescaled,
}

/// What a window teaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// The next token of the text.
    #[default]
    Text,
    /// The hidden states that the original model has for short text.
    ShortStates,
    /// The last hidden states that the original model has for short text, whose positions skip ahead in the trained one.
    FarStates,
}

/// Tokens that a model is trained on at once.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingWindow {
    /// The token ids; all but the first are predicted.
    pub tokens: Vec<u32>,
    /// Where documents, or pieces of them, begin. Ascending; the first is 0.
    pub document_starts: Vec<usize>,
    /// Whether attention stays inside a document.
    pub confined: bool,
    /// Stretches of tokens that only make sense side by side, such as a question and its answer. Positions may skip
    /// before and after them, not within.
    pub together: Vec<Range<usize>>,
    /// The rotary embedding to train under.
    pub rope: RopeChoice,
    /// What is trained.
    pub goal: Goal,
    /// Loss weight of every token; `None` if all weights are 1.
    pub loss_weights: Option<Vec<f32>>,
}

impl TrainingWindow {
    /// The lengths of the documents in order. They add up to the length of the window.
    pub fn document_lengths(&self) -> Vec<usize> {
        let ends = self.document_starts.iter().skip(1).copied();
        self.document_starts
            .iter()
            .zip(ends.chain([self.tokens.len()]))
            .map(|(start, end)| end - start)
            .collect()
    }

    /// The position of every token, without gaps. With confined attention, those of each document begin at 0.
    pub fn positions(&self) -> Vec<usize> {
        if !self.confined {
            return (0..self.tokens.len()).collect();
        }
        let lengths = self.document_lengths().into_iter();
        lengths.flat_map(|length| 0..length).collect()
    }

    /// Loss weight of every token.
    ///
    /// The first token of a window is not predicted and has weight 0. With confined attention, so has the first token
    /// of every document.
    pub fn token_weights(&self) -> Vec<f32> {
        let mut weights = match &self.loss_weights {
            Some(weights) => weights.clone(),
            None => vec![1.0; self.tokens.len()],
        };
        let unpredicted = if self.confined {
            self.document_starts.len()
        } else {
            1
        };
        for start in self.document_starts.iter().take(unpredicted) {
            weights[*start] = 0.0;
        }
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(confined: bool, loss_weights: Option<Vec<f32>>) -> TrainingWindow {
        TrainingWindow {
            tokens: vec![0, 5, 1, 0, 6, 7],
            document_starts: vec![0, 3],
            confined,
            together: Vec::new(),
            rope: RopeChoice::Original,
            goal: Goal::Text,
            loss_weights,
        }
    }

    #[test]
    fn weights_are_those_of_the_predicted_tokens() {
        assert_eq!(
            window(false, None).token_weights(),
            [0.0, 1.0, 1.0, 1.0, 1.0, 1.0]
        );
        assert_eq!(
            window(true, None).token_weights(),
            [0.0, 1.0, 1.0, 0.0, 1.0, 1.0]
        );
        let weights = vec![9.0, 0.5, 1.0, 2.0, 3.0, 4.0];
        assert_eq!(
            window(true, Some(weights)).token_weights(),
            [0.0, 0.5, 1.0, 0.0, 3.0, 4.0]
        );
    }

    #[test]
    fn lengths_add_up() {
        assert_eq!(window(true, None).document_lengths(), [3, 3]);
    }

    #[test]
    fn positions_begin_again_where_attention_stays_inside_a_document() {
        assert_eq!(window(false, None).positions(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(window(true, None).positions(), [0, 1, 2, 0, 1, 2]);
    }
}
