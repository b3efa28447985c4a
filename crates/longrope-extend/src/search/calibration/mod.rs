//! What candidates are scored on: text, hidden needles, or both.

pub(super) mod sample;
pub(super) mod shape;

use std::sync::Arc;

use longrope_data::{Skips, TokenDocument, Tokenizer, select_samples, text_fingerprint};
use longrope_eval::{NeedleTextConfig, needle_texts};

use crate::error::{Error, Result};
use crate::scoring::Adaptation;
use crate::search::methods::loss::MethodLoss;
use crate::search::objective::kind::ObjectiveKind;

use sample::CalibrationSample;
use shape::SampleShape;

/// How samples are chosen and made.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibrationOptions {
    /// Samples of text.
    pub samples: usize,
    /// What is minimized.
    pub objective: ObjectiveKind,
    /// Weight of the needles in a combined objective, 0 to 1.
    pub needle_weight: f64,
    /// How needles are hidden, if they are scored.
    pub needles: NeedleTextConfig,
    /// Passkey trials of the winner and of the methods.
    pub passkey_trials: usize,
    /// Seed of all random choices.
    pub seed: u64,
}

impl Default for CalibrationOptions {
    /// Five samples of text, as in the paper (arXiv 2402.13753, section 4.1), and ten passkeys.
    fn default() -> Self {
        Self {
            samples: 5,
            objective: ObjectiveKind::Perplexity,
            needle_weight: 0.5,
            needles: NeedleTextConfig::default(),
            passkey_trials: 10,
            seed: 42,
        }
    }
}

/// All samples of a search.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// Samples that candidates are scored on. A score is the mean of their losses.
    pub samples: Vec<CalibrationSample>,
    /// Stretches of text, for the perplexity of the result.
    pub text: Vec<CalibrationSample>,
    /// Texts with a needle, for the perplexity of their answers.
    pub needles: Vec<CalibrationSample>,
    /// Texts with a passkey, for the share that is found.
    pub passkeys: Vec<CalibrationSample>,
    /// Share of the needles in a score, 0 to 1.
    pub needle_share: f64,
    /// How the model is adapted to each RoPE before it is measured; `None` to measure it as it is.
    pub adaptation: Option<Arc<Adaptation>>,
}

impl Calibration {
    /// Selects and makes samples of `context` tokens.
    ///
    /// With a combined objective, text and needles alternate, so that a race sees both early. Without a tokenizer there
    /// are no passkeys.
    ///
    /// # Errors
    /// If the text is too short, or needles are wanted and there is no tokenizer or too little room for them.
    pub fn new(
        options: &CalibrationOptions,
        documents: &[TokenDocument],
        tokenizer: Option<&Tokenizer>,
        context: usize,
    ) -> Result<Self> {
        let shape = SampleShape::whole(context);
        Self::of_shape(options, documents, tokenizer, shape)
    }

