//! `longrope extend`

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use longrope_data::write_atomically;
use longrope_extend::recipe::{self, Place, PlannedStage, Turn, Verb};
use toml::{Table, Value};

use super::export::{Exported, export};
use super::{compare, eval, finetune, passkey, recover, search};
use crate::hint::Hint;
use crate::input::rope_arg::longest_context;
use crate::input::{self, hub};
use crate::settings::args;
use crate::settings::config::Config;
use crate::settings::recipe::{Recipe, StageConfig, stage_configs};
use crate::settings::required;
use crate::show::output;

/// A stage and its configuration.
type Planned = PlannedStage<StageConfig>;

pub(crate) fn run(args: &args::Extend) -> Result<()> {
    let recipe = Recipe::read(args)?;
    let out = recipe.out.clone();
    let (planned, places) = plan(&recipe)?;
    for (stage, place) in planned.iter().zip(&places) {
        check_stage(stage, place).with_context(|| format!("stage `{}`", stage.name))?;
    }
    if args.dry_run {
        return output::line(plan_table(&planned, &places));
    }
    if out.join("recipe.toml").is_file() && !args.resume {
        return Err(
            anyhow!("`{}` already holds a run of a recipe", out.display()).context(Hint(
                "continue with --resume, or choose another --out".to_owned(),
            )),
        );
    }
    write_atomically(&out.join("recipe.toml"), recipe.text.as_bytes())?;
    let dashboard = args.dashboard.is_on(false);
    let done = recipe::run(&planned, |stage, turn| run_stage(stage, turn, dashboard))?;
    let header = ["stage", "verb", "time", "folder"].map(str::to_owned);
    let rows: Vec<Vec<String>> = planned
        .iter()
        .zip(done)
        .map(|(stage, done)| {
            vec![
                stage.name.clone(),
                words(stage.verb).to_owned(),
                output::duration(done.elapsed_secs),
                stage.folder.display().to_string(),
            ]
        })
        .collect();
    output::line(output::table(&header, &rows))
}

/// Finds the inputs of every stage and reads its configuration, before any stage runs.
fn plan(recipe: &Recipe) -> Result<(Vec<Planned>, Vec<Place>)> {
    let places = recipe::plan(&recipe.stages, &recipe.out)?;
    let configs = stage_configs(recipe, &places)?;
    let planned = recipe.stages.iter().zip(&places).zip(configs);
    let planned = planned.map(|((stage, place), work)| {
        Ok(PlannedStage {
            name: stage.name.clone(),
            verb: stage.verb,
            folder: place.folder.clone(),
            settings: toml::to_string_pretty(&work.table)?,
            work,
        })
    });
    let planned = planned.collect::<Result<Vec<Planned>>>()?;
    Ok((planned, places))
}

/// Finds what a stage lacks, before any stage runs: its inputs, and settings that cannot be.
fn check_stage(stage: &Planned, place: &Place) -> Result<()> {
    let config = &stage.work.config;
    if matches!(stage.verb, Verb::Search | Verb::Recover) {
        config.search.evolution.validate()?;
    }
    if stage.verb == Verb::Search {
        required(config.search.run.target.as_ref(), "search.target")?;
    }
    if stage.verb == Verb::Finetune {
        config.train.trainer().schedule.validated()?;
    }
    if matches!(
        stage.verb,
        Verb::Ppl | Verb::Passkey | Verb::Compare | Verb::Recover
    ) {
        longest_context(config)?;
    }
    if matches!(
        stage.verb,
        Verb::Search | Verb::Recover | Verb::Ppl | Verb::Compare
    ) {
        input::check_text_is_given(config)?;
    }
    input::check_text_is_there(config)?;
    // The model of an earlier stage is not there yet; one of the hub is fetched when it is needed.
    let folder = input::model_folder(config)?;
    if place.model.is_none() && !hub::is_on_hub(folder) {
        input::model_config(config)?;
    }
    Ok(())
}

fn run_stage(stage: &Planned, turn: Turn, dashboard: bool) -> Result<()> {
    output::line(format!(
        "stage {} of {}: {}, {}",
        turn.number,
        turn.of,
        stage.name,
        words(stage.verb)
    ))?;
    let config = input::fetched(stage.work.config.clone())?;
    run_verb(
        stage.verb,
        &config,
        &stage.folder,
        turn.has_begun,
        dashboard,
    )
    .with_context(|| format!("stage `{}`", stage.name))
}

/// Runs a verb and prints its results, as on the command line.
fn run_verb(
    verb: Verb,
    config: &Config,
    folder: &Path,
    has_begun: bool,
    dashboard: bool,
) -> Result<()> {
    match verb {
        Verb::Search => {
            let resume = folder.join("search/state.json").is_file();
            search::show(config, &search::search(config, resume, dashboard)?)
        }
        Verb::Recover => {
            let resume = folder.join("config.toml").is_file();
            recover::show(config, &recover::recover(config, resume, dashboard)?)
        }
        Verb::Finetune => finetune::show(&finetune::finetune(config, has_begun, dashboard)?),
        Verb::Ppl => eval::show(&eval::ppl(config, None)?),
        Verb::Passkey => {
            let resume = folder.join("eval/passkey.state.json").is_file();
            passkey::show(&passkey::passkey(config, resume)?)
        }
        Verb::Compare => compare::show(&compare::compare(config)?),
        Verb::Export => export(&Exported {
            model: input::model_folder(config)?,
            rope: config.rope.first().ok_or_else(|| {
                anyhow!("the export stage has no `rope`").context(Hint(
                    "put a search before it, or set rope = [\"..\"] in the stage".to_owned(),
                ))
            })?,
            out: &folder.join("checkpoint"),
            target: None,
            dtype: None,
            shard_size: None,
            overwrite: true,
        }),
        verb => Err(anyhow!("the verb `{}` cannot be a stage", verb.name())
            .context(Hint("run it by itself, after the recipe".to_owned()))),
    }
}

/// The verb as on the command line.
fn words(verb: Verb) -> &'static str {
    match verb {
        Verb::Ppl => "eval ppl",
        Verb::Passkey => "eval passkey",
        verb => verb.name(),
    }
}

/// The table of `--dry-run`.
fn plan_table(planned: &[Planned], places: &[Place]) -> String {
    let header = ["stage", "verb", "model", "rope"].map(str::to_owned);
    let word = |table: &Table, key: &str| match table.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) => values
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" "),
        _ => "-".to_owned(),
    };
    let row = |(stage, place): (&Planned, &Place)| {
        let table = &stage.work.table;
        let init = place.rope.as_ref().map(|path| path.display().to_string());
        let rope = match stage.verb {
            Verb::Search => init.unwrap_or_else(|| "-".to_owned()),
            _ => word(table, "rope"),
        };
        vec![
            stage.name.clone(),
            words(stage.verb).to_owned(),
            word(table, "model"),
            rope,
        ]
    };
    let rows: Vec<Vec<String>> = planned.iter().zip(places).map(row).collect();
    output::table(&header, &rows)
}
