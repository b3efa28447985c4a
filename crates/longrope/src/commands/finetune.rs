//! `longrope finetune`

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use burn::tensor::DType;
use longrope_model::Decoder;

use crate::hint::Hint;
use crate::input;
use crate::input::device;
use crate::input::rope_arg::RopeArg;
use crate::run_dir::write_atomically;
use crate::settings;
use crate::settings::args;
use crate::settings::args::FlagLayer;
use crate::settings::config::{Config, WeightSetting};
use crate::show::output;
use crate::train::config::WeightPrecision;
use crate::train::{Record, TrainPlan, TrainResult, train};
use longrope_extend::Interrupt;

pub(crate) fn run(args: &args::Finetune) -> Result<()> {
    let config = configuration(args)?;
    let out = settings::required(config.out.as_ref(), "--out")?;
    let interrupt = signals::listen()?;
    let plan = plan(&config, args)?;
    if !args.resume && longrope_trainer::checkpoint::latest_in(out).is_some() {
        return Err(
            anyhow!("`{}` already holds a training run", out.display()).context(Hint(
                "continue it with --resume, or choose another --out".to_owned(),
            )),
        );
    }
    write_atomically(&out.join("config.toml"), &config.to_toml()?)?;
    let result = train(plan, &interrupt)?;
    if args.json {
        return output::json(&result);
    }
    show(&result)
}

/// The configuration; that of the run folder when it is resumed.
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

fn plan<'a>(config: &'a Config, args: &args::Finetune) -> Result<TrainPlan<'a>> {
    let section = &config.train;
    let base = input::model_folder(config)?.clone();
    let run = settings::required(config.out.as_ref(), "--out")?.clone();
    let decoder = load(config, &base)?;
    let context = match section.context {
        Some(context) => context,
        None => decoder.config().rope.original_context,
    };
    let spec = match config.rope.as_slice() {
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
    Ok(TrainPlan {
        run,
        base,
        decoder,
        spec,
        context,
        documents,
        eval_documents,
        contexts,
        section,
        config,
        resume: args.resume,
        dashboard: !args.no_dashboard && !args.json,
        label: "fine-tuning".to_owned(),
    })
}

/// Loads the weights in the type they are trained in.
fn load(config: &Config, base: &Path) -> Result<Decoder> {
    if config.weights == WeightSetting::Streamed {
        return Err(anyhow!("weights = \"streamed\" cannot be trained")
            .context(Hint("leave `weights` at its default, resident".to_owned())));
    }
    let device = device::open(config.device.only()?)?;
    let dtype = match config.train.precision {
        WeightPrecision::F32 => DType::F32,
        WeightPrecision::Bf16 => DType::BF16,
    };
    Decoder::load_as(base, &device, dtype)
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
            } => Some(vec![
                output::grouped(*step),
                output::grouped(*context),
                format!("{nll_nats:.4}"),
                output::perplexity(*ppl),
            ]),
            Record::Step { .. } => None,
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
