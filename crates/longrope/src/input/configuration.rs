//! The configuration of a verb, with models of the hub fetched.

use std::path::PathBuf;

use anyhow::Result;
use toml::Table;

use super::hub;
use crate::settings::args::Common;
use crate::settings::config::Config;
use crate::settings::layers;

/// Reads the layers: file, `--set`, flags.
pub(crate) fn configuration(common: &Common, flags: Table) -> Result<Config> {
    fetched(layers::load(common, flags)?)
}

/// As [`configuration`]. Where a run is resumed, the file is by default the one in its folder.
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

/// Replaces `hf:OWNER/NAME` by the folder of that model.
pub(crate) fn fetched(mut config: Config) -> Result<Config> {
    if let Some(model) = &mut config.model {
        *model = hub::model_folder(model)?;
    }
    Ok(config)
}
