//! Packed sequences: several documents in a row that do not attend to each other.

use std::sync::Arc;

/// The boundaries of documents in packed sequences.
///
/// Several short documents may share a row of a batch. A query then sees only keys of its own document, as if each
/// document had its own row. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documents {
    /// Start position of the document at each position, row-major over `[batch, seq]`.
    starts: Arc<[usize]>,
    seq: usize,
}

impl Documents {
    /// Makes documents from their lengths in tokens, in order, for each sequence of a batch.
    ///
    /// # Panics
    /// If there are no sequences, or their total lengths differ.
    pub fn from_lengths<S: AsRef<[usize]>>(sequences: &[S]) -> Self {
        let seq: usize = sequences
            .first()
            .map(|lengths| lengths.as_ref().iter().sum())
            .expect("at least one sequence");
        let mut starts = Vec::with_capacity(sequences.len() * seq);
        for (index, lengths) in sequences.iter().enumerate() {
            let row = starts.len();
            for length in lengths.as_ref() {
                let start = starts.len() - row;
                starts.resize(starts.len() + length, start);
            }
            let found = starts.len() - row;
            assert_eq!(found, seq, "tokens of sequence {index}, as of the first");
        }
        Self {
            starts: starts.into(),
            seq,
        }
    }

    /// Makes documents from the result of [`Self::starts`] and the length of a sequence.
    #[cfg(feature = "remote")]
    pub(crate) fn from_starts(starts: Arc<[usize]>, seq: usize) -> Self {
        Self { starts, seq }
    }

    /// Start position of the document at each position, row-major over `[batch, seq]`.
    #[cfg(feature = "remote")]
    pub(crate) fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// Number of sequences.
    pub fn batch(&self) -> usize {
        self.starts.len().checked_div(self.seq).unwrap_or(0)
    }

    /// Length of each sequence.
    pub fn seq(&self) -> usize {
        self.seq
    }

    /// Start position of the document that `position` belongs to.
    pub(crate) fn start_of(&self, sequence: usize, position: usize) -> usize {
        self.starts[sequence * self.seq + position]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_knows_where_its_document_begins() {
        let documents = Documents::from_lengths(&[vec![2, 1, 3], vec![6]]);
        assert_eq!((documents.batch(), documents.seq()), (2, 6));
        let starts = |row| (0..6).map(|p| documents.start_of(row, p)).collect();
        let rows: [Vec<usize>; 2] = [starts(0), starts(1)];
        assert_eq!(rows, [vec![0, 0, 2, 3, 3, 3], vec![0; 6]]);
    }

    #[test]
    #[should_panic(expected = "tokens of sequence 1")]
    fn sequences_are_equally_long() {
        Documents::from_lengths(&[vec![2, 1], vec![2]]);
    }
}
