//! `longrope finetune`

use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Context, Error, Result, anyhow};
use longrope_model::Decoder;
use longrope_trainer::Screen;
use longrope_trainer::run::records::Record;
use longrope_trainer::run::{Callbacks, TrainOutcome, TrainPlan, TrainResult, train};

use crate::hint::Hint;
use crate::input;
use crate::input::device;
use crate::input::rope_arg::RopeArg;
use crate::run_dir::write_atomically;
use crate::settings;
use crate::settings::args;
use crate::settings::args::FlagLayer;
use crate::settings::config::{Config, WeightSetting};
use crate::settings::layers;
use crate::show::output;
use crate::signals::{Interrupt, Interrupted};
use crate::train::{Lines, Perplexities};

pub(crate) fn run(args: &args::Finetune) -> Result<()> {
    let config = configuration(args)?;
    let out = settings::required(config.out.as_ref(), "--out")?;
    let interrupt = Interrupt::listen()?;
    let (plan, perplexities) = plan(&config, args)?;
    if !args.resume && longrope_trainer::checkpoint::latest_in(out).is_some() {
        return Err(
            anyhow!("`{}` already holds a training run", out.display()).context(Hint(
                "continue it with --resume, or choose another --out".to_owned(),
            )),
        );
    }
    write_atomically(&out.join("config.toml"), &config.to_toml()?)?;
    let callbacks = callbacks(&plan, perplexities, interrupt);
    let result = match train(plan, callbacks)? {
        TrainOutcome::Done(result) => result,
        TrainOutcome::Interrupted => {
            return Err(Error::from(Interrupted).context(Hint(format!(
                "the state is saved; continue with --resume --out {}",
                out.display()
            ))));
        }
    };
    if args.json {
        return output::json(&result);
    }
    show(&result)
}

/// Measures perplexity, shows the progress and stops on Ctrl-C.
fn callbacks(plan: &TrainPlan, perplexities: Perplexities, interrupt: Interrupt) -> Callbacks {
    let lines = Lines::new(plan.config.steps, plan.screen == Screen::Nothing);
    Callbacks {
        measure: Box::new(move |decoder, _step, context| {
            Ok(perplexities.nll_nats(decoder, context)?.into())
        }),
        watch: Box::new(move |event| Ok(lines.show(event)?)),
        should_stop: Box::new(move || interrupt.requested()),
    }
}

/// The configuration, which a resumed run takes from its folder.
fn configuration(args: &args::Finetune) -> Result<Config> {
    let flags = FlagLayer::default()
        .path("model", args.model.as_ref())
        .text(&args.text)
        .path("out", args.out.as_ref())
        .list("rope", args.rope.iter().cloned())
        .number("seed", args.seed)
        .number("train.context", args.context)
        .number("train.steps", args.steps)
        .set("train.mode", args.lora.then_some("lora"))
        .table();
    layers::load_resumable(&args.common, flags, args.out.as_ref(), args.resume)
}

/// Loads model and text.
fn plan(config: &Config, args: &args::Finetune) -> Result<(TrainPlan, Perplexities)> {
    let section = &config.train;
    let base = input::model_folder(config)?.clone();
    let folder = settings::required(config.out.as_ref(), "--out")?.clone();
    let decoder = load(config, &base)?;
    let context = match section.context {
        Some(context) => context,
        None => decoder.config().rope.original_context,
    };
    let rope = match config.rope.as_slice() {
        [] => decoder.config().rope.clone(),
        [name] => RopeArg::parse(name, decoder.config(), context)?.spec(context)?,
        _ => {
            return Err(anyhow!("there are several RoPEs to train under")
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
    let perplexities = Perplexities::new(
        &eval_documents,
        &contexts,
        section.eval_windows,
        bos,
        rope.clone(),
    )?;
    let dashboard = !args.no_dashboard && !args.json && std::io::stdout().is_terminal();
    let plan = TrainPlan {
        folder,
        base,
        decoder,
        rope,
        context,
        documents,
        config: section.clone(),
        contexts: perplexities.contexts(),
        seed: config.seed,
        resume: args.resume,
        screen: if dashboard {
            Screen::Dashboard
        } else {
            Screen::Nothing
        },
        label: "fine-tuning".to_owned(),
    };
    Ok((plan, perplexities))
}

/// Loads the weights in the type they are trained in.
fn load(config: &Config, base: &Path) -> Result<Decoder> {
    if config.weights == WeightSetting::Streamed {
        return Err(anyhow!("weights = \"streamed\" cannot be trained")
            .context(Hint("leave `weights` at its default, resident".to_owned())));
    }
    let device = device::open(config.device.only()?)?;
    Decoder::load_as(base, &device, config.train.precision.dtype())
        .with_context(|| format!("loading model `{}`", base.display()))
}

fn show(result: &TrainResult) -> Result<()> {
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
        "{} steps, {} tokens, {}; loss {:.4} in the first tenth, {:.4} in the last",
        output::grouped(result.steps),
        output::grouped(result.n_tokens),
        output::duration(result.step_secs),
        result.first_nats,
        result.last_nats,
    ))?;
    output::line(format!(
        "model in {}, every step in metrics.jsonl",
        result.model.display()
    ))
}
