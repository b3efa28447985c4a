//! What candidates are scored on, and how: text, hidden needles, or both.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use longrope_data::{Sample, TokenDocument, Tokenizer, select_samples, text_fingerprint};
use longrope_eval::{NeedleText, NeedleTextConfig, needle_texts};
use longrope_model::ModelConfig;
use longrope_rope::RopeSpec;
use longrope_search::BlockLosses;

use crate::hint::Hint;
use crate::input;
use crate::retrieval::MethodLoss;
use crate::settings::config::{Config, ObjectiveSetting};
use crate::workers::{Losses, Measure, ScoreJob};

/// Blocks of positions that a sample's loss is reported in. Enough for a test of paired differences, and few enough to be
/// kept in the state for every candidate that may be compared with.
const BLOCKS_PER_SAMPLE: usize = 16;

/// A sequence, the part of it that is scored, and what its loss counts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CalibrationSample {
    /// A sequence, as workers want it.
    sequences: Arc<[Vec<u32>]>,
    /// First position whose token is scored.
    score_from: usize,
    /// What the loss is multiplied by.
    weight: f64,
}

impl CalibrationSample {
    /// A sequence, scored from a position on.
    pub(crate) fn new(tokens: Vec<u32>, score_from: usize) -> Self {
        Self {
            sequences: Arc::from([tokens]),
            score_from,
            weight: 1.0,
        }
    }

    /// The sequence.
    pub(crate) fn tokens(&self) -> &[u32] {
        self.sequences.first().map_or(&[][..], Vec::as_slice)
    }

    /// What to ask a worker for.
    pub(crate) fn job(&self, measure: Measure, spec: &RopeSpec) -> ScoreJob {
        ScoreJob {
            sequences: Arc::clone(&self.sequences),
            score_from: self.score_from,
            rope: spec.resolve(self.tokens().len()),
            measure,
        }
    }

    /// A worker's answer by blocks of positions, times the weight.
    pub(crate) fn blocks(&self, losses: &Losses) -> BlockLosses {
        let losses = losses.first().map_or(&[][..], Vec::as_slice);
        BlockLosses::of_tokens(losses, BLOCKS_PER_SAMPLE).weighted(self.weight)
    }
}

/// All that a search scores.
#[derive(Clone, Debug)]
pub(crate) struct Calibration {
    /// What candidates are scored on; a score is the mean of their losses.
    pub(crate) samples: Vec<CalibrationSample>,
    /// Stretches of text, for the perplexity of the result.
    pub(crate) text: Vec<CalibrationSample>,
    /// Texts with a needle, for the perplexity of their answers.
    pub(crate) needles: Vec<CalibrationSample>,
    /// Texts with a passkey, for the share that is found.
    pub(crate) passkeys: Vec<CalibrationSample>,
    /// How much of a score the needles are, 0 to 1.
    pub(crate) needle_share: f64,
}

impl Calibration {
    /// Selects and makes samples of `context` tokens, as the configuration wants them.
    ///
    /// Where both text and needles are scored, they take turns, so that a race sees both early.
    pub(crate) fn new(
        config: &Config,
        model: &ModelConfig,
        documents: &[TokenDocument],
        context: usize,
    ) -> Result<Self> {
        let search = &config.search.run;
        let text = select_samples(documents, context, search.samples, config.seed)
            .with_context(|| format!("selecting samples of {context} tokens"))?;
        let text: Vec<CalibrationSample> = text.into_iter().map(of_text).collect();
        let wants_needles = search.objective != ObjectiveSetting::Perplexity;
        let tokenizer = tokenizer(config, model, wants_needles)?;
        let make = |section: &NeedleTextConfig, tokenizer: &Tokenizer| {
            let texts = needle_texts(section, tokenizer, documents, context, config.seed)
                .with_context(|| format!("hiding needles in {context} tokens"))?;
            anyhow::Ok(texts.into_iter().map(of_needle).collect::<Vec<_>>())
        };
        let mut needles = Vec::new();
        let mut passkeys = Vec::new();
        if let Some(tokenizer) = &tokenizer {
            if wants_needles {
                needles = make(&config.search_needle, tokenizer)?;
            }
            let section = NeedleTextConfig::passkeys(search.passkey_trials);
            // A context that is too short for passkeys is no reason not to search.
            passkeys = make(&section, tokenizer).unwrap_or_default();
        }
        let (samples, needle_share) = match search.objective {
            ObjectiveSetting::Perplexity => (text.clone(), 0.0),
            ObjectiveSetting::Needle => (needles.clone(), 1.0),
            ObjectiveSetting::Combined => {
                let weight = search.needle_weight;
                (combined(&text, &needles, weight)?, weight)
            }
        };
        if samples.is_empty() {
            return Err(anyhow!("there is nothing to score candidates on")
                .context(Hint("set `search-needle.samples` to 1 or more".to_owned())));
        }
        Ok(Self {
            samples,
            text,
            needles,
            passkeys,
            needle_share,
        })
    }

