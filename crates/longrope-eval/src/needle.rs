//! Needle in a haystack: facts hidden in long text, asked for at the end, by depth.
//!
//! Layout and wording are those of EasyContext, which scores answers teacher-forced, as this task does by
//! default. Several needles are spread as in gkamradt's multi-needle test.

use std::ops::Range;

use longrope_data::Tokenizer;
use longrope_rope::RopeSpec;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::fit::fit_filler;
use crate::haystack::Haystack;
use crate::language_model::LanguageModel;
use crate::metric::Metric;
use crate::question::{Protocol, Question, ask};
use crate::report::Trial;
use crate::settings::{check, depths_setting};
use crate::task::{Task, TaskInfo};

const NAME: &str = "needle";

/// What is hidden and asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NeedleKind {
    /// Numbers of names, asked for in the words of the needle: [`Needle`].
    #[default]
    Number,
    /// Facts that share no word with the question: [`Association`](crate::Association).
    Association,
    /// Needles of one kind, asked for by their order: [`Ordinal`](crate::Ordinal).
    Ordinal,
}

impl NeedleKind {
    /// The name of the task in results.
    pub const fn task_name(self) -> &'static str {
        match self {
            Self::Number => NAME,
            Self::Association => "needle-association",
            Self::Ordinal => "needle-ordinal",
        }
    }
}

/// The values of `{key}`.
const KEYS: [&str; 16] = [
    "Singapore",
    "Lisbon",
    "Nairobi",
    "Toronto",
    "Oslo",
    "Lima",
    "Kyoto",
    "Cairo",
    "Vienna",
    "Havana",
    "Dublin",
    "Jakarta",
    "Athens",
    "Denver",
    "Mumbai",
    "Sydney",
];

/// How needles are hidden and asked for.
///
/// In the three texts, `{key}` stands for a name and `{value}` for a number; both are drawn anew
/// for every needle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct NeedleConfig {
    /// What is hidden and asked for. The three texts are those of numbers; the other kinds have their own.
    pub kind: NeedleKind,
    /// The needle.
    pub needle: String,
    /// The whole prompt; `{haystack}` stands for the text with the needles in it.
    pub prompt: String,
    /// The answer, which follows the prompt.
    pub answer: String,
    /// Digits of a value, 1 to [`MOST_DIGITS`](Self::MOST_DIGITS).
    pub digits: u32,
    /// Needles in one text. Of numbers, the first is at the depth, the others are spread evenly from there to the end.
    pub needles: usize,
    /// Depths, 0 at the beginning of the text and 1 at its end.
    pub depths: Vec<f64>,
    /// Trials per context and depth.
    pub trials: usize,
    /// How answers are scored.
    pub protocol: Protocol,
}

impl NeedleConfig {
    /// Most digits of a value, which has 64 bits.
    pub const MOST_DIGITS: u32 = 18;
}

impl Default for NeedleConfig {
    fn default() -> Self {
        Self {
            kind: NeedleKind::default(),
            needle: "The special magic {key} number is: {value}.".to_owned(),
            prompt: "This is a very long story book: <book> {haystack} </book>.\nBased on the \
                     content of the book, Question: What is the special magic {key} number? \
                     Answer: The special magic {key} number is:"
                .to_owned(),
            answer: " {value}".to_owned(),
            digits: 7,
            needles: 1,
            depths: vec![0.0, 0.25, 0.5, 0.75, 1.0],
            trials: 5,
            protocol: Protocol::default(),
        }
    }
}

/// One needle of a trial.
#[derive(Clone, Debug, PartialEq)]
struct Hidden {
    key: &'static str,
    value: u64,
    depth: f64,
}

impl Hidden {
    fn fill(&self, template: &str) -> String {
        template
            .replace("{key}", self.key)
            .replace("{value}", &self.value.to_string())
    }
}

/// Needles in a haystack at one context and all depths.
///
/// Every needle has a question of its own. The score of a trial is the share of needles that were found.
/// Prompt and answer together have exactly as many tokens as the context.
#[derive(Debug)]
pub struct Needle<'a> {
    tokenizer: &'a Tokenizer,
    haystack: &'a Haystack,
    config: NeedleConfig,
    context: usize,
    seed: u64,
}

impl<'a> Needle<'a> {
    /// Prepares trials of `context` tokens, hidden in `haystack`.
    ///
    /// # Errors
    /// If a setting is out of range, or the texts do not fit into the context.
    pub fn new(
        tokenizer: &'a Tokenizer,
        haystack: &'a Haystack,
        config: &NeedleConfig,
        context: usize,
        seed: u64,
    ) -> Result<Self> {
        check_config(config)?;
        let task = Self {
            tokenizer,
            haystack,
            config: config.clone(),
            context,
            seed,
        };
        task.questions(0)?; // fails if the context is too short
        Ok(task)
    }

