//! `longrope plan`

mod gpus;

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use burn::tensor::{Device, Distribution, Tensor};
use longrope_model::estimate::{self, Held, Memory, STEP_FORWARDS, TrainedParameters, Training};
use longrope_model::{Checkpoint, ModelConfig};
use longrope_search::SearchConfig;
use serde::Serialize;

use self::gpus::GpuRow;
use crate::failure::Hint;
use crate::input::limits::Limits;
use crate::input::memory::{self, GIB, Work};
use crate::input::{device, limits, local_folder};
use crate::next_steps;
use crate::settings::args::{Plan, PlanMode};
use crate::settings::bounds::{MOST_TOKENS, check_flag};
use crate::settings::config::{Config, WeightSetting};
use crate::show::{output, search_table};

/// Share of the memory that the plan may use; the rest is left to other programs.
const HEADROOM: f64 = 0.95;

/// Largest memory to plan for, in GiB: far more than any machine has, and far from the largest number.
const MOST_GIB: f64 = 1e9;

/// The output of `--json`.
#[derive(Serialize)]
struct PlanReport {
    format: &'static str,
    version: u32,
    model: String,
    device: String,
    context: usize,
    memory_bytes: Option<f64>,
    /// Speed of the device; `None` if it is not there to be measured.
    flops_per_sec: Option<f64>,
    plans: Vec<PlanRow>,
    /// The longest windows that GPUs can train; empty unless asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gpus: Vec<GpuRow>,
}

/// The estimate for one mode.
#[derive(Serialize)]
struct PlanRow {
    mode: &'static str,
    /// On the device with the most, if several have the layers.
    peak_bytes: f64,
    #[serde(flatten)]
    memory: Memory,
    /// Floating-point operations of one window, one search or one step.
    flops: f64,
    /// Their time; `None` if the speed of the device is unknown.
    secs: Option<f64>,
    /// Whether the peak fits into memory; `None` if the memory is unknown.
    fits: Option<bool>,
    /// Longest window that fits, in tokens.
    longest_context: Option<usize>,
    advice: Vec<String>,
    /// What the estimate does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

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
    let memory_bytes = args.memory.map(|gib| gib * GIB);
    let memory_bytes = memory_bytes.or_else(|| memory_of(&device));
    // A plan needs no more than the name of the device.
    let flops_per_sec = device::place(&device)
        .ok()
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
        bytes: if device::is_gpu(&device) { 2 } else { 4 },
        ..Held::F32
    };
    let memories: Vec<&str> = device::memories(&device).collect();
    let input = PlanInput {
        model: &model,
        held,
        memories: &memories,
        context: args.context,
        memory_bytes,
        flops_per_sec,
    };
    let gpus = if args.gpus {
        gpus::rows(&model, n_adapters(&model))
    } else {
        Vec::new()
    };
    let report = PlanReport {
        format: "longrope-plan",
        version: 1,
        model: model_path.display().to_string(),
        device: device.clone(),
        context: args.context,
        memory_bytes,
        flops_per_sec,
        plans: modes.into_iter().map(|mode| input.row(mode)).collect(),
        gpus,
    };
    if args.json {
        output::json(&report)
    } else {
        output::line(text(&report))?;
        if !report.gpus.is_empty() {
            output::line(format!("\n{}", gpus::text(&report.gpus)))?;
        }
        let weights = weights_of_search(args, &model, memory_bytes);
        next_steps::after_plan(model_path, &folder, &model, args.context, weights).show();
        Ok(())
    }
}

/// The memory of a device, if it is known: Burn does not report that of a GPU.
fn memory_of(device: &str) -> Option<f64> {
    let is_all_host = device::memories(device).all(|memory| memory == device::HOST);
    let limits = is_all_host.then(limits::limits).flatten();
    limits.map(Limits::total_bytes)
}

/// Number of parameters of adapters of the default rank.
fn n_adapters(model: &ModelConfig) -> usize {
    estimate::adapter_parameters(model, Config::default().train.lora.rank)
}

