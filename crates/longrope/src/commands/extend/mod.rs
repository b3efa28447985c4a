//! `longrope extend`

mod begun;
mod begun_measurement;
mod check;
mod devices;
mod fits;
mod held_out;
mod planned;
mod stage_settings;
mod targets;
mod unread_precision;
mod with_model;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use longrope_extend::recipe::{self, Place, PlannedStage, Turn, Verb};
use longrope_extend::{RunFolder, RunKind, RunMode, RunSettings};
use serde_json::Value;
use toml::Table;

use self::planned::{Planned, in_stage};
use super::eval::{bench, needle, passkey, ppl, ruler};
use super::export::{Exported, export};
use super::{compare, finetune, generate, recover, report, search};
use crate::failure::{Hint, explain_how_to_continue};
use crate::input;
use crate::next_steps::{self, quoted};
use crate::settings::args::{self, ResultFormat};
use crate::settings::config::Config;
use crate::settings::path_text::from_text;
use crate::settings::recipe::{Recipe, stage_configs};
use crate::settings::recipe_arguments::RecipeArguments;
use crate::show::{output, search_table};
use crate::terminal::signals;

pub(crate) fn run(args: &args::Extend) -> Result<()> {
    let (recipe, arguments) = read(args)?;
    let out = recipe.out.clone();
    let (planned, places) = plan(&recipe)?;
    devices::check(&planned, args.dry_run)?;
    for (index, stage) in planned.iter().enumerate() {
        let checked = check::check(&planned, &places, index);
        checked.with_context(|| in_stage(stage))?;
    }
    if args.dry_run {
        let resume = continues(args, &out)?;
        if RunFolder::holds(&out, RunKind::Extend)? {
            recipe::check(&planned)?;
            begun::check(&planned, &places)?;
        } else {
            RunFolder::check(&out, RunKind::Extend, RunMode::from_flag(resume))?;
        }
        held_out::warn(&planned);
        unread_precision::warn(&planned, &recipe.stages);
        output::line(plan_table(&planned, &places))?;
        if let Some(line) = choices_line(&planned) {
            output::line(line)?;
        }
        next_steps::after_dry_run(command(args, &out, resume)).show();
        return Ok(());
    }
    let settings = RunSettings {
        text: &recipe.text,
        // What the command line adds. The recipe may be changed; stages that are done with other settings are named.
        fixed: if args.resume {
            // These have been compared with those of the run.
            Value::Null
        } else {
            serde_json::to_value(&arguments)?
        },
    };
    let mode = RunMode::from_flag(args.resume);
    let folder = RunFolder::open(&out, RunKind::Extend, mode, &settings)?;
    recipe::check(&planned)?;
    begun::check(&planned, &places)?;
    folder.write("recipe.toml", &recipe.text)?;
    held_out::warn(&planned);
    unread_precision::warn(&planned, &recipe.stages);
    let dashboard = args.dashboard.is_on(false);
    let done = recipe::run(&planned, |stage, turn| run_stage(stage, turn, dashboard));
    let done = done.map_err(|error| {
        let command = format!("longrope {}", command(args, &out, true));
        explain_how_to_continue(error, "what is done is saved", &command)
    })?;
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
    output::line(output::table(&header, &rows))?;
    next_steps::after_recipe(&out).show();
    Ok(())
}

/// Whether the run in a folder is continued: with `--resume`, and in a dry run of a recipe that has begun, which could not
/// be begun again.
fn continues(args: &args::Extend, out: &Path) -> Result<bool> {
    Ok(args.resume || args.dry_run && RunFolder::holds(out, RunKind::Extend)?)
}

/// Reads the recipe, and what the command line adds to it. If a run is resumed, that is what it was begun with.
fn read(args: &args::Extend) -> Result<(Recipe, RecipeArguments)> {
    let (path, out) = (&args.config, args.out.as_deref());
    let given = RecipeArguments::of(args);
    let recipe = Recipe::read(path, out, &given)?;
    if !continues(args, &recipe.out)? {
        return Ok((recipe, given));
    }
    let fixed = RunFolder::fixed(&recipe.out, RunKind::Extend)?;
    let Some(of_run) = RecipeArguments::of_run(fixed, &recipe.out)? else {
        return Ok((recipe, given));
    };
    let arguments = of_run.continue_with(given, &recipe.out)?;
    Ok((Recipe::read(path, out, &arguments)?, arguments))
}

