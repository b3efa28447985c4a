//! The task of context gain.

use std::ops::Range;

use longrope_data::{Bos, TokenDocument, TokenWindow, WindowProtocol, plan_windows};
use longrope_model::check_losses;
use longrope_rope::RopeSpec;
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, json};

use super::config::{FarText, GainBaseline, GainConfig, GainWindows, NAME};
use crate::error::{Error, Result};
use crate::language_model::LanguageModel;
use crate::metric::Metric;
use crate::report::Trial;
use crate::settings::invalid_setting;
use crate::stats::mean;
use crate::task::{Task, TaskInfo};

/// The gain of the context in every window of some documents.
///
/// A window of `context` tokens ends with a tail. Its loss is measured twice: in the [baseline](GainBaseline), by default
/// the last tokens of the window, as many as the original window has, and in the whole window. The gain is the first loss
/// minus the second, in nats per token of the tail. It is positive if the model uses the text that its original window
/// does not reach.
#[derive(Debug)]
pub struct Gain {
    windows: Vec<TokenWindow>,
    context: usize,
    original_context: usize,
    config: GainConfig,
    /// Tokens scored.
    tail: usize,
    bos: Bos,
    /// The RoPE of the original window.
    near_rope: RopeSpec,
    /// Most windows of a document.
    per_document: usize,
    /// Seed of the texts of other documents.
    seed: u64,
}

/// The tokens of a window, and those that it is compared with, which end with the same tokens.
struct Pair {
    full: Vec<u32>,
    baseline: Vec<u32>,
}

impl Gain {
    /// Plans windows that do not overlap. `near_rope` is the RoPE for sequences as long as the original window, which it
    /// names. `seed` is that of the texts of other documents.
    ///
    /// # Errors
    /// - [`Error::NothingFar`] if the context is not longer than the original window.
    /// - [`Error::InvalidSetting`] for a tail that is empty or longer than half of the original window, and for text of
    ///   other documents if there are not enough.
    /// - [`Error::Windows`] if no document has a window.
    pub fn new(
        documents: &[TokenDocument],
        config: &GainConfig,
        windows: GainWindows,
        near_rope: RopeSpec,
        seed: u64,
    ) -> Result<Self> {
        let GainWindows {
            context,
            per_document,
            bos,
        } = windows;
        let original_context = near_rope.original_context;
        if context <= original_context {
            return Err(Error::NothingFar {
                context,
                original_context,
            });
        }
        let most = original_context / 2;
        let tail = config.tail.unwrap_or(GainConfig::DEFAULT_TAIL.min(most));
        if !(1..=most).contains(&tail) {
            let found = format!("{tail} for an original window of {original_context} tokens");
            let expected = "a number from 1 to half of that window";
            return Err(invalid_setting(NAME, "tail", found, expected));
        }
        let spread = WindowProtocol::spread(per_document);
        let windows = plan_windows(documents, context, spread, bos).map_err(Error::Windows)?;
        let gain = Self {
            windows,
            context,
            original_context,
            config: config.clone(),
            tail,
            bos,
            near_rope,
            per_document,
            seed,
        };
        let enough = |trial: usize| gain.others(trial).len() >= gain.n_others();
        if !(0..gain.windows.len()).all(enough) {
            let setting = match config.far {
                FarText::Other => "far",
                FarText::Own => "against",
            };
            let expected = match gain.n_others() {
                1 => "at least two documents with windows of this context",
                _ => "at least two windows of this context in other documents, for each window",
            };
            let found = "other".to_owned();
            return Err(invalid_setting(NAME, setting, found, expected));
        }
        Ok(gain)
    }

    /// Texts of other documents that a trial needs.
    fn n_others(&self) -> usize {
        usize::from(self.config.far == FarText::Other)
            + usize::from(self.config.against == GainBaseline::Other)
    }

