//! Configuration in layers: defaults < file < `--set` < flags.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use toml::{Table, Value};

use super::args::Common;
use super::config::Config;
use super::required::required;
use crate::hint::Hint;

/// Merges the layers and deserializes the configuration.
pub(crate) fn load(common: &Common, flags: Table) -> Result<Config> {
    read_layers(Table::new(), common, flags)
}

/// As [`load`]. If a run is resumed without `--config`, reads `config.toml` of its run folder.
pub(crate) fn load_resumable(
    common: &Common,
    flags: Table,
    out: Option<&PathBuf>,
    resume: bool,
) -> Result<Config> {
    if !resume {
        return load(common, flags);
    }
    let saved = required(out, "--out")?.join("config.toml");
    let of_run = (common.config.is_none() && saved.is_file()).then_some(saved);
    let common = Common {
        config: of_run.or_else(|| common.config.clone()),
        set: common.set.clone(),
        device: common.device.clone(),
    };
    load(&common, flags)
}

/// As [`load`], with other defaults and only the common flags.
pub(crate) fn load_over(defaults: Table, common: &Common) -> Result<Config> {
    read_layers(defaults, common, Table::new())
}

fn read_layers(mut table: Table, common: &Common, flags: Table) -> Result<Config> {
    if let Some(path) = &common.config {
        merge(&mut table, read(path)?);
    }
    for assignment in &common.set {
        merge(&mut table, assignment_table(assignment)?);
    }
    merge(&mut table, flags);
    set_device(&mut table, &common.device);
    let config = Config::deserialize_table(table);
    match &common.config {
        Some(path) => config.with_context(|| format!("configuration with `{}`", path.display())),
        None => config.context("configuration"),
    }
}

/// Sets `device` to the names given with `--device`, if any.
pub(crate) fn set_device(table: &mut Table, names: &[String]) {
    let value = match names {
        [] => return,
        [name] => Value::from(name.clone()),
        names => Value::from(names.to_vec()),
    };
    table.insert("device".to_owned(), value);
}

/// Reads a file and checks it before other layers are merged over it, so that error messages have line and column.
fn read(path: &Path) -> Result<Table> {
    let text = fs_err::read_to_string(path)?;
    let table: Table =
        toml::from_str(&text).with_context(|| format!("`{}` is not valid TOML", path.display()))?;
    toml::from_str::<Config>(&text)
        .with_context(|| format!("configuration file `{}`", path.display()))?;
    Ok(table)
}

/// Parses `a.b=value`. A value that is not valid TOML is taken as a string.
pub(crate) fn assignment_table(assignment: &str) -> Result<Table> {
    let (key, text) = assignment.split_once('=').ok_or_else(|| {
        anyhow!("`--set {assignment}` has no `=`, expected key=value")
            .context(Hint("for example --set search.population=32".to_owned()))
    })?;
    let value = toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::from(text));
    let mut table = Table::new();
    let mut parts = key.trim().rsplit('.');
    let last = parts.next().unwrap_or_default();
    table.insert(last.to_owned(), value);
    for part in parts {
        table = Table::from_iter([(part.to_owned(), Value::Table(table))]);
    }
    Ok(table)
}

/// Merges `over` into `base`, table by table. Values of `over` win.
pub(crate) fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => merge(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