    /// The needles of a trial, and where in the haystack its text begins, from 0 to 1.
    fn draw(&self, trial: usize) -> (Vec<Hidden>, f64) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(trial as u64);
        let depth = self.config.depths[trial % self.config.depths.len()];
        let n = self.config.needles;
        let first_key = rng.random_range(0..KEYS.len());
        let lowest = 10_u64.pow(self.config.digits - 1);
        let hidden = (0..n)
            .map(|i| Hidden {
                key: KEYS[(first_key + i) % KEYS.len()],
                value: rng.random_range(lowest..lowest * 10),
                depth: depth + (1.0 - depth) * i as f64 / n as f64,
            })
            .collect();
        (hidden, rng.random())
    }

    /// One question per needle of a trial.
    fn questions(&self, trial: usize) -> Result<Vec<Question>> {
        let (hidden, start) = self.draw(trial);
        let haystack = self.haystack.starting_at(start);
        let texts: Vec<String> = hidden
            .iter()
            .map(|one| one.fill(&self.config.needle))
            .collect();
        let needles: Vec<(f64, &str)> = hidden
            .iter()
            .zip(&texts)
            .map(|(one, text)| (one.depth, text.as_str()))
            .collect();
        let protocol = self.config.protocol;
        hidden
            .iter()
            .map(|asked| {
                let prompt = asked.fill(&self.config.prompt);
                let answer = asked.fill(&self.config.answer);
                let question = |fill| {
                    let text = haystack.with_needles(fill, &needles);
                    Question::new(
                        self.tokenizer,
                        &prompt.replace("{haystack}", &text),
                        &answer,
                    )
                };
                let fill = fit_filler(NAME, self.context, |fill| {
                    Ok(question(fill)?.n_tokens(protocol))
                })?;
                question(fill)
            })
            .collect()
    }
}

/// What a task of `[needle]` says about itself: `own` settings, then those that all of them have.
pub(crate) fn task_info<const N: usize>(
    name: &str,
    config: &NeedleConfig,
    haystack: &Haystack,
    (context, seed): (usize, u64),
    own: [(&str, Value); N],
    metrics: Vec<Metric>,
) -> TaskInfo {
    let shared = [
        ("trials", json!(config.trials)),
        ("haystack", json!(haystack.fingerprint())),
    ];
    let all = own.into_iter().chain(shared);
    TaskInfo {
        name: name.to_owned(),
        version: 1,
        protocol: config.protocol.name().to_owned(),
        settings: all.map(|(name, value)| (name.to_owned(), value)).collect(),
        seed,
        context,
        metrics,
    }
}

impl Task for Needle<'_> {
    fn info(&self) -> TaskInfo {
        let config = &self.config;
        let own = [
            ("needle", json!(config.needle)),
            ("prompt", json!(config.prompt)),
            ("answer", json!(config.answer)),
            ("digits", json!(config.digits)),
            ("needles", json!(config.needles)),
            ("depths", depths_setting(&config.depths)),
        ];
        let at = (self.context, self.seed);
        let metrics = vec![Metric::higher("recall")];
        task_info(NAME, config, self.haystack, at, own, metrics)
    }

    fn n_trials(&self) -> usize {
        self.config.trials * self.config.depths.len()
    }

    fn run(
        &self,
        trials: Range<usize>,
        model: &mut dyn LanguageModel,
        rope: &RopeSpec,
    ) -> Result<Vec<Trial>> {
        trials
            .map(|trial| {
                let (hidden, _) = self.draw(trial);
                let questions = self.questions(trial)?;
                let protocol = self.config.protocol;
                let replies = ask(&questions, protocol, self.tokenizer, model, rope)?;
                let n_right = replies.iter().filter(|reply| reply.is_right).count();
                let expected: Vec<&str> = questions.iter().map(|q| q.answer.as_str()).collect();
                let answers: Vec<&str> = replies.iter().map(|r| r.text.as_str()).collect();
                let mut details = Map::new();
                details.insert("depth".to_owned(), json!(hidden[0].depth));
                details.insert("expected".to_owned(), json!(expected));
                details.insert("answer".to_owned(), json!(answers));
                Ok(Trial {
                    trial,
                    scores: vec![n_right as f64 / replies.len() as f64],
                    details,
                })
            })
            .collect()
    }
}

fn refuse(task: &str, setting: &'static str, found: String, expected: &'static str) -> Error {
    Error::InvalidSetting {
        task: task.to_owned(),
        setting,
        found,
        expected,
    }
}

/// Checks what all kinds have in common.
fn check_common(task: &str, config: &NeedleConfig) -> Result<()> {
    check(task, config.trials, &config.depths)?;
    if config.depths.is_empty() {
        let expected = "at least one number from 0 to 1";
        return Err(refuse(task, "depths", "[]".to_owned(), expected));
    }
    if !(1..=NeedleConfig::MOST_DIGITS).contains(&config.digits) {
        let found = config.digits.to_string();
        return Err(refuse(task, "digits", found, "a number from 1 to 18"));
    }
    Ok(())
}

