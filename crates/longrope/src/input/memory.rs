//! The memory that a job needs, against the memory that there is.

use anyhow::{Result, anyhow};
use longrope_model::ModelConfig;
use longrope_model::estimate::{self, Held, Memory, Training};
use longrope_trainer::run::{TrainConfig, TrainMode, WeightPrecision};

use super::device;
use super::limits::{Limits, limits};
use super::precision::held;
use crate::failure::Hint;
use crate::settings::config::Config;
use crate::show::output;

/// Bytes in a GiB.
pub(crate) const GIB: f64 = 1_073_741_824.0;

/// What is done with a model, as far as it decides how much memory that takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Work<'a> {
    /// Sequences of up to this many tokens are measured.
    Measure { context: usize },
    /// Sequences with this many tokens in all are continued.
    Generate { tokens: usize },
    /// The model is trained on windows of `context` tokens.
    Train {
        context: usize,
        config: &'a TrainConfig,
    },
    /// Adapters are trained on windows of `window` tokens, by every worker, and kept for this number of candidates.
    Adapt {
        window: usize,
        config: &'a TrainConfig,
        candidates: usize,
    },
}

/// Refuses work that needs more memory than there is. Called before weights are loaded.
///
/// Nothing is refused with `force`, on a device with layers in another memory than that of the host, or on a system that does
/// not report its memory.
///
/// # Errors
/// If the job does not fit. The hint has the longest context that does.
pub(crate) fn check(config: &Config, model: &ModelConfig, work: Work<'_>) -> Result<()> {
    let names = config.device.names()?;
    let is_in_host = |name: &&String| device::memories(name).all(|memory| memory == device::HOST);
    let n_workers = names.iter().filter(is_in_host).count();
    let Some(available) = limits().map(Limits::available_bytes) else {
        return Ok(());
    };
    if config.force || n_workers == 0 {
        return Ok(());
    }
    check_against(config, model, work, n_workers, available)
}

fn check_against(
    config: &Config,
    model: &ModelConfig,
    work: Work<'_>,
    n_workers: usize,
    available: f64,
) -> Result<()> {
    let held = held(config);
    let Needed {
        memory,
        context,
        n_at_once,
    } = Needed::by(model, work, held, n_workers);
    let need = memory.at(context);
    if need <= available {
        return Ok(());
    }
    let error = anyhow!(
        "{} tokens need about {} of memory, but {} are available",
        output::grouped(context),
        shown(need),
        shown(available)
    );
    let mut ways = Vec::new();
    match memory.longest(available) {
        longest if longest >= 2 => ways.push(format!(
            "the longest context that fits is {} tokens",
            output::grouped(longest)
        )),
        _ => ways.push(format!(
            "no context fits: the model alone needs {}",
            shown(memory.fixed_bytes)
        )),
    }
    if let Some(way) = smaller(model, work, held, n_workers, available) {
        ways.push(way.to_owned());
    }
    if n_at_once > 1 {
        ways.push(format!("{n_at_once} sequences are in memory at once"));
    }
    ways.push("--force or --set force=true starts anyway".to_owned());
    Err(error.context(Hint(ways.join("; "))))
}

/// Formats bytes.
fn shown(bytes: f64) -> String {
    if bytes < 0.1 * GIB {
        format!("{:.0} MiB", 1024.0 * bytes / GIB)
    } else {
        format!("{:.1} GiB", bytes / GIB)
    }
}

/// The memory that work needs.
struct Needed {
    /// By the length of a sequence.
    memory: Memory,
    /// Tokens of a sequence.
    context: usize,
    /// Sequences in memory at once.
    n_at_once: usize,
}

