//! The logits of every position at once, as other decoders return them.

use burn::tensor::{Int, Tensor};

use super::nll::CHUNK_ROWS;
use crate::decoder::Decoder;
use crate::error::Result;
use crate::rotary::Rotary;

impl Decoder {
    /// The logits of the token that follows each position.
    ///
    /// This allocates the whole `[batch, seq, vocab]` tensor, because that is what the caller asks for. For long
    /// contexts use [`Self::token_nll`] or [`Self::greedy_tokens`], which never hold the logits of more than a few
    /// rows, and to generate text use [`Generation`](crate::Generation).
    ///
    /// The pass is not recorded for autodiff; to train, use [`Self::loss_gradients`]. Token ids are not checked, since
    /// that would copy them from the device: ids outside the vocabulary give undefined logits or a panic of the
    /// backend.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, seq]`, both at least 1
    /// - `rotary`: at least `seq` positions
    /// - output: `[batch, seq, vocab]`, in the type of the weights
    ///
    /// # Errors
    /// If layers are streamed and cannot be read.
    ///
    /// # Panics
    /// If `tokens` is empty, or `rotary` has fewer positions than the sequences.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "modules of Burn take their inputs by value"
    )]
    pub fn forward(&self, tokens: Tensor<2, Int>, rotary: &Rotary) -> Result<Tensor<3>> {
        let [batch, seq] = tokens.dims();
        assert!(batch > 0 && seq > 0, "tokens of shape [{batch}, {seq}]");
        assert!(
            seq <= rotary.n_positions(),
            "{seq} tokens, but angles for {} positions only",
            rotary.n_positions()
        );
        let chunks = self.hidden_states(&tokens, rotary, 0, CHUNK_ROWS)?;
        let head = self.head();
        let logits = chunks.into_iter().map(|chunk| {
            let [batch, rows, hidden_size] = chunk.hidden.dims();
            // One matrix product over all rows: a batched one would repeat the weight.
            let hidden = chunk.hidden.reshape([batch * rows, hidden_size]);
            let logits = head.logits(hidden);
            let [_, vocab] = logits.dims();
            logits.reshape([batch, rows, vocab])
        });
        Ok(Tensor::cat(logits.collect(), 1))
    }
}
