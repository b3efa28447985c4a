//! The diagnosis as plain data.

mod findings;
mod rules;
mod runtime;
mod switch;

pub use findings::{Advice, Conflict, Disagreement, Reading, Topic};
pub use rules::{FactorRow, Rules};
pub use runtime::Runtime;
pub use switch::Switch;

pub(super) use rules::row;

use serde::Serialize;

/// The result of [`diagnose`](crate::diagnose).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnosis {
    /// `model_type` of the config.
    pub model_type: String,
    /// The scaling, see [`RopeScaling::name`](crate::RopeScaling::name).
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
