//! Training windows in the shares of a configuration, and batches made of them.

use std::sync::Arc;

use longrope_data::{
    Goal, Grouping, Mixture, MixturePart, PackedStream, PackingConfig, RopeChoice, SyntheticConfig,
    SyntheticKind, SyntheticStream, TokenDocument, Tokenizer, TrainingWindow, WindowSource,
    skipped_positions,
};
use longrope_kernels::Documents;
use longrope_model::{Decoder, ModelConfig, Rotary, RotaryMaker, TrainingBatch};
use longrope_rope::{ResolvedRope, RopeSpec};

use super::config::{TrainConfig, TrainDataConfig};
use super::distill::Distillation;
use super::positions::{LongWindows, SkippedPositions};
use crate::error::{Error, Result};
use crate::micro_batch::MicroBatch;

/// The angles of windows, under both RoPEs that they may be trained under.
#[derive(Clone, Debug)]
pub struct Rotaries {
    /// Angles under the RoPE that the model has within its original context.
    original: Rotary,
    /// The RoPE that is trained, for each target of the positions.
    rescaled: Vec<Rescaled>,
    /// The same RoPE for texts within the original context.
    short: Option<Rotary>,
    skipping: Option<Skipping>,
}

/// The RoPE that is trained, as it is for texts of one length.
#[derive(Clone, Debug)]
struct Rescaled {
    target: usize,
    resolved: ResolvedRope,
    /// Its angles at the positions of windows that skip nothing.
    whole: Rotary,
}

/// What it takes to make angles at positions that skip.
#[derive(Clone, Debug)]
struct Skipping {
    settings: SkippedPositions,
    /// Tokens of the windows that skip; all positions of longer ones are real.
    window: usize,
    maker: RotaryMaker,
    seed: u64,
    total_steps: usize,
}

/// The place of a batch in the training: what its random positions depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchPlace {
    /// Steps before.
    pub(super) step: usize,
    /// Windows of all batches before.
    pub(super) n_windows: u64,
}

impl Rotaries {
    /// Resolves both RoPEs for windows of up to `context` tokens, all of whose positions are real. The original RoPE is the one
    /// that the model has for texts within its original context.
    pub fn new(decoder: &Decoder, rescaled: &RopeSpec, context: usize) -> Self {
        let maker = decoder.rotaries();
        Self {
            original: within_original(&maker, decoder, context),
            rescaled: vec![Rescaled::new(&maker, rescaled, context, context)],
            short: None,
            skipping: None,
        }
    }

    /// Resolves both RoPEs for windows of `window` tokens whose positions skip ahead, and of up to `longest` tokens whose
    /// positions do not, for a run of `total_steps` steps with this seed.
    ///
    /// The RoPE is that of a text of the target length, also for windows that skip nothing.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings without a meaning, [`Error::NothingFar`] if every layer that rotates has a
    /// sliding window.
    pub fn skipped(
        decoder: &Decoder,
        rescaled: &RopeSpec,
        (window, longest): (usize, usize),
        settings: &SkippedPositions,
        (seed, total_steps): (u64, usize),
    ) -> Result<Self> {
        let checked = settings.validate(window);
        checked.map_err(|error| error.within("skipped"))?;
        if !decoder.config().rotates_far_tokens() {
            return Err(Error::NothingFar);
        }
        let maker = decoder.rotaries();
        let mut targets = settings.targets.clone();
        targets.dedup();
        let rescaled = targets
            .into_iter()
            .map(|target| Rescaled::new(&maker, rescaled, target, longest))
            .collect();
        Ok(Self {
            original: within_original(&maker, decoder, longest),
            rescaled,
            short: None,
            skipping: Some(Skipping {
                settings: settings.clone(),
                window,
                maker,
                seed,
                total_steps,
            }),
        })
    }

    /// Also resolves the RoPE that is trained for texts within the original context, in windows of up to `context` tokens:
    /// for windows that are compared with the original model.
    #[must_use]
    pub fn with_short(
        self,
        decoder: &Decoder,
        (rescaled, original): (&RopeSpec, usize),
        context: usize,
    ) -> Self {
        let short = decoder.rotary(&rescaled.resolve(original), context);
        Self {
            short: Some(short),
            ..self
        }
    }

    /// The angles of the original RoPE.
    pub fn original(&self) -> &Rotary {
        &self.original
    }

