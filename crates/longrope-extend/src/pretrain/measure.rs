//! Measures a model during pretraining: loss on held-out text, and the share of passkeys found.

use std::f64::consts::LN_2;

use longrope_data::{SyntheticStream, TokenDocument, TrainingWindow, spread_windows};
use longrope_model::{Decoder, TokenBatch, check_losses};
use longrope_trainer::run::Measurement;

use crate::error::Result;

/// Windows per held-out document.
const WINDOWS_PER_DOCUMENT: usize = 8;
/// Number of documents with a passkey that a model is measured on during a pretraining.
pub const N_PASSKEYS: usize = 64;
/// Sequences that are scored together.
const BATCH: usize = 16;

/// Windows of one length to measure a model on.
pub(super) struct Yardstick {
    window: usize,
    text: Vec<Vec<u32>>,
    passkeys: Vec<TrainingWindow>,
}

impl Yardstick {
    /// Windows of held-out documents, and of passkey documents if there is a stream of them.
    pub(super) fn new(
        held_out: &[TokenDocument],
        window: usize,
        passkeys: Option<SyntheticStream>,
    ) -> Result<Self> {
        let mut text = Vec::new();
        for document in held_out {
            let tokens = &document.tokens;
            for place in spread_windows(tokens.len(), window, WINDOWS_PER_DOCUMENT)? {
                text.push(tokens[place.start..place.end].to_vec());
            }
        }
        let passkeys = match passkeys {
            Some(mut stream) => (0..N_PASSKEYS)
                .map(|_| stream.next_window())
                .collect::<longrope_data::Result<_>>()?,
            None => Vec::new(),
        };
        Ok(Self {
            window,
            text,
            passkeys,
        })
    }

    /// Mean loss on held-out text, NaN if there is none, and the share of passkeys whose digits all have a probability
    /// above 1/2, so that greedy generation finds them.
    pub(super) fn measure(&self, decoder: &Decoder) -> Result<Measurement> {
        let rope = decoder.config().rope.resolve(self.window);
        let rotary = decoder.rotary(&rope, self.window);
        let losses = |sequences: &[&[u32]]| -> Result<Vec<Vec<f32>>> {
            let mut losses = Vec::with_capacity(sequences.len());
            for sequences in sequences.chunks(BATCH) {
                let batch = TokenBatch {
                    sequences,
                    score_from: 1,
                };
                let scored = decoder.token_nll(batch, &rotary)?;
                check_losses(&scored, batch.score_from)?;
                losses.extend(scored);
            }
            Ok(losses)
        };
        let text: Vec<&[u32]> = self.text.iter().map(Vec::as_slice).collect();
        let text = losses(&text)?;
        let n_scored: usize = text.iter().map(Vec::len).sum();
        let sum: f64 = text.iter().flatten().map(|nll| f64::from(*nll)).sum();

        let documents: Vec<&[u32]> = self
            .passkeys
            .iter()
            .map(|document| document.tokens.as_slice())
            .collect();
        let found = losses(&documents)?;
        let n_found = self
            .passkeys
            .iter()
            .zip(&found)
            .filter(|(document, losses)| is_found(document, losses))
            .count();
        Ok(Measurement {
            nll_nats: sum / n_scored as f64,
            passkeys: (!found.is_empty()).then(|| n_found as f64 / found.len() as f64),
        })
    }
}

/// Whether every token of the answer has a probability above 1/2.
fn is_found(document: &TrainingWindow, losses: &[f32]) -> bool {
    let weights = document.loss_weights.iter().flatten().skip(1);
    weights
        .zip(losses)
        .filter(|(weight, _)| **weight > 1.0)
        .all(|(_, nll)| f64::from(*nll) < LN_2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longrope_data::{Goal, RopeChoice};

    #[test]
    fn every_digit_has_to_be_likely() {
        let document = TrainingWindow {
            tokens: vec![0, 1, 2, 3],
            document_starts: vec![0],
            confined: false,
            together: Vec::new(),
            rope: RopeChoice::Original,
            goal: Goal::Text,
            loss_weights: Some(vec![1.0, 1.0, 8.0, 8.0]),
        };
        assert!(is_found(&document, &[9.0, 0.1, 0.6]));
        assert!(!is_found(&document, &[0.0, 0.1, 0.7]));
    }
}
