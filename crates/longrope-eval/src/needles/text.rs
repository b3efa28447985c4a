//! Needle texts as tokens: what a search scores candidates on besides ordinary text.

use std::ops::Range;

use longrope_data::needle::{FILLER, NeedleParts, filler_before};
use longrope_data::{TokenDocument, Tokenizer};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::text_config::{Filler, NeedleTextConfig};
use crate::error::{Error, Result};

/// Names of hidden numbers.
const NAMES: [&str; 8] = [
    "numerous-kite",
    "quiet-harbour",
    "amber-lantern",
    "distant-mill",
    "patient-otter",
    "narrow-bridge",
    "silver-thimble",
    "gentle-comet",
];

/// The tokens of a text with a needle. They end with the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedleText {
    /// All tokens.
    pub tokens: Vec<u32>,
    /// Index of the first token of the answer.
    pub answer_from: usize,
    /// Indices of the filler before the needle, and of that after it.
    pub fillers: [Range<usize>; 2],
}

/// Makes [`samples`](NeedleTextConfig::samples) texts of exactly `n_tokens` tokens. The same arguments give the same
/// texts.
///
/// ```no_run
/// use std::path::Path;
///
/// use longrope_data::Tokenizer;
/// use longrope_eval::{NeedleTextConfig, needle_texts};
///
/// let tokenizer = Tokenizer::from_model_dir(Path::new("model"))?;
/// let texts = needle_texts(&NeedleTextConfig::passkeys(10), &tokenizer, &[], 4096, 42)?;
/// assert_eq!(texts[0].tokens.len(), 4096);
/// # Ok::<(), longrope_eval::Error>(())
/// ```
///
/// # Errors
/// - [`Error::InvalidSetting`] for a depth outside of `0..=1` or a number of digits outside of `1..=9`.
/// - [`Error::MissingPlaceholder`] if the configured needle does not say the answer.
/// - [`Error::NeedleTooLong`] if the parts without filler are longer than `n_tokens`.
/// - [`Error::NoFillerText`] if no document is long enough to hide a needle in.
/// - [`Error::Data`] if a part cannot be tokenized.
pub fn needle_texts(
    config: &NeedleTextConfig,
    tokenizer: &Tokenizer,
    documents: &[TokenDocument],
    n_tokens: usize,
    seed: u64,
) -> Result<Vec<NeedleText>> {
    config.validate()?;
    let parts = config.parts();
    let source = FillerSource::new(config.filler, tokenizer, documents)?;
    (0..config.samples)
        .map(|index| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(index as u64);
            let depth = match config.depths.as_slice() {
                [] => (index as f64 + 0.5) / config.samples as f64,
                depths => depths[index % depths.len()],
            };
            let key = NAMES[rng.random_range(0..NAMES.len())];
            let low = 10_u32.pow(config.digits - 1);
            let answer = rng.random_range(low..10 * low).to_string();
            let parts = parts.filled(key, &answer);
            build(&parts, &answer, tokenizer, n_tokens, |n_filler| {
                let filler = source.take(n_filler, &mut rng)?;
                let (before, after) = filler.split_at(filler_before(depth, n_filler));
                Ok([before.to_vec(), after.to_vec()])
            })
        })
        .collect()
}

/// Tokenizes the parts and puts filler between them.
fn build(
    parts: &NeedleParts<String>,
    answer: &str,
    tokenizer: &Tokenizer,
    n_tokens: usize,
    filler: impl FnOnce(usize) -> Result<[Vec<u32>; 2]>,
) -> Result<NeedleText> {
    let encode = |text: &str, is_first: bool| {
        if text.is_empty() {
            Ok(Vec::new())
        } else if is_first {
            tokenizer.encode_prompt(text)
        } else {
            tokenizer.encode_continuation(text)
        }
    };
    let parts = NeedleParts {
        introduction: encode(&parts.introduction, true)?,
        statement: encode(&parts.statement, false)?,
        question: encode(&parts.question, false)?,
    };
    let answer = tokenizer.encode_continuation(&format!(" {answer}"))?;
    let needed =
        parts.introduction.len() + parts.statement.len() + parts.question.len() + answer.len();
    let n_filler = n_tokens.checked_sub(needed).ok_or(Error::NeedleTooLong {
        needed,
        room: n_tokens,
    })?;
    let [before, after] = filler(n_filler)?;
    let start = parts.introduction.len();
    let needle = start + before.len();
    let needle_end = needle + parts.statement.len();
    let fillers = [start..needle, needle_end..needle_end + after.len()];
    let mut tokens = parts.with_filler(before, after).concat();
    let answer_from = tokens.len();
    tokens.extend(answer);
    Ok(NeedleText {
        tokens,
        answer_from,
        fillers,
    })
}

