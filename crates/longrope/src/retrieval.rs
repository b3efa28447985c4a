//! How well a RoPE lets a model find what is hidden.

use anyhow::Result;
use longrope_eval::Scorer;
use longrope_model::{Decoder, KvCache, Sampling};
use longrope_rope::RopeSpec;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::calibration::{Calibration, CalibrationSample};
use crate::interrupt::{Interrupt, Interrupted};
use crate::needles::NeedleText;

/// A RoPE and how it does on the samples of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct MethodLoss {
    pub(crate) method: String,
    /// Mean loss on text, nats per token.
    pub(crate) nll_nats: f64,
    /// Mean loss on the answers of needle texts, nats per token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answer_nats: Option<f64>,
    /// Share of passkeys of which every token is the most likely one after those before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) passkey_accuracy: Option<f64>,
}

/// Measures all that a calibration can tell of a RoPE.
pub(crate) fn measure(
    method: &str,
    decoder: &Decoder,
    spec: &RopeSpec,
    calibration: &Calibration,
    interrupt: &Interrupt,
) -> Result<MethodLoss> {
    let mut scorer = Scorer::new(decoder);
    let mut mean = |samples: &[CalibrationSample]| -> Result<Option<f64>> {
        let mut sum = 0.0;
        for sample in samples {
            if interrupt.requested() {
                return Err(Interrupted.into());
            }
            sum += sample.losses(&mut scorer, spec)?.mean();
        }
        Ok((!samples.is_empty()).then(|| sum / samples.len() as f64))
    };
    let nll_nats = mean(&calibration.text)?.unwrap_or(f64::NAN);
    let answer_nats = mean(&calibration.needles)?;
    Ok(MethodLoss {
        method: method.to_owned(),
        nll_nats,
        answer_nats,
        passkey_accuracy: accuracy(decoder, spec, &calibration.passkeys, interrupt)?,
    })
}

/// Share of texts whose answer the model would have given; none of no texts.
fn accuracy(
    decoder: &Decoder,
    spec: &RopeSpec,
    texts: &[NeedleText],
    interrupt: &Interrupt,
) -> Result<Option<f64>> {
    let mut n_found = 0;
    for text in texts {
        if interrupt.requested() {
            return Err(Interrupted.into());
        }
        n_found += usize::from(finds(decoder, spec, text)?);
    }
    Ok((!texts.is_empty()).then(|| n_found as f64 / texts.len() as f64))
}

/// Whether every token of the answer is the most likely one after those before it, which is to say that greedy
/// generation gives the answer.
fn finds(decoder: &Decoder, spec: &RopeSpec, text: &NeedleText) -> Result<bool> {
    let rope = spec.resolve(text.tokens.len());
    let mut cache = KvCache::new(decoder, &rope, text.tokens.len());
    let mut rng = ChaCha8Rng::seed_from_u64(0); // the most likely token is not drawn
    let mut next = 0;
    for answer in text.answer_from..text.tokens.len() {
        let logits = decoder.next_logits(&text.tokens[next..answer], &mut cache)?;
        if Sampling::Greedy.choose(&logits, &mut rng) != text.tokens[answer] {
            return Ok(false);
        }
        next = answer;
    }
    Ok(true)
}
