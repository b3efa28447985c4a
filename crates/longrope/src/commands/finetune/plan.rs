//! What a training needs: the model, the text, the devices and the settings.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use burn::tensor::DType;
use longrope_data::{TokenDocument, counted, text_fingerprint};
use longrope_extend::{HeldOut, RunFolder, RunKind, RunMode};
use longrope_model::{Decoder, ModelConfig, Precision, ResultSource, RopeSource};
use longrope_trainer::run::{AsBefore, TrainConfig, TrainMode, TrainPlan};
use longrope_trainer::{Screen, Worker};
use serde_json::{Map, Value};

use super::documents::DocumentStart;
use super::enough_text;
use super::settings::check_settings;
use super::windows::WindowPlan;
use crate::failure::Hint;
use crate::input;
use crate::input::device;
use crate::input::memory::{self, Work};
use crate::input::precision::check_supported;
use crate::settings::config::{Config, RopeLayers, WeightSetting};
use crate::settings::required;

/// Loads the model and the text.
pub(super) fn plan(config: &Config, mode: RunMode, screen: Screen) -> Result<(TrainPlan, HeldOut)> {
    let base = input::model_folder(config)?.clone();
    let folder = required(config.out.as_ref(), "--out")?.clone();
    check_settings(config)?;
    let model = input::model_config(config)?;
    check_layers(config, &model)?;
    let windows = WindowPlan::of(config, &model)?;
    let (context, section) = (windows.context, &windows.section);
    let work = Work::Train {
        context,
        config: section,
    };
    input::model::check_weights(&base)?;
    memory::check(config, &model, work)?;
    let workers = workers(config, section)?;
    let decoder = load(config, &base, &workers[0])?;
    let documents = training_text(config, decoder.config())?;
    let has_begun = RunFolder::goes_on(&folder, RunKind::Finetune, mode)?;
    enough_text::check(&documents, context, section, has_begun)?;
    let begun = if has_begun {
        Some(RunFolder::fixed(&folder, RunKind::Finetune)?)
    } else {
        None
    };
    let of_model = decoder.config().bos_token;
    let start = DocumentStart::of(config, &base, of_model, &documents, begun.as_ref());
    let (eval_documents, held_out) = held_out(config, &base, decoder.config(), &windows)?;
    check_held_out(&eval_documents, &documents);
    let plan = TrainPlan {
        bos: start.bos,
        as_before: AsBefore::of(begun.as_ref()),
        config: section.clone().resolved(decoder.config()),
        contexts: held_out.contexts(),
        source: source(config, &windows)?,
        seed: config.seed,
        fixed: fixed(config, &eval_documents, start)?,
        resume: mode != RunMode::New,
        screen,
        label: "fine-tuning".to_owned(),
        folder,
        base,
        decoder,
        workers,
        rope: windows.rope,
        context,
        documents,
    };
    Ok((plan, held_out))
}

/// The text to train on, if there is one.
fn training_text(config: &Config, model: &ModelConfig) -> Result<Vec<TokenDocument>> {
    if config.text.is_empty() && config.tokens.is_none() {
        return Ok(Vec::new());
    }
    input::load_documents(config, model)
}

/// The text to measure on, and how it is measured.
fn held_out(
    config: &Config,
    base: &Path,
    model: &ModelConfig,
    windows: &WindowPlan,
) -> Result<(Vec<TokenDocument>, HeldOut)> {
    let section = &windows.section;
    let documents = if section.eval_text.is_empty() {
        Vec::new()
    } else {
        input::tokenize(config, base, &section.eval_text)?
    };
    let contexts = if config.contexts.is_empty() {
        vec![windows.context]
    } else {
        config.contexts.clone()
    };
    let bos = input::bos(config, model)?;
    let held_out = HeldOut::new(
        &documents,
        &contexts,
        section.eval_windows,
        bos,
        windows.rope.clone(),
    )?;
    Ok((documents, held_out))
}

/// What the results of the training say about where they are from.
fn source(config: &Config, windows: &WindowPlan) -> Result<ResultSource> {
    let rope_name = config.rope.first().map_or("checkpoint", String::as_str);
    Ok(ResultSource {
        model: input::model_name(config)?,
        rope: Some(RopeSource::new(rope_name, &windows.rope)),
        precision: Some(windows.section.precision.name().to_owned()),
        ..input::blank_source(config)?
    })
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
fn fixed(
    config: &Config,
    eval_documents: &[TokenDocument],
    start: DocumentStart,
) -> Result<Map<String, Value>> {
    let mut fixed = Map::new();
    let layers = serde_json::to_value(config.rope_layers)?;
    fixed.insert("rope-layers".to_owned(), layers);
    if !eval_documents.is_empty() {
        let text = text_fingerprint(eval_documents);
        fixed.insert("eval-text".to_owned(), text.into());
        let bos = serde_json::to_value(config.eval.bos)?;
        fixed.insert("eval.bos".to_owned(), bos);
    }
    start.record(&mut fixed);
    Ok(fixed)
}

/// Checks the settings of a training before anything runs. Without a RoPE, only those that do not depend on it.
pub(crate) fn check(config: &Config, model: &ModelConfig, with_rope: bool) -> Result<()> {
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

/// Refuses weights that do not stay in memory, which cannot be trained.
pub(crate) fn check_resident(config: &Config) -> Result<()> {
    if config.weights == WeightSetting::Resident {
        return Ok(());
    }
    Err(
        anyhow!("a model with weights = \"streamed\" cannot be trained")
            .context(Hint("use the default, weights = \"resident\"".to_owned())),
    )
}

/// Loads the weights in the type for training.
///
/// Below adapters, weights in half precision are constants. CPUs, which compute slowly in halves, then compute in `f32`.
fn load(config: &Config, base: &Path, worker: &Worker) -> Result<Decoder> {
    check_resident(config)?;
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
