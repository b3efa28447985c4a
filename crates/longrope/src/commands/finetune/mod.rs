//! `longrope finetune`

mod documents;
mod enough_text;
mod plan;
mod settings;
mod unused;
mod windows;

use anyhow::{Error, Result};
use longrope_extend::recipe::Verb;
use longrope_extend::{HeldOut, Interrupt, Interrupted, RunFolder, RunKind, RunMode, RunSettings};
use longrope_model::ModelConfig;
use longrope_trainer::Screen;
use longrope_trainer::run::records::Record;
use longrope_trainer::run::{Callbacks, TrainOutcome, TrainPlan, TrainResult};
use serde_json::json;

pub(super) use self::enough_text::is_on_text;
use self::plan::plan;
pub(super) use self::plan::{check, check_resident};
pub(super) use self::settings::check_settings;
pub(super) use self::unused::{curriculum, precision_of_pretraining, precision_of_stage};
use super::named_inputs::with_inputs;
use super::{not_finite, other_rope};
use crate::failure::explain_interruption;
use crate::input::device;
use crate::input::precision::with_trained_precision;
use crate::settings::args::{self, FlagLayer};
use crate::settings::config::Config;
use crate::settings::required;
use crate::show::output;
use crate::show::training_lines::Lines;
use crate::terminal::screen::CtrlCInDashboard;
use crate::terminal::signals;
use crate::{input, next_steps};

pub(crate) fn run(args: &args::Finetune) -> Result<()> {
    let config = with_trained_precision(&configuration(args)?)?;
    let mode = RunMode::from_flag(args.resume);
    let dashboard = args.dashboard.is_on(args.json);
    // A recipe says it of all its trainings before the first stage runs.
    let unused = unused::precision(&config);
    let (result, reach) = train(&config, mode, dashboard, unused)?;
    if args.json {
        return output::json(&result);
    }
    show(&result)?;
    let trained = ModelConfig::from_folder(&result.model).ok();
    // A `config.json` with dynamic NTK claims the original context, whatever it was trained for.
    let context = trained.map(|trained| trained.max_context.max(reach));
    next_steps::after_training(&config, &result.model, context).show();
    Ok(())
}

/// Trains with the given configuration, as a stage of a recipe.
pub(crate) fn finetune(config: &Config, mode: RunMode, dashboard: bool) -> Result<TrainResult> {
    let (result, _) = train(&with_trained_precision(config)?, mode, dashboard, None)?;
    Ok(result)
}

/// Trains with the given configuration, in the type that it names. Says `unused` before, beside what it finds itself.
/// Returns the result, and the length of the texts that the model was trained for.
fn train(
    config: &Config,
    mode: RunMode,
    dashboard: bool,
    unused: Option<String>,
) -> Result<(TrainResult, usize)> {
    let out = required(config.out.as_ref(), "--out")?;
    if mode == RunMode::Resume {
        // Before the model is loaded, and before settings are refused that only differ from those of the run.
        let known = json!({
            "train": config.train,
            "seed": config.seed,
            "rope-layers": config.rope_layers,
        });
        RunFolder::check_known(out, &known)
            .map_err(|error| with_inputs(error, out, config, Verb::Finetune))?;
    }
    let interrupt = signals::listen()?;
    let screen = if dashboard {
        Screen::Dashboard
    } else {
        Screen::Nothing
    };
    let (plan, held_out) = plan(config, mode, screen)?;
    // With the defaults of mode and family filled in, so that later versions resume the run with the same settings.
    let resolved = Config {
        train: plan.config.clone(),
        ..config.clone()
    };
    let reach = plan.config.reach(plan.context);
    let callbacks = callbacks(&plan, held_out, interrupt);
    let warnings = warnings(config, &plan);
    let prepared = plan.prepare()?;
    let settings = RunSettings {
        text: &resolved.to_toml()?,
        fixed: prepared.settings().clone(),
    };
    let _folder = RunFolder::open(out, RunKind::Finetune, mode, &settings)
        .map_err(|error| other_rope::named(error, out, &config.rope))?;
    for warning in unused.into_iter().chain(warnings) {
        tracing::warn!("{warning}");
    }
    let _ctrl_c = dashboard.then(CtrlCInDashboard::watch);
    let outcome = prepared
        .train(callbacks)
        .map_err(|error| not_finite::explain(error.into(), config.model.as_deref()))?;
    match outcome {
        TrainOutcome::Done(result) => Ok((*result, reach)),
        TrainOutcome::Interrupted => {
            let error = Error::from(Interrupted);
            Err(explain_interruption(error, RunKind::Finetune, out, mode))
        }
    }
}

