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
use crate::fit::{Fill, check_all_fit, fit_filler};
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
        let task = Self {
            inputs: TaskInputs::new(tokenizer, haystack, config, context, seed),
        };
        check_all_fit(NAME, context, task.n_trials(), |trial| {
            task.least_tokens(trial)
        })?;
        task.questions(0)?; // fails if no filler gives exactly the context
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
        let protocol = self.inputs.config.protocol;
        self.each_question(trial, |question| {
            let fill = fit_filler(NAME, self.inputs.context, |fill| {
                Ok(question(fill)?.n_tokens(protocol))
            })?;
            question(fill)
        })
    }

    /// Tokens of the longest question of a trial without filler.
    fn least_tokens(&self, trial: usize) -> Result<usize> {
        let protocol = self.inputs.config.protocol;
        let all = self.each_question(trial, |question| {
            Ok(question(Fill::default())?.n_tokens(protocol))
        })?;
        Ok(all.into_iter().max().unwrap_or(0))
    }

    /// What `take` makes of each question of a trial, which it gets with any filler.
    fn each_question<T>(
        &self,
        trial: usize,
        take: impl Fn(&dyn Fn(Fill) -> Result<AnsweredPrompt>) -> Result<T>,
    ) -> Result<Vec<T>> {
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
                take(&|fill: Fill| {
                    let text = haystack.with_needles(fill, &needles);
                    AnsweredPrompt::new(
                        self.inputs.tokenizer,
                        &prompt.replace("{haystack}", &text),
                        &answer,
                    )
                })
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

/// Checks the settings of numbers.
pub(super) fn check_config(config: &NeedleConfig) -> Result<()> {
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
#[path = "needle_tests.rs"]
mod tests;
