//! The checkpoint that a pretraining begins with.

use std::path::Path;

use longrope_data::{
    BOS_TOKEN, Document, EOS_TOKEN, Tokenizer, TokenizerTraining, save_tokenizer, train_tokenizer,
};
use longrope_model::{LlamaShape, write_random_llama};

use super::error::PretrainError;
use super::events::{PretrainEvent, Watch};
use crate::error::Result;

/// Writes a tokenizer trained on the documents, and random weights.
pub(super) fn write_start(
    shape: &LlamaShape,
    documents: &[Document],
    seed: u64,
    folder: &Path,
    watch: &Watch,
) -> Result<()> {
    watch.event(PretrainEvent::TrainingTokenizer)?;
    let json = train_tokenizer(
        documents.iter().map(|document| document.text.as_str()),
        TokenizerTraining::new(shape.vocab),
    )?;
    watch.event(PretrainEvent::TrainedTokenizer)?;
    save_tokenizer(folder, &json)?;
    let tokenizer = Tokenizer::from_model_dir(folder)?;
    let special = special_tokens(&tokenizer, folder)?;
    // Last, because the folder counts as a checkpoint as soon as it has `config.json`.
    write_random_llama(folder, shape, special, seed)?;
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