/// Where filler comes from.
enum FillerSource<'a> {
    Documents(&'a [TokenDocument]),
    /// Tokens that are repeated.
    Sentences(Vec<u32>),
}

impl<'a> FillerSource<'a> {
    fn new(filler: Filler, tokenizer: &Tokenizer, documents: &'a [TokenDocument]) -> Result<Self> {
        Ok(match filler {
            Filler::Text => Self::Documents(documents),
            Filler::Sentences => {
                let sentences = tokenizer.encode_continuation(&format!("{FILLER} "))?;
                if sentences.is_empty() {
                    return Err(longrope_data::Error::NoFiller.into());
                }
                Self::Sentences(sentences)
            }
        })
    }

    fn take(&self, n_tokens: usize, rng: &mut ChaCha8Rng) -> Result<Vec<u32>> {
        match self {
            Self::Sentences(tokens) => Ok(tokens.iter().copied().cycle().take(n_tokens).collect()),
            Self::Documents(documents) => {
                // The first token is left out: it may be a special one that stands at the beginning only.
                let long: Vec<&TokenDocument> = documents
                    .iter()
                    .filter(|document| document.tokens.len() > n_tokens)
                    .collect();
                if long.is_empty() {
                    return Err(Error::NoFillerText { n_tokens });
                }
                let tokens = &long[rng.random_range(0..long.len())].tokens;
                let start = rng.random_range(1..=tokens.len() - n_tokens);
                Ok(tokens[start..start + n_tokens].to_vec())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{
        tokenizer, tokenizer_that_ends_texts, tokenizer_with_a_space_before_texts,
    };

    #[test]
    fn needles_lie_where_they_should_and_answers_end_the_text() {
        let tokenizer = tokenizer();
        let documents = [TokenDocument {
            source: String::new(),
            tokens: vec![300; 1000],
        }];
        let config = NeedleTextConfig {
            samples: 4,
            ..NeedleTextConfig::default()
        };
        let texts = needle_texts(&config, &tokenizer, &documents, 512, 1).unwrap();
        assert_eq!(texts.len(), 4);
        for (index, text) in texts.iter().enumerate() {
            assert_eq!(text.tokens.len(), 512);
            let first = text
                .tokens
                .iter()
                .take(512)
                .position(|t| *t == 300)
                .unwrap();
            let before = text.tokens[first..].iter().take_while(|t| **t == 300);
            let filler = text.tokens.iter().filter(|t| **t == 300).count() as f64;
            let depth = before.count() as f64 / filler;
            assert!((depth - (index as f64 + 0.5) / 4.0).abs() < 0.02, "{depth}");
            let answer = tokenizer.decode(&text.tokens[text.answer_from..]).unwrap();
            let whole = tokenizer.decode(&text.tokens).unwrap();
            assert_eq!(answer.trim().len(), 7);
            assert!(
                whole.contains(&format!("is: {}.", answer.trim())),
                "{whole}"
            );
        }
        assert_eq!(
            texts,
            needle_texts(&config, &tokenizer, &documents, 512, 1).unwrap()
        );
    }

    #[test]
    fn templates_can_be_replaced_and_must_fit() {
        let config = NeedleTextConfig {
            introduction: Some(String::new()),
            statement: Some("{key} = {answer}.".to_owned()),
            question: Some("{key} =".to_owned()),
            samples: 1,
            ..NeedleTextConfig::passkeys(1)
        };
        let text = needle_texts(&config, &tokenizer(), &[], 100, 3).unwrap();
        let text = tokenizer().decode(&text[0].tokens).unwrap();
        assert!(text.contains(" = ") && !text.contains('{'), "{text}");
        let error = needle_texts(&NeedleTextConfig::passkeys(1), &tokenizer(), &[], 20, 3);
        assert!(matches!(error, Err(Error::NeedleTooLong { room: 20, .. })));
        let short = [TokenDocument {
            source: String::new(),
            tokens: vec![300; 100],
        }];
        let error = needle_texts(&NeedleTextConfig::default(), &tokenizer(), &short, 512, 3);
        assert!(matches!(error, Err(Error::NoFillerText { .. })));
        let config = NeedleTextConfig {
            digits: 10,
            ..NeedleTextConfig::default()
        };
        let error = needle_texts(&config, &tokenizer(), &[], 512, 3);
        assert!(matches!(
            error,
            Err(Error::InvalidSetting {
                setting: "digits",
                ..
            })
        ));
        let config = NeedleTextConfig {
            statement: Some("{key} is hidden.".to_owned()),
            ..NeedleTextConfig::passkeys(1)
        };
        let error = needle_texts(&config, &tokenizer(), &[], 512, 3);
        assert!(matches!(
            error,
            Err(Error::MissingPlaceholder {
                setting: "statement",
                placeholder: "{answer}",
                ..
            })
        ));
    }

    #[test]
    fn a_text_does_not_end_after_its_introduction() {
        let texts = |tokenizer: &Tokenizer| {
            let config = NeedleTextConfig::passkeys(2);
            needle_texts(&config, tokenizer, &[], 256, 3).unwrap()
        };
        assert_eq!(texts(&tokenizer_that_ends_texts()), texts(&tokenizer()));
    }

    #[test]
    fn only_the_introduction_gets_the_space_that_a_tokenizer_puts_before_a_text() {
        let tokenizer = tokenizer_with_a_space_before_texts();
        assert!(tokenizer.marks_beginnings());
        let config = NeedleTextConfig::passkeys(4);
        for text in needle_texts(&config, &tokenizer, &[], 400, 3).unwrap() {
            let answer = tokenizer.decode(&text.tokens[text.answer_from..]).unwrap();
            assert_eq!(answer.len(), 1 + 5, "{answer:?}");
            let text = tokenizer.decode(&text.tokens).unwrap();
            assert!(!text.contains("  "), "{text}");
        }
    }

    #[test]
    fn tokens_are_pinned() {
        let documents: Vec<TokenDocument> = [700, 900]
            .map(|n_tokens| TokenDocument {
                source: String::new(),
                tokens: (0..n_tokens).collect(),
            })
            .into();
        let print = |config: &NeedleTextConfig| {
            let texts = needle_texts(config, &tokenizer(), &documents, 640, 5).unwrap();
            let document = |text: NeedleText| TokenDocument {
                source: String::new(),
                tokens: text.tokens,
            };
            let documents: Vec<TokenDocument> = texts.into_iter().map(document).collect();
            longrope_data::text_fingerprint(&documents)
        };
        let own = NeedleTextConfig {
            depths: vec![0.1, 0.9],
            statement: Some("{key} = {answer}.".to_owned()),
            ..NeedleTextConfig::default()
        };
        let configs = [
            NeedleTextConfig::default(),
            NeedleTextConfig::passkeys(7),
            own,
        ];
        let expected = [
            "c347d05014e3ee8635f72adea6873322ece5902d5002b46c93d76e3554e1b781",
            "cd3231733fa5545517e8cec37bb16565d577982be460397ed958dffaf914f73e",
            "bb99e9dcd1998f2656bb1a3af97b2551c2f780df8f8515b1f8b847b0b6f6f29b",
        ];
        assert_eq!(configs.each_ref().map(print), expected);
    }
}
