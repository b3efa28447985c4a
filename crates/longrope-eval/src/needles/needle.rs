//! Needle in a haystack: facts hidden in long text, asked for at the end, by depth.
//!
//! Layout and wording are those of EasyContext, which scores answers teacher-forced, as this task does by
//! default. Several needles are spread as in gkamradt's multi-needle test.

use std::ops::Range;

use longrope_data::Tokenizer;
use longrope_rope::RopeSpec;
use rand::RngExt;
use serde_json::{Map, json};

use super::config::{MOST_NEEDLES, NeedleConfig, NeedleKind, check_common};
use super::haystack::Haystack;
use super::inputs::TaskInputs;
use super::question::{AnsweredPrompt, ask};
use crate::error::{Error, Result};
use crate::fit::fit_filler;
use crate::language_model::LanguageModel;
use crate::metric::Metric;
use crate::report::Trial;
use crate::settings::{depths_setting, invalid_setting};
use crate::task::{Task, TaskInfo};

const NAME: &str = NeedleKind::Number.task_name();

/// The values of `{key}`.
const KEYS: [&str; MOST_NEEDLES] = [
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
    inputs: TaskInputs<'a>,
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
        let inputs = TaskInputs {
            tokenizer,
            haystack,
            config: config.clone(),
            context,
            seed,
        };
        let task = Self { inputs };
        task.questions(0)?; // fails if the context is too short
        Ok(task)
    }

    /// The needles of a trial, and where in the haystack its text begins, from 0 to 1.
    fn draw(&self, trial: usize) -> (Vec<Hidden>, f64) {
        let mut rng = self.inputs.rng(trial);
        let config = &self.inputs.config;
        let depth = config.depths[trial % config.depths.len()];
        let n = config.needles;
        let first_key = rng.random_range(0..KEYS.len());
        let lowest = 10_u64.pow(config.digits - 1);
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
    fn questions(&self, trial: usize) -> Result<Vec<AnsweredPrompt>> {
        let (hidden, start) = self.draw(trial);
        let config = &self.inputs.config;
        let haystack = self.inputs.haystack.starting_at(start);
        let texts: Vec<String> = hidden.iter().map(|one| one.fill(&config.needle)).collect();
        let needles: Vec<(f64, &str)> = hidden
            .iter()
            .zip(&texts)
            .map(|(one, text)| (one.depth, text.as_str()))
            .collect();
        hidden
            .iter()
            .map(|asked| {
                let prompt = asked.fill(&config.prompt);
                let answer = asked.fill(&config.answer);
                let question = |fill| {
                    let text = haystack.with_needles(fill, &needles);
                    AnsweredPrompt::new(
                        self.inputs.tokenizer,
                        &prompt.replace("{haystack}", &text),
                        &answer,
                    )
                };
                let fill = fit_filler(NAME, self.inputs.context, |fill| {
                    Ok(question(fill)?.n_tokens(config.protocol))
                })?;
                question(fill)
            })
            .collect()
    }
}

impl Task for Needle<'_> {
    fn info(&self) -> TaskInfo {
        let config = &self.inputs.config;
        let own = [
            ("needle", json!(config.needle)),
            ("prompt", json!(config.prompt)),
            ("answer", json!(config.answer)),
            ("digits", json!(config.digits)),
            ("needles", json!(config.needles)),
            ("depths", depths_setting(&config.depths)),
        ];
        let metrics = vec![Metric::higher("recall")];
        self.inputs.info(NeedleKind::Number, own, metrics)
    }

    fn n_trials(&self) -> usize {
        self.inputs.config.trials * self.inputs.config.depths.len()
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
                let protocol = self.inputs.config.protocol;
                let replies = ask(&questions, protocol, self.inputs.tokenizer, model, rope)?;
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

fn check_config(config: &NeedleConfig) -> Result<()> {
    check_common(NAME, config)?;
    if !(1..=MOST_NEEDLES).contains(&config.needles) {
        let (found, expected) = (config.needles.to_string(), "a number from 1 to 16");
        return Err(invalid_setting(NAME, "needles", found, expected));
    }
    if !config.prompt.contains("{haystack}") {
        let (found, expected) = (config.prompt.clone(), "a text with `{haystack}` in it");
        return Err(invalid_setting(NAME, "prompt", found, expected));
    }
    if config.answer.trim().is_empty() {
        let (found, expected) = ("empty".to_owned(), "a text, such as ` {value}`");
        return Err(invalid_setting(NAME, "answer", found, expected));
    }
    check_is_answerable(config)
}

/// Refuses needles that do not say what the prompt and the answer ask for: no model could find it.
fn check_is_answerable(config: &NeedleConfig) -> Result<()> {
    let NeedleConfig {
        needle,
        prompt,
        answer,
        ..
    } = config;
    let missing = |placeholder, asked_by| {
        Err(Error::MissingPlaceholder {
            task: NAME.to_owned(),
            setting: "needle",
            placeholder,
            asked_by,
            found: needle.clone(),
        })
    };
    if answer.contains("{value}") && !needle.contains("{value}") {
        return missing("{value}", "`answer` asks for");
    }
    if needle.contains("{key}") {
        return Ok(());
    }
    if answer.contains("{key}") && !prompt.contains("{key}") {
        return missing("{key}", "`answer` asks for");
    }
    if answer.contains("{value}") && config.needles > 1 {
        return missing("{key}", "tells several needles apart");
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
    fn a_needle_that_does_not_say_what_is_asked_is_refused() {
        let (tokenizer, hay) = (tokenizer(), Haystack::of(HAY));
        let missing = |needle: &str, answer: &str, needles: usize| {
            let config = NeedleConfig {
                needle: needle.to_owned(),
                prompt: "{haystack} The answer is:".to_owned(),
                answer: answer.to_owned(),
                needles,
                ..NeedleConfig::default()
            };
            match Needle::new(&tokenizer, &hay, &config, 400, 5) {
                Ok(_) => None,
                Err(Error::MissingPlaceholder {
                    setting: "needle",
                    placeholder,
                    ..
                }) => Some(placeholder),
                Err(other) => panic!("{other}"),
            }
        };
        assert_eq!(missing("no placeholders", " {value}", 1), Some("{value}"));
        assert_eq!(missing("It is {value}.", " {key}", 1), Some("{key}"));
        assert_eq!(missing("It is {value}.", " {value}", 2), Some("{key}"));
        assert_eq!(missing("It is {value}.", " {value}", 1), None);
        assert_eq!(missing("In {key} it is {value}.", " {key}", 2), None);
        assert_eq!(missing("no placeholders", " at all", 2), None);
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