    /// As [`Self::new`], with samples of `n_tokens` tokens at positions that skip ahead up to a target: texts lie all over it,
    /// and needles are as deep in it as they are in the sample.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn skipped(
        options: &CalibrationOptions,
        documents: &[TokenDocument],
        tokenizer: Option<&Tokenizer>,
        n_tokens: usize,
        skips: Skips,
    ) -> Result<Self> {
        let shape = SampleShape::skipped(n_tokens, skips, options.seed);
        Self::of_shape(options, documents, tokenizer, shape)
    }

    pub(super) fn of_shape(
        options: &CalibrationOptions,
        documents: &[TokenDocument],
        tokenizer: Option<&Tokenizer>,
        shape: SampleShape,
    ) -> Result<Self> {
        let context = shape.n_tokens;
        let text = select_samples(documents, context, options.samples, options.seed)
            .map_err(|source| Error::Samples { context, source })?;
        let text = shape.texts(text.into_iter().map(|sample| (sample.tokens, 1)));
        let make = |config: &NeedleTextConfig, tokenizer: &Tokenizer| {
            let texts = needle_texts(config, tokenizer, documents, context, options.seed)
                .map_err(|source| Error::Needles { context, source })?;
            Ok::<_, Error>(shape.needles(texts))
        };
        let mut needles = Vec::new();
        if options.objective != ObjectiveKind::Perplexity {
            let tokenizer = tokenizer.ok_or(Error::NeedlesNeedTokenizer)?;
            needles = make(&options.needles, tokenizer)?;
        }
        let passkeys = tokenizer.and_then(|tokenizer| {
            let config = NeedleTextConfig::passkeys(options.passkey_trials);
            // A context that is too short for passkeys must not prevent the search.
            make(&config, tokenizer).ok()
        });
        let passkeys = passkeys.unwrap_or_default();
        let (samples, needle_share) = match options.objective {
            ObjectiveKind::Perplexity => (text.clone(), 0.0),
            ObjectiveKind::Needle => (needles.clone(), 1.0),
            ObjectiveKind::Combined => {
                let weight = options.needle_weight;
                (combined(&text, &needles, weight)?, weight)
            }
        };
        if samples.is_empty() {
            return Err(Error::NothingToScore);
        }
        Ok(Self {
            samples,
            text,
            needles,
            passkeys,
            needle_share,
            adaptation: None,
        })
    }

    /// Text and passkeys to measure RoPEs on, without candidates.
    pub(super) fn unscored(
        text: Vec<CalibrationSample>,
        passkeys: Vec<CalibrationSample>,
        adaptation: Option<Arc<Adaptation>>,
    ) -> Self {
        Self {
            samples: Vec::new(),
            text,
            needles: Vec::new(),
            passkeys,
            needle_share: 0.0,
            adaptation,
        }
    }

    /// The score of a candidate with these losses.
    pub fn score(&self, losses: &MethodLoss) -> f64 {
        match losses.answer_nats {
            Some(answer_nats) if self.needle_share > 0.0 => {
                (1.0 - self.needle_share) * losses.nll_nats + self.needle_share * answer_nats
            }
            _ => losses.nll_nats,
        }
    }

    /// Tokens of a sample.
    pub fn context(&self) -> usize {
        self.samples
            .first()
            .map_or(0, |sample| sample.tokens().len())
    }

    /// A fingerprint of the tokens of all samples.
    pub fn fingerprint(&self) -> String {
        let document = |sample: &CalibrationSample| TokenDocument {
            source: String::new(),
            tokens: sample.tokens().to_vec(),
        };
        let documents: Vec<TokenDocument> = self.samples.iter().map(document).collect();
        text_fingerprint(&documents)
    }
}

/// Weights samples so that their mean loss is `(1 - weight) · mean over text + weight · mean over needles`.
fn combined(
    text: &[CalibrationSample],
    needles: &[CalibrationSample],
    weight: f64,
) -> Result<Vec<CalibrationSample>> {
    if !(0.0..=1.0).contains(&weight) {
        return Err(Error::NeedleWeight { found: weight });
    }
    let n = (text.len() + needles.len()) as f64;
    let weighted = |samples: &[CalibrationSample], share: f64| -> Vec<(f64, CalibrationSample)> {
        let count = samples.len() as f64;
        let samples = samples.iter().enumerate();
        samples
            .map(|(index, sample)| {
                let weight = share * n / count;
                let place = (index as f64 + 0.5) / count;
                (place, sample.clone().weighing(weight))
            })
            .collect()
    };
    let mut all = weighted(text, 1.0 - weight);
    all.extend(weighted(needles, weight));
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(all.into_iter().map(|(_, sample)| sample).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_weighted_and_kinds_alternate() {
        let sample = |score_from| CalibrationSample::new(vec![0; 8], score_from);
        let all = combined(&vec![sample(1); 2], &vec![sample(7); 4], 0.25).unwrap();
        let kinds: Vec<usize> = all.iter().map(|sample| sample.score_from).collect();
        assert_eq!(kinds, [7, 1, 7, 7, 1, 7]);
        // Text has 2 nats, needles have 6: 0.75 · 2 + 0.25 · 6 = 3.
        let loss = |sample: &CalibrationSample| if sample.score_from == 1 { 2.0 } else { 6.0 };
        let mean: f64 = all.iter().map(|s| s.weight * loss(s)).sum::<f64>() / 6.0;
        assert!((mean - 3.0).abs() < 1e-12);
        assert!(combined(&[], &[], 1.5).is_err());
    }
}
