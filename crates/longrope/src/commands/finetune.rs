//! `longrope finetune`

use std::path::Path;

use anyhow::{Context, Error, Result, anyhow};
use burn::tensor::DType;
use longrope_data::{TokenDocument, counted, text_fingerprint};
use longrope_extend::{HeldOut, Interrupt, Interrupted, RunFolder, RunKind, RunMode, RunSettings};
use longrope_model::{Decoder, ModelConfig, Precision, ResultSource, RopeSource};
use longrope_rope::{Method, RopeScaling, RopeSpec};
use longrope_trainer::run::records::Record;
use longrope_trainer::run::{
    Callbacks, TrainConfig, TrainMode, TrainOutcome, TrainPlan, TrainResult,
};
use longrope_trainer::{Screen, Worker};
use serde_json::{Map, Value, json};

use super::{enough_text, not_finite};
use crate::failure::{Hint, explain_interruption};
use crate::input::device;
use crate::input::memory::{self, Work};
use crate::input::precision::check_supported;
use crate::input::rope_arg::{RopeArg, check_expressible, missing_context};
use crate::settings::args::{self, FlagLayer};
use crate::settings::config::{Config, RopeLayers, WeightSetting};
use crate::settings::required;
use crate::show::output;
use crate::show::training_lines::Lines;
use crate::terminal::screen::CtrlCInDashboard;
use crate::terminal::signals;
use crate::{input, next_steps};

pub(crate) fn run(args: &args::Finetune) -> Result<()> {
    let config = configuration(args)?;
    let mode = RunMode::from_flag(args.resume);
    let result = finetune(&config, mode, args.dashboard.is_on(args.json))?;
    if args.json {
        return output::json(&result);
    }
    show(&result)?;
    let trained = ModelConfig::from_folder(&result.model).ok();
    let context = trained.map(|trained| trained.max_context);
    next_steps::after_training(&config, &result.model, context).show();
    Ok(())
}

