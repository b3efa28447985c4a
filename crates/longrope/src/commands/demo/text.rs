//! Text for the search, and other text for the report.

use std::path::Path;

use anyhow::{Result, anyhow};
use longrope_data::{
    HELD_OUT_CRATES, SourceOptions, TokenCache, TokenDocument, Tokenizer, tokenize_documents,
};

use crate::failure::Hint;
use crate::input;
use crate::input::cargo_sources;
use crate::settings::config::Config;
use crate::show::output;
use crate::terminal::progress;

/// Maximum bytes per crate: enough for the windows of the demo, and tokenized quickly.
const MOST_CRATE_BYTES: usize = 300 << 10;

/// Documents for the search and for the report.
pub(super) struct Texts {
    pub(super) search: Vec<TokenDocument>,
    pub(super) report: Vec<TokenDocument>,
    /// What they are, in words.
    pub(super) line: String,
}

/// Reads the user's documents and splits each into halves, or reads sources of libraries that the model was not trained
/// on.
pub(super) fn read(config: &Config, model: &Path) -> Result<Texts> {
    if !config.text.is_empty() {
        let documents = input::tokenize(config, model, &config.text)?;
        let line = format!(
            "Text: {} document(s), the first half of each for the search, the second for the report. The model was\n\
             trained on Rust, so expect high perplexities on other text.",
            documents.len()
        );
        let (search, report) = documents.into_iter().map(halve).unzip();
        return Ok(Texts {
            search,
            report,
            line,
        });
    }
    let (search, report) = held_out(model)?;
    let named = |documents: &[TokenDocument]| {
        let names: Vec<&str> = documents
            .iter()
            .map(|document| document.source.as_str())
            .collect();
        let n_tokens = documents.iter().map(|document| document.tokens.len()).sum();
        format!(
            "{} ({} tokens)",
            names.join(", "),
            output::grouped(n_tokens)
        )
    };
    let line = format!(
        "Text: source code of libraries that this program uses and the model was not trained on.\n  \
         for the search  {}\n  for the report  {}",
        named(&search),
        named(&report)
    );
    Ok(Texts {
        search,
        report,
        line,
    })
}

/// Reads the sources of the held-out crates, alternately for the search and for the report.
fn held_out(model: &Path) -> Result<(Vec<TokenDocument>, Vec<TokenDocument>)> {
    let options = SourceOptions {
        only: HELD_OUT_CRATES.map(str::to_owned).to_vec(),
        most_held_out_bytes: MOST_CRATE_BYTES,
        ..SourceOptions::default()
    };
    let corpus = cargo_sources::find(&options)?;
    if corpus.held_out.len() < 2 {
        return Err(anyhow!(
            "cargo's registry folder has {} of the crates that the demo reads, expected at least 2 of {}",
            corpus.held_out.len(),
            HELD_OUT_CRATES.join(", ")
        )
        .context(Hint(
            "give your own text: longrope demo --text BOOK.txt".to_owned(),
        )));
    }
    let tokenizer = Tokenizer::from_model_dir(model)?;
    let spinner = progress::spinner("tokenizing");
    let documents = corpus.held_out.iter().map(|source| Ok(source.joined()));
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
    Ok((search, report))
}

/// Splits a document into two halves.
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
