//! The diagnosis as plain data.

use std::fmt;

use serde::Serialize;

use crate::{RopeScaling, RopeSpec};

/// The result of [`diagnose`](crate::diagnose).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnosis {
    /// `model_type` of the config.
    pub model_type: String,
    /// The scaling, see [`RopeScaling::name`].
    pub rope: &'static str,
    /// Context before the extension, in tokens.
    pub original_context: usize,
    /// Context the config claims, in tokens.
    pub max_context: usize,
    /// One view per runtime, in the order of [`Runtime::ALL`].
    pub runtimes: Vec<RuntimeView>,
    /// Statements of the config that contradict each other, and what each runtime makes of them.
    pub conflict: Option<Conflict>,
    /// Where a runtime computes something different from this project.
    pub disagreements: Vec<Disagreement>,
    /// How to run the checkpoint correctly.
    pub advice: Vec<Advice>,
}

/// A program that runs models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Runtime {
    /// Hugging Face transformers before 5.
    #[serde(rename = "transformers-4")]
    Transformers4,
    /// Hugging Face transformers 5.
    #[serde(rename = "transformers-5")]
    Transformers5,
    /// vLLM.
    Vllm,
    /// SGLang.
    Sglang,
    /// llama.cpp, from a GGUF made by its own converter.
    #[serde(rename = "llama.cpp")]
    LlamaCpp,
    /// mlx-lm.
    MlxLm,
    /// exllamav3.
    Exllamav3,
    /// mistral.rs.
    #[serde(rename = "mistral.rs")]
    MistralRs,
    /// candle.
    Candle,
    /// ONNX Runtime GenAI, from a model made by its own builder.
    OnnxruntimeGenai,
    /// This project.
    Longrope,
}

impl Runtime {
    /// All runtimes, this project last.
    pub const ALL: [Self; 11] = [
        Self::Transformers4,
        Self::Transformers5,
        Self::Vllm,
        Self::Sglang,
        Self::LlamaCpp,
        Self::MlxLm,
        Self::Exllamav3,
        Self::MistralRs,
        Self::Candle,
        Self::OnnxruntimeGenai,
        Self::Longrope,
    ];

    /// The name to display.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transformers4 => "transformers 4",
            Self::Transformers5 => "transformers 5",
            Self::Vllm => "vLLM",
            Self::Sglang => "SGLang",
            Self::LlamaCpp => "llama.cpp",
            Self::MlxLm => "mlx-lm",
            Self::Exllamav3 => "exllamav3",
            Self::MistralRs => "mistral.rs",
            Self::Candle => "candle",
            Self::OnnxruntimeGenai => "ONNX Runtime GenAI",
            Self::Longrope => "longrope",
        }
    }
}

/// The names of runtimes, separated by commas.
fn names(runtimes: &[Runtime]) -> String {
    let names: Vec<&str> = runtimes.iter().map(|runtime| runtime.name()).collect();
    names.join(", ")
}

/// How one runtime interprets the config.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuntimeView {
    /// The runtime.
    pub runtime: Runtime,
    /// The version that the rules were read in.
    pub version: &'static str,
    /// The source that the rules were read in.
    pub source: &'static str,
    /// The rules, or why the config does not load.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl RuntimeView {
    /// The rules, if the runtime loads the config.
    pub fn rules(&self) -> Option<&Rules> {
        match &self.outcome {
            Outcome::Loads(rules) => Some(rules),
            Outcome::Refuses { .. } | Outcome::Unknown { .. } => None,
        }
    }
}

/// What a runtime makes of the config.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It loads the config, with these rules.
    Loads(Rules),
    /// It does not load the config.
    Refuses {
        /// Why it does not load.
        reason: String,
    },
    /// Its rules for this family of models were not read.
    Unknown {
        /// What that means.
        reason: String,
    },
}

/// The rules that determine the angles in a runtime.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rules {
    /// Base of the frequencies.
    pub theta: f64,
    /// The factor sets, the set for the shortest texts first.
    pub factors: Vec<FactorRow>,
    /// Which set a token uses.
    pub switch: Switch,
    /// Context used by default, in tokens; `None` if the runtime has no limit of its own.
    pub default_context: Option<usize>,
}

/// One factor set as the runtime applies it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FactorRow {
    /// `plain`, `all`, `short`, `long`, or the length they are for.
    pub name: String,
    /// The factor of the fastest pair.
    pub first: f64,
    /// The factor of the slowest pair.
    pub last: f64,
    /// The number that multiplies cos and sin.
    pub attention_scale: f64,
    /// The numbers that divide the plain frequencies, one per pair.
    #[serde(skip)]
    pub values: Vec<f64>,
}

impl FactorRow {
    pub(super) fn new(name: impl Into<String>, values: Vec<f64>, attention_scale: f64) -> Self {
        Self {
            name: name.into(),
            first: values.first().copied().unwrap_or(1.0),
            last: values.last().copied().unwrap_or(1.0),
            attention_scale,
            values,
        }
    }

    /// Whether it computes the same, whatever its name.
    fn is_same_as(&self, other: &Self) -> bool {
        let pairs = self.values.iter().zip(&other.values);
        let scales = (self.attention_scale - other.attention_scale).abs();
        scales < 1e-9 && pairs.into_iter().all(|(a, b)| (a / b - 1.0).abs() < 1e-9)
    }

    /// Whether all frequencies are plain.
    pub fn is_plain(&self) -> bool {
        self.values.iter().all(|factor| (factor - 1.0).abs() < 1e-9)
    }
}

