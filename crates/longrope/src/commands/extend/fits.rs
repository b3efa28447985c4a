//! Whether the texts of passkeys, needles and RULER fit into the contexts of a stage.

use std::path::Path;

use anyhow::Result;
use longrope_data::Tokenizer;
use longrope_eval::{
    Error, Haystack, NeedleConfig, Passkey, PasskeyConfig, Ruler, RulerData, RulerTask, RulerTrials,
};
use longrope_extend::recipe::Verb;

use super::planned::Planned;
use crate::commands::eval::needle;
use crate::input::ropes_and_contexts::{contexts, longest_context};
use crate::settings::config::Config;

/// Every text fits into so many tokens.
const LONG: usize = 4096;

/// Trials that are looked at: most are equally long.
const TRIALS: usize = 4;

/// Refuses a stage of which no context is long enough, and a task of RULER that it names and that is longer than one of
/// them. Without the tokenizer of `model`, nothing is known.
pub(super) fn check(stage: &Planned, model: &Path) -> Result<()> {
    let config = &stage.work.config;
    if !matches!(stage.verb, Verb::Passkey | Verb::Needle | Verb::Ruler)
        || stage.is_done()
        || contexts(config).iter().all(|context| *context >= LONG)
    {
        return Ok(());
    }
    let Ok(tokenizer) = Tokenizer::from_model_dir(model) else {
        return Ok(());
    };
    let longest = longest_context(config)?;
    match stage.verb {
        Verb::Ruler if config.ruler.tasks.is_empty() => check_any(config, &tokenizer, longest),
        Verb::Ruler => check_ruler(config, &tokenizer),
        _ if longest >= LONG => Ok(()),
        Verb::Passkey => {
            let passkey = PasskeyConfig {
                trials: config.passkey.trials.min(TRIALS),
                ..config.passkey.clone()
            };
            let made = Passkey::new(&tokenizer, &passkey, longest, config.seed);
            unless_too_short(made)
        }
        _ => {
            let needle = NeedleConfig {
                trials: config.needle.trials.min(TRIALS),
                ..config.needle.clone()
            };
            // The shortest text has nothing of the haystack.
            let haystack = Haystack::filler();
            let made = needle::task(&needle, &tokenizer, &haystack, longest, config.seed);
            unless_too_short(made)
        }
    }
}

/// Of all tasks of RULER, one has to fit into the longest context. Those that need data may do so.
fn check_any(config: &Config, tokenizer: &Tokenizer, longest: usize) -> Result<()> {
    let ruler = &config.ruler;
    let has_data = !config.text.is_empty() || ruler.squad.is_some() || ruler.hotpotqa.is_some();
    if has_data || longest >= LONG {
        return Ok(());
    }
    let data = RulerData::default();
    let mut first = Ok(());
    for task in RulerTask::ALL {
        if task.needs().is_some() {
            continue;
        }
        let trials = RulerTrials {
            samples: ruler.samples.min(TRIALS),
            context: longest,
            seed: config.seed,
        };
        let made = unless_too_short(Ruler::new(task, tokenizer, &data, trials, &[]));
        if made.is_ok() {
            return made;
        }
        first = first.and(made);
    }
    first
}

/// Tasks that are named have to fit into every context.
fn check_ruler(config: &Config, tokenizer: &Tokenizer) -> Result<()> {
    let data = RulerData::default();
    for name in &config.ruler.tasks {
        let task: RulerTask = name.parse()?;
        // Its words are those of the text.
        if task == RulerTask::Cwe && !config.text.is_empty() {
            continue;
        }
        for context in contexts(config) {
            let trials = RulerTrials {
                samples: config.ruler.samples.min(TRIALS),
                context,
                seed: config.seed,
            };
            unless_too_short(Ruler::new(task, tokenizer, &data, trials, &[]))?;
        }
    }
    Ok(())
}

/// The error of a task whose text is longer than the context. Others may be about data that is not read here.
fn unless_too_short<T>(made: longrope_eval::Result<T>) -> Result<()> {
    match made {
        Err(error @ Error::ContextTooShort { .. }) => Err(error.into()),
        _ => Ok(()),
    }
}
