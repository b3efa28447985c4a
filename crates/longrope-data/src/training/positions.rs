//! Positions that skip ahead: a short window at the distances of a long text.
//!
//! A window is cut into a few pieces. Within a piece positions follow each other; from piece to piece they skip ahead at
//! random, so that the window's tokens lie anywhere in a text of the target length (`PoSE`, arXiv 2309.10400, §3.2). The
//! work is that of the short window.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::random::{below, generator, unit};
use crate::training_window::TrainingWindow;

/// How the positions of windows skip.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Skips {
    /// Tokens of the text that the positions lie in.
    pub target: usize,
    /// Pieces of a window, or of each document where documents do not attend to each other.
    pub pieces: usize,
    /// Share of the windows whose positions skip; those of the others follow each other.
    pub share: f64,
}

/// The positions of the tokens of window `number`; `None` if they are `0, 1, 2, …`.
///
/// Pieces begin at uniform random places, but never inside a stretch that belongs together
/// ([`TrainingWindow::together`]): a question and its answer stay adjacent, as in any text. What is skipped before each
/// piece is uniform between nothing and all that fits below the target. Documents that do not attend to each other are
/// placed one by one, each from position 0.
///
/// The same seed and number give the same positions.
pub fn skipped_positions(
    window: &TrainingWindow,
    skips: Skips,
    (seed, number): (u64, u64),
) -> Option<Vec<usize>> {
    let mut rng = generator(seed, number);
    // Drawn in any case, so that a share only decides which windows skip.
    if unit(&mut rng) >= skips.share {
        return None;
    }
    let n_tokens = window.tokens.len();
    if !window.confined {
        return Some(placed(
            0..n_tokens,
            &window.together,
            skips,
            Reach::Random,
            &mut rng,
        ));
    }
    let ends = window.document_starts.iter().skip(1).copied();
    let documents = window.document_starts.iter().zip(ends.chain([n_tokens]));
    let placed = documents.flat_map(|(start, end)| {
        placed(
            *start..end,
            &window.together,
            skips,
            Reach::Random,
            &mut rng,
        )
    });
    Some(placed.collect())
}

/// The positions of `n_tokens` tokens that lie all over a text, to measure on: as those of [`skipped_positions`], but the
/// last piece always ends with the last token of the target. `share` has no effect.
///
/// The same seed and number give the same positions.
pub fn stretched_positions(
    n_tokens: usize,
    skips: Skips,
    (seed, number): (u64, u64),
) -> Vec<usize> {
    let mut rng = generator(seed, number);
    placed(0..n_tokens, &[], skips, Reach::End, &mut rng)
}

/// Where the last piece lies.
#[derive(Clone, Copy, PartialEq)]
enum Reach {
    /// Anywhere below the target.
    Random,
    /// At the end of the target.
    End,
}

