//! Samples of one length for the search, chosen by a seed.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::random::{below, shuffle};
use crate::{Error, Result, TokenDocument};

/// A stretch of tokens of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The document's source.
    pub source: String,
    /// The document's index in the given list.
    pub doc_idx: usize,
    /// The index of the first token in the document.
    pub start: usize,
    /// The tokens.
    pub tokens: Vec<u32>,
}

/// Chooses `n_samples` samples of exactly `n_tokens` tokens that do not overlap.
///
/// If there are enough documents of that length, every sample is the beginning of a different document, in seeded
/// order. Otherwise the samples are dealt out to the documents in turn; a document with `k` of them is divided into `k`
/// equal parts, and each sample lies at a seeded place in its part. A sample that does not begin its document has no
/// beginning-of-text token in front.
///
/// The result depends on the arguments only, and so do repeated calls with one seed.
///
/// # Errors
/// - [`Error::ZeroCount`] if `n_tokens` or `n_samples` is 0.
/// - [`Error::NotEnoughText`] if fewer samples fit.
pub fn select_samples(
    documents: &[TokenDocument],
    n_tokens: usize,
    n_samples: usize,
    seed: u64,
) -> Result<Vec<Sample>> {
    for (name, count) in [("n_tokens", n_tokens), ("n_samples", n_samples)] {
        if count == 0 {
            return Err(Error::ZeroCount { name });
        }
    }
    let capacity = |doc_idx: usize| documents[doc_idx].tokens.len() / n_tokens;
    let n_possible = (0..documents.len()).map(capacity).sum();
    if n_possible < n_samples {
        return Err(Error::NotEnoughText {
            n_tokens,
            n_samples,
            n_documents: documents.len(),
            longest: documents
                .iter()
                .map(|document| document.tokens.len())
                .max()
                .unwrap_or(0),
            n_possible,
        });
    }

    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..documents.len())
        .filter(|doc_idx| capacity(*doc_idx) > 0)
        .collect();
    shuffle(&mut order, &mut rng);
    let places: Vec<(usize, usize)> = if order.len() >= n_samples {
        order.truncate(n_samples);
        order.into_iter().map(|doc_idx| (doc_idx, 0)).collect()
    } else {
        let capacities: Vec<usize> = order.iter().map(|doc_idx| capacity(*doc_idx)).collect();
        let starts: Vec<Vec<usize>> = deal(&capacities, n_samples)
            .into_iter()
            .zip(&order)
            .map(|(count, doc_idx)| {
                spread_starts(documents[*doc_idx].tokens.len(), n_tokens, count, &mut rng)
            })
            .collect();
        in_turn(&order, &starts)
    };
    let sample = |(doc_idx, start): (usize, usize)| {
        let document: &TokenDocument = &documents[doc_idx];
        let tokens = document.tokens[start..start + n_tokens].to_vec();
        Sample {
            source: document.source.clone(),
            doc_idx,
            start,
            tokens,
        }
    };
    Ok(places.into_iter().map(sample).collect())
}

/// How many samples each document gives when they are dealt out one by one; there must be room for all.
fn deal(capacities: &[usize], n_samples: usize) -> Vec<usize> {
    let mut counts = vec![0; capacities.len()];
    let mut n_left = n_samples;
    while n_left > 0 {
        for (count, capacity) in counts.iter_mut().zip(capacities) {
            if *count < *capacity && n_left > 0 {
                *count += 1;
                n_left -= 1;
            }
        }
    }
    counts
}

