//! A recipe file: configuration keys for all stages, then the stages.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use longrope_extend::recipe::{Place, Source, Stage, Verb, folder_name};
use toml::{Table, Value};

use super::config::{Config, SearchRunKeys, SearchStage};
use super::layers;
use super::path_text::{from_text, to_text};
use super::recipe_arguments::RecipeArguments;
use crate::failure::{Hint, InStage};

/// A parsed recipe.
pub(crate) struct Recipe {
    /// Text of the file. If arguments override its keys, it is written anew with them.
    pub(crate) text: String,
    /// Keys for all stages.
    base: Table,
    /// Run folder.
    pub(crate) out: PathBuf,
    /// The stages with their own keys.
    pub(crate) stages: Vec<Stage<Table>>,
}

/// The configuration of one stage.
#[derive(Clone, Debug)]
pub(crate) struct StageConfig {
    /// Keys of the recipe, of the stage, and for its inputs, merged.
    pub(crate) table: Table,
    /// The same keys, deserialized.
    pub(crate) config: Config,
}

impl Recipe {
    /// Reads a file. The arguments and `--out` override its keys.
    pub(crate) fn read(
        path: &Path,
        out: Option<&Path>,
        arguments: &RecipeArguments,
    ) -> Result<Self> {
        let text = fs_err::read_to_string(path)?;
        let (mut base, stages) =
            parse(&text).with_context(|| format!("recipe `{}`", path.display()))?;
        layers::merge_layer(&mut base, layers::assignments(&arguments.set)?, "`--set`")?;
        layers::set_device(&mut base, &arguments.device);
        if let Some(model) = arguments.model() {
            base.insert("model".to_owned(), path_value(&model));
        }
        let text = if arguments.is_empty() {
            text
        } else {
            with_keys(&text, &base)?
        };
        let out = match (out, base.get("out")) {
            (Some(out), _) => out.to_owned(),
            (None, Some(Value::String(out))) => from_text(PathBuf::from(out)),
            (None, _) => {
                return Err(anyhow!("`--out` is missing")
                    .context(Hint("give --out or set `out` in the recipe".to_owned())));
            }
        };
        // `./run` and `run/` are `run`.
        let out = out.components().collect();
        Ok(Self {
            text,
            base,
            out,
            stages,
        })
    }
}

/// The text of a recipe with other keys for all stages. Its comments are lost.
fn with_keys(text: &str, base: &Table) -> Result<String> {
    let mut whole: Table = toml::from_str(text)?;
    let stages = whole.remove("stage");
    let mut whole = base.clone();
    whole.extend(stages.map(|stages| ("stage".to_owned(), stages)));
    let keys = toml::to_string_pretty(&whole)?;
    Ok(format!(
        "# The recipe, with the arguments of the command line.\n\n{keys}"
    ))
}

/// The names of the folders of the stages, in order, of a recipe that has been run before.
pub(crate) fn stage_folders(recipe: &Table) -> Vec<String> {
    let stages = recipe.get("stage").and_then(Value::as_array);
    let names = stages.into_iter().flatten().map(|stage| {
        let text = |key: &str| stage.get(key).and_then(Value::as_str);
        text("name").or_else(|| text("verb")).unwrap_or_default()
    });
    (1..)
        .zip(names)
        .map(|(number, name)| folder_name(number, name))
        .collect()
}

/// Splits a recipe into the keys for all stages and the stages.
fn parse(text: &str) -> Result<(Table, Vec<Stage<Table>>)> {
    let mut base: Table = toml::from_str(text).context("the file is not valid TOML")?;
    layers::check_layer(&base, "the keys for all stages")?;
    let stages = match base.remove("stage") {
        Some(Value::Array(stages)) if !stages.is_empty() => stages,
        _ => {
            return Err(anyhow!("the recipe has no stages").context(Hint(
                "list stages as [[stage]] tables; see configs/README.md".to_owned(),
            )));
        }
    };
    let stages = (1..).zip(stages).map(|(number, stage): (usize, Value)| {
        read_stage(stage).with_context(|| format!("stage {number}"))
    });
    Ok((base, stages.collect::<Result<_>>()?))
}

fn read_stage(stage: Value) -> Result<Stage<Table>> {
    let Value::Table(mut keys) = stage else {
        return Err(
            anyhow!("a stage must be a table, found {stage}").context(Hint(
                "write [[stage]] above the keys of each stage".to_owned(),
            )),
        );
    };
    let mut text = |key: &str| match keys.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(anyhow!("`{key}` is {other}, expected a string")
            .context(Hint("put it in quotes".to_owned()))),
    };
    let name = text("name")?;
    let verb = text("verb")?.ok_or_else(|| {
        let names = Verb::ALL.map(Verb::name).join(", ");
        anyhow!("`verb` is missing").context(Hint(format!("add verb = \"..\", one of {names}")))
    })?;
    let model_from = Source::named(text("model-from")?);
    let rope_from = Source::named(text("rope-from")?);
    let known = Verb::ALL.into_iter().find(|known| known.name() == verb);
    let known = known.ok_or_else(|| {
        let names = Verb::ALL.map(Verb::name).join(", ");
        anyhow!("verb `{verb}` is unknown").context(Hint(format!("use one of {names}")))
    })?;
    Ok(Stage {
        name: name.unwrap_or(verb),
        verb: known,
        model_from,
        rope_from,
        settings: keys,
    })
}