/// Checks the settings of kinds whose needles are candidates for the answer.
pub(crate) fn check_needles(task: &str, config: &NeedleConfig) -> Result<()> {
    check_common(task, config)?;
    if (2..=KEYS.len()).contains(&config.needles) {
        return Ok(());
    }
    let found = config.needles.to_string();
    Err(refuse(task, "needles", found, "a number from 2 to 16"))
}

/// Refuses texts of one's own, which kinds with texts of their own would ignore.
pub(crate) fn check_fixed_texts(task: &str, config: &NeedleConfig) -> Result<()> {
    let default = NeedleConfig::default();
    let texts = [
        ("needle", &config.needle, &default.needle),
        ("prompt", &config.prompt, &default.prompt),
        ("answer", &config.answer, &default.answer),
    ];
    match texts.into_iter().find(|(_, own, default)| own != default) {
        None => Ok(()),
        Some((setting, own, _)) => {
            let expected = "none: this kind of needle has texts of its own";
            Err(refuse(task, setting, own.clone(), expected))
        }
    }
}

fn check_config(config: &NeedleConfig) -> Result<()> {
    check_common(NAME, config)?;
    if !(1..=KEYS.len()).contains(&config.needles) {
        let found = config.needles.to_string();
        return Err(refuse(NAME, "needles", found, "a number from 1 to 16"));
    }
    if !config.prompt.contains("{haystack}") {
        let found = config.prompt.clone();
        return Err(refuse(
            NAME,
            "prompt",
            found,
            "a text with `{haystack}` in it",
        ));
    }
    if config.answer.trim().is_empty() {
        let expected = "a text, such as ` {value}`";
        return Err(refuse(NAME, "answer", "empty".to_owned(), expected));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn tokenizer() -> Tokenizer {
        let assets =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../longrope/assets/tiny-llama-256");
        Tokenizer::from_model_dir(&assets).unwrap()
    }

    const HAY: &str =
        "The road was long. It rained all day. Nobody spoke. At last they came to an inn.";

    fn prompt(config: &NeedleConfig, trial: usize) -> (Vec<Hidden>, Vec<String>) {
        let (tokenizer, hay) = (tokenizer(), Haystack::of(HAY));
        let task = Needle::new(&tokenizer, &hay, config, 400, 5).unwrap();
        let questions = task.questions(trial).unwrap();
        let texts = questions
            .iter()
            .map(|question| {
                assert_eq!(question.tokens.len(), 400);
                tokenizer.decode(&question.tokens).unwrap()
            })
            .collect();
        (task.draw(trial).0, texts)
    }

    #[test]
    fn a_needle_is_where_it_should_be_and_asked_for() {
        for (trial, share) in [(0, 0.0), (2, 0.5), (4, 1.0)] {
            let (hidden, texts) = prompt(&NeedleConfig::default(), trial);
            let Hidden { key, value, depth } = &hidden[0];
            assert!((depth - share).abs() < 1e-12);
            let text = &texts[0];
            assert!(text.ends_with(&format!(
                "Answer: The special magic {key} number is: {value}"
            )));
            let (_, book) = text.split_once("<book> ").unwrap();
            let (book, _) = book.split_once(" </book>").unwrap();
            let needle = format!("The special magic {key} number is: {value}.");
            let at = book.find(&needle).unwrap() as f64;
            // Needles are moved back to the end of a sentence, here by at most 31 bytes.
            let place = share * (book.len() - needle.len()) as f64;
            assert!(at <= place + 2.0 && at >= place - 33.0, "{at}, {place}");
        }
    }

    #[test]
    fn several_needles_are_spread_and_each_is_asked_for() {
        let config = NeedleConfig {
            needles: 3,
            ..NeedleConfig::default()
        };
        let (hidden, texts) = prompt(&config, 1);
        let depths: Vec<f64> = hidden.iter().map(|one| one.depth).collect();
        assert_eq!(depths, [0.25, 0.5, 0.75]);
        assert_eq!(texts.len(), 3);
        for (one, text) in hidden.iter().zip(&texts) {
            assert!(text.ends_with(&one.value.to_string()));
            for other in &hidden {
                assert!(text.contains(&other.fill("magic {key} number is: {value}.")));
            }
        }
    }

    #[test]
    fn texts_may_be_the_users_own() {
        let config = NeedleConfig {
            needle: "The best thing to do is to eat a sandwich.".to_owned(),
            prompt: "{haystack}\nThe best thing to do is to".to_owned(),
            answer: " eat a sandwich".to_owned(),
            ..NeedleConfig::default()
        };
        let (_, texts) = prompt(&config, 0);
        assert!(texts[0].starts_with("The best thing to do is to eat a sandwich. "));
        assert!(texts[0].ends_with("\nThe best thing to do is to eat a sandwich"));
        let (tokenizer, hay) = (tokenizer(), Haystack::of(HAY));
        let broken = NeedleConfig {
            prompt: "no place".to_owned(),
            ..config
        };
        let error = Needle::new(&tokenizer, &hay, &broken, 400, 5).unwrap_err();
        assert!(matches!(
            error,
            Error::InvalidSetting {
                setting: "prompt",
                ..
            }
        ));
    }
}
