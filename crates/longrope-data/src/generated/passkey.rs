//! The passkey test of the field: a number in a long and pointless text, and the question for it.
//!
//! Mohtashami and Jaggi (arXiv 2305.16300) made the text; papers on long contexts have used it since, `LongRoPE`
//! (arXiv 2402.13753, appendix A.1) among them. Parts are lines: task, filler, needle, filler, question.

use std::fmt::Display;

use rand_chacha::ChaCha8Rng;

use super::draft::Draft;
use super::filler::Filler;
use crate::random::below;
use crate::{Error, Result, Tokenizer};

/// What the text is about.
pub const TASK: &str = "There is an important info hidden inside a lot of irrelevant text. Find it and memorize them. \
                        I will quiz you about the important information there.";
/// What is repeated before and behind the needle, with spaces between.
pub const FILLER: &str =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";
/// What the answer is to follow, behind a space.
pub const QUESTION: &str = "What is the pass key? The pass key is";

/// The line that holds the key.
///
/// ```
/// let line = longrope_data::passkey::needle(12345);
/// assert_eq!(line, "The pass key is 12345. Remember it. 12345 is the pass key.");
/// ```
pub fn needle(key: impl Display) -> String {
    format!("The pass key is {key}. Remember it. {key} is the pass key.")
}

/// Fills `draft` up to `window` less `n_behind` tokens. The needle is anywhere, so that every distance to the question
/// occurs.
pub(crate) fn fill(
    draft: &mut Draft,
    n_tokens: usize,
    (tokenizer, filler): (&Tokenizer, &Filler),
    answer_weight: f32,
    rng: &mut ChaCha8Rng,
) -> Result<()> {
    let key = 10_000 + below(90_000, rng);
    let key_line = needle(u32::try_from(key).unwrap_or(u32::MAX));
    draft.push_text(tokenizer, TASK, 1.0)?;
    let mut hidden = Draft::default();
    hidden.push_text(tokenizer, &format!("\n{key_line}"), 1.0)?;
    let mut question = Draft::default();
    question.push_text(tokenizer, &format!("\n{QUESTION}"), 1.0)?;
    question.push_answer(tokenizer, &key.to_string(), answer_weight)?;
    question.push_text(tokenizer, ".", 1.0)?;

    let needed = draft.len() + hidden.len() + question.len();
    let room = n_tokens.checked_sub(needed).ok_or(Error::WindowTooShort {
        document: "passkey",
        found: n_tokens,
        needed,
    })?;
    let n_between = below(room + 1, rng);
    let kind = filler.draw_kind(rng);
    draft.push(&filler.line(kind, room - n_between, rng), 1.0);
    draft.append(&hidden);
    draft.push(&filler.line(kind, n_between, rng), 1.0);
    draft.append(&question);
    Ok(())
}
