//! Texts with something hidden in them, asked for at the end.

use anyhow::{Result, anyhow};
use longrope_data::{TokenDocument, Tokenizer, passkey};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::hint::Hint;

/// What hidden numbers are called.
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

/// `[search-needle]`: what is hidden, and in what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct NeedleSection {
    /// Whose words are used.
    pub(crate) style: NeedleStyle,
    /// What the needle is hidden in.
    pub(crate) filler: Filler,
    /// Texts to ask about.
    pub(crate) samples: usize,
    /// Where the needle is, 0 the beginning and 1 the end; spread evenly over the texts if there are none.
    pub(crate) depths: Vec<f64>,
    /// Digits of the number to find.
    pub(crate) digits: u32,
    /// Words before the text, instead of the style's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) introduction: Option<String>,
    /// The needle; `{key}` becomes its name and `{answer}` the number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) statement: Option<String>,
    /// The question after the text; the number follows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) question: Option<String>,
}

impl Default for NeedleSection {
    fn default() -> Self {
        Self {
            style: NeedleStyle::MagicNumber,
            filler: Filler::Text,
            samples: 10,
            depths: Vec::new(),
            digits: 7,
            introduction: None,
            statement: None,
            question: None,
        }
    }
}

impl NeedleSection {
    /// Passkeys as they are always measured, in sentences that repeat.
    pub(crate) fn passkeys(samples: usize) -> Self {
        Self {
            style: NeedleStyle::Passkey,
            filler: Filler::Sentences,
            samples,
            digits: 5,
            ..Self::default()
        }
    }
}

/// Whose words a needle has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NeedleStyle {
    /// Those of LongRoPE2 and RULER.
    MagicNumber,
    /// Those of passkey retrieval: few and short.
    Passkey,
}

impl NeedleStyle {
    /// Introduction, statement and question.
    fn words(self) -> [String; 3] {
        match self {
            Self::MagicNumber => [
                "A special magic number is hidden within the following text. Make sure to memorize it. \
                 I will quiz you about the number afterwards.\n",
                "\nOne of the special magic numbers for {key} is: {answer}.\n",
                "\nWhat is the special magic number for {key} mentioned in the provided text? \
                 The special magic number for {key} mentioned in the provided text is",
            ]
            .map(str::to_owned),
            Self::Passkey => [
                format!("{}\n", passkey::TASK),
                format!("\n{}\n", passkey::needle("{answer}")),
                format!("\n{}", passkey::QUESTION),
            ],
        }
    }
}

/// What a needle is hidden in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Filler {
    /// The documents.
    Text,
    /// The sentences of passkey retrieval, again and again.
    Sentences,
}

/// A text with a needle, of a given number of tokens, that ends with the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NeedleText {
    pub(crate) tokens: Vec<u32>,
    /// Where the answer begins.
    pub(crate) answer_from: usize,
}

/// Makes texts of exactly `n_tokens`; the same for the same arguments.
pub(crate) fn needle_texts(
    section: &NeedleSection,
    tokenizer: &Tokenizer,
    documents: &[TokenDocument],
    n_tokens: usize,
    seed: u64,
) -> Result<Vec<NeedleText>> {
    if let Some(depth) = section
        .depths
        .iter()
        .find(|depth| !(0.0..=1.0).contains(*depth))
    {
        return Err(anyhow!(
            "`search-needle.depths` has {depth}, expected numbers from 0 to 1"
        ));
    }
    if !(1..=9).contains(&section.digits) {
        let found = section.digits;
        return Err(anyhow!(
            "`search-needle.digits` is {found}, expected 1 to 9"
        ));
    }
    let fill = Fill::new(section.filler, tokenizer, documents)?;
    (0..section.samples)
        .map(|index| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(index as u64);
            let depth = match section.depths.as_slice() {
                [] => (index as f64 + 0.5) / section.samples as f64,
                depths => depths[index % depths.len()],
            };
            one(section, tokenizer, &fill, depth, n_tokens, &mut rng)
        })
        .collect()
}

