//! A prompt with its one right answer, and asking a model.

use longrope_data::Tokenizer;
use longrope_model::GenerateOptions;
use longrope_rope::RopeSpec;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::language_model::LanguageModel;

/// How an answer is scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Protocol {
    /// One forward pass over prompt and answer. The answer is right if each of its tokens is the most likely
    /// one after those before it, which is the case exactly when greedy generation begins with the answer. Takes as
    /// much time as reading the prompt.
    #[default]
    TeacherForced,
    /// The prompt is continued greedily by ten tokens. The answer is right if it is the first number in them or, for
    /// answers that are not numbers, if it occurs in them.
    Generated,
}

impl Protocol {
    /// The name in configuration files and results.
    pub fn name(self) -> &'static str {
        match self {
            Self::TeacherForced => "teacher-forced",
            Self::Generated => "generated",
        }
    }
}

/// New tokens of [`Protocol::Generated`].
const NEW_TOKENS: usize = 10;

/// The tokens of a prompt and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnsweredPrompt {
    /// Prompt, then answer.
    pub(crate) tokens: Vec<u32>,
    /// Index of the first token of the answer.
    pub(crate) answer_from: usize,
    /// The answer as text.
    pub(crate) answer: String,
}

/// The reply of a model to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Whether the answer is right.
    pub(crate) is_right: bool,
    /// The answer of the model; with teacher forcing, up to its first wrong token.
    pub(crate) text: String,
}

impl AnsweredPrompt {
    /// Tokenizes a prompt together with its answer.
    ///
    /// The answer begins at the first token that differs from the tokens of the prompt alone, so tokenizers that
    /// merge across that place are handled as well.
    pub(crate) fn new(tokenizer: &Tokenizer, prompt: &str, answer: &str) -> Result<Self> {
        let alone = tokenizer.encode_prompt(prompt)?;
        let tokens = tokenizer.encode_prompt(&format!("{prompt}{answer}"))?;
        let answer_from = alone
            .iter()
            .zip(&tokens)
            .take_while(|(a, b)| a == b)
            .count()
            .min(tokens.len() - 1);
        Ok(Self {
            tokens,
            answer_from,
            answer: answer.trim().to_owned(),
        })
    }

    /// Tokens of the context that the question needs: the prompt, and the answer or the tokens to generate.
    pub(crate) fn n_tokens(&self, protocol: Protocol) -> usize {
        match protocol {
            Protocol::TeacherForced => self.tokens.len(),
            Protocol::Generated => self.answer_from + NEW_TOKENS,
        }
    }
}

/// Asks questions that have equally many tokens.
pub(crate) fn ask(
    questions: &[AnsweredPrompt],
    protocol: Protocol,
    tokenizer: &Tokenizer,
    model: &mut dyn LanguageModel,
    rope: &RopeSpec,
) -> Result<Vec<Reply>> {
    match protocol {
        Protocol::TeacherForced => ask_forced(questions, tokenizer, model, rope),
        Protocol::Generated => ask_generated(questions, tokenizer, model, rope),
    }
}

fn ask_forced(
    questions: &[AnsweredPrompt],
    tokenizer: &Tokenizer,
    model: &mut dyn LanguageModel,
    rope: &RopeSpec,
) -> Result<Vec<Reply>> {
    let Some(score_from) = questions.iter().map(|q| q.answer_from).min() else {
        return Ok(Vec::new());
    };
    let sequences: Vec<&[u32]> = questions.iter().map(|q| q.tokens.as_slice()).collect();
    let resolved = rope.resolve(questions[0].tokens.len());
    let said = model.greedy_tokens(&sequences, score_from, &resolved)?;
    questions
        .iter()
        .zip(said)
        .map(|(question, said)| {
            let expected = &question.tokens[question.answer_from..];
            let said = &said[question.answer_from - score_from..];
            let n_right = said
                .iter()
                .zip(expected)
                .take_while(|(a, b)| a == b)
                .count();
            let until = (n_right + 1).min(said.len());
            Ok(Reply {
                is_right: n_right == expected.len(),
                text: tokenizer.decode(&said[..until])?.trim().to_owned(),
            })
        })
        .collect()
}

fn ask_generated(
    questions: &[AnsweredPrompt],
    tokenizer: &Tokenizer,
    model: &mut dyn LanguageModel,
    rope: &RopeSpec,
) -> Result<Vec<Reply>> {
    let prompts: Vec<&[u32]> = questions
        .iter()
        .map(|q| &q.tokens[..q.answer_from])
        .collect();
    let options = GenerateOptions {
        max_new_tokens: NEW_TOKENS,
        ..GenerateOptions::default()
    };
    let generated = model.generate(&prompts, &options, rope)?;
    questions
        .iter()
        .zip(generated)
        .map(|(question, tokens)| {
            let text = tokenizer.decode(&tokens)?;
            let is_number = question.answer.bytes().all(|byte| byte.is_ascii_digit());
            let is_right = if is_number {
                first_number(&text) == Some(&question.answer)
            } else {
                text.contains(&question.answer)
            };
            Ok(Reply {
                is_right,
                text: text.trim().to_owned(),
            })
        })
        .collect()
}

/// The first run of digits in a text.
fn first_number(text: &str) -> Option<&str> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let rest = &text[start..];
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    Some(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_counts() {
        assert_eq!(first_number(" 12345. Remember 99"), Some("12345"));
        assert_eq!(first_number("is 123456"), Some("123456"));
        assert_eq!(first_number("none"), None);
    }
}