/// One random place in each of `count` equal parts of a document.
fn spread_starts(
    n_document: usize,
    n_tokens: usize,
    count: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<usize> {
    let place = |part: usize| {
        let (begin, end) = (part * n_document / count, (part + 1) * n_document / count);
        begin + below(end - begin - n_tokens + 1, rng)
    };
    (0..count).map(place).collect()
}

/// The first place of every document, then the second of every document that has one, and so on.
fn in_turn(order: &[usize], starts: &[Vec<usize>]) -> Vec<(usize, usize)> {
    let n_rounds = starts.iter().map(Vec::len).max().unwrap_or(0);
    let round = |round: usize| {
        order
            .iter()
            .zip(starts)
            .filter_map(move |(doc_idx, starts)| Some((*doc_idx, *starts.get(round)?)))
    };
    (0..n_rounds).flat_map(round).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixtures::counting_document;

    fn documents(lengths: &[u32]) -> Vec<TokenDocument> {
        lengths
            .iter()
            .enumerate()
            .map(|(idx, n_tokens)| counting_document(&format!("{idx}"), *n_tokens))
            .collect()
    }

    fn places(samples: &[Sample]) -> Vec<(usize, usize)> {
        samples
            .iter()
            .map(|sample| (sample.doc_idx, sample.start))
            .collect()
    }

    #[test]
    fn enough_documents_give_their_beginnings() {
        let documents = documents(&[100, 5, 100, 100, 9, 100, 100]);
        let samples = select_samples(&documents, 10, 4, 1).unwrap();
        let mut found = places(&samples);
        assert!(
            found
                .iter()
                .all(|(doc_idx, start)| ![1, 4].contains(doc_idx) && *start == 0)
        );
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 4);
        assert_ne!(
            places(&samples),
            places(&select_samples(&documents, 10, 4, 2).unwrap())
        );
    }

    #[test]
    fn the_choice_is_pinned() {
        let beginnings = select_samples(&documents(&[10; 6]), 10, 3, 7).unwrap();
        assert_eq!(places(&beginnings), [(4, 0), (1, 0), (3, 0)]);
        let inside = select_samples(&documents(&[100, 40]), 10, 5, 7).unwrap();
        assert_eq!(
            places(&inside),
            [(1, 0), (0, 24), (1, 15), (0, 64), (1, 29)]
        );
    }

    #[test]
    fn too_little_text_says_how_much_there_is() {
        assert!(matches!(
            select_samples(&documents(&[25, 9, 10]), 10, 4, 0),
            Err(Error::NotEnoughText {
                n_tokens: 10,
                n_samples: 4,
                n_documents: 3,
                longest: 25,
                n_possible: 3
            })
        ));
        assert!(matches!(
            select_samples(&[], 10, 1, 0),
            Err(Error::NotEnoughText { longest: 0, .. })
        ));
        assert!(matches!(
            select_samples(&[], 0, 1, 0),
            Err(Error::ZeroCount { name: "n_tokens" })
        ));
        assert!(matches!(
            select_samples(&[], 1, 0, 0),
            Err(Error::ZeroCount { name: "n_samples" })
        ));
    }

    proptest! {
        #[test]
        fn samples_are_full_apart_and_repeatable(
            lengths in prop::collection::vec(0_u32..200, 0..8),
            n_tokens in 1_usize..50,
            n_samples in 1_usize..20,
            seed: u64,
        ) {
            let documents = documents(&lengths);
            let n_possible: usize = lengths.iter().map(|n| *n as usize / n_tokens).sum();
            let result = select_samples(&documents, n_tokens, n_samples, seed);
            let Ok(samples) = result else {
                prop_assert!(n_possible < n_samples);
                return Ok(());
            };
            prop_assert!(n_possible >= n_samples);
            prop_assert_eq!(samples.len(), n_samples);
            for sample in &samples {
                let document = &documents[sample.doc_idx];
                prop_assert_eq!(&sample.tokens[..], &document.tokens[sample.start..sample.start + n_tokens]);
                prop_assert_eq!(&sample.source, &document.source);
            }
            let mut sorted = places(&samples);
            sorted.sort_unstable();
            for pair in sorted.windows(2) {
                prop_assert!(pair[0].0 != pair[1].0 || pair[0].1 + n_tokens <= pair[1].1);
            }
            prop_assert_eq!(samples, select_samples(&documents, n_tokens, n_samples, seed).unwrap());
        }
    }
}