    /// The angles of the windows of a batch, which have the same length, RoPE and goal.
    fn of(&self, windows: &[TrainingWindow], place: BatchPlace) -> Rotary {
        let first = windows.first();
        if first.is_some_and(|window| window.rope == RopeChoice::Original) {
            return self.original.clone();
        }
        let goal = first.map_or(Goal::Text, |window| window.goal);
        if let (Goal::ShortStates, Some(short)) = (goal, &self.short) {
            return short.clone();
        }
        let Some(skipping) = &self.skipping else {
            return self.rescaled[0].whole.clone();
        };
        let mut skips = skipping.settings.of_step(place.step, skipping.total_steps);
        if goal == Goal::FarStates {
            skips.share = 1.0;
        }
        let at_target = |rescaled: &&Rescaled| rescaled.target == skips.target;
        let rescaled = self.rescaled.iter().find(at_target);
        let rescaled = rescaled.unwrap_or(&self.rescaled[0]);
        let numbered = (place.n_windows..).zip(windows);
        let positions: Vec<Option<Vec<usize>>> = numbered
            .map(|(number, window)| {
                let is_long = window.tokens.len() > skipping.window;
                let skipped = || skipped_positions(window, skips, (skipping.seed, number));
                if is_long { None } else { skipped() }
            })
            .collect();
        if positions.iter().all(Option::is_none) {
            return rescaled.whole.clone();
        }
        let n_tokens = windows[0].tokens.len();
        let positions = positions
            .into_iter()
            .map(|positions| positions.unwrap_or_else(|| (0..n_tokens).collect()))
            .collect();
        skipping.maker.at(&rescaled.resolved, positions)
    }
}

/// The angles of windows of up to `context` tokens whose texts are within the original context of the model.
fn within_original(maker: &RotaryMaker, decoder: &Decoder, context: usize) -> Rotary {
    let rope = &decoder.config().rope;
    let text = rope.original_context.min(context);
    maker.whole(&rope.resolve(text), context)
}

impl Rescaled {
    /// The RoPE of texts of `target` tokens, with the angles of windows of up to `context` tokens.
    fn new(maker: &RotaryMaker, rope: &RopeSpec, target: usize, context: usize) -> Self {
        let resolved = rope.resolve(target);
        Self {
            target,
            whole: maker.whole(&resolved, context),
            resolved,
        }
    }
}

/// Makes the source of a part's windows.
type MakeSource<'a> = &'a dyn Fn() -> Result<WindowSource>;

/// Loads the tokenizer of generated documents.
pub(super) type LoadTokenizer<'a> = &'a dyn Fn() -> longrope_data::Result<Arc<Tokenizer>>;

