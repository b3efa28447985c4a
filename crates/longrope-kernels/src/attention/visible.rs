//! The attention mask as ranges of keys.

use std::ops::Range;

use super::config::AttentionConfig;
use super::documents::Documents;

/// Causal mask, window and documents combined: one range of visible keys for each query.
///
/// Both ends of the range never decrease from one query to the next. So a block of queries also sees one contiguous
/// range, and the blocks that see a given key are consecutive.
#[derive(Clone, Debug)]
pub(crate) struct Visible {
    /// Number of keys before the first query.
    past: usize,
    window: Option<usize>,
    documents: Option<Documents>,
}

impl Visible {
    /// The mask of `seq_q` queries and `seq_kv` keys, where the last query sees the last key.
    pub(crate) fn new(config: &AttentionConfig, seq_q: usize, seq_kv: usize) -> Self {
        Self {
            past: seq_kv - seq_q,
            window: config.window,
            documents: config.documents.clone(),
        }
    }

    /// The keys that one query sees.
    pub(crate) fn keys(&self, sequence: usize, query: usize) -> Range<usize> {
        let position = self.past + query;
        let window = self
            .window
            .map_or(0, |window| (position + 1).saturating_sub(window));
        let document = self
            .documents
            .as_ref()
            .map_or(0, |documents| documents.start_of(sequence, position));
        window.max(document)..position + 1
    }

    /// The keys that any query of a block sees.
    pub(crate) fn keys_of_block(&self, sequence: usize, queries: &Range<usize>) -> Range<usize> {
        let first = self.keys(sequence, queries.start);
        let last = self.keys(sequence, queries.end - 1);
        first.start..last.end
    }

    /// Number of different masks: one per sequence if documents are packed, otherwise 1.
    pub(crate) fn n_masks(&self) -> usize {
        self.documents.as_ref().map_or(1, Documents::batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_and_document_both_limit_what_is_seen() {
        let config = AttentionConfig {
            window: Some(3),
            documents: Some(Documents::from_lengths(&[[4, 4]])),
            ..AttentionConfig::causal(8)
        };
        let visible = Visible::new(&config, 6, 8); // queries are positions 2 to 7
        let seen: Vec<_> = (0..6).map(|query| visible.keys(0, query)).collect();
        assert_eq!(seen, [0..3, 1..4, 4..5, 4..6, 4..7, 5..8]);
        assert_eq!(visible.keys_of_block(0, &(1..4)), 1..6);
    }
}
