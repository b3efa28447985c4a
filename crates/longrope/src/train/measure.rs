//! Perplexity on held-out text, between training steps.

use anyhow::{Context, Result};
use longrope_data::{Bos, TokenDocument, TokenWindow, WindowProtocol, plan_windows};
use longrope_eval::{PerplexityRun, Scorer};
use longrope_model::Decoder;
use longrope_rope::RopeSpec;

/// Windows to measure on, for each context length.
pub(crate) struct Perplexities {
    windows: Vec<(usize, Vec<TokenWindow>)>,
    rope: RopeSpec,
}

impl Perplexities {
    /// Plans `n_windows` windows for each context length. Without documents there is nothing to measure.
    pub(crate) fn new(
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
                let mut windows =
                    plan_windows(documents, context, protocol, bos).with_context(|| {
                        format!("planning windows of {context} tokens to measure on")
                    })?;
                windows.truncate(n_windows);
                Ok((context, windows))
            })
            .collect::<Result<_>>()?;
        Ok(Self { windows, rope })
    }

    /// The context lengths that can be measured, tokens.
    pub(crate) fn contexts(&self) -> Vec<usize> {
        self.windows.iter().map(|(context, _)| *context).collect()
    }

    /// Mean loss at one of the context lengths, nats per token.
    pub(crate) fn nll_nats(&self, decoder: &Decoder, context: usize) -> longrope_eval::Result<f64> {
        let windows = self.windows.iter().find(|(length, _)| *length == context);
        let windows = windows.map_or(&[][..], |(_, windows)| windows.as_slice());
        let mut scorer = Scorer::new(decoder);
        let mut run = PerplexityRun::new(windows, &self.rope);
        while !run.step(&mut scorer)?.is_empty() {}
        Ok(run.sum().nll_nats())
    }
}
