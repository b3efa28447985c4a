//! What a tokenizer is made from.

use serde_json::Value as Json;

/// What a tokenizer is made from.
#[derive(Clone, Copy, Debug)]
pub struct TokenizerSource<'a> {
    /// `tokenizer.json`, if there is one.
    pub tokenizer: Option<&'a Json>,
    /// `tokenizer_config.json`, if there is one.
    pub config: Option<&'a Json>,
    /// The chat template, if it is in a file of its own.
    pub chat_template: Option<&'a str>,
    /// Number of tokens in the vocabulary of the model.
    pub vocab_size: usize,
    /// The token that begins a text, if `config` names none.
    pub bos_token: Option<u32>,
    /// The tokens that end a text. The first is the end of a text, if `config` names none.
    pub end_tokens: &'a [u32],
    /// Whether every text begins with that token.
    pub adds_bos: bool,
    /// The name of the model, by which llama.cpp knows some tokenizers.
    pub model_name: &'a str,
}
