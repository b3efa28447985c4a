//! Perplexity on held-out text, between training steps.

use longrope_data::{Bos, TokenDocument, TokenWindow, WindowProtocol, plan_windows};
use longrope_eval::perplexity;
use longrope_model::Decoder;
use longrope_rope::RopeSpec;

use crate::error::{Error, Result};

/// Windows of held-out text, for each context length.
#[derive(Clone, Debug)]
pub struct HeldOut {
    windows: Vec<(usize, Vec<TokenWindow>)>,
    rope: RopeSpec,
}

impl HeldOut {
    /// Plans `n_windows` windows for each context length. Without documents there are no contexts to measure.
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
                let mut windows = plan_windows(documents, context, protocol, bos)
                    .map_err(|source| Error::Windows { context, source })?;
                windows.truncate(n_windows);
                Ok((context, windows))
            })
            .collect::<Result<_>>()?;
        Ok(Self { windows, rope })
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
