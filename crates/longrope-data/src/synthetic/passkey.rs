//! Training documents with the passkey test: a number hidden in filler, and the question for it.

use rand_chacha::ChaCha8Rng;

use super::draft::{Draft, room};
use super::filler::Filler;
use crate::needle::NeedleParts;
use crate::random::below;
use crate::{Result, Tokenizer};

/// Fills `draft` up to `n_tokens`, or a little further if only that leaves room for the parts: see [`room`]. The place of the
/// needle is uniform over the filler, so that every distance to the question occurs.
pub(crate) fn fill(
    draft: &mut Draft,
    n_tokens: usize,
    window: usize,
    (tokenizer, filler): (&Tokenizer, &Filler),
    answer_weight: f32,
    rng: &mut ChaCha8Rng,
) -> Result<()> {
    let key = (10_000 + below(90_000, rng)).to_string();
    let words = NeedleParts::PASSKEY.filled("", &key);
    // Lines of filler bring their own line break, so every part but the first begins with one.
    let mut parts = NeedleParts::<Draft>::default();
    let NeedleParts {
        introduction,
        statement,
        question,
    } = &mut parts;
    introduction.push_first(tokenizer, &words.introduction)?;
    statement.push_text(tokenizer, &format!("\n{}", words.statement))?;
    question.push_text(tokenizer, &format!("\n{}", words.question))?;
    question.push_answer(tokenizer, &key, answer_weight)?;
    question.push_text(tokenizer, ".")?;

    let needed = draft.len() + introduction.len() + statement.len() + question.len();
    let room = room("passkey", needed, n_tokens, window)?;
    let n_after = below(room + 1, rng);
    let kind = filler.draw_kind(rng);
    let mut line = |n_tokens| {
        let mut line = Draft::default();
        line.push(&filler.line(kind, n_tokens, rng), 1.0);
        line
    };
    let (before, after) = (line(room - n_after), line(n_after));
    let NeedleParts {
        introduction,
        statement,
        question,
    } = parts;
    let parts = NeedleParts {
        introduction: introduction.kept_together(),
        statement: statement.kept_together(),
        question: question.kept_together(),
    };
    for part in parts.with_filler(before, after) {
        draft.append(&part);
    }
    Ok(())
}
