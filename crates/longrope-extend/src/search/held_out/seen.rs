//! Which windows of held-out text are also in the text that a search sees.

use std::collections::HashMap;

use longrope_data::TokenDocument;

/// An odd number without a pattern. Equal hashes are only a reason to compare the tokens.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// For every window, whether its tokens lie one after the other in one of the documents, at any place.
///
/// Every document is read once for each length of the windows.
pub(super) fn are_seen(windows: &[&[u32]], documents: &[TokenDocument]) -> Vec<bool> {
    let mut by_length: HashMap<usize, HashMap<u64, Vec<usize>>> = HashMap::new();
    for (index, window) in windows.iter().enumerate() {
        let of_length = by_length.entry(window.len()).or_default();
        of_length.entry(hash(window)).or_default().push(index);
    }
    let mut seen = vec![false; windows.len()];
    for (n_tokens, wanted) in &by_length {
        for document in documents {
            for (start, hash) in hashes(&document.tokens, *n_tokens) {
                let found = &document.tokens[start..start + n_tokens];
                for index in wanted.get(&hash).into_iter().flatten() {
                    seen[*index] |= windows[*index] == found;
                }
            }
        }
    }
    seen
}

/// A polynomial of the tokens, modulo 2^64.
fn hash(tokens: &[u32]) -> u64 {
    tokens.iter().fold(0, |hash, token| append(hash, *token))
}

fn append(hash: u64, token: u32) -> u64 {
    hash.wrapping_mul(BASE).wrapping_add(u64::from(token))
}

/// The place and the hash of every stretch of `n_tokens` tokens; none for an empty stretch.
fn hashes(tokens: &[u32], n_tokens: usize) -> impl Iterator<Item = (usize, u64)> {
    let is_short = n_tokens == 0 || tokens.len() < n_tokens;
    let tokens: &[u32] = if is_short { &[] } else { tokens };
    // What the first token of a stretch adds to its hash.
    let first_adds = (1..n_tokens).fold(1_u64, |power, _| power.wrapping_mul(BASE));
    let mut now = hash(&tokens[..n_tokens.min(tokens.len())]);
    let n_places = (tokens.len() + 1).saturating_sub(n_tokens.max(1));
    (0..n_places).map(move |start| {
        if let Some(before) = start.checked_sub(1) {
            let without = now.wrapping_sub(first_adds.wrapping_mul(u64::from(tokens[before])));
            now = append(without, tokens[start + n_tokens - 1]);
        }
        (start, now)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(tokens: &[u32]) -> TokenDocument {
        TokenDocument {
            source: String::new(),
            tokens: tokens.to_vec(),
        }
    }

    #[test]
    fn stretches_have_the_hashes_of_their_tokens() {
        let tokens: Vec<u32> = (0..40).map(|i| i * i % 13).collect();
        for n_tokens in [1, 3, 39, 40] {
            let expected: Vec<(usize, u64)> =
                tokens.windows(n_tokens).map(hash).enumerate().collect();
            let found: Vec<(usize, u64)> = hashes(&tokens, n_tokens).collect();
            assert_eq!(found, expected, "{n_tokens}");
        }
        assert_eq!(hashes(&tokens, 41).count(), 0);
        assert_eq!(hashes(&tokens, 0).count(), 0);
        assert_eq!(hashes(&[], 3).count(), 0);
    }

    #[test]
    fn a_window_is_seen_wherever_it_lies() {
        let documents = [document(&[1, 2, 3, 4, 5]), document(&[7, 8])];
        let windows: [&[u32]; 6] = [
            &[2, 3, 4],
            &[4, 5, 7],
            &[7, 8],
            &[1, 2],
            &[5, 4],
            &[3, 4, 5],
        ];
        assert_eq!(
            are_seen(&windows, &documents),
            [true, false, true, true, false, true]
        );
        assert_eq!(are_seen(&windows, &[]), [false; 6]);
    }
}
