//! Passkey retrieval: a number hidden in filler, with a question for it at the end.
//!
//! The text is that of Landmark Attention (Mohtashami and Jaggi 2023), which is also used by position
//! interpolation, YaRN and LongRoPE (appendix A.1).

use std::ops::Range;

use longrope_data::Tokenizer;
use longrope_data::needle::{NeedleParts, filler_before};
use longrope_rope::RopeSpec;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::haystack::Haystack;
use super::question::{AnsweredPrompt, Protocol, ask};
use crate::error::Result;
use crate::fit::{Fill, check_all_fit, fit_filler};
use crate::language_model::LanguageModel;
use crate::metric::Metric;
use crate::report::Trial;
use crate::settings::{check, depths_setting};
use crate::task::{Task, TaskInfo};

const NAME: &str = "passkey";

/// Tokens of a batch. Short prompts share one.
const BATCH_TOKENS: usize = 2048;

/// How passkeys are hidden.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct PasskeyConfig {
    /// Trials per context, or per depth if depths are given.
    pub trials: usize,
    /// Where the key is hidden, 0 at the beginning of the filler and 1 at its end. If there are
    /// none, every trial draws its own.
    pub depths: Vec<f64>,
    /// How answers are scored.
    pub protocol: Protocol,
}

impl Default for PasskeyConfig {
    fn default() -> Self {
        Self {
            trials: 10,
            depths: Vec::new(),
            protocol: Protocol::default(),
        }
    }
}

impl PasskeyConfig {
    /// Checks the settings before a model is loaded.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`](crate::Error::InvalidSetting) if there are no trials, or a depth is not in `0..=1`.
    pub fn validate(&self) -> Result<()> {
        check(NAME, self.trials, &self.depths)
    }
}

/// Passkey retrieval at one context.
///
/// Prompt and answer together have exactly as many tokens as the context, so the last token of the
/// answer is at its last position. Trial `i` has the same key and depth at every context. The deepest are run first. A
/// text then shares everything before its key with the previous one, and a model that caches sequences does not read
/// that part again. Depths that are drawn are sorted in this order.
#[derive(Debug)]
pub struct Passkey<'a> {
    tokenizer: &'a Tokenizer,
    config: PasskeyConfig,
    context: usize,
    seed: u64,
    draws: Vec<Drawn>,
    filler: Haystack,
}

/// What a trial hides.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Drawn {
    key: u32,
    depth: f64,
}

impl<'a> Passkey<'a> {
    /// Prepares trials of `context` tokens.
    ///
    /// # Errors
    /// If there are no trials, a depth is not in `0..=1` or given twice, or the text does not fit into the context.
    pub fn new(
        tokenizer: &'a Tokenizer,
        config: &PasskeyConfig,
        context: usize,
        seed: u64,
    ) -> Result<Self> {
        config.validate()?;
        let filler = Haystack::filler();
        let task = Self {
            tokenizer,
            config: config.clone(),
            context,
            seed,
            draws: draws(config, seed),
            filler,
        };
        check_all_fit(NAME, context, task.draws.len(), |trial| {
            let shortest = task.with_filler(trial, Fill::default())?;
            Ok(shortest.n_tokens(config.protocol))
        })?;
        task.question(0)?; // fails if no filler gives exactly the context
        Ok(task)
    }

    /// The text with some filler.
    fn prompt(&self, Drawn { key, depth }: Drawn, Fill { bytes, moved }: Fill) -> String {
        let before = (filler_before(depth, bytes) + moved).min(bytes);
        NeedleParts::PASSKEY
            .filled("", &key.to_string())
            .with_filler(self.filler.head(before), self.filler.head(bytes - before))
            .join("\n")
    }

    /// Tokens of a trial.
    fn question(&self, trial: usize) -> Result<AnsweredPrompt> {
        let protocol = self.config.protocol;
        let fill = fit_filler(NAME, self.context, |fill| {
            Ok(self.with_filler(trial, fill)?.n_tokens(protocol))
        })?;
        self.with_filler(trial, fill)
    }

