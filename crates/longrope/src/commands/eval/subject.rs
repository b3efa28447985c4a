//! What an evaluation measures: the configured model under the configured RoPEs.

use std::path::PathBuf;

use anyhow::Result;
use longrope_data::Tokenizer;
use longrope_eval::Scorer;
use longrope_extend::Interrupt;
use longrope_model::Decoder;

use super::job::Job;
use super::keep::Keep;
use super::reference::checked_reference;
use super::task_run::{self, Finished};
use crate::input;
use crate::input::memory::Work;
use crate::input::ropes_and_contexts::{NamedRope, longest_context, named_ropes, rope_names};
use crate::settings::config::Config;
use crate::terminal::signals;

/// The model and the RoPEs of an evaluation, which Ctrl-C ends.
pub(crate) struct Subject {
    interrupt: Interrupt,
    folder: PathBuf,
    pub(crate) decoder: Decoder,
    pub(crate) ropes: Vec<NamedRope>,
}

impl Subject {
    /// Loads the model for this work. From then on, Ctrl-C ends the evaluation after its present trial.
    ///
    /// # Errors
    /// If a RoPE or the reference is unknown, the model or a RoPE cannot be read, or there is not enough memory.
    pub(crate) fn load(config: &Config, work: Work<'_>) -> Result<Self> {
        let target = longest_context(config)?;
        let names = rope_names(config);
        // Without a model, that is what is wrong.
        input::model_folder(config)?;
        checked_reference(config, &names)?;
        let interrupt = signals::listen()?;
        let decoder = input::load_model(config, work)?;
        let ropes = named_ropes(&names, &decoder, target)?;
        Ok(Self {
            interrupt,
            folder: input::model_folder(config)?.to_owned(),
            decoder,
            ropes,
        })
    }

    /// The tokenizer of the model.
    pub(crate) fn tokenizer(&self) -> Result<Tokenizer> {
        Ok(Tokenizer::from_model_dir(&self.folder)?)
    }

    /// Runs jobs on the model.
    pub(crate) fn run(&self, config: &Config, jobs: &[Job], keep: Keep) -> Result<Finished> {
        let mut scorer = Scorer::new(&self.decoder);
        task_run::run(config, jobs, &mut scorer, &self.interrupt, keep)
    }
}