/// Trains with the given configuration.
pub(crate) fn finetune(config: &Config, mode: RunMode, dashboard: bool) -> Result<TrainResult> {
    let out = required(config.out.as_ref(), "--out")?;
    if mode == RunMode::Resume {
        // Before the model is loaded, and before settings are refused that only differ from those of the run.
        RunFolder::check_known(out, &json!({"train": config.train}))?;
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
    let callbacks = callbacks(&plan, held_out, interrupt);
    let repetition = enough_text::repetition(&plan.documents, plan.context, &plan.config);
    let prepared = plan.prepare()?;
    let settings = RunSettings {
        text: &resolved.to_toml()?,
        fixed: prepared.settings().clone(),
    };
    let _folder = RunFolder::open(out, RunKind::Finetune, mode, &settings)?;
    if let Some(repetition) = repetition {
        tracing::warn!("{repetition}");
    }
    let _ctrl_c = dashboard.then(CtrlCInDashboard::watch);
    let outcome = prepared
        .train(callbacks)
        .map_err(|error| not_finite::explain(error.into(), config.model.as_deref()))?;
    match outcome {
        TrainOutcome::Done(result) => Ok(*result),
        TrainOutcome::Interrupted => {
            let error = Error::from(Interrupted);
            Err(explain_interruption(error, RunKind::Finetune, out, mode))
        }
    }
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

/// Loads the model and the text.
fn plan(config: &Config, mode: RunMode, screen: Screen) -> Result<(TrainPlan, HeldOut)> {
    let base = input::model_folder(config)?.clone();
    let folder = required(config.out.as_ref(), "--out")?.clone();
    let model = input::model_config(config)?;
    check_layers(config, &model)?;
    let WindowPlan {
        rope,
        context,
        section,
    } = WindowPlan::of(config, &model)?;
    let section = &section;
    let rope_name = config.rope.first().map_or("checkpoint", String::as_str);
    let work = Work::Train {
        context,
        config: section,
    };
    input::model::check_weights(&base)?;
    memory::check(config, &model, work)?;
    let workers = workers(config, section)?;
    let decoder = load(config, &base, &workers[0])?;
    let documents = if config.text.is_empty() && config.tokens.is_none() {
        Vec::new()
    } else {
        input::load_documents(config, decoder.config())?
    };
    let has_begun = RunFolder::holds(&folder, RunKind::Finetune)?;
    enough_text::check(&documents, context, section, has_begun)?;
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
    check_held_out(&eval_documents, &documents);
    let model = decoder.config().clone();
    let rope_source = RopeSource::new(rope_name, &rope);
    let plan = TrainPlan {
        folder,
        base,
        decoder,
        workers,
        rope,
        context,
        documents,
        config: section.clone().resolved(&model),
        contexts: held_out.contexts(),
        source: ResultSource {
            model: input::model_name(config)?,
            rope: Some(rope_source),
            precision: Some(section.precision.name().to_owned()),
            ..input::blank_source(config)?
        },
        seed: config.seed,
        fixed: fixed(config, &eval_documents)?,
        resume: mode != RunMode::New,
        screen,
        label: "fine-tuning".to_owned(),
    };
    Ok((plan, held_out))
}

/// The configured devices, which compute in the precision of the training.
fn workers(config: &Config, section: &TrainConfig) -> Result<Vec<Worker>> {
    let workers = device::workers(config)?;
    for Worker {
        name, placement, ..
    } in &workers
    {
        check_supported(
            name,
            placement,
            section.precision.dtype(),
            "train.precision",
        )?;
    }
    if section.accumulate < workers.len() {
        tracing::warn!(
            "`train.accumulate` is {}, so only as many of {} devices have work at a time",
            section.accumulate,
            workers.len()
        );
    }
    Ok(workers)
}

/// Says so if text to measure on is also trained on.
fn check_held_out(eval_documents: &[TokenDocument], documents: &[TokenDocument]) {
    let n_known = HeldOut::n_trained_on(eval_documents, documents);
    if n_known > 0 {
        tracing::warn!(
            "`train.eval-text` is not held out: the training text has {n_known} of its {}",
            counted(eval_documents.len(), "document")
        );
    }
}

/// What must be the same to resume, beside what the trainer knows itself.
fn fixed(config: &Config, eval_documents: &[TokenDocument]) -> Result<Map<String, Value>> {
    let mut fixed = Map::new();
    let layers = serde_json::to_value(config.rope_layers)?;
    fixed.insert("rope-layers".to_owned(), layers);
    if !eval_documents.is_empty() {
        let text = text_fingerprint(eval_documents);
        fixed.insert("eval-text".to_owned(), text.into());
        let bos = serde_json::to_value(config.eval.bos)?;
        fixed.insert("eval.bos".to_owned(), bos);
    }
    Ok(fixed)
}

/// Checks the settings of a training before anything runs. Without a RoPE, only those that do not depend on it.
pub(super) fn check(config: &Config, model: &ModelConfig, with_rope: bool) -> Result<()> {
    check_layers(config, model)?;
    let original = model.rope.original_context;
    let (context, section) = if with_rope {
        let windows = WindowPlan::of(config, model)?;
        (windows.context, windows.section)
    } else {
        let context = config.train.context.unwrap_or(original);
        (context, config.train.clone())
    };
    Ok(section.validate(model, context)?)
}

/// Refuses one RoPE for all layers in a model whose files have two.
fn check_layers(config: &Config, model: &ModelConfig) -> Result<()> {
    if config.rope_layers == RopeLayers::Full || !model.family.has_local_rope() {
        return Ok(());
    }
    Err(anyhow!(
        "`rope-layers` is `all`, but a trained `{}` model keeps the RoPE of its layers with a sliding window",
        model.family.model_type()
    )
    .context(Hint("use the default, rope-layers = \"full\"".to_owned())))
}

/// What windows are trained on, and under which RoPE.
struct WindowPlan {
    rope: RopeSpec,
    /// Tokens of a window.
    context: usize,
    /// The settings, with the targets of skipped positions filled in.
    section: TrainConfig,
}

impl WindowPlan {
    /// By default a window is as long as the longest text that the RoPE is for; where positions skip, as long as the
    /// model's original context.
    fn of(config: &Config, model: &ModelConfig) -> Result<Self> {
        let mut section = config.train.clone();
        let original = model.rope.original_context;
        let long = section.long.map(|long| long.context);
        if section.skips().is_none() {
            let given = section.context.map(|context| section.reach(context));
            let key = if long > section.context {
                LONG
            } else {
                "--context"
            };
            let (rope, length) = rope_and_length(config, model, given, key)?;
            return Ok(Self {
                rope,
                context: section.context.unwrap_or(length),
                section,
            });
        }
        let context = section.context.unwrap_or(original);
        let last = section.skipped.targets.last().copied();
        // Longer windows alone do not say how far positions skip.
        let given = last.map(|last| last.max(long.unwrap_or(0)));
        let key = if long > last { LONG } else { TARGETS };
        let (rope, length) = rope_and_length(config, model, given, key)?;
        if last.is_none() {
            let target = missing_target(config, model, context, length)?;
            section.skipped.targets.push(target);
            check_length(config, &rope, model, section.reach(context), LONG)?;
        }
        Ok(Self {
            rope,
            context,
            section,
        })
    }
}

/// How far positions skip if it is not given: to the `length` of the texts that the RoPE is for.
///
/// # Errors
/// If that is no more than a window of `context` tokens.
fn missing_target(
    config: &Config,
    model: &ModelConfig,
    context: usize,
    length: usize,
) -> Result<usize> {
    let length = match config.rope.as_slice() {
        // The RoPE of the checkpoint is for the context that it claims.
        [] => model.max_context,
        [name] if name == "checkpoint" => model.max_context,
        _ => length,
    };
    if length > context {
        return Ok(length);
    }
    Err(anyhow!(
        "`{TARGETS}` is missing, and RoPE `{}` is for no more than a window of {context} tokens",
        config.rope.first().map_or("checkpoint", String::as_str)
    )
    .context(Hint(format!(
        "give the length of the texts that positions skip to, for example --set {TARGETS}=[{}]",
        context.saturating_mul(4)
    ))))
}

/// The setting of the length of the texts that positions skip to.
const TARGETS: &str = "train.skipped.targets";

/// The setting of the length of longer windows.
const LONG: &str = "train.long.context";

/// The RoPE to train under, and the length of the texts it is for: `given` by the setting `key`, or else the longest.
fn rope_and_length(
    config: &Config,
    model: &ModelConfig,
    given: Option<usize>,
    key: &str,
) -> Result<(RopeSpec, usize)> {
    let original = model.rope.original_context;
    let name = match config.rope.as_slice() {
        [] => "checkpoint",
        [name] => name,
        _ => {
            return Err(anyhow!("`--rope` names several RoPEs, training takes one")
                .context(Hint("give one --rope".to_owned())));
        }
    };
    let rope = RopeArg::parse(name, model, given.unwrap_or(original))?;
    let (spec, length) = match (&rope, given) {
        (_, None) if rope.needs_context() => return Err(missing_context(name, key, original)),
        (RopeArg::File(spec), None) => (spec.clone(), spec.max_context()),
        (rope, given) => {
            let length = given.unwrap_or(original);
            (rope.spec(length)?, length)
        }
    };
    if !matches!(rope, RopeArg::Checkpoint(_)) {
        check_trainable(name, &spec, &config.train)?;
    }
    if given.is_some() {
        check_length(config, &spec, model, length, key)?;
    }
    Ok((spec, length))
}

/// Refuses texts that are longer than the RoPE is for.
fn check_length(
    config: &Config,
    spec: &RopeSpec,
    model: &ModelConfig,
    length: usize,
    key: &str,
) -> Result<()> {
    let name = config.rope.first().map_or("checkpoint", String::as_str);
    let longest = if name == "checkpoint" {
        model.max_context
    } else {
        spec.max_context()
    };
    let is_method = name.parse::<Method>().is_ok();
    if is_method || length <= longest || !has_end(&spec.scaling) {
        return Ok(());
    }
    Err(
        anyhow!("`{key}` is {length}, but RoPE `{name}` is for up to {longest} tokens").context(
            Hint(format!(
                "give {key} {longest} or less, or the RoPE of a search for {length} tokens"
            )),
        ),
    )
}

/// Refuses RoPEs that nothing can be trained under, and short windows under another RoPE than that of short texts.
fn check_trainable(name: &str, spec: &RopeSpec, config: &TrainConfig) -> Result<()> {
    check_expressible(name, spec, "trained: its attention has no gradients")?;
    let short = config.data.short;
    if spec.scaling.is_for_any_context() && short > 0.0 {
        return Err(anyhow!(
            "`train.data.short` is {short}, but RoPE `{name}` is used at every length, and these windows keep the original one"
        )
        .context(Hint("set train.data.short to 0".to_owned())));
    }
    Ok(())
}

/// Whether a scaling is of no use beyond the context it was made for. Dynamic NTK follows the length, and LLaMA-3's models
/// claim longer contexts than their scale.
fn has_end(scaling: &RopeScaling) -> bool {
    matches!(
        scaling,
        RopeScaling::LongRope { .. }
            | RopeScaling::Linear { .. }
            | RopeScaling::NtkAware { .. }
            | RopeScaling::Yarn { .. }
    )
}

/// Loads the weights in the type for training.
///
/// Below adapters, weights in half precision are constants. CPUs, which compute slowly in halves, then compute in `f32`.
fn load(config: &Config, base: &Path, worker: &Worker) -> Result<Decoder> {
    if config.weights == WeightSetting::Streamed {
        return Err(
            anyhow!("a model with weights = \"streamed\" cannot be trained")
                .context(Hint("use the default, weights = \"resident\"".to_owned())),
        );
    }
    let train = &config.train;
    let are_constant = train.mode == TrainMode::Lora && train.modules_to_save.is_empty();
    let precision = match train.precision.dtype() {
        DType::F32 => Precision::F32,
        half if worker.is_cpu && are_constant => Precision::widened(half),
        half => Precision::whole(half),
    };
    Decoder::load_as(base, &worker.placement, precision)
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
