//! What a model is trained on: text, its tokenizer and its tokens.

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

/// A weight above 1, by which the answers of documents to measure with are found.
const MARK: f32 = 2.0;

/// Texts, before there is a tokenizer for them.
pub(crate) struct Texts {
    training: Vec<Document>,
    held_out: Vec<Document>,
    /// Where they are from, for people.
    pub(crate) origin: String,
    /// Packages of the lock file that are not on this machine.
    pub(crate) missing: Vec<String>,
}

/// `corpus.json`: which text and tokens a run was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CorpusReport {
    format: String,
    version: u32,
    /// Where the text is from.
    pub(crate) origin: String,
    /// Documents to train on.
    pub(crate) n_documents: usize,
    /// Their tokens.
    pub(crate) n_tokens: usize,
    /// Identifies them.
    pub(crate) text_fingerprint: String,
    /// Identifies the held-out ones.
    pub(crate) held_out_fingerprint: String,
    /// Identifies the tokenizer.
    pub(crate) tokenizer_fingerprint: String,
    /// Packages that were not there.
    pub(crate) missing: Vec<String>,
}

/// Everything that windows are made of.
pub(crate) struct Corpus {
    pub(crate) tokenizer: Arc<Tokenizer>,
    pub(crate) training: Arc<[TokenDocument]>,
    pub(crate) held_out: Vec<TokenDocument>,
    pub(crate) report: CorpusReport,
    pub(crate) bos: u32,
    pub(crate) eos: u32,
}

/// Reads the configured text, or the sources this program is built from.
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
        // Short windows: files are documents. Measured with long ones: crates are.
        let files = corpus.training.into_iter().flat_map(|it| it.files);
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
            .map(|it| it.display().to_string())
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

/// Writes the checkpoint that training begins with: a tokenizer made from the text, and random weights.
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
    // Last, with `config.json`: the folder counts as a checkpoint from then on.
    write_random_llama(folder, &section.model, special, config.seed)?;
    Ok(())
}

impl Corpus {
    /// Tokenizes the text with the tokenizer of a checkpoint.
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

    /// The windows of a phase. Every part of every phase has a seed of its own.
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
            // What has no share need not fit into the window either.
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

    /// Passkey documents that are not among those trained on.
    pub(crate) fn passkeys(&self, config: &Config, phase: &Phase) -> Option<SyntheticStream> {
        let seed = config.seed.wrapping_add(u64::MAX / 2);
        // A window may be too short for them; then there is nothing to look at.
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
