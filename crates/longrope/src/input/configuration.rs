//! The configuration of a verb, after models are fetched from the hub.

use std::path::PathBuf;

use anyhow::Result;
use toml::Table;

use super::hub;
use crate::settings::args::Common;
use crate::settings::config::Config;
use crate::settings::layers;

/// Reads and merges the layers: file, `--set`, flags.
pub(crate) fn configuration(common: &Common, flags: Table) -> Result<Config> {
    fetched(layers::load(common, flags)?)
}

/// As [`configuration`]. If a run is resumed without `--config`, reads `config.toml` of its run folder.
pub(crate) fn configuration_of_run(
    common: &Common,
    flags: Table,
    out: Option<&PathBuf>,
    resume: bool,
) -> Result<Config> {
    fetched(layers::load_resumable(common, flags, out, resume)?)
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
