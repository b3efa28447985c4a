//! Whether the keys of an adaptation have a meaning, and whether a model can be adapted.

use longrope_model::{Decoder, ModelConfig};
use longrope_rope::RopeSpec;

use super::AdaptConfig;
use crate::error::{Error, Result};

impl AdaptConfig {
    /// Checks the keys for this model and a search for `target` tokens. Without steps, nothing else counts.
    ///
    /// # Errors
    /// [`Error::AdaptKey`] for the first key that is out of range or contradicts another one, [`Error::AdaptNothingFar`] if
    /// every layer has a sliding window.
    pub fn validate(
        &self,
        model: &ModelConfig,
        target: usize,
        sample_context: Option<usize>,
    ) -> Result<()> {
        if !self.is_on() {
            return Ok(());
        }
        if !model.rotates_far_tokens() {
            return Err(Error::AdaptNothingFar);
        }
        let window = self.window(model.rope.original_context);
        check(
            "search.adapt.window",
            window.to_string(),
            (2..target).contains(&window),
            &format!("at least 2 and below the target, {target}"),
        )?;
        at_least("search.adapt.pieces", self.pieces, 2)?;
        at_least("search.adapt.batch", self.batch, 1)?;
        at_least("search.adapt.accumulate", self.accumulate, 1)?;
        positive("search.adapt.learning-rate", self.learning_rate)?;
        at_least("search.adapt.rank", self.rank, 1)?;
        positive("search.adapt.alpha", self.alpha)?;
        self.check_shares()?;
        match sample_context {
            Some(found) => Err(Error::AdaptKey {
                key: "search.sample-context",
                found: found.to_string(),
                expected: "no such key with search.adapt, whose samples have search.adapt.window \
                    tokens at positions up to the target"
                    .to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// Checks the shares of the kinds of windows that the model is trained on.
    fn check_shares(&self) -> Result<()> {
        let shares = [
            self.data.text,
            self.data.short,
            self.data.passkey,
            self.data.recall,
            self.data.copying,
        ];
        let is_share = |share: &f64| share.is_finite() && *share >= 0.0;
        check(
            "search.adapt.data",
            format!("{shares:?}"),
            shares.iter().all(is_share) && shares.iter().any(|share| *share > 0.0),
            "shares of 0 or more, and at least one above 0",
        )
    }

    /// Checks that this model can be adapted to RoPEs like this one.
    ///
    /// # Errors
    /// If weights are streamed, or the RoPE groups positions.
    pub(in crate::search) fn check_model(
        &self,
        decoder: &Decoder,
        rope: &RopeSpec,
        target: usize,
    ) -> Result<()> {
        if !self.is_on() {
            return Ok(());
        }
        if decoder.is_streamed() {
            return Err(Error::AdaptStreamed);
        }
        if rope.resolve(target).self_extend().is_some() {
            return Err(Error::AdaptGrouped);
        }
        Ok(())
    }
}

/// Refuses the key unless what is expected of it holds.
fn check(key: &'static str, found: String, holds: bool, expected: &str) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::AdaptKey {
        key,
        found,
        expected: expected.to_owned(),
    })
}

fn at_least(key: &'static str, found: usize, least: usize) -> Result<()> {
    let expected = format!("at least {least}");
    check(key, found.to_string(), found >= least, &expected)
}

fn positive(key: &'static str, found: f64) -> Result<()> {
    let holds = found > 0.0 && found.is_finite();
    check(key, found.to_string(), holds, "a positive number")
}
