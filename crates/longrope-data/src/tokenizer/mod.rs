//! Tokenizers as Hugging Face saves them: loading, encoding and training.

mod add_bos;
mod byte_runs;
mod config;
mod continuation;
mod hugging_face;
mod split;
mod train;

pub use hugging_face::Tokenizer;
pub use train::{BOS_TOKEN, EOS_TOKEN, TokenizerTraining, save_tokenizer, train_tokenizer};
