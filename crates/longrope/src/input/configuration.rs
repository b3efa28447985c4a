//! The configuration of a verb, after models are fetched from the hub.

use std::path::PathBuf;

use anyhow::Result;
use longrope_extend::{RunFolder, RunKind, RunMode};
use toml::Table;

use super::hub;
use crate::settings::args::Common;
use crate::settings::config::Config;
use crate::settings::{layers, required};

/// Reads and merges the layers: file, `--set`, flags.
pub(crate) fn configuration(common: &Common, flags: Table) -> Result<Config> {
    fetched(layers::load(common, flags)?)
}

/// As [`configuration`], for a verb with a run folder. If a run is resumed without `--config`, reads `config.toml` of its
/// run folder.
///
/// # Errors
/// Also if the run folder cannot take this kind of run, so that nobody waits for a model in vain.
pub(crate) fn configuration_of_run(
    common: &Common,
    flags: Table,
    out: Option<&PathBuf>,
    resume: bool,
    kind: RunKind,
) -> Result<Config> {
    if resume {
        RunFolder::check(required(out, "--out")?, kind, RunMode::Resume)?;
    }
    let config = layers::load_resumable(common, flags, out, resume)?;
    if let Some(out) = &config.out
        && !resume
    {
        RunFolder::check(out, kind, RunMode::New)?;
    }
    fetched(config)
}

/// As [`configuration`], with other defaults and only the common flags.
pub(crate) fn configuration_over(defaults: Table, common: &Common) -> Result<Config> {
    fetched(layers::load_over(defaults, common)?)
}

/// Fetches a model named `hf:OWNER/NAME` and replaces the name by its folder.
pub(crate) fn fetched(mut config: Config) -> Result<Config> {
    if let Some(model) = &mut config.model {
        *model = hub::model_folder(model)?;
    }
    Ok(config)
}
