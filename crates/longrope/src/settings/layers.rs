//! Configuration in layers: defaults < file < `--set` < flags.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use toml::{Table, Value};

use super::args::Common;
use super::bounds::{self, is_whole_number};
use super::config::Config;
use super::dependent;
use super::path_text::from_text;
use super::required::required;
use super::saved::saved_text;
use super::words;
use crate::failure::Hint;
use crate::next_steps::quoted;

/// A configuration file.
struct ReadFile<'a> {
    path: &'a Path,
    layer: Table,
}

impl<'a> ReadFile<'a> {
    /// The file of `--config`, if it is given.
    fn given(common: &'a Common) -> Result<Option<Self>> {
        let Some(path) = common.config.as_deref() else {
            return Ok(None);
        };
        let layer = checked(path, &fs_err::read_to_string(path)?)?;
        Ok(Some(Self { path, layer }))
    }
}

/// Merges the layers and deserializes the configuration.
pub(crate) fn load(common: &Common, flags: Table) -> Result<Config> {
    let file = ReadFile::given(common)?;
    merged(Table::new(), file, common, flags)
}

/// As [`load`]. If a run is resumed without `--config`, reads `config.toml` of its run folder, or the copy in its `run.json`
/// if that is damaged.
pub(crate) fn load_resumable(
    common: &Common,
    flags: Table,
    out: Option<&PathBuf>,
    resume: bool,
) -> Result<Config> {
    if !resume {
        return load(common, flags);
    }
    let run = required(out, "--out")?;
    let path = run.join(SAVED);
    if common.config.is_some() || !path.is_file() {
        return load(common, flags);
    }
    let mut layer = checked(&path, &saved_text(run, SAVED)?)?;
    as_it_was_read(&mut layer);
    let file = ReadFile { path: &path, layer };
    merged(Table::new(), Some(file), common, flags)
}

/// The settings in the folder of a run.
const SAVED: &str = "config.toml";

/// Earlier versions accepted `text` beside `tokens`, and read the tokens.
fn as_it_was_read(saved: &mut Table) {
    if saved.contains_key("tokens") {
        saved.remove("text");
    }
}

/// As [`load`], with other defaults.
pub(crate) fn load_over(defaults: Table, common: &Common, flags: Table) -> Result<Config> {
    let file = ReadFile::given(common)?;
    merged(defaults, file, common, flags)
}

/// The keys that the file and `--set` set.
pub(crate) fn given(common: &Common) -> Result<Table> {
    let file = ReadFile::given(common)?;
    let mut table = file.map(|file| file.layer).unwrap_or_default();
    merge_layer(&mut table, assignments(&common.set)?, "`--set`")?;
    Ok(table)
}

/// The run folder that `--set` names, or else the file.
pub(crate) fn run_folder(common: &Common) -> Result<Option<PathBuf>> {
    let given = given(common)?;
    let out = given.get("out").and_then(Value::as_str);
    Ok(out.map(|out| from_text(PathBuf::from(out))))
}

/// Merges the layers over the defaults in `table`: the file, `--set`, and flags.
fn merged(
    mut table: Table,
    file: Option<ReadFile<'_>>,
    common: &Common,
    flags: Table,
) -> Result<Config> {
    let path = file.as_ref().map(|file| file.path);
    if let Some(ReadFile { path, layer }) = file {
        let place = format!("configuration file `{}`", path.display());
        merge_layer(&mut table, layer, &place)?;
    }
    merge_layer(&mut table, assignments(&common.set)?, "`--set`")?;
    merge_layer(&mut table, flags, "the flags")?;
    set_device(&mut table, &common.device);
    if common.force {
        table.insert("force".to_owned(), true.into());
    }
    let config = deserialize(table);
    match path {
        Some(path) => config.with_context(|| format!("configuration with `{}`", path.display())),
        None => config.context("configuration"),
    }
}

/// Deserializes merged layers. Logs defaults that give way to keys that are set.
///
/// # Errors
/// If a key is unknown, or its value has the wrong type or is out of range.
pub(crate) fn deserialize(table: Table) -> Result<Config> {
    deserialize_after(table, &mut Vec::new())
}

