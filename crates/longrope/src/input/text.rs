//! Reads and tokenizes the configured text.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use longrope_data::{
    Bos, Document, ReadOptions, TokenCache, TokenDocument, Tokenizer, read_token_ids,
    stream_documents, tokenize_document,
};
use longrope_eval::{Haystack, PplProtocol};
use longrope_extend::ObjectiveKind;
use longrope_model::ModelConfig;

use super::cargo_sources;
use super::hub;
use super::model::model_folder;
use crate::failure::Hint;
use crate::settings::config::{BosSetting, Config};
use crate::terminal::{progress, signals};

/// The tokenizer for needles and passkeys of a search; `None` if there is no suitable one and the objective needs none.
pub(crate) fn needle_tokenizer(config: &Config, model: &ModelConfig) -> Result<Option<Tokenizer>> {
    let objective = config.search.run.objective.given();
    let needed = objective.is_some_and(|given| given != ObjectiveKind::Perplexity);
    if config.tokens.is_some() && !needed {
        return Ok(None);
    }
    match Tokenizer::from_model_dir(model_folder(config)?) {
        Ok(tokenizer) if tokenizer.vocab_size() <= model.vocab_size => Ok(Some(tokenizer)),
        Ok(tokenizer) if needed => Err(anyhow!(
            "the tokenizer has {} tokens, but the model only {}",
            tokenizer.vocab_size(),
            model.vocab_size
        )
        .context(Hint(
            "use the tokenizer.json that was published with the model".to_owned(),
        ))),
        Err(error) if needed => Err(error).context("reading the tokenizer for needles"),
        Ok(_) | Err(_) => Ok(None),
    }
}

/// Reads and tokenizes the configured text, or reads token ids.
pub(crate) fn load_documents(config: &Config, model: &ModelConfig) -> Result<Vec<TokenDocument>> {
    if let Some(path) = &config.tokens {
        return read_token_ids(path, model.vocab_size).with_context(|| reading_tokens(path));
    }
    check_text_is_given(config)?;
    tokenize(config, model_folder(config)?, &config.text)
}

/// Refuses a configuration without text and token ids.
pub(crate) fn check_text_is_given(config: &Config) -> Result<()> {
    if config.text.is_empty() && config.tokens.is_none() {
        return Err(anyhow!("`--text` is missing").context(Hint(
            "give files or folders with --text, or token ids with --tokens".into(),
        )));
    }
    Ok(())
}

/// Refuses a configuration without text and token ids, and such that are not there, without reading or fetching them.
pub(crate) fn check_text(config: &Config) -> Result<()> {
    check_text_is_given(config)?;
    check_text_is_there(config)
}

/// Refuses token ids for a verb that reads text only, and would go on without them.
pub(crate) fn check_no_tokens(config: &Config, verb: &str) -> Result<()> {
    match &config.tokens {
        None => Ok(()),
        Some(path) => Err(anyhow!(
            "`tokens` is `{}`, which `{verb}` does not read",
            path.display()
        )
        .context(Hint(
            "give text with --text, which replaces the token ids".to_owned(),
        ))),
    }
}

/// Refuses text and token ids that do not exist, without reading or fetching them.
pub(crate) fn check_text_is_there(config: &Config) -> Result<()> {
    check_are_there(config, &config.text)
}

/// As [`check_text_is_there`], for the text that a training is measured on.
pub(crate) fn check_eval_text_is_there(config: &Config) -> Result<()> {
    check_are_there(config, &config.train.eval_text)
}

/// Refuses these texts, and token ids, that do not exist.
fn check_are_there<'a>(
    config: &Config,
    texts: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<()> {
    for text in texts {
        hub::check_text(text)?;
        cargo_sources::check(text)?;
        if !cargo_sources::is_source(text) && !hub::is_on_hub(text) {
            check_files([text])?;
        }
    }
    match &config.tokens {
        None => Ok(()),
        Some(path) => check_files([path]).with_context(|| reading_tokens(path)),
    }
}

/// What is done with token ids.
fn reading_tokens(path: &Path) -> String {
    format!("reading token ids `{}`", path.display())
}

/// Refuses files that do not exist, without reading them.
pub(crate) fn check_files<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<()> {
    match paths.into_iter().find(|path| !path.exists()) {
        None => Ok(()),
        Some(path) => Err(longrope_data::Error::NotFound { path: path.clone() }.into()),
    }
}

