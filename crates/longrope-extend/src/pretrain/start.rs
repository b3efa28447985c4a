//! The checkpoint that a pretraining begins with.

use std::collections::BTreeMap;
use std::path::Path;

use longrope_data::{
    BOS_TOKEN, Document, EOS_TOKEN, Tokenizer, TokenizerTraining, save_tokenizer, sha256_of_file,
    train_tokenizer,
};
use longrope_model::write_random_model;
use serde::{Deserialize, Serialize};

use super::config::PretrainConfig;
use super::error::PretrainError;
use super::events::{PretrainEvent, SharedWatch};
use crate::error::Result;
use crate::json_files::{read_json, write_json};

/// The file with the checksums of the others.
const CHECKSUMS_FILE: &str = "checksums.json";

/// `start/checksums.json`: what the files were when they were written.
#[derive(Debug, Serialize, Deserialize)]
struct Checksums {
    format: String,
    version: u32,
    /// SHA-256 by name of the file.
    sha256: BTreeMap<String, String>,
}

/// Writes a tokenizer trained on the documents, and random weights. The folder appears as a whole or not at all, so that it
/// always has its checksums.
pub(super) fn write_start(
    config: &PretrainConfig,
    documents: &[Document],
    seed: u64,
    folder: &Path,
    watch: &SharedWatch,
) -> Result<()> {
    watch.event(PretrainEvent::TrainingTokenizer)?;
    let json = train_tokenizer(
        documents.iter().map(|document| document.text.as_str()),
        TokenizerTraining::new(config.model_config()?.vocab_size),
    )?;
    watch.event(PretrainEvent::TrainedTokenizer)?;
    longrope_data::replace_folder(folder, ".saving-", |new| {
        save_tokenizer(new, &json)?;
        let tokenizer = Tokenizer::from_model_dir(new)?;
        let special = special_tokens(&tokenizer, folder)?;
        write_random_model(new, config.model_json(), special, seed)?;
        let mut sha256 = BTreeMap::new();
        for entry in fs_err::read_dir(new)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            sha256.insert(name.clone(), sha256_of_file(&new.join(&name))?);
        }
        let checksums = Checksums {
            format: "longrope-checksums".to_owned(),
            version: 1,
            sha256,
        };
        write_json(&new.join(CHECKSUMS_FILE), &checksums)
    })
}

/// Checks that the files of the start are as they were written. Starts of earlier versions may have no checksums, which is
/// said.
///
/// # Errors
/// [`PretrainError::StartChanged`] for the first file that is not.
pub(super) fn check_start(folder: &Path) -> Result<()> {
    let path = folder.join(CHECKSUMS_FILE);
    if !path.is_file() {
        tracing::warn!(
            "`{}` is missing, so nothing tells whether the tokenizer and the weights beside it are those that the \
             pretraining began with",
            path.display()
        );
        return Ok(());
    }
    for (name, expected) in read_json::<Checksums>(&path)?.sha256 {
        let path = folder.join(name);
        let found = if path.is_file() {
            Some(sha256_of_file(&path)?)
        } else {
            None
        };
        if found.as_ref() != Some(&expected) {
            let found = found.map_or("missing".to_owned(), |sum| {
                format!("changed, its SHA-256 is {sum}")
            });
            return Err(PretrainError::StartChanged {
                path,
                found,
                expected,
            }
            .into());
        }
    }
    Ok(())
}

/// Ids of the tokens at the beginning and the end of a document. `folder` is named in errors.
pub(super) fn special_tokens(tokenizer: &Tokenizer, folder: &Path) -> Result<(u32, u32)> {
    let id = |token| -> Result<u32> {
        let id = tokenizer.token_id(token);
        Ok(id.ok_or_else(|| PretrainError::NoSpecialToken {
            folder: folder.to_owned(),
            token,
        })?)
    };
    Ok((id(BOS_TOKEN)?, id(EOS_TOKEN)?))
}