/// Positions of one document, from 0.
fn placed(
    document: Range<usize>,
    together: &[Range<usize>],
    skips: Skips,
    reach: Reach,
    rng: &mut ChaCha8Rng,
) -> Vec<usize> {
    let room = skips.target.saturating_sub(document.len());
    let inside = |place: &usize| {
        let splits = |stretch: &Range<usize>| stretch.start < *place && *place < stretch.end;
        !together.iter().any(splits)
    };
    let mut places: Vec<usize> = (document.start + 1..document.end).filter(inside).collect();
    let n_cuts = (skips.pieces.saturating_sub(1)).min(places.len());
    // The first `n_cuts` of a shuffled list.
    for drawn in 0..n_cuts {
        let other = drawn + below(places.len() - drawn, rng);
        places.swap(drawn, other);
    }
    let mut cuts = places;
    cuts.truncate(n_cuts);
    cuts.sort_unstable();
    let mut skipped: Vec<usize> = (0..n_cuts).map(|_| below(room + 1, rng)).collect();
    skipped.sort_unstable();
    if let (Reach::End, Some(last)) = (reach, skipped.last_mut()) {
        *last = room;
    }
    let start = document.start;
    document
        .map(|token| {
            let piece = cuts.partition_point(|cut| *cut <= token);
            let before = piece.checked_sub(1).map_or(0, |cut| skipped[cut]);
            token - start + before
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::training_window::{Goal, RopeChoice};

    fn window(n_tokens: usize, document_starts: Vec<usize>) -> TrainingWindow {
        TrainingWindow {
            tokens: vec![7; n_tokens],
            confined: document_starts.len() > 1,
            document_starts,
            together: Vec::new(),
            rope: RopeChoice::Rescaled,
            goal: Goal::Text,
            loss_weights: None,
        }
    }

    fn skips(target: usize, pieces: usize) -> Skips {
        Skips {
            target,
            pieces,
            share: 1.0,
        }
    }

    /// Indices of the tokens before which positions skip.
    fn gaps(positions: &[usize]) -> Vec<usize> {
        let pairs = (1..).zip(positions.windows(2));
        let skipping = pairs.filter(|(_, pair)| pair[1] != pair[0] + 1);
        skipping.map(|(token, _)| token).collect()
    }

    proptest! {
        #[test]
        fn positions_ascend_from_zero_and_stay_below_the_target(
            n_tokens in 2_usize..60,
            target in 2_usize..4_000,
            pieces in 1_usize..9,
            seed: u64,
        ) {
            let window = window(n_tokens, vec![0]);
            let positions = skipped_positions(&window, skips(target, pieces), (seed, 3)).unwrap();
            prop_assert_eq!(positions.len(), n_tokens);
            prop_assert_eq!(positions[0], 0);
            prop_assert!(positions.is_sorted_by(|a, b| a < b));
            prop_assert!(positions[n_tokens - 1] < target.max(n_tokens));
            prop_assert!(gaps(&positions).len() < pieces);
        }

        #[test]
        fn what_belongs_together_stays_together(start in 1_usize..30, length in 2_usize..20, seed: u64) {
            let mut window = window(50, vec![0]);
            window.together = vec![start..start + length, 40..50];
            let positions = skipped_positions(&window, skips(10_000, 6), (seed, 0)).unwrap();
            for stretch in window.together {
                let within = &positions[stretch];
                prop_assert!(gaps(within).is_empty());
            }
        }
    }

    #[test]
    fn stretched_positions_end_with_the_target() {
        for number in 0..50 {
            let positions = stretched_positions(20, skips(5_000, 4), (3, number));
            assert_eq!((positions.len(), positions[0]), (20, 0));
            assert_eq!(positions[19], 4_999);
            assert!(positions.is_sorted_by(|a, b| a < b));
            assert!((1..4).contains(&gaps(&positions).len()), "{positions:?}");
        }
        // Where nothing can be skipped, nothing is.
        assert_eq!(stretched_positions(3, skips(3, 4), (3, 0)), [0, 1, 2]);
        assert_eq!(stretched_positions(1, skips(9, 4), (3, 0)), [0]);
    }

    #[test]
    fn every_document_of_its_own_begins_at_zero() {
        let positions =
            skipped_positions(&window(9, vec![0, 4, 5]), skips(100, 3), (1, 0)).unwrap();
        assert_eq!([positions[0], positions[4], positions[5]], [0, 0, 0]);
        for document in [&positions[..4], &positions[4..5], &positions[5..]] {
            assert!(document.is_sorted_by(|a, b| a < b));
        }
        assert!(positions.iter().any(|at| *at > 9), "{positions:?}");
    }

    #[test]
    fn distances_cover_the_target_evenly() {
        let window = window(16, vec![0]);
        let last = |number| {
            let positions = skipped_positions(&window, skips(1_016, 2), (5, number)).unwrap();
            positions[15] - 15
        };
        let mean = (0..4_000).map(last).sum::<usize>() as f64 / 4_000.0;
        // Uniform from 0 to 1,000: standard error 4.6.
        assert!((mean - 500.0).abs() < 20.0, "{mean}");
    }

    #[test]
    fn the_share_of_skipping_windows_is_as_asked() {
        let window = window(16, vec![0]);
        let skips = |share| Skips {
            share,
            ..skips(200, 3)
        };
        let positions = |share, number| skipped_positions(&window, skips(share), (5, number));
        assert_eq!((0..20).find_map(|number| positions(0.0, number)), None);
        let n = (0..2_000)
            .filter_map(|number| positions(0.25, number))
            .count();
        // Binomial: standard deviation 19.
        assert!(n.abs_diff(500) < 80, "{n}");
        let number = (0..100).find(|number| positions(0.25, *number).is_some());
        let number = number.unwrap();
        assert_eq!(positions(0.25, number), positions(1.0, number));
    }

    #[test]
    fn a_window_as_long_as_the_target_skips_nothing() {
        let whole: Vec<usize> = (0..16).collect();
        for target in [2, 16] {
            let positions = skipped_positions(&window(16, vec![0]), skips(target, 4), (1, 1));
            assert_eq!(positions, Some(whole.clone()));
        }
    }
}
