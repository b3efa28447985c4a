//! The diagnosis as plain data.

use std::fmt;

use serde::Serialize;

use crate::{RopeScaling, RopeSpec};

/// Everything that `diagnose` found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnosis {
    /// `model_type` of the config.
    pub model_type: String,
    /// The scaling, by our name.
    pub rope: &'static str,
    /// Context before the extension, in tokens.
    pub original_context: usize,
    /// Context the config claims, in tokens.
    pub max_context: usize,
    /// One view per runtime, in the order of [`Runtime::ALL`].
    pub runtimes: Vec<RuntimeView>,
    /// Where a runtime computes something else than this project does.
    pub disagreements: Vec<Disagreement>,
    /// How to run the checkpoint so that it is right.
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
    /// llama.cpp, from a GGUF made by its own converter.
    #[serde(rename = "llama.cpp")]
    LlamaCpp,
    /// candle.
    Candle,
    /// This project.
    Longrope,
}

impl Runtime {
    /// All of them, this project last.
    pub const ALL: [Self; 6] = [
        Self::Transformers4,
        Self::Transformers5,
        Self::Vllm,
        Self::LlamaCpp,
        Self::Candle,
        Self::Longrope,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transformers4 => "transformers 4",
            Self::Transformers5 => "transformers 5",
            Self::Vllm => "vLLM",
            Self::LlamaCpp => "llama.cpp",
            Self::Candle => "candle",
            Self::Longrope => "longrope",
        }
    }
}

/// What one runtime makes of the config.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuntimeView {
    /// The runtime.
    pub runtime: Runtime,
    /// The source whose rules these are.
    pub source: &'static str,
    /// The rules, or why there are none.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl RuntimeView {
    /// The rules, if the runtime loads the config.
    pub fn rules(&self) -> Option<&Rules> {
        match &self.outcome {
            Outcome::Loads(rules) => Some(rules),
            Outcome::Refuses { .. } => None,
        }
    }
}

/// Whether a runtime loads the config.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It does, with these rules.
    Loads(Rules),
    /// It does not.
    Refuses {
        /// What it stumbles over.
        reason: String,
    },
}

/// What decides the angles of a runtime.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rules {
    /// Base of the frequencies.
    pub theta: f64,
    /// The factor sets there are, the one for the shortest texts first.
    pub factors: Vec<FactorRow>,
    /// Which of them a token gets.
    pub switch: Switch,
    /// Context used when nobody asks for another, in tokens; `None` if the runtime has no limit of its own.
    pub default_context: Option<usize>,
}

/// One set of factors, in effect: what the plain frequencies are divided by.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FactorRow {
    /// `plain`, `all`, `short`, `long`, or the length they are for.
    pub name: String,
    /// The factor of the fastest pair.
    pub first: f64,
    /// The factor of the slowest pair.
    pub last: f64,
    /// What cos and sin are multiplied by.
    pub attention_scale: f64,
    /// The factors of all pairs.
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

    /// Whether it leaves every frequency as it is.
    pub fn is_plain(&self) -> bool {
        self.values.iter().all(|factor| (factor - 1.0).abs() < 1e-9)
    }
}

/// The rule that chooses between factor sets.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Switch {
    /// There is one set for all.
    Never {},
    /// Each forward pass by the largest position in its batch.
    PerForward {
        /// Largest length of the first set, in tokens.
        border: usize,
        /// Whether the key-value cache is dropped and computed anew at the border.
        recomputes_cache: bool,
    },
    /// Once for all requests, by the `max_model_len` the server was started with.
    AtLoad {
        /// Largest `max_model_len` for the first set.
        border: usize,
    },
    /// Once per context, by the tokens it has room for.
    ByAllocation {
        /// Largest room for the first set.
        border: usize,
    },
    /// Each token by its own position.
    ByPosition {
        /// First position of the second set.
        border: usize,
    },
    /// Once per sequence, by its prompt and all that may be generated.
    PerSequence {
        /// Largest length of the first set, in tokens.
        border: usize,
    },
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never {} => write!(f, "never"),
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

/// What a spec does to a sequence of `total_tokens`.
pub(super) fn row(spec: &RopeSpec, name: impl Into<String>, total_tokens: usize) -> FactorRow {
    // Written factors stay as they are written; a quotient of frequencies loses its rounding.
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

/// The attention scales of a runtime, for a message.
pub(super) fn scales(rules: &Rules) -> String {
    let mut texts: Vec<String> = rules
        .factors
        .iter()
        .map(|row| format!("{:.4}", row.attention_scale))
        .collect();
    texts.dedup();
    texts.join(" and ")
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
    /// What cos and sin are multiplied by.
    AttentionScale,
    /// Which set a token gets.
    Switch,
    /// The context without any flag, against the one the config claims.
    DefaultContext,
}

/// What some runtimes do otherwise than this project, and what comes of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Disagreement {
    /// What differs.
    pub topics: Vec<Topic>,
    /// Who differs.
    pub runtimes: Vec<Runtime>,
    /// What they do.
    pub what: String,
    /// What comes of it.
    pub consequence: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.runtimes.iter().map(|it| it.name()).collect();
        write!(
            f,
            "{}: {}; {}",
            names.join(", "),
            self.what,
            self.consequence
        )
    }
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// Where; none for the config itself.
    pub runtimes: Vec<Runtime>,
    /// What.
    pub text: String,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.runtimes.is_empty() {
            write!(f, "config.json: {}", self.text)
        } else {
            let names: Vec<&str> = self.runtimes.iter().map(|it| it.name()).collect();
            write!(f, "{}: {}", names.join(", "), self.text)
        }
    }
}
