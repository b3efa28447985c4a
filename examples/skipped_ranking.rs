//! Do short windows at skipped positions rank RoPEs as whole windows do? Measures many RoPEs at each context on both, and prints
//! Spearman's rank correlation of their losses on text, of their losses on passkeys, and of the passkeys that they find.
//!
//! `cargo run --release --example skipped_ranking -- MODEL TEXT CONTEXTS [STEPS] [WINDOW] [SAMPLES]`, for example
//! `crates/longrope/assets/tiny-llama-256 book.txt 8192,16384,32768 10`. With STEPS above 0, the model is adapted to each RoPE
//! first, as by `search.adapt.steps`; WINDOW is by default that of a search. Both rankings are of the same adapted copies.

#![expect(clippy::print_stdout, reason = "an example prints its result")]
#![recursion_limit = "256"]

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use longrope_data::{
    ReadOptions, Skips, TokenDocument, Tokenizer, document_bos, read_documents, tokenize,
};
use longrope_eval::{NeedleTextConfig, spearman};
use longrope_extend::{
    AdaptConfig, Adaptation, Calibration, CalibrationOptions, Interrupt, Measurer, MethodLoss,
    NamedSpec, ObjectiveKind, Scoring, measure,
};
use longrope_model::Decoder;
use longrope_rope::{AttentionScale, Method, RopeSpec};
use longrope_search::{SearchConfig, TargetRope};
use longrope_trainer::run::{AdapterWindows, AsBefore};

const SEED: u64 = 42;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, text, contexts, rest @ ..] = args.as_slice() else {
        bail!("give MODEL TEXT CONTEXTS [STEPS] [WINDOW] [SAMPLES]");
    };
    let number = |index: usize, default: usize| match rest.get(index) {
        Some(text) => text
            .parse()
            .with_context(|| format!("`{text}` is no count")),
        None => Ok(default),
    };
    let folder = Path::new(model);
    let decoder = Decoder::load(folder, Device::flex())?;
    let tokenizer = Tokenizer::from_model_dir(folder)?;
    let documents = read_documents(&[text], &ReadOptions::default())?;
    let bench = Bench {
        documents: tokenize(&tokenizer, documents)?,
        adapt: AdaptConfig {
            steps: number(0, 0)?,
            window: rest.get(1).map(|_| number(1, 0)).transpose()?,
            ..AdaptConfig::default()
        },
        n_samples: number(2, 3)?,
        decoder,
        tokenizer,
    };
    println!("| context | RoPEs | text | answers | passkeys found |\n|---|---|---|---|---|");
    for context in contexts.split(',') {
        let context = context
            .parse()
            .with_context(|| format!("`{context}` is no context"))?;
        bench.compare(context)?;
    }
    Ok(())
}

/// The model, the text, and how they are measured.
struct Bench {
    decoder: Decoder,
    tokenizer: Tokenizer,
    documents: Vec<TokenDocument>,
    adapt: AdaptConfig,
    n_samples: usize,
}

impl Bench {
    /// Prints the correlations at a context.
    fn compare(&self, context: usize) -> Result<()> {
        let base = &self.decoder.config().rope;
        let ropes = ropes(base, context)?;
        let window = self.adapt.window(base.original_context);
        let skips = Skips {
            target: context,
            pieces: self.adapt.pieces,
            share: 1.0,
        };
        let options = CalibrationOptions {
            samples: self.n_samples,
            objective: ObjectiveKind::Combined,
            needles: NeedleTextConfig::passkeys(2 * self.n_samples),
            passkey_trials: 2 * self.n_samples,
            seed: SEED,
            ..CalibrationOptions::default()
        };
        let (documents, tokenizer) = (&self.documents, Some(&self.tokenizer));
        let short = Calibration::skipped(&options, documents, tokenizer, window, skips)?;
        let whole = Calibration::new(&options, documents, tokenizer, context)?;
        let adaptation = self.adapt.is_on().then(|| {
            let documents: Arc<[TokenDocument]> = documents.as_slice().into();
            let windows = AdapterWindows {
                documents: &documents,
                tokenizer,
                bos: document_bos(self.decoder.config().bos_token, tokenizer, &documents),
                window,
                seed: SEED,
                as_before: AsBefore::default(),
            };
            let training = self.adapt.training(context);
            Adaptation::new(&self.decoder, training, windows, context).map(Arc::new)
        });
        let adaptation = adaptation.transpose()?;
        let losses = |calibration: Calibration| {
            let calibration = Calibration {
                adaptation: adaptation.clone(),
                ..calibration
            };
            let mut scoring = Scoring::Here(Box::new(Measurer::new(&self.decoder)));
            let interrupt = Interrupt::default();
            measure(&mut scoring, &calibration, &ropes, &interrupt, &mut |_| {})
        };
        let (short, whole) = (losses(short)?, losses(whole)?);
        let correlation = |of: fn(&MethodLoss) -> Option<f64>| {
            let values = |losses: &[MethodLoss]| losses.iter().map(of).collect::<Option<Vec<_>>>();
            let found = values(&short).zip(values(&whole));
            let found = found.and_then(|(short, whole)| spearman(&short, &whole));
            found.map_or_else(|| "–".to_owned(), |found| format!("{found:.3}"))
        };
        println!(
            "| {context} | {} | {} | {} | {} |",
            ropes.len(),
            correlation(|loss| Some(loss.nll_nats)),
            correlation(|loss| loss.answer_nats),
            correlation(|loss| loss.passkey_accuracy)
        );
        Ok(())
    }
}

/// The methods, and factors that rise from 1 to a multiple of the scale between two pairs.
fn ropes(base: &RopeSpec, context: usize) -> Result<Vec<NamedSpec>> {
    let mut ropes = Vec::new();
    for method in [
        Method::None,
        Method::Pi,
        Method::Ntk,
        Method::DynamicNtk,
        Method::Yarn,
    ] {
        ropes.push(NamedSpec::new(method.name(), method.spec(base, context)?));
    }
    let target = TargetRope::factors(base, context);
    let space = SearchConfig::default().space(&target.problem())?;
    let scale = context as f64 / base.original_context as f64;
    let n_pairs = space.n_pairs();
    for first in (0..n_pairs).step_by(n_pairs.div_ceil(4)) {
        for last in (first..n_pairs).step_by(n_pairs.div_ceil(4)).skip(1) {
            for top in [0.5, 1.0, 1.2] {
                let factor = |pair: usize| {
                    let share = (pair as f64 - first as f64) / (last - first) as f64;
                    (scale * top).max(1.0).powf(share.clamp(0.0, 1.0))
                };
                let factors: Vec<f64> = (0..n_pairs).map(factor).collect();
                let candidate = space.nearest(&factors, 0, AttentionScale::Su {})?;
                let name = format!("{first}-{last}x{top}");
                ropes.push(NamedSpec::new(name, target.candidate_spec(&candidate)?));
            }
        }
    }
    Ok(ropes)
}
