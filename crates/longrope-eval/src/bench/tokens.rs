//! Where the tokens of an answer begin, and what is left of a long question.

use longrope_data::Tokenizer;

use super::python::is_space;

/// The tokens of question and answer in one, and where the answer begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerTokens {
    /// All tokens, those of the beginning of a long question left out.
    pub tokens: Vec<u32>,
    /// Index of the first token of the answer.
    pub answer_from: usize,
}

/// Encodes `context` and a blank and `choice` behind it, as lm-evaluation-harness does.
///
/// Both are encoded in one; the answer is what is behind as many tokens as the question has by itself. Blanks at the end
/// of the question belong to the answer. Of `context` tokens that the model reads, the last token of the answer is none,
/// so that one more is kept.
///
/// # Errors
/// If the text cannot be tokenized.
pub(super) fn encode(
    tokenizer: &Tokenizer,
    context: &str,
    choice: &str,
    max_context: usize,
) -> longrope_data::Result<AnswerTokens> {
    let question = context.trim_end_matches(is_space);
    let blanks = &context[question.len()..];
    let n_question = tokenizer.encode(question, true)?.len();
    let whole = tokenizer.encode(&format!("{question}{blanks} {choice}"), true)?;
    let left_out = whole.len().saturating_sub(max_context + 1);
    Ok(AnswerTokens {
        answer_from: n_question.saturating_sub(left_out),
        tokens: whole[left_out..].to_vec(),
    })
}