/// The memory that has the most to hold, of those that the parts of a device lie in: one name per part.
fn fullest(memories: &[&str], of_parts: impl Fn(usize) -> Vec<Memory>, context: usize) -> Memory {
    let names: BTreeSet<&str> = memories.iter().copied().collect();
    // Parts that all share one memory hold together what one device would.
    let n_parts = if names.len() == 1 { 1 } else { memories.len() };
    let parts = of_parts(n_parts);
    let held = names.into_iter().filter_map(|name| {
        let inside = memories.iter().zip(&parts).filter(|(own, _)| **own == name);
        inside.map(|(_, part)| *part).reduce(Memory::beside)
    });
    let fuller = |a: Memory, b: Memory| {
        if b.at(context) > a.at(context) { b } else { a }
    };
    let fullest = held.reduce(fuller);
    fullest.expect("a model is on at least one device")
}

/// What is planned for.
struct PlanInput<'a> {
    model: &'a ModelConfig,
    /// How evaluations keep the weights.
    held: Held,
    /// The memories that the parts of the device lie in, one name per part.
    memories: &'a [&'a str],
    /// Tokens of a window.
    context: usize,
    memory_bytes: Option<f64>,
    flops_per_sec: Option<f64>,
}

impl PlanInput<'_> {
    fn eval(&self, held: Held) -> Memory {
        let of_parts = |n_parts| estimate::eval_memories(self.model, held, n_parts);
        fullest(self.memories, of_parts, self.context)
    }

    fn train(&self, trained: TrainedParameters) -> Memory {
        let training = Training::f32(trained);
        let of_parts = |n_parts| estimate::train_memories(self.model, training, n_parts);
        fullest(self.memories, of_parts, self.context)
    }

    fn train_adapters(&self) -> Memory {
        self.train(TrainedParameters::Adapters(n_adapters(self.model)))
    }

    /// The estimate for a mode.
    fn row(&self, mode: PlanMode) -> PlanRow {
        let (name, memory, n_forwards) = match mode {
            PlanMode::Eval => ("eval", self.eval(self.held), 1.0),
            PlanMode::Search => ("search", self.eval(self.held), search_windows(self.context)),
            PlanMode::Lora => ("lora", self.train_adapters(), STEP_FORWARDS),
            PlanMode::Full => ("full", self.train(TrainedParameters::All), STEP_FORWARDS),
        };
        let flops = estimate::forward_flops(self.model, self.context) * n_forwards;
        let peak_bytes = memory.at(self.context);
        let room = self.memory_bytes.map(|bytes| bytes * HEADROOM);
        let fits = room.map(|room| peak_bytes <= room);
        PlanRow {
            mode: name,
            peak_bytes,
            memory,
            flops,
            secs: self.flops_per_sec.map(|speed| flops / speed),
            fits,
            longest_context: room.map(|room| memory.longest(room)),
            advice: match (room, fits) {
                (Some(room), Some(false)) => self.advice(mode, memory, room),
                _ => Vec::new(),
            },
            note: (mode == PlanMode::Search).then(search_note),
        }
    }

    /// With what a mode would fit that needs more than `room` bytes.
    fn advice(&self, mode: PlanMode, memory: Memory, room: f64) -> Vec<String> {
        let mut advice = Vec::new();
        let fits = |memory: Memory| memory.at(self.context) <= room;
        match mode {
            PlanMode::Eval | PlanMode::Search => {
                let halves = Held {
                    bytes: 2,
                    ..self.held
                };
                if self.held != halves && fits(self.eval(halves)) {
                    advice.push(
                        "--set precision=bf16, which keeps weights in half precision".to_owned(),
                    );
                }
                if fits(self.eval(self.held.streamed(true))) {
                    advice.push(
                        "--set weights=streamed, which reads layers when they are needed"
                            .to_owned(),
                    );
                }
            }
            PlanMode::Full => {
                if fits(self.train_adapters()) {
                    advice.push(
                        "--lora, which needs gradients and moments for adapters only".to_owned(),
                    );
                }
            }
            PlanMode::Lora => {}
        }
        match memory.longest(room) {
            longest if longest >= 2 => advice.push(format!(
                "a context of up to {} tokens",
                output::grouped(longest)
            )),
            _ => advice.push("no context fits: the weights alone are too large".to_owned()),
        }
        let needed = memory.at(self.context) / HEADROOM / GIB;
        advice.push(format!("{needed:.1} GiB of memory"));
        advice
    }
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

