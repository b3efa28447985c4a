//! An endless stream of synthetic documents.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::draft::Draft;
use super::filler::{Corpus, Filler};
use super::{copying, passkey, recall};
use crate::random::{below, generator, unit};
use crate::training_window::{RopeChoice, TrainingWindow};
use crate::window::check_context;
use crate::{Error, Result, TokenDocument, Tokenizer};

/// The kind of synthetic document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
#[non_exhaustive]
pub enum SyntheticKind {
    /// Random tokens and their repetitions. Only the repetitions have a loss weight.
    Copying {
        /// Tokens of the shortest sequence.
        min_length: usize,
        /// Tokens of the longest sequence.
        max_length: usize,
        /// Number of different tokens, including the digits.
        alphabet: usize,
    },
    /// The passkey test, [`NeedleParts::PASSKEY`](crate::needle::NeedleParts::PASSKEY).
    Passkey {},
    /// Facts and questions about them.
    Recall {
        /// Maximum number of facts in a document.
        most_facts: usize,
    },
}

impl SyntheticKind {
    /// Sequences of 8 to 60 tokens out of 64 different ones.
    pub const COPYING: Self = Self::Copying {
        min_length: 8,
        max_length: 60,
        alphabet: 64,
    };
    /// Documents of up to 8 facts.
    pub const RECALL: Self = Self::Recall { most_facts: 8 };
}

/// How synthetic documents are made.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntheticConfig {
    /// The kind of document.
    pub kind: SyntheticKind,
    /// Tokens of every window.
    pub window: usize,
    /// Tokens of the shortest document. If it is `None`, every window is one document.
    ///
    /// If it is set, a window holds several documents that do not attend to each other. Their lengths are log-uniform
    /// between this and the window: as many between n and 2n tokens as between 2n and 4n.
    pub shortest: Option<usize>,
    /// Seed of all random choices.
    pub seed: u64,
    /// Token at the beginning of every document.
    pub bos: Option<u32>,
    /// Token at the end of every document that is not cut off.
    pub eos: Option<u32>,
    /// The rotary embedding to train under.
    pub rope: RopeChoice,
    /// Loss weight of the tokens of an answer.
    pub answer_weight: f32,
    /// Share of documents with text of the corpus as filler instead of the standard sentences.
    pub corpus_share: f64,
    /// Whether that text keeps the `bos` and the `eos` of its documents in the middle of others, as it did in earlier versions.
    pub keeps_ends: bool,
}

impl SyntheticConfig {
    /// Documents of `window` tokens. Answers have a loss weight of 8, and half of the documents are filled with text of
    /// the corpus.
    pub fn new(kind: SyntheticKind, window: usize, seed: u64) -> Self {
        Self {
            kind,
            window,
            shortest: None,
            seed,
            bos: None,
            eos: None,
            rope: RopeChoice::Rescaled,
            answer_weight: 8.0,
            corpus_share: 0.5,
            keeps_ends: false,
        }
    }
}

/// Windows that are made in advance to find out whether documents fit.
const N_TRIED: u64 = 64;
/// How often a window is drawn at most, if its documents are too long for it.
const N_DRAWN: u64 = 64;
/// From the number of one draw of a window to that of the next: more than any stream counts to.
const DRAW: u64 = 1 << 56;

/// An endless stream of windows. Window `i` depends only on the configuration and `i`.
#[derive(Clone, Debug)]
pub struct SyntheticStream {
    config: SyntheticConfig,
    tokenizer: Arc<Tokenizer>,
    filler: Filler,
    /// Token ids to copy.
    alphabet: Vec<u32>,
    n_done: u64,
}

impl SyntheticStream {
    /// A stream at its beginning.
    ///
    /// # Errors
    /// - [`Error::ContextTooShort`] for windows below 2 tokens, [`Error::WindowTooShort`] where a document does not
    ///   fit.
    /// - [`Error::BadWeight`] for an answer weight or a share that is negative or not finite.
    /// - [`Error::ZeroCount`] for no facts, no tokens to copy, or no length.
    /// - [`Error::NoFiller`], [`Error::Encode`].
    pub fn new(
        config: SyntheticConfig,
        tokenizer: Arc<Tokenizer>,
        corpus: Arc<[TokenDocument]>,
    ) -> Result<Self> {
        check(&config)?;
        let special: Vec<u32> = [config.bos, config.eos].into_iter().flatten().collect();
        let alphabet = match config.kind {
            SyntheticKind::Copying { alphabet, .. } => {
                copying::alphabet(&tokenizer, &special, alphabet)
            }
            _ => Vec::new(),
        };
        let corpus = Corpus {
            documents: corpus,
            ends: if config.keeps_ends {
                (None, None)
            } else {
                (config.bos, config.eos)
            },
        };
        let stream = Self {
            filler: Filler::new(&tokenizer, corpus, config.corpus_share)?,
            alphabet,
            config,
            tokenizer,
            n_done: 0,
        };
        stream.try_some()?;
        Ok(stream)
    }

    /// Makes some windows. Lengths vary with the random choices. What does not fit should be known before a run begins, not
    /// in the middle of it.
    ///
    /// # Errors
    /// [`Error::WindowTooShort`] for the longest document that does not fit.
    fn try_some(&self) -> Result<()> {
        let (mut longest, mut result) = (0, Ok(()));
        for number in 0..N_TRIED {
            let window = self.numbered(number);
            match window {
                Err(Error::WindowTooShort { needed, .. }) if needed <= longest => {}
                Err(Error::WindowTooShort { needed, .. }) => {
                    (longest, result) = (needed, window.map(drop));
                }
                _ => drop(window?),
            }
        }
        result
    }

