//! The memory and the time of every mode.

use std::collections::BTreeSet;

use longrope_model::ModelConfig;
use longrope_model::estimate::{self, Held, Memory, STEP_FORWARDS, TrainedParameters, Training};
use longrope_search::SearchConfig;
use serde::Serialize;

use crate::input::device;
use crate::input::memory::GIB;
use crate::settings::args::PlanMode;
use crate::settings::config::Config;
use crate::show::{output, search_table};

/// Share of the memory that the plan may use; the rest is left to other programs.
pub(super) const HEADROOM: f64 = 0.95;

/// The command that a plan of a training is for.
const TRAINING: &str = "longrope finetune";

/// Devices that a plan spreads layers over at most.
const MOST_DEVICES: usize = 16;

/// The estimate for one mode.
#[derive(Serialize)]
pub(super) struct PlanRow {
    pub(super) mode: &'static str,
    /// Whether weights and activations are in half precision.
    pub(super) half_precision: bool,
    /// On the device with the most, if several have the layers.
    pub(super) peak_bytes: f64,
    #[serde(flatten)]
    pub(super) memory: Memory,
    /// Floating-point operations of one window, one search or one step.
    pub(super) flops: f64,
    /// Their time; `None` if the speed of the device is unknown.
    pub(super) secs: Option<f64>,
    /// Whether the peak fits into memory; `None` if the memory is unknown.
    pub(super) fits: Option<bool>,
    /// Longest window that fits, in tokens.
    pub(super) longest_context: Option<usize>,
    pub(super) advice: Vec<String>,
    /// What the estimate does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
}

/// What is planned for.
pub(super) struct PlanInput<'a> {
    pub(super) model: &'a ModelConfig,
    /// How evaluations keep the weights.
    pub(super) held: Held,
    /// Whether a training is in half precision.
    pub(super) trains_in_half: bool,
    /// The memories that the parts of the device lie in, one name per part.
    pub(super) memories: &'a [&'a str],
    /// Tokens of a window.
    pub(super) context: usize,
    pub(super) memory_bytes: Option<f64>,
    pub(super) flops_per_sec: Option<f64>,
}

impl PlanInput<'_> {
    fn eval(&self, held: Held) -> Memory {
        let of_parts = |n_parts| estimate::eval_memories(self.model, held, n_parts);
        fullest(self.memories, of_parts, self.context)
    }

    fn train(&self, training: Training) -> Memory {
        let of_parts = |n_parts| estimate::train_memories(self.model, training, n_parts);
        fullest(self.memories, of_parts, self.context)
    }

    fn adapters(&self) -> TrainedParameters {
        TrainedParameters::Adapters(n_adapters(self.model))
    }

    /// A training in the type that the device trains in by default.
    fn training(&self, trained: TrainedParameters) -> Training {
        if self.trains_in_half {
            Training::half(trained)
        } else {
            Training::f32(trained)
        }
    }

    /// Whether the device is no CPU.
    fn is_gpu(&self) -> bool {
        self.memories.iter().all(|memory| *memory != device::HOST)
    }

    /// The estimate for a mode.
    pub(super) fn row(&self, mode: PlanMode) -> PlanRow {
        let (name, memory, n_forwards) = match mode {
            PlanMode::Eval => ("eval", self.eval(self.held), 1.0),
            PlanMode::Search => ("search", self.eval(self.held), search_windows(self.context)),
            PlanMode::Lora => (
                "lora",
                self.train(self.training(self.adapters())),
                STEP_FORWARDS,
            ),
            PlanMode::Full => (
                "full",
                self.train(self.training(TrainedParameters::All)),
                STEP_FORWARDS,
            ),
        };
        let flops = estimate::forward_flops(self.model, self.context) * n_forwards;
        let peak_bytes = memory.at(self.context);
        let room = self.memory_bytes.map(|bytes| bytes * HEADROOM);
        let fits = room.map(|room| peak_bytes <= room);
        PlanRow {
            mode: name,
            half_precision: match mode {
                PlanMode::Eval | PlanMode::Search => self.held.bytes == 2,
                PlanMode::Lora | PlanMode::Full => self.trains_in_half,
            },
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
                let command = if mode == PlanMode::Eval {
                    "longrope eval .."
                } else {
                    "longrope search"
                };
                if self.held != halves && fits(self.eval(halves)) {
                    advice.push(format!(
                        "{command} --set precision=bf16, which keeps weights in half precision"
                    ));
                }
                if fits(self.eval(self.held.streamed(true))) {
                    advice.push(format!(
                        "{command} --set weights=streamed, which reads layers when they are needed"
                    ));
                }
            }
            PlanMode::Full => {
                advice.extend(self.smaller_training(TrainedParameters::All, room));
                if fits(self.train(self.training(self.adapters()))) {
                    advice.push(format!(
                        "{TRAINING} --lora, which needs gradients and moments for adapters only"
                    ));
                }
            }
            PlanMode::Lora => advice.extend(self.smaller_training(self.adapters(), room)),
        }
        let longest = memory.longest(room);
        if longest >= 2 {
            advice.push(format!(
                "a context of up to {} tokens",
                output::grouped(longest)
            ));
        }
        let needed = memory.at(self.context) / HEADROOM / GIB;
        // Rounded up: with less, it would not fit.
        let needed = (100.0 * needed).ceil() / 100.0;
        advice.push(format!("{needed:.2} GiB of memory"));
        advice
    }

    /// The first way of a training that fits into `room` bytes: in the other precision; on a GPU with the inputs of layers in the
    /// memory of the host, or with the layers spread over several such devices.
    fn smaller_training(&self, trained: TrainedParameters, room: f64) -> Option<String> {
        let fits = |memory: Memory| memory.at(self.context) <= room;
        if !self.is_gpu() {
            // Weights below adapters are widened for computations.
            let halves = match trained {
                TrainedParameters::All => Training::half(trained),
                TrainedParameters::Adapters(_) => Training {
                    weight_bytes: 2,
                    ..Training::f32(trained)
                },
            };
            return fits(self.train(halves)).then(|| {
                format!(
                    "{TRAINING} --set train.precision=bf16, which trains weights in half precision"
                )
            });
        }
        // In half precision, the optimizer has copies of the weights besides.
        if self.trains_in_half && fits(self.train(Training::f32(trained))) {
            return Some(format!(
                "{TRAINING} --set train.precision=f32, which needs no copies of the weights"
            ));
        }
        let training = self.training(trained);
        let offloaded = Training {
            offload: true,
            ..training
        };
        if fits(self.train(offloaded)) {
            return Some(format!(
                "{TRAINING} --set train.offload=true, which keeps the inputs of layers in the memory of the host"
            ));
        }
        let spread = |n: &usize| {
            let parts = estimate::train_memories(self.model, training, *n);
            parts.into_iter().all(fits)
        };
        let n_devices = (2..=self.model.n_layers.min(MOST_DEVICES)).find(spread)?;
        let names: Vec<String> = ('A'..).take(n_devices).map(String::from).collect();
        Some(format!(
            "{TRAINING} --device {}, which spreads the layers over {n_devices} such devices",
            names.join("+")
        ))
    }
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

/// Number of parameters of adapters of the default rank.
pub(super) fn n_adapters(model: &ModelConfig) -> usize {
    estimate::adapter_parameters(model, Config::default().train.lora.rank)
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
