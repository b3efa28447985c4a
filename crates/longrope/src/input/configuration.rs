//! The configuration of a verb, after models are fetched from the hub.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use longrope_extend::{RunFolder, RunKind, RunMode};
use toml::Table;

use super::gguf;
use super::local_folder::local_folder;
use crate::failure::Hint;
use crate::settings::args::Common;
use crate::settings::config::Config;
use crate::settings::{layers, required};

/// Reads and merges the layers: file, `--set`, flags.
pub(crate) fn configuration(common: &Common, flags: Table) -> Result<Config> {
    fetched(layers::load(common, flags)?)
}

/// As [`configuration`], for a verb that may add results to a run folder.
///
/// # Errors
/// Also if `--out` cannot take them, so that nobody waits for a model in vain.
pub(crate) fn configuration_of_results(common: &Common, flags: Table) -> Result<Config> {
    let config = configuration(common, flags)?;
    if let Some(out) = &config.out {
        check_is_not_model(&config, out)?;
        RunFolder::check_for_results(out)?;
    }
    Ok(config)
}

/// As [`configuration`], for a verb with a run folder, which is in `out` if the flag was given. If a run is resumed without
/// `--config`, reads `config.toml` of its run folder.
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
    let out = match out {
        None if resume => layers::run_folder(common)?,
        out => out.cloned(),
    };
    if resume {
        RunFolder::check(required(out.as_ref(), "--out")?, kind, RunMode::Resume)?;
    }
    let config = layers::load_resumable(common, flags, out.as_ref(), resume)?;
    if let Some(out) = &config.out
        && !resume
    {
        check_is_not_model(&config, out)?;
        RunFolder::check(out, kind, RunMode::New)?;
    }
    fetched(config)
}

/// Refuses the folder of the model for results.
fn check_is_not_model(config: &Config, out: &Path) -> Result<()> {
    let same = |model: &PathBuf| {
        let model = fs_err::canonicalize(model).ok()?;
        Some(fs_err::canonicalize(out).ok()? == model)
    };
    if config.model.as_ref().and_then(same) != Some(true) {
        return Ok(());
    }
    Err(anyhow!(
        "`--out` is `{}`, which is the folder of the model",
        out.display()
    )
    .context(Hint(
        "choose another --out: a folder that is new or empty".to_owned(),
    )))
}

/// As [`configuration`], with other defaults.
pub(crate) fn configuration_over(defaults: Table, common: &Common, flags: Table) -> Result<Config> {
    fetched(layers::load_over(defaults, common, flags)?)
}

/// Fetches a model named `hf:OWNER/NAME` or unpacks a GGUF file, and replaces the name by the folder.
pub(crate) fn fetched(mut config: Config) -> Result<Config> {
    if let Some(model) = config.model.take() {
        config.model = Some(local_folder(&model)?);
        config.gguf = Some(model).filter(|model| gguf::is_gguf(model));
    }
    Ok(config)
}