/// What to say before a training begins.
fn warnings(config: &Config, plan: &TrainPlan) -> Vec<String> {
    let train = &plan.config;
    let mut warnings = unused::settings(train);
    let skipped = train.skips();
    warnings.extend(
        skipped.and_then(|skipped| curriculum("`train.skipped.targets`", skipped, train.steps)),
    );
    let n_devices = plan.workers.len();
    warnings.extend(device::idle(
        "`train.accumulate`",
        train.accumulate,
        n_devices,
    ));
    let repetition = enough_text::repetition(&plan.documents, plan.context, train);
    warnings.extend(repetition);
    let unused = windows::unused_original(config, plan.decoder.config(), &plan.rope);
    warnings.extend(unused);
    warnings
}

/// Callbacks that measure perplexity, show the progress and stop on Ctrl-C.
fn callbacks(plan: &TrainPlan, held_out: HeldOut, interrupt: Interrupt) -> Callbacks {
    let lines = Lines::new(plan.config.steps, plan.screen == Screen::Nothing);
    Callbacks {
        measure: Box::new(move |decoder, _step, context| {
            Ok(held_out.nll_nats(decoder, context)?.into())
        }),
        watch: Box::new(move |event| {
            lines.show(event);
            Ok(())
        }),
        should_stop: Box::new(move || interrupt.requested()),
    }
}

/// Reads the configuration; for a resumed run, from its run folder.
fn configuration(args: &args::Finetune) -> Result<Config> {
    let flags = FlagLayer::default()
        .model(&args.model)
        .text(&args.text)
        .path("out", args.out.as_ref())
        .list("rope", args.rope.iter().cloned())
        .number("seed", args.seed)
        .count("train.context", args.context)
        .count("train.steps", args.steps)
        .set("train.mode", args.lora.then_some("lora"))
        .table();
    input::configuration_of_run(
        &args.common,
        flags,
        args.out.as_ref(),
        args.resume,
        RunKind::Finetune,
    )
}

/// Prints the result as a table.
pub(crate) fn show(result: &TrainResult) -> Result<()> {
    let header = ["step", "context", "nats/token", "perplexity"].map(str::to_owned);
    let rows: Vec<Vec<String>> = result
        .evals
        .iter()
        .filter_map(|record| match record {
            Record::Eval {
                step,
                context,
                nll_nats,
                ppl,
                ..
            } => Some(vec![
                output::grouped(*step),
                context.map_or_else(String::new, output::grouped),
                format!("{nll_nats:.4}"),
                output::perplexity(*ppl),
            ]),
            _ => None,
        })
        .collect();
    if !rows.is_empty() {
        output::line(output::table(&header, &rows))?;
    }
    output::line(format!(
        "{}, {}, {}; mean loss {:.4} over the first tenth of the steps, {:.4} over the last",
        output::counted(result.steps, "step"),
        output::counted(result.n_tokens, "token"),
        output::duration(result.step_secs),
        result.first_nats,
        result.last_nats,
    ))?;
    output::line(format!(
        "model in {}, metrics of every step in metrics.jsonl",
        output::path(&result.model)
    ))
}