fn one(
    section: &NeedleSection,
    tokenizer: &Tokenizer,
    fill: &Fill,
    depth: f64,
    n_tokens: usize,
    rng: &mut ChaCha8Rng,
) -> Result<NeedleText> {
    let key = NAMES[rng.random_range(0..NAMES.len())];
    let low = 10_u32.pow(section.digits - 1);
    let answer = rng.random_range(low..10 * low).to_string();
    let own = [&section.introduction, &section.statement, &section.question];
    let words = section.style.words();
    let part = |index: usize, special: bool| -> Result<Vec<u32>> {
        let text = own[index].as_ref().unwrap_or(&words[index]);
        let text = text.replace("{key}", key).replace("{answer}", &answer);
        if text.is_empty() {
            return Ok(Vec::new());
        }
        Ok(tokenizer.encode(&text, special)?)
    };
    let (introduction, statement, question) = (part(0, true)?, part(1, false)?, part(2, false)?);
    let answer = tokenizer.encode(&format!(" {answer}"), false)?;
    let n_words = introduction.len() + statement.len() + question.len() + answer.len();
    let Some(n_filler) = n_tokens.checked_sub(n_words) else {
        return Err(anyhow!(
            "a needle and its question take {n_words} tokens, there is room for {n_tokens}"
        )
        .context(Hint(
            "`search-needle.style = \"passkey\"` is shorter; or search for a longer context"
                .to_owned(),
        )));
    };
    let filler = fill.take(n_filler, rng)?;
    let before = filler_before(depth, n_filler);
    let mut tokens = introduction;
    tokens.extend_from_slice(&filler[..before]);
    tokens.extend_from_slice(&statement);
    tokens.extend_from_slice(&filler[before..]);
    tokens.extend_from_slice(&question);
    let answer_from = tokens.len();
    tokens.extend_from_slice(&answer);
    Ok(NeedleText {
        tokens,
        answer_from,
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a depth is from 0 to 1"
)]
fn filler_before(depth: f64, n_filler: usize) -> usize {
    (depth * n_filler as f64).round() as usize
}

/// Where filler comes from.
enum Fill<'a> {
    Documents(&'a [TokenDocument]),
    Sentences(Vec<u32>),
}

impl<'a> Fill<'a> {
    fn new(filler: Filler, tokenizer: &Tokenizer, documents: &'a [TokenDocument]) -> Result<Self> {
        Ok(match filler {
            Filler::Text => Self::Documents(documents),
            Filler::Sentences => {
                Self::Sentences(tokenizer.encode(&format!("{} ", passkey::FILLER), false)?)
            }
        })
    }

    fn take(&self, n_tokens: usize, rng: &mut ChaCha8Rng) -> Result<Vec<u32>> {
        match self {
            Self::Sentences(tokens) => Ok(tokens.iter().copied().cycle().take(n_tokens).collect()),
            Self::Documents(documents) => {
                // The first token may be a special one that stands at the beginning only.
                let long: Vec<&TokenDocument> = documents
                    .iter()
                    .filter(|document| document.tokens.len() > n_tokens)
                    .collect();
                if long.is_empty() {
                    return Err(anyhow!(
                        "no document has the {n_tokens} tokens that a needle is to be hidden in"
                    )
                    .context(Hint(
                        "give longer documents, or `search-needle.filler = \"sentences\"`"
                            .to_owned(),
                    )));
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
    use std::path::Path;

    use super::*;

    fn tokenizer() -> Tokenizer {
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/tiny-llama-256");
        Tokenizer::from_model_dir(Path::new(model)).expect("it is bundled")
    }

    #[test]
    fn needles_lie_where_they_should_and_answers_end_the_text() {
        let tokenizer = tokenizer();
        let documents = [TokenDocument {
            source: String::new(),
            tokens: vec![300; 1000],
        }];
        let section = NeedleSection {
            samples: 4,
            ..NeedleSection::default()
        };
        let texts = needle_texts(&section, &tokenizer, &documents, 512, 1).unwrap();
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
            needle_texts(&section, &tokenizer, &documents, 512, 1).unwrap()
        );
    }

    #[test]
    fn templates_can_be_replaced_and_must_fit() {
        let section = NeedleSection {
            introduction: Some(String::new()),
            statement: Some("{key} = {answer}.".to_owned()),
            question: Some("{key} =".to_owned()),
            samples: 1,
            ..NeedleSection::passkeys(1)
        };
        let text = needle_texts(&section, &tokenizer(), &[], 100, 3).unwrap();
        let text = tokenizer().decode(&text[0].tokens).unwrap();
        assert!(text.contains(" = ") && !text.contains('{'), "{text}");
        let error = needle_texts(&NeedleSection::passkeys(1), &tokenizer(), &[], 20, 3);
        // The hint is the outermost of the error's texts.
        assert!(format!("{:#}", error.unwrap_err()).contains("room for 20"));
    }
}
