//! Windows from several sources, in fixed shares.

use serde::{Deserialize, Serialize};

use super::packed::{DataCursor, PackedStream};
use crate::training_window::{RopeChoice, TrainingWindow};
use crate::{Error, Result, SyntheticStream};

/// Where windows come from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WindowSource {
    /// Packed text.
    Packed(PackedStream),
    /// Synthetic documents.
    Synthetic(SyntheticStream),
}

impl WindowSource {
    fn next_window(&mut self) -> Result<TrainingWindow> {
        match self {
            Self::Packed(stream) => Ok(stream.next_window()),
            Self::Synthetic(stream) => stream.next_window(),
        }
    }

    fn cursor(&self) -> SourceCursor {
        match self {
            Self::Packed(stream) => SourceCursor::Packed(stream.cursor()),
            Self::Synthetic(stream) => SourceCursor::Synthetic(stream.cursor()),
        }
    }

    fn seek(&mut self, cursor: &SourceCursor) -> Result<()> {
        match (self, cursor) {
            (Self::Packed(stream), SourceCursor::Packed(cursor)) => stream.seek(*cursor)?,
            (Self::Synthetic(stream), SourceCursor::Synthetic(n_done)) => stream.seek(*n_done),
            (Self::Packed(_) | Self::Synthetic(_), found) => {
                return Err(Error::BadCursor {
                    found: format!("{found:?} in a source of another kind"),
                });
            }
        }
        Ok(())
    }

    fn window(&self) -> usize {
        match self {
            Self::Packed(stream) => stream.window(),
            Self::Synthetic(stream) => stream.window(),
        }
    }

    fn rope(&self) -> RopeChoice {
        match self {
            Self::Packed(stream) => stream.rope(),
            Self::Synthetic(stream) => stream.rope(),
        }
    }
}

impl SourceCursor {
    /// What the source counts: documents, or passes through all of them.
    fn n_done(&self) -> u64 {
        match self {
            Self::Packed(cursor) => cursor.epoch,
            Self::Synthetic(n_done) => *n_done,
        }
    }
}

/// Largest count in a position. No training gets near it; a damaged file has any number, and counting on from the largest
/// would overflow.
const MOST_DONE: u64 = 1 << 48;

/// A source and its share.
#[derive(Clone, Debug)]
pub struct MixturePart {
    /// For messages and logs.
    pub name: String,
    /// Share of windows, or of batches, relative to the other parts.
    pub share: f64,
    /// Where its windows come from.
    pub source: WindowSource,
}

/// The unit in which the parts of a mixture take turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Grouping {
    /// Windows: a batch has windows of several parts, which must have the same length and rotary embedding.
    #[default]
    Window,
    /// Batches: all windows of a batch are of one part (`LongRoPE2`, arXiv 2502.20082, §3.3).
    Batch,
}

/// The position of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SourceCursor {
    /// A position in packed text.
    Packed(DataCursor),
    /// The number of synthetic windows so far.
    #[serde(rename = "generated")]
    Synthetic(u64),
}

/// A position in a [`Mixture`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MixtureCursor {
    /// Turns of each part so far.
    pub turns: Vec<u64>,
    /// Position of each part.
    pub sources: Vec<SourceCursor>,
}

/// An endless stream of batches from several sources.
///
/// The next turn goes to the part that is furthest behind its share. No random numbers are needed, and after `n` turns
/// every part has had its share of `n`, up to one turn for each other part.
#[derive(Clone, Debug)]
pub struct Mixture {
    parts: Vec<MixturePart>,
    grouping: Grouping,
    turns: Vec<u64>,
}

impl Mixture {
    /// A mixture at its beginning. Parts with a share of 0 are never used.
    ///
    /// # Errors
    /// - [`Error::BadWeight`] for a share that is negative or not finite, or if all are 0.
    /// - [`Error::PartsDisagree`] if windows of one batch would differ in length or rotary embedding.
    pub fn new(parts: Vec<MixturePart>, grouping: Grouping) -> Result<Self> {
        let total: f64 = parts.iter().map(|part| part.share).sum();
        let bad = parts
            .iter()
            .map(|part| part.share)
            .find(|share| !share.is_finite() || *share < 0.0)
            .or_else(|| (total == 0.0).then_some(total));
        if let Some(found) = bad {
            return Err(Error::BadWeight {
                name: "share",
                found,
                expected: "a positive number",
            });
        }
        let mut used = parts.iter().filter(|part| part.share > 0.0);
        if let (Grouping::Window, Some(first)) = (grouping, used.next()) {
            let kind = |part: &MixturePart| (part.source.window(), part.source.rope());
            if let Some(other) = used.find(|part| kind(part) != kind(first)) {
                return Err(Error::PartsDisagree {
                    first: first.name.clone(),
                    second: other.name.clone(),
                });
            }
        }
        Ok(Self {
            turns: vec![0; parts.len()],
            parts,
            grouping,
        })
    }

    /// A mixture of a single source.
    pub fn of_one(name: &str, source: WindowSource) -> Self {
        Self {
            parts: vec![MixturePart {
                name: name.to_owned(),
                share: 1.0,
                source,
            }],
            grouping: Grouping::Window,
            turns: vec![0],
        }
    }

    /// The next `n_windows` windows, all of one length and one [`RopeChoice`].
    ///
    /// # Errors
    /// The errors of the source.
    pub fn next_batch(&mut self, n_windows: usize) -> Result<Vec<TrainingWindow>> {
        match self.grouping {
            Grouping::Window => (0..n_windows)
                .map(|_| self.next_turn().next_window())
                .collect(),
            Grouping::Batch => {
                let source = self.next_turn();
                (0..n_windows).map(|_| source.next_window()).collect()
            }
        }
    }