    /// Tokens of a trial with some filler.
    fn with_filler(&self, trial: usize, fill: Fill) -> Result<AnsweredPrompt> {
        let drawn = self.draws[trial];
        let answer = format!(" {}", drawn.key);
        AnsweredPrompt::new(self.tokenizer, &self.prompt(drawn, fill), &answer)
    }
}

impl Task for Passkey<'_> {
    fn info(&self) -> TaskInfo {
        let mut settings = Map::new();
        settings.insert("trials".to_owned(), json!(self.config.trials));
        settings.insert("depths".to_owned(), depths_setting(&self.config.depths));
        TaskInfo {
            name: NAME.to_owned(),
            version: 2,
            protocol: self.config.protocol.name().to_owned(),
            settings,
            seed: self.seed,
            context: self.context,
            metrics: vec![Metric::higher("accuracy")],
        }
    }

    fn n_trials(&self) -> usize {
        self.draws.len()
    }

    fn batch_size(&self) -> usize {
        (BATCH_TOKENS / self.context).max(1)
    }

    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.n_trials()).collect();
        // Short texts are run in batches of consecutive trials, and their beginnings are not cached.
        if self.batch_size() == 1 {
            let depth = |trial: &usize| self.draws[*trial].depth;
            order.sort_by(|a, b| depth(b).total_cmp(&depth(a)));
        }
        order
    }

    fn run(
        &self,
        trials: Range<usize>,
        model: &mut dyn LanguageModel,
        rope: &RopeSpec,
    ) -> Result<Vec<Trial>> {
        let questions = trials
            .clone()
            .map(|trial| self.question(trial))
            .collect::<Result<Vec<_>>>()?;
        let protocol = self.config.protocol;
        let replies = ask(&questions, protocol, self.tokenizer, model, rope)?;
        let records = trials.zip(questions).zip(replies);
        Ok(records
            .map(|((trial, question), reply)| {
                let Drawn { key, depth } = self.draws[trial];
                let mut details = Map::new();
                details.insert("depth".to_owned(), json!(depth));
                details.insert("expected".to_owned(), json!(key.to_string()));
                details.insert("answer".to_owned(), json!(reply.text));
                details.insert("n_prompt_tokens".to_owned(), json!(question.answer_from));
                Trial {
                    trial,
                    scores: vec![f64::from(u8::from(reply.is_right))],
                    details,
                }
            })
            .collect())
    }
}

