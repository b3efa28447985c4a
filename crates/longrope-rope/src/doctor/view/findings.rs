//! Where runtimes differ, and what to do about it.

use std::fmt;

use serde::Serialize;

use super::runtime::{Runtime, names};

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
