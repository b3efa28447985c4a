//! `longrope plan`

mod estimates;
mod gpus;
mod report;
mod speed;

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use longrope_model::estimate::{self, Held};
use longrope_model::{Checkpoint, ModelConfig};

use self::estimates::{HEADROOM, PlanInput, n_adapters};
use self::report::PlanReport;
use self::speed::measure_flops;
use crate::failure::Hint;
use crate::input::limits::Limits;
use crate::input::memory::{self, GIB, Work};
use crate::input::precision::trains_in_half;
use crate::input::{device, limits, local_folder};
use crate::next_steps;
use crate::settings::args::{Plan, PlanMode};
use crate::settings::bounds::{MOST_TOKENS, check_flag};
use crate::settings::config::{Config, WeightSetting};
use crate::settings::device_names::DeviceNames;
use crate::show::output;

/// Largest memory to plan for, in GiB: far more than any machine has, and far from the largest number.
const MOST_GIB: f64 = 1e9;

pub(crate) fn run(args: &Plan) -> Result<()> {
    let model_path = args.model.required()?;
    check_flag("--context", args.context, 1, MOST_TOKENS)?;
    check_memory_flag(args.memory)?;
    let device = match &args.device {
        Some(device) => device.clone(),
        None => Config::default().device.only()?.to_owned(),
    };
    device::check_name(&device)?;
    let folder = local_folder(model_path)?;
    let mut model = ModelConfig::from_folder(&folder)
        .with_context(|| format!("planning for `{}`", model_path.display()))?;
    // A plan needs no weights. If they are there, they say whether the head takes memory of its own.
    if let Ok(checkpoint) = Checkpoint::open(&folder) {
        checkpoint.untie_own_head(&mut model)?;
    }
    let report = plan(args, model_path, &model, &device);
    if args.json {
        output::json(&report)
    } else {
        output::line(report::text(&report))?;
        if !report.gpus.is_empty() {
            output::line(format!("\n{}", gpus::text(&report.gpus)))?;
        }
        if let Some(weights) = weights_of_search(args, &model, report.memory_bytes) {
            let config = Config {
                weights,
                device: DeviceNames::One(device),
                ..Config::default()
            };
            let fits = report.plans.iter().any(|row| row.fits != Some(false));
            let flags = fits.then(|| flags(args));
            let (context, flags) = (args.context, flags.as_deref());
            next_steps::after_plan(&config, model_path, &folder, &model, context, flags).show();
        }
        Ok(())
    }
}

/// The flags of a plan for another context, beside those of the model and the device.
fn flags(args: &Plan) -> String {
    let mode = args.mode.and_then(|mode| mode.to_possible_value());
    let mode = mode.map(|mode| format!(" --mode {}", mode.get_name()));
    let memory = args.memory.map(|gib| format!(" --memory {gib}"));
    [mode, memory].into_iter().flatten().collect()
}

/// The estimates for the modes that were asked for, or for all.
fn plan(args: &Plan, model_path: &Path, model: &ModelConfig, device: &str) -> PlanReport {
    let memory_bytes = args.memory.map(|gib| gib * GIB);
    let memory_bytes = memory_bytes.or_else(|| memory_of(device));
    // A plan needs no more than the name of the device.
    let placement = device::place(device).ok();
    let flops_per_sec = placement
        .as_ref()
        .map(|placement| measure_flops(placement.first()));
    let modes = match args.mode {
        Some(mode) => vec![mode],
        None => vec![
            PlanMode::Eval,
            PlanMode::Search,
            PlanMode::Lora,
            PlanMode::Full,
        ],
    };
    // GPUs measure in half precision if they can.
    let held = Held {
        bytes: if device::is_gpu(device) { 2 } else { 4 },
        ..Held::F32
    };
    let memories: Vec<&str> = device::memories(device).collect();
    let input = PlanInput {
        model,
        held,
        trains_in_half: trains_in_half(device, placement.as_ref()),
        memories: &memories,
        context: args.context,
        memory_bytes,
        flops_per_sec,
    };
    let gpus = if args.gpus {
        gpus::rows(model, n_adapters(model))
    } else {
        Vec::new()
    };
    PlanReport {
        format: "longrope-plan",
        version: 1,
        model: model_path.display().to_string(),
        device: device.to_owned(),
        context: args.context,
        memory_bytes,
        given_gib: args.memory,
        flops_per_sec,
        plans: modes.into_iter().map(|mode| input.row(mode)).collect(),
        gpus,
    }
}

/// The memory of a device, if it is known: Burn does not report that of a GPU.
fn memory_of(device: &str) -> Option<f64> {
    let is_all_host = device::memories(device).all(|memory| memory == device::HOST);
    let limits = is_all_host.then(limits::limits).flatten();
    limits.map(Limits::total_bytes)
}

/// How the weights are kept in a search that fits into the memory: that of the plan and, unless it was given, that of this
/// machine. `None` if none fits.
fn weights_of_search(
    args: &Plan,
    model: &ModelConfig,
    memory_bytes: Option<f64>,
) -> Option<WeightSetting> {
    let work = Work::Measure {
        context: args.context,
    };
    [WeightSetting::Resident, WeightSetting::Streamed]
        .into_iter()
        .find(|weights| {
            let needed = estimate::eval_memory(
                model,
                Held::F32.streamed(*weights == WeightSetting::Streamed),
            );
            let config = Config {
                weights: *weights,
                ..Config::default()
            };
            let fits_here = || memory::check(&config, model, work).is_ok();
            memory_bytes.is_none_or(|bytes| needed.at(args.context) <= bytes * HEADROOM)
                && (args.memory.is_some() || args.device.is_some() || fits_here())
        })
}

/// Refuses an amount of memory that is none.
fn check_memory_flag(gib: Option<f64>) -> Result<()> {
    match gib {
        Some(gib) if !(gib > 0.0 && gib <= MOST_GIB) => Err(anyhow!(
            "`--memory` is {}, expected a number of GiB above 0 and up to {MOST_GIB}",
            output::significant(gib)
        )
        .context(Hint("for example --memory 24".to_owned()))),
        _ => Ok(()),
    }
}
