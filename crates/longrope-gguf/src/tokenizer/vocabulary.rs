//! The tokens of a vocabulary in the order of their ids.

use std::collections::HashMap;

use serde_json::Value as Json;

use crate::error::{Error, Result};

/// The type of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenType {
    Normal,
    Unknown,
    /// Special: not a part of texts.
    Control,
    /// Added, and a part of texts.
    UserDefined,
    /// An id without a token.
    Unused,
    /// One byte.
    Byte,
}

impl TokenType {
    /// Its number in files (`llama_token_type`).
    pub(crate) fn id(self) -> u8 {
        match self {
            Self::Normal => 1,
            Self::Unknown => 2,
            Self::Control => 3,
            Self::UserDefined => 4,
            Self::Unused => 5,
            Self::Byte => 6,
        }
    }
}

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) kind: TokenType,
}

/// The tokens of a vocabulary, as many as the model has.
#[derive(Clone, Debug)]
pub(super) struct Vocabulary {
    pub(super) tokens: Vec<Token>,
}

impl Vocabulary {
    /// Reads vocabulary and added tokens. Ids without a token are named `[PAD0]` and so on.
    pub(super) fn read(json: &Json, size: usize) -> Result<Self> {
        let unused = |id: usize| Token {
            text: format!("[PAD{id}]"),
            kind: TokenType::Unused,
        };
        let mut tokens: Vec<Token> = (0..size).map(unused).collect();
        let mut put = |text: &str, id: &Json, kind| {
            let found = id.as_u64().and_then(|id| usize::try_from(id).ok());
            let Some(place) = found.and_then(|id| tokens.get_mut(id)) else {
                return Err(wrong(format!(
                    "token {text:?} has id {id}, expected a number below {size}, the vocabulary of the model"
                )));
            };
            *place = Token {
                text: text.to_owned(),
                kind,
            };
            Ok(())
        };
        let vocab = json["model"]["vocab"].as_object().ok_or_else(|| {
            wrong("its `model.vocab` is no object: only BPE is supported".to_owned())
        })?;
        for (text, id) in vocab {
            put(text, id, TokenType::Normal)?;
        }
        for token in json["added_tokens"].as_array().into_iter().flatten() {
            let text = token["content"].as_str().unwrap_or_default();
            let kind = if token["special"] == true {
                TokenType::Control
            } else {
                TokenType::UserDefined
            };
            put(text, &token["id"], kind)?;
        }
        Ok(Self { tokens })
    }

    /// The ids by text.
    pub(super) fn ids(&self) -> HashMap<&str, usize> {
        let tokens = self.tokens.iter().enumerate();
        tokens
            .map(|(id, token)| (token.text.as_str(), id))
            .collect()
    }
}

/// The merges of a BPE model, in either spelling: `"a b"`, or `["a", "b"]`.
pub(super) fn merges(model: &Json) -> Result<Vec<(String, String)>> {
    let list = model["merges"]
        .as_array()
        .ok_or_else(|| wrong("it has no list `model.merges`: only BPE is supported".to_owned()))?;
    let pair = |merge: &Json| match merge {
        Json::String(text) => text
            .split_once(' ')
            .map(|(left, right)| (left.to_owned(), right.to_owned())),
        Json::Array(parts) => match parts.as_slice() {
            [Json::String(left), Json::String(right)] => Some((left.clone(), right.clone())),
            _ => None,
        },
        _ => None,
    };
    list.iter()
        .map(|merge| pair(merge).ok_or_else(|| wrong(format!("its merge {merge} is no pair"))))
        .collect()
}

pub(super) fn wrong(problem: String) -> Error {
    Error::Tokenizer { problem }
}
