//! Training documents that repeat a few random tokens.
//!
//! A small model that has been trained on text for a while no longer learns to copy. Trained on these sequences first,
//! with a small set of tokens, it learns to copy within a few hundred steps.

use rand_chacha::ChaCha8Rng;

use super::draft::Draft;
use crate::Tokenizer;
use crate::random::below;

/// `n_tokens` token ids to copy: the digits, and other tokens evenly spread over the vocabulary.
pub(crate) fn alphabet(tokenizer: &Tokenizer, special: &[u32], n_tokens: usize) -> Vec<u32> {
    let digits = ('0'..='9').filter_map(|digit| tokenizer.token_id(&digit.to_string()));
    let mut alphabet: Vec<u32> = digits.take(n_tokens).collect();
    let others: Vec<u32> = (0..)
        .take(tokenizer.vocab_size())
        .filter(|id| !special.contains(id) && !alphabet.contains(id))
        .collect();
    let n_others = (n_tokens - alphabet.len()).min(others.len());
    alphabet.extend((0..n_others).map(|i| others[i * others.len() / n_others]));
    alphabet
}

/// Repeats `min_length` to `max_length` random tokens up to the end of the window. Their first occurrence has weight 0; it
/// leaves room for at least one repeated token.
pub(crate) fn fill(
    draft: &mut Draft,
    window: usize,
    alphabet: &[u32],
    (min_length, max_length): (usize, usize),
    rng: &mut ChaCha8Rng,
) {
    let most = window.saturating_sub(draft.len() + 1).max(min_length);
    let max_length = max_length.min(most);
    let length = min_length + below(max_length - min_length + 1, rng);
    let sequence: Vec<u32> = (0..length)
        .map(|_| alphabet[below(alphabet.len(), rng)])
        .collect();
    let mut weight = 0.0;
    while draft.len() < window {
        let room = window - draft.len();
        let mut repetition = Draft::default();
        repetition.push(&sequence[..length.min(room)], weight);
        draft.append(&repetition.kept_together());
        weight = 1.0;
    }
}
