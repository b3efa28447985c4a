//! BPE over characters with a fallback to bytes, as converted from SentencePiece.

use std::collections::{HashMap, HashSet};

use serde_json::Value as Json;

use super::vocabulary::{TokenType, Vocabulary, merges, wrong};
use crate::error::Result;
use crate::loss::Loss;

/// What stands for a space.
const SPACE: &str = "\u{2581}";

/// Whether a space is put in front of texts, after a check that texts are changed as llama.cpp changes them. llama.cpp
/// puts it after special tokens too.
pub(super) fn adds_space(json: &Json, losses: &mut Vec<Loss>) -> Result<bool> {
    let normalizer = &json["normalizer"];
    let parts: Vec<&Json> = match normalizer["normalizers"].as_array() {
        Some(list) => list.iter().collect(),
        None if normalizer.is_null() => Vec::new(),
        None => vec![normalizer],
    };
    let mut replaces = false;
    let mut adds = false;
    for part in parts {
        match part["type"].as_str() {
            Some("Prepend") if part["prepend"] == SPACE => adds = true,
            Some("Replace") if part["pattern"]["String"] == " " && part["content"] == SPACE => {
                replaces = true;
            }
            _ => return Err(wrong(format!("llama.cpp has no normalizer {part}"))),
        }
    }
    let pre = &json["pre_tokenizer"];
    if !pre.is_null() {
        let is_plain = pre["type"] == "Metaspace"
            && pre["replacement"].as_str().is_none_or(|it| it == SPACE)
            && pre["split"] == false;
        if !is_plain {
            return Err(wrong(format!(
                "llama.cpp is not known to have its pre-tokenizer: {pre}"
            )));
        }
        replaces = true;
        let scheme = &pre["prepend_scheme"];
        if scheme == "first" && !adds {
            losses.push(Loss::SpaceAfterTokens);
        }
        adds |= scheme != "never";
    }
    if !replaces {
        return Err(wrong(format!(
            "it does not replace spaces by {SPACE}, as llama.cpp does"
        )));
    }
    Ok(adds)
}

/// The scores of the tokens. llama.cpp merges the neighbours whose union has the highest score; so the unions get scores in
/// the order of the merges.
pub(super) fn scores(
    vocabulary: &Vocabulary,
    model: &Json,
    losses: &mut Vec<Loss>,
) -> Result<Vec<f32>> {
    let ids = vocabulary.ids();
    let merges = merges(model)?;
    let mut first_rank: HashMap<usize, usize> = HashMap::new();
    let mut rules = HashSet::new();
    let mut is_ordered = true;
    let mut last = None;
    for (left, right) in &merges {
        let union = format!("{left}{right}");
        let Some(id) = ids.get(union.as_str()).copied() else {
            return Err(wrong(format!(
                "the union {union:?} of its merge is no token"
            )));
        };
        let rank = first_rank.len();
        let first = *first_rank.entry(id).or_insert(rank);
        // All merges with the same union follow each other in vocabularies of SentencePiece.
        is_ordered &= first == rank || last == Some(id);
        last = Some(id);
        rules.insert((left.as_str(), right.as_str()));
    }
    let has_all_rules = first_rank.keys().all(|id| {
        let text = vocabulary.tokens[*id].text.as_str();
        text.char_indices().skip(1).all(|(at, _)| {
            let (left, right) = text.split_at(at);
            let are_tokens = ids.contains_key(left) && ids.contains_key(right);
            !are_tokens || rules.contains(&(left, right))
        })
    });
    if !is_ordered || !has_all_rules {
        losses.push(Loss::MergeOrder);
    }
    let score = |id: usize| match first_rank.get(&id) {
        // Characters are never merged from others. Scores below those of all unions keep them last, should a union be one.
        None => -(merges.len() as f32) - 1.0,
        Some(rank) => -(*rank as f32),
    };
    Ok((0..vocabulary.tokens.len()).map(score).collect())
}

/// Marks bytes and the unknown token.
pub(super) fn with_types(mut vocabulary: Vocabulary, model: &Json) -> Vocabulary {
    let unknown = model["unk_token"].as_str();
    for token in &mut vocabulary.tokens {
        if is_byte(&token.text) {
            token.kind = TokenType::Byte;
        } else if Some(token.text.as_str()) == unknown {
            token.kind = TokenType::Unknown;
        }
    }
    vocabulary
}

/// Whether a token is spelled as a byte: `<0x0A>`.
fn is_byte(text: &str) -> bool {
    let digits = text
        .strip_prefix("<0x")
        .and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && digits.chars().all(|c| c.is_ascii_hexdigit()))
}