/// The windows of `config`, `context` tokens each, and longer ones in their share. Generated documents need the tokenizer.
///
/// # Errors
/// [`Error::NothingToTrainOn`] if all shares are 0, [`Error::Windows`] if a part cannot be made into windows,
/// [`Error::NoTokenizer`] for generated documents without a tokenizer.
pub(super) fn mixture(
    train: &TrainConfig,
    documents: &Arc<[TokenDocument]>,
    tokenizer: Option<LoadTokenizer<'_>>,
    model: &ModelConfig,
    context: usize,
    seed: u64,
) -> Result<Mixture> {
    let (config, long, distill) = (&train.data, train.long, &train.distill);
    let (bos, eos) = (model.bos_token, model.eos_tokens.first().copied());
    let packed = |packing: PackingConfig| {
        let packing = PackingConfig {
            bos,
            eos,
            overflow: config.overflow,
            length_weights: config.length_weights.clone(),
            ..packing
        };
        let stream = PackedStream::new(Arc::clone(documents), packing)?;
        Ok(WindowSource::Packed(stream))
    };
    let generated = |kind: SyntheticKind, length: &Length, seed: u64| {
        let generated = SyntheticConfig {
            bos,
            eos,
            shortest: length.shortest,
            answer_weight: config.answer_weight,
            corpus_share: if documents.is_empty() { 0.0 } else { 0.5 },
            ..SyntheticConfig::new(kind, length.window, seed)
        };
        let load = tokenizer.ok_or(Error::NoTokenizer)?;
        let stream = SyntheticStream::new(generated, load()?, Arc::clone(documents))?;
        Ok(WindowSource::Synthetic(stream))
    };
    let original = model.rope.original_context.min(context);
    let mut parts = Vec::new();
    let mut add = |part: &'static str, share: f64, source: MakeSource<'_>| -> Result<()> {
        if share > 0.0 {
            let source = source().map_err(|error| match error {
                Error::Data(source) => Error::Windows { part, source },
                other => other,
            })?;
            parts.push(MixturePart {
                name: part.to_owned(),
                share,
                source,
            });
        }
        Ok(())
    };
    for (part, share, goal, seed) in [
        (
            "short states",
            distill.short,
            Goal::ShortStates,
            seed.wrapping_add(11),
        ),
        (
            "far states",
            distill.far,
            Goal::FarStates,
            seed.wrapping_add(12),
        ),
    ] {
        add(part, share, &|| {
            packed(PackingConfig::compared(context, original, goal, seed))
        })?;
    }
    for length in Length::all(config, context, long, seed) {
        let [text, passkey, recall, copying] = length.parts;
        let (scale, seed) = (length.share, length.seed);
        add(text, scale * config.text, &|| {
            packed(PackingConfig::new(length.window, seed))
        })?;
        if length.window == context {
            let seed = seed.wrapping_add(1);
            add("short", config.short, &|| {
                packed(PackingConfig::short(context, original, seed))
            })?;
        }
        add(passkey, scale * config.passkey, &|| {
            generated(SyntheticKind::Passkey {}, &length, seed.wrapping_add(2))
        })?;
        add(recall, scale * config.recall, &|| {
            generated(SyntheticKind::RECALL, &length, seed.wrapping_add(3))
        })?;
        add(copying, scale * config.copying, &|| {
            generated(SyntheticKind::COPYING, &length, seed.wrapping_add(4))
        })?;
    }
    if parts.is_empty() {
        return Err(Error::NothingToTrainOn);
    }
    // Windows under different RoPEs, of different lengths or with different goals cannot share a batch.
    let grouping = if config.short > 0.0 || long.is_some() || distill.is_on() {
        Grouping::Batch
    } else {
        Grouping::Window
    };
    Ok(Mixture::new(parts, grouping)?)
}