/// A command line that runs the recipe as this one does, or continues it.
fn command(args: &args::Extend, out: &Path, resume: bool) -> String {
    let mut words = vec!["extend".to_owned()];
    words.extend(args.model.path().map(quoted));
    if resume {
        words.push("--resume".to_owned());
    }
    words.extend(["--config".to_owned(), quoted(&args.config)]);
    for (flag, values) in [("--set", &args.set), ("--device", &args.device)] {
        for value in values {
            words.extend([flag.to_owned(), quoted(Path::new(value))]);
        }
    }
    words.extend(["--out".to_owned(), quoted(out)]);
    words.join(" ")
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
            locate: |model| input::place_of_model(&from_text(PathBuf::from(model))),
            work,
        })
    });
    let planned = planned.collect::<Result<Vec<Planned>>>()?;
    Ok((planned, places))
}

fn run_stage(stage: &Planned, turn: Turn, dashboard: bool) -> Result<()> {
    output::line(format!(
        "stage {} of {}: {}, {}",
        turn.number,
        turn.of,
        stage.name,
        words(stage.verb)
    ))?;
    // A page needs no model.
    let config = match stage.verb {
        Verb::Report => stage.work.config.clone(),
        _ => input::fetched(stage.work.config.clone())?,
    };
    run_verb(stage.verb, &config, &stage.folder, dashboard).with_context(|| in_stage(stage))
}

/// Runs a verb and prints its results, as on the command line.
fn run_verb(verb: Verb, config: &Config, folder: &Path, dashboard: bool) -> Result<()> {
    let mode = RunMode::Part;
    match verb {
        Verb::Search => search::show(config, &search::search(config, mode, dashboard)?),
        Verb::Recover => recover::show(config, &recover::recover(config, mode, dashboard)?),
        Verb::Finetune => finetune::show(&finetune::finetune(config, mode, dashboard)?),
        Verb::Ppl => ppl::show(&ppl::ppl(config, None, mode)?),
        Verb::Passkey => passkey::show(&passkey::passkey(config, mode)?),
        Verb::Needle => needle::show(config.needle.kind, &needle::needle(config, mode)?),
        Verb::Ruler => ruler::show(config, &ruler::ruler(config, mode)?),
        Verb::Bench => {
            let format = ResultFormat::Longrope;
            bench::show(&bench::bench(config.clone(), mode, format)?)
        }
        Verb::Generate => {
            let generated = generate::generate_and_show(config, output::generated_if_read)?;
            // What was interrupted is no result: the stage runs again.
            generated.unless_interrupted()?;
            generated.write(&folder.join("generate.json"))
        }
        // About the whole recipe, whose folder is the one above.
        Verb::Report => report::page(folder.parent().unwrap_or(folder)),
        Verb::Compare => compare::show(&compare::compare(config, mode)?),
        Verb::Export => {
            let rope = config.rope.first().ok_or_else(stage_settings::no_rope)?;
            signals::listen()?;
            // A model of the hub or of an earlier stage was not there when the recipe was checked.
            with_model::check_exported(rope, &input::model_config(config)?)?;
            export(&Exported {
                model: input::model_folder(config)?,
                hub_name: None,
                rope,
                out: &folder.join("checkpoint"),
                target: None,
                dtype: None,
                shard_size: None,
                overwrite: true,
                for_transformers: false,
                allow_non_finite: false,
            })
        }
        verb => Err(anyhow!("the verb `{}` cannot be a stage", verb.name())
            .context(Hint("run it by itself, after the recipe".to_owned()))),
    }
}

/// The verb as on the command line.
fn words(verb: Verb) -> &'static str {
    match verb {
        Verb::Ppl => "eval ppl",
        Verb::Passkey => "eval passkey",
        Verb::Needle => "eval needle",
        Verb::Ruler => "eval ruler",
        Verb::Bench => "eval bench",
        verb => verb.name(),
    }
}

/// A line about the searches that choose their objective when they begin; `None` without one.
fn choices_line(planned: &[Planned]) -> Option<String> {
    let is_left_to_choose = |stage: &&Planned| {
        stage.verb == Verb::Search && stage.work.config.search.run.objective.given().is_none()
    };
    let names: Vec<String> = planned
        .iter()
        .filter(is_left_to_choose)
        .map(|stage| format!("`{}`", stage.name))
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "objective of {}: {}",
            names.join(", "),
            search_table::WILL_CHOOSE
        )
    })
}

/// The table of `--dry-run`.
fn plan_table(planned: &[Planned], places: &[Place]) -> String {
    let header = ["stage", "verb", "model", "rope"].map(str::to_owned);
    let word = |table: &Table, key: &str| match table.get(key) {
        Some(toml::Value::String(text)) => text.clone(),
        _ => "-".to_owned(),
    };
    let row = |(stage, place): (&Planned, &Place)| {
        let table = &stage.work.table;
        let init = place.rope.as_ref().map(|path| path.display().to_string());
        let ropes = &stage.work.config.rope;
        let rope = match stage.verb {
            Verb::Search => init.unwrap_or_else(|| "-".to_owned()),
            _ if ropes.is_empty() => "-".to_owned(),
            _ => ropes.join(" "),
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