impl Needed {
    fn by(model: &ModelConfig, work: Work<'_>, held: Held, n_workers: usize) -> Self {
        match work {
            Work::Measure { context } => Self {
                memory: estimate::eval_memory(model, held).at_once(1, n_workers),
                context,
                n_at_once: n_workers,
            },
            Work::Generate { tokens } => Self {
                memory: estimate::generate_memory(model, held),
                context: tokens,
                n_at_once: 1,
            },
            Work::Train { context, config } => Self {
                memory: train_memory(model, config, n_workers).at_once(config.batch, n_workers),
                context: config.longest_window(context),
                n_at_once: config.batch * n_workers,
            },
            Work::Adapt {
                window,
                config,
                candidates,
            } => Self {
                memory: adapt_memory(model, config, candidates, held, n_workers)
                    .at_once(config.batch, n_workers),
                context: window,
                n_at_once: config.batch * n_workers,
            },
        }
    }
}

/// The memory of a training with one sequence at a time.
fn train_memory(model: &ModelConfig, config: &TrainConfig, n_workers: usize) -> Memory {
    let training = Training {
        accumulates: n_workers < 2 && config.accumulate > 1,
        ..training(model, config)
    };
    let mut memory = estimate::train_memory(model, training);
    // Several workers have gradients of their own, beside the sum if there are more micro-batches than workers.
    let n_sets = if n_workers < 2 {
        1
    } else {
        config.accumulate.clamp(1, n_workers + 1)
    };
    let n_trained = match training.trained {
        estimate::TrainedParameters::All => model.n_parameters(),
        estimate::TrainedParameters::Adapters(n) => n,
    };
    let gradients = 4 * (n_sets - 1) * n_trained;
    memory.fixed_bytes += gradients as f64;
    if config.distill.is_on() && config.mode == TrainMode::Full {
        // The weights of the original model. Those below adapters are the original ones.
        let bytes = config.precision.dtype().size();
        memory.fixed_bytes += (bytes * model.n_parameters()) as f64;
    }
    if config.distill.is_on() {
        add_compared_states(&mut memory, model, config, training.computed_bytes);
    }
    memory
}

/// Adds the hidden states that a window is compared in: those of the original model, which are kept during the whole pass,
/// and the gradients of those between layers, which wait for the backward pass to come to their layer. Both stay on the
/// device, also where inputs of layers do not.
fn add_compared_states(
    memory: &mut Memory,
    model: &ModelConfig,
    config: &TrainConfig,
    computed_bytes: usize,
) {
    let layers = if config.distill.short > 0.0 {
        let resolved = config.distill.clone().resolved(model.n_layers);
        resolved.layers.unwrap_or_default()
    } else {
        // Far text is compared in its last state only.
        vec![model.n_layers]
    };
    let between = layers.iter().filter(|layer| **layer < model.n_layers);
    let state = estimate::ALLOCATOR_OVERHEAD * (computed_bytes * model.hidden_size) as f64;
    memory.bytes_per_token += layers.len() as f64 * state;
    memory.input_bytes_per_token += between.count() as f64 * state;
}

/// The memory of adapting candidates with one sequence at a time.
fn adapt_memory(
    model: &ModelConfig,
    config: &TrainConfig,
    candidates: usize,
    held: Held,
    n_workers: usize,
) -> Memory {
    let n_adapters = adapter_parameters(model, config);
    let adapting = |n_adapters| Training {
        weight_bytes: held.bytes,
        ..Training::f32(estimate::TrainedParameters::Adapters(n_adapters))
    };
    let one = estimate::train_memory(model, adapting(n_adapters));
    let without = estimate::train_memory(model, adapting(0));
    let of_worker = one.at(0) - without.at(0);
    let kept = 4.0 * candidates as f64 * n_adapters as f64;
    Memory {
        fixed_bytes: without.fixed_bytes + n_workers as f64 * of_worker + kept,
        gradient_bytes: 0.0,
        ..one
    }
}

