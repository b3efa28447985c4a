//! The data of a pretraining: text, its tokenizer and its tokens.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use longrope_data::{
    BOS_TOKEN, Document, EOS_TOKEN, Grouping, Mixture, MixturePart, PackedStream, PackingConfig,
    ReadOptions, SourceOptions, SyntheticConfig, SyntheticKind, SyntheticStream, TokenCache,
    TokenDocument, Tokenizer, TokenizerTraining, WindowSource, read_documents, save_tokenizer,
    text_fingerprint, tokenize_documents, train_tokenizer,
};
use longrope_model::write_random_llama;
use serde::{Deserialize, Serialize};

use crate::hint::Hint;
use crate::input::cargo_sources;
use crate::settings::config::Config;
use crate::settings::pretrain::Phase;
use crate::show::{output, progress};

/// Loss weight above 1 that marks the answers in documents to measure with.
const MARK: f32 = 2.0;

/// Texts before they are tokenized.
pub(crate) struct Texts {
    training: Vec<Document>,
    held_out: Vec<Document>,
    /// Where the texts come from, in words.
    pub(crate) origin: String,
    /// Packages of the lock file whose sources are not on this machine.
    pub(crate) missing: Vec<String>,
}

/// `corpus.json`: the text and tokens of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CorpusReport {
    format: String,
    version: u32,
    /// Where the text comes from, in words.
    pub(crate) origin: String,
    /// Number of training documents.
    pub(crate) n_documents: usize,
    /// Number of tokens in them.
    pub(crate) n_tokens: usize,
    /// Fingerprint of the training documents.
    pub(crate) text_fingerprint: String,
    /// Fingerprint of the held-out documents.
    pub(crate) held_out_fingerprint: String,
    /// Fingerprint of the tokenizer.
    pub(crate) tokenizer_fingerprint: String,
    /// Packages whose sources were missing.
    pub(crate) missing: Vec<String>,
}

/// Everything that training windows are made of.
pub(crate) struct Corpus {
    pub(crate) tokenizer: Arc<Tokenizer>,
    pub(crate) training: Arc<[TokenDocument]>,
    pub(crate) held_out: Vec<TokenDocument>,
    pub(crate) report: CorpusReport,
    pub(crate) bos: u32,
    pub(crate) eos: u32,
}

/// Reads the configured text; without any, the sources of the crates this program is built from.
pub(crate) fn read_texts(config: &Config) -> Result<Texts> {
    let section = &config.pretrain;
    let spinner = progress::spinner("reading text");
    let options = ReadOptions {
        text_field: config.data.text_field.clone(),
    };
    let texts = if config.text.is_empty() {
        let options = SourceOptions {
            only: section.source_crates.clone(),
            most_crate_bytes: section.most_crate_bytes,
            ..SourceOptions::default()
        };
        let corpus = cargo_sources::find(&options)
            .context(Hint("give text of your own with --text".to_owned()))?;
        let n_crates = corpus.training.len();
        // Training windows are short, so each file is a document; measured windows are long, so each crate is one.
        let files = corpus.training.into_iter().flat_map(|source| source.files);
        Texts {
            training: files.collect(),
            held_out: corpus
                .held_out
                .iter()
                .map(longrope_data::SourceCrate::joined)
                .collect(),
            origin: format!("Rust sources of {n_crates} crates"),
            missing: corpus.missing,
        }
    } else {
        let held_out = if section.held_out.is_empty() {
            Vec::new()
        } else {
            read_documents(&section.held_out, &options)?
        };
        let names: Vec<String> = config
            .text
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        Texts {
            training: read_documents(&config.text, &options)?,
            held_out,
            origin: names.join(", "),
            missing: Vec::new(),
        }
    };
    spinner.finish_and_clear();
    if texts.training.is_empty() {
        return Err(anyhow!("there is no text to train on").context(Hint(
            "`pretrain.source-crates` names crates of Cargo.lock; or give files with --text".into(),
        )));
    }
    Ok(texts)
}

/// Writes the checkpoint that training begins with: a tokenizer trained on the text, and random weights.
pub(crate) fn write_start(config: &Config, texts: &Texts, folder: &Path) -> Result<()> {
    let section = &config.pretrain;
    let spinner = progress::spinner("training the tokenizer");
    let json = train_tokenizer(
        texts.training.iter().map(|document| document.text.as_str()),
        TokenizerTraining::new(section.model.vocab),
    )?;
    spinner.finish_and_clear();
    save_tokenizer(folder, &json)?;
    let tokenizer = Tokenizer::from_model_dir(folder)?;
    let special = special_tokens(&tokenizer, folder)?;
    // Last, because the folder counts as a checkpoint as soon as it has `config.json`.
    write_random_llama(folder, &section.model, special, config.seed)?;
    Ok(())
}

