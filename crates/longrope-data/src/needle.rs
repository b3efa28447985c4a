//! Needle texts: a statement hidden in filler, and a question about it at the end.
//!
//! The texts of passkeys, in training, measurements and searches, have the same five parts in the same order:
//!
//! ```text
//! introduction │ filler │ statement │ filler │ question
//! ```
//!
//! This module holds the wording and the order of the parts. The caller brings the filler and decides what a part is: a
//! string, tokens, or tokens with loss weights. There are three callers: the training windows of
//! [`SyntheticKind::Passkey`](crate::SyntheticKind::Passkey), the passkey task of `longrope-eval`, and the calibration
//! samples of a search.

/// The sentences that passkeys are hidden in, repeated with a space between.
///
/// Wording of Mohtashami and Jaggi (arXiv 2305.16300), which papers on long contexts have used since, `LongRoPE`
/// (arXiv 2402.13753, appendix A.1) among them.
pub const FILLER: &str =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";

/// The parts of a needle text without its filler. The answer follows the question after a space.
///
/// ```
/// use longrope_data::needle::NeedleParts;
///
/// let parts = NeedleParts::PASSKEY.filled("", "12345");
/// assert_eq!(parts.statement, "The pass key is 12345. Remember it. 12345 is the pass key.");
///
/// let text = parts.with_filler("Some text.".to_owned(), "More text.".to_owned()).join("\n");
/// assert!(text.starts_with("There is an important info"));
/// assert!(text.ends_with("More text.\nWhat is the pass key? The pass key is"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NeedleParts<T> {
    /// Says that something is hidden in the text.
    pub introduction: T,
    /// The needle.
    pub statement: T,
    /// Asks for the answer and breaks off where the answer follows.
    pub question: T,
}

impl NeedleParts<&'static str> {
    /// The passkey test of Mohtashami and Jaggi (arXiv 2305.16300). The needle has no name, so there is no `{key}`.
    pub const PASSKEY: Self = Self {
        introduction: "There is an important info hidden inside a lot of irrelevant text. Find it and memorize them. I \
                       will quiz you about the important information there.",
        statement: "The pass key is {answer}. Remember it. {answer} is the pass key.",
        question: "What is the pass key? The pass key is",
    };

    /// The single needle of RULER (arXiv 2404.06654), which LongRoPE2 (arXiv 2502.20082) searches with.
    pub const MAGIC_NUMBER: Self = Self {
        introduction: "A special magic number is hidden within the following text. Make sure to memorize it. I will \
                       quiz you about the number afterwards.",
        statement: "One of the special magic numbers for {key} is: {answer}.",
        question: "What is the special magic number for {key} mentioned in the provided text? The special magic number \
                   for {key} mentioned in the provided text is",
    };
}

impl<T: AsRef<str>> NeedleParts<T> {
    /// Replaces `{key}` by the needle's name and `{answer}` by the answer.
    pub fn filled(&self, key: &str, answer: &str) -> NeedleParts<String> {
        self.map_ref(|part| part.replace("{key}", key).replace("{answer}", answer))
    }

    /// Adds the line breaks that put every part on a line of its own, for filler that has none.
    pub fn with_line_breaks(&self) -> NeedleParts<String> {
        NeedleParts {
            introduction: format!("{}\n", self.introduction.as_ref()),
            statement: format!("\n{}\n", self.statement.as_ref()),
            question: format!("\n{}", self.question.as_ref()),
        }
    }

    fn map_ref<U>(&self, change: impl Fn(&str) -> U) -> NeedleParts<U> {
        NeedleParts {
            introduction: change(self.introduction.as_ref()),
            statement: change(self.statement.as_ref()),
            question: change(self.question.as_ref()),
        }
    }
}

impl<T> NeedleParts<T> {
    /// All five parts in reading order.
    pub fn with_filler(self, before: T, after: T) -> [T; 5] {
        [
            self.introduction,
            before,
            self.statement,
            after,
            self.question,
        ]
    }
}

/// How much of the filler stands before a needle at `depth`, in the unit of `n_filler` (tokens or bytes).
///
/// A depth of 0 is the beginning of the filler and 1 its end.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a depth is from 0 to 1"
)]
pub fn filler_before(depth: f64, n_filler: usize) -> usize {
    (depth * n_filler as f64).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wording_is_pinned() {
        let parts = NeedleParts::PASSKEY.filled("", "7").with_line_breaks();
        let text = parts.with_filler(FILLER.to_owned(), FILLER.to_owned());
        assert_eq!(
            text.concat(),
            "There is an important info hidden inside a lot of irrelevant text. Find it and memorize them. I will quiz \
             you about the important information there.\n\
             The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.\n\
             The pass key is 7. Remember it. 7 is the pass key.\n\
             The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.\n\
             What is the pass key? The pass key is"
        );
        let parts = NeedleParts::MAGIC_NUMBER.filled("quiet-harbour", "1234567");
        let text = parts.with_filler("Before.".to_owned(), "After.".to_owned());
        assert_eq!(
            text.join("\n"),
            "A special magic number is hidden within the following text. Make sure to memorize it. I will quiz you \
             about the number afterwards.\n\
             Before.\n\
             One of the special magic numbers for quiet-harbour is: 1234567.\n\
             After.\n\
             What is the special magic number for quiet-harbour mentioned in the provided text? The special magic \
             number for quiet-harbour mentioned in the provided text is"
        );
    }

    #[test]
    fn depths_are_rounded_to_the_nearest_place() {
        let places = [0.0, 0.04, 0.05, 0.5, 1.0].map(|depth| filler_before(depth, 10));
        assert_eq!(places, [0, 0, 1, 5, 10]);
    }
}