    /// The windows of other documents.
    fn others(&self, trial: usize) -> Vec<&TokenWindow> {
        let own = self.windows[trial].doc_idx;
        let windows = self.windows.iter();
        windows.filter(|window| window.doc_idx != own).collect()
    }

    fn pair(&self, trial: usize) -> Pair {
        let mut full = self.windows[trial].tokens();
        let near_from = full.len() - self.original_context.min(full.len());
        // Trials may be run in any order.
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(trial as u64);
        let others = self.others(trial);
        let mut drawn = others.sample(&mut rng, self.n_others());
        let with_other_far = |other: Option<&&TokenWindow>| {
            let mut tokens = full.clone();
            if let Some(other) = other {
                tokens[..near_from].copy_from_slice(&other.tokens()[..near_from]);
            }
            tokens
        };
        let baseline = match self.config.against {
            GainBaseline::Other => with_other_far(drawn.next()),
            GainBaseline::Window => {
                let mut near = full[near_from..].to_vec();
                if matches!(self.bos, Bos::Window { .. } | Bos::Replace { .. }) {
                    near[0] = full[0];
                }
                near
            }
        };
        if self.config.far == FarText::Other {
            full = with_other_far(drawn.next());
        }
        Pair { full, baseline }
    }

    /// The mean loss of the tail of a sequence, nats.
    fn tail_nats(
        &self,
        tokens: &[u32],
        model: &mut dyn LanguageModel,
        rope: &RopeSpec,
    ) -> Result<f64> {
        let from = tokens.len() - self.tail;
        let losses = model.token_nll(&[tokens], from, &rope.resolve(tokens.len()))?;
        check_losses(&losses, from)
            .map_err(|source| Error::not_finite(format!("{} tokens", tokens.len()), source))?;
        let nats: Vec<f64> = losses.concat().into_iter().map(f64::from).collect();
        Ok(mean(&nats))
    }
}

impl Task for Gain {
    fn info(&self) -> TaskInfo {
        let mut settings = Map::new();
        settings.insert("tail".to_owned(), json!(self.tail));
        settings.insert("far".to_owned(), json!(self.config.far));
        if self.config.against != GainBaseline::Window {
            settings.insert("against".to_owned(), json!(self.config.against));
        }
        settings.insert("windows".to_owned(), json!(self.per_document));
        settings.insert("near_context".to_owned(), json!(self.original_context));
        let baseline = match self.config.against {
            GainBaseline::Window => "near_nats",
            GainBaseline::Other => "other_nats",
        };
        settings.insert("bos".to_owned(), json!(self.bos.name()));
        TaskInfo {
            name: NAME.to_owned(),
            version: 1,
            protocol: "mean loss of the tail, nats per token".to_owned(),
            settings,
            seed: if self.n_others() > 0 { self.seed } else { 0 },
            context: self.context,
            metrics: vec![
                Metric::number("context_gain", true),
                Metric::number(baseline, false),
                Metric::number("full_nats", false),
            ],
        }
    }

    fn n_trials(&self) -> usize {
        self.windows.len()
    }

    fn run(
        &self,
        trials: Range<usize>,
        model: &mut dyn LanguageModel,
        rope: &RopeSpec,
    ) -> Result<Vec<Trial>> {
        trials
            .map(|trial| {
                let window = &self.windows[trial];
                let pair = self.pair(trial);
                let baseline_rope = match self.config.against {
                    GainBaseline::Window => &self.near_rope,
                    GainBaseline::Other => rope,
                };
                let baseline = self.tail_nats(&pair.baseline, model, baseline_rope)?;
                let full = self.tail_nats(&pair.full, model, rope)?;
                let mut details = Map::new();
                details.insert("document".to_owned(), json!(window.doc_idx));
                details.insert("source".to_owned(), json!(*window.source));
                details.insert("window_start".to_owned(), json!(window.start));
                Ok(Trial {
                    trial,
                    scores: vec![baseline - full, baseline, full],
                    details,
                })
            })
            .collect()
    }
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;