    /// The current position.
    pub fn cursor(&self) -> MixtureCursor {
        MixtureCursor {
            turns: self.turns.clone(),
            sources: self.parts.iter().map(|part| part.source.cursor()).collect(),
        }
    }

    /// Continues from a position of the same mixture, with exactly the windows that followed there.
    ///
    /// # Errors
    /// [`Error::BadCursor`] for a position of another mixture. The windows that follow are then unspecified.
    pub fn seek(&mut self, cursor: &MixtureCursor) -> Result<()> {
        let n_parts = self.parts.len();
        let found = [cursor.turns.len(), cursor.sources.len()];
        if found != [n_parts; 2] {
            return Err(Error::BadCursor {
                found: format!("{} sources for {n_parts} parts", cursor.sources.len()),
            });
        }
        let counts = cursor.sources.iter().map(SourceCursor::n_done);
        if let Some(count) = cursor
            .turns
            .iter()
            .copied()
            .chain(counts)
            .find(|count| *count > MOST_DONE)
        {
            return Err(Error::BadCursor {
                found: format!("{count} turns"),
            });
        }
        for (part, cursor) in self.parts.iter_mut().zip(&cursor.sources) {
            part.source.seek(cursor)?;
        }
        self.turns.clone_from(&cursor.turns);
        Ok(())
    }

    /// The parts.
    pub fn parts(&self) -> &[MixturePart] {
        &self.parts
    }

    /// Tokens of the longest window.
    pub fn longest_window(&self) -> usize {
        let windows = self.parts.iter().map(|part| part.source.window());
        windows.max().unwrap_or(0)
    }

    fn next_turn(&mut self) -> &mut WindowSource {
        let total: f64 = self.parts.iter().map(|part| part.share).sum();
        let n_turns = self.turns.iter().sum::<u64>() as f64 + 1.0;
        let mut next = (0, f64::NEG_INFINITY);
        for (part_idx, (part, turns)) in self.parts.iter().zip(&self.turns).enumerate() {
            let behind = part.share / total * n_turns - *turns as f64;
            if part.share > 0.0 && behind > next.1 {
                next = (part_idx, behind);
            }
        }
        self.turns[next.0] += 1;
        &mut self.parts[next.0].source
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::counting_document;
    use crate::training::PackingConfig;

    fn part(name: &str, share: f64, config: PackingConfig) -> MixturePart {
        let documents = [counting_document(name, 50)].into();
        MixturePart {
            name: name.to_owned(),
            share,
            source: WindowSource::Packed(PackedStream::new(documents, config).unwrap()),
        }
    }

    fn mixture() -> Mixture {
        let parts = vec![
            part("short", 1.0, PackingConfig::short(8, 4, 1)),
            part("long", 3.0, PackingConfig::new(16, 1)),
            part("none", 0.0, PackingConfig::new(9, 1)),
        ];
        Mixture::new(parts, Grouping::Batch).unwrap()
    }

    #[test]
    fn batches_are_of_one_kind_and_shares_are_exact() {
        let mut mixture = mixture();
        let mut n_short = 0;
        for n_batches in 1..=40 {
            let batch = mixture.next_batch(3).unwrap();
            let kind = (batch[0].rope, batch[0].tokens.len());
            assert!(
                batch
                    .iter()
                    .all(|window| (window.rope, window.tokens.len()) == kind)
            );
            n_short += usize::from(kind == (RopeChoice::Original, 8));
            assert!((n_short as f64 - f64::from(n_batches) / 4.0).abs() < 1.0);
        }
        assert_eq!((n_short, mixture.turns), (10, vec![10, 30, 0]));
    }

    #[test]
    fn windows_of_one_batch_have_to_agree() {
        let parts = |window| {
            vec![
                part("a", 0.5, PackingConfig::new(8, 1)),
                part("b", 0.5, PackingConfig::new(window, 2)),
            ]
        };
        let mut mixture = Mixture::new(parts(8), Grouping::Window).unwrap();
        assert_eq!(mixture.next_batch(4).unwrap().len(), 4);
        assert_eq!(mixture.turns, [2, 2]);
        assert!(matches!(
            Mixture::new(parts(9), Grouping::Window),
            Err(Error::PartsDisagree { first, second }) if first == "a" && second == "b"
        ));
    }

    #[test]
    fn shares_have_to_make_sense() {
        for share in [0.0, -1.0, f64::NAN] {
            let parts = vec![part("a", share, PackingConfig::new(8, 1))];
            let result = Mixture::new(parts, Grouping::Window);
            assert!(matches!(result, Err(Error::BadWeight { .. })), "{share}");
        }
    }

    #[test]
    fn a_saved_place_is_found_again() {
        let mut first = mixture();
        for _ in 0..7 {
            first.next_batch(2).unwrap();
        }
        let json = serde_json::to_string(&first.cursor()).unwrap();
        let mut second = mixture();
        second.seek(&serde_json::from_str(&json).unwrap()).unwrap();
        for _ in 0..20 {
            assert_eq!(first.next_batch(2).unwrap(), second.next_batch(2).unwrap());
        }
        let mut other = Mixture::of_one("a", part("a", 1.0, PackingConfig::new(8, 1)).source);
        assert!(matches!(
            other.seek(&first.cursor()),
            Err(Error::BadCursor { .. })
        ));
    }
}
