//! `longrope finetune`

use std::path::Path;

use anyhow::{Context, Error, Result, anyhow};
use longrope_data::write_atomically;
use longrope_extend::{HeldOut, Interrupt, Interrupted};
use longrope_model::Decoder;
use longrope_trainer::Screen;
use longrope_trainer::run::records::Record;
use longrope_trainer::run::{Callbacks, TrainOutcome, TrainPlan, TrainResult, train};

use crate::hint::Hint;
use crate::input::device;
use crate::input::rope_arg::RopeArg;
use crate::settings::args::{self, FlagLayer};
use crate::settings::config::{Config, WeightSetting};
use crate::settings::required;
use crate::show::output;
use crate::show::training_lines::Lines;
use crate::terminal::CtrlCInDashboard;
use crate::{input, signals};

pub(crate) fn run(args: &args::Finetune) -> Result<()> {
    let config = configuration(args)?;
    let result = finetune(&config, args.resume, args.dashboard.is_on(args.json))?;
    if args.json {
        return output::json(&result);
    }
    show(&result)
}

/// Trains with the given configuration.
pub(crate) fn finetune(config: &Config, resume: bool, dashboard: bool) -> Result<TrainResult> {
    let out = required(config.out.as_ref(), "--out")?;
    let interrupt = signals::listen()?;
    let screen = if dashboard {
        Screen::Dashboard
    } else {
        Screen::Nothing
    };
    let (plan, held_out) = plan(config, resume, screen)?;
    if !resume && longrope_trainer::checkpoint::latest_in(out).is_some() {
        return Err(
            anyhow!("`{}` already holds a training run", out.display()).context(Hint(
                "continue with --resume, or choose another --out".to_owned(),
            )),
        );
    }
    write_atomically(&out.join("config.toml"), config.to_toml()?.as_bytes())?;
    let callbacks = callbacks(&plan, held_out, interrupt);
    let _ctrl_c = dashboard.then(CtrlCInDashboard::watch);
    match train(plan, callbacks)? {
        TrainOutcome::Done(result) => Ok(result),
        TrainOutcome::Interrupted => Err(Error::from(Interrupted).context(Hint(format!(
            "the state is saved; continue with --resume --out {}",
            out.display()
        )))),
    }
}

/// Callbacks that measure perplexity, show the progress and stop on Ctrl-C.
fn callbacks(plan: &TrainPlan, held_out: HeldOut, interrupt: Interrupt) -> Callbacks {
    let lines = Lines::new(plan.config.steps, plan.screen == Screen::Nothing);
    Callbacks {
        measure: Box::new(move |decoder, _step, context| {
            Ok(held_out.nll_nats(decoder, context)?.into())
        }),
        watch: Box::new(move |event| Ok(lines.show(event)?)),
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
        .number("train.context", args.context)
        .number("train.steps", args.steps)
        .set("train.mode", args.lora.then_some("lora"))
        .table();
    input::configuration_of_run(&args.common, flags, args.out.as_ref(), args.resume)
}

/// Loads the model and the text.
fn plan(config: &Config, resume: bool, screen: Screen) -> Result<(TrainPlan, HeldOut)> {
    let section = &config.train;
    let base = input::model_folder(config)?.clone();
    let folder = required(config.out.as_ref(), "--out")?.clone();
    let decoder = load(config, &base)?;
    let context = match section.context {
        Some(context) => context,
        None => decoder.config().rope.original_context,
    };
    let rope = match config.rope.as_slice() {
        [] => decoder.config().rope.clone(),
        [name] => RopeArg::parse(name, decoder.config(), context)?.spec(context)?,
        _ => {
            return Err(anyhow!("`--rope` names several RoPEs, training takes one")
                .context(Hint("give one --rope".to_owned())));
        }
    };
    let documents = if config.text.is_empty() && config.tokens.is_none() {
        Vec::new()
    } else {
        input::load_documents(config, decoder.config())?
    };
    let eval_documents = if section.eval_text.is_empty() {
        Vec::new()
    } else {
        input::tokenize(config, &base, &section.eval_text)?
    };
    let contexts = if config.contexts.is_empty() {
        vec![context]
    } else {
        config.contexts.clone()
    };
    let bos = input::bos(config, decoder.config())?;
    let held_out = HeldOut::new(
        &eval_documents,
        &contexts,
        section.eval_windows,
        bos,
        rope.clone(),
    )?;
    let plan = TrainPlan {
        folder,
        base,
        decoder,
        rope,
        context,
        documents,
        config: section.clone(),
        contexts: held_out.contexts(),
        seed: config.seed,
        resume,
        screen,
        label: "fine-tuning".to_owned(),
    };
    Ok((plan, held_out))
}

/// Loads the weights in the type for training.
fn load(config: &Config, base: &Path) -> Result<Decoder> {
    if config.weights == WeightSetting::Streamed {
        return Err(
            anyhow!("a model with weights = \"streamed\" cannot be trained")
                .context(Hint("use the default, weights = \"resident\"".to_owned())),
        );
    }
    let device = device::open(config.device.only()?)?;
    input::model::loading(base);
    Decoder::load_as(base, &device, config.train.precision.dtype())
        .with_context(|| format!("loading model `{}`", base.display()))
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
        "{} steps, {} tokens, {}; mean loss {:.4} over the first tenth of the steps, {:.4} over the last",
        output::grouped(result.steps),
        output::grouped(result.n_tokens),
        output::duration(result.step_secs),
        result.first_nats,
        result.last_nats,
    ))?;
    output::line(format!(
        "model in {}, metrics of every step in metrics.jsonl",
        result.model.display()
    ))
}
