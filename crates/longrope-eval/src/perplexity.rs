//! Perplexity of windows.

use longrope_data::TokenWindow;
use longrope_model::{Decoder, check_losses};
use longrope_rope::{AnglePrecision, ResolvedRope, RopeSpec};

use crate::error::{Error, Result};
use crate::language_model::{LanguageModel, Scorer};
use crate::loss_sums::Perplexity;

/// Tokens of a batch. Short windows share one.
const BATCH_TOKENS: usize = 2048;

/// One window and the losses of its scored tokens.
#[derive(Clone, Debug)]
pub struct ScoredWindow<'a> {
    /// The window.
    pub window: &'a TokenWindow,
    /// Its index in the run.
    pub window_idx: usize,
    /// Nats of the tokens from `window.score_from` on.
    pub losses: Vec<f32>,
}

/// Windows of one length that are scored together.
#[derive(Clone, Debug)]
pub struct WindowBatch {
    /// The tokens of each window.
    pub sequences: Vec<Vec<u32>>,
    /// The first scored position.
    pub score_from: usize,
    /// The RoPE of these windows.
    pub rope: ResolvedRope,
    /// Index of the first window in the run.
    first: usize,
}

impl WindowBatch {
    /// Tokens of one window.
    fn context(&self) -> usize {
        self.sequences.first().map_or(0, Vec::len)
    }

    /// Tokens of all windows of the batch.
    pub fn n_tokens(&self) -> usize {
        self.sequences.iter().map(Vec::len).sum()
    }
}

/// A perplexity measurement in progress.
///
/// [`step`](Self::step) prepares and scores one batch after another. To score batches on several
/// devices, [`next_batch`](Self::next_batch) prepares them and [`record`](Self::record) takes their
/// losses. If they are recorded in the order in which they were prepared, the sums are those of
/// `step`, bit for bit.
#[derive(Debug)]
pub struct PerplexityRun<'a> {
    windows: &'a [TokenWindow],
    rope: &'a RopeSpec,
    precision: AnglePrecision,
    next: usize,
    sum: Perplexity,
}

impl<'a> PerplexityRun<'a> {
    /// Measures `windows` under `rope`, with the frequencies of every window resolved from its length.
    pub fn new(windows: &'a [TokenWindow], rope: &'a RopeSpec) -> Self {
        let precision = AnglePrecision::default();
        Self {
            windows,
            rope,
            precision,
            next: 0,
            sum: Perplexity::default(),
        }
    }

    /// Computes angles in another precision than `f64`, for comparison with programs that do.
    #[must_use]
    pub fn with_precision(self, precision: AnglePrecision) -> Self {
        Self { precision, ..self }
    }

    /// Scores the next windows. The result is empty when no windows are left.
    ///
    /// # Errors
    /// If the model cannot score them, or a loss is not finite.
    pub fn step(&mut self, model: &mut impl LanguageModel) -> Result<Vec<ScoredWindow<'a>>> {
        let Some(batch) = self.next_batch() else {
            return Ok(Vec::new());
        };
        let sequences: Vec<&[u32]> = batch.sequences.iter().map(Vec::as_slice).collect();
        let losses = model.token_nll(&sequences, batch.score_from, &batch.rope)?;
        self.record(&batch, losses)
    }

    /// Prepares the next windows that can be scored together; `None` when no windows are left.
    pub fn next_batch(&mut self) -> Option<WindowBatch> {
        let first = self.windows.get(self.next)?;
        let most = (BATCH_TOKENS / first.n_tokens()).max(1);
        let sequences: Vec<Vec<u32>> = self.windows[self.next..]
            .iter()
            .take(most)
            .take_while(|w| w.n_tokens() == first.n_tokens() && w.score_from == first.score_from)
            .map(TokenWindow::tokens)
            .collect();
        let batch = WindowBatch {
            score_from: first.score_from,
            rope: self.rope.resolve_with(first.n_tokens(), self.precision),
            first: self.next,
            sequences,
        };
        self.next += batch.sequences.len();
        Some(batch)
    }

    /// Adds the losses of a batch, one list per window.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if a loss is NaN or infinite; the batch is then not added.
    pub fn record(
        &mut self,
        batch: &WindowBatch,
        losses: Vec<Vec<f32>>,
    ) -> Result<Vec<ScoredWindow<'a>>> {
        for (window, losses) in (batch.first..).zip(&losses) {
            check_losses(std::slice::from_ref(losses), batch.score_from).map_err(|source| {
                let what = format!("window {window} of {} tokens", batch.context());
                Error::not_finite(what, source)
            })?;
        }
        let windows = self.windows;
        let scored = (batch.first..).zip(losses).map(|(window_idx, losses)| {
            self.sum.add(&losses);
            ScoredWindow {
                window: &windows[window_idx],
                window_idx,
                losses,
            }
        });
        Ok(scored.collect())
    }

    /// The sums over the windows so far.
    pub fn sum(&self) -> Perplexity {
        self.sum
    }

    /// Windows prepared so far, and windows in total.
    pub fn progress(&self) -> (usize, usize) {
        (self.next, self.windows.len())
    }
}