/// Key and depth of every trial.
fn draws(config: &PasskeyConfig, seed: u64) -> Vec<Drawn> {
    let draw = |trial: usize| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(trial as u64);
        let key = rng.random_range(10_000..=99_999);
        let depth = match config.depths.as_slice() {
            [] => rng.random::<f64>(),
            depths => depths[trial % depths.len()],
        };
        Drawn { key, depth }
    };
    let n_trials = config.trials * config.depths.len().max(1);
    let mut draws: Vec<Drawn> = (0..n_trials).map(draw).collect();
    if config.depths.is_empty() {
        draws.sort_by(|a, b| b.depth.total_cmp(&a.depth));
    }
    draws
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use longrope_data::needle::FILLER;
    use std::path::Path;

    fn tokenizer() -> Tokenizer {
        let assets =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../longrope/assets/tiny-llama-256");
        Tokenizer::from_model_dir(&assets).unwrap()
    }

    fn config(depths: &[f64], protocol: Protocol) -> PasskeyConfig {
        PasskeyConfig {
            trials: 4,
            depths: depths.to_vec(),
            protocol,
        }
    }

    #[test]
    fn the_text_is_that_of_the_papers() {
        let tokenizer = tokenizer();
        let config = config(&[0.0], Protocol::TeacherForced);
        let task = Passkey::new(&tokenizer, &config, 260, 7).unwrap();
        let key = task.draws[0].key;
        let text = tokenizer.decode(&task.question(0).unwrap().tokens).unwrap();
        let (head, rest) = text.split_once(&FILLER[..12]).unwrap();
        assert_eq!(
            head,
            format!(
                "There is an important info hidden inside a lot of irrelevant text. Find it and \
                 memorize them. I will quiz you about the important information there.\n\nThe \
                 pass key is {key}. Remember it. {key} is the pass key.\n"
            )
        );
        let (filler, question) = rest.rsplit_once('\n').unwrap();
        assert!(format!("{FILLER} ").repeat(9)[12..].starts_with(filler));
        let expected = format!("What is the pass key? The pass key is {key}");
        assert_eq!(question, expected);
    }

    #[test]
    fn prompts_have_exactly_the_tokens_of_the_context() {
        let tokenizer = tokenizer();
        for context in [200, 256, 257, 1000] {
            let random = config(&[], Protocol::TeacherForced);
            let task = Passkey::new(&tokenizer, &random, context, 42).unwrap();
            for trial in 0..task.n_trials() {
                let question = task.question(trial).unwrap();
                assert_eq!(question.tokens.len(), context);
                assert_eq!(question.answer_from, context - 6, "a blank and five digits");
            }
            let generated = config(&[0.5], Protocol::Generated);
            let task = Passkey::new(&tokenizer, &generated, context, 42).unwrap();
            assert_eq!(task.question(3).unwrap().answer_from, context - 10);
        }
    }

    #[test]
    fn trials_are_the_same_at_every_context_and_depths_take_turns() {
        let tokenizer = tokenizer();
        let grid = config(&[0.0, 0.5, 1.0], Protocol::TeacherForced);
        let short = Passkey::new(&tokenizer, &grid, 256, 42).unwrap();
        let long = Passkey::new(&tokenizer, &grid, 400, 42).unwrap();
        assert_eq!(short.n_trials(), 12);
        let draws = &short.draws;
        assert_eq!(*draws, long.draws);
        assert!(
            draws
                .iter()
                .all(|drawn| (10_000..100_000).contains(&drawn.key))
        );
        assert!((draws[4].depth - 0.5).abs() < 1e-12 && draws[0].key != draws[3].key);
    }

    #[test]
    fn long_texts_of_a_grid_are_run_from_the_deepest_on() {
        let tokenizer = tokenizer();
        let grid = config(&[0.0, 0.5, 1.0], Protocol::TeacherForced);
        let order = |context| {
            let task = Passkey::new(&tokenizer, &grid, context, 42).unwrap();
            task.order()
        };
        assert_eq!(order(4096), [2, 5, 8, 11, 1, 4, 7, 10, 0, 3, 6, 9]);
        assert_eq!(order(256), (0..12).collect::<Vec<_>>());
    }

    #[test]
    fn drawn_depths_are_sorted_so_that_prompts_share_their_beginnings() {
        let tokenizer = tokenizer();
        let random = config(&[], Protocol::TeacherForced);
        let task = Passkey::new(&tokenizer, &random, 1000, 42).unwrap();
        let questions: Vec<AnsweredPrompt> =
            (0..4).map(|trial| task.question(trial).unwrap()).collect();
        for (trial, pair) in questions.windows(2).enumerate() {
            let tokens = pair[0].tokens.iter().zip(&pair[1].tokens);
            let n_common = tokens.take_while(|(a, b)| a == b).count();
            // Task, filler and the border of a token.
            let share = task.draws[trial + 1].depth * 850.0;
            assert!(n_common as f64 > share, "{n_common} of {share}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_an_error() {
        let tokenizer = tokenizer();
        let new = |config: &PasskeyConfig, context| {
            Passkey::new(&tokenizer, config, context, 1).unwrap_err()
        };
        let plain = PasskeyConfig::default();
        assert!(matches!(
            new(&plain, 100),
            Error::ContextTooShort { needed: 127, .. }
        ));
        let none = PasskeyConfig {
            trials: 0,
            ..plain.clone()
        };
        assert!(matches!(
            new(&none, 256),
            Error::InvalidSetting {
                setting: "trials",
                ..
            }
        ));
        for wrong in [[0.5, 1.5], [0.5, 0.5]] {
            let config = config(&wrong, Protocol::TeacherForced);
            assert!(matches!(
                new(&config, 256),
                Error::InvalidSetting {
                    setting: "depths",
                    ..
                }
            ));
        }
    }
}