/// The rule that chooses between factor sets.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Switch {
    /// There is one set for all tokens.
    Never {},
    /// Each forward pass by the largest position in its batch.
    PerForward {
        /// Largest length of the first set, in tokens.
        border: usize,
        /// Whether the key-value cache is computed again at the border.
        recomputes_cache: bool,
    },
    /// There are two sets, but only the long one is ever used.
    AlwaysLong {},
    /// Once for all requests, by the length that the caller asks the runtime for.
    ByRequestedLength {
        /// Largest length for the first set, in tokens.
        border: usize,
    },
    /// Once for all requests, by the `max_model_len` of the server.
    AtLoad {
        /// Largest `max_model_len` for the first set.
        border: usize,
    },
    /// Once per context, by the number of tokens allocated for it.
    ByAllocation {
        /// Largest allocation for the first set, in tokens.
        border: usize,
    },
    /// Each token by its own position.
    ByPosition {
        /// First position of the second set.
        border: usize,
    },
    /// Once per sequence, by the length of its prompt and everything that may be generated.
    PerSequence {
        /// Largest length of the first set, in tokens.
        border: usize,
    },
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never {} => write!(f, "never"),
            Self::AlwaysLong {} => write!(f, "always long"),
            Self::ByRequestedLength { border } => {
                write!(f, "at load, length asked for above {border}")
            }
            Self::PerForward {
                border,
                recomputes_cache,
            } => {
                let cache = if *recomputes_cache {
                    ", cache recomputed"
                } else {
                    ", cache kept"
                };
                write!(f, "per forward above {border}{cache}")
            }
            Self::AtLoad { border } => write!(f, "at load, max_model_len above {border}"),
            Self::ByAllocation { border } => write!(f, "at load, n_ctx above {border}"),
            Self::ByPosition { border } => write!(f, "per token from position {border}"),
            Self::PerSequence { border } => write!(f, "per sequence above {border}"),
        }
    }
}

impl Rules {
    /// The rules of a runtime that computes what `spec` says, switching between its sets as `switch` says.
    pub(super) fn of(
        spec: &RopeSpec,
        switch: impl FnOnce(usize) -> Switch,
        default_context: Option<usize>,
    ) -> Self {
        let original = spec.original_context;
        let factors = match &spec.scaling {
            RopeScaling::None {} => vec![row(spec, "plain", original)],
            RopeScaling::DynamicNtk { .. } => {
                let longest = spec.max_context();
                vec![
                    row(spec, format!("up to {original}"), original),
                    row(spec, format!("at {longest}"), longest),
                ]
            }
            RopeScaling::LongRope { sets, .. } if sets.len() == 2 => ["short", "long"]
                .into_iter()
                .zip(sets)
                .map(|(name, set)| row(spec, name, set.max_context))
                .collect(),
            _ => vec![row(spec, "all", original)],
        };
        // Two sets that are equal are one: nothing changes at the border.
        let factors = match factors.as_slice() {
            [first, second] if first.is_same_as(second) => vec![row(spec, "all", original)],
            _ => factors,
        };
        let switch = if factors.len() > 1 {
            switch(original)
        } else {
            Switch::Never {}
        };
        Self {
            theta: spec.theta,
            factors,
            switch,
            default_context,
        }
    }
}

/// The factors of a spec for a sequence of `total_tokens`.
pub(super) fn row(spec: &RopeSpec, name: impl Into<String>, total_tokens: usize) -> FactorRow {
    // Factors of a factor set are exact. Quotients of frequencies are rounded to remove rounding errors.
    let written = spec
        .factor_set(total_tokens)
        .map(|set| set.factors.as_slice().to_vec());
    let values = written.unwrap_or_else(|| {
        let plain = spec.plain().resolve(total_tokens);
        let scaled = spec.resolve(total_tokens);
        let pairs = plain.inv_freq().iter().zip(scaled.inv_freq());
        pairs
            .map(|(plain, scaled)| (plain / scaled * 1e9).round() / 1e9)
            .collect()
    });
    FactorRow::new(name, values, spec.attention_scale(total_tokens))
}

/// What a disagreement is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Topic {
    /// Whether the config loads at all.
    Loading,
    /// The base of the frequencies.
    Theta,
    /// The factors.
    Factors,
    /// The number that multiplies cos and sin.
    AttentionScale,
    /// Which set a token uses.
    Switch,
    /// The default context, compared with the context that the config claims.
    DefaultContext,
}

/// Where some runtimes differ from this project, and the consequence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Disagreement {
    /// The topics that differ.
    pub topics: Vec<Topic>,
    /// The runtimes that differ.
    pub runtimes: Vec<Runtime>,
    /// What these runtimes do.
    pub what: String,
    /// The consequence.
    pub consequence: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = names(&self.runtimes);
        write!(f, "{names}: {}; {}", self.what, self.consequence)
    }
}

/// Statements of a config that contradict each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conflict {
    /// The statements.
    pub what: String,
    /// What the runtimes make of them.
    pub readings: Vec<Reading>,
}

/// Runtimes that make the same of a conflict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reading {
    /// The runtimes.
    pub runtimes: Vec<Runtime>,
    /// What they take, or why they stop.
    pub takes: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        for reading in &self.readings {
            write!(f, "; {}: {}", names(&reading.runtimes), reading.takes)?;
        }
        Ok(())
    }
}

/// A recommended change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// The runtimes to configure; empty for a change of the config itself.
    pub runtimes: Vec<Runtime>,
    /// What to do.
    pub text: String,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.runtimes.is_empty() {
            write!(f, "config.json: {}", self.text)
        } else {
            write!(f, "{}: {}", names(&self.runtimes), self.text)
        }
    }
}