/// Measures the perplexity of `model` on `windows` under `rope`, in one call.
///
/// For progress, interruption or the losses of single tokens, step a [`PerplexityRun`].
///
/// ```no_run
/// use std::path::Path;
///
/// use burn::tensor::Device;
/// use longrope_data::{Bos, ReadOptions, Tokenizer, WindowProtocol, plan_windows, read_documents, tokenize};
/// use longrope_eval::perplexity;
/// use longrope_model::Decoder;
///
/// let folder = Path::new("model");
/// let tokenizer = Tokenizer::from_model_dir(folder)?;
/// let documents = tokenize(&tokenizer, read_documents(&["book.txt"], &ReadOptions::default())?)?;
/// let windows = plan_windows(&documents, 8192, WindowProtocol::spread(8), Bos::Document)?;
///
/// let model = Decoder::load(folder, Device::flex())?;
/// let spec = &model.config().rope;
/// println!("{:.2}", perplexity(&model, &windows, spec)?.ppl());
/// # Ok::<(), longrope_eval::Error>(())
/// ```
///
/// # Errors
/// If the model cannot score a window.
pub fn perplexity(model: &Decoder, windows: &[TokenWindow], rope: &RopeSpec) -> Result<Perplexity> {
    let mut scorer = Scorer::new(model);
    let mut run = PerplexityRun::new(windows, rope);
    while !run.step(&mut scorer)?.is_empty() {}
    Ok(run.sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use longrope_data::{Bos, TokenDocument, WindowProtocol, plan_windows};
    use longrope_model::GenerateOptions;
    use longrope_rope::RopeScaling;

    /// Says that token `t` costs `t` nats, and remembers the sizes of its batches.
    struct Fake {
        batches: Vec<usize>,
    }

    impl LanguageModel for Fake {
        fn token_nll(
            &mut self,
            sequences: &[&[u32]],
            score_from: usize,
            _: &ResolvedRope,
        ) -> Result<Vec<Vec<f32>>> {
            self.batches.push(sequences.len());
            let cost = |id: &u32| u16::try_from(*id).map_or(f32::NAN, f32::from);
            Ok(sequences
                .iter()
                .map(|s| s[score_from..].iter().map(cost).collect())
                .collect())
        }

        fn greedy_tokens(
            &mut self,
            _: &[&[u32]],
            _: usize,
            _: &ResolvedRope,
        ) -> Result<Vec<Vec<u32>>> {
            Ok(Vec::new())
        }

        fn generate(
            &mut self,
            _: &[&[u32]],
            _: &GenerateOptions,
            _: &RopeSpec,
        ) -> Result<Vec<Vec<u32>>> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn losses_that_are_not_finite_are_errors_and_perplexities_are_finite() {
        let documents = [TokenDocument {
            source: "a".into(),
            // The fake model cannot count beyond 65,535.
            tokens: (65_500..65_550).collect(),
        }];
        let protocol = WindowProtocol::Sliding { stride: 16 };
        let windows = plan_windows(&documents, 16, protocol, Bos::Document).unwrap();
        let rope = RopeSpec::new(8, 1e4, 16, RopeScaling::None {}).unwrap();
        let mut run = PerplexityRun::new(&windows, &rope);
        let mut model = Fake {
            batches: Vec::new(),
        };
        let error = loop {
            match run.step(&mut model) {
                Ok(scored) => assert!(!scored.is_empty(), "no error"),
                Err(error) => break error,
            }
        };
        let Error::NotFinite { what, source } = error else {
            panic!("{error}")
        };
        assert_eq!(what, "window 2 of 16 tokens");
        let expected = "the loss at position 6 is NaN, expected a finite number";
        assert_eq!(source.to_string(), expected);

        let mut sum = Perplexity::default();
        sum.add(&[60_000.0]);
        assert!(sum.ppl().is_finite() && sum.ppl_window_mean().is_finite());
    }

    #[test]
    fn every_window_is_scored_once_in_batches_of_equal_length() {
        let tokens: Vec<u32> = (0..50).collect();
        let documents = [TokenDocument {
            source: "a".into(),
            tokens,
        }];
        let protocol = WindowProtocol::Sliding { stride: 4 };
        let windows = plan_windows(&documents, 16, protocol, Bos::Document).unwrap();
        let rope = RopeSpec::new(8, 1e4, 16, RopeScaling::None {}).unwrap();
        let mut run = PerplexityRun::new(&windows, &rope);
        let mut model = Fake {
            batches: Vec::new(),
        };
        let mut positions = Vec::new();
        loop {
            let scored = run.step(&mut model).unwrap();
            if scored.is_empty() {
                break;
            }
            for window in scored {
                let start = window.window.start + window.window.score_from;
                positions.extend(start..start + window.losses.len());
            }
        }
        assert_eq!(positions, (1..50).collect::<Vec<_>>());
        assert_eq!(run.sum().n_tokens, 49);
        assert!((run.sum().total_nats - f64::from((1..50).sum::<u32>())).abs() < 1e-9);
        assert_eq!(model.batches.iter().sum::<usize>(), windows.len());

        let mut apart = PerplexityRun::new(&windows, &rope);
        let batches: Vec<WindowBatch> = std::iter::from_fn(|| apart.next_batch()).collect();
        let score = |model: &mut Fake, batch: &WindowBatch| {
            let sequences: Vec<&[u32]> = batch.sequences.iter().map(Vec::as_slice).collect();
            let losses = model.token_nll(&sequences, batch.score_from, &batch.rope);
            losses.expect("it scores anything")
        };
        let mut losses: Vec<_> = batches
            .iter()
            .rev()
            .map(|batch| score(&mut model, batch))
            .collect();
        losses.reverse();
        for (batch, losses) in batches.iter().zip(losses) {
            apart.record(batch, losses).unwrap();
        }
        assert_eq!(apart.sum(), run.sum());
        model.batches.truncate(model.batches.len() / 2);
        assert!(model.batches.len() < windows.len(), "{:?}", model.batches);
    }
}
