//! Model and text, as the configuration names them.

pub(crate) mod cargo_sources;
pub(crate) mod device;
pub(crate) mod hub;
pub(crate) mod rope_arg;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, anyhow};
use indicatif::ProgressBar;
use longrope_data::{
    Bos, Document, ReadOptions, TokenCache, TokenDocument, Tokenizer, read_token_ids,
    stream_documents, tokenize_documents,
};
use longrope_eval::Haystack;
use longrope_model::{Checkpoint, Decoder, ModelConfig};

use crate::hint::Hint;
use crate::settings;
use crate::settings::config::{BosSetting, Config, WeightSetting};
use crate::show::progress;

/// The checkpoint folder.
pub(crate) fn model_folder(config: &Config) -> Result<&PathBuf> {
    settings::required(config.model.as_ref(), "--model")
}

/// What identifies the configured model.
pub(crate) fn model_fingerprint(config: &Config) -> Result<String> {
    Ok(Checkpoint::open(model_folder(config)?)?.fingerprint()?)
}

/// Loads the model onto the configured device, of which there has to be one.
pub(crate) fn load_model(config: &Config) -> Result<Decoder> {
    load_model_onto(config, config.device.only()?)
}

/// Loads the model onto a device.
pub(crate) fn load_model_onto(config: &Config, device: &str) -> Result<Decoder> {
    let folder = model_folder(config)?;
    let device = device::open(device)?;
    let bar = progress::bar(&format!("loading {}", folder.display()), 1);
    let decoder = match config.weights {
        WeightSetting::Resident => Decoder::load_with(folder, &device, |layer_idx, n_layers| {
            bar.set_length(n_layers as u64);
            bar.set_position(layer_idx as u64);
        }),
        WeightSetting::Streamed => Decoder::stream(folder, &device, Arc::new(show_layer)),
    };
    let decoder = decoder.with_context(|| format!("loading model `{}`", folder.display()))?;
    bar.finish_and_clear();
    for warning in &decoder.config().warnings {
        tracing::warn!("{warning}");
    }
    Ok(decoder)
}

/// Shows where a pass through streamed layers is.
fn show_layer(layer_idx: usize, n_layers: usize) {
    static BAR: OnceLock<ProgressBar> = OnceLock::new();
    let bar = BAR.get_or_init(|| progress::bar("layers", n_layers as u64));
    bar.set_position(layer_idx as u64 + 1);
    if layer_idx + 1 == n_layers {
        bar.reset();
    }
}

/// Reads and tokenizes the configured text, or reads token ids.
pub(crate) fn load_documents(config: &Config, model: &ModelConfig) -> Result<Vec<TokenDocument>> {
    if let Some(path) = &config.tokens {
        return read_token_ids(path, model.vocab_size)
            .with_context(|| format!("reading token ids `{}`", path.display()));
    }
    if config.text.is_empty() {
        return Err(anyhow!("there is no text").context(Hint(
            "give files or folders with --text, or token ids with --tokens".into(),
        )));
    }
    tokenize(config, model_folder(config)?, &config.text)
}

/// Reads and tokenizes files and folders.
pub(crate) fn tokenize(
    config: &Config,
    model: &Path,
    paths: &[PathBuf],
) -> Result<Vec<TokenDocument>> {
    let tokenizer = Tokenizer::from_model_dir(model)?;
    let options = ReadOptions {
        text_field: config.data.text_field.clone(),
    };
    let cache = match &config.data.cache {
        Some(folder) => TokenCache::new(folder.clone()),
        None => TokenCache::disabled(),
    };
    let special = config
        .eval
        .protocol
        .tokenize_with_special(config.eval.bos == BosSetting::Document);
    let spinner = progress::spinner("tokenizing");
    let documents = tokenize_documents(
        &tokenizer,
        documents(paths, &options)?.inspect(|_| spinner.tick()),
        &cache,
        special,
    )?;
    spinner.finish_and_clear();
    Ok(documents)
}

/// The documents of files and folders, read one at a time, and of crates' sources, all at once, in front of them.
fn documents(
    paths: &[PathBuf],
    options: &ReadOptions,
) -> Result<impl Iterator<Item = longrope_data::Result<Document>>> {
    let (mut sources, mut files) = (Vec::new(), Vec::new());
    for path in paths {
        match cargo_sources::documents(path) {
            Some(found) => sources.extend(found?),
            None => files.push(path.clone()),
        }
    }
    let files = if files.is_empty() && !sources.is_empty() {
        None
    } else {
        Some(stream_documents(&files, options)?)
    };
    Ok(sources
        .into_iter()
        .map(Ok)
        .chain(files.into_iter().flatten()))
}

/// The configured text as one haystack, the filler of passkeys if there is none.
pub(crate) fn haystack(config: &Config) -> Result<Haystack> {
    if config.text.is_empty() {
        return Ok(Haystack::filler());
    }
    Haystack::new(&read_texts(config)?).ok_or_else(|| {
        anyhow!("the haystack is empty").context(Hint(
            "give files or folders with text with --text".to_owned(),
        ))
    })
}

/// The configured texts, one behind the other.
pub(crate) fn read_texts(config: &Config) -> Result<String> {
    let options = ReadOptions {
        text_field: config.data.text_field.clone(),
    };
    let mut texts = Vec::new();
    for document in documents(&config.text, &options)? {
        texts.push(document?.text);
    }
    Ok(texts.join("\n\n"))
}

/// How windows treat the beginning-of-text token.
pub(crate) fn bos(config: &Config, model: &ModelConfig) -> Result<Bos> {
    Ok(match config.eval.bos {
        BosSetting::Document => Bos::Document,
        BosSetting::None => Bos::None,
        BosSetting::Window => Bos::Window {
            bos_id: model.bos_token.ok_or_else(|| {
                anyhow!("`eval.bos` is `window`, but config.json has no bos_token_id")
            })?,
        },
    })
}
