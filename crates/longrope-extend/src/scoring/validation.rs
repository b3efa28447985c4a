//! Validation: the loss on held-out text, between training steps.

use longrope_data::{Bos, TokenDocument, TokenWindow, WindowProtocol, plan_windows};
use longrope_eval::perplexity;
use longrope_model::Decoder;
use longrope_rope::RopeSpec;

use crate::copies::n_copies;
use crate::error::{Error, Result};

/// Windows of held-out text, for each context length.
#[derive(Clone, Debug)]
pub struct HeldOut {
    windows: Vec<(usize, Vec<TokenWindow>)>,
    rope: RopeSpec,
}

impl HeldOut {
    /// Plans up to `n_windows` windows for each context length, evenly spread over all documents that are long enough. Without
    /// documents there are no contexts to measure.
    ///
    /// # Errors
    /// If the documents have no window of a context.
    pub fn new(
        documents: &[TokenDocument],
        contexts: &[usize],
        n_windows: usize,
        bos: Bos,
        rope: RopeSpec,
    ) -> Result<Self> {
        let contexts = if documents.is_empty() { &[] } else { contexts };
        let protocol = WindowProtocol::Spread { n_windows };
        let windows = contexts
            .iter()
            .map(|&context| {
                let planned = plan_windows(documents, context, protocol, bos)
                    .map_err(|source| Error::Windows { context, source })?;
                let n = planned.len().min(n_windows);
                let chosen = (0..n).map(|index| planned[index * planned.len() / n].clone());
                let chosen: Vec<TokenWindow> = chosen.collect();
                Ok((context, chosen))
            })
            .collect::<Result<_>>()?;
        Ok(Self { windows, rope })
    }

    /// Number of documents to measure on that are also trained on, whatever files they are in.
    pub fn n_trained_on(held_out: &[TokenDocument], training: &[TokenDocument]) -> usize {
        n_copies(
            held_out.iter().map(|document| document.tokens.as_slice()),
            training.iter().map(|document| document.tokens.as_slice()),
        )
    }

    /// The context lengths that can be measured, tokens.
    pub fn contexts(&self) -> Vec<usize> {
        self.windows.iter().map(|(context, _)| *context).collect()
    }

    /// Mean loss at one of the context lengths, nats per token.
    ///
    /// # Errors
    /// If the model fails.
    pub fn nll_nats(&self, decoder: &Decoder, context: usize) -> longrope_eval::Result<f64> {
        let windows = self.windows.iter().find(|(length, _)| *length == context);
        let windows = windows.map_or(&[][..], |(_, windows)| windows.as_slice());
        Ok(perplexity(decoder, windows, &self.rope)?.nll_nats())
    }
}

#[cfg(test)]
mod tests {
    use longrope_rope::RopeScaling;

    use super::*;

    fn document(first: u32, n_tokens: usize) -> TokenDocument {
        TokenDocument {
            source: first.to_string(),
            tokens: (first..).take(n_tokens).collect(),
        }
    }

    #[test]
    fn windows_are_spread_over_all_documents() {
        let spec = RopeSpec::new(4, 10_000.0, 16, RopeScaling::None {}).unwrap();
        // The third is too short for a window.
        let documents = [(0, 64), (1000, 64), (2000, 8), (3000, 64), (4000, 64)]
            .map(|(first, n_tokens)| document(first, n_tokens));
        let chosen = |n_windows: usize| -> Vec<usize> {
            let contexts = [16, 32];
            let held_out =
                HeldOut::new(&documents, &contexts, n_windows, Bos::None, spec.clone()).unwrap();
            assert_eq!(held_out.contexts(), contexts);
            let (_, windows) = &held_out.windows[0];
            windows.iter().map(|window| window.doc_idx).collect()
        };
        assert_eq!(chosen(4), [0, 1, 3, 4]);
        assert_eq!(chosen(2), [0, 3]);
        assert_eq!(chosen(8), [0, 0, 1, 1, 3, 3, 4, 4]);
        // There are no more.
        assert_eq!(chosen(100).len(), 16);
    }

    #[test]
    fn documents_that_are_trained_on_are_counted_by_their_content() {
        let training = [document(0, 8), document(1, 8)];
        let copy = TokenDocument {
            source: "another file".to_owned(),
            ..document(1, 8)
        };
        let held_out = [copy, document(2, 8), document(0, 7)];
        assert_eq!(HeldOut::n_trained_on(&held_out, &training), 1);
        assert_eq!(HeldOut::n_trained_on(&[], &training), 0);
    }
}