/// Makes the configuration of every stage: keys of the stage override those of the recipe, and inputs come from earlier
/// stages.
pub(crate) fn stage_configs(recipe: &Recipe, places: &[Place]) -> Result<Vec<StageConfig>> {
    let mut configs: Vec<StageConfig> = Vec::with_capacity(places.len());
    let mut told = Vec::new();
    for (stage, place) in recipe.stages.iter().zip(places) {
        let table = stage_table(&recipe.base, stage, place)?;
        let mut config = layers::deserialize_after(table.clone(), &mut told)
            .with_context(|| format!("keys of stage `{}`", stage.name))?;
        take_first_shared(stage, &mut config.rope);
        let in_stage = || InStage {
            name: stage.name.clone(),
            verb: stage.verb,
            folder: place.folder.clone(),
        };
        if !stage.verb.uses_several_devices() {
            config.device.only().with_context(in_stage)?;
        }
        if stage.rope_from != Source::Last
            && let Some(earlier) = place.rope_stage
            && recipe.stages[earlier].verb == Verb::Search
            && let Some(known) = configs[earlier].config.search.run.target
        {
            check_ratios(&config.search.run, known).with_context(in_stage)?;
        }
        configs.push(StageConfig { table, config });
    }
    warn_of_unused_ropes(recipe, places);
    Ok(configs)
}

/// Leaves a stage that takes one RoPE the first of those for the whole recipe, which its measurements have all of.
fn take_first_shared(stage: &Stage<Table>, ropes: &mut Vec<String>) {
    if ropes.len() < 2
        || !matches!(stage.verb, Verb::Export | Verb::Recover)
        || stage.settings.contains_key("rope")
    {
        return;
    }
    tracing::warn!(
        "stage `{}` takes `{}`, the first `rope` of the recipe; for another one, set `rope` in the stage",
        stage.name,
        ropes[0]
    );
    ropes.truncate(1);
}

/// Names the stages that have no use for the RoPEs of the recipe: they take one, which an earlier stage makes.
fn warn_of_unused_ropes(recipe: &Recipe, places: &[Place]) {
    if !recipe.base.contains_key("rope") {
        return;
    }
    let stages = recipe.stages.iter().zip(places);
    let names: Vec<String> = stages
        .filter(|(stage, place)| {
            matches!(
                stage.verb,
                Verb::Finetune | Verb::Recover | Verb::Generate | Verb::Export
            ) && place.rope.is_some()
                && !stage.settings.contains_key("rope")
        })
        .map(|(stage, _)| format!("`{}`", stage.name))
        .collect();
    if !names.is_empty() {
        tracing::warn!(
            "`rope` of the recipe is not for {}, with factors of an earlier stage; for another RoPE, set `rope` in the stage",
            names.join(", ")
        );
    }
}

fn stage_table(base: &Table, stage: &Stage<Table>, place: &Place) -> Result<Table> {
    let mut table = base.clone();
    let name = format!("stage `{}`", stage.name);
    layers::merge_layer(&mut table, stage.settings.clone(), &name)?;
    table.insert("out".to_owned(), path_value(&place.folder));
    if let Some(model) = &place.model {
        table.insert("model".to_owned(), path_value(model));
    }
    // Of devices that the stages share, a verb for one device takes the first.
    if !stage.verb.uses_several_devices()
        && !stage.settings.contains_key("device")
        && let Some(Value::Array(shared)) = table.get("device")
        && let Some(first) = shared.first().cloned()
    {
        table.insert("device".to_owned(), first);
    }
    // A stage with a `rope` of its own does not take one from an earlier stage.
    if let Some(rope) = &place.rope
        && !stage.settings.contains_key("rope")
    {
        if stage.verb == Verb::Search {
            let search = table.entry("search").or_insert_with(|| Table::new().into());
            if let Value::Table(search) = search {
                search.insert("init".to_owned(), path_value(rope));
            }
        } else {
            // Those for all stages are measured beside it.
            let shared = table.remove("rope").filter(|_| stage.verb.measures_ropes());
            let mut ropes = match shared {
                Some(Value::Array(ropes)) => ropes,
                Some(other) => vec![other],
                None => Vec::new(),
            };
            ropes.push(path_value(rope));
            table.insert("rope".to_owned(), Value::Array(ropes));
        }
    }
    Ok(table)
}

fn path_value(path: &Path) -> Value {
    Value::from(to_text(path))
}

/// Checks that target and samples of a search for ratios are longer than `known`, the context of the factors below.
fn check_ratios(search: &SearchRunKeys, known: usize) -> Result<()> {
    if search.stage != SearchStage::Ratios {
        return Ok(());
    }
    let lengths = [
        ("search.target", search.target),
        ("search.sample-context", search.sample_context),
    ];
    for (key, length) in lengths {
        if let Some(length) = length
            && length <= known
        {
            return Err(anyhow!(
                "`{key}` is {length}, expected more than {known}, the context of the factors that the search starts from"
            )
            .context(Hint("ratios extend factors to a longer context".to_owned())));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "recipe_tests.rs"]
mod tests;