    /// The score that a candidate with these losses would have.
    pub(crate) fn score(&self, losses: &MethodLoss) -> f64 {
        match losses.answer_nats {
            Some(answer_nats) if self.needle_share > 0.0 => {
                (1.0 - self.needle_share) * losses.nll_nats + self.needle_share * answer_nats
            }
            _ => losses.nll_nats,
        }
    }

    /// Tokens that a candidate is run on for a sample.
    pub(crate) fn context(&self) -> usize {
        self.samples
            .first()
            .map_or(0, |sample| sample.tokens().len())
    }

    /// Identifies the very tokens, and how they are weighed.
    pub(crate) fn fingerprint(&self) -> String {
        let document = |sample: &CalibrationSample| TokenDocument {
            source: String::new(),
            tokens: sample.tokens().to_vec(),
        };
        let documents: Vec<TokenDocument> = self.samples.iter().map(document).collect();
        text_fingerprint(&documents)
    }
}

fn of_text(sample: Sample) -> CalibrationSample {
    CalibrationSample::new(sample.tokens, 1)
}

fn of_needle(text: NeedleText) -> CalibrationSample {
    CalibrationSample::new(text.tokens, text.answer_from)
}

/// The tokenizer, which token ids come without.
fn tokenizer(config: &Config, model: &ModelConfig, needed: bool) -> Result<Option<Tokenizer>> {
    if config.tokens.is_some() && !needed {
        return Ok(None);
    }
    let tokenizer = Tokenizer::from_model_dir(input::model_folder(config)?);
    let fits = |it: &Tokenizer| it.vocab_size() <= model.vocab_size;
    match tokenizer {
        Ok(tokenizer) if fits(&tokenizer) => Ok(Some(tokenizer)),
        Ok(tokenizer) if needed => Err(anyhow!(
            "the tokenizer has {} tokens, the model only {}",
            tokenizer.vocab_size(),
            model.vocab_size
        )),
        Err(error) if needed => Err(error).context("needles are made of words"),
        Ok(_) | Err(_) => Ok(None),
    }
}

/// Weights for which the mean over all samples is `1 - weight` times the mean over the text and `weight` times that over
/// the needles.
fn combined(
    text: &[CalibrationSample],
    needles: &[CalibrationSample],
    weight: f64,
) -> Result<Vec<CalibrationSample>> {
    if !(0.0..=1.0).contains(&weight) {
        return Err(anyhow!(
            "`search.needle-weight` is {weight}, expected 0 to 1"
        ));
    }
    let n = (text.len() + needles.len()) as f64;
    let weighted = |samples: &[CalibrationSample], share: f64| -> Vec<(f64, CalibrationSample)> {
        let count = samples.len() as f64;
        let samples = samples.iter().enumerate();
        samples
            .map(|(index, sample)| {
                let weight = share * n / count;
                let place = (index as f64 + 0.5) / count;
                (
                    place,
                    CalibrationSample {
                        weight,
                        ..sample.clone()
                    },
                )
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
    fn weights_make_the_mean_a_mixture_and_kinds_take_turns() {
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