/// Reads and tokenizes files and folders.
pub(crate) fn tokenize(
    config: &Config,
    model: &Path,
    paths: &[PathBuf],
) -> Result<Vec<TokenDocument>> {
    let tokenizer = Tokenizer::from_model_dir(model).map_err(|error| match error {
        longrope_data::Error::NoTokenizer {
            has_sentencepiece: false,
            ..
        } => anyhow!("{error}").context(Hint(
            "add the tokenizer.json of the model, or give token ids with --tokens".to_owned(),
        )),
        error => error.into(),
    })?;
    let cache = match &config.data.cache {
        Some(folder) => TokenCache::new(folder.clone()),
        None => TokenCache::disabled(),
    };
    let protocol = config.eval.protocol;
    let special = match protocol {
        PplProtocol::LlamaCpp => tokenizer.adds_bos(),
        _ => protocol.tokenize_with_special(config.eval.bos == BosSetting::Document),
    };
    let spinner = progress::spinner("tokenizing");
    let read = documents(paths, &read_options(config))?;
    let mut documents = Vec::new();
    for document in read {
        signals::stop_if_asked()?;
        documents.push(tokenize_document(&tokenizer, document?, &cache, special)?);
        spinner.tick();
    }
    spinner.finish_and_clear();
    if protocol == PplProtocol::LlamaCpp
        && special
        && let Some(bos) = tokenizer.bos_id()
    {
        // Some tokenizer_config.json ask for a token that the post-processor of tokenizer.json does not add.
        for document in &mut documents {
            if document.tokens.first() != Some(&bos) {
                document.tokens.insert(0, bos);
            }
        }
    }
    Ok(documents)
}

/// Whether the tokenizer of the model begins texts with the beginning-of-text token, as the protocol of llama.cpp needs
/// to know. A model without a tokenizer is taken to do so.
pub(crate) fn adds_bos(config: &Config) -> Result<bool> {
    if config.eval.protocol != PplProtocol::LlamaCpp {
        return Ok(true);
    }
    match Tokenizer::from_model_dir(model_folder(config)?) {
        Ok(tokenizer) => Ok(tokenizer.adds_bos()),
        Err(longrope_data::Error::NoTokenizer { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Documents of crates' sources, then of files, folders and data sets of the hub, which are read one at a time. What is given
/// more than once is read once, with a warning.
fn documents(
    paths: &[PathBuf],
    options: &ReadOptions,
) -> Result<impl Iterator<Item = longrope_data::Result<Document>> + use<>> {
    let (mut sources, mut files) = (Vec::new(), Vec::new());
    for path in paths {
        match cargo_sources::documents(path) {
            Some(found) => add_new(&mut sources, found?, path),
            None => match hub::text_files(path) {
                Some(fetched) => files.extend(fetched?),
                None => files.push(path.clone()),
            },
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

/// Adds the documents that are not there yet.
fn add_new(documents: &mut Vec<Document>, found: Vec<Document>, path: &Path) {
    let n_before = documents.len();
    let mut repeated = 0;
    for document in found {
        let is_known = documents[..n_before]
            .iter()
            .any(|known| known.source == document.source);
        if is_known {
            repeated += 1;
        } else {
            documents.push(document);
        }
    }
    if repeated > 0 {
        tracing::warn!(
            "text that is given more than once is read once: {repeated} of the crates of `{}`",
            path.display()
        );
    }
}

/// The configured text as one haystack; without text, the filler of passkeys.
pub(crate) fn haystack(config: &Config) -> Result<Haystack> {
    if config.text.is_empty() {
        return Ok(Haystack::filler());
    }
    Haystack::new(&read_texts(config)?).ok_or_else(|| {
        anyhow!("the haystack is empty")
            .context(Hint("give text files or folders with --text".to_owned()))
    })
}

/// The configured texts, joined.
pub(crate) fn read_texts(config: &Config) -> Result<String> {
    let documents = read_documents(config, &config.text)?;
    let texts: Vec<String> = documents
        .into_iter()
        .map(|document| document.text)
        .collect();
    Ok(texts.join("\n\n"))
}

/// Reads all documents of the given texts into memory.
pub(crate) fn read_documents(config: &Config, paths: &[PathBuf]) -> Result<Vec<Document>> {
    let documents = documents(paths, &read_options(config))?;
    Ok(documents.collect::<longrope_data::Result<_>>()?)
}

fn read_options(config: &Config) -> ReadOptions {
    ReadOptions {
        text_field: config.data.text_field.clone(),
    }
}

/// How windows treat the beginning-of-text token.
pub(crate) fn bos(config: &Config, model: &ModelConfig) -> Result<Bos> {
    Ok(match config.eval.bos {
        BosSetting::Document => Bos::Document,
        BosSetting::None => Bos::None,
        BosSetting::Window => Bos::Window {
            bos_id: model.bos_token.ok_or_else(|| {
                anyhow!("`eval.bos` is `window`, but config.json has no bos_token_id").context(
                    Hint("use --set eval.bos=document or --set eval.bos=none".to_owned()),
                )
            })?,
        },
    })
}