    /// The next window. If the names of its documents happen to be too long for it, others are drawn.
    ///
    /// # Errors
    /// [`Error::WindowTooShort`] if those are too long as well, [`Error::Encode`].
    pub fn next_window(&mut self) -> Result<TrainingWindow> {
        let mut drawn = self.numbered(self.n_done);
        for again in 1..N_DRAWN {
            if !matches!(drawn, Err(Error::WindowTooShort { .. })) {
                break;
            }
            drawn = self.numbered(self.n_done + again * DRAW);
        }
        let window = drawn?;
        self.n_done += 1;
        Ok(window)
    }

    /// Number of windows returned so far.
    pub fn cursor(&self) -> u64 {
        self.n_done
    }

    /// Continues after the first `n_done` windows.
    pub fn seek(&mut self, n_done: u64) {
        self.n_done = n_done;
    }

    /// Tokens of one window.
    pub fn window(&self) -> usize {
        self.config.window
    }

    /// The rotary embedding to train under.
    pub fn rope(&self) -> RopeChoice {
        self.config.rope
    }

    /// The window with this number.
    fn numbered(&self, number: u64) -> Result<TrainingWindow> {
        let config = &self.config;
        let mut rng: ChaCha8Rng = generator(config.seed, number);
        let mut draft = Draft::default();
        let Some(shortest) = config.shortest else {
            self.document(&mut draft, config.window, &mut rng)?;
            return Ok(draft.finish(vec![0], config.rope));
        };
        let mut starts = Vec::new();
        while draft.len() < config.window {
            let room = config.window - draft.len();
            let drawn = below_on_a_log_scale(shortest, config.window, &mut rng);
            let fits = drawn + shortest <= room;
            starts.push(draft.len());
            self.document(&mut draft, if fits { drawn } else { room }, &mut rng)?;
        }
        Ok(draft.finish(starts, config.rope))
    }

    /// Appends a document of `window` tokens, or a part of one and the beginning of the next.
    fn document(&self, draft: &mut Draft, window: usize, rng: &mut ChaCha8Rng) -> Result<()> {
        let config = &self.config;
        let mut own = Draft::default();
        own.push(config.bos.as_slice(), 1.0);
        let n_tokens = length(config.kind, window, rng) - usize::from(config.eos.is_some());
        let texts = (&*self.tokenizer, &self.filler);
        match config.kind {
            SyntheticKind::Copying {
                min_length,
                max_length,
                ..
            } => {
                let lengths = (min_length, max_length);
                copying::fill(&mut own, window, &self.alphabet, lengths, rng);
            }
            SyntheticKind::Passkey {} => {
                let weight = config.answer_weight;
                passkey::fill(&mut own, n_tokens, window, texts, weight, rng)?;
            }
            SyntheticKind::Recall { most_facts } => {
                let weight = config.answer_weight;
                recall::fill(&mut own, n_tokens, window, texts, most_facts, weight, rng)?;
            }
        }
        if own.len() < window {
            own.push(config.eos.as_slice(), 1.0);
        }
        if own.len() < window {
            // Another text begins.
            own.push(config.bos.as_slice(), 1.0);
            let kind = self.filler.draw_kind(rng);
            let n_left = window.saturating_sub(own.len());
            own.push(&self.filler.line(kind, n_left, rng), 1.0);
        }
        own.truncate(window);
        draft.append(&own);
        Ok(())
    }
}

/// Length of a document with questions: from three quarters of the window to a little more than the window.
///
/// If every answer ended with the window, a model would learn the position instead of the words: one of ours predicted
/// a full stop as the last of 256 tokens, whatever came before.
fn length(kind: SyntheticKind, window: usize, rng: &mut ChaCha8Rng) -> usize {
    /// At most an answer and its full stop are cut off.
    const MOST_CUT: usize = 6;
    if matches!(kind, SyntheticKind::Copying { .. }) {
        return window;
    }
    let shortest = window - window / 4;
    shortest + below(window / 4 + MOST_CUT + 1, rng)
}

/// A log-uniform number from `least` to `most`.
fn below_on_a_log_scale(least: usize, most: usize, rng: &mut ChaCha8Rng) -> usize {
    let (low, high) = ((least as f64).ln(), (most as f64).ln());
    let drawn = (low + unit(rng) * (high - low)).exp();
    // Of numbers this small nothing is lost.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a window's length"
    )]
    (drawn.round() as usize).clamp(least, most)
}

fn check(config: &SyntheticConfig) -> Result<()> {
    check_context(config.window)?;
    let shortest = config.shortest.unwrap_or(config.window);
    check_context(shortest)?;
    if shortest > config.window {
        return Err(Error::WindowTooShort {
            document: "shortest",
            found: config.window,
            needed: shortest,
        });
    }
    for (name, found) in [
        ("answer weight", f64::from(config.answer_weight)),
        ("share of the corpus", config.corpus_share),
    ] {
        if !found.is_finite() || found < 0.0 {
            return Err(Error::BadWeight {
                name,
                found,
                expected: "a positive number",
            });
        }
    }
    let counts: &[(&'static str, usize)] = match &config.kind {
        SyntheticKind::Copying {
            min_length,
            alphabet,
            max_length,
        } => {
            if max_length < min_length || shortest < 2 * min_length + 1 {
                return Err(Error::WindowTooShort {
                    document: "copying",
                    found: shortest.min(*max_length),
                    needed: 2 * min_length + 1,
                });
            }
            &[("min-length", *min_length), ("alphabet", *alphabet)]
        }
        SyntheticKind::Passkey {} => &[],
        SyntheticKind::Recall { most_facts } => &[("most-facts", *most_facts)],
    };
    match counts.iter().find(|(_, count)| *count == 0) {
        Some((name, _)) => Err(Error::ZeroCount { name }),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