/// As [`deserialize`], of several configurations: does not log the lines that are in `told`, and adds those it logs.
pub(crate) fn deserialize_after(mut table: Table, told: &mut Vec<String>) -> Result<Config> {
    bounds::check(&table)?;
    for line in dependent::adjust(&mut table) {
        if !told.contains(&line) {
            tracing::warn!("{line}");
            told.push(line);
        }
    }
    Config::from_table(table)
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

/// The text of the file at a path as a layer. It is checked before other layers are merged over it, so that error messages
/// have line and column.
fn checked(path: &Path, text: &str) -> Result<Table> {
    let table: Table =
        toml::from_str(text).with_context(|| format!("`{}` is not valid TOML", path.display()))?;
    if table.contains_key("stage") {
        return Err(anyhow!(
            "configuration file `{}` has `stage`, expected settings of one verb",
            path.display()
        )
        .context(Hint(format!(
            "this is a recipe, which runs several verbs: longrope extend --config {}",
            quoted(path)
        ))));
    }
    let file = format!("configuration file `{}`", path.display());
    match toml::from_str::<Config>(text) {
        Ok(_) => Ok(table),
        Err(error) => Err(match words::unknown_word::<Config>(&table) {
            // It does not know where in the file that is.
            Some(unknown) => {
                anyhow::Error::from(unknown).context(format!("{file}{}", line_of(text, &error)))
            }
            None => anyhow::Error::from(error).context(file),
        }),
    }
}

/// The line of a wrong value, to be added to the name of the file; empty if the error only has the place of its table.
fn line_of(text: &str, error: &toml::de::Error) -> String {
    let Some(span) = error.span() else {
        return String::new();
    };
    let found = text.get(span.clone()).and_then(parse_value);
    match (found, text.get(..span.start)) {
        (Some(value), Some(before)) if !value.is_table() => {
            format!(", line {}", before.matches('\n').count() + 1)
        }
        _ => String::new(),
    }
}

/// The layer of all `--set`, in their order.
pub(crate) fn assignments(set: &[String]) -> Result<Table> {
    let mut layer = Table::new();
    for assignment in set {
        let one = assignment_table(assignment)?;
        check_layer(&one, &format!("`--set {assignment}`"))?;
        merge(&mut layer, one);
    }
    Ok(layer)
}

/// Parses `a.b=value`. Blanks around key and value are left out. A value that is not valid TOML is taken as a string; so are
/// whole numbers beyond those of TOML, alone or in a list.
pub(crate) fn assignment_table(assignment: &str) -> Result<Table> {
    let (key, text) = assignment.split_once('=').ok_or_else(|| {
        anyhow!("`--set {assignment}` has no `=`, expected key=value")
            .context(Hint("for example --set search.population=32".to_owned()))
    })?;
    let text = text.trim();
    let value = parse_value(text)
        .or_else(|| parse_value(&with_large_numbers_quoted(text)))
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

/// The value; `None` if the text is not one in TOML, or has more lines after it.
fn parse_value(text: &str) -> Option<Value> {
    let mut table = toml::from_str::<Table>(&format!("value = {text}")).ok()?;
    let value = table.remove("value")?;
    table.is_empty().then_some(value)
}

/// A value with quotes around the whole numbers that TOML cannot hold.
fn with_large_numbers_quoted(text: &str) -> String {
    let quoted = |word: &str| {
        let bare = word.trim();
        if is_whole_number(bare) && bare.parse::<i64>().is_err() {
            word.replace(bare, &format!("\"{bare}\""))
        } else {
            word.to_owned()
        }
    };
    let is_border = |c: char| matches!(c, ',' | '[' | ']');
    text.split_inclusive(is_border)
        .map(|part| match part.chars().last().filter(|c| is_border(*c)) {
            Some(border) => quoted(&part[..part.len() - border.len_utf8()]) + &border.to_string(),
            None => quoted(part),
        })
        .collect()
}

/// Merges a layer, which is at `place`, over those before it. `text` and `tokens` exclude each other: either removes the
/// other one of an earlier layer.
///
/// # Errors
/// If the layer has both, or a value in the place of a section.
pub(crate) fn merge_layer(base: &mut Table, layer: Table, place: &str) -> Result<()> {
    check_layer(&layer, place)?;
    if has_text(&layer) {
        base.remove("tokens");
    }
    if layer.contains_key("tokens") {
        base.remove("text");
    }
    merge(base, layer);
    Ok(())
}

/// Refuses a layer with both text and tokens, or with a value in the place of a section: merged, it would replace all keys of
/// the section, and a key of a later layer would replace it, so that nobody would see that it is wrong.
pub(crate) fn check_layer(layer: &Table, place: &str) -> Result<()> {
    let defaults = Table::try_from(Config::default())?;
    let is_section = |key: &str| defaults.get(key).is_some_and(Value::is_table);
    if let Some((key, value)) = layer
        .iter()
        .find(|(key, value)| is_section(key) && !value.is_table())
    {
        return Err(
            anyhow!("{place}: `{key}` is {value}, expected a section").context(Hint(format!(
                "name one of its keys, as configs/README.md lists them: {key}.KEY = VALUE"
            ))),
        );
    }
    if has_text(layer) && layer.contains_key("tokens") {
        return Err(
            anyhow!("{place}: `text` and `tokens` are both set, expected one of them").context(
                Hint("token ids are read instead of text: remove one of the two".to_owned()),
            ),
        );
    }
    Ok(())
}

/// Whether a layer names text. An empty list names none.
fn has_text(layer: &Table) -> bool {
    matches!(layer.get("text"), Some(Value::Array(items)) if !items.is_empty())
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