/// The objective of a search with default settings is not known before the model is tried.
fn search_note() -> String {
    let run = &Config::default().search.run;
    let needles = Config::default().search_needle.samples;
    format!(
        "objective: {}. The time is that of perplexity; combined takes up to {:.0} times as long",
        search_table::WILL_CHOOSE,
        (run.samples + needles) as f64 / run.samples as f64
    )
}

/// Number of windows that a search of the default size scores.
fn search_windows(context: usize) -> f64 {
    let config = SearchConfig::default();
    let samples = Config::default().search.run.samples;
    let halved = if context > config.halve_beyond { 2 } else { 1 };
    let per_generation = (config.mutations + config.crossovers) / halved;
    let candidates = config.population / halved + config.generations * per_generation;
    (candidates * samples) as f64
}

/// Measures the operations per second of a matrix product. Takes the best of several, because the first ones start
/// threads.
fn measure_flops(device: &Device) -> f64 {
    const ROWS: usize = 768;
    let shape = [ROWS, ROWS];
    let a = Tensor::<2>::random(shape, Distribution::Default, device);
    let b = Tensor::<2>::random(shape, Distribution::Default, device);
    let mut best = f64::INFINITY;
    for _ in 0..12 {
        let started = Instant::now();
        // Reading a number waits until the product is computed.
        let _ = a.clone().matmul(b.clone()).sum().into_data();
        best = best.min(started.elapsed().as_secs_f64());
    }
    2.0 * (ROWS as f64).powi(3) / best
}

fn text(report: &PlanReport) -> String {
    let header = ["", "peak memory", "time", "fits", "longest context"].map(str::to_owned);
    let rows: Vec<Vec<String>> = report
        .plans
        .iter()
        .map(|row| {
            let unit = match row.mode {
                "eval" => "per window",
                "search" => "in total",
                _ => "per step",
            };
            vec![
                row.mode.to_owned(),
                format!("{:.2} GiB", row.peak_bytes / GIB),
                row.secs.map_or_else(
                    || format!("{:.1e} operations {unit}", row.flops),
                    |secs| format!("{} {unit}", output::duration(secs)),
                ),
                match row.fits {
                    Some(true) => "yes".to_owned(),
                    Some(false) => "no".to_owned(),
                    None => "?".to_owned(),
                },
                row.longest_context
                    .map_or_else(|| "-".to_owned(), output::grouped),
            ]
        })
        .collect();
    let mut lines = vec![output::table(&header, &rows)];
    for row in report.plans.iter().filter(|row| !row.advice.is_empty()) {
        lines.push(format!(
            "{} does not fit; it would fit with one of:",
            row.mode
        ));
        lines.extend(row.advice.iter().map(|advice| format!("  {advice}")));
    }
    lines.extend(
        report
            .plans
            .iter()
            .filter_map(|row| Some(format!("{}: {}", row.mode, row.note.as_ref()?))),
    );
    lines.push(footer(report));
    lines.join("\n")
}

/// A line about how the numbers of the table were found.
fn footer(report: &PlanReport) -> String {
    let Some(bytes) = report.memory_bytes else {
        return "the available memory is unknown: give it with --memory".to_owned();
    };
    let speed = match report.flops_per_sec {
        Some(speed) => format!("at {:.0} GFLOP/s", speed / 1e9),
        None => "whose speed is unknown here".to_owned(),
    };
    format!(
        "one window of {} tokens on {} {speed}, memory {:.1} GiB; memory is accurate to about 10%, time is a rough guide",
        output::grouped(report.context),
        report.device,
        bytes / GIB
    )
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
