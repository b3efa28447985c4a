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
/// Documents that are drawn at most to find so many. Few are cut.
const MOST_DRAWN: usize = 16 * N_PASSKEYS;
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
            Some(stream) => whole_documents(stream)?,
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

/// [`N_PASSKEYS`] documents that ask for the whole answer, or none, with a warning in the log, if there are not so many. One
/// that reaches beyond the window is cut off, and the rest of its answer is easier to find.
fn whole_documents(mut stream: SyntheticStream) -> Result<Vec<TrainingWindow>> {
    let mut found = Vec::with_capacity(N_PASSKEYS);
    for _ in 0..MOST_DRAWN {
        let document = stream.next_window()?;
        if is_whole(&document) {
            found.push(document);
        }
        // All that is said of them later is of so many.
        if found.len() == N_PASSKEYS {
            return Ok(found);
        }
    }
    tracing::warn!(
        "passkeys are not measured: of {MOST_DRAWN} documents with one, the window cuts off all but {}",
        found.len()
    );
    Ok(Vec::new())
}

/// Whether a document has an answer, and something after it.
fn is_whole(document: &TrainingWindow) -> bool {
    let weights = document.loss_weights.as_deref().unwrap_or_default();
    weights.iter().any(|weight| *weight > 1.0) && weights.last().is_some_and(|last| *last <= 1.0)
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
    use std::path::Path;
    use std::sync::Arc;

    use longrope_data::{Goal, RopeChoice, SyntheticConfig, SyntheticKind, Tokenizer};

    use super::*;

    #[test]
    fn passkeys_are_asked_for_as_a_whole() {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../longrope/assets/tiny-llama-256");
        let tokenizer = Arc::new(Tokenizer::from_model_dir(&folder).unwrap());
        let config = SyntheticConfig {
            answer_weight: 2.0,
            corpus_share: 0.0,
            ..SyntheticConfig::new(SyntheticKind::Passkey {}, 256, 7)
        };
        let stream = SyntheticStream::new(config, tokenizer, Vec::new().into()).unwrap();
        let n_digits = |document: &TrainingWindow| {
            let weights = document.loss_weights.iter().flatten();
            weights.filter(|weight| **weight > 1.0).count()
        };
        // Some of the stream's documents are cut.
        let mut drawn = stream.clone();
        let mut drawn = (0..256).map(|_| drawn.next_window().unwrap());
        assert!(drawn.any(|document| n_digits(&document) < 5));
        let yardstick = Yardstick::new(&[], 256, Some(stream)).unwrap();
        let asked: Vec<usize> = yardstick.passkeys.iter().map(n_digits).collect();
        assert_eq!(asked, [5; N_PASSKEYS]);
    }

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
