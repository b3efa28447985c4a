//! A short training of adapters, repeated on copies of a model that differ in their RoPE only.

use std::sync::Arc;

use burn::tensor::{DType, Tensor, TensorData};
use longrope_data::{Mixture, TokenDocument, Tokenizer};
use longrope_model::{Decoder, LoraConfig, ParameterKind};
use longrope_rope::RopeSpec;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::as_before::AsBefore;
use super::batches::Batching;
use super::config::TrainConfig;
use super::mixture::Sources;
use super::rotaries::{Rotaries, SkippingRun};
use super::trained_weights::TrainMode;
use crate::error::Result;
use crate::trainer::Trainer;

/// A short training of adapters at positions that skip ahead.
///
/// It is the same for every RoPE: new adapters from the same seed, the same windows at the same positions, the same
/// schedule.
#[derive(Clone, Debug)]
pub struct AdapterTraining {
    config: TrainConfig,
    lora: LoraConfig,
    /// At their beginning.
    windows: Mixture,
    /// Tokens of a window.
    window: usize,
    seed: u64,
    as_before: AsBefore,
}

/// The windows of an [`AdapterTraining`].
#[derive(Clone, Copy, Debug)]
pub struct AdapterWindows<'a> {
    /// The text.
    pub documents: &'a Arc<[TokenDocument]>,
    /// The tokenizer of the model, for generated documents.
    pub tokenizer: Option<&'a Tokenizer>,
    /// Token to put before every document; see [`document_bos`](longrope_data::document_bos).
    pub bos: Option<u32>,
    /// Tokens of a window.
    pub window: usize,
    /// Seed of adapters, windows and positions.
    pub seed: u64,
    /// What is done as the earlier version did that began the search.
    pub as_before: AsBefore,
}

/// The values of trained adapters, apart from any model and device.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapters(Vec<Vec<f32>>);

impl AdapterTraining {
    /// A training as `config` says, on these windows. Of `config`, all counts that a [`TrainPlan`](super::TrainPlan) uses in
    /// its steps; adapters are trained and positions skip whatever it says.
    ///
    /// # Errors
    /// If the settings are out of range, the model cannot be trained or lacks a module of the adapters, every layer has a
    /// sliding window, or windows cannot be made.
    pub fn new(
        decoder: &Decoder,
        config: TrainConfig,
        windows: AdapterWindows<'_>,
    ) -> Result<Self> {
        let AdapterWindows {
            documents,
            tokenizer,
            bos,
            window,
            seed,
            as_before,
        } = windows;
        if decoder.is_streamed() {
            return Err(longrope_model::Error::StreamedTraining.into());
        }
        let model = decoder.config();
        let config = TrainConfig {
            mode: TrainMode::Lora,
            ..config
        }
        .resolved(model);
        config.trainer().validate()?;
        let tokenizer = tokenizer.cloned().map(Arc::new);
        let load = tokenizer.map(|tokenizer| move || Ok(Arc::clone(&tokenizer)));
        let load = load.as_ref().map(|load| load as _);
        let sources = Sources {
            train: &config,
            documents,
            tokenizer: load,
            model,
            bos,
            as_before,
        };
        let windows = sources.mixture(window, seed)?;
        // A window that cannot be made is found here, not in the middle of a search.
        windows.clone().next_batch(config.batch)?;
        let training = Self {
            lora: config.adapters(model).unwrap_or_default(),
            config,
            windows,
            window,
            seed,
            as_before,
        };
        training.with_new_adapters(decoder)?;
        training.rotaries(decoder, &model.rope.plain())?;
        Ok(training)
    }

    /// Tokens that go through the model in the whole training.
    pub fn n_tokens(&self) -> usize {
        let windows = self.config.batch * self.config.accumulate;
        self.config.steps * windows * self.window
    }

    /// A copy of the model with adapters that were trained under this RoPE. The copy shares the other weights.
    ///
    /// # Errors
    /// [`NotFinite`](crate::Error::NotFinite) and [`NeverFinite`](crate::Error::NeverFinite) if losses or gradients are not finite, and those of
    /// [`Trainer::step`].
    pub fn train(&self, decoder: &Decoder, rope: &RopeSpec) -> Result<Decoder> {
        let batching = Batching {
            rotaries: self.rotaries(decoder, rope)?,
            distillation: None,
            batch: self.config.batch,
            accumulate: self.config.accumulate,
        };
        let mut trainer = Trainer::new(self.with_new_adapters(decoder)?, self.config.trainer())?;
        let mut windows = self.windows.clone();
        while !trainer.is_done() {
            let batches = batching.of_step(&mut windows, trainer.n_steps())?;
            trainer.step(&batches)?;
        }
        Ok(trainer.into_decoder())
    }

    /// A copy of the model with these adapters. The copy shares the other weights.
    ///
    /// # Errors
    /// If the adapters are of another model.
    pub fn with_adapters(&self, decoder: &Decoder, adapters: &Adapters) -> Result<Decoder> {
        let mut decoder = self.with_new_adapters(decoder)?;
        let mut values = adapters.0.iter();
        decoder.for_each_parameter(|mut parameter| {
            if parameter.kind == ParameterKind::Adapter
                && let Some(values) = values.next()
            {
                let values = TensorData::new(values.clone(), [values.len()]);
                let (device, dtype) = (parameter.device(), parameter.flat().dtype());
                parameter.set_flat(Tensor::from_data(values, (&device, dtype)));
            }
        });
        Ok(decoder)
    }

    fn with_new_adapters(&self, decoder: &Decoder) -> Result<Decoder> {
        let mut decoder = decoder.clone();
        decoder.add_adapters(&self.lora, &mut ChaCha8Rng::seed_from_u64(self.seed))?;
        Ok(decoder)
    }

    fn rotaries(&self, decoder: &Decoder, rope: &RopeSpec) -> Result<Rotaries> {
        let run = SkippingRun {
            window: self.window,
            longest: self.window,
            total_steps: self.config.steps,
            seed: self.seed,
        };
        let rotaries = Rotaries::skipped(decoder, rope, &self.config.skipped, run)?;
        Ok(if self.as_before.angles {
            rotaries.like_before()
        } else {
            rotaries
        })
    }
}

impl Adapters {
    /// The adapters of a model.
    pub fn of(decoder: &Decoder) -> Self {
        let mut values = Vec::new();
        decoder.clone().for_each_parameter(|parameter| {
            if parameter.kind == ParameterKind::Adapter {
                let data = parameter.flat().cast(DType::F32).into_data();
                values.push(data.iter::<f32>().collect());
            }
        });
        Self(values)
    }
}

#[cfg(test)]
#[path = "adapters_tests.rs"]
mod tests;