/// What a training keeps in memory.
fn training(model: &ModelConfig, config: &TrainConfig) -> Training {
    let trained = match config.mode {
        TrainMode::Lora => estimate::TrainedParameters::Adapters(adapter_parameters(model, config)),
        _ => estimate::TrainedParameters::All,
    };
    let halves = config.precision == WeightPrecision::Bf16;
    // Weights below adapters are widened for computations.
    let computes_in_halves = halves && config.mode != TrainMode::Lora;
    Training {
        weight_bytes: if halves { 2 } else { 4 },
        computed_bytes: if computes_in_halves { 2 } else { 4 },
        recompute: config.recompute,
        ..Training::f32(trained)
    }
}

/// Number of parameters that are trained with adapters, modules to save included.
fn adapter_parameters(model: &ModelConfig, config: &TrainConfig) -> usize {
    config
        .adapters(model)
        .and_then(|lora| lora.n_parameters(model).ok())
        // A module that does not exist is an error later, with a hint of its own.
        .unwrap_or_else(|| estimate::adapter_parameters(model, config.lora.rank))
}

/// A setting with which the same work fits.
fn smaller(
    model: &ModelConfig,
    work: Work<'_>,
    held: Held,
    n_workers: usize,
    available: f64,
) -> Option<&'static str> {
    let halves = Held { bytes: 2, ..held };
    let fits = |work: Work<'_>, held: Held, n_workers: usize| {
        let needed = Needed::by(model, work, held, n_workers);
        needed.memory.at(needed.context) <= available
    };
    match work {
        Work::Measure { .. } if n_workers > 1 && fits(work, held, 1) => {
            Some("it fits with one --device")
        }
        Work::Adapt {
            config,
            window,
            candidates,
        } => smaller_adaptation(config, n_workers, |config, n_workers| {
            let work = Work::Adapt {
                config,
                window,
                candidates,
            };
            fits(work, held, n_workers)
        }),
        Work::Measure { .. } | Work::Generate { .. } if fits(work, halves, n_workers) => {
            Some("it fits with --set precision=bf16, which keeps weights in half precision")
        }
        Work::Measure { .. } | Work::Generate { .. }
            if !held.streamed && fits(work, held.streamed(true), n_workers) =>
        {
            Some("it fits with --set weights=streamed")
        }
        Work::Train { context, config } => smaller_training(config, n_workers, |config| {
            fits(Work::Train { context, config }, held, 1)
        }),
        _ => None,
    }
}

/// A setting with which a search that adapts the model fits: `fits` says whether one on so many workers does.
fn smaller_adaptation(
    config: &TrainConfig,
    n_workers: usize,
    fits: impl Fn(&TrainConfig, usize) -> bool,
) -> Option<&'static str> {
    let single = TrainConfig {
        batch: 1,
        ..config.clone()
    };
    if config.batch > 1 && fits(&single, n_workers) {
        Some("it fits with --set search.adapt.batch=1")
    } else if n_workers > 1 && fits(&single, 1) {
        Some("it fits with one --device and search.adapt.batch=1")
    } else {
        None
    }
}

/// A setting with which a training fits: `fits_alone` says whether one on a single device does.
fn smaller_training(
    config: &TrainConfig,
    n_workers: usize,
    fits_alone: impl Fn(&TrainConfig) -> bool,
) -> Option<&'static str> {
    let single = TrainConfig {
        batch: 1,
        ..config.clone()
    };
    let recomputed = TrainConfig {
        recompute: true,
        ..config.clone()
    };
    let lora = TrainConfig {
        mode: TrainMode::Lora,
        ..config.clone()
    };
    let halves = TrainConfig {
        precision: WeightPrecision::Bf16,
        ..config.clone()
    };
    if n_workers > 1 && fits_alone(config) {
        Some("it fits with one --device")
    } else if config.batch > 1 && fits_alone(&single) {
        Some("it fits with --set train.batch=1")
    } else if !config.recompute && fits_alone(&recomputed) {
        Some("it fits with --set train.recompute=true")
    } else if fits_alone(&lora) {
        Some("it fits with --lora")
    } else if fits_alone(&halves) {
        Some("it fits with --set train.precision=bf16")
    } else {
        None
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
