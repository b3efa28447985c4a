//! Where the tokens of an answer begin, and how long questions are cut.

use longrope_data::Tokenizer;

use super::python::is_space;

/// The tokens of question and answer together, and where the answer begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerTokens {
    /// All tokens; the beginning of a long question is cut off.
    pub tokens: Vec<u32>,
    /// Index of the first token of the answer.
    pub answer_from: usize,
    /// Number of tokens before anything was cut off.
    pub n_whole: usize,
}

/// Encodes `context`, a space and `choice`, as lm-evaluation-harness does.
///
/// Both are encoded together. The answer begins after as many tokens as the question has by itself; spaces at the end
/// of the question belong to the answer. The model does not read the last token of the answer, so `max_context + 1`
/// tokens are kept. A token that the tokenizer puts after a text is left out: the question goes on, and it is no part of
/// the answer.
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
    let n_question = tokenizer.encode_prompt(question)?.len();
    let whole = tokenizer.encode_prompt(&format!("{question}{blanks} {choice}"))?;
    let left_out = whole.len().saturating_sub(max_context + 1);
    Ok(AnswerTokens {
        answer_from: n_question.saturating_sub(left_out),
        tokens: whole[left_out..].to_vec(),
        n_whole: whole.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{tokenizer, tokenizer_that_ends_texts};

    #[test]
    fn a_token_after_a_text_is_no_part_of_the_answer() {
        let of = |tokenizer: &Tokenizer| encode(tokenizer, "fn main", "x = 1", 100).unwrap();
        assert_eq!(of(&tokenizer_that_ends_texts()), of(&tokenizer()));
    }
}
