//! Needle texts as parts of longer texts: positions with gaps.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::text::NeedleText;

impl NeedleText {
    /// Positions of the tokens as in a text of `target` tokens: each filler has one gap, at a random place, so that the needle
    /// is as deep in the long text as it is in this one, and the answer is the end of both.
    ///
    /// The same seed and number give the same positions.
    pub fn positions_in(&self, target: usize, (seed, number): (u64, u64)) -> Vec<usize> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        let room = target.saturating_sub(self.tokens.len());
        let [before, after] = &self.fillers;
        let n_filler = (before.len() + after.len()).max(1);
        let first_gap = usize::try_from(room as u128 * before.len() as u128 / n_filler as u128);
        let first_gap = first_gap.unwrap_or(room);
        let mut place = |filler: &Range<usize>| rng.random_range(filler.start..=filler.end);
        let (first, second) = (place(before), place(after));
        let skipped = |token: usize| match token {
            _ if token >= second => room,
            _ if token >= first => first_gap,
            _ => 0,
        };
        (0..self.tokens.len())
            .map(|token| token + skipped(token))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use longrope_data::Tokenizer;

    use crate::needles::{NeedleTextConfig, needle_texts};

    #[test]
    fn in_a_longer_text_needles_are_as_deep_and_answers_at_its_end() {
        let config = NeedleTextConfig {
            depths: vec![0.0, 0.25, 1.0],
            samples: 3,
            ..NeedleTextConfig::passkeys(3)
        };
        let model = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../longrope/assets/tiny-llama-256"
        );
        let tokenizer = Tokenizer::from_model_dir(Path::new(model)).expect("it is bundled");
        let texts = needle_texts(&config, &tokenizer, &[], 200, 1).unwrap();
        for (text, depth) in texts.iter().zip([0.0, 0.25, 1.0]) {
            let positions = text.positions_in(100_000, (7, 2));
            assert_eq!(positions, text.positions_in(100_000, (7, 2)));
            assert_eq!((positions[0], positions[199]), (positions[0], 99_999));
            assert!(positions.is_sorted_by(|a, b| a < b));
            let [before, after] = &text.fillers;
            let needle = &positions[before.end..after.start];
            assert_eq!(needle[needle.len() - 1] - needle[0], needle.len() - 1);
            assert!(
                (needle[0] as f64 / 1e5 - depth).abs() < 0.01,
                "{}",
                needle[0]
            );
            let question = &positions[after.end..];
            assert_eq!(
                question[question.len() - 1] - question[0],
                question.len() - 1
            );
        }
        assert_eq!(
            texts[0].positions_in(200, (7, 2)),
            (0..200).collect::<Vec<_>>()
        );
    }
}
