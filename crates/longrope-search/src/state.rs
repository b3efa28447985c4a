//! The state of a search as one JSON document.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::candidate::Candidate;
use crate::config::{AttentionSearch, SearchConfig};
use crate::counts::{self, Counted};
use crate::error::{Error, Result};
use crate::generation::Generation;
use crate::memo::Memo;
use crate::problem::SearchProblem;
use crate::scored::Scored;
use crate::space::Space;
use crate::starts::SeedScore;

/// The `format` of every state.
const FORMAT: &str = "longrope-search-state";

/// The `version` this crate writes and reads.
const VERSION: u32 = 2;

/// The state of a search between two steps, or after a step that was interrupted.
///
/// A search resumed from it continues exactly as if it had never stopped. The random number generator, population and
/// history are those of the last finished generation; the memo may already hold part of the next generation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchState {
    format: String,
    version: u32,
    pub(crate) problem: SearchProblem,
    pub(crate) config: SearchConfig,
    pub(crate) init: Vec<Candidate>,
    seed: u64,
    pub(crate) rng: ChaCha8Rng,
    /// Number of samples that the scores were measured on; `None` before the first measurement.
    pub(crate) n_samples: Option<usize>,
    /// Memo ids of the best candidates, best first.
    pub(crate) population: Vec<usize>,
    pub(crate) seeds: Vec<SeedScore>,
    pub(crate) history: Vec<Generation>,
    pub(crate) memo: Memo,
}

/// The fields that identify the kind of a file.
#[derive(Deserialize)]
struct Header {
    format: Option<serde_json::Value>,
    version: Option<serde_json::Value>,
}