/// A length of windows, and what is particular to it.
struct Length {
    /// Tokens of a window.
    window: usize,
    /// Tokens of the shortest generated document.
    shortest: Option<usize>,
    /// The part of all shares that these windows have.
    share: f64,
    /// Names of text, passkeys, recall and copying in these windows.
    parts: [&'static str; 4],
    seed: u64,
}

impl Length {
    /// Windows of `context` tokens, and the longer ones, which hold the documents that others are too short for.
    fn all(
        config: &TrainDataConfig,
        context: usize,
        long: Option<LongWindows>,
        seed: u64,
    ) -> Vec<Self> {
        let normal = Self {
            window: context,
            shortest: config.shortest_document,
            share: 1.0 - long.map_or(0.0, |long| long.share),
            parts: ["text", "passkey", "recall", "copying"],
            seed,
        };
        let long = long.map(|long| Self {
            window: long.context,
            shortest: config.shortest_document.map(|_| context),
            share: long.share,
            parts: ["long text", "long passkey", "long recall", "long copying"],
            seed: seed.wrapping_add(5),
        });
        std::iter::once(normal).chain(long).collect()
    }
}

/// Makes a batch of windows that have the same length and RoPE.
///
/// Attention stays inside the documents of windows that are `confined`.
pub(super) fn micro_batch(
    windows: Vec<TrainingWindow>,
    rotaries: &Rotaries,
    distillation: Option<&Distillation>,
    place: BatchPlace,
) -> MicroBatch {
    let rotary = rotaries.of(&windows, place);
    let goal = windows.first().map_or(Goal::Text, |window| window.goal);
    let teacher = distillation.and_then(|distillation| distillation.teacher(goal));
    let confined = windows.iter().any(|window| window.confined);
    let documents = confined.then(|| {
        let lengths: Vec<Vec<usize>> = windows
            .iter()
            .map(|window| {
                if window.confined {
                    window.document_lengths()
                } else {
                    vec![window.tokens.len()]
                }
            })
            .collect();
        Documents::from_lengths(&lengths)
    });
    let loss_weights = windows.iter().map(TrainingWindow::token_weights).collect();
    MicroBatch {
        batch: TrainingBatch {
            tokens: windows.into_iter().map(|window| window.tokens).collect(),
            loss_weights,
            documents,
        },
        rotary,
        teacher,
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use longrope_model::{DecoderConfig, Recompute, Trained};

    use super::*;
    use longrope_rope::RopeScaling;

    fn window(rope: RopeChoice, confined: bool) -> TrainingWindow {
        TrainingWindow {
            tokens: vec![3, 4, 5, 6],
            document_starts: vec![0, 3],
            confined,
            together: Vec::new(),
            rope,
            goal: Goal::Text,
            loss_weights: None,
        }
    }

    /// Tables of different sizes, to tell them apart.
    fn rotaries() -> Rotaries {
        let spec = RopeSpec::new(4, 10_000.0, 16, RopeScaling::None {}).unwrap();
        let decoder = DecoderConfig::new(8, 4, 1, 1).init(&Device::flex());
        let maker = decoder.rotaries();
        Rotaries {
            original: decoder.rotary(&spec.resolve(16), 4),
            rescaled: vec![Rescaled::new(&maker, &spec, 16, 8)],
            short: Some(decoder.rotary(&spec.resolve(16), 6)),
            skipping: None,
        }
    }

    const FIRST: BatchPlace = BatchPlace {
        step: 0,
        n_windows: 0,
    };

    #[test]
    fn a_batch_is_rotated_as_its_windows_say() {
        let n_positions = |rope: RopeChoice| {
            let batch = micro_batch(vec![window(rope, false)], &rotaries(), None, FIRST);
            batch.rotary.n_positions()
        };
        assert_eq!(n_positions(RopeChoice::Rescaled), 8);
        assert_eq!(n_positions(RopeChoice::Original), 4);
    }

    #[test]
    fn positions_skip_in_the_windows_that_are_to_skip() {
        let spec = RopeSpec::new(4, 10_000.0, 16, RopeScaling::None {}).unwrap();
        let decoder = DecoderConfig::new(8, 4, 1, 1).init(&Device::flex());
        let settings = SkippedPositions {
            targets: vec![64, 512],
            ..SkippedPositions::default()
        };
        let rotaries = |settings: &SkippedPositions| {
            Rotaries::skipped(&decoder, &spec, (4, 8), settings, (1, 10))
        };
        let skipping = rotaries(&settings).unwrap();
        // The loss tells which angles were used.
        let of = |window: TrainingWindow, place| {
            let MicroBatch { batch, rotary, .. } =
                micro_batch(vec![window], &skipping, None, place);
            let result = decoder.loss_gradients(&batch, &rotary, Trained::All, Recompute::Layers);
            result.unwrap().loss.to_bits()
        };
        let rescaled = || window(RopeChoice::Rescaled, false);
        let original = || window(RopeChoice::Original, false);
        let later = BatchPlace {
            step: 9,
            n_windows: 9,
        };
        assert_eq!(of(rescaled(), FIRST), of(rescaled(), FIRST), "repeatable");
        assert_ne!(of(rescaled(), FIRST), of(rescaled(), later));
        assert_eq!(of(original(), FIRST), of(original(), later));
        let long = TrainingWindow {
            tokens: vec![3; 8],
            ..rescaled()
        };
        assert_eq!(of(long.clone(), FIRST), of(long, later), "real positions");
        let too_short = SkippedPositions {
            targets: vec![4],
            ..settings
        };
        assert!(matches!(rotaries(&too_short), Err(Error::Setting { .. })));
    }

    #[test]
    fn attention_stays_inside_the_documents_of_confined_windows() {
        let open = window(RopeChoice::Rescaled, false);
        let confined = window(RopeChoice::Rescaled, true);
        let batch = micro_batch(vec![open.clone()], &rotaries(), None, FIRST).batch;
        assert!(batch.documents.is_none());
        assert_eq!(batch.loss_weights, [[0.0, 1.0, 1.0, 1.0]]);
        let batch = micro_batch(vec![open, confined], &rotaries(), None, FIRST).batch;
        let lengths = [vec![4], vec![3, 1]];
        assert_eq!(batch.documents, Some(Documents::from_lengths(&lengths)));
        assert_eq!(batch.loss_weights[1], [0.0, 1.0, 1.0, 0.0]);
    }
}