impl Corpus {
    /// Tokenizes the texts with the tokenizer of `checkpoint`.
    pub(crate) fn new(config: &Config, texts: Texts, checkpoint: &Path) -> Result<Self> {
        let tokenizer = Arc::new(Tokenizer::from_model_dir(checkpoint)?);
        let (bos, eos) = special_tokens(&tokenizer, checkpoint)?;
        let cache = match &config.data.cache {
            Some(folder) => TokenCache::new(folder.clone()),
            None => TokenCache::disabled(),
        };
        let bar = progress::bar("tokenizing", texts.training.len() as u64);
        let tokenize = |documents: Vec<Document>, special| {
            let documents = documents.into_iter().map(Ok).inspect(|_| bar.inc(1));
            tokenize_documents(&tokenizer, documents, &cache, special)
        };
        let training: Arc<[TokenDocument]> = tokenize(texts.training, false)?.into();
        let held_out = tokenize(texts.held_out, true)?;
        bar.finish_and_clear();
        let report = CorpusReport {
            format: "longrope-corpus".to_owned(),
            version: 1,
            origin: texts.origin,
            n_documents: training.len(),
            n_tokens: training.iter().map(|document| document.tokens.len()).sum(),
            text_fingerprint: text_fingerprint(&training),
            held_out_fingerprint: text_fingerprint(&held_out),
            tokenizer_fingerprint: tokenizer.fingerprint().to_owned(),
            missing: texts.missing,
        };
        tracing::info!(
            documents = report.n_documents,
            tokens = output::grouped(report.n_tokens),
            "text to train on"
        );
        Ok(Self {
            tokenizer,
            training,
            held_out,
            report,
            bos,
            eos,
        })
    }

    /// The training windows of a phase. Every part of every phase has its own seed.
    pub(crate) fn mixture(&self, config: &Config, phase_idx: usize) -> Result<Mixture> {
        let phase = &config.pretrain.phases[phase_idx];
        let seed = |part: u64| {
            let place = 16 * phase_idx as u64 + part;
            config.seed.wrapping_add(place)
        };
        let text = PackingConfig {
            bos: Some(self.bos),
            eos: Some(self.eos),
            ..PackingConfig::new(phase.window, seed(0))
        };
        let text = PackedStream::new(Arc::clone(&self.training), text)?;
        let mut parts = vec![MixturePart {
            name: "text".to_owned(),
            share: phase.shares.text,
            source: WindowSource::Packed(text),
        }];
        let generated = [
            ("copying", phase.shares.copying, SyntheticKind::COPYING),
            ("passkey", phase.shares.passkey, SyntheticKind::Passkey {}),
            ("recall", phase.shares.recall, SyntheticKind::RECALL),
        ];
        let weight = config.pretrain.answer_weight;
        for (part, (name, share, kind)) in (1..).zip(generated) {
            // A part without a share may be too long for the window.
            if share > 0.0 {
                let stream = self
                    .generated(config, phase, kind, seed(part), weight)
                    .with_context(|| format!("{name} documents of phase `{}`", phase.name))?;
                parts.push(MixturePart {
                    name: name.to_owned(),
                    share,
                    source: WindowSource::Synthetic(stream),
                });
            }
        }
        Mixture::new(parts, Grouping::Window)
            .with_context(|| format!("the shares of phase `{}`", phase.name))
    }

    /// Passkey documents that do not occur in training; `None` if the window is too short for them.
    pub(crate) fn passkeys(&self, config: &Config, phase: &Phase) -> Option<SyntheticStream> {
        let seed = config.seed.wrapping_add(u64::MAX / 2);
        let stream = self.generated(config, phase, SyntheticKind::Passkey {}, seed, MARK);
        stream.ok()
    }

    fn generated(
        &self,
        config: &Config,
        phase: &Phase,
        kind: SyntheticKind,
        seed: u64,
        answer_weight: f32,
    ) -> Result<SyntheticStream> {
        let generated = SyntheticConfig {
            bos: Some(self.bos),
            eos: Some(self.eos),
            answer_weight,
            corpus_share: config.pretrain.corpus_share,
            ..SyntheticConfig::new(kind, phase.window, seed)
        };
        let (tokenizer, corpus) = (Arc::clone(&self.tokenizer), Arc::clone(&self.training));
        Ok(SyntheticStream::new(generated, tokenizer, corpus)?)
    }
}

fn special_tokens(tokenizer: &Tokenizer, folder: &Path) -> Result<(u32, u32)> {
    let id = |token: &str| {
        tokenizer.token_id(token).ok_or_else(|| {
            anyhow!(
                "the tokenizer in `{}` has no token `{token}`",
                folder.display()
            )
        })
    };
    Ok((id(BOS_TOKEN)?, id(EOS_TOKEN)?))
}