impl SearchState {
    pub(crate) fn new(
        problem: SearchProblem,
        config: SearchConfig,
        init: Vec<Candidate>,
        seed: u64,
    ) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            problem,
            config,
            init,
            seed,
            rng: ChaCha8Rng::seed_from_u64(seed),
            n_samples: None,
            population: Vec::new(),
            seeds: Vec::new(),
            history: Vec::new(),
            memo: Memo::default(),
        }
    }

    /// The state as JSON. Equal states give the same bytes.
    ///
    /// # Errors
    /// [`Error::StateJson`] if a value cannot be written as JSON, which does not happen for a checked configuration.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|source| Error::StateJson { source })
    }

    /// Reads the output of [`to_json`](Self::to_json) and checks that its parts fit each other.
    ///
    /// # Errors
    /// [`Error::StateJson`], [`Error::StateFormat`], [`Error::StateVersion`] or [`Error::StateCorrupt`], and the errors
    /// of the configuration and the problem in it.
    pub fn from_json(json: &str) -> Result<Self> {
        let parse = |source| Error::StateJson { source };
        // Format and version first, so that a foreign or newer file is not reported as a syntax error.
        let header: Header = serde_json::from_str(json).map_err(parse)?;
        let found = |value: Option<serde_json::Value>| {
            value.map_or("missing".to_owned(), |value| value.to_string())
        };
        if header.format.as_ref().and_then(serde_json::Value::as_str) != Some(FORMAT) {
            return Err(Error::StateFormat {
                found: found(header.format),
                expected: FORMAT,
            });
        }
        if header.version.as_ref().and_then(serde_json::Value::as_u64) != Some(u64::from(VERSION)) {
            return Err(Error::StateVersion {
                found: found(header.version),
                expected: VERSION,
            });
        }
        let state: Self = serde_json::from_str(json).map_err(parse)?;
        state.check()?;
        Ok(state)
    }

    /// The problem.
    pub fn problem(&self) -> &SearchProblem {
        &self.problem
    }

    /// The settings.
    pub fn config(&self) -> &SearchConfig {
        &self.config
    }

    /// The seed of the random number generator.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The finished generations; number 0 is the first population.
    pub fn history(&self) -> &[Generation] {
        &self.history
    }

    /// The score of each seed with each attention-scale policy; empty before the first step.
    pub fn seeds(&self) -> &[SeedScore] {
        &self.seeds
    }

    /// All measured candidates, in order of measurement.
    pub fn scored(&self) -> &[Scored] {
        self.memo.entries()
    }

    /// The best candidate of the finished generations.
    pub fn best(&self) -> Option<&Scored> {
        self.population.first().map(|&id| &self.memo.entries()[id])
    }

    /// The search space, including the attention-scale policies of the caller's candidates.
    pub(crate) fn space(&self) -> Result<Space> {
        let mut space = self.config.space(&self.problem)?;
        for (index, candidate) in self.init.iter().enumerate() {
            if !matches!(self.config.attention, AttentionSearch::Fixed { .. }) {
                space.allow(candidate.attention);
            }
            if let Some(violation) = space.violation(candidate) {
                return Err(Error::InitOutsideSpace {
                    index,
                    key: violation.key,
                    found: violation.found,
                    expected: violation.expected,
                });
            }
        }
        Ok(space)
    }

    /// Checks that the parts fit each other.
    fn check(&self) -> Result<()> {
        self.check_memo(&self.space()?)?;
        self.check_population()?;
        self.check_history()?;
        self.check_n_samples()?;
        counts::check(&Counted {
            config: &self.config,
            n_samples: self.n_samples,
            entries: self.memo.entries(),
            history: &self.history,
            n_seeds: self.seeds.len(),
        })
    }

    fn check_memo(&self, space: &Space) -> Result<()> {
        let done = self.history.len();
        for (id, entry) in self.memo.entries().iter().enumerate() {
            if let Some(violation) = space.violation(&entry.candidate) {
                return Err(corrupt(
                    "memo",
                    format!("{} in candidate {id}", violation.found),
                    violation.expected,
                ));
            }
            if entry.generation > done {
                let found = format!("candidate {id} of generation {}", entry.generation);
                let expected = format!("generations up to {done}");
                return Err(corrupt("memo", found, expected));
            }
        }
        if self.memo.has_duplicates() {
            return Err(corrupt("memo", "a candidate twice", "each candidate once"));
        }
        Ok(())
    }

    fn check_population(&self) -> Result<()> {
        let fail = |found: String, expected: String| Err(corrupt("population", found, expected));
        let entries = self.memo.entries();
        if let Some(id) = self.population.iter().find(|&&id| id >= entries.len()) {
            let expected = format!("ids below {}", entries.len());
            return fail(format!("candidate {id}"), expected);
        }
        let races = self.config.racing_strictness > 0.0;
        if let Some(id) = self.population.iter().find(|&&id| {
            let entry = &entries[id];
            let is_whole = Some(entry.losses.len()) == self.n_samples;
            entry.dropped || (races && entry.failures.is_empty() && !is_whole)
        }) {
            let expected = "candidates with losses of all samples".to_owned();
            return fail(format!("candidate {id}, scored in part"), expected);
        }
        if self.memo.ranked(self.population.clone()) != self.population {
            let expected = "each candidate once, best first".to_owned();
            return fail(format!("{:?}", self.population), expected);
        }
        if self.population.is_empty() != self.history.is_empty() {
            let (n, done) = (self.population.len(), self.history.len());
            let expected = "candidates exactly if a generation is finished".to_owned();
            return fail(format!("{n} candidates after {done} generations"), expected);
        }
        Ok(())
    }

    fn check_history(&self) -> Result<()> {
        let mut history = self.history.iter().enumerate();
        match history.find(|(index, generation)| generation.index != *index) {
            None => Ok(()),
            Some((index, generation)) => {
                let found = format!("generation {} at position {index}", generation.index);
                Err(corrupt("history", found, "generations in order"))
            }
        }
    }

    fn check_n_samples(&self) -> Result<()> {
        let entries = self.memo.entries();
        if self.n_samples.is_none() && !entries.is_empty() {
            let expected = "the number of samples scored";
            return Err(corrupt("n_samples", "nothing", expected));
        }
        let other = self.population.iter().find(|&&id| {
            let entry = &entries[id];
            entry.failures.is_empty() && Some(entry.n_samples) != self.n_samples
        });
        match other {
            None => Ok(()),
            Some(id) => {
                let found = self.n_samples.unwrap_or(0).to_string();
                let expected = format!("{}, as candidate {id} has", entries[*id].n_samples);
                Err(corrupt("n_samples", found, expected))
            }
        }
    }

    /// The state, after the checks of [`from_json`](Self::from_json).
    pub(crate) fn checked(self) -> Result<Self> {
        self.check()?;
        Ok(self)
    }
}

/// The error for a part that does not fit the others.
fn corrupt(field: &'static str, found: impl Into<String>, expected: impl Into<String>) -> Error {
    Error::StateCorrupt {
        field,
        found: found.into(),
        expected: expected.into(),
    }
}
