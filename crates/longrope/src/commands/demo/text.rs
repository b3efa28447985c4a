//! Text to search on, and other text to report on.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use longrope_data::{
    HELD_OUT_CRATES, SourceOptions, TokenCache, TokenDocument, Tokenizer, tokenize_documents,
};

use crate::hint::Hint;
use crate::input;
use crate::input::cargo_sources;
use crate::settings::config::Config;
use crate::show::{output, progress};

/// Of each crate: enough for the windows of the demo, and tokenized in a moment.
const MOST_CRATE_BYTES: usize = 300 << 10;

/// Documents to search on and documents to report on.
pub(super) struct Texts {
    pub(super) search: Vec<TokenDocument>,
    pub(super) report: Vec<TokenDocument>,
}

/// The two halves of the user's documents, or sources of libraries that the model was not trained on.
pub(super) fn read(config: &Config, model: &Path) -> Result<Texts> {
    if !config.text.is_empty() {
        let documents = input::tokenize(config, model, &config.text)?;
        output::line(format!(
            "Text: {} document(s) of yours, the first half of each to search on, the second to report on. The\n\
             model learned Rust, so expect high numbers on anything else.",
            documents.len()
        ))?;
        let (search, report) = documents.into_iter().map(halve).unzip();
        return Ok(Texts { search, report });
    }
    let texts = held_out(model)?;
    let named = |documents: &[TokenDocument]| {
        let names: Vec<&str> = documents.iter().map(|it| it.source.as_str()).collect();
        let n_tokens = documents.iter().map(|it| it.tokens.len()).sum();
        format!(
            "{} ({} tokens)",
            names.join(", "),
            output::grouped(n_tokens)
        )
    };
    output::line(format!(
        "Text: sources of libraries this program is built from and the model was not trained on.\n  \
         to search on  {}\n  to report on  {}",
        named(&texts.search),
        named(&texts.report)
    ))?;
    Ok(texts)
}

/// The sources of the held-out crates, every other one to report on.
fn held_out(model: &Path) -> Result<Texts> {
    let hint = || Hint("give text of your own: longrope demo --text BOOK.txt".to_owned());
    let options = SourceOptions {
        only: HELD_OUT_CRATES.map(str::to_owned).to_vec(),
        most_held_out_bytes: MOST_CRATE_BYTES,
        ..SourceOptions::default()
    };
    let corpus = cargo_sources::find(&options).with_context(hint)?;
    if corpus.held_out.len() < 2 {
        return Err(anyhow!(
            "cargo's registry folder holds {} of the crates that the demo reads, expected 2 or more of {}",
            corpus.held_out.len(),
            HELD_OUT_CRATES.join(", ")
        )
        .context(hint()));
    }
    let tokenizer = Tokenizer::from_model_dir(model)?;
    let spinner = progress::spinner("tokenizing");
    let documents = corpus.held_out.iter().map(|it| Ok(it.joined()));
    let documents = tokenize_documents(&tokenizer, documents, &TokenCache::disabled(), true)?;
    spinner.finish_and_clear();
    let (mut search, mut report) = (Vec::new(), Vec::new());
    for (i, document) in documents.into_iter().enumerate() {
        if i % 2 == 0 {
            search.push(document);
        } else {
            report.push(document);
        }
    }
    Ok(Texts { search, report })
}

/// The two halves of a document.
fn halve(document: TokenDocument) -> (TokenDocument, TokenDocument) {
    let TokenDocument { source, mut tokens } = document;
    let second = tokens.split_off(tokens.len() / 2);
    let first = TokenDocument {
        source: source.clone(),
        tokens,
    };
    let second = TokenDocument {
        source,
        tokens: second,
    };
    (first, second)
}
